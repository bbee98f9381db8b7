"""Activations and their slopes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import special

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import unary


def slopes(draw: Draw) -> Iterator[Sample]:
    for sample in unary(draw):
        shape = sample.args[0].shape
        x = draw(*shape)
        # Kinks have no derivative to compare with.
        yield Sample(draw(*shape), np.where(np.abs(x) < 0.05, x + np.asarray(0.1, x.dtype), x) if draw.smooth else x)


def sigmoid(x: Any) -> Any:
    return special.expit(x)


def gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return x * special.ndtr(x)
    return x * sigmoid(2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))


def gelu_slope(x: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        return special.ndtr(x) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    u, du = 2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3), 2 * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)
    return sigmoid(u) + x * du * sigmoid(u) * sigmoid(-u)


def elu(x: Any, alpha: float = 1.0, scale: float = 1.0, inner: float = 1.0) -> Any:
    return scale * np.where(x > 0, x, alpha * np.expm1(inner * np.minimum(x, 0)))


def softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta)


VALUES: dict[str, Callable[..., Any]] = {
    "elu": elu,
    "gelu": gelu,
    "hardshrink": lambda x, bound=0.5: np.where(np.abs(x) <= bound, 0.0, x),
    "hardsigmoid": lambda x: np.clip((x + 3) / 6, 0, 1),
    "hardswish": lambda x: np.where(x <= -3, 0.0, x * np.clip((x + 3) / 6, 0, 1)),
    "hardtanh": lambda x, low=-1.0, high=1.0: np.clip(x, low, high),
    "logsigmoid": special.log_expit,
    "mish": lambda x: x * np.tanh(np.logaddexp(0, x)),
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, x, slope * x),
    "silu": lambda x: x * sigmoid(x),
    "softplus": softplus,
    "softshrink": lambda x, bound=0.5: x - np.clip(x, -bound, bound),
}
SLOPES: dict[str, Callable[..., Any]] = {
    "elu": lambda x, alpha=1.0, scale=1.0, inner=1.0: (
        scale * np.where(x > 0, 1.0, alpha * inner * np.exp(inner * np.minimum(x, 0)))
    ),
    "gelu": gelu_slope,
    "hardshrink": lambda x, bound=0.5: np.where(np.abs(x) <= bound, 0.0, 1.0),
    "hardsigmoid": lambda x: np.where(np.abs(x) < 3, 1 / 6, 0.0),
    "hardswish": lambda x: np.where(np.abs(x) < 3, x / 3 + 0.5, x > 0),
    "hardtanh": lambda x, low=-1.0, high=1.0: np.where((x > low) & (x < high), 1.0, 0.0),
    "logsigmoid": lambda x: sigmoid(-x),
    "mish": lambda x: np.tanh(np.logaddexp(0, x)) + x * sigmoid(x) / np.cosh(np.logaddexp(0, x)) ** 2,
    "leaky_relu": lambda x, slope=0.01: np.where(x > 0, 1.0, slope),
    "silu": lambda x: sigmoid(x) * (1 + x * (1 - sigmoid(x))),
    "softplus": lambda x, beta=1.0, threshold=20.0: np.where(beta * x > threshold, 1.0, sigmoid(beta * x)),
    "softshrink": lambda x, bound=0.5: np.where(np.abs(x) <= bound, 0.0, 1.0),
}
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "elu": (1.5, 0.75, 0.5),
    "gelu": ("tanh",),
    "hardshrink": (0.75,),
    "hardsigmoid": (),
    "hardswish": (),
    "hardtanh": (0.0, 0.75),
    "logsigmoid": (),
    "mish": (),
    "leaky_relu": (0.2,),
    "silu": (),
    "softplus": (2.0, 5.0),
    "softshrink": (0.25,),
}
# float32's are polynomials without branches.
ULPS = {"float16": 1, "bfloat16": 1, "float32": 16, "float64": 32}
# Where a slope crosses 0, its terms cancel.
SLOPE_ULPS = {**ULPS, "float32": 64}
X = np.ones(3, np.float32)


def values(name: str) -> OpSpec:
    def samples(draw: Draw) -> Iterator[Sample]:
        for sample in unary(draw):
            x = sample.args[0]
            yield Sample(np.where(np.abs(x) < 0.05, np.asarray(0.1, x.dtype), x) if draw.smooth else x)
        if PARAMETERS[name]:
            yield Sample(draw(3, 5), *PARAMETERS[name])

    errors = [ErrorCase(at.DTypeError, "got int64", np.ones(3, np.int64))]
    if name == "hardtanh":
        errors.append(ErrorCase(at.InvalidValueError, "min_val <= max_val", X, 1.0, -1.0))
    if name == "softshrink":
        bounds = (-1.0, np.inf, np.nan)
        errors += [ErrorCase(at.InvalidValueError, "finite lambd of at least 0", X, bound) for bound in bounds]
    if name == "gelu":
        errors.append(ErrorCase(at.InvalidValueError, "approximate", X, "sigmoid"))
    return OpSpec(
        name=f"nn::{name}",
        reference=VALUES[name],
        samples=samples,
        dtypes=FLOATS,
        ulps=ULPS,
        elsewhere=4,  # CUDA's own exponentials
        errors=errors,
    )


def backward(name: str) -> OpSpec:
    def samples(draw: Draw) -> Iterator[Sample]:
        yield from slopes(draw)
        if PARAMETERS[name]:
            yield from (Sample(*sample.args, *PARAMETERS[name]) for sample in slopes(draw) if sample.args[0].ndim == 2)

    return OpSpec(
        name=f"nn::{name}_backward",
        reference=lambda g, x, *parameters: g * SLOPES[name](x, *parameters),
        samples=samples,
        dtypes=FLOATS,
        scale=lambda g, x, *parameters: g * SLOPES[name](x, *parameters),
        ulps=SLOPE_ULPS,
        errors=(
            ErrorCase(at.ShapeError, "input of shape", X, X[:2]),
            ErrorCase(at.DTypeError, "dtype float32", X, X.astype(np.float64)),
        ),
    )


def prelu_samples(draw: Draw) -> Iterator[Sample]:
    for shape, weight in (((2, 3, 5), (3, 1)), ((4, 20), (20,)), ((3, 17), (1,)), ((6,), ()), ((4,), (3, 1))):
        x = draw(*shape)
        yield Sample(np.where(np.abs(x) < 0.05, np.asarray(0.1, x.dtype), x) if draw.smooth else x, draw(*weight))


SPECS = [make(name) for name in VALUES for make in (values, backward)]
SPECS.append(
    OpSpec(
        name="nn::prelu",
        reference=lambda x, w: np.where(x > 0, x, w * x),
        samples=prelu_samples,
        dtypes=FLOATS,
        ulps=1,
        errors=(
            ErrorCase(at.ShapeError, "broadcasts with input", X, X[:2]),
            ErrorCase(at.DTypeError, "dtype", X, X.astype(np.float64)),
        ),
    )
)
