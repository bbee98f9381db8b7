"""A step of Adam and of its kin."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample

from ._lists import X, as_params, lists, sizes

STEPS = [1, 2, 3, 40, 5000]


def adam_samples(draw: Draw) -> Iterator[Sample]:
    for maxima in (False, True):
        params, grads, means, squares, tops = lists(draw, 5)
        squares = sizes(squares)
        tops = sizes(tops) if maxima else []
        yield Sample(params, grads, means, squares, tops, STEPS, lr=0.1, beta1=0.9, beta2=0.99, eps=1e-3)
        decay = {"weight_decay": 0.25, "decoupled": maxima, "maximize": maxima}
        yield Sample(params, grads, means, squares, tops, STEPS, lr=0.1, beta1=0.5, beta2=0.9, eps=1e-3, **decay)


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


def adamax_samples(draw: Draw) -> Iterator[Sample]:
    for more in ({}, {"weight_decay": 0.25, "maximize": True}):
        params, grads, means, norms = lists(draw, 4)
        yield Sample(params, grads, means, sizes(norms), STEPS, lr=0.1, beta1=0.75, beta2=0.9, eps=0.25, **more)


def adamax(
    params: list[Any],
    grads: list[Any],
    means: list[Any],
    norms: list[Any],
    steps: list[int],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
    maximize: bool = False,
) -> tuple[Any, ...]:
    after = []
    for p, g, m, u, t in zip(params, grads, means, norms, steps, strict=True):
        d = (-g if maximize else g) + weight_decay * p
        m, u = beta1 * m + (1 - beta1) * d, np.maximum(beta2 * u, abs(d) + eps)
        after.append(p - lr / (1 - beta1**t) * m / u)
    return tuple(after)


def kin_samples(draw: Draw, *numbers: list[float]) -> Iterator[Sample]:
    """With weight decay of either kind."""
    for more in ({}, {"weight_decay": 0.25}, {"weight_decay": 0.5, "decoupled": True, "maximize": True}):
        params, grads, means, squares = lists(draw, 4)
        squares = sizes(squares)
        yield Sample(params, grads, means, squares, STEPS, *numbers, lr=0.1, beta1=0.75, beta2=0.9, eps=0.25, **more)


def moments(
    p: Any, g: Any, m: Any, v: Any, *, lr: float, beta1: float, beta2: float, weight_decay: float, decoupled: bool
) -> tuple[Any, Any, Any, Any]:
    """The parameter and its gradient after weight decay, and the means."""
    d = g if decoupled else g + weight_decay * p
    p = p * (1 - lr * weight_decay) if decoupled else p
    return p, d, beta1 * m + (1 - beta1) * d, beta2 * v + (1 - beta2) * d**2


def nadam(
    params: list[Any],
    grads: list[Any],
    means: list[Any],
    squares: list[Any],
    steps: list[int],
    products: list[float],
    *,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float = 0.0,
    momentum_decay: float = 0.004,
    decoupled: bool = False,
    maximize: bool = False,
) -> tuple[Any, ...]:
    kept: dict[str, Any] = {
        "lr": lr,
        "beta1": beta1,
        "beta2": beta2,
        "weight_decay": weight_decay,
        "decoupled": decoupled,
    }
    after = []
    for p, g, m, v, t, product in zip(params, grads, means, squares, steps, products, strict=True):
        p, d, m, v = moments(p, -g if maximize else g, m, v, **kept)
        now, following = (beta1 * (1 - 0.96 ** (i * momentum_decay) / 2) for i in (t, t + 1))
        ahead = following * m / (1 - product * following) + (1 - now) * d / (1 - product)
        after.append(p - lr * ahead / (np.sqrt(v / (1 - beta2**t)) + eps))
    return tuple(after)


def radam(
    params: list[Any],
    grads: list[Any],
    means: list[Any],
    squares: list[Any],
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
    kept: dict[str, Any] = {
        "lr": lr,
        "beta1": beta1,
        "beta2": beta2,
        "weight_decay": weight_decay,
        "decoupled": decoupled,
    }
    most = 2 / (1 - beta2) - 1
    after = []
    for p, g, m, v, t in zip(params, grads, means, squares, steps, strict=True):
        p, _, m, v = moments(p, -g if maximize else g, m, v, **kept)
        by = m / (1 - beta1**t)
        rho = most - 2 * t * beta2**t / (1 - beta2**t)
        if rho > 5:
            rectified = np.sqrt((rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho))
            by = by * rectified * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
        after.append(p - lr * by)
    return tuple(after)


def scale(params: list[Any], *_: Any, **__: Any) -> tuple[Any, ...]:
    return tuple(abs(p) + 8 for p in params)


def errors(*numbers: list[float]) -> list[ErrorCase]:
    """Of the lists that all have."""
    settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.9, "eps": 0.1}
    return [
        ErrorCase(at.InvalidValueError, "steps >= 1", [X], [X], [X], [X], [0], *numbers, **settings),
        ErrorCase(
            at.ArgumentError, r"as many means as params \(1\), got 0", [X], [X], [], [X], [1], *numbers, **settings
        ),
    ]


SPECS = [
    OpSpec(
        name="optim::adam_",
        samples=adam_samples,
        reference=adam,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 64},
        scale=scale,
        errors=[
            ErrorCase(
                at.InvalidValueError, "steps >= 1", [X], [X], [X], [X], [], [0], lr=0.1, beta1=0.9, beta2=0.9, eps=0.1
            )
        ],
        differentiable=False,
    ),
    OpSpec(
        name="optim::adamax_",
        samples=adamax_samples,
        reference=adamax,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=scale,
        errors=errors(),
        differentiable=False,
    ),
    OpSpec(
        name="optim::nadam_",
        samples=lambda draw: kin_samples(draw, [0.5, 0.25, 0.125, 0.1, 0.0]),
        reference=nadam,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=scale,
        errors=errors([0.5]),
        differentiable=False,
    ),
    OpSpec(
        name="optim::radam_",
        samples=kin_samples,
        reference=radam,
        dtypes=FLOATS,
        result=as_params,
        ulps={"default": 16},
        scale=scale,
        errors=errors(),
        differentiable=False,
    ),
]
