"""ZeroShotPrediction: the attributes of one half's classes must predict the classes of the other half.

    M = Z_A^T (Z_A Z_A^T + ridge I)^-1 Y_A        Y the learned class embeddings of the rows
    loss = mean over b in B of CE(scale <Z_b M, Y_c> over all classes c), and the same from B to A

Z (B, m) are the attributes that `GSP` gives, and no class has rows in both halves: what the map learns of one half's
classes holds for classes it has not seen. The whole loss of training is (1 - w) metric loss + w this, w = 0.1; after
training it is thrown away.

Gurbuz, Sener & Alatan, "Generalized Sum Pooling for Metric Learning" (2308.09228).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ZeroShotPrediction(nn.Module):
    """Attributes (B, m) and class numbers (B,) -> a number.

    width: of a class embedding. classes: how many there are. margin: taken from the right class's score.

    Raises ValueError for sizes below 1 and a ridge or scale that is not above 0.
    """

    def __init__(self, width: int, classes: int, ridge: float = 0.05, scale: float = 9.5, margin: float = 0.0) -> None:
        super().__init__()
        for name, value in (("width", width), ("classes", classes)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        for name, given in (("ridge", ridge), ("scale", scale)):
            if not given > 0:
                raise ValueError(f"{name} must be above 0, not {given}")
        self.ridge, self.scale, self.margin = ridge, scale, margin
        self.classes = nn.Parameter(torch.empty(classes, width))
        nn.init.kaiming_normal_(self.classes, mode="fan_out")

    def forward(self, attributes: Tensor, labels: Tensor) -> Tensor:
        """Return the loss of a batch whose first half of rows holds other classes than its second half.

        Raises ValueError for shapes that do not belong together, fewer than two rows, class numbers that are none,
        and halves that share a class.
        """
        self._check(attributes, labels)
        half = len(labels) // 2
        known = self.classes[labels]
        predicted = torch.cat(
            [
                self._predicted(attributes[half:], known[half:], attributes[:half]),
                self._predicted(attributes[:half], known[:half], attributes[half:]),
            ]
        )
        right = F.one_hot(labels, len(self.classes)).to(predicted.dtype)
        return F.cross_entropy(self.scale * (predicted @ self.classes.T - self.margin * right), labels)

    def _predicted(self, seen: Tensor, known: Tensor, unseen: Tensor) -> Tensor:
        gram = seen @ seen.T + self.ridge * torch.eye(len(seen), dtype=seen.dtype, device=seen.device)
        out: Tensor = unseen @ (seen.T @ torch.linalg.solve(gram, known))
        return out

    def _check(self, attributes: Tensor, labels: Tensor) -> None:
        if attributes.ndim != 2 or labels.shape != attributes.shape[:1] or len(labels) < 2:
            shapes = f"attributes {tuple(attributes.shape)} and labels {tuple(labels.shape)}"
            raise ValueError(f"{shapes} do not belong together; pass (B, m) and (B,) with B at least 2")
        if bool(((labels < 0) | (labels >= len(self.classes))).any()):
            raise ValueError(f"labels must be from 0 to {len(self.classes) - 1}, not {labels.min()} to {labels.max()}")
        half = len(labels) // 2
        shared = sorted(set(labels[:half].tolist()) & set(labels[half:].tolist()))
        if shared:
            raise ValueError(f"both halves of the batch hold the classes {shared}; sort the rows so that none does")
