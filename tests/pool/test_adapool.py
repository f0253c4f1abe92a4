"""AdaPool equals torch's attention, chooses its query as it is told, and keeps noise out within the bound."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from cenote import registry
from cenote.pool.adapool import AdaPool, Query
from cenote.pool.knn_centroid import knn_centroid
from cenote.pool.mean import Mean
from cenote.pool.signal import noise_mass_bound, signal_loss

B, N, D = 5, 7, 12


def batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Tokens (B, N, D) and a mask with gaps that keeps at least three."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.rand(B, N, generator=generator) < 0.6
    mask[:, [1, 4, 5]] = True
    return torch.randn(B, N, D, generator=generator, dtype=torch.float64), mask


def made(query: Query = "mean", heads: int = 3, **given: bool) -> AdaPool:
    """The pooler with seeded weights."""
    torch.manual_seed(0)
    return AdaPool(D, heads, query, **given).double().eval()


def identity(pooler: AdaPool, scale: float) -> AdaPool:
    """The pooler with keys and values as they are, and the query times a scale."""
    eye = torch.eye(D, dtype=torch.float64)
    with torch.no_grad():
        pooler.attention.in_proj_weight.copy_(torch.cat([scale * eye, eye, eye]))
        pooler.attention.out_proj.weight.copy_(eye)
    return pooler


QUERIES = [
    ("mean", lambda rows: rows.mean(0)),
    ("first", lambda rows: rows[0]),
    (0, lambda rows: rows[0]),
    (2, lambda rows: rows[2]),
    (-1, lambda rows: rows[-1]),
    ([0, 2, -1], lambda rows: rows[[0, 2, -1]].mean(0)),
]


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("query", "chosen"), QUERIES)
def test_it_equals_torchs_attention_from_the_query_it_is_told(
    query: Query, chosen: object, residual: bool, bias: bool
) -> None:
    x, mask = batch()
    pooler = made(query, residual=residual, bias=bias)
    peer = nn.MultiheadAttention(D, 3, bias=bias, batch_first=True, dtype=torch.float64)
    peer.load_state_dict(pooler.attention.state_dict())
    wanted = torch.stack([chosen(row[kept]) for row, kept in zip(x, mask, strict=True)])[:, None]  # type: ignore[operator]
    expected = peer(wanted, x, x, key_padding_mask=~mask, need_weights=False)[0][:, 0]
    torch.testing.assert_close(pooler(x, mask), expected + wanted[:, 0] if residual else expected)


def test_a_learned_query_is_one_for_all_rows() -> None:
    x, mask = batch()
    pooler = made("learned", residual=False)
    expected = pooler.attention(pooler.learned.expand(B, -1), x.masked_fill(~mask[:, :, None], 0), mask)
    torch.testing.assert_close(pooler(x, mask), expected)
    assert "learned" in dict(pooler.named_parameters())
    assert "learned" not in dict(made("mean").named_parameters())


def test_without_scores_it_is_the_masked_mean() -> None:
    x, mask = batch()
    torch.testing.assert_close(identity(made(residual=False), 0.0)(x, mask), Mean()(x, mask))


@pytest.mark.parametrize("query", ["first", 2, [0, 2]])
def test_the_order_of_the_other_tokens_does_not_matter(query: Query) -> None:
    x, _ = batch()
    order = torch.tensor([0, 5, 2, 1, 6, 3, 4])
    torch.testing.assert_close(made(query)(x[:, order]), made(query)(x))
    assert not torch.allclose(made(query)(x[:, [1, 2, 0, 3, 4, 5, 6]]), made(query)(x))


def clusters() -> tuple[Tensor, Tensor, Tensor]:
    """Four rows with 1 to 4 signal tokens in front, noise orthogonal to them behind, and what is signal."""
    signal = torch.arange(N) < torch.arange(1, 5)[:, None]
    x = torch.randn(4, N, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / 20
    x[..., 0] += signal
    x[..., 1] += ~signal
    return x, signal, Mean()(x, signal)


@pytest.mark.parametrize("query", ["first", 0])
def test_a_query_of_the_signal_finds_the_centroid_of_the_signal_at_any_share_of_noise(query: Query) -> None:
    x, signal, centroid = clusters()
    pooler = identity(made(query, heads=1, residual=False), 80.0)
    mean_misses = (Mean()(x) - centroid).norm(dim=1)
    assert ((pooler(x) - centroid).norm(dim=1) < mean_misses / 3).all()
    weights = pooler(x, return_weights=True)[1][:, 0]
    assert (weights.masked_fill(signal, 0).sum(1) < 1e-6).all()


def test_a_query_that_is_noise_finds_noise() -> None:
    x, signal, _ = clusters()
    weights = identity(made(-1, heads=1, residual=False), 80.0)(x, return_weights=True)[1][:, 0]
    assert (weights.masked_fill(~signal, 0).sum(1) < 1e-6).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.floats(0, 30))
def test_the_noise_never_passes_its_bound(seed: int, spread: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = spread * torch.randn(B, 3, N, generator=generator, dtype=torch.float64)
    signal, mask = (torch.rand(B, N, generator=generator) < 0.5 for _ in range(2))
    signal[:, 0] = mask[:, 0] = True
    weights = scores.masked_fill(~mask[:, None], -torch.inf).softmax(-1)
    noise = weights.masked_fill(signal[:, None], 0).sum(-1)
    assert (noise <= noise_mass_bound(scores, signal, mask) + 1e-12).all()
    # each signal weight is within the spread of the signal's scores of an even share
    kept = (signal & mask)[:, None].expand_as(scores)
    share = weights.masked_fill(~kept, 0).sum(-1) / kept.sum(-1)
    reach = scores.masked_fill(~kept, -torch.inf).amax(-1) - scores.masked_fill(~kept, torch.inf).amin(-1)
    ratio = (weights / share[..., None]).masked_fill(~kept, 1).log()
    assert (ratio.abs() <= reach[..., None] + 1e-9).all()


def test_the_bound_is_reached_where_all_scores_of_a_kind_are_equal() -> None:
    signal = torch.arange(N) < 3
    scores = torch.where(signal, 1.5, 0.5).double()[None]
    noise = scores.softmax(-1)[0, 3:].sum()
    torch.testing.assert_close(noise_mass_bound(scores, signal[None])[0], noise)


def test_no_noise_is_bounded_by_nothing() -> None:
    assert noise_mass_bound(torch.randn(2, 4), torch.ones(2, 4, dtype=torch.bool)).tolist() == [0, 0]


def test_the_signal_loss_is_least_at_the_centroid_of_the_signal() -> None:
    x, mask = batch()
    centroid = Mean()(x, mask).requires_grad_()
    loss = signal_loss(centroid, x.masked_fill(~mask[:, :, None], torch.nan), mask)
    rows = zip(x, mask, centroid, strict=True)
    torch.testing.assert_close(loss, torch.stack([(row[kept] - c).square().sum(1).mean() for row, kept, c in rows]))
    loss.sum().backward()
    assert centroid.grad is not None
    torch.testing.assert_close(centroid.grad, torch.zeros_like(centroid))
    assert (signal_loss(centroid + 0.1, x, mask) > loss).all()


@pytest.mark.parametrize("k", [1, 5, 63])
def test_the_task_asks_for_the_mean_of_the_nearest_others(k: int) -> None:
    x, y, signal = knn_centroid(20, k, size=64, dim=6, seed=1)
    assert x.shape == (20, 64, 6)
    for row, answer, marked in zip(x.numpy(), y.numpy(), signal.numpy(), strict=True):
        nearest = sorted(range(1, 64), key=lambda n: float(((row[n] - row[0]) ** 2).sum()))[:k]
        assert sorted(marked.nonzero()[0]) == sorted(nearest)
        assert abs(row[nearest].mean(0) - answer).max() < 1e-5
    torch.testing.assert_close(signal_loss(y, x, signal), signal_loss(Mean()(x, signal), x, signal))


def test_the_task_is_the_same_for_the_same_seed_alone() -> None:
    assert torch.equal(knn_centroid(3, 2, seed=7)[0], knn_centroid(3, 2, seed=7)[0])
    assert not torch.equal(knn_centroid(3, 2, seed=7)[0], knn_centroid(3, 2, seed=8)[0])


def test_places_that_rows_do_not_have_are_refused_with_the_rows() -> None:
    x, mask = batch()
    mask[1] = mask[3] = torch.arange(N) < 2
    for query in (2, -3, [0, 2]):
        with pytest.raises(ValueError, match=r"names a token that rows \[1, 3\] do not have"):
            made(query)(x, mask)
    mask[1] = mask[3] = False
    assert (made(2)(x, mask)[[1, 3]] == 0).all()


@pytest.mark.parametrize("query", ["focal", [], [1.5], True, ["first"]])
def test_a_query_is_one_of_what_it_can_be(query: Query) -> None:
    with pytest.raises(ValueError, match="query must be mean, first, learned, a place or several places"):
        AdaPool(D, query=query)


@pytest.mark.parametrize("query", ["first", -2, [0, 2], (0, 1), "learned"])
def test_a_query_goes_through_a_configuration(query: Query) -> None:
    pooler = made(query)
    again = registry.build(registry.config(pooler)).double()
    again.load_state_dict(pooler.state_dict())
    x, mask = batch()
    assert torch.equal(again(x, mask), pooler(x, mask))
    assert again.order == pooler.order == ("invariant" if query == "learned" else "ordered")


def test_a_row_without_signal_is_refused() -> None:
    x, mask = batch()
    mask[2] = False
    with pytest.raises(ValueError, match=r"rows \[2\] have no signal"):
        signal_loss(x[:, 0], x, mask)
    with pytest.raises(ValueError, match=r"rows \[2\] have no signal"):
        noise_mass_bound(x[..., 0], mask)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    x, mask = batch()
    with pytest.raises(ValueError, match="do not belong together"):
        signal_loss(x[:, 0], x, mask[:, 1:])
    with pytest.raises(ValueError, match="do not belong together"):
        noise_mass_bound(x[..., 0], mask[1:])


@pytest.mark.parametrize("k", [0, 64])
def test_there_are_as_many_neighbours_as_are_asked_for(k: int) -> None:
    with pytest.raises(ValueError, match="k must be at least 1 and below size=64"):
        knn_centroid(2, k, size=64)


def test_the_released_way_around_flash_attention_puts_heads_back_in_the_wrong_order_and_ours_does_not() -> None:
    # it scales by sqrt(D) too, and takes (tokens, heads) for (heads, tokens) when it puts heads together
    torch.manual_seed(0)
    heads, width, several = 3, 4, 2
    x = torch.randn(1, 7, heads * width, dtype=torch.float64)
    project = torch.randn(3, heads * width, heads * width, dtype=torch.float64)
    queries, keys, values = (
        (tokens @ one).view(1, -1, heads, width).transpose(1, 2)
        for tokens, one in zip((x[:, :several], x, x), project, strict=True)
    )
    flash = F.scaled_dot_product_attention(queries, keys, values)
    released = (queries @ keys.mT / (heads * width) ** 0.5).softmax(-1) @ values
    scaled = (queries @ keys.mT / width**0.5).softmax(-1) @ values
    torch.testing.assert_close(scaled, flash)
    assert not torch.allclose(released, flash)
    merged, wrong = scaled.transpose(1, 2).reshape(1, several, -1), scaled.reshape(1, several, -1)
    assert not torch.allclose(wrong, merged)
    for i in range(several):
        pooler = AdaPool(heads * width, heads, i, residual=False).double()
        pooler.attention.in_proj_weight.data = project.mT.flatten(0, 1)
        nn.init.eye_(pooler.attention.out_proj.weight)
        torch.testing.assert_close(pooler(x), merged[:, i])
