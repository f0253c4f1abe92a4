"""What every pooler promises, asked of each row of kind pool: adding the row is what tests a new pooler."""

import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cenote import registry
from cenote.pool import Pooler

WIDTH = 8
UNREAD = [float("nan"), float("inf"), -float("inf"), 1e30, -1e30]


def _words() -> list[str]:
    built = (row for row in registry.rows("pool") if row.built and row.gives == "dense" and not row.side)
    return [row.word for row in built if row.load().reads == "last"]


def made(word: str, **given: object) -> Pooler:
    """The pooler of a word: weights seeded, widths it must be told filled in."""
    torch.manual_seed(0)
    kind = registry.find(word, ("pool",)).load()
    needed = {p.name: WIDTH for p in registry.parameters(kind) if p.default is p.empty}
    pooler: Pooler = kind(**needed, **given).eval()
    return pooler


def drawn(rows: int, tokens: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Random x (rows, tokens, WIDTH) and a mask with gaps that keeps at least one token a row."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, tokens, WIDTH, generator=generator, dtype=torch.float64)
    mask = torch.rand(rows, tokens, generator=generator) < 0.6
    mask[torch.arange(rows), torch.randint(0, tokens, (rows,), generator=generator)] = True
    return x.to(dtype), mask


def packed(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """The kept tokens end to end, and where each row starts."""
    return x[mask], torch.cat([torch.zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])


def gradient(pool: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of a fixed weighting of the result in x."""
    x = x.clone().requires_grad_()
    out = pool(x)
    (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    assert x.grad is not None
    return x.grad


every_pooler = pytest.mark.parametrize("word", _words())
quick = settings(max_examples=25, deadline=None)


def test_the_registry_has_poolers_to_test() -> None:
    assert {"mean", "max", "cls", "last"} <= set(_words())


@every_pooler
@quick
@given(
    rows=st.integers(1, 4),
    tokens=st.integers(1, 7),
    before=st.integers(0, 3),
    after=st.integers(0, 3),
    filler=st.sampled_from(UNREAD),
    seed=st.integers(0, 99),
)
def test_padding_never_changes_the_answer(
    word: str, rows: int, tokens: int, before: int, after: int, filler: float, seed: int
) -> None:
    x, mask = drawn(rows, tokens, seed)
    wider = torch.nn.functional.pad(x, (0, 0, before, after), value=filler)
    out = made(word)(wider, torch.nn.functional.pad(mask, (before, after), value=False))
    torch.testing.assert_close(out, made(word)(x, mask), rtol=0, atol=1e-12)


@every_pooler
@pytest.mark.parametrize("filler", UNREAD)
def test_what_the_mask_leaves_out_is_never_read(word: str, filler: float) -> None:
    x, mask = drawn(6, 8)
    spoilt = x.masked_fill(~mask[:, :, None], filler)
    assert torch.equal(made(word)(spoilt, mask), made(word)(x, mask))


@every_pooler
@pytest.mark.parametrize("filler", UNREAD)
def test_padding_never_changes_a_gradient(word: str, filler: float) -> None:
    x, mask = drawn(6, 8)
    spoilt = x.masked_fill(~mask[:, :, None], filler)
    pooler = made(word)
    clean = gradient(lambda x: pooler(x, mask), x)
    assert torch.equal(gradient(lambda x: pooler(x, mask), spoilt), clean)
    assert (clean[~mask] == 0).all()


@every_pooler
@quick
@given(rows=st.integers(1, 5), tokens=st.integers(1, 8), seed=st.integers(0, 99))
def test_packed_and_padded_give_the_same_answer(word: str, rows: int, tokens: int, seed: int) -> None:
    x, mask = drawn(rows, tokens, seed)
    pooler = made(word)
    torch.testing.assert_close(pooler.forward_packed(*packed(x, mask)), pooler(x, mask), rtol=1e-12, atol=1e-12)


@every_pooler
def test_packed_and_padded_give_the_same_gradient(word: str) -> None:
    x, mask = drawn(5, 7)
    x[0, :] = x[0, :1]  # ties, where the greatest value has several places
    pooler = made(word)
    values, offsets = packed(x, mask)
    alone = gradient(lambda values: pooler.forward_packed(values, offsets), values)
    torch.testing.assert_close(alone, gradient(lambda x: pooler(x, mask), x)[mask])


@every_pooler
def test_a_row_is_pooled_alone(word: str) -> None:
    x, mask = drawn(5, 6)
    pooler = made(word)
    together = pooler(x, mask)
    for i in range(5):
        torch.testing.assert_close(pooler(x[i : i + 1], mask[i : i + 1]), together[i : i + 1])


@every_pooler
def test_no_mask_means_every_token(word: str) -> None:
    x, mask = drawn(3, 6)
    assert torch.equal(made(word)(x), made(word)(x, torch.ones_like(mask)))


@every_pooler
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_mask_of_zeros_and_ones_is_a_mask(word: str, dtype: torch.dtype) -> None:
    x, mask = drawn(3, 6)
    assert torch.equal(made(word)(x, mask.to(dtype)), made(word)(x, mask))


@every_pooler
@quick
@given(seed=st.integers(0, 99))
def test_order_matters_only_where_it_is_declared(word: str, seed: int) -> None:
    x, mask = drawn(3, 7, seed)
    pooler = made(word)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    if pooler.order == "invariant":
        torch.testing.assert_close(pooler(x[:, order], mask[:, order]), pooler(x, mask))


@every_pooler
def test_a_pooler_declared_ordered_is_so(word: str) -> None:
    x, mask = drawn(8, 7)
    pooler = made(word)
    if pooler.order == "ordered":
        assert not torch.allclose(pooler(x.flip(1), mask.flip(1)), pooler(x, mask))


@every_pooler
@pytest.mark.parametrize("times", [2, 3])
def test_repeating_the_tokens_does_what_is_declared(word: str, times: int) -> None:
    x, mask = drawn(4, 5)
    pooler = made(word)
    once, repeated = pooler(x, mask), pooler(x.repeat(1, times, 1), mask.repeat(1, times))
    if pooler.scaling == "none":
        assert not torch.allclose(repeated, once)
    else:
        torch.testing.assert_close(repeated, once * times if pooler.scaling == "sum" else once)


@every_pooler
def test_a_token_alone_is_its_own_mean_or_maximum(word: str) -> None:
    x, _ = drawn(4, 1)
    pooler = made(word)
    if pooler.scaling in ("mean", "max") and not list(pooler.parameters()):
        torch.testing.assert_close(pooler(x), x[:, 0])


@every_pooler
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_reduced_in_fp32(word: str, dtype: torch.dtype) -> None:
    # 4,000 tokens near 1: a running sum in bf16 stands still at 256, in fp16 at 2,048
    x = (1 + torch.rand(2, 4000, WIDTH, generator=torch.Generator().manual_seed(0)) / 8).to(dtype)
    pooler = made(word)
    expected = pooler(x.float()).to(dtype)
    offsets = torch.tensor([0, 4000, 8000])
    for out in (pooler(x), pooler.forward_packed(x.flatten(0, 1), offsets)):
        assert out.dtype == dtype
        torch.testing.assert_close(out, expected, rtol=torch.finfo(dtype).eps, atol=0)


@every_pooler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_answer_has_the_type_and_width_that_are_promised(word: str, dtype: torch.dtype) -> None:
    x, mask = drawn(3, 4, dtype=dtype)
    pooler = made(word)
    for out in (pooler(x, mask), pooler.forward_packed(*packed(x, mask))):
        assert out.dtype == dtype
        assert out.shape == (3, pooler.out_dim(WIDTH))


@every_pooler
def test_a_row_with_no_kept_token_gives_zeros(word: str) -> None:
    x, mask = drawn(3, 4)
    mask[1] = False
    pooler = made(word)
    for out in (pooler(x, mask), pooler.forward_packed(*packed(x, mask))):
        assert (out[1] == 0).all()
        assert (out[[0, 2]] != 0).any(dim=1).all()


@every_pooler
@pytest.mark.parametrize("filler", [0.0, *UNREAD])
def test_a_row_with_no_kept_token_has_no_gradient(word: str, filler: float) -> None:
    x, mask = drawn(3, 4)
    mask[1] = False
    x[1] = filler
    pooler = made(word)
    assert (gradient(lambda x: pooler(x, mask), x)[1] == 0).all()


@every_pooler
def test_rows_of_no_tokens_at_all_give_zeros(word: str) -> None:
    pooler = made(word)
    nothing = torch.zeros(3, pooler.out_dim(WIDTH))
    assert torch.equal(pooler(torch.zeros(3, 0, WIDTH)), nothing)
    assert torch.equal(pooler.forward_packed(torch.zeros(0, WIDTH), torch.zeros(4, dtype=torch.int64)), nothing)


@every_pooler
def test_no_rows_give_no_vectors(word: str) -> None:
    pooler = made(word)
    assert pooler(torch.zeros(0, 4, WIDTH)).shape == (0, pooler.out_dim(WIDTH))
    none = pooler.forward_packed(torch.zeros(0, WIDTH), torch.zeros(1, dtype=torch.int64))
    assert none.shape == (0, pooler.out_dim(WIDTH))


@every_pooler
def test_empty_rows_are_refused_where_that_is_asked(word: str) -> None:
    x, mask = drawn(4, 4)
    mask[[1, 3]] = False
    pooler = made(word, empty="error")
    with pytest.raises(ValueError, match=r"rows \[1, 3\] have no kept token"):
        pooler(x, mask)
    with pytest.raises(ValueError, match=r"rows \[1, 3\] have no kept token"):
        pooler.forward_packed(*packed(x, mask))
    assert torch.equal(pooler(x[:1], mask[:1]), made(word)(x[:1], mask[:1]))


@pytest.mark.parametrize("word", [word for word in _words() if type(made(word)).weights is not Pooler.weights])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_given_back_make_the_answer(word: str, dtype: torch.dtype) -> None:
    x, mask = drawn(4, 6, dtype=dtype)
    mask[2] = False
    pooler = made(word)
    out, weights = pooler(x, mask, return_weights=True)
    assert weights.shape == mask.shape
    assert (weights[~mask] == 0).all()
    again = torch.einsum("bn,bnd->bd", weights, x.float())
    torch.testing.assert_close(again.to(dtype), out)


@every_pooler
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gradient_is_the_derivative(word: str, seed: int) -> None:
    x, mask = drawn(3, 4, seed)
    mask[0] = torch.tensor([False, True, False, False])
    values, offsets = packed(x, mask)
    pooler = made(word).double()
    assert torch.autograd.gradcheck(lambda x: pooler(x, mask), x.requires_grad_())
    values = values.detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda values: pooler.forward_packed(values, offsets), values)


@every_pooler
def test_a_deep_copy_answers_alike_and_alone(word: str) -> None:
    x, mask = drawn(3, 4)
    pooler = made(word).double()
    copied = copy.deepcopy(pooler)
    assert torch.equal(copied(x, mask), pooler(x, mask))
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in pooler.parameters()}


@every_pooler
def test_a_state_dict_carries_the_whole_pooler(word: str) -> None:
    x, mask = drawn(3, 4, dtype=torch.float32)
    pooler, other = made(word), made(word)
    with torch.no_grad():
        for weight in pooler.parameters():
            weight.normal_()
    other.load_state_dict(pooler.state_dict(), strict=True)
    assert torch.equal(other(x, mask), pooler(x, mask))


@every_pooler
def test_a_configuration_builds_the_pooler_again(word: str) -> None:
    x, mask = drawn(3, 4, dtype=torch.float32)
    pooler = made(word)
    again = registry.build(registry.config(pooler)).eval()
    again.load_state_dict(pooler.state_dict())
    assert type(again) is type(pooler)
    assert torch.equal(again(x, mask), pooler(x, mask))


@every_pooler
def test_torch_compiles_it_whole(word: str) -> None:
    x, mask = drawn(3, 4, dtype=torch.float32)
    mask[1] = False
    pooler = made(word)
    torch._dynamo.reset()
    compiled = torch.compile(pooler, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, mask), pooler(x, mask))
