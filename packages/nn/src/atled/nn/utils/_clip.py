"""Bounding gradients. Nothing here waits for a device: the factor stays a tensor."""

from __future__ import annotations

from collections.abc import Iterable

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._parameter import detached, gradient


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else parameters
    return [detached(grad) for grad in map(gradient, listed) if grad is not None]


@explained
def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The p-norm of all elements of all tensors together, 0-d; p may be inf.

    InvalidValueError for NaN and infinity with ``error_if_nonfinite``, which waits for the device. ``foreach`` is
    PyTorch's and changes nothing, here and below.

    >>> get_total_norm([at.tensor([3.0]), at.tensor([4.0])]).item()
    5.0
    """
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not listed:
        return at.tensor(0.0)
    total = at.norm(at.stack([at.norm(t, norm_type) for t in listed]), norm_type)
    if error_if_nonfinite and not bool(at.isfinite(total)):
        raise at.InvalidValueError(f"get_total_norm: expected a finite norm of order {norm_type}, got {total.item()}")
    return total


@explained
def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scales the gradients by ``min(1, max_norm / (total_norm + 1e-6))``, in place.

    Parameters without a gradient are passed over.

    >>> weight = at.tensor([1.0, 2.0])
    >>> weight.grad = at.tensor([3.0, 4.0])
    >>> clip_grads_with_norm_(weight, 1.0, at.tensor(2.0))
    >>> [round(g, 4) for g in weight.grad.tolist()]
    [1.5, 2.0]
    """
    scale = at.clamp(max_norm / (total_norm + 1e-6), max=1.0)
    for grad in _gradients(parameters):
        grad.mul_(scale.to(grad.dtype))


@explained
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales the gradients in place so that their common norm is at most ``max_norm``; answers it as it was.

    The elements of all gradients count as one vector (Pascanu et al. 2013, algorithm 1); parameters without one are
    passed over. Of sharded ones (``atled.distributed.fully_shard``) those of all ranks count, so every rank calls it.
    A norm that is NaN makes all NaN, unless ``error_if_nonfinite`` raises InvalidValueError.

    >>> weight = at.tensor([1.0, 2.0])
    >>> weight.grad = at.tensor([3.0, 4.0])
    >>> clip_grad_norm_(weight, max_norm=1.0).item(), [round(g, 4) for g in weight.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if any("_sharding" in getattr(parameter, "__dict__", ()) for parameter in listed):
        norm: Tensor = at.distributed.clip_grad_norm_(listed, max_norm, norm_type, error_if_nonfinite)
        return norm
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


@explained
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Bounds each element of the gradients by ``±clip_value``, in place; parameters without one are passed over.

    >>> weight = at.tensor([1.0, 2.0])
    >>> weight.grad = at.tensor([3.0, -0.5])
    >>> clip_grad_value_(weight, 1.0)
    >>> weight.grad.tolist()
    [1.0, -0.5]
    """
    for grad in _gradients(parameters):
        grad.clamp_(-clip_value, clip_value)
