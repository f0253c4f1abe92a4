"""FASet: the network and its set pooling are trained apart, so that the network does not learn the size of the sets.

    stage 1    every set is taken apart into sets of one; all weights but those of the pooling are trained
    stage 2    whole sets; the weights of the pooling alone are trained, and the network is in eval mode

A softmax over one element is 1 whatever its score, so the pooling is the identity in stage 1 and has no gradient.

Yang, Wang, Markham & Trigoni, "Robust attentional aggregation of deep feature sets for multi-view 3D reconstruction"
(1808.00758).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

Batch = tuple[Tensor, Tensor, Tensor]
"""Elements x (B, N, …), mask (B, N; True keeps), targets (B, …)."""


class FASet:
    """The two stages over a model that holds a pooling.

    model: the whole network. pooling: the part of it that pools sets.
    """

    def __init__(self, model: nn.Module, pooling: nn.Module) -> None:
        """Raise ValueError where the pooling is no part of the model, has no weights, or all of them."""
        if not any(part is pooling for part in model.modules()):
            raise ValueError("pooling must be a module inside model; the two stages train different parts of one model")
        self.model, self.pooling = model, pooling
        own = {id(weight) for weight in pooling.parameters()}
        self.base_weights = [weight for weight in model.parameters() if id(weight) not in own]
        self.pooling_weights = list(pooling.parameters())
        for weights, name in ((self.base_weights, "beside the pooling"), (self.pooling_weights, "in the pooling")):
            if not weights:
                raise ValueError(f"model has no weights {name}, so one of the two stages has nothing to train")

    @contextmanager
    def base_stage(self) -> Iterator[list[nn.Parameter]]:
        """Give the weights that stage 1 trains, the others held fast; feed it what `singletons` returns."""
        with _alone(self.base_weights, self.pooling_weights), _modes(self.model):
            self.model.train()
            yield self.base_weights

    @contextmanager
    def pooling_stage(self) -> Iterator[list[nn.Parameter]]:
        """Give the weights that stage 2 trains, the others held fast and the statistics of batches too."""
        with _alone(self.pooling_weights, self.base_weights), _modes(self.model):
            self.model.eval()
            self.pooling.train()
            yield self.pooling_weights

    def fit(
        self,
        batches: Callable[[], Iterable[Batch]],
        loss: Callable[[Tensor, Tensor], Tensor],
        optimiser: Callable[[list[nn.Parameter]], torch.optim.Optimizer],
        *,
        epochs: tuple[int, int] = (1, 1),
    ) -> tuple[list[float], list[float]]:
        """Train both stages, one after the other, and return the loss of every step of each.

        batches: called once an epoch. loss: of model(x, mask) and targets. optimiser: made of a list of weights.
        epochs: of stage 1 and of stage 2.

        Raises ValueError for a set with no element.
        """
        with self.base_stage() as weights:
            step = optimiser(weights)
            base = [self._step(step, loss, *singletons(*batch)) for _ in range(epochs[0]) for batch in batches()]
        with self.pooling_stage() as weights:
            step = optimiser(weights)
            pooling = [self._step(step, loss, *batch) for _ in range(epochs[1]) for batch in batches()]
        return base, pooling

    def _step(
        self,
        optimiser: torch.optim.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        x: Tensor,
        mask: Tensor,
        targets: Tensor,
    ) -> float:
        optimiser.zero_grad()
        found = loss(self.model(x, mask), targets)
        found.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return found.item()


def singletons(x: Tensor, mask: Tensor, targets: Tensor) -> Batch:
    """Take the sets apart: x (M, 1, …), a mask of M times True and the targets (M, …), M the number of kept elements.

    Raises ValueError for a mask of another shape or a set with no element.
    """
    if mask.shape != x.shape[:2]:
        raise ValueError(f"mask has shape {tuple(mask.shape)} but x has {x.shape[0]} sets of {x.shape[1]} elements")
    kept = mask.bool()
    if not bool(kept.any(1).all()):
        empty = torch.nonzero(~kept.any(1)).flatten().tolist()
        raise ValueError(f"sets {empty} have no element to learn their target from; leave them out")
    alone = x[kept][:, None]
    return alone, kept.new_ones(len(alone), 1), targets.repeat_interleave(kept.sum(1), dim=0)


@contextmanager
def _alone(trained: list[nn.Parameter], held: list[nn.Parameter]) -> Iterator[None]:
    before = [(weight, weight.requires_grad) for weight in (*trained, *held)]
    for weight, _ in before:
        weight.grad = None
    for weight in held:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight, wanted in before:
            weight.requires_grad_(wanted)


@contextmanager
def _modes(model: nn.Module) -> Iterator[None]:
    before = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
