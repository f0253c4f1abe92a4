"""A recipe without choices: the stages of its legs, typed, and its one written form."""

from __future__ import annotations

from dataclasses import dataclass, field

from cenote.errors import RecipeError
from cenote.recipe.grammar import Chain, Choice, Legs, Stage
from cenote.recipe.payloads import check_arguments, follow, row_of


@dataclass(frozen=True)
class Recipe:
    """`passages 256 | minilm | mean | pca 192 | float8 | flat`, read and typed.

    chunker: the stage that cuts documents, None where a document is one passage.
    legs: the stages after it; one leg unless `fuse` joins several.
    gives: the payload the legs end in as written: `states`, `dense`, `codes`, `multi`, `sparse` or `index`.
    """

    chunker: Stage | None
    legs: tuple[tuple[Stage, ...], ...]
    fuse: Stage | None = None
    gives: str = field(default="", compare=False)

    @property
    def steps(self) -> tuple[Stage, ...]:
        """Every stage in the order it is written."""
        between = [stage for leg in self.legs for stage in leg]
        return tuple(stage for stage in (self.chunker, *between, self.fuse) if stage is not None)

    def __str__(self) -> str:
        chains = [" | ".join(map(str, leg)) for leg in self.legs]
        body = " + ".join(f"({chain})" for chain in chains) if self.fuse is not None else chains[0]
        return " | ".join(str(part) for part in (self.chunker, body, self.fuse) if part is not None)


def typed(steps: Chain, text: str) -> Recipe:
    """Type the steps of one recipe (no choices left in them).

    Raises RecipeError with the place of the first thing that does not fit.
    """
    chunker = None
    if steps and isinstance(steps[0], Stage) and row_of(steps[0], text).kind == "chunker":
        chunker, steps = steps[0], steps[1:]
        check_arguments(chunker, row_of(chunker, text), text)
    if not steps:
        raise RecipeError("nothing is left to encode with; put an encoder such as `minilm` here", text, len(text))
    if isinstance(steps[0], Legs):
        return _hybrid(chunker, steps[0], steps[1:], text)
    leg = tuple(step for step in steps if isinstance(step, Stage))
    for step in steps:
        if isinstance(step, Legs):
            raise RecipeError("legs in parentheses come first, or right behind the chunker", text, step.start, step.end)
        if isinstance(step, Choice):
            raise RecipeError("this is a grid of recipes where one recipe is wanted", text, step.start, step.end)
    for stage in leg:
        if row_of(stage, text).kind == "fuse":
            raise RecipeError(f"`{stage.word}` joins legs: (…) + (…) | {stage}", text, stage.start, stage.end)
    return Recipe(chunker, (leg,), gives=follow(leg, text))


def _hybrid(chunker: Stage | None, legs: Legs, rest: Chain, text: str) -> Recipe:
    if not rest:
        reason = "legs in parentheses end in a fusion: (…) + (…) | rrf"
        raise RecipeError(reason, text, legs.start, legs.end)
    fuse = rest[0]
    if not isinstance(fuse, Stage) or row_of(fuse, text).kind != "fuse":
        raise RecipeError("a fusion (`rrf` or `convex`) comes right behind the legs", text, fuse.start, fuse.end)
    if len(rest) > 1:
        raise RecipeError("nothing can follow a fusion", text, rest[1].start, rest[-1].end)
    if len(legs.chains) < 2:
        raise RecipeError("one leg alone has nothing to be fused with", text, legs.start, legs.end)
    if fuse.word == "convex" and len(legs.chains) != 2:
        reason = f"`convex` joins two legs, not {len(legs.chains)}; `rrf` joins any number"
        raise RecipeError(reason, text, fuse.start, fuse.end)
    check_arguments(fuse, row_of(fuse, text), text)
    chains = []
    for chain in legs.chains:
        stages = tuple(step for step in chain if isinstance(step, Stage))
        if len(stages) < len(chain):
            raise RecipeError("this is a grid of recipes where one recipe is wanted", text, legs.start, legs.end)
        follow(stages, text)
        chains.append(stages)
    return Recipe(chunker, tuple(chains), fuse, gives="index")
