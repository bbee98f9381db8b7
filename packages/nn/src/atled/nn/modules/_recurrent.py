"""Recurrent layers."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, overload

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .. import init
from .._module import Module
from .._parameter import Parameter
from .._recurrence import GATES, State, Weights, gates_of, over_steps, step_of
from ..utils.rnn import PackedSequence
from ._cells import expect_one_state, expect_state_dtype, mode_of


class _Recurrent(Module):
    """Layers and directions of one mode, with their parameters and the loops over them."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if hidden_size < 1 or num_layers < 1:
            raise at.InvalidValueError(
                f"{name}: expected hidden_size and num_layers of at least 1, got {hidden_size} and {num_layers}"
            )
        if input_size < 0:
            raise at.InvalidValueError(f"{name}: expected input_size of at least 0, got {input_size}")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise at.InvalidValueError(f"{name}: expected dropout in [0, 1], got {dropout}")
        if not 0 <= proj_size < hidden_size:
            raise at.InvalidValueError(f"{name}: expected proj_size in [0, {hidden_size - 1}], got {proj_size}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(f"{name}: dropout is between layers; with num_layers=1 it does nothing", stacklevel=3)
        self.mode, self.input_size, self.hidden_size, self.num_layers = mode, input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._names = []
        rows, out = GATES[mode] * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            columns = input_size if layer == 0 else out * self._directions
            for end in ("", "_reverse")[: self._directions]:
                shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, columns), "weight_hh": (rows, out)}
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
                shapes |= {"weight_hr": (proj_size, hidden_size)} if proj_size else {}
                names = {part: f"{part}_l{layer}{end}" for part in shapes}
                for part, shape in shapes.items():
                    self.register_parameter(names[part], Parameter(at.empty(*shape, device=device, dtype=dtype)))
                self._names.append(names)
        self.reset_parameters()

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def reset_parameters(self) -> None:
        """Draws all parameters uniformly in ``±1 / sqrt(hidden_size)``."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def flatten_parameters(self) -> None:
        """PyTorch's, where it moves the weights into one piece of memory; there is nothing to do here."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        own = self.__dict__
        return [[own[name] for name in names.values()] for names in self._names]

    def _weights(self, k: int) -> Weights:
        own, names = self.__dict__, self._names[k]
        parts = (own[names[part]] if part in names else None for part in ("bias_ih", "bias_hh", "weight_hr"))
        return Weights(own[names["weight_ih"]], own[names["weight_hh"]], *parts)

    def _run(self, input: Tensor | PackedSequence, hx: State | None) -> tuple[Any, State]:
        """The output, in the form of the input, and each part of the last states, (layers * directions, N, size)."""
        if isinstance(input, PackedSequence):
            return self._run_packed(input, hx)
        name = type(self).__name__
        if input.ndim not in (2, 3) or input.shape[-1] != self.input_size:
            layout = "N, T" if self.batch_first else "T, N"
            raise at.ShapeError(
                f"{name}: expected input ({layout}, {self.input_size}) or (T, {self.input_size}), "
                f"got {tuple(input.shape)}"
            )
        batched = input.ndim == 3
        time = 1 if self.batch_first and batched else 0
        if batched:
            batch = input.shape[1 - time]
            first = self._first_state(hx, (batch,), input)
        else:
            first = tuple(part.unsqueeze(1) for part in self._first_state(hx, (), input))
            input = input.unsqueeze(1)
        if input.shape[time] == 0:
            raise at.ShapeError(f"{name}: expected sequences of at least one step, got {tuple(input.shape)}")
        output, last = self._layers(input, first, lambda t: t.unbind(time), lambda parts: at.stack(parts, time))
        return (output, last) if batched else (output.squeeze(1), tuple(part.squeeze(1) for part in last))

    def _run_packed(self, input: PackedSequence, hx: State | None) -> tuple[PackedSequence, State]:
        data, batch_sizes, order, back = input
        if data.ndim != 2 or data.shape[1] != self.input_size:
            raise at.ShapeError(
                f"{type(self).__name__}: expected packed data (*, {self.input_size}), got {tuple(data.shape)}"
            )
        sizes = batch_sizes.tolist()
        first = self._first_state(hx, (sizes[0],), data)
        if hx is not None and order is not None:
            first = tuple(part.index_select(1, order) for part in first)
        output, last = self._layers(data, first, lambda t: t.split(sizes), at.cat)
        if back is not None:
            last = tuple(part.index_select(1, back) for part in last)
        return PackedSequence(output, batch_sizes, order, back), last

    def _first_state(self, hx: State | None, batch: tuple[int, ...], like: Tensor) -> State:
        layers = self.num_layers * self._directions
        sizes = (self.proj_size or self.hidden_size, self.hidden_size)[: 2 if self.mode == "LSTM" else 1]
        shapes = [(layers, *batch, size) for size in sizes]
        if hx is None:
            return tuple(at.zeros(*shape, dtype=like.dtype, device=like.device) for shape in shapes)
        for part, shape in zip(hx, shapes, strict=True):
            if tuple(part.shape) != shape:
                raise at.ShapeError(f"{type(self).__name__}: expected hx of shape {shape}, got {tuple(part.shape)}")
            expect_state_dtype(self, part, like)
        return hx

    def _layers(self, input: Tensor, first: State, apart: Any, together: Any) -> tuple[Tensor, State]:
        lasts: list[State] = []
        for layer in range(self.num_layers):
            sides = []
            for direction in range(self._directions):
                k = layer * self._directions + direction
                weights = self._weights(k)
                gates: Sequence[Tensor] = apart(gates_of(self.mode, input, weights))
                state = tuple(part[k] for part in first)
                outputs, last = over_steps(step_of(self.mode, weights), gates, state, direction == 1)
                sides.append(together(outputs))
                lasts.append(last)
            input = sides[0] if len(sides) == 1 else at.cat(sides, -1)
            if layer < self.num_layers - 1:
                input = F.dropout(input, self.dropout, self.training)
        return input, tuple(at.stack(list(parts)) for parts in zip(*lasts, strict=True))

    def extra_repr(self) -> str:
        """The sizes, and what is not the default."""
        settings = {
            "proj_size": (self.proj_size, 0),
            "num_layers": (self.num_layers, 1),
            "bias": (self.bias, True),
            "batch_first": (self.batch_first, False),
            "dropout": (self.dropout, 0.0),
            "bidirectional": (self.bidirectional, False),
        }
        parts = [f"{name}={value}" for name, (value, default) in settings.items() if value != default]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *parts])


