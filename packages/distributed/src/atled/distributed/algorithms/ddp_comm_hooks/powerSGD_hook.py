"""Gradients as products of two thin matrices (Vogels, Karimireddy and Jaggi 2019, "PowerSGD")."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import atled.core as at
from atled.core import ArgumentError, InvalidValueError, Tensor
from atled.core._explained import explained

from ..._comm_hook import GradBucket
from ..._group import ProcessGroup
from ..._world import group_or_default
from ...futures import Future
from .default_hooks import averaged

__all__ = ["PowerSGDState", "powerSGD_hook"]

logger = logging.getLogger(__name__)


class _Factors(NamedTuple):
    """Thin matrices of a bucket, one for each of its matrices, and the memory in which they travel."""

    memory: Tensor
    parts: list[Tensor]


class PowerSGDState:
    """What `powerSGD_hook` is told and keeps from step to step; each model has one of its own.

    ``process_group``: whose ranks average, None is all of them. ``matrix_approximation_rank``: the columns of the thin
    matrices, more for smaller errors. ``start_powerSGD_iter``: how many steps average whole gradients before.
    ``min_compression_rate``: what is not at least so many times smaller then travels as it is.
    ``use_error_feedback``: what was lost is added to the next step's gradients, in as much memory as these take.
    ``warm_start``: the matrices begin with those of the last step, rather than with random ones drawn by
    ``random_seed``. ``orthogonalization_epsilon`` is added to the lengths that columns are divided by; zeros
    are no error without it. Every so many steps as ``compression_stats_logging_frequency`` says, what is saved goes to
    ``logging``. ``batch_tensors_with_same_shape`` is there for PyTorch's programs and changes nothing.

    ``error_dict``, ``p_memory_dict`` and ``q_memory_dict`` are by the numbers of buckets, ``iter`` counts steps. A
    pickle is without the group: what is made of it is for all ranks, until ``process_group`` is set.

    Raises InvalidValueError for a rank or a rate below 1, or a negative number of steps, ArgumentError for what is no
    number, or no integer where one is counted.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
    >>> model = dist.DistributedDataParallel(nn.Linear(64, 32))
    >>> state = PowerSGDState(None, matrix_approximation_rank=1, start_powerSGD_iter=0)
    >>> model.register_comm_hook(state, powerSGD_hook)
    >>> model(at.ones((1, 64))).sum().backward()
    >>> state.compression_stats()  # how many times less, numbers before and after
    (16.25, 2080, 128)
    """

    @explained
    def __init__(
        self,
        process_group: ProcessGroup | None,
        matrix_approximation_rank: int = 1,
        start_powerSGD_iter: int = 1000,
        min_compression_rate: float = 2,
        use_error_feedback: bool = True,
        warm_start: bool = True,
        orthogonalization_epsilon: float = 0,
        random_seed: int = 0,
        compression_stats_logging_frequency: int = 10000,
        batch_tensors_with_same_shape: bool = False,
    ) -> None:
        for name, value, least in (
            ("matrix_approximation_rank", matrix_approximation_rank, 1),
            ("start_powerSGD_iter", start_powerSGD_iter, 0),
            ("min_compression_rate", min_compression_rate, 1),
        ):
            kinds = (int, float) if name == "min_compression_rate" else (int,)
            if not isinstance(value, kinds):
                wanted = " or ".join(kind.__name__ for kind in kinds)
                raise ArgumentError(f"PowerSGDState: expected {name} of type {wanted}, got {value!r}")
            if not value >= least:
                raise InvalidValueError(f"PowerSGDState: expected {name} >= {least}, got {value}")
        self.process_group = process_group
        self.matrix_approximation_rank = matrix_approximation_rank
        self.start_powerSGD_iter = start_powerSGD_iter
        self.min_compression_rate = min_compression_rate
        self.use_error_feedback = use_error_feedback
        self.warm_start = warm_start
        self.orthogonalization_epsilon = orthogonalization_epsilon
        self.rng = np.random.RandomState(random_seed)
        self.error_dict: dict[int, Tensor] = {}
        self.p_memory_dict: dict[int, Tensor] = {}
        self.q_memory_dict: dict[int, Tensor] = {}
        self.iter = 0
        self.total_numel_before_compression = 0
        self.total_numel_after_compression = 0
        self.compression_stats_logging_frequency = max(1, compression_stats_logging_frequency)
        self.next_stats_report = 0
        self.batch_tensors_with_same_shape = batch_tensors_with_same_shape

    def compression_stats(self) -> tuple[float, int, int]:
        """How many times less numbers than the gradients have were sent since compression began; and both numbers."""
        before, after = self.total_numel_before_compression, self.total_numel_after_compression
        return (before / after if after else 0), before, after

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"process_group": None}

    def _count(self, bucket: GradBucket) -> None:
        if bucket.is_last():
            self.iter += 1
            if self.iter > self.start_powerSGD_iter and self.iter >= self.next_stats_report:
                self.next_stats_report = self.iter + self.compression_stats_logging_frequency
                rate, before, after = self.compression_stats()
                logger.info(
                    "PowerSGD has sent %s numbers for %s by step %s, %.1f times less", after, before, self.iter, rate
                )

    def _with_what_was_lost(self, index: int, flat: Tensor) -> Tensor:
        """Adds what the last step lost of a bucket to its gradients; answers a copy, for what this one will lose."""
        error = self.error_dict.get(index)
        if error is not None and (error.shape, error.dtype, error.device) == (flat.shape, flat.dtype, flat.device):
            flat.add_(error)
        return flat.clone()

    def _factors(self, index: int, matrices: list[Tensor], like: Tensor) -> tuple[_Factors, _Factors]:
        """Room for P and Q of each matrix of a bucket; Q as the last step left it, or random, and orthonormal."""
        ranks = [min(*matrix.shape, self.matrix_approximation_rank) for matrix in matrices]
        p_shapes, q_shapes = (
            [(int(matrix.shape[dim]), rank) for matrix, rank in zip(matrices, ranks, strict=True)] for dim in (0, 1)
        )
        p_memory, _ = self._memory(self.p_memory_dict, index, _total(p_shapes), like)
        q_memory, is_warm = self._memory(self.q_memory_dict, index, _total(q_shapes), like)
        if not is_warm:
            # The same on every rank, and other ones at each step.
            q_memory.copy_(at.asarray(self.rng.standard_normal(q_memory.numel())))
        qs = _parts(q_memory, q_shapes)
        for q in qs:
            _revive(q)
            _orthonormalize(q, self.orthogonalization_epsilon)
        return _Factors(p_memory, _parts(p_memory, p_shapes)), _Factors(q_memory, qs)

    def _memory(self, kept: dict[int, Tensor], index: int, length: int, like: Tensor) -> tuple[Tensor, bool]:
        """Memory for the matrices of a bucket, and whether they have their values of the last step."""
        memory = kept.get(index)
        if memory is not None and (memory.numel(), memory.dtype, memory.device) == (length, like.dtype, like.device):
            return memory, self.warm_start
        kept[index] = at.empty((length,), dtype=like.dtype, device=like.device)
        return kept[index], False


def powerSGD_hook(state: PowerSGDState, bucket: GradBucket) -> Future[Tensor]:
    """Averages gradients of matrices as products of thin ones, which travel in their place (Vogels et al. 2019).

    What has more than two dimensions is a matrix of its first by all others. Of the gradients ``M`` of a rank, with
    what the last step lost, ``P = M Q`` is averaged over the ranks and made orthonormal; ``Q = M.T P`` is averaged; and
    ``P Q.T`` is the new gradient on every rank (algorithm 1, with error feedback as in algorithm 2). What would not get
    much smaller so, biases say, is averaged whole, and complex gradients are.

    Raises ArgumentError for a state that is no PowerSGDState; errors are else those of `all_reduce`.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
    >>> model = dist.DistributedDataParallel(nn.Linear(8, 8, bias=False))
    >>> model.register_comm_hook(PowerSGDState(None, start_powerSGD_iter=0), powerSGD_hook)
    >>> model(at.full((1, 8), dist.get_rank() + 1.0)).sum().backward()
    >>> bool(at.allclose(model.weight.grad, at.full((8, 8), 1.5)))  # of rank 1, which one column gives
    True
    """
    if not isinstance(state, PowerSGDState):
        raise ArgumentError(f"powerSGD_hook: expected a PowerSGDState, got {type(state).__name__}")
    flat, index = bucket.buffer(), bucket.index()
    is_compressed = state.iter >= state.start_powerSGD_iter
    if not is_compressed or not flat.is_floating_point():
        state._count(bucket)
        return averaged(state.process_group, flat)
    group = group_or_default(state.process_group, "powerSGD_hook")
    wanted = state._with_what_was_lost(index, flat) if state.use_error_feedback else None
    matrices, others = _sorted_out(state, bucket.gradients())
    (p_memory, ps), (q_memory, qs) = state._factors(index, matrices, flat)
    rest = at.cat([other.reshape(-1) for other in others]) if others else None
    whole = None if rest is None else averaged(group, rest)
    for matrix, p, q in zip(matrices, ps, qs, strict=True):
        p.copy_(matrix @ q)
    thin = averaged(group, p_memory)
    state.total_numel_before_compression += flat.numel()
    state.total_numel_after_compression += p_memory.numel() + q_memory.numel() + (0 if rest is None else rest.numel())
    state._count(bucket)

    def decompress(future: Future[Tensor]) -> Tensor:
        future.value()
        for matrix, p, q in zip(matrices, ps, qs, strict=True):
            _orthonormalize(p, state.orthogonalization_epsilon)
            q.copy_(matrix.T @ p)
        averaged(group, q_memory).wait()
        for matrix, p, q in zip(matrices, ps, qs, strict=True):
            matrix.copy_(p @ q.T)
        if wanted is not None:
            # Before the others are averaged: they lose nothing. What is not finite, as a gradient scaler lets come by,
            # would never leave.
            state.error_dict[index] = wanted.sub_(flat).nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0)
        if whole is not None:
            for other, part in zip(others, _parts(whole.wait(), [tuple(o.shape) for o in others]), strict=True):
                other.copy_(part)
        return flat

    return thin.then(decompress)


def _sorted_out(state: PowerSGDState, gradients: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The gradients that are worth it, as matrices in the same memory, and the others."""
    matrices, others = [], []
    for gradient in gradients:
        rows = int(gradient.shape[0]) if gradient.ndim else 0
        columns = gradient.numel() // rows if rows else 0
        rank = min(rows, columns, state.matrix_approximation_rank)
        if (rows + columns) * rank * state.min_compression_rate < rows * columns:
            matrices.append(gradient.reshape(rows, columns))
        else:
            others.append(gradient)
    return matrices, others


