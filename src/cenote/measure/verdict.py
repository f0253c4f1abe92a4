"""The answer of a comparison, in a sentence or a few that can be read aloud.

"A", "B" and "C" cannot be told apart on these 50 questions. "B" is 12 times smaller than "A" and loses at most 0.03.
About 400 more questions would separate "A" from "C".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from cenote.measure.bootstrap import LEAST_UNITS, Bootstrap

_NAMED = 4
"""More recipes than this are counted, not named."""
_SMALLER = 1.1
"""What is smaller by less than this is not called smaller."""


@dataclass(frozen=True)
class Contender:
    """A recipe that ran: its name, and bytes a document."""

    name: str
    bytes: float


@dataclass(frozen=True)
class Failure:
    """A recipe that did not run, and why."""

    name: str
    reason: str


def verdict(
    contenders: Sequence[Contender],
    failures: Sequence[Failure],
    found: Bootstrap | None,
    *,
    units: int,
    margin: float,
    measure: str,
    scores: Sequence[float],
    unit: str = "question",
) -> str:
    """Return the verdict on recipes that were measured on the same questions, or what the task calls its units.

    found: the bootstrap of the contenders, in their order; None for fewer than 10 questions. scores: theirs.
    """
    said = [_on_what_ran(contenders, found, _counted(units, unit), units, margin, measure, scores)]
    said += [f"{_quoted(failure.name)} did not run: {failure.reason.splitlines()[0]}." for failure in failures[:_NAMED]]
    if len(failures) > _NAMED:
        said.append(f"{len(failures) - _NAMED} more did not run.")
    return " ".join(filter(None, said)).replace("..", ".")


def settling(contenders: Sequence[Contender], found: Bootstrap, margin: float) -> tuple[int, int] | None:
    """Return the recipe that is soonest settled against the winner, and how many more questions that takes.

    None where nothing is left to settle: every recipe is told apart from the winner, or surely as good.
    """
    open_cases = []
    for i in _close(found):
        needed = found.questions_needed(i, found.winner, margin)
        if not found.not_worse(margin)[i] and needed:
            open_cases.append((needed, i))
    if not open_cases:
        return None
    needed, other = min(open_cases)
    return other, needed


def _on_what_ran(
    contenders: Sequence[Contender],
    found: Bootstrap | None,
    on: str,
    units: int,
    margin: float,
    measure: str,
    scores: Sequence[float],
) -> str:
    if not contenders:
        return "No recipe ran."
    if len(contenders) == 1:
        score = f"{_quoted(contenders[0].name)} has {measure} {scores[0]:.3f} on {on}"
        return f"{score}; there is nothing to compare it with."
    if found is None:
        more = LEAST_UNITS - units
        return f"{on} cannot tell recipes apart: judge at least {LEAST_UNITS}, {more} more, for a verdict."
    close, best = _close(found), found.winner
    if not close:
        return _alone(contenders, found, on, measure)
    return " ".join(
        filter(
            None,
            [
                _tied(contenders, found, [best, *close], on),
                _smallest(contenders, found, [best, *close]),
                _behind(contenders, found, [best, *close]),
                _advice(contenders, found, margin),
            ],
        )
    )


def _close(found: Bootstrap) -> list[int]:
    """The recipes that are not told apart from the winner, best first."""
    apart = found.told_apart[found.winner]
    order = sorted(range(len(found.scores)), key=lambda i: -found.scores[i])
    return [i for i in order if i != found.winner and not apart[i]]


def _alone(contenders: Sequence[Contender], found: Bootstrap, on: str, measure: str) -> str:
    best = found.winner
    rest = [i for i in range(len(contenders)) if i != best]
    next_best = max(rest, key=lambda i: found.scores[i])
    lead, least = found.difference[best, next_best], found.low[best, next_best]
    by = f"by {lead:.3f} {measure} (at least {least:.3f})"
    winner, second = _quoted(contenders[best].name), _quoted(contenders[next_best].name)
    if len(rest) == 1:
        head = f"{winner} is better than {second} on these {on}, {by}"
    else:
        others = f"each of the other {len(rest)} on these {on}"
        head = f"{winner} is better than {others}; {second} is next, {by}"
    smaller = contenders[best].bytes / contenders[next_best].bytes if contenders[next_best].bytes else 1.0
    return f"{head}{f'; {second} is {_times(smaller)} smaller' if smaller >= _SMALLER else ''}."


def _tied(contenders: Sequence[Contender], found: Bootstrap, group: list[int], on: str) -> str:
    names = _listed([contenders[i].name for i in group])
    if all(found.identical[group[0], i] for i in group):
        return f"{names} score the same on every one of these {on}."
    if len(group) <= _NAMED:
        return f"{names} cannot be told apart on these {on}."
    best = _quoted(contenders[group[0]].name)
    return f"{len(group)} recipes cannot be told apart on these {on}; {best} scores highest."


def _behind(contenders: Sequence[Contender], found: Bootstrap, group: list[int]) -> str:
    rest = [contenders[i].name for i in range(len(contenders)) if i not in group]
    if not rest:
        return ""
    names = _listed(rest) if len(rest) <= _NAMED else f"The other {len(rest)}"
    return f"{names} {'is' if len(rest) == 1 else 'are'} worse."


def _smallest(contenders: Sequence[Contender], found: Bootstrap, group: list[int]) -> str:
    best = group[0]
    small = min(group, key=lambda i: (contenders[i].bytes, -found.scores[i]))
    size = contenders[small].bytes
    if small == best and min(contenders[i].bytes for i in group[1:]) >= _SMALLER * size:
        return f"{_quoted(contenders[best].name)} scores highest and is the smallest of them."
    if small == best or size <= 0 or contenders[best].bytes / size < _SMALLER:
        return ""
    ratio = _times(contenders[best].bytes / size)
    head = f"{_quoted(contenders[small].name)} is {ratio} smaller than {_quoted(contenders[best].name)}"
    if found.identical[small, best]:
        return f"{head} and loses nothing."
    most = -float(found.low[small, best])
    # rounded up: "at most" must stay true
    return f"{head} and loses at most {_up(most)}." if most > 0 else f"{head} and loses nothing."


def _advice(contenders: Sequence[Contender], found: Bootstrap, margin: float) -> str:
    case = settling(contenders, found, margin)
    if case is None:
        return ""
    other, needed = case
    winner, rival = _quoted(contenders[found.winner].name), _quoted(contenders[other].name)
    if abs(found.difference[found.winner, other]) >= margin:
        return f"Judge about {_about(needed)} more to separate {winner} from {rival}."
    return f"Judge about {_about(needed)} more to see whether {winner} leads {rival} by more than {margin:g}."


def _quoted(name: str) -> str:
    # a recipe may hold double quotes of its own; what is printed is still ready to paste
    return f"'{name}'" if '"' in name else f'"{name}"'


def _listed(names: Sequence[str]) -> str:
    quoted = [_quoted(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"


def _counted(units: int, unit: str) -> str:
    return f"{units:,} {unit}{'' if units == 1 else 's'}"


def _times(ratio: float) -> str:
    return f"{ratio:.0f} times" if ratio >= 10 else f"{ratio:.1f} times".replace(".0 ", " ")


def _up(loss: float) -> str:
    """Two digits that count, rounded up."""
    digits = max(2, 1 - math.floor(math.log10(loss)))
    return f"{math.ceil(round(loss * 10**digits, 6)) / 10**digits:.{digits}f}"


def _about(number: int) -> str:
    """A count as one says it: two digits that count, never fewer than what was counted."""
    step = 10 ** max(0, len(str(number)) - 2)
    return f"{-(-number // step) * step:,}"
