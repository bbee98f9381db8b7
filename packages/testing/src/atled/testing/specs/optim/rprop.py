"""A step of Rprop and of averaged SGD."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

from ._lists import X, as_params, lists, sizes

RPROP = {"shrink": 0.5, "grow": 1.25, "smallest": 0.25, "largest": 1.0}


def rprop_samples(draw: Draw) -> Iterator[Sample]:
    for maximize in (False, True):
        params, grads, previous, steps = lists(draw, 4)
        previous = [np.where(x > 1, 0, x).astype(x.dtype) for x in previous]
        yield Sample(params, grads, previous, sizes(steps), **RPROP, maximize=maximize)


def rprop(
    params: list[Any],
    grads: list[Any],
    previous: list[Any],
    sizes: list[Any],
    *,
    shrink: float,
    grow: float,
    smallest: float,
    largest: float,
    maximize: bool = False,
) -> tuple[Any, ...]:
    after = []
    for p, g, before, size in zip(params, grads, previous, sizes, strict=True):
        d = -g if maximize else g
        same = np.sign(d) * np.sign(before)
        size = np.clip(size * np.choose((same + 1).astype(int), [shrink, 1, grow]), smallest, largest)
        after.append(p - np.where(same < 0, 0, np.sign(d)) * size)
    return tuple(after)


def asgd_samples(draw: Draw) -> Iterator[Sample]:
    for settings in ({"lambd": 0.25}, {"lambd": 0.5, "weight_decay": 0.25, "maximize": True}):
        yield Sample(*lists(draw, 3), [0.1, 0.2, 0.3, 0.4, 0.5], [1.0, 0.5, 0.25, 1.0, 0.125], **settings)


def asgd(
    params: list[Any],
    grads: list[Any],
    averages: list[Any],
    etas: list[float],
    mus: list[float],
    *,
    lambd: float,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Any, ...]:
    return tuple(
        p * (1 - lambd * eta) - eta * ((-g if maximize else g) + weight_decay * p)
        for p, g, eta in zip(params, grads, etas, strict=True)
    )


def scale(params: list[Any], *_: Any, **__: Any) -> tuple[Any, ...]:
    return tuple(abs(p) + 4 for p in params)


SPECS = [
    OpSpec(
        name="optim::rprop_",
        samples=rprop_samples,
        reference=rprop,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 8},
        scale=scale,
        errors=[ErrorCase(at.ArgumentError, r"as many sizes as params \(1\), got 0", [X], [X], [X], [], **RPROP)],
        differentiable=False,
    ),
    OpSpec(
        name="optim::asgd_",
        samples=asgd_samples,
        reference=asgd,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=scale,
        errors=[
            ErrorCase(at.ArgumentError, r"as many mus as params \(1\), got 0", [X], [X], [X], [0.5], [], lambd=0.1)
        ],
        differentiable=False,
    ),
]
