"""Pooling. Of volumes: first within each plane, then across the planes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._ops import several as _several
from .._parameter import constant, recording
from .._precision import narrow, wide
from .._sizes import Size, integer, sizes

_OutputSize = int | Sequence[int | None] | None


def _step(stride: Size | None, kernel_size: Any) -> Any:
    """The stride, or the window where there is none: None, and as in PyTorch an empty list."""
    return kernel_size if stride is None or (integer(stride) is None and not stride) else stride


@explained
def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of ``(N, C, H, W)`` or ``(C, H, W)``: ``(N, C, H_out, W_out)``.

    ``H_out = floor((H + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1``, with ``ceil_mode`` rounded up, and
    W_out likewise; without a stride windows lie side by side. Padding, at most half the window, never wins; NaN does.
    With ``return_indices`` also the positions ``h W + w`` in the plane, int64, of the first where several are largest.
    All floating dtypes. ShapeError where no window fits, InvalidValueError for sizes out of range.

    >>> x = at.arange(16.0).reshape(1, 4, 4)
    >>> max_pool2d(x, 2).tolist()
    [[[5.0, 7.0], [13.0, 15.0]]]
    >>> max_pool2d(x, 3, stride=1, return_indices=True)[1].tolist()
    [[[10, 11], [14, 15]]]
    """
    if not return_indices:
        return _maxima(input, kernel_size, _step(stride, None), padding, dilation, ceil_mode)
    output, indices = _several.max_pool2d_with_indices(
        input, kernel_size, _step(stride, None), padding, dilation, ceil_mode
    )
    return output, indices


def _maxima(input: Tensor, *settings: Any) -> Tensor:
    """Without the positions, unless gradients will ask for them."""
    if recording(input):
        return _several.max_pool2d_with_indices(input, *settings)[0]
    return _one.max_pool2d(input, *settings)


@explained
def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of ``(N, C, L)`` or ``(C, L)``; otherwise as `max_pool2d`.

    >>> max_pool1d(at.tensor([[1.0, 5, 2, 3]]), 2).tolist()
    [[5.0, 3.0]]
    >>> max_pool1d(at.tensor([[1.0, 5, 2, 3]]), 2, return_indices=True)[1].tolist()
    [[1, 3]]
    """
    (window,) = sizes(kernel_size, 1, "max_pool1d: kernel_size")
    (step,) = sizes(_step(stride, kernel_size), 1, "max_pool1d: stride")
    (around,), (spread,) = sizes(padding, 1, "max_pool1d: padding"), sizes(dilation, 1, "max_pool1d: dilation")
    settings = ((1, window), (1, step), (0, around), (1, spread), ceil_mode)
    if not return_indices:
        return _maxima(input.unsqueeze(-2), *settings).squeeze(-2)
    output, indices = _several.max_pool2d_with_indices(input.unsqueeze(-2), *settings)
    return output.squeeze(-2), indices.squeeze(-2)


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of ``(N, C, H, W)`` or ``(C, H, W)``: ``(N, C, H_out, W_out)``, as `max_pool2d` has them.

    Padding counts as zeros; with ``count_include_pad=False`` it does not count. ``divisor_override`` divides the sums
    instead. All floating dtypes, half precision summed in float32. ShapeError where no window fits, InvalidValueError
    for sizes out of range and a divisor of 0.

    >>> avg_pool2d(at.tensor([[[1.0, 2], [3, 6]]]), 2).tolist()
    [[[3.0]]]
    >>> avg_pool2d(at.tensor([[[8.0]]]), 2, padding=1).tolist()
    [[[2.0]]]
    """
    return _one.avg_pool2d(
        input, kernel_size, _step(stride, None), padding, ceil_mode, count_include_pad, divisor_override
    )


