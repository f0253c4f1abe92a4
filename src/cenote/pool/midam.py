"""MIDAM: learns the area under the ROC curve over bags that are too large to be pooled whole at every step.

    h(X) = tau log mean_x exp(phi(x) / tau)                                     smoothed maximum: the pooler `lse 1/tau`
    h(X) = sigmoid( sum_x exp(g(x)) delta(x) / sum_x exp(g(x)) )                attention: the pooler `milattention`
    F = mean_+ (h - a)^2 + mean_- (h - b)^2 + 2 alpha (margin + mean_- h - mean_+ h) - alpha^2    min w, a, b, max alpha

Of each bag of a batch only some instances are drawn. The mean of a power over them is unbiased and its logarithm is
not, so each bag keeps a running mean s <- (1 - gamma) s + gamma f(drawn), and h and its derivative are taken at s:

    dh = tau f / s           attention, with r = n / s the running means of exp(g) delta and exp(g):
                             dh = sigmoid'(r) (f_n / s - r f / s)

Zhu, Wang, Chen, Wang, Sonka, Wu & Yang, "Provable multi-instance deep AUC maximization with stochastic pooling"
(2305.08040).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from cenote.kernels.segments import wide


class MIDAMLoss(nn.Module):
    """The loss of a batch of bags, whose gradient is the algorithm's; its value is not F.

    bags: how many there are in the training data. pooling: of the instances of a bag. temperature: tau, of the
    smoothed maximum. gamma: how much of a bag's running mean a new draw replaces. margin: how far the means of the
    classes should lie apart. first: a bag's first draw is taken as it is ("copy"), or mixed with a start of 0, of 1
    under attention ("mix"), as the authors do. alpha_scale: 1 as in the authors' algorithm, or 2, with which gamma=1 on
    whole bags gives the gradient of F.
    """

    alpha: Tensor
    logarithm: Tensor
    ratio: Tensor
    seen: Tensor
    gap: Tensor

    def __init__(
        self,
        bags: int,
        pooling: Literal["smoothmax", "attention"] = "smoothmax",
        *,
        temperature: float = 0.1,
        gamma: float = 0.9,
        margin: float = 1.0,
        first: Literal["copy", "mix"] = "copy",
        alpha_scale: Literal[1, 2] = 1,
    ) -> None:
        """Raise ValueError for a temperature not above 0, gamma outside (0, 1], no bags, or a word that is none."""
        super().__init__()
        if bags < 1:
            raise ValueError(f"bags must be at least 1, not {bags}")
        if pooling not in ("smoothmax", "attention"):
            raise ValueError(f"pooling must be smoothmax or attention, not {pooling!r}")
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, not {temperature}")
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma must lie in (0, 1], not {gamma}; 1 forgets every earlier draw")
        if first not in ("copy", "mix"):
            raise ValueError(f"first must be copy or mix, not {first!r}")
        self.pooling, self.temperature, self.gamma, self.margin = pooling, temperature, gamma, margin
        self.first, self.alpha_scale = first, alpha_scale
        self.a, self.b = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        # the running means are kept as logarithms: exp(phi / tau) itself is beyond fp32 where phi / tau is 89
        self.register_buffer("logarithm", torch.full((bags,), 0.0 if pooling == "attention" else -math.inf))
        self.register_buffer("ratio", torch.ones(bags))
        self.register_buffer("seen", torch.full((bags,), first == "mix"))
        self.register_buffer("alpha", torch.zeros(()))
        self.register_buffer("gap", torch.zeros(()))

    def forward(
        self,
        scores: Tensor,
        labels: Tensor,
        bags: Tensor,
        mask: Tensor | None = None,
        *,
        attention: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of drawn instances and remember their means.

        scores: phi, or delta under attention, (B, n). labels: 0 or 1, (B,). bags: the number of each bag, (B,). mask:
        (B, n), True where there is an instance. attention: g (B, n).

        Raises ValueError for shapes that do not belong together, other labels, a batch of one class, a bag with no
        instance, numbers of bags that do not exist or stand twice, and attention where it is missing or not used.
        """
        mask = self._checked(scores, labels, bags, mask, attention)
        scores = wide(scores).masked_fill(~mask, 0)
        powers = (scores / self.temperature if attention is None else wide(attention)).masked_fill(~mask, -math.inf)
        h, dh = self._bag_scores(powers, scores, bags)
        positive, negative = labels == 1, labels == 0
        a, b = self.a.detach(), self.b.detach()
        self.gap = h[negative].mean() - h[positive].mean()
        return (
            (2 * (h - a) * dh)[positive].mean()
            + (2 * (h - b) * dh)[negative].mean()
            + self.alpha_scale * self.alpha * (dh[negative].mean() - dh[positive].mean())
            + (h[positive] - self.a).square().mean()
            + (h[negative] - self.b).square().mean()
        )

    def _bag_scores(self, powers: Tensor, scores: Tensor, bags: Tensor) -> tuple[Tensor, Tensor]:
        """Return h at the running means (B,), and what has the gradient of its derivative there."""
        counts = (powers > -math.inf).sum(1).to(powers.dtype)
        with torch.no_grad():
            rest = (1 - self.gamma) * self.seen[bags].to(powers.dtype)
            before, drawn = rest.log() + self.logarithm[bags], powers.logsumexp(1) - counts.log()
            mean = torch.logaddexp(before, (1 - rest).log() + drawn)
            self.logarithm[bags], self.seen[bags] = mean.to(self.logarithm.dtype), True
        shares = (powers - mean[:, None]).exp() / counts[:, None]
        if self.pooling == "smoothmax":
            return self.temperature * mean, self.temperature * shares.sum(1)
        above, below = (shares * scores).sum(1), shares.sum(1)
        ratio = self.ratio[bags] * (before - mean).exp() + (1 - rest) * above.detach()
        self.ratio[bags] = ratio.to(self.ratio.dtype)
        h = ratio.sigmoid()
        return h, h * (1 - h) * (above - ratio * below)

    def _checked(
        self, scores: Tensor, labels: Tensor, bags: Tensor, mask: Tensor | None, attention: Tensor | None
    ) -> Tensor:
        if scores.ndim != 2:
            raise ValueError(f"scores must have shape (bags, instances), not {tuple(scores.shape)}")
        for name, given, shape in (
            ("labels", labels, scores.shape[:1]),
            ("bags", bags, scores.shape[:1]),
            ("mask", mask, scores.shape),
            ("attention", attention, scores.shape),
        ):
            if given is not None and given.shape != shape:
                raise ValueError(
                    f"{name} has shape {tuple(given.shape)}; scores {tuple(scores.shape)} need {tuple(shape)}"
                )
        if (attention is None) == (self.pooling == "attention"):
            wanted = "needs the scores of the attention" if attention is None else "takes no attention"
            raise ValueError(f"pooling={self.pooling!r} {wanted}")
        if not bool(((labels == 0) | (labels == 1)).all()):
            raise ValueError(f"labels must be 0 and 1; they reach from {labels.min()} to {labels.max()}")
        if not bool((labels == 0).any() and (labels == 1).any()):
            raise ValueError("a batch needs bags of both classes; draw each batch from both")
        if bool((bags < 0).any() or (bags >= len(self.seen)).any()):
            raise ValueError(
                f"bags reach from {bags.min()} to {bags.max()}; the loss was made for 0 to {len(self.seen) - 1}"
            )
        if len(torch.unique(bags)) != len(bags):
            raise ValueError("a bag stands twice in one batch; its running mean takes one draw a step")
        mask = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask.bool()
        if not bool(mask.any(1).all()):
            raise ValueError("a bag of the batch has no instance; leave it out")
        return mask


