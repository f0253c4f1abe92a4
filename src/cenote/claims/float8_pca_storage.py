"""float8 loses next to nothing at a quarter of the bytes, and half the dimensions in float8 less than int8 alone.

"Optimization of embeddings storage for RAG systems using quantization and dimensionality reduction techniques"
(2505.00105). Nothing here is random: the figures carry simultaneous 95 % intervals over the questions.
"""

from __future__ import annotations

from pathlib import Path

from cenote.claims.finding import Figure, Finding
from cenote.measure import Comparison, compare

DATA = {"cranfield": "test", "capretrieval-en": "test", "cosqa": "dev"}
BASELINE = "minilm | float32 | flat"
FLOAT8, HALF = "minilm | float8 | flat", "minilm | pca 192 | float8 | flat"
INT8 = ("minilm | int8 row | flat", "minilm | int8 dim | flat")
RECIPES = (BASELINE, FLOAT8, "minilm | float8 e5m2 | flat", *INT8, HALF, "minilm | pca 192 | flat")
MOST_LOST = 0.003
"""The share of the score that float8 may lose."""


def check(data: Path) -> Finding:
    """Compare the recipes on three collections."""
    found = {name: _compared(data / name, split) for name, split in DATA.items()}
    figures = [figure for name, one in found.items() for figure in _figures(name, one)]
    kept = {name: _share_lost(one, FLOAT8) for name, one in found.items()}
    half = {name: one.scores[HALF] - one.scores[INT8[1]] for name, one in found.items()}
    first, second = all(lost < MOST_LOST for lost in kept.values()), all(gain > 0 for gain in half.values())
    verdict = (
        f"float8 e4m3 loses {_percent(kept)} of nDCG@10 at a quarter of the bytes, so the first half "
        f"{'shows' if first else 'does not show everywhere'}; PCA to half the dimensions in float8 is "
        f"{', '.join(f'{gain:+.4f} ({name})' for name, gain in half.items())} beside int8 calibrated by dimension, so "
        f"the second half {'shows' if second else 'does not show'}."
    )
    return Finding(
        claim="float8 is four times smaller and loses less than 0.3 %; with PCA to half the dimensions it is eight "
        "times smaller and still loses less than int8 alone.",
        holds=first and second,
        verdict=verdict,
        baseline=BASELINE,
        seeds=1,
        figures=tuple(figures),
    )


def _compared(folder: Path, split: str) -> Comparison:
    return compare(folder, recipes=RECIPES, queries=folder / "queries.jsonl", qrels=folder / "qrels" / f"{split}.tsv")


def _figures(name: str, found: Comparison) -> list[Figure]:
    rows = found.to_dict()["recipes"]
    scores = [Figure(f"nDCG@10 of {BASELINE}", name, round(found.scores[BASELINE], 4))]
    return scores + [
        Figure(f"{row['recipe']}: difference", name, *(round(row[key], 4) for key in ("difference", "low", "high")))
        for row in rows[1:]
    ]


def _share_lost(found: Comparison, recipe: str) -> float:
    lost: float = 1 - found.scores[recipe] / found.scores[BASELINE]
    return lost


def _percent(shares: dict[str, float]) -> str:
    return ", ".join(f"{100 * share:.2f} % ({name})" for name, share in shares.items())
