"""What every pooler promises, asked of each row of kind pool: adding the row is what tests a new pooler.

A pooler that needs an input beside the tokens wants one line in SIDE (and one in OF_TOKENS, where the input has a value
a token); a constructor argument without a default that is no width, one in NEEDED.
"""

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from cenote import registry
from cenote.pool import Pooler

WIDTH, LAYERS = 8, 3
UNREAD = [float("nan"), float("inf"), -float("inf"), 1e30, -1e30]

NEEDED: dict[str, object] = {"layers": LAYERS}
"""Constructor arguments that have no default and are not widths."""
SIDE: dict[str, Callable[[Tensor], Tensor]] = {
    "words": lambda mask: mask.cumsum(1) - 1,
    "spans": lambda mask: torch.stack([torch.stack([n, n + 1], 1) for n in (0 * mask.sum(1), mask.sum(1) - 1)], 1),
    "heads": lambda mask: tree(mask.sum(1, keepdim=True), max(1, mask.shape[1])),
}
"""How to draw each side input for tokens that a mask (B, N) keeps; the same mask gives inputs that fit each other."""
OF_TOKENS: set[str] = {"words"}
"""The side inputs with a value a token: (B, N, …) padded, (M, …) packed. The others have a value a row: (B, …)."""
LEAST: dict[str, int] = {"spans": 2}
"""Tokens that a row must have for a side input to be drawn; one where nothing is said."""