class _Hidden(_Recurrent):
    """With a hidden state alone."""

    @overload
    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]: ...
    @overload
    def forward(self, input: PackedSequence, hx: Tensor | None = None) -> tuple[PackedSequence, Tensor]: ...
    def forward(self, input: Tensor | PackedSequence, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        """The last layer's hidden states of all steps, and each layer's of the last step."""
        expect_one_state(self, hx)
        output, (last,) = self._run(input, None if hx is None else (hx,))
        return output, last


class RNN(_Hidden):
    """Elman's network: ``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``, step after step (Elman 1990).

    Input is ``(T, N, input_size)``, with ``batch_first`` ``(N, T, input_size)``, without a batch ``(T, input_size)``,
    or a `utils.rnn.PackedSequence`; hx, which None makes zeros, ``(num_layers * D, N, hidden_size)`` with D = 2 for
    ``bidirectional``, else 1. Answers the hidden states of the last layer, of the input's form with ``D * hidden_size``
    features, and the last states, of hx's shape. ``nonlinearity`` is ``"tanh"`` or ``"relu"``. In training ``dropout``
    is between layers. ``weight_ih_l0`` ``(hidden_size, input_size)`` (of later layers ``D * hidden_size`` columns),
    ``weight_hh_l0`` ``(hidden_size, hidden_size)``, ``bias_ih_l0`` and ``bias_hh_l0``, and those that end in
    ``_reverse``, start uniform in ``±1 / sqrt(hidden_size)``. ShapeError and DTypeError say what does not fit.

    >>> import atled.core as at
    >>> output, last = RNN(3, 5, num_layers=2)(at.ones(7, 1, 3))
    >>> output.shape, last.shape
    ((7, 1, 5), (2, 1, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        mode = mode_of("RNN", nonlinearity)
        super().__init__(
            mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )
        self.nonlinearity = nonlinearity


class GRU(_Hidden):
    """Gated recurrent units (Cho et al. 2014), whose reset gate works on the hidden state's product.

    ``r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)``, ``z`` alike, ``n = tanh(W_in x + b_in + r (W_hn h + b_hn))`` and
    ``h = (1 - z) n + z h``; weights hold the rows of r, z and n one after the other, ``3 hidden_size``. All else is as
    of `RNN`.

    >>> import atled.core as at
    >>> output, last = GRU(3, 5, bidirectional=True, batch_first=True)(at.ones(2, 7, 3))
    >>> output.shape, last.shape
    ((2, 7, 10), (2, 2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )


class LSTM(_Recurrent):
    """Long short-term memory with forget gates (Hochreiter & Schmidhuber 1997, Gers et al. 2000).

    ``i, f, o = sigmoid(W x + b + V h + c)`` and ``g = tanh(...)``, each with rows of its own in the order i, f, g, o;
    ``cell = f cell + i g`` and ``h = o tanh(cell)``. With ``proj_size`` P the hidden state is ``W_hr h``, of P features
    (Sak et al. 2014). Shapes are those of `RNN`; hx is a pair of the hidden state ``(num_layers * D, N, P or
    hidden_size)`` and the cell ``(num_layers * D, N, hidden_size)``.

    >>> import atled.core as at
    >>> output, (hidden, cell) = LSTM(3, 5, num_layers=2)(at.ones(7, 1, 3))
    >>> output.shape, hidden.shape, cell.shape
    ((7, 1, 5), (2, 1, 5), (2, 1, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )

    @overload
    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]: ...
    @overload
    def forward(
        self, input: PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[PackedSequence, tuple[Tensor, Tensor]]: ...
    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        """The last layer's hidden states of all steps, and each layer's state and cell of the last step."""
        if hx is not None and (isinstance(hx, Tensor) or len(hx) != 2):
            raise at.ArgumentError("LSTM: expected hx to be a pair of the hidden state and the cell")
        output, (hidden, cell) = self._run(input, None if hx is None else tuple(hx))
        return output, (hidden, cell)
