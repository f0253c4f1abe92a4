"""What an encoder read, and what it could not: nothing is cut silently."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Overflow:
    """Counts since the last `reset`: texts and tokens read, the tokens that lay beyond the model's window, and texts
    without a token of their own: of "" a model that puts special tokens around it makes a vector of these alone.
    """

    texts: int = 0
    tokens: int = 0
    cut_texts: int = 0
    cut_tokens: int = 0
    empty_texts: int = 0

    def count(self, tokens: int, cut: int, times: int = 1, *, overhead: int = 0) -> None:
        """Count a text of which `tokens` were read and `cut` were not, as often as it came.

        overhead: how many of the tokens are special ones and the prompt.
        """
        self.texts += times
        self.tokens += times * tokens
        self.cut_texts += times * (cut > 0)
        self.cut_tokens += times * cut
        self.empty_texts += times * (tokens + cut <= overhead)

    def reset(self) -> None:
        """Start counting again."""
        self.texts = self.tokens = self.cut_texts = self.cut_tokens = self.empty_texts = 0

    def sentence(self, window: int | None) -> str | None:
        """Return what was lost in one sentence, None where nothing was."""
        lost = []
        if self.cut_tokens:
            share = 100 * self.cut_tokens / (self.tokens + self.cut_tokens)
            which = "1 text lies" if self.cut_texts == 1 else f"{self.cut_texts:,} texts lie"
            lost.append(
                f"{self.cut_tokens:,} tokens ({share:.1f} %) of {which} beyond the model's window of {window}; "
                f"a chunker (`passages {window}`) would keep them"
            )
        if self.empty_texts:
            one = self.empty_texts == 1
            which = "1 text has" if one else f"{self.empty_texts:,} texts have"
            its = "its vector says" if one else "their vectors say"
            lost.append(
                f"{which} no token of {'its' if one else 'their'} own; {its} nothing of {'it' if one else 'them'}"
            )
        return "; ".join(lost) or None
