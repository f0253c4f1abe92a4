"""Distillation token: beside the class token a second one, which learns what a teacher says and not the label.

    z = [c; d; x]
    loss = (1 - alpha) CE(W_c y_c, label) + alpha T^2 KL( softmax(teacher / T) || softmax(W_d y_d / T) )

Mingote, Miguel, Ortega & Lleida, "Class token and knowledge distillation for multi-head self-attention speaker
verification systems" (2111.03842).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from cenote.pool.class_token import ClassToken


class DistillationToken(nn.Module):
    """Both tokens before any encoder, and a linear head for each.

    dim: D. classes: of the labels and of the teacher. candidates: of the class token. embedding: which states the
    embedding is made of. window: the positions the encoder has, if it has so many and no more.
    """

    def __init__(
        self,
        dim: int,
        classes: int,
        candidates: int = 1,
        *,
        embedding: Literal["class", "mean", "concat"] = "class",
        window: int | None = None,
    ) -> None:
        """Raise ValueError for an embedding that is none of the three, and as `ClassToken` does."""
        super().__init__()
        if embedding not in ("class", "mean", "concat"):
            raise ValueError(f"embedding must be class, mean or concat, not {embedding!r}")
        self.embedding = embedding
        self.class_token, self.distillation_token = ClassToken(dim, candidates, window=window), ClassToken(dim)
        self.class_head, self.distillation_head = nn.Linear(dim, classes), nn.Linear(dim, classes)

    def attach(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (B, N + 2, D) with the class token and the distillation token in front, and the mask."""
        return self.class_token.attach(*self.distillation_token.attach(x, mask))

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what became of both, (B, D) each."""
        return x[:, 0], x[:, 1]

    def logits(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what both say of the classes, (B, classes) each, from the encoder's output."""
        of_class, of_distillation = self.read(x)
        return self.class_head(of_class), self.distillation_head(of_distillation)

    def embed(self, x: Tensor) -> Tensor:
        """Return the embedding, (B, D) or (B, 2 D), from the encoder's output."""
        of_class, of_distillation = self.read(x)
        if self.embedding == "class":
            return of_class
        both = torch.stack([of_class, of_distillation], 1)
        return both.mean(1) if self.embedding == "mean" else both.flatten(1)


def distillation_token_loss(
    class_logits: Tensor,
    distillation_logits: Tensor,
    labels: Tensor,
    teacher_logits: Tensor,
    *,
    alpha: float = 0.5,
    temperature: float = 1.0,
) -> Tensor:
    """Return the loss of logits (B, classes), labels (B,) and the teacher's logits, which get no gradient.

    alpha: the share of the teacher.

    Raises ValueError for logits of another shape, alpha outside [0, 1], or a temperature not above 0.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], not {alpha}")
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    if not class_logits.shape == distillation_logits.shape == teacher_logits.shape:
        shapes = [tuple(each.shape) for each in (class_logits, distillation_logits, teacher_logits)]
        raise ValueError(f"the logits have shapes {shapes}; student and teacher must know the same classes")
    student = (distillation_logits / temperature).log_softmax(1)
    teacher = (teacher_logits.detach() / temperature).log_softmax(1)
    divergence = nn.functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
    return (1 - alpha) * nn.functional.cross_entropy(class_logits, labels) + alpha * temperature**2 * divergence
