"""MultiLayer: learned queries read the mean of the tokens after each layer, and their mean is the vector.

    M_l = 1/n sum_n x_ln + E_l                  (B, L, D)   E (L, D) learned, one a layer
    U = cross-attention of Z over M             (B, r, D)   Z (r, D) learned
    y = mean_r U_r / |mean_r U_r|

Tang & Yang, "Pooling And Attention: What Are Effective Designs For LLM-Based Embedding Models?" (2409.02727).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cenote.kernels.segments import segment_mean
from cenote.pool.base import Empty
from cenote.pool.latent_queries import LatentQueries
from cenote.pool.mean import Mean


class MultiLayer(LatentQueries):
    """(B, L, N, D) -> (B, D).

    layers: L, the blocks of the model, without its embedding output. The rest is as in `LatentQueries`. Raises
    ValueError for x that holds other than `layers` layers.
    """

    reads = "all"

    def __init__(
        self,
        dim: int,
        layers: int,
        latents: int = 32,
        heads: int = 8,
        head_dim: int | None = None,
        ff_mult: int = 4,
        normalize: bool = True,
        *,
        empty: Empty = "zero",
    ) -> None:
        super().__init__(dim, latents, heads, head_dim, ff_mult, normalize, empty=empty)
        if layers < 1:
            raise ValueError(f"layers must be at least 1, not {layers}")
        self.layers = layers
        # the release draws them from N(0, 1), which drowns the means of most models
        self.layer = nn.Parameter(torch.randn(layers, dim) * 0.02)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Read the mean of the kept tokens after each layer."""
        self._check_layers(x.shape[1])
        means = torch.stack([Mean().padded(layer, mask) for layer in x.unbind(1)], 1)
        return self.read(means + self.layer)

    def packed(self, x: Tensor, offsets: Tensor) -> Tensor:
        """Read the mean of each segment after each layer."""
        self._check_layers(len(x))
        return self.read(torch.stack([segment_mean(layer, offsets) for layer in x], 1) + self.layer)

    def _check_layers(self, given: int) -> None:
        if given == self.layers + 1:
            raise ValueError(f"x holds {given} layers, not {self.layers}; leave out the first, the embedding output")
        if given != self.layers:
            raise ValueError(f"x holds {given} layers but this MultiLayer was made with layers={self.layers}")
