"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atled.core import Tensor

from .. import functional as F
from .._module import Module
from .._sizes import Size, sizes


class _MaxPool(Module):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.dilation = padding, dilation
        self.return_indices, self.ceil_mode = return_indices, ceil_mode

    def extra_repr(self) -> str:
        """The window."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The largest element of each window of ``(N, C, L)`` or ``(C, L)``; with its position, if ``return_indices``.

    Answers ``(N, C, L_out)``, which is as ``H_out`` of `MaxPool2d`.

    >>> import atled.core as at
    >>> MaxPool1d(2)(at.tensor([[1.0, 5, 2, 3]])).tolist()
    [[5.0, 3.0]]
    """

    def forward(self, input: Tensor) -> Any:
        """Of shape ``(N, C, L_out)``."""
        return F.max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool2d(_MaxPool):
    """The largest element of each window of ``(N, C, H, W)`` or ``(C, H, W)``; if ``return_indices``, its position too.

    ``H_out = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1``, with ``ceil_mode`` rounded up, and
    W_out likewise; ``stride`` None is ``kernel_size``. Dtypes, edges and errors are those of `functional.max_pool2d`.

    >>> import atled.core as at
    >>> MaxPool2d(2)(at.arange(16.0).reshape(1, 4, 4)).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]
    """

    def forward(self, input: Tensor) -> Any:
        """Of shape ``(N, C, H_out, W_out)``."""
        return F.max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class MaxPool3d(_MaxPool):
    """The largest element of each window of ``(N, C, D, H, W)`` or ``(C, D, H, W)``; otherwise as `MaxPool2d`.

    >>> import atled.core as at
    >>> MaxPool3d(2)(at.arange(8.0).reshape(1, 2, 2, 2)).tolist()
    [[[[7.0]]]]
    """

    def forward(self, input: Tensor) -> Any:
        """Of shape ``(N, C, D_out, H_out, W_out)``."""
        return F.max_pool3d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )


