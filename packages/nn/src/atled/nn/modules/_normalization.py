"""Normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .. import init
from .._module import Module
from .._parameter import Parameter
from .._sizes import integer


class _BatchNorm(Module):
    _ndims: tuple[int, ...]
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(at.ones(num_features, **like)) if affine else None)
        self.register_parameter("bias", Parameter(at.zeros(num_features, **like)) if affine and bias else None)
        track = track_running_stats
        self.register_buffer("running_mean", at.zeros(num_features, **like) if track else None)
        self.register_buffer("running_var", at.ones(num_features, **like) if track else None)
        self.register_buffer("num_batches_tracked", at.zeros((), dtype=at.int64, device=device) if track else None)

    def reset_running_stats(self) -> None:
        """Forgets all batches."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Forgets all batches, and sets weight to 1 and bias to 0."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, of the same shape."""
        self._check(input)
        momentum = self.momentum
        tracking = self.training and self.num_batches_tracked is not None
        if tracking:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            if momentum is None:  # the mean over all batches
                momentum = 1.0 / int(self.num_batches_tracked)
        # Without running statistics the batch's are used in evaluation too.
        training = self.training or self.running_mean is None
        mean, var = (self.running_mean, self.running_var) if tracking or not training else (None, None)
        return self._normalize(input, mean, var, training, momentum or 0.0)

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self._ndims:
            wanted = " or ".join(f"{n}-d" for n in self._ndims)
            raise at.ShapeError(f"{type(self).__name__}: expected {wanted} input, got {tuple(input.shape)}")

    def _normalize(
        self, input: Tensor, mean: Tensor | None, var: Tensor | None, training: bool, momentum: float
    ) -> Tensor:
        return F.batch_norm(input, mean, var, self.weight, self.bias, training, momentum, self.eps)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Weights from before PyTorch 0.4.1, or of other libraries, have no count: the layer's own stays.
        count = self.num_batches_tracked
        if count is not None:
            count = at.zeros_like(count, device="cpu") if count.is_meta else count
            state_dict.setdefault(f"{prefix}num_batches_tracked", count)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """The size and the settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalises each channel of ``(N, C)`` or ``(N, C, L)``; otherwise as `BatchNorm2d`.

    >>> import atled.core as at
    >>> layer, x = BatchNorm1d(1, eps=1e-12), at.tensor([[1.0], [3.0]])
    >>> layer(x).flatten().tolist(), round(layer.running_mean.item(), 4)
    ([-1.0, 1.0], 0.2)
    """

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """``(x - mean) / sqrt(var + eps) weight + bias`` for each channel of ``(N, C, H, W)`` (Ioffe & Szegedy 2015).

    In training by the mean and biased variance of the batch; ``running_mean`` and ``running_var``, ``(C,)``, which
    start as 0 and 1, then move by ``momentum`` towards the mean and the unbiased variance, or with ``momentum=None``
    are means over all batches. In evaluation by the running ones; with ``track_running_stats=False`` there are none,
    and the batch's serve. Weight and bias ``(C,)`` start as 1 and 0; ``affine=False`` leaves them out. ShapeError for
    input of another number of dimensions or channels, and in training for one value per channel.

    >>> import atled.core as at
    >>> layer, x = BatchNorm2d(1, eps=0.0), at.full((2, 1, 2, 2), 3.0)
    >>> layer.eval()(x).mean().item(), layer.num_batches_tracked.item()
    (3.0, 0)
    >>> layer.train()(x + at.tensor([-1.0, 1.0]))[0].tolist(), layer.num_batches_tracked.item()
    ([[[-1.0, 1.0], [-1.0, 1.0]]], 1)
    """

    _ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalises each channel of ``(N, C, D, H, W)``; otherwise as `BatchNorm2d`.

    >>> import atled.core as at
    >>> BatchNorm3d(1, eps=1e-12)(at.tensor([1.0, 3.0]).reshape(1, 1, 2, 1, 1)).flatten().tolist()
    [-1.0, 1.0]
    """

    _ndims = (5,)


class LayerNorm(Module):
    """``(x - mean) / sqrt(var + eps) weight + bias`` over the last dimensions (Ba et al. 2016).

    Input ``(*, *normalized_shape)``; an int stands for one dimension. Weight and bias of ``normalized_shape`` start as
    1 and 0. Dtypes and errors are those of `functional.layer_norm`.

    >>> import atled.core as at
    >>> LayerNorm(2, eps=1e-12)(at.tensor([[1.0, 3.0], [0.0, 8.0]])).tolist()
    [[-1.0, 1.0], [-1.0, 1.0]]
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        one = integer(normalized_shape)
        self.normalized_shape = tuple(normalized_shape) if one is None else (one,)  # type: ignore[arg-type]
        self.eps, self.elementwise_affine = eps, elementwise_affine
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        shape = self.normalized_shape
        self.register_parameter("weight", Parameter(at.ones(shape, **like)) if elementwise_affine else None)
        self.register_parameter("bias", Parameter(at.zeros(shape, **like)) if elementwise_affine and bias else None)

    def reset_parameters(self) -> None:
        """Sets weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, of the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The shape and the settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(Module):
    """``x / sqrt(mean(x^2) + eps) weight`` over the last dimensions (Zhang & Sennrich 2019).

    Input ``(*, *normalized_shape)``; an int stands for one dimension. Weight of ``normalized_shape`` starts as 1.
    ``eps`` None is the epsilon of float32, or of float64. Dtypes and errors are those of `functional.rms_norm`.

    >>> import atled.core as at
    >>> RMSNorm(2, eps=0.0)(at.tensor([[3.0, -3.0]])).tolist()
    [[1.0, -1.0]]
    """

    weight: Parameter | None

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        one = integer(normalized_shape)
        self.normalized_shape = tuple(normalized_shape) if one is None else (one,)  # type: ignore[arg-type]
        self.eps, self.elementwise_affine = eps, elementwise_affine
        ones = at.ones(self.normalized_shape, device=device, dtype=dtype)
        self.register_parameter("weight", Parameter(ones) if elementwise_affine else None)

    def reset_parameters(self) -> None:
        """Sets weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, of the same shape."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The shape and the settings."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
