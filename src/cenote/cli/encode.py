"""cenote encode: lines of text in, a matrix out."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Annotated, Literal

import typer

from cenote.cli.arguments import AsJson, Recipe
from cenote.cli.terminal import TERMINAL, result, result_json

_LINES = 8192


def encode(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="One text a line; - is stdin.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.npy", help="Where the matrix goes.")],
    recipe: Recipe = "minilm",
    role: Annotated[Literal["query", "document"], typer.Option(help="What the texts are.")] = "document",
    as_json: AsJson = False,
) -> None:
    """Encode lines of text: row i of the matrix (float32) is line i."""
    from cenote.errors import RecipeError
    from cenote.recipe import Chain, parse

    if out.suffix != ".npy":
        raise ValueError(f"--out is {out}, and must end in .npy")
    parsed = parse(recipe)
    if parsed.chunker is not None or parsed.gives not in ("states", "dense"):
        gives = "passages" if parsed.chunker is not None else parsed.gives
        raise RecipeError(f"`encode` writes dense vectors, and this recipe gives {gives}; end it before", str(parsed))
    chain = Chain(parsed)
    if chain.needs_fit:
        raise RecipeError("a stage of this recipe learns from documents; make a collection with it first", str(parsed))
    done = 0
    with _lines(file) as lines, TERMINAL.progress() as progress, _matrix(out, chain.dim) as write:
        while texts := [line.rstrip("\r\n") for line in islice(lines, _LINES)]:
            write(chain.vectors(texts, role).tobytes())
            done += len(texts)
            progress("encode", done, None)
    lost = chain.encoder.report.sentence(chain.encoder.max_length)
    if lost is not None:
        TERMINAL.message(lost)
    if as_json:
        result_json({"rows": done, "dim": chain.dim, "out": str(out)})
    else:
        result(f"{out}: {done:,} rows of {chain.dim} dimensions")


@contextmanager
def _lines(file: str) -> Iterator[IO[str]]:
    if file == "-":
        yield sys.stdin
        return
    with open(file, encoding="utf-8", newline="\n") as opened:
        yield opened


@contextmanager
def _matrix(out: Path, dim: int) -> Iterator[Callable[[bytes], None]]:
    """Write rows of float32 behind a header whose count is filled in at the end; the file is there whole or not."""
    from cenote.cli.npy import header

    half = out.with_name(out.name + ".half")
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