def _total(shapes: Sequence[tuple[int, ...]]) -> int:
    return sum(math.prod(shape) for shape in shapes)


def _parts(memory: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    parts = memory.split([math.prod(shape) for shape in shapes]) if shapes else []
    return [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]


def _revive(matrix: Tensor) -> None:
    """Gives columns of zeros, or of what is not finite, other values, in place, and the same ones on every rank.

    A gradient of zero leaves them so, or one of lower rank, and they would find nothing in any later gradient either.
    """
    rows, columns = (at.arange(1, n + 1, dtype=at.float32, device=matrix.device) for n in matrix.shape)
    others = at.cos(at.outer(rows, columns)).to(matrix.dtype)
    largest = matrix.abs().amax(0)
    matrix.copy_(at.where((largest > 0) & (largest < math.inf), matrix, others))


def _orthonormalize(matrix: Tensor, epsilon: float) -> None:
    """Makes the columns orthonormal, in place, by the method of Gram and Schmidt; zero where one depends on others.

    Each column loses what it has of those before it twice: what is left the first time may be rounding alone, in their
    direction.
    """
    columns: list[Tensor] = []
    wide = matrix.to(at.float32) if matrix.element_size() < 4 else matrix
    for number in range(matrix.shape[1]):
        column = wide[:, number]
        noise = 4 * at.finfo(wide.dtype).eps * _length(column)
        for before in columns * 2:
            column = column - (before * column).sum() * before
        length = _length(column)
        columns.append(at.where(length > noise, column / (length + epsilon), 0.0))
    for number, column in enumerate(columns):
        matrix[:, number].copy_(column)


def _length(column: Tensor) -> Tensor:
    return (column * column).sum().sqrt()
