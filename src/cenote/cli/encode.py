"""cenote encode: lines of text in, a matrix out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cenote.cli.arguments import AsJson, Recipe, in_a_folder
from cenote.cli.lines import lines
from cenote.cli.terminal import TERMINAL, result, result_json

if TYPE_CHECKING:
    from cenote.recipe import Chain

_LINES = 8192
_KINDS = ("encoder", "pool", "transform")


def encode(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="One text a line; - is stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.npy", help="Where the matrix goes.")],
    recipe: Recipe = "minilm",
    role: Annotated[Literal["query", "document"], typer.Option(help="What the texts are.")] = "document",
    as_json: AsJson = False,
) -> None:
    """Encode lines of text: row i of the matrix (float32) is line i."""
    if in_a_folder(out, "--out").suffix != ".npy":
        raise ValueError(f"--out is {out}, and must end in .npy")
    chain = _chain(recipe)
    texts, done = lines(file), 0
    with TERMINAL.progress() as progress, _matrix(out, chain.dim) as write:
        while some := list(islice(texts, _LINES)):
            write(chain.vectors(some, role).tobytes())
            done += len(some)
            progress("encode", done, None)
    lost = chain.encoder.report.sentence(chain.encoder.max_length)
    if lost is not None:
        TERMINAL.message(lost)
    if as_json:
        result_json({"rows": done, "dim": chain.dim, "out": str(out)})
    else:
        result(f"{out}: {done:,} rows of {chain.dim} dimensions")


def _chain(text: str) -> Chain:
    """Build a recipe that gives one float vector a text, without documents to learn from.

    Raises RecipeError showing the stage at which it does not.
    """
    from cenote.errors import RecipeError
    from cenote.recipe import Chain, parse
    from cenote.recipe.payloads import row_of

    parsed = parse(text)
    kinds = [row_of(stage, text) for stage in parsed.steps]
    for stage, row in zip(parsed.steps, kinds, strict=True):
        if row.kind not in _KINDS or row.gives not in ("states", "dense"):
            gives = "cuts documents" if row.kind == "chunker" else f"gives {row.gives}"
            reason = f"`encode` writes float vectors, one a line, and `{stage.word}` {gives}; leave it out"
            raise RecipeError(reason, text, stage.start, stage.end)
    chain = Chain(parsed)
    transforms = [stage for stage, row in zip(parsed.steps, kinds, strict=True) if row.kind == "transform"]
    for stage, made in zip(transforms, chain.leg.transforms, strict=True):
        if made.needs_fit:
            reason = f"`{stage.word}` learns from documents and has not; leave it out, or make a collection with it"
            raise RecipeError(reason, text, stage.start, stage.end)
    return chain


@contextmanager
def _matrix(out: Path, dim: int) -> Iterator[Callable[[bytes], None]]:
    """Write rows of float32 behind a header whose count is filled in at the end; the file is there whole or not."""
    from cenote.cli.npy import header

    half = out.with_name(f"{out.name}.{os.getpid()}.half")
    written = 0
    try:
        with half.open("wb") as file:
            file.write(header(0, dim))

            def write(rows: bytes) -> None:
                nonlocal written
                written += len(rows) // (4 * dim)
                file.write(rows)

            yield write
            file.seek(0)
            file.write(header(written, dim))
        os.replace(half, out)
    finally:
        half.unlink(missing_ok=True)
