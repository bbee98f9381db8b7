"""Losses of pairs of an input and a target: as op, as compositions of public ops, and their derivatives."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import atled.core as at
from atled.core import Tensor

from ._ops import one as _one
from ._parameter import constant

Formula = Callable[[Tensor, Tensor, float], "Tensor | float"]


class Loss(NamedTuple):
    """Functions of input x, target y and bound b. What all but the value answer may be any number that broadcasts."""

    value: Callable[[Tensor, Tensor, float], Tensor]
    slope: Formula  # d value / dx
    to_target: Formula  # d value / dy
    curvature: Formula  # d slope / dx
    mixed: Formula  # d slope / dy


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))`` without the cut at 20: losses keep their full precision."""
    return _one.softplus(x, 1.0, 1e30)


def _huber(x: Tensor, y: Tensor, b: float) -> Tensor:
    # With m = min(d, b) both branches are m (d - m / 2).
    d = at.abs(x - y)
    m = at.clamp(d, max=b)
    return m * at.sub(d, m, alpha=0.5)


def _near(x: Tensor, y: Tensor, b: float) -> Tensor:
    return (at.abs(x - y) < b).to(x.dtype)


def _bce(x: Tensor, y: Tensor, b: float) -> Tensor:
    known = constant(x)
    flat = known * (1 - known) < b  # here the logarithms' own slopes would grow beyond all numbers
    p = at.where(flat, 0.5, x)
    loss = -(y * at.log(p) + (1 - y) * at.log1p(-p))
    edge = -(y * at.clamp(at.log(known), min=-100) + (1 - y) * at.clamp(at.log1p(-known), min=-100))
    return at.where(flat, edge + (x - known) * ((known - constant(y)) / b), loss)


def _variance(x: Tensor, b: float) -> Tensor:
    return at.clamp(x * (1 - x), min=b)


def _bce_curvature(x: Tensor, y: Tensor, b: float) -> Tensor:
    variance = _variance(x, b)
    return (1 - (x * (1 - x) > b).to(x.dtype) * (x - y) * (1 - 2 * x) / variance) / variance


def _own(y: Tensor) -> Tensor:
    # y log(y), and its limit at 0.
    return at.where(y > 0, y * at.log(at.where(y > 0, y, 1.0)), 0.0)


LOSSES = {
    "l1": Loss(
        value=lambda x, y, b: at.abs(x - y),
        slope=lambda x, y, b: at.sign(x - y),
        to_target=lambda x, y, b: at.sign(y - x),
        curvature=lambda x, y, b: 0.0,
        mixed=lambda x, y, b: 0.0,
    ),
    "huber": Loss(
        value=_huber,
        slope=lambda x, y, b: at.clamp(x - y, -b, b),
        to_target=lambda x, y, b: at.clamp(y - x, -b, b),
        curvature=_near,
        mixed=lambda x, y, b: -_near(x, y, b),
    ),
    "smooth_l1": Loss(
        value=lambda x, y, b: _huber(x, y, b) / b,
        slope=lambda x, y, b: at.clamp((x - y) / b, -1, 1),
        to_target=lambda x, y, b: at.clamp((y - x) / b, -1, 1),
        curvature=lambda x, y, b: _near(x, y, b) / b,
        mixed=lambda x, y, b: _near(x, y, b) / -b,
    ),
    "bce_with_logits": Loss(
        value=lambda x, y, b: (1 - y) * x + softplus(-x),
        slope=lambda x, y, b: at.sigmoid(x) - y,
        to_target=lambda x, y, b: -x,
        curvature=lambda x, y, b: at.sigmoid(x) * at.sigmoid(-x),
        mixed=lambda x, y, b: -1.0,
    ),
    "bce": Loss(
        value=_bce,
        slope=lambda x, y, b: (x - y) / _variance(x, b),
        to_target=lambda x, y, b: at.clamp(at.log1p(-x), min=-100) - at.clamp(at.log(x), min=-100),
        curvature=_bce_curvature,
        mixed=lambda x, y, b: -1 / _variance(x, b),
    ),
    "kl_div": Loss(
        value=lambda x, y, b: _own(y) - y * x,
        slope=lambda x, y, b: -y,
        to_target=lambda x, y, b: at.where(y > 0, at.log(at.where(y > 0, y, 1.0)) + 1, 0.0) - x,
        curvature=lambda x, y, b: 0.0,
        mixed=lambda x, y, b: -1.0,
    ),
    "kl_div_of_logs": Loss(
        value=lambda x, y, b: at.exp(y) * (y - x),
        slope=lambda x, y, b: -at.exp(y),
        to_target=lambda x, y, b: at.exp(y) * (y - x + 1),
        curvature=lambda x, y, b: 0.0,
        mixed=lambda x, y, b: -at.exp(y),
    ),
}


