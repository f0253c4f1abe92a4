"""Paraphrases of one language, mined from its translations: two sentences that translate one pivot say the same.

    pivot -> {translations, each counted} -> those near the pivot -> without repetitions -> pairs of neighbours

Dadas, "Training effective neural sentence encoders from automatically mined paraphrases" (2207.12759).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[Any]


@dataclass(frozen=True)
class Paraphrase:
    """Two translations of one pivot: the cosine of their vectors, and the share of characters they have in common."""

    first: str
    second: str
    pivot: str
    cosine: float
    overlap: float


def mine_paraphrases(
    pivots: Sequence[str],
    translations: Sequence[str],
    encode: Callable[[list[str]], Vectors],
    *,
    threshold: float = 0.7,
    least: int = 2,
    most_overlap: float = 0.99,
    seed: int = 0,
) -> list[Paraphrase]:
    """Mine aligned sentences: translations[i] translates pivots[i]; pivots that differ in case alone are one.

    encode: makes vectors (n, d) of sentences of both languages. threshold: a translation is kept when its cosine to the
    pivot is above. least: how often a pivot must stand in all; two different translations are needed besides.
    most_overlap: pairs that share more characters than this are left out. seed: of the order in which translations
    are paired; an odd one is paired with the first.

    Raises ValueError for sequences of different length, a threshold outside [-1, 1], or vectors that do not belong to
    the sentences.
    """
    if len(pivots) != len(translations):
        raise ValueError(f"{len(pivots)} pivots and {len(translations)} translations are not aligned; give one of each")
    if not -1 <= threshold <= 1:
        raise ValueError(f"threshold must lie in [-1, 1] as cosines do, not {threshold}")
    found = [(pivot, texts) for pivot, texts in _grouped(pivots, translations, least)]
    texts = [text for _, translated in found for text in translated]
    of_pivots, of_texts = _unit(encode, [pivot for pivot, _ in found]), _unit(encode, texts)
    random, out, start = Random(seed), [], 0
    for (pivot, translated), vector in zip(found, of_pivots, strict=True):
        vectors = of_texts[start : start + len(translated)]
        start += len(translated)
        near: dict[str, int] = {}
        for i, cosine in enumerate(vectors @ vector):
            if cosine > threshold:
                near.setdefault(_letters(translated[i]), i)
        chosen = list(near.values())
        random.shuffle(chosen)
        for i, j in _neighbours(chosen):
            overlap = common_share(translated[i], translated[j])
            if overlap <= most_overlap:
                alike = float(vectors[i] @ vectors[j])
                out.append(Paraphrase(translated[i], translated[j], pivot, alike, overlap))
    return out


def common_share(first: str, second: str) -> float:
    """Return 2 l / (a + b): l the length of the longest common subsequence of texts of a and b characters; 1 for none.

    This is 1 less the share of characters to insert and delete, the Levenshtein ratio of the field.
    """
    if not first and not second:
        return 1.0
    # Hyyrö's bits: a row of the table of lengths is one integer, and a step of the table one addition
    places: dict[str, int] = {}
    for i, letter in enumerate(first):
        places[letter] = places.get(letter, 0) | 1 << i
    row = full = (1 << len(first)) - 1
    for letter in second:
        matched = row & places.get(letter, 0)
        row = (row + matched | row - matched) & full
    return 2 * (len(first) - row.bit_count()) / (len(first) + len(second))


def _grouped(pivots: Sequence[str], translations: Sequence[str], least: int) -> list[tuple[str, list[str]]]:
    """Return the pivots as first written, each with its different translations, where there are enough of both."""
    times: dict[str, int] = {}
    written: dict[str, str] = {}
    different: dict[str, dict[str, None]] = {}
    for pivot, text in zip(pivots, translations, strict=True):
        key = pivot.casefold()
        times[key] = times.get(key, 0) + 1
        written.setdefault(key, pivot)
        different.setdefault(key, {})[text] = None
    return [(written[key], list(texts)) for key, texts in different.items() if times[key] >= least and len(texts) >= 2]


def _unit(encode: Callable[[list[str]], Vectors], texts: list[str]) -> Vectors:
    if not texts:
        return np.zeros((0, 0), np.float32)
    vectors = np.asarray(encode(texts))
    if vectors.ndim != 2 or len(vectors) != len(texts):
        raise ValueError(f"encode made an array of shape {vectors.shape} of {len(texts)} texts; one row each is needed")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.where(lengths > 0, lengths, 1)
    return unit


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _neighbours(chosen: list[int]) -> list[tuple[int, int]]:
    if len(chosen) < 2:
        return []
    closed = chosen + chosen[:1] if len(chosen) % 2 else chosen
    return list(zip(closed[::2], closed[1::2], strict=True))
