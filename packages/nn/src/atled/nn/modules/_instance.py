"""Normalisation of each image by itself, and by neighbouring channels."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .._module import Module
from ._normalization import _BatchNorm


class _InstanceNorm(_BatchNorm):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: at.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, of the same shape; one without N is normalised likewise."""
        (full,) = self._ndims
        if input.ndim not in (full - 1, full):
            raise at.ShapeError(
                f"{type(self).__name__}: expected {full - 1}-d or {full}-d input, got {tuple(input.shape)}"
            )
        if input.shape[-full + 1] != self.num_features:
            raise at.ShapeError(
                f"{type(self).__name__}: expected {self.num_features} channels, got {tuple(input.shape)}"
            )
        batch = input if input.ndim == full else input.unsqueeze(0)
        by_itself = self.training or not self.track_running_stats
        mean, var, momentum = self.running_mean, self.running_var, self.momentum or 0.0
        output = F.instance_norm(batch, mean, var, self.weight, self.bias, by_itself, momentum, self.eps)
        return output if input.ndim == full else output.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Normalises each channel of each element of ``(N, C, L)``, or of ``(C, L)``, by itself.

    Otherwise as `InstanceNorm2d`.

    >>> import atled.core as at
    >>> InstanceNorm1d(1, eps=1e-12)(at.tensor([[[1.0, 3.0]]])).tolist()
    [[[-1.0, 1.0]]]
    """

    _ndims = (3,)


class InstanceNorm2d(_InstanceNorm):
    """Normalises each channel of each element of ``(N, C, H, W)``, or of ``(C, H, W)``, by itself.

    After Ulyanov et al. 2016; the same in training and evaluation, unless ``track_running_stats``: then the means over
    the batch of what it is normalised by move the running ones, which are used in evaluation. With ``affine`` there are
    weight and bias ``(C,)``, which start as 1 and 0. ShapeError for one element a channel.

    >>> import atled.core as at
    >>> layer = InstanceNorm2d(1, eps=1e-12, affine=True)
    >>> layer(at.tensor([[[[1.0, 3.0]]], [[[5.0, 9.0]]]])).flatten().tolist()
    [-1.0, 1.0, -1.0, 1.0]
    """

    _ndims = (4,)


class InstanceNorm3d(_InstanceNorm):
    """Normalises each channel of each element of ``(N, C, D, H, W)``, or of ``(C, D, H, W)``, by itself.

    Otherwise as `InstanceNorm2d`.

    >>> import atled.core as at
    >>> InstanceNorm3d(1, eps=1e-12)(at.tensor([1.0, 3.0]).reshape(1, 1, 2, 1, 1)).flatten().tolist()
    [-1.0, 1.0]
    """

    _ndims = (5,)


class LocalResponseNorm(Module):
    """``x / (k + alpha m)^beta`` with the mean m of the squares of ``size`` neighbouring channels of ``(N, C, ...)``.

    Krizhevsky et al. 2012, section 3.3, with a mean for the sum; channels beyond the ends count as zeros. The same
    shape and floating dtype; ShapeError for fewer than three dimensions.

    >>> import atled.core as at
    >>> [round(y, 4) for y in LocalResponseNorm(2, alpha=6.0, beta=1.0)(at.ones(1, 2, 1)).flatten().tolist()]
    [0.25, 0.1429]
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The settings."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
