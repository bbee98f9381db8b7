"""Batch normalisation by the statistics of all ranks of a process group.

atled-distributed has the collectives. Who has started a job has loaded it: a process without one looks for nothing.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import atled.core as at
from atled.core import Tensor

from .._ops import one as _one
from .._ops import several as _several
from .._parameter import constant, recording
from .._precision import as_given, wide


def ranks_together(process_group: Any) -> bool:
    """Whether there are other ranks in a group, None being the whole job.

    AttributeError for a group without atled-distributed, DistError on a rank that is not in the group.
    """
    dist: Any = sys.modules.get("atled.distributed") if process_group is None else at.distributed
    return dist is not None and dist.is_initialized() and dist.get_world_size(process_group) > 1


@as_given
def sync_batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, process_group: Any
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalises each channel of ``(N, C, ...)`` over the ranks; also answers their mean and unbiased variance.

    N may differ from rank to rank, and be 0. The gradient of input is that of all ranks' outputs; those of weight and
    bias are this rank's part of the sum, as those of any other parameter. All ranks call it, and its backward.
    """
    if input._is_opaque():
        raise at.NotImplementedOpError(
            "SyncBatchNorm: expected a call outside of vmap and jvp, which have no collectives"
        )
    recorded = recording(input, weight, bias)
    if recorded:
        output, mean, var, count = _recorded().apply(process_group, eps, input, weight, bias)
    else:
        mean, var, count = _statistics(input, functools.partial(_gather, process_group))
        output = _one.batch_norm_inference(input, mean, var, weight, bias, eps)
    if input.device.type == "cpu" and count.item() < 2:
        raise at.ShapeError(f"SyncBatchNorm: expected more than one value per channel, got {tuple(input.shape)} in all")
    return output, constant(mean), constant(var) * (count / (count - 1))


