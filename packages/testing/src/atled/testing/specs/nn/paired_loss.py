"""Losses of pairs of an input and a target."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import special

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

VALUES: dict[str, Callable[..., Any]] = {
    "l1": lambda x, y, b: np.abs(x - y),
    "huber": lambda x, y, b: special.huber(b, np.abs(x - y)),
    "smooth_l1": lambda x, y, b: special.huber(b, np.abs(x - y)) / b,
    "bce_with_logits": lambda x, y, b: -(y * special.log_expit(x) + (1 - y) * special.log_expit(-x)),
    "bce": lambda x, y, b: -(y * np.log(x) + (1 - y) * np.log1p(-x)),
    "kl_div": lambda x, y, b: special.xlogy(y, y) - y * x,
    "kl_div_of_logs": lambda x, y, b: np.exp(y) * (y - x),
}
SLOPES: dict[str, Callable[..., Any]] = {
    "l1": lambda x, y, b: np.sign(x - y),
    "huber": lambda x, y, b: np.clip(x - y, -b, b),
    "smooth_l1": lambda x, y, b: np.clip((x - y) / b, -1, 1),
    "bce_with_logits": lambda x, y, b: special.expit(x) - y,
    "bce": lambda x, y, b: (x - y) / np.maximum(x * (1 - x), b),
    "kl_div": lambda x, y, b: -y,
    "kl_div_of_logs": lambda x, y, b: -np.exp(y),
}
# What terms that cancel consist of.
SIZES: dict[str, Callable[..., Any]] = {
    **VALUES,
    "bce_with_logits": lambda x, y, b: np.abs(x) * (1 + np.abs(y)) + 1,
    "kl_div": lambda x, y, b: np.abs(special.xlogy(y, y)) + np.abs(y * x),
    "kl_div_of_logs": lambda x, y, b: np.exp(y) * (np.abs(y) + np.abs(x)),
}
BOUNDS = {"huber": 0.7, "smooth_l1": 0.7, "bce": 1e-12}
ULPS = {"float16": 2, "bfloat16": 2, "default": 32}


def pair(draw: Draw, kind: str, *shape: int) -> tuple[Any, Any]:
    x, y = draw(*shape), draw(*shape)
    if kind == "bce":
        x = draw(*shape, low=0.1, high=0.9)
    if kind in ("bce", "kl_div"):
        y = draw(*shape, low=0.1, high=0.9)
    if draw.smooth and kind in ("l1", "huber", "smooth_l1"):  # away from the kinks
        x = np.where(x > y, y + np.asarray(0.3, x.dtype), y - np.asarray(1.5, x.dtype))
    return x, y


def samples(draw: Draw) -> Iterator[Sample]:
    for kind in VALUES:
        for shape, reduction in (((3, 4), "mean"), ((2, 70), "none"), ((), "sum")):
            yield Sample(*pair(draw, kind, *shape), kind, reduction, BOUNDS.get(kind, 1.0))
    if not draw.smooth:
        yield Sample(*pair(draw, "l1", 9001), "l1", "sum")  # more than one block
        yield Sample(draw(0, 3), draw(0, 3), "l1", "none")


def reduced(each: Any, reduction: str) -> Any:
    return each if reduction == "none" else each.mean() if reduction == "mean" else each.sum()


def loss(x: Any, y: Any, kind: str, reduction: str = "mean", bound: float = 1.0) -> Any:
    return reduced(VALUES[kind](x, y, bound), reduction)


def size(x: Any, y: Any, kind: str, reduction: str = "mean", bound: float = 1.0) -> Any:
    return reduced(SIZES[kind](x, y, bound), reduction)


def backward_samples(draw: Draw) -> Iterator[Sample]:
    for sample in samples(draw):
        x, _, _, reduction, *_ = sample.args
        yield Sample(draw(*(x.shape if reduction == "none" else ())), *sample.args)


def backward(g: Any, x: Any, y: Any, kind: str, reduction: str = "mean", bound: float = 1.0) -> Any:
    return g * SLOPES[kind](x, y, bound) / (x.size if reduction == "mean" else 1)


def backward_size(g: Any, x: Any, y: Any, kind: str, reduction: str = "mean", bound: float = 1.0) -> Any:
    return g * (np.abs(SLOPES[kind](x, y, bound)) + np.abs(y)) / (x.size if reduction == "mean" else 1)


X = np.ones((3, 4), np.float32)
SPECS = [
    OpSpec(
        name="nn::paired_loss",
        reference=loss,
        samples=samples,
        dtypes=FLOATS,
        scale=size,
        ulps=ULPS,
        errors=(
            ErrorCase(at.ShapeError, "target of shape", X, X[:2], "l1"),
            ErrorCase(at.DTypeError, "dtype float32, got float64", X, X.astype(np.float64), "l1"),
            ErrorCase(at.InvalidValueError, "kind to be 'l1', .* got 'l3'", X, X, "l3"),
            ErrorCase(at.InvalidValueError, "reduction", X, X, "l1", "average"),
        ),
    ),
    OpSpec(
        name="nn::paired_loss_backward",
        reference=backward,
        samples=backward_samples,
        dtypes=FLOATS,
        scale=backward_size,
        ulps=ULPS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, X, X, "l1"),),
    ),
]
