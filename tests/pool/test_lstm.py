"""The LSTM pooler is torch's LSTM read at the right place, wherever the padding stands."""

import pytest
import torch
from torch import Tensor, nn

from cenote.pool.lstm import LSTM

WIDTH, HIDDEN = 5, 7


def drawn(rows: int = 9, tokens: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, tokens, WIDTH, generator=generator)
    return x, torch.arange(tokens) < torch.randint(1, tokens + 1, (rows, 1), generator=generator)


def made(*, bidirectional: bool = False) -> LSTM:
    torch.manual_seed(0)
    return LSTM(WIDTH, HIDDEN, bidirectional=bidirectional)


def peer(pooler: LSTM) -> nn.LSTM:
    """The network of torch with the same weights."""
    network = nn.LSTM(WIDTH, HIDDEN, batch_first=True, bidirectional=pooler.bidirectional)
    for direction, cell in enumerate(pooler.cells):
        for name, weight in cell.named_parameters():
            getattr(network, f"{name}_l0" + "_reverse" * direction).data.copy_(weight.data)
    return network


def forms(pooler: LSTM, x: Tensor, mask: Tensor) -> list[Tensor]:
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), mask.sum(1).cumsum(0)])
    return [pooler(x, mask), pooler.forward_packed(x[mask], offsets)]


def test_it_is_the_last_state_of_each_row_read_alone() -> None:
    pooler, (x, mask) = made(), drawn()
    expected = torch.stack([peer(pooler)(row[kept])[0][-1] for row, kept in zip(x, mask, strict=True)])
    for found in forms(pooler, x, mask):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_in_both_directions_each_network_has_read_the_whole_row() -> None:
    pooler, (x, mask) = made(bidirectional=True), drawn()
    forwards, backwards = (LSTM(WIDTH, HIDDEN) for _ in range(2))
    forwards.cells[0], backwards.cells[0] = pooler.cells
    expected = [
        torch.cat([forwards(row[kept][None])[0], backwards(row[kept].flip(0)[None])[0]])
        for row, kept in zip(x, mask, strict=True)
    ]
    for found in forms(pooler, x, mask):
        torch.testing.assert_close(found, torch.stack(expected), rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(found, torch.cat(tuple(_last(peer(pooler), x, mask)), 1), rtol=1e-6, atol=1e-6)


def _last(network: nn.LSTM, x: Tensor, mask: Tensor) -> Tensor:
    packed = nn.utils.rnn.pack_padded_sequence(x, mask.sum(1), batch_first=True, enforce_sorted=False)
    states: Tensor = network(packed)[1][0]
    return states


def test_reading_both_directions_at_the_last_token_leaves_one_of_them_with_a_single_token() -> None:
    """So the released code reads them; its backward half knows nothing of the rest of the row."""
    pooler, (x, mask) = made(bidirectional=True), drawn()
    last = mask.sum(1) - 1
    network = peer(pooler)
    released = torch.stack([network(row[kept])[0][-1] for row, kept in zip(x, mask, strict=True)])
    found = pooler(x, mask)
    torch.testing.assert_close(released[:, :HIDDEN], found[:, :HIDDEN], rtol=1e-6, atol=1e-6)
    alone = torch.stack([network(row[i : i + 1])[0][-1] for row, i in zip(x, last, strict=True)])
    torch.testing.assert_close(released[:, HIDDEN:], alone[:, HIDDEN:], rtol=1e-6, atol=1e-6)
    longer = last > 0
    assert not torch.isclose(released[longer, HIDDEN:], found[longer, HIDDEN:]).all(1).any()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_side_of_the_padding_does_not_matter(bidirectional: bool) -> None:
    pooler, (x, _) = made(bidirectional=bidirectional), drawn(3, 4)
    expected = pooler(x)
    for left, right in ((3, 0), (0, 3), (2, 1)):
        wide = nn.functional.pad(x, (0, 0, left, right), value=torch.nan)
        mask = nn.functional.pad(torch.ones(3, 4, dtype=torch.bool), (left, right))
        torch.testing.assert_close(pooler(wide, mask), expected, rtol=1e-6, atol=1e-6)


def test_the_gradients_of_both_forms_are_those_of_torch() -> None:
    found = []
    for form in range(3):
        pooler, (x, mask) = made(bidirectional=True), drawn()
        network = peer(pooler)
        out = forms(pooler, x, mask)[form] if form < 2 else torch.cat(tuple(_last(network, x, mask)), 1)
        (out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum().backward()
        found.append([w.grad for w in (pooler if form < 2 else network).parameters()])
    for each in found[:2]:
        for one, other in zip(each, found[2], strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_it_has_the_weights_and_the_width_that_the_equations_say(bidirectional: bool) -> None:
    pooler, ways = made(bidirectional=bidirectional), 1 + bidirectional
    assert pooler.out_dim(WIDTH) == ways * HIDDEN
    assert sum(weight.numel() for weight in pooler.parameters()) == ways * 4 * HIDDEN * (WIDTH + HIDDEN + 2)
    assert max(weight.abs().max().item() for weight in pooler.parameters()) <= HIDDEN**-0.5


def test_a_state_of_no_width_is_refused() -> None:
    with pytest.raises(ValueError, match="hidden must be at least 1, not 0"):
        LSTM(WIDTH, 0)
