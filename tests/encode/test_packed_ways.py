"""Whatever computes a packed layer, the vectors are the same: kernels, plain torch, a card's attention."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cenote.encode import Encoder, attention, products
from cenote.encode.attention import Attention
from cenote.encode.packaged import PACKAGED
from cenote.encode.products import ACTIVATIONS, Product

TEXTS = ["", "a", "the quick brown fox", "jumps over the lazy dog " * 9, "pack my box " * 40, "the quick brown fox"]
MINILM = PACKAGED["minilm"].find()


def peer(texts: list[str]) -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(MINILM), device="cpu").encode(texts)


@pytest.mark.parametrize("kernel", ["ragged", "grouped", "varlen"])
@pytest.mark.parametrize("prepacked", [True, False])
def test_every_way_gives_the_vectors_of_sentence_transformers(
    kernel: str, prepacked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Attention(12, 32, torch.device("cpu"), torch.float32).kernel
    if kernel == "ragged" and own != "ragged":
        pytest.skip("this CPU has no vectors for the ragged kernel")
    if prepacked and not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "_prepacks", lambda dtype: prepacked)
    monkeypatch.setattr(attention, "_kernel", lambda *_: kernel)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", by_brute_force)
    found = Encoder("minilm", dtype="fp32", device="cpu").encode(TEXTS)
    np.testing.assert_allclose(found, peer(TEXTS), atol=1e-5)


def by_brute_force(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    at: Tensor,
    at_k: Tensor,
    most: int,
    most_k: int,
    *,
    scale: float,
    window_size: tuple[int, int],
    enable_gqa: bool,
) -> Tensor:
    """What torch's attention of rows of different lengths is said to compute, which no CPU does."""
    assert len(q) == len(k) == len(v) == int(at[-1])
    assert torch.equal(at, at_k)
    assert at.dtype == torch.int32
    assert most == most_k == int(at.diff().max())
    assert enable_gqa == (q.shape[1] != k.shape[1])
    k, v = (x.repeat_interleave(q.shape[1] // k.shape[1], 1) for x in (k, v))
    before, after = (most if size < 0 else size for size in window_size)
    out = torch.empty_like(q)
    for start, stop in zip(at[:-1].tolist(), at[1:].tolist(), strict=True):
        place = torch.arange(stop - start)
        apart = place[None, :] - place[:, None]
        scores = torch.einsum("ihd,jhd->hij", q[start:stop], k[start:stop]) * scale
        scores = scores.masked_fill((apart < -before) | (apart > after), -torch.inf)
        out[start:stop] = torch.einsum("hij,jhd->ihd", scores.softmax(2), v[start:stop])
    return out


@pytest.mark.parametrize("length", [3, 40, 600])
@pytest.mark.parametrize(("before", "after"), [(None, None), (None, 0), (5, 0), (20, 20)])
@pytest.mark.parametrize("biased", [False, True])
def test_every_kernel_sees_the_same_window(
    length: int, before: int | None, after: int | None, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", by_brute_force)

    def by_distance(distance: Tensor) -> Tensor:
        return torch.stack([distance.abs() * share for share in (-0.5, 0.0, 0.1, -0.01)])

    offsets = np.cumsum([0, length, length, 2, 0, 300])
    qkv = torch.randn(int(offsets[-1]), 8 * 32, generator=torch.Generator().manual_seed(0))
    found = []
    for kernel in ["grouped", "ragged"] if biased else ["grouped", "ragged", "varlen"]:
        options: Any = {"key_heads": 2, "before": before, "after": after, "bias": by_distance if biased else None}
        made = Attention(4, 32, torch.device("cpu"), torch.float32, **options)
        if kernel != "ragged" or made.kernel == "ragged":
            made.kernel = kernel
            found.append(made.over(offsets)(qkv))
    assert len(found) > 1 or biased
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], atol=2e-5, rtol=2e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA card here")
def test_the_card_gives_the_vectors_of_the_cpu() -> None:
    there, here = (
        Encoder("minilm", dtype=dtype, device=device) for dtype, device in (("bf16", "cuda"), ("fp32", "cpu"))
    )
    assert there.parts.model._attention.kernel == "varlen"
    assert (there.encode(TEXTS) * here.encode(TEXTS)).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("threads", ["1", "2", "7"])
def test_any_number_of_threads_gives_the_same_vectors(threads: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{text} {i}" for i in range(20) for text in TEXTS]
    expected = Encoder("minilm", dtype="fp32", device="cpu").encode(texts)
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    found = Encoder("minilm", dtype="fp32", device="cpu").encode(texts)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_same_batch_gives_the_same_bits() -> None:
    encoder = Encoder("minilm", device="cpu")
    texts = [f"{text} {i}" for i in range(20) for text in TEXTS]
    np.testing.assert_array_equal(encoder.encode(texts), encoder.encode(texts))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("activation", [None, "gelu", "gelu_pytorch_tanh", "silu"])
@pytest.mark.parametrize("rows", [1, 17, 300])
def test_a_prepared_product_is_the_product(dtype: torch.dtype, activation: str | None, rows: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(rows, 96, generator=generator), torch.randn(33, 96, generator=generator)
    bias = torch.randn(33, generator=generator)
    x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
    expected = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
    expected = ACTIVATIONS[activation](expected) if activation else expected
    near = 2**-7 if dtype == torch.bfloat16 else 1e-5
    found = Product(weight, bias, activation)(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), expected, rtol=near, atol=8 * near)


def test_where_the_prepacked_product_is_missing_torchs_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(products, "_pointwise", missing)
    products._prepacks.cache_clear()
    try:
        product = Product(torch.eye(4), torch.ones(4))
        assert not product.prepacked
        assert torch.equal(product(torch.eye(4)), torch.eye(4) + 1)
    finally:
        products._prepacks.cache_clear()