def promoted(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """The two in the dtype that they promote to; each gets its gradient in its own."""
    dtype = at.result_type(first, second)
    return first.to(dtype), second.to(dtype)


def broadcast(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The two in one shape; a warning where both are spread, as columns against rows mostly are by mistake."""
    one, other = at.broadcast_tensors(input, target)
    if one.shape not in (input.shape, target.shape):
        warnings.warn(
            f"loss: input {tuple(input.shape)} and target {tuple(target.shape)} broadcast to {tuple(one.shape)}, which "
            "compares each with each; give both one shape",
            stacklevel=_caller(),
        )
    return one, other


def _caller() -> int:
    """The stack level, for whom calls this, of the first frame outside of atled."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("atled."):
        level, frame = level + 1, frame.f_back
    return level


def paired(kind: str, input: Tensor, target: Tensor, reduction: str, bound: float = 1.0) -> Tensor:
    """The loss of a kind; the two broadcast, and promote."""
    if input.dtype != target.dtype:
        input, target = promoted(input, target)
    if not input.is_floating_point():
        return reduced(LOSSES[kind].value(input, target, bound), reduction)
    if input.shape != target.shape:
        input, target = broadcast(input, target)
    return _one.paired_loss(input, target, kind, reduction, bound)


def reduced(losses: Tensor, reduction: str) -> Tensor:
    """All losses, or their mean or sum."""
    return losses if reduction == "none" else losses.mean() if reduction == "mean" else losses.sum()


def register(rule: Any) -> None:
    """The gradient rules of the losses' ops."""
    rule(
        "paired_loss",
        input=lambda g, input, target, kind, reduction, bound: _one.paired_loss_backward(
            g, input, target, kind, reduction, bound
        ),
        target=lambda g, input, target, kind, reduction, bound: (
            g * _share(input, reduction) * LOSSES[kind].to_target(input, target, bound)
        ),
    )
    rule(
        "paired_loss_backward",
        grad=_to_grad,
        input=lambda g, grad, input, target, kind, reduction, bound: (
            g * grad * _share(input, reduction) * LOSSES[kind].curvature(input, target, bound)
        ),
        target=lambda g, grad, input, target, kind, reduction, bound: (
            g * grad * _share(input, reduction) * LOSSES[kind].mixed(input, target, bound)
        ),
    )
    rule.decompose(
        "paired_loss",
        lambda input, target, kind, reduction, bound: reduced(LOSSES[kind].value(input, target, bound), reduction),
    )
    rule.decompose(
        "paired_loss_backward",
        lambda grad, input, target, kind, reduction, bound: (
            grad * _share(input, reduction) * LOSSES[kind].slope(input, target, bound)
        ),
    )


def _share(input: Tensor, reduction: str) -> float:
    return 1.0 / max(input.numel(), 1) if reduction == "mean" else 1.0


def _to_grad(g: Tensor, input: Tensor, target: Tensor, kind: str, reduction: str, bound: float) -> Tensor:
    each = _one.paired_loss_backward(g, input, target, kind, "none", bound)
    return each if reduction == "none" else each.sum() * _share(input, reduction)
