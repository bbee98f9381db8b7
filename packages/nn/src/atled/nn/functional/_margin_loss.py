"""Losses that ask for a margin, and those of several labels."""

from __future__ import annotations

from collections.abc import Callable

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._precision import cast
from ._activation import logsigmoid
from ._layer import pairwise_distance
from ._loss import _positive, _reduce, _same_shape, old_reduction


@explained
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1 (Hadsell et al. 2006); any shape.

    >>> hinge_embedding_loss(at.tensor([0.5, 0.25]), at.tensor([1, -1]), reduction="none").tolist()
    [0.5, 0.75]
    """
    reduction = old_reduction("hinge_embedding_loss", size_average, reduce, reduction)
    (input,) = cast("float32", input)
    loss = at.where(target != 1, _positive(margin - input), 0.0) + at.where(target != -1, input, 0.0)
    return _reduce("hinge_embedding_loss", loss, reduction)


def _expect_integers(op: str, target: Tensor) -> None:
    if target.is_floating_point() or target.is_complex() or target.dtype == at.bool:
        raise at.DTypeError(f"{op}: expected target of integers, got {target.dtype.name}")


@explained
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``w[y] sum over i != y of max(0, margin - x[y] + x[i])^p / C`` for scores x, classes y (Crammer & Singer 2001).

    input: floats ``(N, C)`` or ``(C,)``; target: integers ``(N,)`` or ``()``; weight: ``(C,)``; p is 1 or 2.
    ``"none"`` returns a loss for each target. ShapeError and InvalidValueError say what does not fit, and
    BoundsError a class that there is not.

    >>> multi_margin_loss(at.tensor([[0.5, 1.0, 0.25]]), at.tensor([1])).item()
    0.25
    """
    reduction = old_reduction("multi_margin_loss", size_average, reduce, reduction)
    if p not in (1, 2):
        raise at.InvalidValueError(f"multi_margin_loss: expected p of 1 or 2, got {p}")
    lead = tuple(input.shape[:-1])
    if input.ndim not in (1, 2) or tuple(target.shape) not in (lead, lead or (1,)):
        raise at.ShapeError(
            f"multi_margin_loss: expected input (N, C) and target (N,), or (C,) and (), "
            f"got {tuple(input.shape)} and {tuple(target.shape)}"
        )
    _expect_integers("multi_margin_loss", target)
    classes = input.shape[-1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise at.ShapeError(f"multi_margin_loss: expected weight of shape ({classes},), got {tuple(weight.shape)}")
    chosen = target.to(at.int64).reshape(*lead, 1)
    chosen = at.where(chosen < 0, classes, chosen)  # outside, not counted from the end
    miss = at.relu(margin - at.gather(input, -1, chosen) + input)
    miss = miss if p == 1 else miss * miss
    if weight is not None:
        miss = miss * weight[chosen]
    others = at.arange(classes, device=input.device) != chosen
    losses = at.where(others, miss, 0.0).sum(-1) / classes
    return _reduce("multi_margin_loss", losses.reshape(target.shape), reduction)


@explained
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``sum of max(0, 1 - x[y] + x[i]) / C`` over the labels y of each sample and the classes i that are none of them.

    input: floats ``(N, C)`` or ``(C,)``; target: integers of the same shape: the labels of a sample, then -1; what
    follows that does not count. Memory for C^2 numbers a sample. ShapeError unless the shapes are one, BoundsError for
    other labels.

    >>> round(multilabel_margin_loss(at.tensor([[0.1, 0.2, 0.4, 0.8]]), at.tensor([[3, 0, -1, 1]])).item(), 4)
    0.85
    """
    reduction = old_reduction("multilabel_margin_loss", size_average, reduce, reduction)
    _same_shape("multilabel_margin_loss", input, target)
    if input.ndim not in (1, 2):
        raise at.ShapeError(f"multilabel_margin_loss: expected input (N, C) or (C,), got {tuple(input.shape)}")
    _expect_integers("multilabel_margin_loss", target)
    target = target.to(at.int64)
    target = at.where(target < -1, input.shape[-1], target)  # outside, not counted from the end
    counts = at.cumprod((target != -1).to(at.int64), -1)
    labels = at.where(counts == 1, target, 0)
    is_label = at.scatter_add(at.zeros_like(counts), -1, labels, counts) > 0
    miss = at.relu(1 - at.gather(input, -1, labels).unsqueeze(-1) + input.unsqueeze(-2))
    asked = at.logical_and((counts == 1).unsqueeze(-1), at.logical_not(is_label).unsqueeze(-2))
    return _reduce("multilabel_margin_loss", at.where(asked, miss, 0.0).sum((-2, -1)) / input.shape[-1], reduction)


@explained
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the classes, the last dimension, of the binary cross-entropy of ``sigmoid(input)``.

    input and target: ``(N, C)`` or ``(C,)``; weight, ``(C,)``, is one of each class. ``"none"`` returns ``(N,)``.

    >>> round(multilabel_soft_margin_loss(at.zeros(1, 3), at.tensor([[0.0, 1, 1]])).item(), 4)
    0.6931
    """
    reduction = old_reduction("multilabel_soft_margin_loss", size_average, reduce, reduction)
    _same_shape("multilabel_soft_margin_loss", input, target)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    loss = loss if weight is None else loss * weight
    return _reduce("multilabel_soft_margin_loss", loss.mean(-1), reduction)


@explained
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` with any distance; without one, `pairwise_distance`.

    With ``swap`` the negative's distance is the smaller one of those to the anchor and to the positive. ShapeError
    unless the three have as many dimensions, InvalidValueError for a margin that is not positive.

    >>> far = lambda x, y: abs(x - y).sum(-1)
    >>> x, y = at.zeros(1, 2), at.ones(1, 2)
    >>> triplet_margin_with_distance_loss(x, y, x, distance_function=far).item()
    3.0
    """
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise at.ShapeError(
            "triplet_margin_with_distance_loss: expected anchor, positive and negative of as many dimensions, got "
            f"{tuple(anchor.shape)}, {tuple(positive.shape)} and {tuple(negative.shape)}"
        )
    if margin <= 0:
        raise at.InvalidValueError(f"triplet_margin_with_distance_loss: expected margin > 0, got {margin}")
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = at.minimum(far, distance(positive, negative))
    return _reduce("triplet_margin_with_distance_loss", _positive(margin + near - far), reduction)
