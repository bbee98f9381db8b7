"""A step of Adagrad, Adadelta and RMSprop."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

from ._lists import X, as_params, lists, sizes


def adagrad_samples(draw: Draw) -> Iterator[Sample]:
    for settings in ({"eps": 0.5}, {"lr_decay": 0.25, "eps": 0.25, "weight_decay": 0.5, "maximize": True}):
        params, grads, sums = lists(draw, 3)
        yield Sample(params, grads, sizes(sums), [1, 2, 3, 40, 5000], lr=0.1, **settings)


def adagrad(
    params: list[Any],
    grads: list[Any],
    sums: list[Any],
    steps: list[int],
    *,
    lr: float,
    lr_decay: float = 0.0,
    eps: float = 1e-10,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Any, ...]:
    after = []
    for p, g, s, t in zip(params, grads, sums, steps, strict=True):
        d = (-g if maximize else g) + weight_decay * p
        after.append(p - lr / (1 + (t - 1) * lr_decay) * d / (np.sqrt(s + d**2) + eps))
    return tuple(after)


def adadelta_samples(draw: Draw) -> Iterator[Sample]:
    for settings in ({"eps": 0.25}, {"eps": 0.125, "weight_decay": 0.5, "maximize": True}):
        params, grads, squares, deltas = lists(draw, 4)
        yield Sample(params, grads, sizes(squares), sizes(deltas), lr=0.5, rho=0.75, **settings)


def adadelta(
    params: list[Any],
    grads: list[Any],
    squares: list[Any],
    deltas: list[Any],
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Any, ...]:
    after = []
    for p, g, v, u in zip(params, grads, squares, deltas, strict=True):
        d = (-g if maximize else g) + weight_decay * p
        v = rho * v + (1 - rho) * d**2
        after.append(p - lr * d * np.sqrt((u + eps) / (v + eps)))
    return tuple(after)


def rmsprop_samples(draw: Draw) -> Iterator[Sample]:
    for centered in (False, True):
        for momentum in (0.0, 0.5):
            params, grads, squares, means, buffers = lists(draw, 5)
            yield Sample(
                params,
                grads,
                [np.asarray(1 + x**2) for x in squares],
                [np.asarray(x / 8) for x in means] if centered else [],
                buffers if momentum else [],
                lr=0.1,
                alpha=0.75,
                eps=0.125,
                weight_decay=momentum,
                momentum=momentum,
                maximize=centered,
            )


def rmsprop(
    params: list[Any],
    grads: list[Any],
    squares: list[Any],
    means: list[Any],
    buffers: list[Any],
    *,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    maximize: bool = False,
) -> tuple[Any, ...]:
    after = []
    for i, (p, g, v) in enumerate(zip(params, grads, squares, strict=True)):
        d = (-g if maximize else g) + weight_decay * p
        v = alpha * v + (1 - alpha) * d**2
        if means:
            v = v - (alpha * means[i] + (1 - alpha) * d) ** 2
        by = d / (np.sqrt(v) + eps)
        after.append(p - lr * (momentum * buffers[i] + by if buffers else by))
    return tuple(after)


def scale(params: list[Any], *_: Any, **__: Any) -> tuple[Any, ...]:
    return tuple(abs(p) + 8 for p in params)


SPECS = [
    OpSpec(
        name="optim::adagrad_",
        samples=adagrad_samples,
        reference=adagrad,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=scale,
        errors=[
            ErrorCase(at.ShapeError, r"expected sums\[0\] of shape \(3,\)", [X], [X], [X[:2]], [1], lr=0.1),
            ErrorCase(at.InvalidValueError, "steps >= 1", [X], [X], [X], [0], lr=0.1),
            ErrorCase(at.ArgumentError, r"as many steps as params \(1\), got 0", [X], [X], [X], [], lr=0.1),
        ],
        differentiable=False,
    ),
    OpSpec(
        name="optim::adadelta_",
        samples=adadelta_samples,
        reference=adadelta,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=scale,
        errors=[
            ErrorCase(
                at.ArgumentError, r"as many deltas as params \(1\), got 0", [X], [X], [X], [], lr=0.1, rho=0.9, eps=0.1
            )
        ],
        differentiable=False,
    ),
    OpSpec(
        name="optim::rmsprop_",
        samples=rmsprop_samples,
        reference=rmsprop,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=scale,
        errors=[
            ErrorCase(
                at.ArgumentError,
                r"as many squares as params \(1\), got 0",
                *([X], [X], [], [], []),
                lr=0.1,
                alpha=0.9,
                eps=0.1,
            ),
            ErrorCase(
                at.ShapeError,
                r"expected buffers\[0\] of shape \(3,\)",
                *([X], [X], [X], [], [X[:2]]),
                lr=0.1,
                alpha=0.9,
                eps=0.1,
            ),
        ],
        differentiable=False,
    ),
]
