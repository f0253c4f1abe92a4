"""k-max keeps the greatest values in their order; DCNN classifies each sentence as if it stood alone."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from cenote import registry
from cenote.pool import DCNN, Chain, DynamicKMax, KMax, Max

X = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
MASK = torch.rand(4, 7, generator=torch.Generator().manual_seed(2)) < 0.6
WORDS = torch.randint(0, 30, (5, 9), generator=torch.Generator().manual_seed(3))
LENGTHS = torch.tensor([9, 1, 4, 6, 2])
KEPT = torch.arange(9) < LENGTHS[:, None]


def by_hand(row: Tensor, k: int) -> Tensor:
    """The k greatest of each channel of (n, D), the first of equal ones, in order, zeros behind: (k, D)."""
    columns = []
    for column in row.T.tolist():
        places = sorted(sorted(range(len(column)), key=lambda n: (-column[n], n))[:k])
        columns.append([column[n] for n in places] + [0.0] * (k - len(places)))
    return torch.tensor(columns, dtype=row.dtype).T


def net(**given: object) -> DCNN:
    torch.manual_seed(0)
    made = DCNN(30, 3, **{"dim": 8, "widths": (3, 2), "maps": (2, 3), "k_top": 2, **given})  # type: ignore[arg-type]
    for weight in made.parameters():
        nn.init.normal_(weight)
    return made.double().eval()


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.lists(st.integers(-2, 2), min_size=1, max_size=6), min_size=1, max_size=3), k=st.integers(1, 8)
)
def test_it_keeps_the_greatest_in_their_order_with_ties_and_rows_that_are_short(
    values: list[list[int]], k: int
) -> None:
    rows = [torch.tensor(row, dtype=torch.float64)[:, None] for row in values]
    wanted = torch.stack([by_hand(row, k) for row in rows]).flatten(1)
    x = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=torch.nan)
    mask = torch.arange(x.shape[1]) < torch.tensor([len(row) for row in rows])[:, None]
    assert torch.equal(KMax(k)(x, mask), wanted)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_one_look_at_every_token_finds_what_looking_again_and_again_finds(k: int) -> None:
    x = (2 * X).round()  # with ties
    x[0, MASK[0].nonzero()[0]] = -math.inf
    x[~MASK] = math.nan
    looked, again = (KMax(k)(x.to(dtype), MASK) for dtype in (torch.float32, torch.float64))
    assert torch.equal(looked.double(), again)
    assert not looked.isnan().any()
    offsets = torch.tensor([0, *MASK.sum(1)]).cumsum(0)
    assert torch.equal(KMax(k).forward_packed(x[MASK].float(), offsets), looked)


def test_what_is_no_number_is_among_the_greatest() -> None:
    x = X.float().clone()
    x[:, 2, 1] = math.nan
    kept = KMax(2)(x).view(4, 2, 5)
    assert kept.isnan().sum((1, 2)).tolist() == [1] * 4
    assert not kept[:, :, [0, 2, 3, 4]].isnan().any()


def test_one_is_the_maximum_and_all_are_the_tokens() -> None:
    assert torch.equal(KMax(1)(X, MASK), Max()(X, MASK))
    assert torch.equal(KMax(7)(X), X.flatten(1))


def test_a_shift_of_all_values_shifts_what_is_kept() -> None:
    torch.testing.assert_close(KMax(3)(X + 2.5), KMax(3)(X) + 2.5)


def test_a_value_below_the_ones_kept_changes_nothing() -> None:
    low = X.amin(1, keepdim=True) - 1
    for place in (0, 3, 7):
        assert torch.equal(KMax(3)(torch.cat([X[:, :place], low, X[:, place:]], 1)), KMax(3)(X))


def test_the_mean_of_the_kept_is_a_chain() -> None:
    wanted = X.sort(1, descending=True).values[:, :3].mean(1)
    torch.testing.assert_close(Chain([KMax(3), "mean"])(X), wanted)


def test_k_falls_with_the_layer_and_grows_with_the_sentence() -> None:
    assert [DynamicKMax(3, layer, 3).k(torch.tensor([18])).item() for layer in (1, 2, 3)] == [12, 6, 3]
    words = torch.arange(60)
    for layer in (1, 2, 3, 4):
        wanted = [max(4, math.ceil((4 - layer) * s / 4)) for s in range(60)]
        assert DynamicKMax(4, layer, 4).k(words).tolist() == wanted


def test_each_sentence_has_its_own_k() -> None:
    words = torch.tensor([12, 2, 7, 4])
    pool = DynamicKMax(2, 1, 2)
    together, kept = pool(X, MASK, words)
    assert together.shape == (4, 6, 5)
    for i in range(4):
        alone, alone_kept = pool(X[i : i + 1], MASK[i : i + 1], words[i : i + 1])
        k = int(pool.k(words)[i])
        assert torch.equal(together[i, :k], alone[0])
        assert torch.equal(alone[0], by_hand(X[i][MASK[i]], k))
        assert kept[i].sum() == alone_kept.sum() == min(k, int(MASK[i].sum()))
        assert (together[i][~kept[i]] == 0).all()


def test_a_layer_is_convolution_folding_and_pooling_as_written() -> None:
    dcnn = net(widths=(3,), maps=(2,))
    layer, words = dcnn.layers[0], WORDS[0]
    vectors = dcnn.words(words).detach().numpy()
    filters = layer.weight.detach().numpy().reshape(8, 2, 3)
    rows = []
    for m in range(2):
        wide = [np.convolve(vectors[:, d], filters[d, m, ::-1], "full") for d in range(8)]
        rows.append([wide[2 * d] + wide[2 * d + 1] for d in range(4)])
    folded = torch.tensor(np.array(rows))  # (maps, D / 2, N + 2)
    pooled = torch.stack([by_hand(folded[m].T, 2) for m in range(2)])  # (maps, k, D / 2)
    bias = layer.bias.view(4, 2).T[:, None]
    expected = (pooled + bias).tanh().permute(1, 2, 0).flatten()
    torch.testing.assert_close(dcnn(WORDS[:1], KEPT[:1])[0], dcnn.classify(expected))


def test_a_sentence_in_a_batch_is_classified_as_alone() -> None:
    dcnn = net()
    together = dcnn(WORDS, KEPT)
    for i, length in enumerate(LENGTHS):
        torch.testing.assert_close(together[i : i + 1], dcnn(WORDS[i : i + 1, :length], KEPT[i : i + 1, :length]))


def test_padding_and_gaps_never_change_the_answer() -> None:
    dcnn = net()
    spoilt = WORDS.masked_fill(~KEPT, 29)
    torch.testing.assert_close(dcnn(spoilt, KEPT), dcnn(WORDS, KEPT))
    apart, kept = torch.full((5, 14), 29), torch.zeros(5, 14, dtype=torch.bool)
    for i, length in enumerate(LENGTHS.tolist()):
        places = torch.randperm(14, generator=torch.Generator().manual_seed(i))[:length].sort().values
        apart[i, places], kept[i, places] = WORDS[i, :length], True
    torch.testing.assert_close(dcnn(apart, kept), dcnn(WORDS, KEPT))


def test_a_sentence_of_no_words_has_the_logits_of_nothing() -> None:
    dcnn = net()
    torch.testing.assert_close(dcnn(WORDS, torch.zeros_like(KEPT)), dcnn.classify.bias.expand(5, 3))


def test_the_order_of_the_words_matters() -> None:
    dcnn = net()
    assert not torch.allclose(dcnn(WORDS[:1], KEPT[:1]), dcnn(WORDS[:1].flip(1), KEPT[:1]))


def test_every_weight_is_trained_and_the_order_of_words_is_learned() -> None:
    torch.manual_seed(0)
    words = torch.randint(0, 5, (12, 6))
    labels = (words[:, :3].sum(1) > words[:, 3:].sum(1)).long()
    dcnn = DCNN(5, 2, dim=8, widths=(3, 2), maps=(3, 4), k_top=2, dropout=0.0)
    step = torch.optim.Adam(dcnn.parameters(), lr=0.1)
    losses = []
    for _ in range(12):
        step.zero_grad()
        loss = F.cross_entropy(dcnn(words, torch.ones_like(words, dtype=torch.bool)), labels)
        loss.backward()
        assert all(weight.grad is not None and weight.grad.any() for weight in dcnn.parameters())
        step.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_the_gradient_is_the_derivative() -> None:
    dcnn = net()
    names = [name for name, _ in dcnn.named_parameters()]

    def out(*weights: Tensor) -> object:
        return torch.func.functional_call(dcnn, dict(zip(names, weights, strict=True)), (WORDS, KEPT))

    weights = tuple(weight.detach().clone().requires_grad_() for weight in dcnn.parameters())
    assert torch.autograd.gradcheck(out, weights, fast_mode=True)


def test_configurations_build_them_again() -> None:
    for made in (net(), DynamicKMax(2, 1, 2)):
        again = registry.build(json.loads(json.dumps(registry.config(made))))
        again.load_state_dict(made.state_dict())
        assert registry.config(again) == registry.config(made)


def test_what_cannot_be_pooled_or_folded_is_refused() -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        KMax(0)
    with pytest.raises(ValueError, match="k_top must be at least 1"):
        DynamicKMax(0, 1, 2)
    for layer in (0, 3):
        with pytest.raises(ValueError, match="layer must be between 1 and the number of layers, 2"):
            DynamicKMax(2, layer, 2)
    with pytest.raises(ValueError, match="dim must be a multiple of 4"):
        DCNN(30, 2, dim=6)
    with pytest.raises(ValueError, match="one of each a layer"):
        DCNN(30, 2, widths=(3,))
    with pytest.raises(ValueError, match="pass one boolean for each word"):
        net()(WORDS, KEPT[:, :5])
    with pytest.raises(ValueError, match="x has 4 rows of 7 places"):
        DynamicKMax(2, 1, 2)(X, MASK, LENGTHS)
