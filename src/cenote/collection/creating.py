"""Making a collection from documents."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cenote.collection import cluster, manifest
from cenote.collection.attributes import Schema
from cenote.collection.beginning import asked, begun, empty, vacant
from cenote.collection.building import Builder, Progress, nothing
from cenote.collection.collection import MEMORY, Collection, Report
from cenote.collection.encoding import one_by_one
from cenote.collection.intake import Intake, OnSkip
from cenote.collection.memory import budget
from cenote.collection.snapshot import Snapshot
from cenote.collection.writer import Writer
from cenote.errors import CorruptIndex
from cenote.index.opening import open_index
from cenote.recipe import Chain, parse

if TYPE_CHECKING:
    from cenote.encode.cache import Encodings

DEFAULT_RECIPE = "passages 256 | minilm | float8 | flat"


def create(
    path: str | Path,
    sources: Any,
    recipe: str = DEFAULT_RECIPE,
    *,
    limit: int | None = None,
    text_column: str | None = None,
    replace: bool = False,
    memory: str | int = MEMORY,
    seed: int = 0,
    device: str | None = None,
    cache: Encodings | None = None,
    on_skip: OnSkip | None = None,
    progress: Progress = nothing,
    ray: str | None = None,
) -> Collection:
    """Read documents, store them, fit the recipe's stages on them, and index them at `path`.

    sources: paths, globs, iterables of dicts, tables of pandas, polars, Arrow or datasets, or a list of these. An
    interrupted call is resumed by the same call. replace: a complete collection at `path` serves until the new one is
    built, and is then gone. memory bounds the text, vectors and codes held at once, whatever the size of the sources;
    see `memory.budget` for what else it counts. ray: the address of a Ray cluster whose machines read the files and
    encode, see `cluster.joined`; the sources and `path` must be where all of them see them, and what is stored is the
    same.

    Raises RecipeError for a recipe that cannot be built; ValueError where no document is found, `path` is taken, or was
    begun with another recipe or for other documents; Locked where another process is writing.
    """
    from cenote.data import read
    from cenote.data.cluster import read_across

    parsed = str(parse(recipe))
    chain = Chain(parsed, device=device, cache=cache)
    limits, place = budget(memory), Path(path)
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    vacant(place)
    existed = place.exists()
    with cluster.joined(ray), Writer(place, damaged=replace and _damaged(place)) as writer:
        # another process may have made a collection here just before the lock was ours
        fresh = not existed and writer.manifest is None
        try:
            asks = asked(sources, limit, text_column)
            now = begun(writer.manifest, place, parsed, asks, replaced=replace)
            serving = writer.manifest is not None and writer.manifest.complete
            draft = now or empty(parsed, seed, asks)
            encoders = one_by_one if ray is None else cluster.in_tasks(device, cache)
            build = Builder(writer, chain, draft, limits, progress, each=not serving, encoders=encoders)
            before = None if now is None else Snapshot(place, now, None, open_index)
            intake = Intake(Schema(draft.schema), before, on_skip)
            if not draft.stages:
                readers = None if ray is None else read_across
                build.store(read(sources, text_column=text_column, limit=limit, readers=readers), intake)
            if not build.draft.segments:
                raise ValueError(_nothing_found(sources, intake))
            found = build.finish(open_index)
        except ValueError:
            if fresh:
                shutil.rmtree(place, ignore_errors=True)
            raise
    report = Report(intake.added, intake.changed, intake.unchanged, 0, intake.skipped, found.version, now is not None)
    return Collection(place, device=device, cache=cache, report=report)


def _damaged(place: Path) -> bool:
    try:
        manifest.check(place, manifest.read(place))
    except CorruptIndex:
        return True
    except ValueError:
        return False
    return False


def _nothing_found(sources: Any, intake: Intake) -> str:
    listed = sources if isinstance(sources, list) else [sources]
    what = ", ".join(map(str, listed)) if all(isinstance(one, str | Path) for one in listed) else ""
    what = what if 0 < len(what) < 200 else "the sources"
    if intake.skipped:
        first = f"{intake.skipped[0].source}: {intake.skipped[0].reason}"
        return f"no document could be read from {what}: {len(intake.skipped)} skipped, the first {first}"
    return f"no document was found in {what}; give files, folders or tables that hold some"
