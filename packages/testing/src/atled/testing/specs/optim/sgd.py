"""A step of SGD."""

from collections.abc import Iterator
from typing import Any

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

from ._lists import X, Y, as_params, lists


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
]
