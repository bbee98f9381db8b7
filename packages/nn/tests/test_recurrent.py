"""Recurrent layers and cells against NumPy, step after step."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

import atled.core as at
from atled import nn
from atled.nn.utils import rnn

RNG = np.random.default_rng(19)
Array = np.ndarray[Any, np.dtype[Any]]
KINDS: dict[str, Any] = {
    "RNN": nn.RNN,
    "ReLU": lambda *args, **kwargs: nn.RNN(*args, nonlinearity="relu", **kwargs),
    "LSTM": nn.LSTM,
    "projected": lambda *args, **kwargs: nn.LSTM(*args, proj_size=2, **kwargs),
    "GRU": nn.GRU,
}


def draw(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def plain(tensor: Any) -> Array:
    result: Array = at.Tensor(tensor).numpy()
    return result


def step(kind: str, own: dict[str, Array], end: str, x: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
    """One step of one sequence, whose state is vectors."""
    h, zero = state[0], np.zeros(())
    of_x = own[f"weight_ih{end}"] @ x + own.get(f"bias_ih{end}", zero)
    of_h = own[f"weight_hh{end}"] @ h + own.get(f"bias_hh{end}", zero)
    if kind in ("RNN", "ReLU"):
        return ((np.tanh if kind == "RNN" else lambda v: np.maximum(v, 0))(of_x + of_h),)
    if kind == "GRU":
        (xr, xz, xn), (hr, hz, hn) = np.split(of_x, 3), np.split(of_h, 3)
        z = expit(xz + hz)
        return ((1 - z) * np.tanh(xn + expit(xr + hr) * hn) + z * h,)
    i, f, g, o = np.split(of_x + of_h, 4)
    cell = expit(f) * state[1] + expit(i) * np.tanh(g)
    h = expit(o) * np.tanh(cell)
    return own[f"weight_hr{end}"] @ h if f"weight_hr{end}" in own else h, cell


def reference(kind: str, layer: Any, x: Array, first: list[Array]) -> tuple[Array, list[Array]]:
    """Of one sequence (T, input_size) and its states (layers * directions, size)."""
    own = {name: value.numpy() for name, value in layer.state_dict().items()}
    directions, lasts = 2 if layer.bidirectional else 1, []
    for number in range(layer.num_layers):
        sides = []
        for direction in range(directions):
            end = f"_l{number}" + ("_reverse" if direction else "")
            state = tuple(part[number * directions + direction] for part in first)
            outputs = []
            for row in x[::-1] if direction else x:
                state = step(kind, own, end, row, state)
                outputs.append(state[0])
            sides.append(np.array(outputs[::-1] if direction else outputs))
            lasts.append(state)
        x = np.concatenate(sides, 1)
    return x, [np.array(parts) for parts in zip(*lasts, strict=True)]


def states(kind: str, layer: Any, *batch: int) -> list[Array]:
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    sizes = [2 if kind == "projected" else 4] + ([4] if kind in ("LSTM", "projected") else [])
    return [draw(count, *batch, size) for size in sizes]


def given(kind: str, arrays: list[Array]) -> Any:
    tensors = tuple(at.from_numpy(a) for a in arrays)
    return tensors if kind in ("LSTM", "projected") else tensors[0]


def parts(kind: str, last: Any) -> list[Array]:
    return [plain(t) for t in (last if kind in ("LSTM", "projected") else (last,))]


SETTINGS = [
    {},
    {"num_layers": 2, "bias": False},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("with_state", [False, True])
def test_layers(kind: str, settings: dict[str, Any], with_state: bool) -> None:
    layer = KINDS[kind](3, 4, dtype=at.float64, **settings)
    x, first = draw(2, 5, 3), states(kind, layer, 2)
    first = first if with_state else [np.zeros_like(part) for part in first]
    results = [reference(kind, layer, x[n], [part[:, n] for part in first]) for n in range(2)]
    rows = layer.batch_first
    input = at.from_numpy(x if rows else np.ascontiguousarray(x.swapaxes(0, 1)))
    output, last = layer(input, given(kind, first) if with_state else None)
    np.testing.assert_allclose(
        plain(output) if rows else plain(output).swapaxes(0, 1), [y for y, _ in results], atol=1e-12
    )
    for i, part in enumerate(parts(kind, last)):
        np.testing.assert_allclose(part.swapaxes(0, 1), [ends[i] for _, ends in results], atol=1e-12)
    output, last = layer(at.from_numpy(x[0]), given(kind, [part[:, 0] for part in first]) if with_state else None)
    np.testing.assert_allclose(plain(output), results[0][0], atol=1e-12)
    for part, expected in zip(parts(kind, last), results[0][1], strict=True):
        np.testing.assert_allclose(part, expected, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_packed_sequences(kind: str, bidirectional: bool, with_state: bool) -> None:
    layer = KINDS[kind](3, 4, num_layers=2, bidirectional=bidirectional, dtype=at.float64)
    arrays, first = [draw(n, 3) for n in (2, 5, 1, 2)], states(kind, layer, 4)
    first = first if with_state else [np.zeros_like(part) for part in first]
    packed = rnn.pack_sequence([at.from_numpy(a) for a in arrays], enforce_sorted=False)
    output, last = layer(packed, given(kind, first) if with_state else None)
    assert isinstance(output, rnn.PackedSequence)
    for n, got in enumerate(rnn.unpack_sequence(output)):
        expected, ends = reference(kind, layer, arrays[n], [part[:, n] for part in first])
        np.testing.assert_allclose(plain(got), expected, atol=1e-12)
        for part, end in zip(parts(kind, last), ends, strict=True):
            np.testing.assert_allclose(part[:, n], end, atol=1e-12)


CELLS: dict[str, Any] = {
    "RNN": nn.RNNCell,
    "ReLU": lambda *args, **kwargs: nn.RNNCell(*args, nonlinearity="relu", **kwargs),
    "LSTM": nn.LSTMCell,
    "GRU": nn.GRUCell,
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bias", [False, True])
def test_cells(kind: str, bias: bool) -> None:
    cell = CELLS[kind](3, 4, bias, dtype=at.float64)
    own = {name: value.numpy() for name, value in cell.state_dict().items()}
    x, first = draw(2, 3), [draw(2, 4) for _ in range(2 if kind == "LSTM" else 1)]
    for n in range(2):
        expected = step(kind, own, "", x[n], tuple(part[n] for part in first))
        batched = parts(kind, cell(at.from_numpy(x), given(kind, first)))
        alone = parts(kind, cell(at.from_numpy(x[n]), given(kind, [part[n] for part in first])))
        for whole, row, wanted in zip(batched, alone, expected, strict=True):
            np.testing.assert_allclose(whole[n], wanted, atol=1e-12)
            np.testing.assert_allclose(row, wanted, atol=1e-12)
    zeros = step(kind, own, "", x[0], tuple(np.zeros(4) for _ in first))
    np.testing.assert_allclose(parts(kind, cell(at.from_numpy(x)))[0][0], zeros[0], atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind: str) -> None:
    autograd = pytest.importorskip("atled.autograd")
    func = pytest.importorskip("atled.autograd.func")
    layer = KINDS[kind](2, 3, bidirectional=True, dtype=at.float64)
    names = [name for name, _ in layer.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in layer.parameters()]
    x = at.from_numpy(draw(4, 2)).requires_grad_()

    def call(x: at.Tensor, *parameters: at.Tensor) -> Any:
        packed = rnn.pack_sequence([x[:1], x[1:]], enforce_sorted=False)
        output, last = func.functional_call(layer, dict(zip(names, parameters, strict=True)), (packed,))
        return output.data, *(last if isinstance(last, tuple) else (last,))

    assert autograd.gradcheck(call, (x, *values))


def test_float32_and_half_precision() -> None:
    for kind in ("LSTM", "GRU"):
        layer = KINDS[kind](3, 4)
        x = draw(5, 3)
        expected, _ = reference(kind, layer, x, [np.zeros((1, 4))] * 2)
        np.testing.assert_allclose(plain(layer(at.from_numpy(x).float())[0]), expected, atol=1e-5)
        rough = layer.bfloat16()(at.from_numpy(x).bfloat16())[0]
        np.testing.assert_allclose(at.Tensor(rough).double().numpy(), expected, atol=0.05)


def test_dropout_is_between_layers_in_training() -> None:
    layer = nn.RNN(3, 400, 2, dropout=0.5)
    x = at.ones(1, 3)
    first, second = (plain(layer(x)[0]) for _ in range(2))
    assert (first != second).any() and (first != 0).all()
    layer.eval()
    np.testing.assert_array_equal(plain(layer(x)[0]), plain(layer(x)[0]))
    with pytest.warns(UserWarning, match="dropout is between layers"):
        nn.GRU(3, 4, dropout=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.GRU(3, 4)


def test_keys_starting_values_and_printed_form() -> None:
    layer = nn.LSTM(3, 4, 2, bidirectional=True, proj_size=2)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    ends = [f"_l{number}{end}" for number, end in itertools.product((0, 1), ("", "_reverse"))]
    assert list(layer.state_dict()) == [name + end for end in ends for name in names]
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    assert shapes["weight_ih_l1"] == (16, 4) and shapes["weight_hh_l0"] == (16, 2) and shapes["weight_hr_l0"] == (2, 4)
    largest = max(np.abs(plain(p)).max() for p in layer.parameters())
    assert 0.45 < largest <= 0.5
    assert [len(weights) for weights in layer.all_weights] == [5] * 4
    assert repr(layer) == "LSTM(3, 4, proj_size=2, num_layers=2, bidirectional=True)"
    assert repr(nn.RNN(3, 4, 2, "relu", False, True)) == "RNN(3, 4, num_layers=2, bias=False, batch_first=True)"
    assert repr(nn.RNNCell(3, 4, False, "relu")) == "RNNCell(3, 4, bias=False, nonlinearity=relu)"
    assert list(nn.GRUCell(3, 4).state_dict()) == ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]


def test_bad_arguments() -> None:
    layer, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    x, h = at.ones(5, 2, 3), at.zeros(1, 2, 4)
    cases: list[tuple[type[Exception], str, Any]] = [
        (
            at.ShapeError,
            r"LSTM: expected input \(T, N, 3\) or \(T, 3\), got",
            lambda: layer(at.ones(5, 2, 4)),
        ),
        (at.ShapeError, r"\(N, T, 3\)", lambda: nn.GRU(3, 4, batch_first=True)(at.ones(3))),
        (at.ShapeError, "at least one step", lambda: layer(x[:0])),
        (at.ShapeError, r"hx of shape \(1, 2, 4\), got \(1, 3, 4\)", lambda: layer(x, (at.zeros(1, 3, 4), h))),
        (at.ArgumentError, "hx to be a pair", lambda: layer(x, h)),
        (at.ShapeError, "packed data", lambda: layer(rnn.pack_sequence([at.ones(3, 2)]))),
        (at.ShapeError, r"input \(N, 3\) or \(3,\)", lambda: cell(at.ones(2, 4))),
        (at.ShapeError, r"hx of shape \(2, 4\), got \(4,\)", lambda: cell(at.ones(2, 3), (at.ones(4), at.ones(4)))),
        (at.ArgumentError, "hx to be a pair", lambda: cell(at.ones(2, 3), at.ones(2, 4))),
        (at.InvalidValueError, "nonlinearity 'tanh' or 'relu', got 'gelu'", lambda: nn.RNN(3, 4, nonlinearity="gelu")),
        (at.InvalidValueError, "num_layers of at least 1", lambda: nn.RNN(3, 4, 0)),
        (at.InvalidValueError, r"proj_size in \[0, 3\], got 4", lambda: nn.LSTM(3, 4, proj_size=4)),
        (at.InvalidValueError, r"dropout in \[0, 1\], got 2", lambda: nn.LSTM(3, 4, dropout=2)),
        (at.InvalidValueError, "hidden_size of at least 1, got 0", lambda: nn.GRUCell(3, 0)),
        (at.InvalidValueError, "LSTM: expected input_size of at least 0, got -1", lambda: nn.LSTM(-1, 4)),
        (at.InvalidValueError, "RNNCell: expected input_size of at least 0, got -1", lambda: nn.RNNCell(-1, 4)),
        (at.ArgumentError, "LSTM: expected hx to be a pair", lambda: layer(x, (h,))),
    ]
    for one in (nn.GRU(3, 4), nn.RNN(3, 4)):
        cases.append((at.ArgumentError, "hx to be one Tensor, got tuple", lambda one=one: one(x, (h, h))))
        cases.append((at.DTypeError, "hx of dtype float32 as the input", lambda one=one: one(x, h.double())))
    for one in (nn.GRUCell(3, 4), nn.RNNCell(3, 4)):
        cases.append((at.ArgumentError, "hx to be one Tensor, got tuple", lambda one=one: one(x[0], (h[0], h[0]))))
        cases.append((at.DTypeError, "hx of dtype float32 as the input", lambda one=one: one(x[0], h[0].double())))
    cases.append((at.DTypeError, "LSTM: expected hx of dtype float32", lambda: layer(x, (h, h.double()))))
    cases.append((at.DTypeError, "LSTMCell: expected hx of dtype", lambda: cell(x[0], (h[0].double(), h[0]))))
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()