def _statistics(input: Tensor, gather: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, biased variance and count of all ranks, by Chan, Golub & LeVeque 1979, equation 2.1."""
    x, channels = wide(input), input.shape[1]
    dims, own = [0, *range(2, input.ndim)], input.numel() // channels
    var, mean = at.var_mean(x, dims, correction=0) if own else (x.sum(dims), x.sum(dims))
    count = at.full((1,), float(own), dtype=x.dtype, device=x.device)
    means, variances, counts = gather(at.cat([mean, var, count])).split([channels, channels, 1], 1)
    total = counts.sum()
    share = counts / total
    mean = (share * means).sum(0)
    return mean, (share * (variances + (means - mean) ** 2)).sum(0), total


def _gather(process_group: Any, own: Tensor) -> Tensor:
    """A row for each rank."""
    dist: Any = at.distributed
    rows = at.empty(dist.get_world_size(process_group), *own.shape, dtype=own.dtype, device=own.device)
    dist.all_gather_into_tensor(rows, own.contiguous(), process_group)
    return rows


def _scatter(process_group: Any, rows: Tensor) -> Tensor:
    """This rank's row of the sum over the ranks."""
    dist: Any = at.distributed
    own = at.empty(*rows.shape[1:], dtype=rows.dtype, device=rows.device)
    dist.reduce_scatter_tensor(own, rows.contiguous(), dist.ReduceOp.SUM, process_group)
    return own


def _add(process_group: Any, own: Tensor) -> Tensor:
    """The sum over the ranks."""
    dist: Any = at.distributed
    total = own.clone()
    dist.all_reduce(total, dist.ReduceOp.SUM, process_group)
    return total


@functools.cache
def _recorded() -> Any:
    """The step with a gradient, for where one is asked for."""
    function: Any = at.autograd.Function

    class Exchange(function):  # type: ignore[misc]
        """A linear exchange among the ranks, whose gradient is another one."""

        @staticmethod
        def forward(ctx: Any, there: Any, back: Any, process_group: Any, tensor: Tensor) -> Tensor:
            ctx.turned = back, there, process_group
            exchanged: Tensor = there(process_group, tensor)
            return exchanged

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            return None, None, None, Exchange.apply(*ctx.turned, g)

    class SyncBatchNorm(function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, process_group: Any, eps: float, input: Tensor, *affine: Tensor | None) -> Any:
            mean, var, count = _statistics(input, functools.partial(_gather, process_group))
            ctx.process_group, ctx.eps = process_group, eps
            ctx.save_for_backward(input, affine[0], mean, var, count)
            ctx.mark_non_differentiable(mean, var, count)
            return _one.batch_norm_inference(input, mean, var, *affine, eps), mean, var, count

        @staticmethod
        def backward(ctx: Any, g: Tensor, *unused: Any) -> Any:
            input, weight, mean, var, count = ctx.saved_tensors
            group, eps, needs = ctx.process_group, ctx.eps, ctx.needs_input_grad[2:]
            add: Any = functools.partial(_add, group)
            if at.is_grad_enabled():  # to be differentiated in its turn: as steps that have gradients
                mean, var, count = _statistics(input, functools.partial(Exchange.apply, _gather, _scatter, group))
                add = functools.partial(Exchange.apply, _add, _add, group)
                slopes = _by_steps(g, input, weight, mean, var, count, eps, add)
            else:
                slopes = _at_once(g, input, weight, mean, var, count, eps, add if needs[0] else None)
            dtypes = (input.dtype, *(2 * [input.dtype if weight is None else weight.dtype]))
            narrow = (
                slope.to(dtype) if need else None for slope, dtype, need in zip(slopes, dtypes, needs, strict=True)
            )
            return (None, None, *narrow)

    return SyncBatchNorm


# With x' = (x - mean) rstd of the count elements of all ranks, the gradient to x is that of one process,
#     weight rstd (g - sum(g) / count - x' sum(g x') / count),
# whose sums go over the ranks. Those of this rank are the gradients of its bias and weight.
def _at_once(
    g: Tensor, input: Tensor, weight: Tensor | None, mean: Tensor, var: Tensor, count: Tensor, eps: float, add: Any
) -> tuple[Tensor, Tensor, Tensor]:
    wide_weight = at.ones_like(mean) if weight is None else wide(weight)
    if input.numel():
        to_input, to_weight, to_bias = _several.batch_norm_backward(g, input, mean, var, wide_weight, eps)
    else:
        to_input, to_weight, to_bias = g, at.zeros_like(mean), at.zeros_like(mean)
    if add is None:
        return to_input, to_weight, to_bias
    of_weight, of_bias = add(at.cat([to_weight, to_bias])).chunk(2)
    if not input.numel():
        return to_input, to_weight, to_bias
    # The kernel has taken the means of this rank's sums away, in place of all ranks'.
    scale, own = wide_weight * at.rsqrt(var + eps), input.numel() // input.shape[1]
    along = scale * (to_weight / own - of_weight / count)
    shift = scale * (to_bias / own - of_bias / count)
    rest = _one.batch_norm_inference(input, mean, var, along, shift, eps)
    return to_input.add_(rest), to_weight, to_bias


def _by_steps(
    g: Tensor, input: Tensor, weight: Tensor | None, mean: Tensor, var: Tensor, count: Tensor, eps: float, add: Any
) -> tuple[Tensor, Tensor, Tensor]:
    def channels(t: Tensor) -> Tensor:
        return t.reshape(-1, *[1] * (input.ndim - 2))

    dims, rstd = [0, *range(2, input.ndim)], at.rsqrt(var + eps)
    g, plain = wide(g), (wide(input) - channels(mean)) * channels(rstd)
    to_weight, to_bias = (g * plain).sum(dims), g.sum(dims)
    of_weight, of_bias = add(at.cat([to_weight, to_bias])).chunk(2)
    scale = rstd if weight is None else wide(weight) * rstd
    to_input = channels(scale) * (g - channels(of_bias / count) - plain * channels(of_weight / count))
    return to_input, to_weight, to_bias
