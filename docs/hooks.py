"""What the documentation reads out of the code instead of having it typed: words, commands, papers, the reference.

A page says `<!-- words -->`, `<!-- commands -->`, `<!-- papers -->` or `<!-- gallery -->` where these go.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cenote import registry
from cenote.claims.papers import papers, result, took

PACKAGE = Path(registry.__file__).parent
HERE = Path(__file__).parent
KINDS = {
    "chunker": ("Chunkers", "documents to texts"),
    "encoder": ("Encoders", "texts to the states of their tokens, or to counted words"),
    "pool": ("Poolers", "the tokens of a text to one vector"),
    "reduce": ("Reductions", "the tokens of a text to fewer tokens"),
    "transform": ("Transforms", "vectors to vectors"),
    "codec": ("Codecs", "vectors to codes"),
    "engine": ("Engines", "vectors or codes to an index"),
    "rerank": ("Rerank", "the first hits scored again"),
    "fuse": ("Fusions", "several indexes to one"),
}
"""The kinds that recipes are written with, in the order of the chain; every other kind is of Python only."""
OTHERS = {
    "adapter": ("Adapters", "poolers made of poolers, and poolers put over layers, maps, windows and time"),
    "window": ("Poolers of windows", "a feature map to a smaller one"),
    "map": ("Poolers of maps", "a feature map to one vector"),
    "classifier": ("Classifiers", "words to logits of classes"),
}
"""What is known of those; a kind that is not here goes by its own name."""
_BACK, _BACK_RATIO = "with gradients, ms", "with gradients, ratio"
_PEER, _PEER_BACK = "of cenote's", "of cenote's, with gradients"
"""What the bench of poolers calls them."""
_CLAIM = {None: "not decided here", True: "shows here", False: "does not show here"}


def words() -> str:
    """Return a section a kind: every word of the registry, with the arguments of its class."""
    kinds = list(dict.fromkeys(row.kind for row in registry.rows()))
    parts = [_section(kind, 2) for kind in KINDS if kind in kinds]
    others = [kind for kind in kinds if kind not in KINDS]
    parts += ["## Words of Python only", "These are made with `cenote.registry.make`, and no recipe names them."]
    return "\n\n".join(parts + [_section(kind, 3) for kind in others])


def _section(kind: str, level: int) -> str:
    title, what = (KINDS | OTHERS).get(kind, (f"Kind `{kind}`", ""))
    lines = ["| word | arguments | what it does | paper |", "|---|---|---|---|"]
    for row in registry.rows(kind):
        notes = [row.about] if row.built else [row.about, "*not built yet*"]
        notes += ["*trained*"] * row.trained
        notes += [f"*needs {' and '.join(f'`{name}`' for name in row.side)} beside the tokens*"] * bool(row.side)
        paper = "" if row.paper is None else f"[{row.paper}](papers.md#paper-{row.paper})"
        lines.append(_line(f"`{row.word}`", " ".join(arguments(row)), "; ".join(notes), paper))
    head = f"{'#' * level} {title}"
    return "\n\n".join(filter(None, [head, f"{what[:1].upper()}{what[1:]}." if what else "", "\n".join(lines)]))


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def arguments(row: registry.Row) -> Iterator[str]:
    """Yield what may be written behind a word: `name`, or `name=default`, and what a choice is between."""
    if not row.built:
        return
    in_recipes = row.kind in KINDS
    for one in registry.recipe_parameters(row) if in_recipes else registry.parameters(row.load()):
        if one.name == "empty" and row.kind == "pool":
            continue  # every pooler has it, and the page says so once
        default = "" if one.default is inspect.Parameter.empty else f"={_shown(one.default)}"
        choices = _choices(one.annotation)
        choice = "or " * (len(choices) == 1) + " or ".join(map(str, choices))
        yield f"`{one.name}{default}`" + (f" ({choice})" if 0 < len(choice) < 60 else "")


def _shown(value: Any) -> str:
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _choices(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) is typing.Literal:
        return typing.get_args(annotation)
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return tuple(choice for one in typing.get_args(annotation) for choice in _choices(one))
    return ()


def commands() -> str:
    """Return a section a command: what its help says."""
    import typer

    from cenote.cli.main import application

    parts = []
    group = typer.main.get_command(application())
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        told = [one for one in command.params if one.name != "help" and not getattr(one, "hidden", False)]
        places = [one.metavar or one.name.upper() for one in told if one.param_type_name == "argument"]
        lines = [f"## cenote {name}", (command.help or "").strip(), f"`{' '.join(['cenote', name, *places])}`"]
        options = [_option(one) for one in told if one.param_type_name == "option"]
        parts += [*lines, "\n".join(["| option | what it says |", "|---|---|", *options])] if options else lines
    return "\n\n".join(parts)


def _option(one: Any) -> str:
    default = one.default
    plain = default is None or default is False or callable(default) or default in ((), [])
    said = f" (`{default}`)" if not plain else ""
    value = "" if one.is_flag or not one.metavar else f" {one.metavar}"
    help = (one.help or "") + said + " **Required.**" * one.required
    names = ", ".join(f"`{name}{value}`" for name in one.opts)
    return _line(names, help)


def paper_table() -> str:
    """Return the papers, each with its state and what the check of its claim found, and the figures of the checks."""
    listed = papers()
    counts = {status: sum(one.status == status for one in listed) for status in ("planned", "built", "checked")}
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    lines = [f"{len(listed)} papers: {said}.", "", "|  | paper | state | words | claim |", "|---|---|---|---|---|"]
    for one in listed:
        claim = f"[{_CLAIM[one.holds]}](#{one.slug})" if one.status == "checked" else ""
        names = ", ".join(f"`{word}`" for word in one.words)
        number = f'<span id="paper-{one.number}">{one.number}</span>'
        lines.append(_line(number, one.title, one.status, names, claim))
    checked = [_check(one.slug) for one in listed if one.status == "checked"]
    return "\n".join(lines) + "\n\n## What the checks found\n\n" + "\n\n".join(checked)


def _check(slug: str) -> str:
    found = result(slug)
    assert found is not None
    lines = ["| figure | data | value | 95 % interval or spread |", "|---|---|---|---|"]
    for figure in found["figures"]:
        low, high = figure["low"], figure["high"]
        between = "" if low is None else f"{low:g} to {high:g}"
        lines.append(_line(figure["name"], figure["data"], f"{figure['value']:g}", between))
    seeds = "nothing is random" if found["seeds"] == 1 else f"{found['seeds']} seeds"
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return "\n\n".join(
        [
            f"### {found['title']} {{ #{slug} }}",
            f"**Claim.** {found['claim']}",
            f"**Here.** {found['verdict']} ({_CLAIM[found['holds']].capitalize()}.)",
            "\n".join(lines),
            f"Baseline `{found['baseline']}`; {seeds}; {took(found)}; {versions}. "
            f"Run it again: `cenote reproduce {slug}`.",
            *filter(None, [found["note"]]),
        ]
    )


GALLERY = ("pool", "adapter", "window", "map")
"""The kinds of poolers, in the order of the gallery."""
RESULTS = HERE.parent / "benchmarks" / "results" / "poolers.json"


def gallery() -> str:
    """Return a section a pooler: what its module says it computes, its picture, when to use it, and what it costs."""
    when = tomllib.loads((HERE / "gallery.toml").read_text(encoding="utf-8"))
    costs = json.loads(RESULTS.read_text())["contests"] if RESULTS.exists() else []
    parts = []
    for kind in GALLERY:
        shown = [row for row in registry.rows(kind) if row.built and row.gives != "multi"]
        parts += [f"## {(KINDS | OTHERS)[kind][0]}"]
        parts += ["\n\n".join(_pooler(row, when.get(kind, {}).get(row.word), costs)) for row in shown]
    return "\n\n".join(parts)


def _pooler(row: registry.Row, when: str | None, costs: list[dict[str, Any]]) -> Iterator[str]:
    yield f"### {row.word} {{ #{row.kind}-{row.word} }}"
    notes = [f"{row.about[:1].upper()}{row.about[1:]}."] + ["*Trained.*"] * row.trained
    notes += [f"[Paper {row.paper}](papers.md#paper-{row.paper})."] * (row.paper is not None)
    yield " ".join(notes)
    said = inspect.getdoc(sys.modules[row.load().__module__]) or ""
    equation = [one for one in said.split("\n\n")[1:] if one.startswith(("    ", "y = ", "y_d = "))]
    yield (
        "```text\n" + textwrap.dedent("\n\n".join(equation)) + "\n```"
        if equation
        else _first(inspect.getdoc(row.load()))
    )
    for picture in sorted((HERE / "images" / "gallery").glob(f"{row.kind}-{row.word}.*")):
        yield f"![{row.word}: {row.about}](images/gallery/{picture.name})"
    if when:
        yield f"**When.** {when}"
    if cost := "\n".join(_costs(row, costs)):
        yield f"| measured | forward | with gradients | beside peers |\n|---|---:|---:|---|\n{cost}"


def _first(said: str | None) -> str:
    """Return the first paragraph of what a class says of itself."""
    return (said or "").split("\n\n")[0]


def _costs(row: registry.Row, contests: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line a contest that the pooler was in."""
    for contest in contests:
        if contest["title"].startswith("windows") != (row.kind == "window"):
            continue
        first = contest["rows"][0]
        for found in contest["rows"] if row.kind in ("pool", "window") else ():
            if found["name"] != row.word:
                continue
            peers = [one for one in contest["rows"] if one["name"].startswith(f"{row.word}, ")]
            beside = [
                f"{one['name'].partition(', ')[2]} takes {one['told'][_PEER]:.2g}×, with gradients "
                f"{one['told'][_PEER_BACK]:.2g}×"
                for one in peers
            ]
            back = found["told"]
            yield _line(
                contest["title"],
                f"{found['median'] * 1e3:.2f} ms ({found['median'] / first['median']:.1f}×)",
                f"{back[_BACK]:.2f} ms ({back.get(_BACK_RATIO, 1):.1f}×)",
                "; ".join(beside),
            )


