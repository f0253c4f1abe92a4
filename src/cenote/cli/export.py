"""cenote export: the encoder of a recipe or a collection, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cenote.cli.arguments import AsJson
from cenote.cli.terminal import TERMINAL, result, result_json

if TYPE_CHECKING:
    from cenote.encode.saving import Affine
    from cenote.recipe import Chain


def export(
    kind: Annotated[
        Literal["model", "onnx"], typer.Argument(help="model: a folder of sentence-transformers; onnx: a graph.")
    ],
    source: Annotated[str, typer.Argument(metavar="RECIPE|DIR", help="A recipe, or a collection.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the model goes.")],
    replace: Annotated[bool, typer.Option("--replace", help="Write over a folder that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write encoder, pooling and transforms as a model that gives the vectors which the collection compares."""
    chain = _chain(source)
    leg = chain.leg
    if kind == "onnx":
        from cenote.encode.onnx import export_onnx

        export_onnx(leg.encoder, out, pool=leg.pool, maps=_maps(chain), replace=replace)
    else:
        told = {"recipe": f"`{chain.recipe}`"}
        leg.encoder.save(out, pool=leg.pool, maps=_maps(chain), told=told, replace=replace)
    if chain.recipe.chunker is not None or leg.of_kind("codec") or leg.of_kind("rerank"):
        TERMINAL.message("the model gives the float vectors of whole texts; passages and codes are no part of it")
    if as_json:
        result_json({"out": str(out), "dim": leg.dim, "recipe": str(chain.recipe)})
    else:
        result(f"{out}: a model of {leg.dim} dimensions")


def _chain(source: str) -> Chain:
    from cenote.collection import open_collection
    from cenote.errors import RecipeError
    from cenote.recipe import Chain

    if (Path(source) / "CURRENT").is_file():
        with open_collection(source) as opened:
            chain = opened.chain
    else:
        chain = Chain(source)
    if chain.fusion is not None:
        raise RecipeError("a model gives one vector a text, and this recipe fuses several legs; name one of them")
    if not chain.fitted:
        raise RecipeError("a stage of this recipe learns from documents and has not; name a collection made with it")
    return chain


def _maps(chain: Chain) -> list[Affine]:
    """Return the transforms as maps W x + b: what they make of nothing, and of one dimension after another."""
    import numpy as np

    found, dim = [], chain.leg.encoder.width(chain.leg.pool)
    for one, transform in zip(chain.leg.of_kind("transform"), chain.leg.transforms, strict=True):
        if one.stage.word == "normalize":
            if chain.encoder.similarity == "cosine":
                continue  # as the vectors of such a model are anyway
            raise ValueError(
                f"`{one.stage}` is no linear map, which a model that compares by dot products could end with"
            )
        bias = transform.apply(np.zeros((1, dim), np.float32))[0]
        weight = (transform.apply(np.eye(dim, dtype=np.float32)) - bias).T
        found.append((np.ascontiguousarray(weight), bias))
        dim = transform.out_dim(dim)
    return found
