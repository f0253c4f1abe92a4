"""Train a pooler on frozen states: every learning rate is tried for a while, and the dev score decides.

Each rate begins from the same weights and gets one round; the one with the best dev score goes on until that has not
risen for some rounds. The best round of all is kept, and the start is offered too, so that training never makes a
pooler worse on the dev texts. A round is a fixed number of examples: what training costs does not grow with the data.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cenote.pool.base import Pooler

Loss = Callable[[Pooler, Sequence[int]], Tensor]
"""The loss of the training examples with these numbers."""
Score = Callable[[Pooler], float]
"""The dev score, greater is better."""


@dataclass(frozen=True)
class Budget:
    """How much is tried. rates: each gets one round. rounds: of the best rate, at most, that one counted.

    examples: seen in a round, in passes over all of them, each in another order. batch: seen together. patience: rounds
    without a better dev score before training ends.
    """

    rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    rounds: int = 10
    examples: int = 2048
    batch: int = 64
    patience: int = 2


@dataclass(frozen=True)
class Trained:
    """The pooler of the best round. rate: 0 where the start was best. begun: the dev score before training."""

    pooler: Pooler
    rate: float
    round: int
    score: float
    begun: float


def train(
    make: Callable[[], Pooler],
    loss: Callable[[Pooler], tuple[Loss, nn.Module | None]],
    score: Score,
    examples: int,
    *,
    budget: Budget | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Trained:
    """Return the best pooler found.

    make: a pooler with its first weights. loss: of a pooler, what it is trained by, and the head that is trained with
    it where there is one. examples: how many there are. progress: told how many rounds are done, of how many at most.
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
    best = Trained(first.eval(), 0.0, 0, begun, begun)
    told = progress or (lambda done, most: None)
    most = len(budget.rates) + budget.rounds - 1
    tried: list[tuple[float, _Learner]] = []
    for done, rate in enumerate(budget.rates, 1):
        learner = _Learner(copy.deepcopy(first), loss, examples, rate, budget, seed)
        reached = learner.round(score)
        best = learner.better(best, reached)
        tried.append((reached, learner))
        told(done, most)
    highest, learner = max(tried, key=lambda one: one[0])
    since = 0
    # a rate whose loss is not finite is too high for the pooler
    while learner.rounds < budget.rounds and since < budget.patience and math.isfinite(highest):
        reached = learner.round(score)
        best = learner.better(best, reached)
        highest, since = (reached, 0) if reached > highest else (highest, since + 1)
        told(len(budget.rates) - 1 + learner.rounds, most)
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
        self.pooler, self.rate, self.rounds = pooler, rate, 0
        self._steps = -(-budget.examples // budget.batch)
        self._loss, head = loss(pooler)
        self._weights = [*pooler.parameters(), *(head.parameters() if head is not None else ())]
        self._optimiser = torch.optim.AdamW(self._weights, lr=rate, weight_decay=0.01)
        self._batches = _batches(examples, budget.batch, torch.Generator().manual_seed(seed))

    def round(self, score: Score) -> float:
        """Train for a round and return the dev score; minus infinity where the loss is not finite."""
        self.pooler.train()
        self.rounds += 1
        for _ in range(self._steps):
            self._optimiser.zero_grad()
            value = self._loss(self.pooler, next(self._batches))
            if not torch.isfinite(value):
                return -math.inf
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self._weights, 1.0)
            self._optimiser.step()
        return _scored(self.pooler, score)

    def better(self, best: Trained, reached: float) -> Trained:
        """Return the best so far: this one as it is now, where its score is higher."""
        if not reached > best.score:
            return best
        return Trained(copy.deepcopy(self.pooler).eval(), self.rate, self.rounds, reached, best.begun)


def _batches(examples: int, size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Yield the numbers of the examples of each batch, pass after pass, without end."""
    while True:
        order = torch.randperm(examples, generator=generator).tolist()
        yield from (order[start : start + size] for start in range(0, examples, size))


def _scored(pooler: Pooler, score: Score) -> float:
    pooler.eval()
    with torch.inference_mode():
        return score(pooler)