@explained
def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of ``(N, C, L)`` or ``(C, L)``; otherwise as `avg_pool2d`.

    >>> avg_pool1d(at.tensor([[1.0, 3, 5, 7]]), 2, stride=1).tolist()
    [[2.0, 4.0, 6.0]]
    """
    (window,) = sizes(kernel_size, 1, "avg_pool1d: kernel_size")
    (step,) = sizes(_step(stride, kernel_size), 1, "avg_pool1d: stride")
    (around,) = sizes(padding, 1, "avg_pool1d: padding")
    pooled = _one.avg_pool2d(input.unsqueeze(-2), (1, window), (1, step), (0, around), ceil_mode, count_include_pad)
    return pooled.squeeze(-2)


@explained
def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """Means over windows chosen so that the last two dimensions become ``output_size``; None keeps a size.

    Input ``(N, C, H, W)`` or ``(C, H, W)`` of any floating dtype; output i of n is of the elements from
    ``floor(i H / n)`` to ``ceil((i + 1) H / n)``. ShapeError for an empty plane, InvalidValueError for sizes below 1.

    >>> adaptive_avg_pool2d(at.arange(6.0).reshape(1, 2, 3), (1, None)).tolist()
    [[[1.5, 2.5, 3.5]]]
    """
    h, w = _given_sizes("adaptive_avg_pool2d", output_size, 2)
    return _one.adaptive_avg_pool2d(input, (input.shape[-2] if h is None else h, input.shape[-1] if w is None else w))


@explained
def adaptive_avg_pool1d(input: Tensor, output_size: Size) -> Tensor:
    """Means over windows chosen so that the last dimension becomes ``output_size``, as of `adaptive_avg_pool2d`.

    Input ``(N, C, L)`` or ``(C, L)`` of any floating dtype.

    >>> adaptive_avg_pool1d(at.tensor([[1.0, 2, 3]]), 2).tolist()
    [[1.5, 2.5]]
    """
    return _one.adaptive_avg_pool2d(
        input.unsqueeze(-2), (1, *sizes(output_size, 1, "adaptive_avg_pool1d: output_size"))
    ).squeeze(-2)


def _expect_volumes(op: str, input: Tensor) -> None:
    if input.ndim not in (4, 5):
        raise at.ShapeError(f"{op}: expected input (N, C, D, H, W) or (C, D, H, W), got {tuple(input.shape)}")


@explained
def max_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest element of each window of ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    With its position ``(d H + h) W + w`` in the volume, if asked. All floating dtypes; ShapeError where no window fits.

    >>> max_pool3d(at.arange(8.0).reshape(1, 1, 2, 2, 2), 2, return_indices=True)[1].item()
    7
    """
    _expect_volumes("max_pool3d", input)
    window = sizes(kernel_size, 3, "max_pool3d: kernel_size")
    step = sizes(_step(stride, window), 3, "max_pool3d: stride")
    around, spread = sizes(padding, 3, "max_pool3d: padding"), sizes(dilation, 3, "max_pool3d: dilation")
    within = (window[1:], step[1:], around[1:], spread[1:], ceil_mode)
    across = ((window[0], 1), (step[0], 1), (around[0], 0), (spread[0], 1), ceil_mode)
    if not return_indices:
        planes = _maxima(input, *within)
        output = _maxima(planes.flatten(-2), *across)
        return output.reshape(*output.shape[:-1], *planes.shape[-2:])
    planes, in_plane = _several.max_pool2d_with_indices(input, *within)
    rows, columns = planes.shape[-2:]
    output, places = _several.max_pool2d_with_indices(planes.flatten(-2), *across)
    shape = (*output.shape[:-1], rows, columns)
    depth = at.floor_divide(places, rows * columns).reshape(shape)
    chosen = at.gather(in_plane.flatten(-3), -1, places.flatten(-2)).reshape(shape)
    return output.reshape(shape), depth * math.prod(input.shape[-2:]) + chosen


