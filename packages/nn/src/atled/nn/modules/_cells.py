"""Cells: one step of a recurrent layer."""

from __future__ import annotations

import math
from typing import Any

import atled.core as at
from atled.core import Tensor

from .. import init
from .._module import Module
from .._parameter import Parameter
from .._precision import cast
from .._recurrence import GATES, State, Weights, gates_of, step_of


class _Cell(Module):
    weight_ih: Parameter
    weight_hh: Parameter
    bias_ih: Parameter | None
    bias_hh: Parameter | None

    def __init__(
        self, mode: str, input_size: int, hidden_size: int, bias: bool, device: Any, dtype: at.dtype | None
    ) -> None:
        super().__init__()
        for setting, got, least in (("input_size", input_size, 0), ("hidden_size", hidden_size, 1)):
            if got < least:
                raise at.InvalidValueError(f"{type(self).__name__}: expected {setting} of at least {least}, got {got}")
        self.input_size, self.hidden_size, self.bias, self._mode = input_size, hidden_size, bias, mode
        rows = GATES[mode] * hidden_size
        for name, columns in (("weight_ih", input_size), ("weight_hh", hidden_size)):
            self.register_parameter(name, Parameter(at.empty(rows, columns, device=device, dtype=dtype)))
        for name in ("bias_ih", "bias_hh"):
            vector = Parameter(at.empty(rows, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, vector)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all parameters uniformly in ``±1 / sqrt(hidden_size)``."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def _step(self, input: Tensor, hx: State | None) -> State:
        """The next state, with a batch or without as the input."""
        name, size = type(self).__name__, self.hidden_size
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            raise at.ShapeError(
                f"{name}: expected input (N, {self.input_size}) or ({self.input_size},), got {tuple(input.shape)}"
            )
        lead = tuple(input.shape[:-1])
        if hx is None:
            zeros = at.zeros(*lead, size, dtype=input.dtype, device=input.device)
            hx = (zeros, zeros) if self._mode == "LSTM" else (zeros,)
        for part in hx:
            if tuple(part.shape) != (*lead, size):
                raise at.ShapeError(f"{name}: expected hx of shape {(*lead, size)}, got {tuple(part.shape)}")
            expect_state_dtype(self, part, input)
        weights = Weights(self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if lead:
            return step_of(self._mode, weights)(gates_of(self._mode, input, weights), hx)
        rows = tuple(part.unsqueeze(0) for part in hx)
        state = step_of(self._mode, weights)(gates_of(self._mode, input.unsqueeze(0), weights), rows)
        return tuple(part.squeeze(0) for part in state)

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """``tanh(W_ih x + b_ih + W_hh h + b_hh)`` (Elman 1990), or ``relu`` in the place of ``tanh``.

    Input ``(N, input_size)`` or ``(input_size,)``, hidden state ``(N, hidden_size)`` or ``(hidden_size,)``, zeros if it
    is not given. ``weight_ih`` ``(hidden_size, input_size)``, ``weight_hh`` ``(hidden_size, hidden_size)`` and the two
    biases start uniform in ``±1 / sqrt(hidden_size)``. ShapeError and DTypeError where input and state do not fit.

    >>> import atled.core as at
    >>> cell = RNNCell(3, 5)
    >>> hidden = cell(at.ones(2, 3))
    >>> cell(at.ones(2, 3), hidden).shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__(mode_of("RNNCell", nonlinearity), input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden state; ``hx`` None stands for zeros."""
        expect_one_state(self, hx)
        return self._step(input, None if hx is None else (hx,))[0]

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")


def expect_one_state(layer: Module, hx: Any) -> None:
    """Raises ArgumentError for a pair of states, as an LSTM has them."""
    if hx is not None and not isinstance(hx, Tensor):
        raise at.ArgumentError(f"{type(layer).__name__}: expected hx to be one Tensor, got {type(hx).__name__}")


def expect_state_dtype(layer: Module, state: Tensor, input: Tensor) -> None:
    """Raises DTypeError for a state of another dtype than the input, where autocast does not make them one."""
    state, input = cast("lower", state, input)
    if state.dtype != input.dtype:
        raise at.DTypeError(
            f"{type(layer).__name__}: expected hx of dtype {input.dtype.name} as the input, got {state.dtype.name}"
        )


def mode_of(layer: str, nonlinearity: str) -> str:
    """The mode of an Elman network; InvalidValueError for another nonlinearity than tanh and relu."""
    if nonlinearity not in ("tanh", "relu"):
        raise at.InvalidValueError(f"{layer}: expected nonlinearity 'tanh' or 'relu', got {nonlinearity!r}")
    return f"RNN_{nonlinearity.upper()}"


class LSTMCell(_Cell):
    """One step of an LSTM (Hochreiter & Schmidhuber 1997), as `LSTM` computes it.

    Input ``(N, input_size)`` or ``(input_size,)``; hidden state and cell, a pair of ``(N, hidden_size)`` or
    ``(hidden_size,)``, zeros if it is not given. Parameters are those of `RNNCell`, with ``4 hidden_size`` rows.

    >>> import atled.core as at
    >>> hidden, cell = LSTMCell(3, 5)(at.ones(2, 3))
    >>> hidden.shape, cell.shape
    ((2, 5), (2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__("LSTM", input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next hidden state and cell; ``hx`` has those before, and None stands for zeros."""
        if hx is not None and (isinstance(hx, Tensor) or len(hx) != 2):
            raise at.ArgumentError("LSTMCell: expected hx to be a pair of the hidden state and the cell")
        hidden, cell = self._step(input, None if hx is None else tuple(hx))
        return hidden, cell


class GRUCell(_Cell):
    """One step of a gated recurrent unit (Cho et al. 2014), as `GRU` computes it.

    Input ``(N, input_size)`` or ``(input_size,)``, hidden state ``(N, hidden_size)`` or ``(hidden_size,)``, zeros if it
    is not given. Parameters are those of `RNNCell`, with ``3 hidden_size`` rows.

    >>> import atled.core as at
    >>> cell = GRUCell(3, 5)
    >>> cell(at.ones(2, 3)).shape, cell.weight_ih.shape
    ((2, 5), (15, 3))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__("GRU", input_size, hidden_size, bias, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next hidden state; ``hx`` None stands for zeros."""
        expect_one_state(self, hx)
        return self._step(input, None if hx is None else (hx,))[0]
