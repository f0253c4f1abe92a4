"""Train a pooler on frozen states: every learning rate is tried for a while, and the dev score decides.

Each rate begins from the same weights and gets one round; unless the rates are given, more are tried while the best
lies on their edge. The one with the best dev score goes on until that has not risen for some rounds. Its best round is
kept, and the start is offered too, so that training never makes a pooler worse on the dev texts. A round is a fixed
number of examples: what training costs does not grow with the data.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from cenote.pool.base import Pooler
from cenote.train.sweep import FURTHER, RATES, best_rate, rate_beyond

Loss = Callable[[Pooler, Sequence[int]], Tensor]
"""The loss of the training examples with these numbers."""
Score = Callable[[Pooler], float]
"""The dev score, greater is better."""


@dataclass(frozen=True)
class Budget:
    """How much is tried. rates: each gets one round, and no other; None tries `sweep.RATES`, and further ones while the
    best lies on the edge. rounds: of the best rate, at most, that one counted.

    examples: seen in a round, in passes over all of them, each in another order. batch: seen together. patience: rounds
    without a better dev score before training ends.
    """

    rates: tuple[float, ...] | None = None
    rounds: int = 10
    examples: int = 2048
    batch: int = 64
    patience: int = 2

    @property
    def most_rates(self) -> int:
        """How many rates are tried at most."""
        return len(RATES) + FURTHER if self.rates is None else len(self.rates)


@dataclass(frozen=True)
class Trained:
    """The pooler of the best round. rate: 0 where the start was best. begun: the dev score before training.

    tried: rate -> dev score after one round, minus infinity where the loss was not finite.
    """

    pooler: Pooler
    rate: float
    round: int
    score: float
    begun: float
    tried: Mapping[float, float]

    @property
    def inside(self) -> bool | None:
        """Whether rates below and above the one that went on were tried; None where a single one was given."""
        return None if len(self.tried) == 1 else rate_beyond(self.tried) is None


def train(
    make: Callable[[], Pooler],
    loss: Callable[[Pooler], tuple[Loss, nn.Module | None]],
    score: Score,
    examples: int,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    tried: MutableMapping[float, float] | None = None,
) -> Trained:
    """Return the best pooler found.

    make: a pooler with its first weights. loss: of a pooler, what it is trained by, and the head that is trained with
    it where there is one. examples: how many there are. progress: told how many rounds are done, of how many at most.
    tried: the scores of rates that an interrupted call of the same arguments tried; those that this one tries are put
    in.
    Raises ValueError for fewer than two examples, and for a pooler without weights.
    """
    budget = budget or Budget()
    if examples < 2:
        raise ValueError(f"{examples} examples are too few to train on")
    torch.manual_seed(seed)
    first = make().train()
    if not any(weight.requires_grad for weight in first.parameters()):
        raise ValueError(f"{type(first).__name__} has no weights to train")
    begun = _scored(first, score)
    told = progress or (lambda done, most: None)

    def start(rate: float) -> _Learner:
        return _Learner(copy.deepcopy(first), loss, examples, rate, budget, seed)

    scores = {} if tried is None else tried
    swept: dict[float, float] = {}
    learners: dict[float, _Learner] = {}
    waiting = list(RATES if budget.rates is None else budget.rates)
    while waiting:
        rate = waiting.pop(0)
        if rate not in scores:
            learners[rate] = start(rate)
            scores[rate] = learners[rate].round(score)
        swept[rate] = scores[rate]
        further = rate_beyond(swept)
        if not waiting and further is not None and len(swept) < budget.most_rates:
            waiting.append(further)
        told(len(swept), len(swept) + len(waiting) + budget.rounds - 1)
    rate = best_rate(swept)
    if rate not in learners:
        # it had its round before the interruption
        learners[rate] = start(rate)
        learners[rate].round(score)
    learner, highest = learners[rate], swept[rate]
    best = learner.better(Trained(first.eval(), 0.0, 0, begun, begun, swept), highest)
    since, most = 0, len(swept) + budget.rounds - 1
    # a rate whose loss is not finite is too high for the pooler
    while learner.rounds < budget.rounds and since < budget.patience and math.isfinite(highest):
        reached = learner.round(score)
        best = learner.better(best, reached)
        highest, since = (reached, 0) if reached > highest else (highest, since + 1)
        told(len(swept) - 1 + learner.rounds, most)
    told(most, most)
    return best


class _Learner:
    """A pooler that is trained with one rate, round by round."""

    def __init__(
        self,
        pooler: Pooler,
        loss: Callable[[Pooler], tuple[Loss, nn.Module | None]],
        examples: int,
        rate: float,
        budget: Budget,
        seed: int,
    ) -> None:
        torch.manual_seed(seed)
        self.pooler, self.rate, self.rounds, self._seed = pooler, rate, 0, seed
        self._steps = -(-budget.examples // budget.batch)
        self._loss, head = loss(pooler)
        self._weights = [*pooler.parameters(), *(head.parameters() if head is not None else ())]
        self._optimiser = torch.optim.AdamW(self._weights, lr=rate, weight_decay=0.01)
        self._batches = _batches(examples, budget.batch, torch.Generator().manual_seed(seed))

    def round(self, score: Score) -> float:
        """Train for a round and return the dev score; minus infinity where the loss is not finite."""
        self.pooler.train()
        self.rounds += 1
        # what a round draws depends on nothing that was trained before it
        torch.manual_seed(self._seed + self.rounds)
        for _ in range(self._steps):
            self._optimiser.zero_grad()
            value = self._loss(self.pooler, next(self._batches))
            if not torch.isfinite(value):
                return -math.inf
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._weights, 1.0)
            self._optimiser.step()
        if not all(weight.isfinite().all() for weight in self._weights):
            return -math.inf
        return _scored(self.pooler, score)

    def better(self, best: Trained, reached: float) -> Trained:
        """Return the best so far: this one as it is now, where its score is higher."""
        if not reached > best.score:
            return best
        kept = copy.deepcopy(self.pooler).eval()
        return replace(best, pooler=kept, rate=self.rate, round=self.rounds, score=reached)


def _batches(examples: int, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Yield the numbers of the examples of each batch, pass after pass, without end."""
    while True:
        order = torch.randperm(examples, generator=generator).tolist()
        yield from (order[start : start + size] for start in range(0, examples, size))


def _scored(pooler: Pooler, score: Score) -> float:
    pooler.eval()
    with torch.inference_mode():
        return score(pooler)
