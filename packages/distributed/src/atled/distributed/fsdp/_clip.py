"""What is asked of all gradients together, where they are spread over the ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable

import atled.core as at
from atled.core import InvalidValueError, OperationError, Tensor
from atled.core._explained import explained

from .._group import ProcessGroup, ReduceOp
from ._shard import groups_of, shard_of

__all__ = ["clip_grad_norm_", "max_over_ranks_"]


@explained
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scales all gradients, in place, so that their norm together is at most ``max_norm``; returns the norm before.

    As ``clip_grad_norm_`` of ``atled.optim`` (Pascanu et al. 2013), and what that one and ``atled.nn.utils``' do where
    parameters are sharded: the gradients of all ranks' shards count. Every rank calls it with the same parameters.
    ``norm_type`` may be ``inf``.

    Raises InvalidValueError for a ``norm_type`` that is not positive, and OperationError, on every rank, when
    ``error_if_nonfinite`` is set and the norm is not finite.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> model = dist.fully_shard(nn.Linear(4, 4, bias=False))
    >>> model(at.ones((1, 4))).sum().backward()  # ones for each of the 16 elements
    >>> dist.clip_grad_norm_(model.parameters(), 1.0).item()
    4.0
    >>> round(model.weight.grad[0, 0].item(), 4)
    0.25
    """
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    # A parameter that is given twice is scaled once.
    unique = list({id(parameter): parameter for parameter in given}.values())
    power, limit = float(norm_type), float(max_norm)
    if not power > 0:
        raise InvalidValueError(
            f"clip_grad_norm_: expected norm_type > 0 (inf for the largest element), got {norm_type}"
        )
    whole = [p.grad.detach() for p in unique if p.grad is not None and shard_of(p) is None]
    total = _sum_of_powers(whole, power, unique)
    for group in groups_of(unique):
        own = [p.grad.detach() for p in unique if p.grad is not None and _is_in(p, group)]
        part = _sum_of_powers(own, power, unique)
        group.all_reduce(part, ReduceOp.MAX if power == math.inf else ReduceOp.SUM).wait()
        total = at.maximum(total, part) if power == math.inf else total + part
    norm = total if power == math.inf else total ** (1.0 / power)
    if error_if_nonfinite and not math.isfinite(norm.item()):
        raise OperationError(
            f"clip_grad_norm_: expected a finite norm of order {norm_type}, got {norm.item()}; "
            "some gradient is NaN or infinite"
        )
    scale = at.clamp(limit / (norm + 1e-6), max=1.0)
    for parameter in unique:
        if parameter.grad is not None:
            grad = parameter.grad.detach()
            grad.mul_(scale.to(device=grad.device, dtype=grad.dtype))
    return norm


@explained
def max_over_ranks_(tensors: Iterable[Tensor], parameters: Iterable[Tensor]) -> None:
    """Replaces tensors by their greatest over the ranks that share the parameters out; each of them calls it.

    So does a gradient scaler hear of a gradient that is not finite on another rank. The tensors have one shape and
    dtype on all ranks; without sharded parameters nothing happens. Raises what `all_reduce` raises.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.fsdp import max_over_ranks_
    >>> model, found_inf = dist.fully_shard(nn.Linear(4, 4)), at.tensor([float(dist.get_rank())])
    >>> max_over_ranks_([found_inf], model.parameters())
    >>> found_inf.tolist()
    [1.0]
    """
    groups = groups_of(parameters)
    for tensor in tensors:
        for group in groups:
            group.all_reduce(tensor, ReduceOp.MAX).wait()


def _is_in(parameter: Tensor, group: ProcessGroup) -> bool:
    shard = shard_of(parameter)
    return shard is not None and shard.group is group


def _sum_of_powers(gradients: list[Tensor], power: float, parameters: list[Tensor]) -> Tensor:
    """The sum of all magnitudes to a power, or the greatest for the power infinity; of one dtype on every rank."""
    dtype = at.float64 if any(p.dtype in (at.float64, at.complex128) for p in parameters) else at.float32
    total = at.zeros((), dtype=dtype, device=parameters[0].device if parameters else "cpu")
    for gradient in gradients:
        if gradient.numel():
            sizes = at.abs(gradient).to(device=total.device, dtype=dtype)
            total = at.maximum(total, sizes.amax()) if power == math.inf else total + (sizes**power).sum()
    return total