TABLES = {
    "<!-- words -->": words,
    "<!-- commands -->": commands,
    "<!-- papers -->": paper_table,
    "<!-- gallery -->": gallery,
}


def packages() -> list[str]:
    """Return the packages and single modules of cenote that have a page in the reference."""
    folders = (place.parent.name for place in PACKAGE.glob("*/__init__.py"))
    files = (place.stem for place in PACKAGE.glob("*.py") if not place.stem.startswith("__"))
    return sorted(name for name in (*folders, *files) if name != "cli")


def reference(name: str) -> str:
    """Return the page of a package: every module that documents something public."""
    place = PACKAGE / name
    if not place.is_dir():
        return f"# cenote.{name}\n\n::: cenote.{name}\n    options:\n      show_root_heading: false\n"
    modules = sorted(one.stem for one in place.glob("*.py") if one.stem != "__init__")
    parts = [f"# cenote.{name}", f"::: cenote.{name}\n    options:\n      show_root_heading: false\n      members: []"]
    return "\n\n".join(parts + [f"::: cenote.{name}.{module}" for module in modules]) + "\n"


def on_config(config: Any) -> Any:
    """Put the pages of the reference at the end of the navigation."""
    config.nav.append({"Reference": [{f"cenote.{name}": f"api/cenote.{name}.md"} for name in packages()]})
    return config


def pictures() -> list[Path]:
    """Return the pictures of the benchmarks, which their page links as it does where it lies."""
    return sorted(RESULTS.parent.glob("*.png"))


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the reference, and the pictures of a page that is read from elsewhere."""
    from mkdocs.structure.files import File

    for place in pictures():
        files.append(File.generated(config, f"results/{place.name}", abs_src_path=str(place)))
    for name in packages():
        files.append(File.generated(config, f"api/cenote.{name}.md", content=reference(name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the tables where a page wants them."""
    for mark, table in TABLES.items():
        if mark in markdown:
            markdown = markdown.replace(mark, table())
    return markdown
