"""Train a pooler on frozen states: every learning rate gets the same budget, and the dev score decides.

Each rate begins from the same weights, stops when the dev score has not risen for some epochs, and offers its best
epoch; the start itself is offered too, so training never makes a pooler worse on the dev texts.
"""

from __future__ import annotations

import copy
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
    """What each learning rate may do. patience: epochs without a better dev score before it stops."""

    rates: tuple[float, ...] = (1e-4, 1e-3, 1e-2)
    epochs: int = 10
    batch: int = 64
    patience: int = 2


@dataclass(frozen=True)
class Trained:
    """The pooler of the best epoch. rate: 0 where the start was best. begun: the dev score before training."""

    pooler: Pooler
    rate: float
    epoch: int
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
    it where there is one. examples: how many there are. progress: told how many epochs are done, of how many at most.
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
    done, most = 0, len(budget.rates) * budget.epochs
    for rate in budget.rates:
        pooler = copy.deepcopy(first)
        for epoch, value in _epochs(pooler, loss, score, examples, rate, budget, seed):
            done += 1
            if progress is not None:
                progress(done, most)
            if value > best.score:
                best = Trained(copy.deepcopy(pooler).eval(), rate, epoch, value, begun)
    return best


def _epochs(
    pooler: Pooler,
    loss: Callable[[Pooler], tuple[Loss, nn.Module | None]],
    score: Score,
    examples: int,
    rate: float,
    budget: Budget,
    seed: int,
) -> Iterator[tuple[int, float]]:
    """Train epoch by epoch; yield each with its dev score, and end where patience does."""
    torch.manual_seed(seed)
    of, head = loss(pooler)
    weights = [*pooler.parameters(), *(head.parameters() if head is not None else ())]
    optimiser = torch.optim.AdamW(weights, lr=rate, weight_decay=0.01)
    highest, since = float("-inf"), 0
    for epoch in range(1, budget.epochs + 1):
        pooler.train()
        order = torch.randperm(examples).tolist()
        for start in range(0, examples, budget.batch):
            optimiser.zero_grad()
            value = of(pooler, order[start : start + budget.batch])
            if not torch.isfinite(value):
                return  # this rate is too high for the pooler
            value.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimiser.step()
        reached = _scored(pooler, score)
        yield epoch, reached
        highest, since = (reached, 0) if reached > highest else (highest, since + 1)
        if since >= budget.patience:
            return


def _scored(pooler: Pooler, score: Score) -> float:
    pooler.eval()
    with torch.inference_mode():
        return score(pooler)