class AvgPool1d(Module):
    """The mean of each window of ``(N, C, L)`` or ``(C, L)``; otherwise as `AvgPool2d`.

    >>> import atled.core as at
    >>> AvgPool1d(2, stride=1)(at.tensor([[1.0, 3, 5, 7]])).tolist()
    [[2.0, 4.0, 6.0]]
    """

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, L_out)``."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _AvgPool(Module):
    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(_AvgPool):
    """The mean of each window of ``(N, C, H, W)`` or ``(C, H, W)``: ``(N, C, H_out, W_out)``, as `MaxPool2d` has them.

    Padding counts as zeros unless ``count_include_pad`` is false; ``divisor_override`` divides the sums instead. Errors
    are those of `functional.avg_pool2d`.

    >>> import atled.core as at
    >>> AvgPool2d(2)(at.tensor([[[1.0, 2], [3, 6]]])).tolist()
    [[[3.0]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, H_out, W_out)``."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool3d(_AvgPool):
    """The mean of each window of ``(N, C, D, H, W)`` or ``(C, D, H, W)``; otherwise as `AvgPool2d`.

    >>> import atled.core as at
    >>> AvgPool3d(2)(at.arange(8.0).reshape(1, 2, 2, 2)).tolist()
    [[[[3.5]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, D_out, H_out, W_out)``."""
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _Adaptive(Module):
    def __init__(self, output_size: int | Sequence[int | None] | None) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_Adaptive):
    """Means over windows chosen so that ``(N, C, L)`` or ``(C, L)`` becomes ``(N, C, output_size)``.

    >>> import atled.core as at
    >>> AdaptiveAvgPool1d(2)(at.tensor([[1.0, 2, 3]])).tolist()
    [[1.5, 2.5]]
    """

    output_size: Size

    def __init__(self, output_size: Size) -> None:
        super().__init__(output_size)

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, output_size)``."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_Adaptive):
    """Means over windows chosen so that the last two dimensions become ``output_size``; None keeps a size.

    Input ``(N, C, H, W)`` or ``(C, H, W)``; the windows and errors are those of `functional.adaptive_avg_pool2d`.

    >>> import atled.core as at
    >>> AdaptiveAvgPool2d((1, None))(at.arange(6.0).reshape(1, 2, 3)).tolist()
    [[[1.5, 2.5, 3.5]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, *output_size)``."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_Adaptive):
    """Means over windows chosen so that the last three dimensions become ``output_size``; None keeps a size.

    Input ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> import atled.core as at
    >>> AdaptiveAvgPool3d((1, None, 1))(at.arange(8.0).reshape(1, 2, 2, 2)).tolist()
    [[[[2.5], [4.5]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, *output_size)``."""
        return F.adaptive_avg_pool3d(input, self.output_size)


class _AdaptiveMax(_Adaptive):
    def __init__(self, output_size: int | Sequence[int | None] | None, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMax):
    """The largest elements of windows chosen so that ``(N, C, L)`` or ``(C, L)`` becomes ``(N, C, output_size)``.

    With their positions, if ``return_indices``.

    >>> import atled.core as at
    >>> AdaptiveMaxPool1d(2)(at.tensor([[1.0, 4, 2, 3]])).tolist()
    [[4.0, 3.0]]
    """

    output_size: Size

    def __init__(self, output_size: Size, return_indices: bool = False) -> None:
        super().__init__(output_size, return_indices)

    def forward(self, input: Tensor) -> Any:
        """Of shape ``(N, C, output_size)``."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMax):
    """The largest elements of windows chosen so that the last two dimensions become ``output_size``; None keeps a size.

    Input ``(N, C, H, W)`` or ``(C, H, W)``; with their positions ``h W + w``, if ``return_indices``. The windows are
    those of `functional.adaptive_max_pool2d`.

    >>> import atled.core as at
    >>> AdaptiveMaxPool2d((1, None))(at.arange(6.0).reshape(1, 2, 3)).tolist()
    [[[3.0, 4.0, 5.0]]]
    """

    def forward(self, input: Tensor) -> Any:
        """Of shape ``(N, C, *output_size)``."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMax):
    """As `AdaptiveMaxPool2d`, of the last three dimensions of ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> import atled.core as at
    >>> AdaptiveMaxPool3d((1, 2, 1))(at.arange(8.0).reshape(1, 2, 2, 2)).tolist()
    [[[[5.0], [7.0]]]]
    """

    def forward(self, input: Tensor) -> Any:
        """Of shape ``(N, C, *output_size)``."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _MaxUnpool(Module):
    _dims: int

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0) -> None:
        super().__init__()
        name, n = type(self).__name__, self._dims
        self.kernel_size = sizes(kernel_size, n, f"{name}: kernel_size")
        self.stride = self.kernel_size if stride is None else sizes(stride, n, f"{name}: stride")
        self.padding = sizes(padding, n, f"{name}: padding")

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Of ``output_size``, or what the window's sizes say."""
        function = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self._dims - 1]
        return function(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """Puts what `MaxPool1d` found back where it was, among zeros; as `MaxUnpool2d`, of ``(N, C, L)`` or ``(C, L)``.

    >>> import atled.core as at
    >>> MaxUnpool1d(2)(at.tensor([[3.0, 4]]), at.tensor([[1, 2]])).tolist()
    [[0.0, 3.0, 4.0, 0.0]]
    """

    _dims = 1


class MaxUnpool2d(_MaxUnpool):
    """Puts what `MaxPool2d` found back where it was, among zeros (Zeiler & Fergus 2014, section 2.1).

    Called with values and indices ``(N, C, h, w)`` or ``(C, h, w)``, and an ``output_size`` where several are possible;
    sizes and errors are those of `functional.max_unpool2d`.

    >>> import atled.core as at
    >>> pool, unpool = MaxPool2d(2, return_indices=True), MaxUnpool2d(2)
    >>> unpool(*pool(at.tensor([[[1.0, 2], [4, 3]]]))).tolist()
    [[[0.0, 0.0], [4.0, 0.0]]]
    """

    _dims = 2


class MaxUnpool3d(_MaxUnpool):
    """Puts what `MaxPool3d` found back where it was, among zeros; as `MaxUnpool2d`, of volumes.

    >>> import atled.core as at
    >>> pool, unpool = MaxPool3d(2, return_indices=True), MaxUnpool3d(2)
    >>> unpool(*pool(at.arange(8.0).reshape(1, 2, 2, 2))).tolist()
    [[[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 7.0]]]]
    """

    _dims = 3


class _LPPool(Module):
    def __init__(
        self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def extra_repr(self) -> str:
        """The power and the window."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPool):
    """``(sum of x^p) ^ (1 / p)`` over each window of ``(N, C, L)`` or ``(C, L)``; otherwise as `LPPool2d`.

    >>> import atled.core as at
    >>> LPPool1d(2, 2)(at.tensor([[3.0, 4]])).tolist()
    [[5.0]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, L_out)``."""
        return F.lp_pool1d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPool):
    """``(sum of x^p) ^ (1 / p)`` over each window of ``(N, C, H, W)`` or ``(C, H, W)``, for p ``norm_type``.

    As large as of `MaxPool2d` without padding; p inf, NaN and 0 are as in `functional.lp_pool2d`.

    >>> import atled.core as at
    >>> LPPool2d(2, 2)(at.ones(1, 1, 2, 2)).item()
    2.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, H_out, W_out)``."""
        return F.lp_pool2d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPool):
    """``(sum of x^p) ^ (1 / p)`` over each window of ``(N, C, D, H, W)`` or ``(C, D, H, W)``; otherwise as `LPPool2d`.

    >>> import atled.core as at
    >>> LPPool3d(3, 2)(at.ones(1, 1, 2, 2, 2)).item()
    2.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(N, C, D_out, H_out, W_out)``."""
        return F.lp_pool3d(input, self.norm_type, self.kernel_size, self.stride, self.ceil_mode)