@explained
def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool1d` and the positions, whatever ``return_indices`` is.

    >>> [t.tolist() for t in max_pool1d_with_indices(at.tensor([[1.0, 5, 2, 3]]), 2)]
    [[[5.0, 3.0]], [[1, 3]]]
    """
    both: tuple[Tensor, Tensor] = max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)  # type: ignore[assignment]
    return both


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool2d` and the positions, whatever ``return_indices`` is.

    >>> [t.tolist() for t in max_pool2d_with_indices(at.arange(4.0).reshape(1, 2, 2), 2)]
    [[[[3.0]]], [[[3]]]]
    """
    both: tuple[Tensor, Tensor] = max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)  # type: ignore[assignment]
    return both


@explained
def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """`max_pool3d` and the positions, whatever ``return_indices`` is.

    >>> [t.item() for t in max_pool3d_with_indices(at.arange(8.0).reshape(1, 2, 2, 2), 2)]
    [7.0, 7]
    """
    both: tuple[Tensor, Tensor] = max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, True)  # type: ignore[assignment]
    return both


@explained
def avg_pool3d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window of ``(N, C, D, H, W)`` or ``(C, D, H, W)``; ``divisor_override`` divides the sum instead.

    Sizes and settings are those of `avg_pool2d`. All floating dtypes; ShapeError where no window fits,
    InvalidValueError for a divisor of 0.

    >>> avg_pool3d(at.arange(8.0).reshape(1, 2, 2, 2), 2).tolist()
    [[[[3.5]]]]
    """
    _expect_volumes("avg_pool3d", input)
    if divisor_override is not None and not integer(divisor_override):
        raise at.InvalidValueError(
            f"avg_pool3d: expected divisor_override to be an integer other than 0, got {divisor_override}"
        )
    window = sizes(kernel_size, 3, "avg_pool3d: kernel_size")
    step = sizes(_step(stride, window), 3, "avg_pool3d: stride")
    around, divisor = sizes(padding, 3, "avg_pool3d: padding"), None if divisor_override is None else 1
    planes = _one.avg_pool2d(wide(input), window[1:], step[1:], around[1:], ceil_mode, count_include_pad, divisor)
    means = _one.avg_pool2d(
        planes.flatten(-2), (window[0], 1), (step[0], 1), (around[0], 0), ceil_mode, count_include_pad, divisor
    )
    means = means.reshape(*means.shape[:-1], *planes.shape[-2:])
    return (means if divisor_override is None else means / divisor_override).to(input.dtype)


@explained
def adaptive_avg_pool3d(input: Tensor, output_size: _OutputSize) -> Tensor:
    """Means over windows chosen so that the last three dimensions become ``output_size``; None keeps a size.

    Input ``(N, C, D, H, W)`` or ``(C, D, H, W)`` of any floating dtype; windows are those of `adaptive_avg_pool2d`.

    >>> adaptive_avg_pool3d(at.arange(8.0).reshape(1, 2, 2, 2), (1, None, 1)).tolist()
    [[[[2.5], [4.5]]]]
    """
    _expect_volumes("adaptive_avg_pool3d", input)
    depth, rows, columns = _output_sizes("adaptive_avg_pool3d", input, output_size, 3)
    planes = _one.adaptive_avg_pool2d(wide(input), (rows, columns))
    means = _one.adaptive_avg_pool2d(planes.flatten(-2), (depth, rows * columns))
    return means.reshape(*means.shape[:-1], rows, columns).to(input.dtype)


def _given_sizes(op: str, output_size: _OutputSize, n: int) -> list[int | None]:
    return [None] * n if output_size is None else list(sizes(output_size, n, f"{op}: output_size"))  # type: ignore[arg-type]


def _output_sizes(op: str, input: Tensor, output_size: _OutputSize, n: int) -> list[int]:
    given = _given_sizes(op, output_size, n)
    found = [old if new is None else new for new, old in zip(given, input.shape[-n:], strict=True)]
    if min(found) < 1 or min(input.shape[-n:]) < 1:
        raise at.ShapeError(f"{op}: expected sizes of at least 1, got {tuple(input.shape)} to {tuple(found)}")
    return found


