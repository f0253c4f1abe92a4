"""Windows: texts that are tokenised and sorted together, of a stream of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_WINDOW = 4096
"""Texts that are tokenised and sorted together: enough to fill batches of one length, few enough to hold."""
_CHARACTERS = 2**23
"""Characters after which a window ends early, so that long documents do not fill the memory."""


def windows(texts: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of the first text, texts) of each window.

    Raises TypeError for one string, and for what is no text.
    """
    if isinstance(texts, str):
        raise TypeError("texts must be a list of strings, not one string")
    first, held, size = 0, list[str](), 0
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"text {row} must be a string, not {type(text).__name__}")
        held.append(text)
        size += len(text)
        if len(held) == _WINDOW or size > _CHARACTERS:
            yield first, held
            first, held, size = row + 1, [], 0
    if held:
        yield first, held
