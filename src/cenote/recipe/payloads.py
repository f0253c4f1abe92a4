"""Which word may follow which: each takes one payload and gives another, and a chain is valid iff they meet.

    documents -chunker-> texts -encoder-> states | sparse -pool-> dense | multi -transform-> dense -codec-> codes
    -engine-> index -rerank-> index -fuse-> index

What may be left out: the pooling between an encoder and what takes dense vectors (the model's own), and the engine
before a rerank, a fusion or the end (the payload's plain one).
"""

from __future__ import annotations

from cenote import registry
from cenote.errors import RecipeError, UnknownWord
from cenote.recipe.grammar import Stage
from cenote.registry import Row

PLAIN_ENGINE = {"states": "flat", "dense": "flat", "codes": "flat", "multi": "maxsim", "sparse": "exact"}
KIND_NAMES = {"pool": "pooler"}
_ONCE = {"chunker", "encoder", "pool", "codec", "engine"}


def row_of(stage: Stage, text: str) -> Row:
    """Return the registry row of a stage; a quoted path or hub id is an encoder.

    Raises RecipeError with the place and the nearest word.
    """
    if stage.quoted:
        encoder = registry.find("minilm", ("encoder",))
        return Row("encoder", stage.word, encoder.make, encoder.takes, encoder.gives, "a model by its path or hub id")
    try:
        return registry.find(stage.word)
    except UnknownWord as error:
        hint = f'; a path or hub id is written in quotes: "{stage.word}"' if "/" in stage.word else ""
        raise RecipeError(f"{error}{hint}", text, stage.start, stage.start + len(stage.word)) from None


def check_arguments(stage: Stage, row: Row, text: str) -> None:
    """Check a stage's values against the constructor of its class.

    Raises RecipeError with the place. Words that are not built yet have no class to check against.
    """
    if stage.path is not None and not row.trained:
        reason = f"`{row.word}` has no weights to load; only trained stages are written word@path"
        raise RecipeError(reason, text, stage.start, stage.end)
    if row.built:
        try:
            keys = dict(stage.keys)
            if len(keys) < len(stage.keys):
                raise ValueError(f"`{row.word}` is given the same key twice")
            registry.arguments(row, stage.values, keys)
        except (ValueError, TypeError) as error:
            raise RecipeError(str(error), text, stage.start, stage.end) from None


def _fitting(payload: str) -> str:
    reach = {payload} | ({"dense"} if payload == "states" else set())
    words = [row.word for row in registry.rows() if row.kind in registry.STAGE_KINDS and row.takes & reach]
    return ", ".join(f"`{word}`" for word in words) or "nothing"


def follow(leg: tuple[Stage, ...], text: str) -> str:
    """Type one chain from texts on, and return the payload that it gives as written.

    Raises RecipeError at the first stage that does not fit, saying what would.
    """
    payload, seen = "texts", set[str]()
    for stage in leg:
        row = row_of(stage, text)
        if row.kind == "chunker":
            raise RecipeError(f"`{row.word}` cuts documents, so it comes first", text, stage.start, stage.end)
        if row.kind in seen & _ONCE:
            name = KIND_NAMES.get(row.kind, row.kind)
            raise RecipeError(f"`{row.word}` is a second {name}; a chain has one", text, stage.start, stage.end)
        if payload == "texts" and row.kind != "encoder":
            first = ", ".join(f"`{r.word}`" for r in registry.rows("encoder"))
            reason = f'`{row.word}` cannot come first; a chain begins with an encoder: {first} or a "path or hub id"'
            raise RecipeError(reason, text, stage.start, stage.end)
        given = payload
        if payload == "states" and not row.takes & {"states", "multi"}:
            given = "dense"  # the model's own pooling
        if row.kind in ("rerank", "fuse") and given in PLAIN_ENGINE:
            given = "index"
        if given not in row.takes:
            takes, fits = " or ".join(sorted(row.takes)), _fitting(payload)
            reason = f"`{row.word}` takes {takes}, but what comes before gives {payload}; what fits here: {fits}"
            raise RecipeError(reason, text, stage.start, stage.end)
        check_arguments(stage, row, text)
        seen.add(row.kind)
        # an engine over codes stays an index; a transform keeps the payload it was given
        payload = given if row.kind == "transform" else row.gives
    return payload
