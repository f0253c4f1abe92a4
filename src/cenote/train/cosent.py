"""CoSENT: pairs that are more alike must have the greater cosine.

    L = log(1 + sum over pairs i more alike than j of exp((cos_j − cos_i) / t))

Su, "CoSENT: a more efficient sentence vector scheme than Sentence-BERT" (2022), with t = 0.05.
"""

from __future__ import annotations

import torch
from torch import Tensor


def cosent(cosines: Tensor, scores: Tensor, temperature: float = 0.05) -> Tensor:
    """Return the loss of cosines (B,) of pairs whose scores (B,) say how alike they are."""
    ahead = scores[:, None] > scores[None, :]
    behind = (cosines[None, :] - cosines[:, None]) / temperature
    wrong = behind[ahead]
    return torch.logsumexp(torch.cat([wrong.new_zeros(1), wrong]), 0)
