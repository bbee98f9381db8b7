"""Layers that learn from their first input how many features it has."""

from __future__ import annotations

from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor

from .._module import Module
from .._parameter import UninitializedParameter, detached
from .._sizes import Size
from ._convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ._instance import InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from ._linear import Linear
from ._normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d


class _Lazy(Module):
    """A layer without a number of features: its first call makes its parameters, and it becomes another class."""

    cls_to_become: type[Any]
    _features: ClassVar[str]  # the attribute that is missing
    _dim: ClassVar[int]  # of the input that tells it
    _arguments: dict[str, Any]

    def _postpone(self, **arguments: Any) -> None:
        """Takes what depends on the features away from a layer that was made for some number of them."""
        self._arguments = arguments
        setattr(self, self._features, 0)
        for name, kind in self._kinds.items():
            value = self.__dict__[name]
            if value is None or value.ndim == 0:
                continue
            if kind == "parameter":
                self.__dict__[name] = UninitializedParameter(True, value.device, value.dtype)
            else:
                self.__dict__[name] = at.empty(0, device=value.device, dtype=value.dtype)

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or a buffer has no shape yet."""
        return any(isinstance(t, Tensor) and tuple(t.shape) == (0,) for t in map(self.__dict__.get, self._kinds))

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Makes what has no shape yet for the input's features. What a state dict has brought stays.

        ShapeError for input that has no such dimension or does not fit what the state dict has brought.
        """
        if not -input.ndim <= self._dim < input.ndim:
            what = "features" if self._dim == -1 else "channels"
            raise at.ShapeError(f"{type(self).__name__}: expected input with {what}, got {tuple(input.shape)}")
        features = input.shape[self._dim]
        made = self.cls_to_become(features, **self._arguments)
        both = [(name, self.__dict__[name], made.__dict__[name]) for name in self._kinds]
        for name, old, new in both:
            if old is not None and tuple(old.shape) not in ((0,), tuple(new.shape)):
                raise at.ShapeError(
                    f"{type(self).__name__}: expected input that fits {name} of shape {tuple(old.shape)}, "
                    f"got {tuple(input.shape)}"
                )
        for name, old, new in both:
            if old is None or tuple(old.shape) != (0,):
                continue
            new = detached(new).to(old.device, old.dtype)
            if isinstance(old, UninitializedParameter):
                old.become(new)
            else:
                self.__dict__[name] = new
        setattr(self, self._features, features)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Makes the parameters, and runs the layer that it has become."""
        self.initialize_parameters(*args, **kwargs)
        del self._arguments
        self.__class__ = self.cls_to_become
        return self(*args, **kwargs)


class LazyLinear(_Lazy, Linear):
    """A `Linear` whose in_features are those of its first input.

    >>> import atled.core as at
    >>> layer = LazyLinear(5)
    >>> layer(at.ones(2, 3)).shape, layer
    ((2, 5), Linear(in_features=3, out_features=5, bias=True))
    """

    cls_to_become, _features, _dim = Linear, "in_features", -1

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: at.dtype | None = None) -> None:
        Linear.__init__(self, 1, out_features, bias, device, dtype)
        self._postpone(out_features=out_features, bias=bias, device=device, dtype=dtype)


class _LazyConvolution(_Lazy):
    _features = "in_channels"

    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: str | Size = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "out_channels": out_channels,
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "dilation": dilation,
            "groups": groups,
            "bias": bias,
            "padding_mode": padding_mode,
            "device": device,
            "dtype": dtype,
        }
        self.cls_to_become.__init__(self, groups, **given)
        self._postpone(**given)


class LazyConv1d(_LazyConvolution, Conv1d):
    """A `Conv1d` whose in_channels are those of its first input.

    >>> import atled.core as at
    >>> LazyConv1d(4, 3)(at.ones(1, 2, 8)).shape
    (1, 4, 6)
    """

    cls_to_become, _dim = Conv1d, -2


class LazyConv2d(_LazyConvolution, Conv2d):
    """A `Conv2d` whose in_channels are those of its first input.

    >>> import atled.core as at
    >>> LazyConv2d(4, 3)(at.ones(1, 2, 8, 8)).shape
    (1, 4, 6, 6)
    """

    cls_to_become, _dim = Conv2d, -3


class LazyConv3d(_LazyConvolution, Conv3d):
    """A `Conv3d` whose in_channels are those of its first input.

    >>> import atled.core as at
    >>> LazyConv3d(4, 3)(at.ones(1, 2, 3, 8, 8)).shape
    (1, 4, 1, 6, 6)
    """

    cls_to_become, _dim = Conv3d, -4


class _LazyConvolutionTranspose(_Lazy):
    _features = "in_channels"

    def __init__(
        self,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        given: dict[str, Any] = {
            "out_channels": out_channels,
            "kernel_size": kernel_size,
            "stride": stride,
            "padding": padding,
            "output_padding": output_padding,
            "groups": groups,
            "bias": bias,
            "dilation": dilation,
            "padding_mode": padding_mode,
            "device": device,
            "dtype": dtype,
        }
        self.cls_to_become.__init__(self, groups, **given)
        self._postpone(**given)


class LazyConvTranspose1d(_LazyConvolutionTranspose, ConvTranspose1d):
    """A `ConvTranspose1d` whose in_channels are those of its first input.

    >>> import atled.core as at
    >>> LazyConvTranspose1d(4, 3)(at.ones(1, 2, 8)).shape
    (1, 4, 10)
    """

    cls_to_become, _dim = ConvTranspose1d, -2


class LazyConvTranspose2d(_LazyConvolutionTranspose, ConvTranspose2d):
    """A `ConvTranspose2d` whose in_channels are those of its first input.

    >>> import atled.core as at
    >>> LazyConvTranspose2d(4, 2, stride=2)(at.ones(1, 2, 3, 3)).shape
    (1, 4, 6, 6)
    """

    cls_to_become, _dim = ConvTranspose2d, -3


class LazyConvTranspose3d(_LazyConvolutionTranspose, ConvTranspose3d):
    """A `ConvTranspose3d` whose in_channels are those of its first input.

    >>> import atled.core as at
    >>> LazyConvTranspose3d(4, 2, stride=2)(at.ones(1, 2, 3, 3, 1)).shape
    (1, 4, 6, 6, 2)
    """

    cls_to_become, _dim = ConvTranspose3d, -4


class _LazyNorm(_Lazy):
    _features = "num_features"

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        given: dict[str, Any] = {
            "eps": eps,
            "momentum": momentum,
            "affine": affine,
            "track_running_stats": track_running_stats,
            "device": device,
            "dtype": dtype,
            "bias": bias,
        }
        self.cls_to_become.__init__(self, 1, **given)
        self._postpone(**given)


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A `BatchNorm1d` whose num_features are the channels of its first input.

    >>> import atled.core as at
    >>> LazyBatchNorm1d()(at.ones(2, 3)).shape
    (2, 3)
    """

    cls_to_become, _dim = BatchNorm1d, 1


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A `BatchNorm2d` whose num_features are the channels of its first input.

    >>> import atled.core as at
    >>> LazyBatchNorm2d()(at.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    cls_to_become, _dim = BatchNorm2d, 1


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A `BatchNorm3d` whose num_features are the channels of its first input.

    >>> import atled.core as at
    >>> LazyBatchNorm3d()(at.ones(2, 3, 4, 4, 2)).shape
    (2, 3, 4, 4, 2)
    """

    cls_to_become, _dim = BatchNorm3d, 1


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An `InstanceNorm1d` whose num_features are the channels of its first input.

    >>> import atled.core as at
    >>> LazyInstanceNorm1d()(at.ones(2, 3, 4)).shape
    (2, 3, 4)
    """

    cls_to_become, _dim = InstanceNorm1d, -2


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An `InstanceNorm2d` whose num_features are the channels of its first input.

    >>> import atled.core as at
    >>> LazyInstanceNorm2d()(at.ones(2, 3, 4, 4)).shape
    (2, 3, 4, 4)
    """

    cls_to_become, _dim = InstanceNorm2d, -3


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An `InstanceNorm3d` whose num_features are the channels of its first input.

    >>> import atled.core as at
    >>> LazyInstanceNorm3d()(at.ones(2, 3, 4, 4, 2)).shape
    (2, 3, 4, 4, 2)
    """

    cls_to_become, _dim = InstanceNorm3d, -4
