"""LatentAttention: every token reads a learned dictionary, passes a feed-forward layer, and the tokens are averaged.

    Y = cross-attention of x over Z             (B, N, D)   Z (r, D) learned: keys and values
    y = mean_n Y_n / |mean_n Y_n|               over the tokens that the mask keeps

Tokens are the queries here; in `LatentQueries` the learned vectors are. A token's Y does not depend on other tokens, so
instruction tokens, which the encoder has read, leave the vector by leaving the mask.

Lee et al., "NV-Embed: Improved Techniques for Training LLMs as Generalist Embedding Models" (2405.17428).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.kernels.segments import segment_mean
from cenote.pool.base import Empty, Pooler
from cenote.pool.cross_attention import CrossAttention
from cenote.pool.mean import Mean

CHECKPOINT = {
    "latents": "dictionary",
    "cross_attend_blocks.0.norm": "block.norm",
    "cross_attend_blocks.0.norm_context": "block.norm_context",
    "cross_attend_blocks.0.fn.to_q": "block.to_q",
    "cross_attend_blocks.0.fn.to_kv": "block.to_kv",
    "cross_attend_blocks.0.fn.to_out": "block.to_out",
    "cross_attend_blocks.1.norm": "block.norm_ff",
    "cross_attend_blocks.1.fn.net.0": "block.ff_in",
    "cross_attend_blocks.1.fn.net.2": "block.ff_out",
}
"""The released names, behind `latent_attention_model.`, and ours."""


class LatentAttention(Pooler):
    """(B, N, D) -> (B, D).

    latents: r, the vectors of the dictionary; the paper has 512, with heads=8 and head_dim=4096, on a model of width
    4096. head_dim: by default dim / heads. normalize: give unit length. zero_init: begin as the mean of the tokens, as
    the paper does not. Raises ValueError for sizes below 1, and for heads that do not divide dim where head_dim is not
    given.
    """

    def __init__(
        self,
        dim: int,
        latents: int = 64,
        heads: int = 8,
        head_dim: int | None = None,
        ff_mult: int = 4,
        normalize: bool = True,
        zero_init: bool = False,
        *,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(empty=empty)
        if latents < 1:
            raise ValueError(f"latents must be at least 1, not {latents}")
        self.dim, self.latents, self.heads, self.head_dim = dim, latents, heads, head_dim
        self.ff_mult, self.normalize, self.zero_init = ff_mult, normalize, zero_init
        self.dictionary = nn.Parameter(torch.randn(latents, dim))
        self.block = CrossAttention(dim, heads, head_dim, ff_mult, zero_init=zero_init)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Average what the kept tokens read."""
        out = Mean().padded(self._read(x.masked_fill(~mask[:, :, None], 0)), mask)
        return F.normalize(out, dim=1) if self.normalize else out

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Average what the tokens of each segment read."""
        out = segment_mean(self._read(x[None])[0], offsets)
        return F.normalize(out, dim=1) if self.normalize else out

    def _read(self, x: Tensor) -> Tensor:
        out: Tensor = self.block(x.flatten(0, 1)[None], self.dictionary[None])
        return out.view_as(x)


def from_checkpoint(tensors: Mapping[str, Tensor], heads: int = 8) -> LatentAttention:
    """Return the pooler that a released model holds under `latent_attention_model.`; other tensors are passed over.

    heads: how many the model has, which its tensors do not say; 8 in the released ones. Sizes are read from the
    tensors. Raises ValueError where one is missing or has a shape that does not fit the others.
    """
    own = {name.removeprefix("latent_attention_model."): x for name, x in tensors.items()}
    state: dict[str, Tensor] = {}
    for name, value in own.items():
        stem, _, kind = name.rpartition(".")
        renamed = CHECKPOINT.get(name) or (f"{CHECKPOINT[stem]}.{kind}" if stem in CHECKPOINT else None)
        if renamed is not None:
            state[renamed] = value
    if missing := sorted({"dictionary", "block.to_q.weight", "block.ff_out.weight"} - state.keys()):
        raise ValueError(f"the checkpoint holds no {missing[0]}; its tensors are named {sorted(tensors)[:3]} …")
    (latents, dim), wide = state["dictionary"].shape, len(state["block.to_q.weight"])
    pooler = LatentAttention(dim, latents, heads, wide // heads, state["block.ff_out.weight"].shape[1] // dim)
    try:
        pooler.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"the checkpoint is no latent attention of {heads} heads: {error}") from None
    return pooler
