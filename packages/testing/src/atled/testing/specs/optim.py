"""The fused steps of optimizers and the clipping of gradients."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

X, Y = np.ones(3, np.float32), np.ones((2, 2), np.float32)
SHAPES = ((5,), (3, 4), (), (0, 2), (40_000,))


def lists(draw: Draw, count: int) -> list[list[Any]]:
    """`count` lists with one array of each shape."""
    return [[draw(*shape) for shape in SHAPES] for _ in range(count)]


def sgd_samples(draw: Draw) -> Iterator[Sample]:
    yield Sample(*lists(draw, 2), [], False, lr=0.1, weight_decay=0.25)
    yield Sample(*lists(draw, 3), True, lr=0.1, momentum=0.5, dampening=0.5)
    yield Sample(*lists(draw, 3), False, lr=0.1, momentum=0.9, dampening=0.25, maximize=True)
    yield Sample(*lists(draw, 3), False, lr=0.5, momentum=0.9, nesterov=True)


def sgd(
    params: list[Any],
    grads: list[Any],
    buffers: list[Any],
    first: bool,
    *,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    maximize: bool = False,
) -> tuple[Any, ...]:
    after = []
    for i, (p, g) in enumerate(zip(params, grads, strict=True)):
        d = (-g if maximize else g) + weight_decay * p
        if buffers:
            b = d if first else momentum * buffers[i] + (1 - dampening) * d
            d = d + momentum * b if nesterov else b
        after.append(p - lr * d)
    return tuple(after)


def adam_samples(draw: Draw) -> Iterator[Sample]:
    for maxima in (False, True):
        params, grads, means, squares, tops = lists(draw, 5)
        squares = [np.asarray(abs(x)) for x in squares]
        tops = [np.asarray(abs(x)) for x in tops] if maxima else []
        steps = [1, 2, 3, 40, 5000]
        yield Sample(params, grads, means, squares, tops, steps, lr=0.1, beta1=0.9, beta2=0.99, eps=1e-3)
        decay = {"weight_decay": 0.25, "decoupled": maxima, "maximize": maxima}
        yield Sample(params, grads, means, squares, tops, steps, lr=0.1, beta1=0.5, beta2=0.9, eps=1e-3, **decay)


def adam(
    params: list[Any],
    grads: list[Any],
    means: list[Any],
    squares: list[Any],
    maxima: list[Any],
    steps: list[int],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
    decoupled: bool = False,
    maximize: bool = False,
) -> tuple[Any, ...]:
    after = []
    for i, (p, g, m, v, t) in enumerate(zip(params, grads, means, squares, steps, strict=True)):
        d = -g if maximize else g
        if decoupled:
            p = p * (1 - lr * weight_decay)
        else:
            d = d + weight_decay * p
        m, v = beta1 * m + (1 - beta1) * d, beta2 * v + (1 - beta2) * d * d
        top = np.maximum(maxima[i], v) if maxima else v
        after.append(p - lr * (m / (1 - beta1**t)) / (np.sqrt(top / (1 - beta2**t)) + eps))
    return tuple(after)


def norm_samples(draw: Draw) -> Iterator[Sample]:
    for order in (2.0, 1.0, 3.0, float("inf")):
        yield Sample(lists(draw, 1)[0], order)
    yield Sample([])


def norm(grads: list[Any], norm_type: float = 2.0) -> Any:
    return np.linalg.norm(np.concatenate([g.ravel() for g in grads] or [np.zeros(1)]), norm_type)


def norm_dtype(sample: Sample) -> str:
    wide = any(g.dtype == np.float64 for g in sample.args[0])
    return "float64" if wide else "float32"


def scale_samples(draw: Draw) -> Iterator[Sample]:
    for limit in (0.5, 1e9):
        yield Sample(lists(draw, 1)[0], np.asarray(np.float32(7.25)), limit)


def scale(grads: list[Any], norm: Any, max_norm: float) -> tuple[Any, ...]:
    return tuple(g * min(1.0, max_norm / (float(norm) + 1e-6)) for g in grads)


def as_params(sample: Sample) -> tuple[str, ...]:
    from atled.testing import dtype_name

    return tuple(dtype_name(p.dtype) for p in sample.args[0])


SPECS = [
    OpSpec(
        name="optim::sgd_",
        samples=sgd_samples,
        reference=sgd,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=lambda p, g, b, *_, **__: tuple(abs(x) + 2 * abs(y) + 2 for x, y in zip(p, g, strict=True)),
        errors=[
            ErrorCase(at.ShapeError, r"expected grads\[0\] of shape \(3,\)", [X], [Y], [], False, lr=0.1),
            ErrorCase(at.ArgumentError, r"expected as many grads as params \(1\), got 0", [X], [], [], False, lr=0.1),
        ],
        differentiable=False,
    ),
    OpSpec(
        name="optim::adam_",
        samples=adam_samples,
        reference=adam,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 64},
        scale=lambda p, *_, **__: tuple(abs(x) + 8 for x in p),
        errors=[
            ErrorCase(
                at.InvalidValueError, "steps >= 1", [X], [X], [X], [X], [], [0], lr=0.1, beta1=0.9, beta2=0.9, eps=0.1
            )
        ],
        differentiable=False,
    ),
    OpSpec(
        name="optim::grad_norm",
        samples=norm_samples,
        reference=norm,
        dtypes=FLOATS,
        result=norm_dtype,
        errors=[
            ErrorCase(at.InvalidValueError, "expected norm_type > 0", [X], 0.0),
            ErrorCase(at.DTypeError, "floating-point dtype, got int64", [np.ones(2, np.int64)]),
        ],
        differentiable=False,
    ),
    OpSpec(
        name="optim::scale_by_norm_",
        samples=scale_samples,
        reference=scale,
        dtypes=FLOATS,
        result=as_params,
        errors=[ErrorCase(at.ArgumentError, "expected norm to be one float32 or float64", [X], Y, 1.0)],
        differentiable=False,
    ),
]
