"""Clipping of gradients (Pascanu et al. 2013). The norm stays a tensor, so that no device is waited for."""

from __future__ import annotations

from collections.abc import Iterable

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    params = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    # A parameter that is given twice is scaled once.
    found = {id(param): param.grad for param in params}
    return [grad for grad in found.values() if grad is not None]


@explained
def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """The norm of all elements of all tensors together, a 0-d tensor; ``norm_type`` may be ``inf``.

    Errors: ``OperationError`` when ``error_if_nonfinite`` is set and the norm is not finite.

    >>> get_total_norm([at.tensor([3.0]), at.tensor([4.0])]).item()
    5.0
    """
    norm: Tensor = at.ops.optim.grad_norm([tensors] if isinstance(tensors, Tensor) else list(tensors), float(norm_type))
    if error_if_nonfinite and not at.isfinite(norm).item():
        raise at.OperationError(
            f"clip_grad_norm_: expected a finite norm of order {norm_type}, got {norm.item()}; "
            "some gradient is NaN or infinite"
        )
    return norm


@explained
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales all gradients, in place, so that their norm together is at most ``max_norm``; returns the norm before.

    The factor is ``min(1, max_norm / (norm + 1e-6))`` (Pascanu et al. 2013, algorithm 1). Parameters without a gradient
    are passed over, and one that is given twice is scaled once. Of sharded ones (``atled.distributed.fully_shard``) the
    gradients of all ranks count, so every rank calls it. Errors: as for ``get_total_norm``.

    >>> weight = at.tensor([1.0, 2.0])
    >>> weight.grad = at.tensor([3.0, 4.0])
    >>> clip_grad_norm_(weight, max_norm=1.0).item(), [round(g, 4) for g in weight.grad.tolist()]
    (5.0, [0.6, 0.8])
    """
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if any("_sharding" in getattr(param, "__dict__", ()) for param in parameters):
        total: Tensor = at.distributed.clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite)
        return total
    grads = _grads(parameters)
    norm = get_total_norm(grads, norm_type, error_if_nonfinite)
    at.ops.optim.scale_by_norm_(grads, norm, float(max_norm))
    return norm


@explained
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limits every element of the gradients, in place, to ``[-clip_value, clip_value]``; NaN stays NaN.

    >>> weight = at.tensor([1.0, 2.0])
    >>> weight.grad = at.tensor([3.0, -0.5])
    >>> clip_grad_value_(weight, 1.0)
    >>> weight.grad.tolist()
    [1.0, -0.5]
    """
    for grad in _grads(parameters):
        grad.clamp_(-clip_value, clip_value)
