"""The point-wise parts of recurrent cells."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.special import expit

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

# float32's exponential is a polynomial; results are sums of products of what it makes.
ULPS = {"float16": 2, "bfloat16": 2, "float32": 64, "float64": 32}
SHAPES = ((3, 5), (7,), (2, 3, 33), (0, 4))


def lstm_parts(gates: Any, c: Any) -> Any:
    i, f, g, o = np.split(gates, 4, -1)
    i, f, g, o = expit(i), expit(f), np.tanh(g), expit(o)
    return i, f, g, o, f * c + i * g


def lstm_cell(gates: Any, c: Any) -> Any:
    *_, o, next_c = lstm_parts(gates, c)
    return o * np.tanh(next_c), next_c


def lstm_cell_backward(grad_h: Any, grad_c: Any, gates: Any, c: Any) -> Any:
    i, f, g, o, next_c = lstm_parts(gates, c)
    t = np.tanh(next_c)
    through = grad_c + grad_h * o * (1 - t**2)
    parts = [through * g * i * (1 - i), through * c * f * (1 - f), through * i * (1 - g**2), grad_h * t * o * (1 - o)]
    return np.concatenate(parts, -1), through * f


def gru_parts(x: Any, h: Any) -> Any:
    (xr, xz, xn), (hr, hz, hn) = np.split(x, 3, -1), np.split(h, 3, -1)
    r, z = expit(xr + hr), expit(xz + hz)
    return r, z, hn, np.tanh(xn + r * hn)


def gru_cell(x: Any, h: Any, state: Any) -> Any:
    _, z, _, n = gru_parts(x, h)
    return (1 - z) * n + z * state


def gru_cell_backward(grad: Any, x: Any, h: Any, state: Any) -> Any:
    r, z, hn, n = gru_parts(x, h)
    to_n = grad * (1 - z) * (1 - n**2)
    to_r, to_z = to_n * hn * r * (1 - r), grad * (state - n) * z * (1 - z)
    return np.concatenate([to_r, to_z, to_n], -1), np.concatenate([to_r, to_z, to_n * r], -1), grad * z


def shapes(draw: Draw) -> Any:
    return SHAPES[:2] if draw.smooth else SHAPES


def wide(shape: tuple[int, ...], gates: int) -> tuple[int, ...]:
    return (*shape[:-1], gates * shape[-1])


def lstm_samples(draw: Draw) -> Iterator[Sample]:
    for shape in shapes(draw):
        yield Sample(draw(*wide(shape, 4)), draw(*shape))
    if not draw.smooth:
        yield Sample(30 * draw(2, 12), draw(2, 3))  # saturated


def lstm_backward_samples(draw: Draw) -> Iterator[Sample]:
    for shape in shapes(draw):
        yield Sample(draw(*shape), draw(*shape), draw(*wide(shape, 4)), draw(*shape))


def gru_samples(draw: Draw) -> Iterator[Sample]:
    for shape in shapes(draw):
        yield Sample(draw(*wide(shape, 3)), draw(*wide(shape, 3)), draw(*shape))
    if not draw.smooth:
        yield Sample(30 * draw(2, 9), draw(2, 9), draw(2, 3))


def gru_backward_samples(draw: Draw) -> Iterator[Sample]:
    for shape in shapes(draw):
        yield Sample(draw(*shape), draw(*wide(shape, 3)), draw(*wide(shape, 3)), draw(*shape))


def ones(*shape: int) -> Any:
    return np.ones(shape, np.float32)


H, G3, G4 = ones(2, 3), ones(2, 9), ones(2, 12)


def spec(name: str, reference: Any, samples: Any, *errors: ErrorCase) -> OpSpec:
    return OpSpec(
        name=f"nn::{name}",
        reference=reference,
        samples=samples,
        dtypes=FLOATS,
        domain=(-2, 2),
        ulps=ULPS,
        scale=lambda *args: magnitude(reference, *args),
        errors=errors,
    )


def magnitude(reference: Any, *args: Any) -> Any:
    """Gates are bounded, so terms are as large as states and gradients make them; they may cancel."""
    size = np.prod([1 + np.abs(a).max(initial=0) for a in args if a.shape == args[-1].shape])
    results = reference(*args)
    if isinstance(results, tuple):
        return tuple(np.full(r.shape, size) for r in results)
    return np.full(results.shape, size)


SPECS = [
    spec(
        "lstm_cell",
        lstm_cell,
        lstm_samples,
        ErrorCase(at.ShapeError, r"gates of shape \(2, 12\), got \(2, 9\)", G3, H),
        ErrorCase(at.ShapeError, r"cx of shape \(\*, hidden_size\), got \(\)", G3, np.float32(1)),
        ErrorCase(at.DTypeError, "gates of cx's dtype float32", G4.astype(np.float64), H),
        ErrorCase(at.DTypeError, "got int64", G4, H.astype(np.int64)),
    ),
    spec(
        "lstm_cell_backward",
        lstm_cell_backward,
        lstm_backward_samples,
        ErrorCase(at.ShapeError, r"grad_cy of shape \(2, 3\)", H, G3, G4, H),
        ErrorCase(at.DTypeError, "grad_hy of cx's dtype float32", H.astype(np.float64), H, G4, H),
    ),
    spec(
        "gru_cell",
        gru_cell,
        gru_samples,
        ErrorCase(at.ShapeError, r"gates_h of shape \(2, 9\), got \(2, 12\)", G3, G4, H),
        ErrorCase(at.DTypeError, "gates_x of hx's dtype float32", G3.astype(np.float64), G3, H),
    ),
    spec(
        "gru_cell_backward",
        gru_cell_backward,
        gru_backward_samples,
        ErrorCase(at.ShapeError, r"grad of shape \(2, 3\), got \(2, 9\)", G3, G3, G3, H),
    ),
]