@explained
def adaptive_max_pool1d(
    input: Tensor, output_size: Size, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """As `adaptive_max_pool2d`, of the last dimension of ``(N, C, L)`` or ``(C, L)``.

    >>> adaptive_max_pool1d(at.tensor([[1.0, 5, 2, 3]]), 2).tolist()
    [[5.0, 3.0]]
    """
    if return_indices or recording(input):
        both = adaptive_max_pool1d_with_indices(input, output_size)
        return both if return_indices else both[0]
    return _adaptive_values("adaptive_max_pool1d", *_as_row(input, output_size), 2).squeeze(-2)


@explained
def adaptive_max_pool2d(
    input: Tensor, output_size: _OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The largest elements of windows chosen so that the last two dimensions become ``output_size``; None keeps a size.

    Input ``(N, C, H, W)`` or ``(C, H, W)`` of any floating dtype; output i of n looks at the elements from
    ``floor(i H / n)`` to ``ceil((i + 1) H / n)``. With the positions ``h W + w``, if asked.

    >>> adaptive_max_pool2d(at.arange(6.0).reshape(1, 2, 3), (1, 2)).tolist()
    [[[4.0, 5.0]]]
    """
    if return_indices or recording(input):
        both = adaptive_max_pool2d_with_indices(input, output_size)
        return both if return_indices else both[0]
    _expect_planes(input)
    return _adaptive_values("adaptive_max_pool2d", input, output_size, 2)


@explained
def adaptive_max_pool3d(
    input: Tensor, output_size: _OutputSize, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """As `adaptive_max_pool2d`, of the last three dimensions of ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> adaptive_max_pool3d(at.arange(8.0).reshape(1, 2, 2, 2), 1).item()
    7.0
    """
    if return_indices or recording(input):
        both = adaptive_max_pool3d_with_indices(input, output_size)
        return both if return_indices else both[0]
    _expect_volumes("adaptive_max_pool3d", input)
    return _adaptive_values("adaptive_max_pool3d", input, output_size, 3)


@explained
def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Size, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool1d` and the positions, whatever ``return_indices`` is.

    >>> [t.tolist() for t in adaptive_max_pool1d_with_indices(at.tensor([[1.0, 5, 2, 3]]), 2)]
    [[[5.0, 3.0]], [[1, 3]]]
    """
    output, places = _adaptive_max("adaptive_max_pool1d", *_as_row(input, output_size), 2)
    return output.squeeze(-2), places.squeeze(-2)


@explained
def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: _OutputSize, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool2d` and the positions, whatever ``return_indices`` is.

    >>> [t.tolist() for t in adaptive_max_pool2d_with_indices(at.arange(6.0).reshape(1, 2, 3), (1, 2))]
    [[[[4.0, 5.0]]], [[[4, 5]]]]
    """
    _expect_planes(input)
    return _adaptive_max("adaptive_max_pool2d", input, output_size, 2)


@explained
def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: _OutputSize, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """`adaptive_max_pool3d` and the positions, whatever ``return_indices`` is.

    >>> [t.item() for t in adaptive_max_pool3d_with_indices(at.arange(8.0).reshape(1, 2, 2, 2), 1)]
    [7.0, 7]
    """
    _expect_volumes("adaptive_max_pool3d", input)
    return _adaptive_max("adaptive_max_pool3d", input, output_size, 3)


def _as_row(input: Tensor, output_size: Size) -> tuple[Tensor, tuple[int, int]]:
    """Lines as planes of one row."""
    (length,) = sizes(output_size, 1, "adaptive_max_pool1d: output_size")
    if input.ndim not in (2, 3):
        raise at.ShapeError(f"adaptive_max_pool1d: expected input (N, C, L) or (C, L), got {tuple(input.shape)}")
    return input.unsqueeze(-2), (1, length)


def _expect_planes(input: Tensor) -> None:
    if input.ndim not in (3, 4):
        raise at.ShapeError(f"adaptive_max_pool2d: expected input (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")


def _laid(op: str, input: Tensor, output_size: _OutputSize, n: int) -> tuple[Tensor, list[int], list[Tensor | None]]:
    """Windows made equally long, one after another: a short one has its last element more than once.

    With their size, and for each dimension where its elements were, None where nothing moved.
    """
    out, shape = _output_sizes(op, input, output_size, n), input.shape[-n:]
    laid = input
    window: list[int] = []
    moved: list[Tensor | None] = []
    for i, (size, count) in enumerate(zip(shape, out, strict=True)):
        if size % count == 0:
            window.append(size // count)
            moved.append(None)
            continue
        # One more where the windows begin and end within the same elements, else two.
        window.append(size // count + (1 if count % (size % count) == 0 else 2))
        each = at.arange(count, device=input.device).unsqueeze(1)
        starts = at.floor_divide(each * size, count)
        last = at.floor_divide((each + 1) * size - 1, count)
        index = at.minimum(starts + at.arange(window[-1], device=input.device), last).flatten()
        moved.append(index)
        laid = at.index_select(laid, input.ndim - n + i, index)
    return laid, window, moved


def _adaptive_values(op: str, input: Tensor, output_size: _OutputSize, n: int) -> Tensor:
    laid, window, _ = _laid(op, input, output_size, n)
    output = (max_pool2d if n == 2 else max_pool3d)(laid, window)
    assert isinstance(output, Tensor)
    return output


def _adaptive_max(op: str, input: Tensor, output_size: _OutputSize, n: int) -> tuple[Tensor, Tensor]:
    laid, window, moved = _laid(op, constant(input), output_size, n)
    shape = input.shape[-n:]
    pool = max_pool2d_with_indices if n == 2 else max_pool3d_with_indices
    if all(index is None for index in moved):
        return pool(input, window)
    _, places = pool(laid, window)
    total, stride = at.zeros_like(places), 1
    for size, old, source in zip(reversed(laid.shape[-n:]), reversed(shape), reversed(moved), strict=True):
        here = at.remainder(places, size)
        places = at.floor_divide(places, size)
        total = total + (here if source is None else source[here]) * stride
        stride *= old
    # Gradients go to these elements alone, not through all that was laid.
    return at.gather(input.flatten(-n), -1, total.flatten(-n)).reshape(total.shape), total


@explained
def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """As `max_unpool2d`, of ``(N, C, L)`` or ``(C, L)``.

    >>> max_unpool1d(at.tensor([[3.0, 4]]), at.tensor([[1, 2]]), 2).tolist()
    [[0.0, 3.0, 4.0, 0.0]]
    """
    return _unpooled("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@explained
def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Puts what `max_pool2d` found back where it was, among zeros (Zeiler & Fergus 2014, section 2.1).

    input: ``(N, C, h, w)`` or ``(C, h, w)``; indices: int64 of the same shape, from ``max_pool2d(...,
    return_indices=True)``. The output has ``(h - 1) stride - 2 padding + kernel_size`` rows and columns likewise, or
    ``output_size``, which differs from that by less than the stride. ShapeError or InvalidValueError where sizes do not
    fit, BoundsError for indices outside.

    >>> x = at.tensor([[[1.0, 2], [4, 3]]])
    >>> max_unpool2d(*max_pool2d(x, 2, return_indices=True), 2).tolist()
    [[[0.0, 0.0], [4.0, 0.0]]]
    """
    return _unpooled("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@explained
def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """As `max_unpool2d`, of ``(N, C, d, h, w)`` or ``(C, d, h, w)``.

    >>> max_unpool3d(*max_pool3d(at.arange(8.0).reshape(1, 2, 2, 2), 2, return_indices=True), 2).tolist()
    [[[[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 7.0]]]]
    """
    return _unpooled("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


def _unpooled(
    op: str,
    n: int,
    input: Tensor,
    indices: Tensor,
    kernel_size: Size,
    stride: Size | None,
    padding: Size,
    output_size: Sequence[int] | None,
) -> Tensor:
    if input.ndim not in (n + 1, n + 2) or input.shape != indices.shape:
        raise at.ShapeError(
            f"{op}: expected input of {n + 1} or {n + 2} dimensions and indices of its shape, "
            f"got {tuple(input.shape)} and {tuple(indices.shape)}"
        )
    if indices.dtype != at.int64:
        raise at.DTypeError(f"{op}: expected indices of int64, got {indices.dtype.name}")
    window, around = sizes(kernel_size, n, f"{op}: kernel_size"), sizes(padding, n, f"{op}: padding")
    step = window if stride is None else sizes(stride, n, f"{op}: stride")
    settings = zip(input.shape[-n:], step, around, window, strict=True)
    out = [(size - 1) * s - 2 * p + k for size, s, p, k in settings]
    if output_size is not None:
        wanted = [int(size) for size in output_size][-n:]
        near = len(wanted) == n and all(abs(w - o) < s for w, o, s in zip(wanted, out, step, strict=True))
        if not near or len(output_size) not in (n, input.ndim):
            raise at.InvalidValueError(
                f"{op}: expected output_size nearer to {tuple(out)} than the stride {step}, got {tuple(output_size)}"
            )
        out = wanted
    if min(out) < 1:
        raise at.ShapeError(f"{op}: expected an output of at least one element, got {tuple(input.shape)} to {out}")
    lead, count = input.shape[:-n], math.prod(out)
    zeros = at.zeros(*lead, count, dtype=input.dtype, device=input.device)
    places = at.where(indices < 0, count, indices)  # outside, not counted from the end
    return at.scatter(zeros, -1, places.flatten(-n), input.flatten(-n)).reshape(*lead, *out)


@explained
def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """As `lp_pool2d`, of ``(N, C, L)`` or ``(C, L)``.

    >>> lp_pool1d(at.tensor([[3.0, 4]]), 2, 2).tolist()
    [[5.0]]
    """
    window = sizes(kernel_size, 1, "lp_pool1d: kernel_size")
    return _power_means(1, input, norm_type, window, stride, ceil_mode)


@explained
def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """``(sum of x^p) ^ (1 / p)`` over each window of the last two dimensions, for p ``norm_type`` (no absolute values).

    For p inf or -inf, the largest or least absolute value. InvalidValueError for p 0 or NaN.
    Input ``(N, C, H, W)`` or ``(C, H, W)`` of any floating dtype. A window of zeros has a gradient of 0. A window that
    ``ceil_mode`` lets reach over the end counts as if it went on in the same way.

    >>> lp_pool2d(at.ones(1, 4, 4), 2, 2).tolist()
    [[[2.0, 2.0], [2.0, 2.0]]]
    """
    window = sizes(kernel_size, 2, "lp_pool2d: kernel_size")
    return _power_means(2, input, norm_type, window, stride, ceil_mode)


@explained
def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """As `lp_pool2d`, of ``(N, C, D, H, W)`` or ``(C, D, H, W)``.

    >>> lp_pool3d(at.ones(1, 2, 2, 2), 3, 2).tolist()
    [[[[2.0]]]]
    """
    window = sizes(kernel_size, 3, "lp_pool3d: kernel_size")
    return _power_means(3, input, norm_type, window, stride, ceil_mode)


def _power_means(
    n: int, input: Tensor, p: float, window: Sequence[int], stride: Size | None, ceil_mode: bool
) -> Tensor:
    if p == 0 or math.isnan(p):
        raise at.InvalidValueError(f"lp_pool{n}d: expected norm_type other than 0 and NaN, got {p}")
    if math.isinf(p):
        pool = (max_pool1d_with_indices, max_pool2d_with_indices, max_pool3d_with_indices)[n - 1]
        sign = 1 if p > 0 else -1
        return pool(at.abs(input) * sign, window, stride, 0, 1, ceil_mode)[0] * sign
    means = (avg_pool1d, avg_pool2d, avg_pool3d)[n - 1](wide(input) ** p, window, stride, 0, ceil_mode)
    sums = means * math.prod(window)
    none = sums == 0
    return narrow(at.where(none, 0.0, at.where(none, 1.0, sums) ** (1 / p)), input)