def tree(words: Tensor, most: int) -> Tensor:
    """(B, most): the word that each of the first `words` of a row hangs from, two on one; -2 behind them."""
    place = torch.arange(most)
    return ((place - 1) // 2).masked_fill(place >= words, -2)


@dataclass(frozen=True)
class Batch:
    """x (B, N, D) or (B, L, N, D), mask (B, N), and the side inputs."""

    x: Tensor
    mask: Tensor
    side: dict[str, Tensor] = field(default_factory=dict)

    def padded(self, pooler: Pooler) -> Tensor:
        """What the pooler makes of it in the padded form."""
        return pooler(self.x, self.mask, side=self.side)

    def packed(self, pooler: Pooler) -> Tensor:
        """What it makes of the kept tokens end to end."""
        return pooler.forward_packed(self.kept(self.x), self.offsets, side=self.side_of_kept())

    @property
    def offsets(self) -> Tensor:
        """Where each row starts among the kept tokens."""
        return torch.cat([torch.zeros(1, dtype=torch.int64), self.mask.sum(1).cumsum(0)])

    def kept(self, x: Tensor) -> Tensor:
        """The kept tokens of something shaped like x: (M, D) or (L, M, D)."""
        return x.movedim(1, 2)[self.mask].movedim(0, 1) if x.ndim == 4 else x[self.mask]

    def side_of_kept(self) -> dict[str, Tensor]:
        """The side inputs as the packed form takes them."""
        return {name: value[self.mask] if name in OF_TOKENS else value for name, value in self.side.items()}

    def along_tokens(self, change: Callable[[Tensor, int], Tensor]) -> "Batch":
        """The batch after `change(tensor, axis of the tokens)` of all that has such an axis."""
        side = {name: change(value, 1) if name in OF_TOKENS else value for name, value in self.side.items()}
        return Batch(change(self.x, self.x.ndim - 2), change(self.mask, 1), side)

    def row(self, i: int) -> "Batch":
        """Row i alone."""
        return Batch(
            self.x[i : i + 1], self.mask[i : i + 1], {name: value[i : i + 1] for name, value in self.side.items()}
        )

    def spoilt(self, filler: float) -> "Batch":
        """The batch with something else where the mask leaves tokens out."""
        out = ~self.mask
        x = self.x.masked_fill(out[:, None, :, None] if self.x.ndim == 4 else out[:, :, None], filler)
        side = {name: filled(value, out, filler) if name in OF_TOKENS else value for name, value in self.side.items()}
        return replace(self, x=x, side=side)

    def wider(self, before: int, after: int, filler: float) -> "Batch":
        """The batch with padding on both sides."""

        def pad(x: Tensor, axis: int) -> Tensor:
            shape = list(x.shape)
            parts = [x.new_zeros([*shape[:axis], more, *shape[axis + 1 :]]) for more in (before, after)]
            return torch.cat([parts[0], x, parts[1]], axis)

        return self.along_tokens(pad).spoilt(filler)


def filled(value: Tensor, where: Tensor, filler: float) -> Tensor:
    """A value a token with the filler at some tokens; a number that is no index where it holds integers."""
    where = where.view(*where.shape, *[1] * (value.ndim - 2))
    return value.masked_fill(where, filler if value.is_floating_point() else 10**6 * (1 if filler > 0 else -1))


def made(word: str, dtype: torch.dtype = torch.float64, **given: object) -> Pooler:
    """The pooler of a word: weights seeded and none at a special value, arguments it must be told filled in."""
    torch.manual_seed(0)
    kind = registry.find(word, ("pool",)).load()
    needed = {p.name: NEEDED.get(p.name, WIDTH) for p in registry.parameters(kind) if p.default is p.empty}
    pooler: Pooler = kind(**needed, **given).eval()
    stir(pooler)
    return pooler.to(dtype)


def stir(pooler: Pooler) -> None:
    """Move every weight a little, so that none stays at the zeros or ones it may begin with."""
    with torch.no_grad():
        for weight in pooler.parameters():
            weight.add_(torch.randn_like(weight) / 10)


def drawn(pooler: Pooler, rows: int, tokens: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Batch:
    """Random tokens, and a mask with gaps that keeps at least one token a row."""
    generator = torch.Generator().manual_seed(seed)
    least = max((LEAST.get(name, 1) for name in pooler.side), default=1)
    tokens = max(tokens, least)
    mask = torch.rand(rows, tokens, generator=generator) < 0.6
    for row in mask:
        row[torch.randperm(tokens, generator=generator)[:least]] = True
    shape = (rows, *layers_of(pooler), tokens, WIDTH)
    return Batch(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype), mask, sides(pooler, mask))


def layers_of(pooler: Pooler) -> tuple[int, ...]:
    """The axis of layers in x, where the pooler has one."""
    if isinstance(pooler.reads, tuple):
        return (len(pooler.reads),)
    return (LAYERS,) if pooler.reads == "all" else ()


def sides(pooler: Pooler, mask: Tensor) -> dict[str, Tensor]:
    """The side inputs of a pooler for tokens that a mask keeps."""
    return {name: SIDE[name](mask) for name in sorted(pooler.side)}


def whole(pooler: Pooler, x: Tensor) -> Batch:
    """A batch of which every token is kept."""
    mask = torch.ones(x.shape[0], x.shape[-2], dtype=torch.bool)
    return Batch(x, mask, sides(pooler, mask))


def gradient(pool: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of a fixed weighting of the result in x."""
    x = x.clone().requires_grad_()
    out = pool(x)
    (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
    assert x.grad is not None
    return x.grad


def padded_gradient(pooler: Pooler, batch: Batch) -> Tensor:
    """The gradient in x of the padded form."""
    return gradient(lambda x: replace(batch, x=x).padded(pooler), batch.x)


def emptied(batch: Batch, row: int) -> Batch:
    """The batch with no kept token in one row."""
    mask = batch.mask.clone()
    mask[row] = False
    return replace(batch, mask=mask)


def _words() -> list[str]:
    return [row.word for row in registry.rows("pool") if row.built and row.gives == "dense"]


every_pooler = pytest.mark.parametrize("word", _words())
quick = settings(max_examples=15, deadline=None)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tensors are tiny here: a second thread costs more than it does."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_registry_has_poolers_to_test() -> None:
    assert {"mean", "max", "cls", "last"} <= set(_words())


@every_pooler
def test_its_row_says_what_it_is(word: str) -> None:
    row, pooler = registry.find(word, ("pool",)), made(word)
    assert set(row.side) == pooler.side
    assert pooler.side <= SIDE.keys(), "say in SIDE how such an input is drawn"
    assert row.trained or not list(pooler.parameters()), "a pooler with weights is `trained = true` in its row"


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
    pooler = made(word)
    batch = drawn(pooler, rows, tokens, seed)
    out = batch.wider(before, after, filler).padded(pooler)
    torch.testing.assert_close(out, batch.padded(pooler), rtol=1e-12, atol=1e-12)


@every_pooler
@pytest.mark.parametrize("filler", UNREAD)
def test_what_the_mask_leaves_out_is_never_read(word: str, filler: float) -> None:
    pooler = made(word)
    batch = drawn(pooler, 6, 8)
    assert torch.equal(batch.spoilt(filler).padded(pooler), batch.padded(pooler))


@every_pooler
@pytest.mark.parametrize("filler", UNREAD)
def test_padding_never_changes_a_gradient(word: str, filler: float) -> None:
    pooler = made(word)
    batch = drawn(pooler, 6, 8)
    spoilt, clean = (padded_gradient(pooler, each) for each in (batch.spoilt(filler), batch))
    assert torch.equal(spoilt, clean)
    assert (replace(batch, mask=~batch.mask).kept(clean) == 0).all()


@every_pooler
def test_padding_never_changes_the_gradient_of_a_weight(word: str) -> None:
    found = []
    for filler in (0.0, *UNREAD) if list(made(word).parameters()) else ():
        pooler = made(word)
        drawn(pooler, 6, 8).spoilt(filler).padded(pooler).square().sum().backward()
        found.append([torch.zeros(0) if weight.grad is None else weight.grad for weight in pooler.parameters()])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@every_pooler
@quick
@given(rows=st.integers(1, 5), tokens=st.integers(1, 8), seed=st.integers(0, 99))
def test_packed_and_padded_give_the_same_answer(word: str, rows: int, tokens: int, seed: int) -> None:
    pooler = made(word)
    batch = drawn(pooler, rows, tokens, seed)
    torch.testing.assert_close(batch.packed(pooler), batch.padded(pooler), rtol=1e-11, atol=1e-11)


@every_pooler
def test_packed_and_padded_give_the_same_gradient(word: str) -> None:
    pooler = made(word)
    batch = drawn(pooler, 5, 7)
    batch.x[0] = batch.x[0, ..., :1, :]  # ties, where the greatest value has several places
    side = batch.side_of_kept()
    alone = gradient(lambda values: pooler.forward_packed(values, batch.offsets, side=side), batch.kept(batch.x))
    torch.testing.assert_close(alone, batch.kept(padded_gradient(pooler, batch)))


@every_pooler
def test_a_row_is_pooled_alone(word: str) -> None:
    pooler = made(word)
    batch = drawn(pooler, 5, 6)
    together = batch.padded(pooler)
    for i in range(5):
        torch.testing.assert_close(batch.row(i).padded(pooler), together[i : i + 1])


@every_pooler
def test_no_mask_means_every_token(word: str) -> None:
    pooler = made(word)
    batch = whole(pooler, drawn(pooler, 3, 6).x)
    assert torch.equal(pooler(batch.x, side=batch.side), batch.padded(pooler))


@every_pooler
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_mask_of_zeros_and_ones_is_a_mask(word: str, dtype: torch.dtype) -> None:
    pooler = made(word)
    batch = drawn(pooler, 3, 6)
    assert torch.equal(replace(batch, mask=batch.mask.to(dtype)).padded(pooler), batch.padded(pooler))


@every_pooler
@quick
@given(seed=st.integers(0, 99))
def test_order_matters_only_where_it_is_declared(word: str, seed: int) -> None:
    pooler = made(word)
    batch = drawn(pooler, 3, 7, seed)
    order = torch.randperm(7, generator=torch.Generator().manual_seed(seed))
    if pooler.order == "invariant":
        shuffled = batch.along_tokens(lambda x, axis: x.index_select(axis, order))
        torch.testing.assert_close(shuffled.padded(pooler), batch.padded(pooler))


@every_pooler
def test_a_pooler_declared_ordered_is_so(word: str) -> None:
    pooler = made(word)
    batch = drawn(pooler, 8, 7)
    if pooler.order == "ordered":
        flipped = batch.along_tokens(lambda x, axis: x.flip(axis))
        assert not torch.allclose(flipped.padded(pooler), batch.padded(pooler))


@every_pooler
@pytest.mark.parametrize("times", [2, 3])
def test_repeating_the_tokens_does_what_is_declared(word: str, times: int) -> None:
    pooler = made(word)
    batch = drawn(pooler, 4, 5)
    once, repeated = (
        b.padded(pooler) for b in (batch, batch.along_tokens(lambda x, axis: torch.cat([x] * times, axis)))
    )
    if pooler.scaling == "none":
        assert not torch.allclose(repeated, once)
    else:
        torch.testing.assert_close(repeated, once * times if pooler.scaling == "sum" else once)


@every_pooler
def test_a_token_alone_is_its_own_mean_or_maximum(word: str) -> None:
    pooler = made(word)
    plain = pooler.reads == "last" and not pooler.side and not list(pooler.parameters())
    if plain and pooler.scaling in ("mean", "max") and pooler.out_dim(WIDTH) == WIDTH:
        batch = drawn(pooler, 4, 1)
        torch.testing.assert_close(batch.padded(pooler), batch.x[:, 0])


@every_pooler
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_types_are_reduced_in_fp32(word: str, dtype: torch.dtype) -> None:
    # 4,000 tokens near 1: a running sum in bf16 stands still at 256, in fp16 at 2,048
    pooler = made(word, torch.float32)
    x = 1 + torch.rand(2, *layers_of(pooler), 4000, WIDTH, generator=torch.Generator().manual_seed(0)) / 8
    batch = whole(pooler, x.to(dtype))
    expected = replace(batch, x=batch.x.float()).padded(pooler).to(dtype)
    for out in (batch.padded(pooler), batch.packed(pooler)):
        assert out.dtype == dtype
        torch.testing.assert_close(out, expected, rtol=torch.finfo(dtype).eps, atol=1e-5)


@every_pooler
def test_weights_stay_in_fp32_when_a_model_is_made_half(word: str) -> None:
    pooler = made(word, torch.float32)
    batch = drawn(pooler, 3, 5, dtype=torch.bfloat16)
    expected = batch.padded(pooler)
    assert torch.equal(batch.padded(nn.Sequential(pooler).bfloat16()[0]), expected)


@every_pooler
def test_autocast_changes_nothing(word: str) -> None:
    pooler = made(word, torch.float32)
    batch = drawn(pooler, 3, 5, dtype=torch.float32)
    for form in (Batch.padded, Batch.packed):
        found = []
        for enabled in (True, False):
            x = batch.x.clone().requires_grad_()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                out = form(replace(batch, x=x), pooler)
            out.square().sum().backward()
            found += [out, x.grad]
        assert torch.equal(found[0], found[2])
        assert torch.equal(found[1], found[3])


@every_pooler
@pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.uint8])
def test_offsets_may_be_integers_of_any_size(word: str, dtype: torch.dtype) -> None:
    pooler = made(word)
    batch = emptied(drawn(pooler, 4, 5), 2)
    side = batch.side_of_kept()
    found = pooler.forward_packed(batch.kept(batch.x), batch.offsets.to(dtype), side=side)
    assert torch.equal(found, batch.packed(pooler))


@every_pooler
def test_a_replica_on_another_device_answers_alike(word: str) -> None:
    pooler = made(word)
    batch = drawn(pooler, 3, 5)
    for form in (Batch.padded, Batch.packed):
        torch.testing.assert_close(form(batch, replica(pooler)), form(batch, pooler))


def replica(module: nn.Module) -> Any:
    """A module as `DataParallel` copies it to a device: its weights are attributes and it lists none of them."""
    copied = module._replicate_for_data_parallel()
    for name, weight in module._parameters.items():
        setattr(copied, name, None if weight is None else weight.detach())
    copied._buffers = dict(module._buffers)
    copied._modules = {name: None if part is None else replica(part) for name, part in module._modules.items()}
    return copied


@every_pooler
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_answer_has_the_type_and_width_that_are_promised(word: str, dtype: torch.dtype) -> None:
    pooler = made(word, dtype)
    batch = drawn(pooler, 3, 4, dtype=dtype)
    for out in (batch.padded(pooler), batch.packed(pooler)):
        assert out.dtype == dtype
        assert out.shape == (3, pooler.out_dim(WIDTH))


@every_pooler
def test_a_row_with_no_kept_token_gives_zeros(word: str) -> None:
    pooler = made(word)
    batch = emptied(drawn(pooler, 3, 4), 1)
    for out in (batch.padded(pooler), batch.packed(pooler)):
        assert (out[1] == 0).all()
        assert (out[[0, 2]] != 0).any(dim=1).all()


@every_pooler
@pytest.mark.parametrize("filler", [0.0, *UNREAD])
def test_a_row_with_no_kept_token_has_no_gradient(word: str, filler: float) -> None:
    pooler = made(word)
    found = padded_gradient(pooler, emptied(drawn(pooler, 3, 4), 1).spoilt(filler))
    assert (found[1] == 0).all()
    assert found.isfinite().all()


@every_pooler
def test_rows_of_no_tokens_at_all_give_zeros(word: str) -> None:
    pooler = made(word)
    nothing = torch.zeros(3, pooler.out_dim(WIDTH), dtype=torch.float64)
    batch = whole(pooler, nothing.new_zeros(3, *layers_of(pooler), 0, WIDTH))
    assert torch.equal(batch.padded(pooler), nothing)
    assert torch.equal(batch.packed(pooler), nothing)


@every_pooler
def test_no_rows_give_no_vectors(word: str) -> None:
    pooler = made(word)
    batch = whole(pooler, torch.zeros(0, *layers_of(pooler), 4, WIDTH, dtype=torch.float64))
    assert batch.padded(pooler).shape == (0, pooler.out_dim(WIDTH))
    assert batch.packed(pooler).shape == (0, pooler.out_dim(WIDTH))


@every_pooler
def test_empty_rows_are_refused_where_that_is_asked(word: str) -> None:
    pooler = made(word, empty="error")
    full = drawn(pooler, 4, 4)
    batch = emptied(emptied(full, 1), 3)
    with pytest.raises(ValueError, match=r"rows \[1, 3\] have no kept token"):
        batch.padded(pooler)
    with pytest.raises(ValueError, match=r"rows \[1, 3\] have no kept token"):
        batch.packed(pooler)
    assert torch.equal(full.padded(pooler), full.padded(made(word)))


@every_pooler
def test_tokens_of_another_width_are_refused(word: str) -> None:
    pooler = made(word)
    if pooler.dim is None:
        return
    batch = drawn(pooler, 2, 3)
    batch = replace(batch, x=torch.cat([batch.x, batch.x], -1))
    for pool in (batch.padded, batch.packed):
        with pytest.raises(ValueError, match=f"tokens of width {2 * WIDTH}.*dim={WIDTH}"):
            pool(pooler)


@pytest.mark.parametrize("word", [word for word in _words() if type(made(word)).weights is not Pooler.weights])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_given_back_are_of_the_kept_tokens(word: str, dtype: torch.dtype) -> None:
    pooler = made(word, torch.float32)
    batch = emptied(drawn(pooler, 4, 6, dtype=dtype), 2)
    out, weights = pooler(batch.x, batch.mask, side=batch.side, return_weights=True)
    spoilt = batch.spoilt(torch.nan)
    assert torch.equal(weights, pooler(spoilt.x, spoilt.mask, side=spoilt.side, return_weights=True)[1])
    assert weights.shape in {(4, 6), (4, weights.shape[1], 6)}
    heads = weights.view(4, -1, 6)
    assert (heads.movedim(1, 2)[~batch.mask] == 0).all()
    if pooler.scaling == "mean":
        torch.testing.assert_close(heads.sum(2), batch.mask.any(1)[:, None].float().expand(4, heads.shape[1]))
    if not list(pooler.parameters()):
        torch.testing.assert_close(torch.einsum("bn,bnd->bd", weights, batch.x.float()).to(dtype), out)


@every_pooler
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_gradient_is_the_derivative_in_tokens_and_weights(word: str, seed: int) -> None:
    pooler = made(word)
    batch = drawn(pooler, 3, 4, seed)
    least = max((LEAST.get(name, 1) for name in pooler.side), default=1)
    batch.mask[0] = torch.arange(4) < least
    batch = Batch(batch.x, batch.mask, sides(pooler, batch.mask))
    names = [name for name, _ in pooler.named_parameters()]

    def both(x: Tensor, values: Tensor, *weights: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, weights, strict=True))
        padded = torch.func.functional_call(pooler, given, (x, batch.mask), {"side": batch.side})
        with_weights = _Packed(pooler)
        inner = {f"pooler.{name}": weight for name, weight in given.items()}
        return padded, torch.func.functional_call(with_weights, inner, (values, batch.offsets, batch.side_of_kept()))

    start = [batch.x, batch.kept(batch.x), *pooler.parameters()]
    torch.manual_seed(seed)  # fast mode checks one random direction
    assert torch.autograd.gradcheck(both, [x.detach().clone().requires_grad_() for x in start], fast_mode=True)


class _Packed(nn.Module):
    """The packed form as a module's forward."""

    def __init__(self, pooler: Pooler) -> None:
        super().__init__()
        self.pooler = pooler

    def forward(self, x: Tensor, offsets: Tensor, side: dict[str, Tensor]) -> Tensor:
        return self.pooler.forward_packed(x, offsets, side=side)


@every_pooler
def test_a_deep_copy_answers_alike_and_alone(word: str) -> None:
    pooler = made(word)
    batch, copied = drawn(pooler, 3, 4), copy.deepcopy(pooler)
    assert torch.equal(batch.padded(copied), batch.padded(pooler))
    assert not {id(p) for p in copied.parameters()} & {id(p) for p in pooler.parameters()}


@every_pooler
def test_a_state_dict_carries_the_whole_pooler(word: str) -> None:
    pooler, other = made(word), made(word)
    stir(pooler)
    other.load_state_dict(pooler.state_dict(), strict=True)
    batch = drawn(pooler, 3, 4)
    assert torch.equal(batch.padded(other), batch.padded(pooler))


@every_pooler
def test_a_configuration_builds_the_pooler_again(word: str) -> None:
    pooler = made(word)
    again = registry.build(json.loads(json.dumps(registry.config(pooler)))).double().eval()
    again.load_state_dict(pooler.state_dict())
    batch = drawn(pooler, 3, 4)
    assert type(again) is type(pooler)
    assert torch.equal(batch.padded(again), batch.padded(pooler))


of_each_arithmetic = pytest.mark.parametrize(
    "word", ["mean", "last", "attsets", "latentqueries", "simpool", "piecewise"]
)
"""One of the poolers that share a way to compute: a second is a second long here, and shows nothing else."""


@pytest.mark.parametrize("word", ["mean", "cls", "clsattend", "adapool", "latentqueries", "lp"])
def test_torch_func_gives_the_gradient_of_sums_and_products(word: str) -> None:
    pooler = made(word, torch.float32)
    batch = drawn(pooler, 3, 5, dtype=torch.float32)
    for pool in (
        lambda x: replace(batch, x=x).padded(pooler).square().sum(),
        lambda x: pooler.forward_packed(batch.kept(x), batch.offsets).square().sum(),
    ):
        x = batch.x.clone().requires_grad_()
        pool(x).backward()
        torch.testing.assert_close(torch.func.grad(pool)(batch.x), x.grad)


@pytest.mark.parametrize("word", ["mean", "max", "cls", "adapool", "lp"])
def test_torch_func_maps_it_over_batches(word: str) -> None:
    pooler = made(word, torch.float32)
    batches = [drawn(pooler, 3, 5, dtype=torch.float32), drawn(pooler, 3, 5, seed=1, dtype=torch.float32)]
    both = torch.func.vmap(lambda x: replace(batches[0], x=x).padded(pooler))(torch.stack([b.x for b in batches]))
    for out, batch in zip(both, batches, strict=True):
        torch.testing.assert_close(out, replace(batch, mask=batches[0].mask).padded(pooler))


@of_each_arithmetic
def test_torch_exports_it_for_batches_of_any_size(word: str) -> None:
    pooler = made(word, torch.float32)
    batch = drawn(pooler, 3, 5, dtype=torch.float32)
    rows = torch.export.Dim("rows")
    along = {0: rows, 1: torch.export.Dim("tokens")}
    sizes: dict[str, Any] = {"x": along, "mask": along}
    side: dict[str, Any] = {"side": batch.side} if batch.side else {}
    if batch.side:
        sizes["side"] = {name: along if name in OF_TOKENS else {0: rows} for name in batch.side}
    graph = torch.export.export(pooler, (batch.x, batch.mask), side, dynamic_shapes=sizes).module()
    other = drawn(pooler, 4, 9, seed=1, dtype=torch.float32)
    side = {"side": other.side} if batch.side else {}
    torch.testing.assert_close(graph(other.x, other.mask, **side), other.padded(pooler))


@of_each_arithmetic
def test_a_graph_compiled_for_any_size_is_compiled_once(word: str) -> None:
    pooler, graphs = made(word, torch.float32), []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Callable[..., Any]:
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    compiled = torch.compile(pooler, backend=backend, dynamic=True, fullgraph=True)
    for rows, tokens in ((3, 5), (4, 9), (7, 12)):
        batch = drawn(pooler, rows, tokens, dtype=torch.float32)
        torch.testing.assert_close(batch.padded(compiled), batch.padded(pooler))
    assert len(graphs) == 1


@every_pooler
def test_torch_compiles_it_whole(word: str) -> None:
    pooler = made(word, torch.float32)
    batch = emptied(drawn(pooler, 3, 4, dtype=torch.float32), 1).spoilt(torch.nan)
    other = whole(pooler, drawn(pooler, 2, 6, dtype=torch.bfloat16).x)
    torch._dynamo.reset()
    compiled = torch.compile(pooler, backend="eager", fullgraph=True)
    x = batch.x.clone().requires_grad_()
    torch.testing.assert_close(replace(batch, x=x).padded(compiled), batch.padded(pooler))
    torch.testing.assert_close(padded_gradient(compiled, batch), padded_gradient(pooler, batch))
    with torch.no_grad():
        torch.testing.assert_close(compiled(other.x, side=other.side), other.padded(pooler))