class MIDAM(torch.optim.Optimizer):
    """Descends in the weights and the class means a and b, and ascends in alpha.

        v <- momentum v + (1 - momentum) gradient        w <- w - lr v
        alpha <- max(0, alpha + lr (margin + mean_- h - mean_+ h - alpha))

    The first v is the first gradient, so that the first steps are not short.
    """

    def __init__(self, weights: Iterable[nn.Parameter], loss: MIDAMLoss, lr: float, momentum: float = 0.1) -> None:
        """Take the weights of the model; those of the loss are added.

        Raises ValueError for lr not above 0 or momentum outside [0, 1).
        """
        if not lr > 0 or not 0 <= momentum < 1:
            raise ValueError(f"lr must be above 0 and momentum in [0, 1), not {lr} and {momentum}")
        self.loss = loss
        super().__init__([*weights, loss.a, loss.b], {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Do one step of all of them; call it behind `backward` of the loss."""
        value = None
        if closure is not None:
            with torch.enable_grad():
                value = closure()
        for group in self.param_groups:
            for weight in (each for each in group["params"] if each.grad is not None):
                state = self.state[weight]
                if "velocity" not in state:
                    state["velocity"] = weight.grad.clone()
                else:
                    state["velocity"].lerp_(weight.grad, 1 - group["momentum"])
                weight.add_(state["velocity"], alpha=-group["lr"])
        alpha, rate = self.loss.alpha, self.param_groups[0]["lr"]
        alpha.add_(rate * (self.loss.margin + self.loss.gap.to(alpha.dtype) - alpha)).clamp_(min=0)
        return value


def draw_instances(mask: Tensor, count: int, *, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draw up to `count` instances a bag without replacement: their places (B, count) and which of these count.

    mask (B, N) says which instances there are. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    keys = torch.rand(mask.shape, generator=generator, device=mask.device).masked_fill(~mask.bool(), -1)
    found = keys.topk(min(count, mask.shape[1]), dim=1)
    return found.indices, found.values >= 0
