"""The three variants of MaxPoolBERT equal their definitions, and torch's own attention where they attend."""

import pytest
import torch
from torch import Tensor, nn

from cenote.pool.cls_attend import ClsAttend
from cenote.pool.max_cls import MaxCls
from cenote.pool.max_seq_attend import MaxSeqAttend

B, L, N, D = 5, 4, 7, 12


def stack(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Layers (B, L, N, D) and a mask whose first token is always kept."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(B, L, N, D, generator=generator, dtype=torch.float64)
    mask = torch.rand(B, N, generator=generator) < 0.6
    mask[:, 0] = True
    return x, mask


def attention_of_torch(pooler: ClsAttend) -> nn.MultiheadAttention:
    """torch's multi-head attention with the weights of the pooler."""
    peer = nn.MultiheadAttention(D, pooler.heads, batch_first=True, dtype=torch.float64)
    peer.load_state_dict(pooler.attention.state_dict())
    return peer.eval()


def random_bias(pooler: ClsAttend) -> ClsAttend:
    """The pooler with biases that are not zero."""
    with torch.no_grad():
        for weight in pooler.parameters():
            if weight.ndim == 1:
                weight.normal_()
    return pooler.double().eval()


def test_max_cls_is_the_greatest_of_the_first_token_over_the_last_layers() -> None:
    x, mask = stack()
    assert torch.equal(MaxCls(last_k=3)(x, mask), x[:, 1:, 0].max(1).values)


def test_max_cls_of_one_layer_is_the_first_token_of_the_last() -> None:
    x, mask = stack()
    assert torch.equal(MaxCls(last_k=1)(x, mask), x[:, -1, 0])


def test_max_cls_does_not_see_how_often_or_in_which_order_layers_come() -> None:
    x, mask = stack()
    expected = MaxCls(last_k=4)(x, mask)
    assert torch.equal(MaxCls(last_k=8)(torch.cat([x, x], 1), mask), expected)
    assert torch.equal(MaxCls(last_k=4)(x[:, [2, 0, 3, 1]], mask), expected)


def test_the_gradient_of_max_cls_reaches_only_the_layer_that_is_greatest() -> None:
    x, mask = stack()
    x.requires_grad_()
    MaxCls(last_k=4)(x, mask).sum().backward()
    expected = torch.zeros_like(x)
    expected[:, :, 0] = nn.functional.one_hot(x[:, :, 0].argmax(1), L).mT.to(x.dtype)
    assert x.grad is not None
    assert torch.equal(x.grad, expected)


def test_the_first_token_is_found_behind_padding_on_the_left() -> None:
    x, mask = stack()
    left, wider = nn.functional.pad(x, (0, 0, 3, 0), value=torch.nan), nn.functional.pad(mask, (3, 0))
    for pooler in (MaxCls(), random_bias(MaxSeqAttend(D))):
        torch.testing.assert_close(pooler(left, wider), pooler(x, mask))


@pytest.mark.parametrize("heads", [1, 3, 4])
def test_cls_attend_equals_torchs_attention_with_the_same_weights(heads: int) -> None:
    x, mask = stack()
    pooler = random_bias(ClsAttend(D, heads))
    peer, weights = attention_of_torch(pooler)(
        x[:, -1, :1], x[:, -1], x[:, -1], key_padding_mask=~mask, average_attn_weights=False
    )
    out, found = pooler(x[:, -1], mask, return_weights=True)
    torch.testing.assert_close(out, peer[:, 0])
    torch.testing.assert_close(found, weights[:, :, 0])


@pytest.mark.parametrize("last_k", [1, 3, 4])
def test_max_seq_attend_equals_torchs_attention_over_the_greatest_values(last_k: int) -> None:
    x, mask = stack()
    pooler = random_bias(MaxSeqAttend(D, last_k=last_k, heads=3))
    greatest = x[:, L - last_k :].max(1).values
    peer, _ = attention_of_torch(pooler)(greatest[:, :1], greatest, greatest, key_padding_mask=~mask)
    torch.testing.assert_close(pooler(x, mask), peer[:, 0])


def test_max_seq_attend_of_one_layer_is_cls_attend() -> None:
    x, mask = stack()
    one, other = random_bias(MaxSeqAttend(D, last_k=1)), random_bias(ClsAttend(D))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(x, mask), other(x[:, -1], mask))


