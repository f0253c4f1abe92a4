"""Operators of ONNX for what torch's exporter has none for: a recurrent network, and sorting that keeps ties in order.

    h_n, c_n = cell(x_n, h_(n-1), c_(n-1))        ONNX's LSTM reads each row to its own length, from both ends

Its gates lie in another order than torch's: input, output, forget, cell. Its TopK gives equal numbers by their place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cenote.pool.lstm import LSTM


def in_onnx(pooler: nn.Module) -> nn.Module:
    """Return a module in which each LSTM, itself or inside, is one of ONNX; what is changed is the module given."""
    if isinstance(pooler, LSTM):
        return _Recurrent(pooler)
    for name, part in pooler.named_children():
        setattr(pooler, name, in_onnx(part))
    return pooler


class _Recurrent(LSTM):
    """An LSTM that can be traced, and no longer be computed."""

    def __init__(self, given: LSTM) -> None:
        assert given.dim is not None
        super().__init__(given.dim, given.hidden, bidirectional=given.bidirectional, empty=given.empty)
        self.load_state_dict(given.state_dict())
        cells = list(self.cells)
        self.inputs, self.states = (
            nn.Parameter(torch.stack([_gates(getattr(cell, name)) for cell in cells]), requires_grad=False)
            for name in ("weight_ih", "weight_hh")
        )
        both = [torch.cat([_gates(getattr(cell, name)) for name in ("bias_ih", "bias_hh")]) for cell in cells]
        self.biases = nn.Parameter(torch.stack(both), requires_grad=False)

    def padded(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the state behind the last kept token, and before the first one."""
        tokens = mask.shape[1]
        places = torch.arange(tokens, device=x.device)
        kept_first = torch.where(mask, places, tokens).argsort(dim=1, stable=True)
        ordered = x.masked_fill(~mask[:, :, None], 0).gather(1, kept_first[:, :, None].expand_as(x))
        lengths = mask.sum(1).clamp(min=1).to(torch.int32)
        last: Tensor = torch.ops.cenote.recurrent(
            ordered.transpose(0, 1), self.inputs, self.states, self.biases, lengths, self.hidden, self.bidirectional
        )
        return last.transpose(0, 1).flatten(1)


torch.library.define(
    "cenote::recurrent",
    "(Tensor x, Tensor inputs, Tensor states, Tensor biases, Tensor lengths, int hidden, bool both) -> Tensor",
)


def _shaped(
    x: Tensor, inputs: Tensor, states: Tensor, biases: Tensor, lengths: Tensor, hidden: int, both: bool
) -> Tensor:
    return x.new_empty(1 + both, x.shape[1], hidden)


torch.library.register_fake("cenote::recurrent", _shaped)


def _gates(weight: Tensor) -> Tensor:
    """Return the weights of torch's four gates (4 H, ...) in the order of ONNX."""
    enter, forget, cell, leave = weight.detach().chunk(4)
    return torch.cat([enter, leave, forget, cell])


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what torch's exporter is told: its operators, and functions that write them in ONNX's."""
    import onnxscript

    op: Any = onnxscript.opset18

    def sort(x: Any, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
        size = op.Gather(op.Shape(x), op.Constant(value_ints=[dim]))
        return op.TopK(x, size, axis=dim, largest=int(descending), sorted=1)

    def recurrent(x: Any, inputs: Any, states: Any, biases: Any, lengths: Any, hidden: int, both: bool) -> Any:
        direction = "bidirectional" if both else "forward"
        return op.LSTM(x, inputs, states, biases, lengths, hidden_size=hidden, direction=direction)[1]

    return {torch.ops.aten.sort.stable: sort, torch.ops.cenote.recurrent.default: recurrent}
