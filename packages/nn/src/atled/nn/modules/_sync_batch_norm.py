"""Batch normalisation over the ranks of a job."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._module import Module
from .._ops import one as _one
from ..functional._sync_batch_norm import ranks_together, sync_batch_norm
from ._lazy import _Lazy
from ._normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d, _BatchNorm


class SyncBatchNorm(_BatchNorm):
    """Normalises each channel of ``(N, C, ...)`` over the batches of all ranks (Ioffe & Szegedy 2015).

    In training every rank of ``process_group`` (None: the whole job) calls it, and the backward of what it answers, in
    the same order. Mean and variance are those of all their batches, which may differ in size, and so are the gradients
    of input; the running statistics are the same on every rank. The gradients of weight and bias are this rank's part,
    for `atled.distributed.DistributedDataParallel` to average. In evaluation, without a job and alone in the group it
    is batch normalisation. On any device that the group's backend takes tensors of.

    ShapeError for input of fewer than two dimensions or without channels; AttributeError that names atled-distributed
    where that is not installed and ``process_group`` is given; DistError on a rank that is not in the group.

    >>> import atled.core as at
    >>> from atled import nn
    >>> model = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)))
    >>> type(model[1]).__name__, model(at.ones(2, 1, 5, 5)).shape
    ('SyncBatchNorm', (2, 4, 3, 3))
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: at.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    @classmethod
    @explained
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module, in which layers of this class took the place of each ``BatchNorm1d``, ``2d`` and ``3d``.

        They have the same parameters and buffers, and none of the old ones' hooks; a layer that has several places has
        one in its place. A module that is such a layer itself is not changed: the answer is the new layer.
        OperationError for a lazy layer that has not seen input.
        """
        return cls._converted(module, process_group, {})

    @classmethod
    def _converted(cls, module: Module, process_group: Any, done: dict[Module, Module]) -> Module:
        if module in done:
            return done[module]
        converted = module
        if isinstance(module, (BatchNorm1d, BatchNorm2d, BatchNorm3d, SyncBatchNorm)):
            if isinstance(module, _Lazy):
                raise at.OperationError(
                    f"convert_sync_batchnorm: expected layers that know their features, got a {type(module).__name__}; "
                    "call the model once before"
                )
            settings = (module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats)
            layer = cls(*settings, process_group, "meta", bias=module.bias is not None)
            layer.weight, layer.bias = module.weight, module.bias
            layer.running_mean, layer.running_var = module.running_mean, module.running_var
            layer.num_batches_tracked, layer.training = module.num_batches_tracked, module.training
            converted = layer
        done[module] = converted
        for name, child in module._modules.items():
            if child is not None:
                converted.add_module(name, cls._converted(child, process_group, done))
        return converted

    def _check(self, input: Tensor) -> None:
        if input.ndim < 2 or not input.shape[1]:
            raise at.ShapeError(f"SyncBatchNorm: expected input (N, C, ...), got {tuple(input.shape)}")

    def _normalize(
        self, input: Tensor, mean: Tensor | None, var: Tensor | None, training: bool, momentum: float
    ) -> Tensor:
        if not self.training or not ranks_together(self.process_group):
            return super()._normalize(input, mean, var, training, momentum)
        output, seen_mean, seen_var = sync_batch_norm(input, self.weight, self.bias, self.eps, self.process_group)
        for running, seen in ((mean, seen_mean), (var, seen_var)):
            if running is not None:
                _one.update_average(running, seen, momentum)
        return output