def test_cls_attend_without_scores_is_the_masked_mean() -> None:
    x, mask = stack()
    pooler = ClsAttend(D).double()
    eye = torch.eye(D, dtype=torch.float64)
    with torch.no_grad():
        pooler.attention.in_proj_weight.copy_(torch.cat([0 * eye, 0 * eye, eye]))
        pooler.attention.out_proj.weight.copy_(eye)
    expected = torch.stack([row[kept].mean(0) for row, kept in zip(x[:, -1], mask, strict=True)])
    torch.testing.assert_close(pooler(x[:, -1], mask), expected)


def test_attention_begins_where_torchs_does() -> None:
    torch.manual_seed(0)
    ours = ClsAttend(D).attention.state_dict()
    torch.manual_seed(0)
    peer = nn.MultiheadAttention(D, 4).state_dict()
    assert {name: weight.shape for name, weight in ours.items()} == {name: x.shape for name, x in peer.items()}
    for name, weight in ours.items():
        assert weight.abs().max() <= peer[name].abs().max() * 1.1


def test_dropout_leaves_out_attention_in_training_alone() -> None:
    x, mask = stack()
    torch.manual_seed(0)
    pooler = ClsAttend(D, dropout=0.5).double()
    many = (x[:, -1].expand(4000, B, N, D).flatten(0, 1), mask.expand(4000, B, N).flatten(0, 1))
    trained = pooler.train()(*many).unflatten(0, (4000, B)).mean(0)
    assert not torch.equal(pooler(x[:, -1], mask), pooler.eval()(x[:, -1], mask))
    torch.testing.assert_close(trained, pooler(x[:, -1], mask), rtol=0, atol=0.05)


def test_dropout_leaves_out_the_bias_of_a_value_with_its_weight() -> None:
    torch.manual_seed(0)
    pooler = ClsAttend(D, dropout=0.5).double().train()
    eye = torch.eye(D, dtype=torch.float64)
    with torch.no_grad():
        pooler.attention.in_proj_weight.zero_()
        pooler.attention.in_proj_bias[2 * D :] = 1  # type: ignore[index]
        pooler.attention.out_proj.weight.copy_(eye)
    found = pooler(torch.zeros(400, N, D, dtype=torch.float64))
    # each of N equal weights stands twofold or not at all
    assert torch.equal((found * N / 2).round(decimals=9), (found * N / 2).round())
    assert found.unique().numel() > 3


@pytest.mark.parametrize("last_k", [0, -1])
@pytest.mark.parametrize("kind", [MaxCls, lambda last_k: MaxSeqAttend(D, last_k)])
def test_at_least_one_layer_is_asked_for(kind: type, last_k: int) -> None:
    with pytest.raises(ValueError, match=f"last_k must be at least 1, not {last_k}"):
        kind(last_k=last_k)


@pytest.mark.parametrize("pooler", [MaxCls(5), MaxSeqAttend(D, 5).double()])
def test_more_layers_than_there_are_cannot_be_asked_for(pooler: MaxCls) -> None:
    x, mask = stack()
    with pytest.raises(ValueError, match="last_k=5 but x holds 4 layers"):
        pooler(x, mask)
    with pytest.raises(ValueError, match="last_k=5 but x holds 4 layers"):
        pooler.forward_packed(x[0], torch.tensor([0, N]))


def test_the_last_layer_alone_is_answered_with_how_to_get_all() -> None:
    x, mask = stack()
    with pytest.raises(ValueError, match="output_hidden_states=True"):
        MaxCls()(x[:, -1], mask)


@pytest.mark.parametrize("heads", [0, 5])
def test_heads_must_divide_the_width(heads: int) -> None:
    with pytest.raises(ValueError, match=f"heads must divide dim: 12 cannot be split among {heads}"):
        ClsAttend(D, heads)


@pytest.mark.parametrize("dropout", [-0.1, 1.0])
def test_dropout_is_a_share(dropout: float) -> None:
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1"):
        ClsAttend(D, dropout=dropout)
