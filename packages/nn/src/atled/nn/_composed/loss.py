"""Losses."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor
from atled.nn._composed.shared import Kernel, bounds, from_zero, reduced, widened


def _samples(target: Tensor, weight: Tensor | None, classes: int, ignore_index: int) -> tuple[Tensor, Tensor]:
    """The class of each sample, 0 for those that are ignored, and what it weighs, 0 for those."""
    counted = target != ignore_index
    chosen = from_zero(at.where(counted, target, 0), classes)
    if weight is None:
        return chosen, counted
    with bounds("nll_loss", "target", target, classes, ignore_index):
        of_class = widened(weight).index_select(0, chosen.flatten()).reshape(chosen.shape)
    return chosen, at.where(counted, of_class, 0)


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, ignore_index: int, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    dim = 0 if input.ndim == 1 else 1
    classes, x = input.shape[dim], widened(input)
    chosen, weights = _samples(target, weight, classes, ignore_index)
    weights = weights.to(x.dtype)
    with bounds("nll_loss", "target", target, classes, ignore_index):
        picked = x.gather(dim, chosen.unsqueeze(dim)).squeeze(dim)
    losses = -(1 - label_smoothing) * weights * picked
    if label_smoothing > 0:
        rows = x if weight is None else x * _along(widened(weight), dim, x.ndim)
        losses = losses - label_smoothing / max(classes, 1) * rows.sum(dim)
    # Of an ignored sample nothing counts, not even an infinity.
    losses = at.where(target != ignore_index, losses, 0)
    total = weights.sum()
    if reduction == "mean":
        return (losses.sum() / total).to(input.dtype), total
    return reduced(losses, reduction).to(input.dtype), total


def _along(vector: Tensor, dim: int, ndim: int) -> Tensor:
    return vector.reshape(*(-1 if d == dim else 1 for d in range(ndim)))


def nll_loss_backward(
    grad: Tensor,
    target: Tensor,
    weight: Tensor | None,
    total_weight: Tensor,
    input_shape: Sequence[int],
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
) -> Tensor:
    ndim = len(input_shape)
    dim = 0 if ndim == 1 else 1
    classes, g = input_shape[dim], widened(grad)
    chosen, weights = _samples(target, weight, classes, ignore_index)
    scale = -(g / total_weight) if reduction == "mean" else -g
    scale = at.where(target != ignore_index, scale, 0)
    order = _along(at.arange(classes, device=grad.device), dim, ndim)
    hit = (scale * weights.to(g.dtype) * (1 - label_smoothing)).unsqueeze(dim)
    made = at.where(chosen.unsqueeze(dim) == order, hit, 0)
    if label_smoothing > 0:
        share = scale.unsqueeze(dim) * (label_smoothing / max(classes, 1))
        made = made + (share if weight is None else share * _along(widened(weight), dim, ndim))
    return made.expand(tuple(input_shape)).to(grad.dtype)


def mse_loss(input: Tensor, target: Tensor, reduction: str) -> Tensor:
    return reduced((widened(input) - widened(target)).square(), reduction).to(input.dtype)


def mse_loss_backward(grad: Tensor, input: Tensor, target: Tensor, reduction: str) -> Tensor:
    scale = 2 / max(input.numel(), 1) if reduction == "mean" else 2
    return (widened(grad) * scale * (widened(input) - widened(target))).to(input.dtype)


KERNELS: dict[str, Kernel] = {
    "nll_loss": nll_loss,
    "nll_loss_backward": nll_loss_backward,
    "mse_loss": mse_loss,
    "mse_loss_backward": mse_loss_backward,
}
