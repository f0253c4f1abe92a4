"""Poolers with learned vectors that read the tokens, or that tokens read: their equations written out, their limits."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cenote.pool.cross_attention import CrossAttention
from cenote.pool.latent_attention import CHECKPOINT, LatentAttention, from_checkpoint
from cenote.pool.latent_queries import LatentQueries
from cenote.pool.mean import Mean
from cenote.pool.multi_layer import MultiLayer

B, L, N, D = 4, 3, 6, 8


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def batch() -> tuple[Tensor, Tensor]:
    """Layers (B, L, N, D) and a mask with gaps."""
    mask = torch.rand(B, N) < 0.6
    mask[:, 2] = True
    return torch.randn(B, L, N, D, dtype=torch.float64), mask


def written_out(block: CrossAttention, queries: Tensor, context: Tensor) -> Tensor:
    """The equations for queries (Q, D) and a context (K, D), a query, a head and a key at a time."""
    rows = []
    q, keys = block.to_q(block.norm(queries)), block.to_kv(block.norm_context(context))
    k, v = keys[:, : keys.shape[1] // 2], keys[:, keys.shape[1] // 2 :]
    for i in range(len(queries)):
        heads = []
        for h in range(block.heads):
            cut = slice(h * block.width, (h + 1) * block.width)
            powers = [torch.exp(q[i, cut] @ key[cut] / block.width**0.5) for key in k]
            heads.append(sum(p * value[cut] for p, value in zip(powers, v, strict=True)) / sum(powers))
        read = queries[i] + block.to_out.weight @ torch.cat(heads)
        wide = block.ff_in(block.norm_ff(read))
        half = len(wide) // 2
        rows.append(read + block.ff_out(wide[:half] * F.gelu(wide[half:])))
    return torch.stack(rows)


def silent(block: CrossAttention) -> None:
    """Make the block add nothing to its queries."""
    with torch.no_grad():
        for weight in (block.to_out.weight, block.ff_out.weight, block.ff_out.bias):
            weight.zero_()


@pytest.mark.parametrize(("heads", "head_dim"), [(2, None), (3, 5)])
def test_latent_queries_equal_their_equations_written_out(heads: int, head_dim: int | None) -> None:
    x, mask = batch()
    pooler = LatentQueries(D, 5, heads, head_dim, normalize=False).double()
    rows = [written_out(pooler.block, pooler.queries, row[kept]).mean(0) for row, kept in zip(x[:, -1], mask)]
    torch.testing.assert_close(pooler(x[:, -1], mask), torch.stack(rows))


@pytest.mark.parametrize(("heads", "head_dim"), [(2, None), (3, 5)])
def test_multi_layer_equals_its_equations_written_out(heads: int, head_dim: int | None) -> None:
    x, mask = batch()
    pooler = MultiLayer(D, L, 5, heads, head_dim, normalize=False).double()
    means = [torch.stack([layer[kept].mean(0) for layer in row]) + pooler.layer for row, kept in zip(x, mask)]
    expected = torch.stack([written_out(pooler.block, pooler.queries, each).mean(0) for each in means])
    torch.testing.assert_close(pooler(x, mask), expected)


@pytest.mark.parametrize(("heads", "head_dim"), [(2, None), (3, 5)])
def test_latent_attention_equals_its_equations_written_out(heads: int, head_dim: int | None) -> None:
    x, mask = batch()
    pooler = LatentAttention(D, 5, heads, head_dim, normalize=False).double()
    rows = [written_out(pooler.block, row[kept], pooler.dictionary).mean(0) for row, kept in zip(x[:, -1], mask)]
    torch.testing.assert_close(pooler(x[:, -1], mask), torch.stack(rows))


@pytest.mark.parametrize("pooler", [LatentQueries(D), LatentAttention(D), MultiLayer(D, L)])
def test_the_answer_has_unit_length_unless_that_is_not_wanted(pooler: LatentQueries) -> None:
    x, mask = batch()
    x = x if pooler.reads == "all" else x[:, -1]
    unit = pooler.double()(x, mask)
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(B, dtype=torch.float64))
    pooler.normalize = False
    torch.testing.assert_close(F.normalize(pooler(x, mask), dim=1), unit)


def test_a_silent_block_gives_the_learned_query_whatever_it_reads() -> None:
    x, mask = batch()
    pooler = MultiLayer(D, L, latents=1).double()
    silent(pooler.block)
    torch.testing.assert_close(pooler(x, mask), F.normalize(pooler.queries).expand(B, D))


def test_one_layer_is_read_whole() -> None:
    x, mask = batch()
    pooler = MultiLayer(D, 1, heads=2, normalize=False).double()
    with torch.no_grad():
        pooler.block.ff_out.weight.zero_()
        pooler.block.ff_out.bias.zero_()
    block = pooler.block
    value = block.to_kv(block.norm_context(Mean()(x[:, 0], mask) + pooler.layer)).chunk(2, -1)[1]
    torch.testing.assert_close(pooler(x[:, :1], mask), block.to_out(value) + pooler.queries.mean(0))


def test_layers_are_told_apart_by_what_is_learned_of_each_alone() -> None:
    x, mask = batch()
    pooler = MultiLayer(D, L).double()
    assert not torch.allclose(pooler(x.flip(1), mask), pooler(x, mask))
    with torch.no_grad():
        pooler.layer.zero_()
    torch.testing.assert_close(pooler(x.flip(1), mask), pooler(x, mask))


def test_the_released_block_lets_padding_count_and_ours_does_not() -> None:
    x, mask = batch()
    pooler = LatentQueries(D, 4, 2).double()
    padded, wider = F.pad(x[:, -1], (0, 0, 0, 5)), F.pad(mask, (0, 5))
    released = F.normalize(pooler.block(pooler.queries[None], padded).mean(1), dim=1)  # no mask reaches the attention
    assert not torch.allclose(released, pooler(padded, wider))
    torch.testing.assert_close(pooler(padded, wider), pooler(x[:, -1], mask))


def test_instruction_tokens_outside_the_mask_do_not_reach_the_vector() -> None:
    x, _ = batch()
    instruction = torch.arange(N) < 2
    mask = (~instruction).expand(B, N)
    pooler = LatentAttention(D, 4).double()
    other = x[:, -1].masked_fill(instruction[:, None], 7.0)
    assert torch.equal(pooler(other, mask), pooler(x[:, -1], mask))


def test_latent_attention_that_begins_at_zero_is_the_mean() -> None:
    x, mask = batch()
    pooler = LatentAttention(D, 4, normalize=False, zero_init=True).double()
    torch.testing.assert_close(pooler(x[:, -1], mask), Mean()(x[:, -1], mask))
    unit = LatentAttention(D, 4, zero_init=True).double()
    torch.testing.assert_close(unit(x[:, -1], mask), F.normalize(Mean()(x[:, -1], mask), dim=1))


def test_a_dictionary_of_one_adds_the_same_to_every_token() -> None:
    x, mask = batch()
    pooler = LatentAttention(D, 1, heads=2, normalize=False).double()
    with torch.no_grad():
        pooler.block.ff_out.weight.zero_()
        pooler.block.ff_out.bias.zero_()
    moved = pooler(x[:, -1], mask) - Mean()(x[:, -1], mask)
    torch.testing.assert_close(moved, moved[:1].expand(B, D))


def test_the_order_of_the_dictionary_does_not_matter() -> None:
    x, mask = batch()
    pooler = LatentAttention(D, 5).double()
    before = pooler(x[:, -1], mask)
    with torch.no_grad():
        pooler.dictionary.copy_(pooler.dictionary.flip(0))
    torch.testing.assert_close(pooler(x[:, -1], mask), before)


@pytest.mark.parametrize(("heads", "head_dim", "ff_mult"), [(8, 1, 4), (4, 6, 2)])
def test_a_released_checkpoint_is_read_by_its_names(heads: int, head_dim: int, ff_mult: int) -> None:
    saved = LatentAttention(D, 5, heads, head_dim, ff_mult)
    theirs = {ours: name for name, ours in CHECKPOINT.items()}
    tensors = {"embedding_model.norm.weight": torch.ones(D)}
    for name, value in saved.state_dict().items():
        stem, _, kind = name.rpartition(".")
        key = theirs[name] if name in theirs else f"{theirs[stem]}.{kind}"
        tensors[f"latent_attention_model.{key}"] = value
    assert "latent_attention_model.cross_attend_blocks.1.fn.net.2.bias" in tensors
    found = from_checkpoint(tensors, heads)
    x, mask = batch()
    assert torch.equal(found(x[:, -1].float(), mask), saved(x[:, -1].float(), mask))
    with pytest.raises(ValueError, match="no latent attention of 7 heads"):
        from_checkpoint(tensors, 7)
    del tensors["latent_attention_model.latents"]
    with pytest.raises(ValueError, match="holds no dictionary"):
        from_checkpoint(tensors, heads)


def test_a_stack_with_the_embedding_layer_is_answered_with_the_fix() -> None:
    x, mask = batch()
    with pytest.raises(ValueError, match="leave out the first, the embedding output"):
        MultiLayer(D, L - 1).double()(x, mask)
    with pytest.raises(ValueError, match=r"x holds 3 layers but this MultiLayer was made with layers=7"):
        MultiLayer(D, 7).double().forward_packed(x[0], torch.tensor([0, N]))


@pytest.mark.parametrize("kind", [LatentQueries, LatentAttention, lambda dim, latents: MultiLayer(dim, L, latents)])
def test_there_is_at_least_one_latent(kind: type) -> None:
    with pytest.raises(ValueError, match="latents must be at least 1, not 0"):
        kind(D, 0)


def test_sizes_that_make_no_block_are_refused() -> None:
    with pytest.raises(ValueError, match="layers must be at least 1, not 0"):
        MultiLayer(D, 0)
    with pytest.raises(ValueError, match="heads must divide dim: 8 cannot be split among 3; or give head_dim"):
        LatentQueries(D, heads=3)
    with pytest.raises(ValueError, match="head_dim must be at least 1, not 0"):
        LatentQueries(D, head_dim=0)
    with pytest.raises(ValueError, match="ff_mult must be at least 1, not 0"):
        LatentAttention(D, ff_mult=0)


def test_a_text_shorter_than_its_instruction_is_refused_where_that_is_asked() -> None:
    x, mask = batch()
    mask[1] = False
    with pytest.raises(ValueError, match=r"rows \[1\] have no kept token"):
        LatentAttention(D, empty="error").double()(x[:, -1], mask)


def test_gelu_is_the_exact_one() -> None:
    block = CrossAttention(2, 1)
    with torch.no_grad():
        for name, weight in block.named_parameters():
            weight.copy_(torch.ones_like(weight) if name.startswith("norm_ff") else 0 * weight)
        block.norm_ff.bias.fill_(1.0)  # LN(U) is 1 + (±1): the second channel gives gelu(2) = 2 Phi(2)
        block.norm_ff.weight.fill_(1.0)
        block.ff_in.weight[8:, 1] = 1
        block.ff_in.bias[:8] = 1
        block.ff_out.weight[0, 0] = 1
    out = block(torch.tensor([[[-100.0, 100.0]]]), torch.zeros(1, 1, 2))
    expected = 2 * torch.distributions.Normal(0.0, 1.0).cdf(torch.tensor(2.0))
    torch.testing.assert_close(out[0, 0, 0] + 100, expected, rtol=0, atol=2e-5)


def test_every_weight_is_reached_by_the_gradient() -> None:
    x, mask = batch()
    for pooler in (LatentQueries(D), LatentAttention(D), MultiLayer(D, L)):
        given = x if pooler.reads == "all" else x[:, -1]
        pooler.double()(given, mask)[:, 0].sum().backward()
        assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in pooler.parameters())
        assert isinstance(pooler, nn.Module)
