"""Elements in other places: channels into pixels and back, windows into columns and back."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._sizes import Size, sizes


@explained
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Groups of r^2 channels of ``(*, C r^2, H, W)`` as r by r pixels each: ``(*, C, H r, W r)`` (Shi et al. 2016).

    Every dtype. ShapeError unless the channels are a multiple of r^2, InvalidValueError for r below 1.

    >>> pixel_shuffle(at.arange(4).reshape(4, 1, 1), 2).tolist()
    [[[0, 1], [2, 3]]]
    """
    r = upscale_factor
    _expect_images("pixel_shuffle", input, "upscale_factor", r)
    *batch, channels, h, w = input.shape
    if channels % (r * r):
        raise at.ShapeError(
            f"pixel_shuffle: expected channels a multiple of upscale_factor^2, {r * r}, got {tuple(input.shape)}"
        )
    split = input.reshape(*batch, channels // (r * r), r, r, h, w)
    # Of pieces that are read in rows: several times as fast as a permuted copy.
    parts = [[split[..., i, j, :, :] for j in range(r)] for i in range(r)]
    lines = [at.stack(row, -1).flatten(-2) for row in parts]
    return at.stack(lines, -2).flatten(-3, -2)


@explained
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """What `pixel_shuffle` does, undone: ``(*, C, H r, W r)`` becomes ``(*, C r^2, H, W)``.

    Every dtype. ShapeError unless height and width are multiples of r, InvalidValueError for r below 1.

    >>> pixel_unshuffle(at.arange(4).reshape(1, 2, 2), 2).tolist()
    [[[0]], [[1]], [[2]], [[3]]]
    """
    r = downscale_factor
    _expect_images("pixel_unshuffle", input, "downscale_factor", r)
    *batch, channels, h, w = input.shape
    if h % r or w % r:
        raise at.ShapeError(
            f"pixel_unshuffle: expected height and width multiples of downscale_factor {r}, got {tuple(input.shape)}"
        )
    k = len(batch)
    split = input.reshape(*batch, channels, h // r, r, w // r, r)
    order = (*range(k), k, k + 2, k + 4, k + 1, k + 3)
    return split.permute(order).reshape(*batch, channels * r * r, h // r, w // r)


def _expect_images(op: str, input: Tensor, name: str, factor: int) -> None:
    if input.ndim < 3:
        raise at.ShapeError(f"{op}: expected input (*, C, H, W), got {tuple(input.shape)}")
    if factor < 1:
        raise at.InvalidValueError(f"{op}: expected {name} of at least 1, got {factor}")


@explained
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """The channels of ``(N, C, *)`` with one of each group in turn (Zhang et al. 2018).

    Every dtype, the same shape. ShapeError unless groups divide the channels.

    >>> channel_shuffle(at.arange(4).reshape(1, 4, 1), 2).flatten().tolist()
    [0, 2, 1, 3]
    """
    if input.ndim < 3 or groups < 1 or input.shape[1] % groups:
        raise at.ShapeError(
            f"channel_shuffle: expected input (N, C, *) of channels that groups={groups} divide, "
            f"got {tuple(input.shape)}"
        )
    split = input.reshape(input.shape[0], groups, input.shape[1] // groups, *input.shape[2:])
    return split.transpose(1, 2).reshape(input.shape)


def _window_places(
    op: str, shape: tuple[int, ...], kernel: Size, dilation: Size, padding: Size, stride: Size, device: at.device
) -> tuple[Tensor, tuple[int, int], list[int]]:
    """Where in a padded image the elements of all windows lie, the padding, and how many windows there are."""
    sides = sizes(padding, 2, f"{op}: padding")
    settings = [sizes(v, 2, f"{op}: {name}") for v, name in ((kernel, "kernel_size"), (dilation, "dilation"))]
    settings.append(sizes(stride, 2, f"{op}: stride"))
    if min(map(min, settings)) < 1 or min(sides) < 0:
        raise at.InvalidValueError(
            f"{op}: expected kernel_size, dilation and stride of at least 1 and padding of at least 0, "
            f"got {settings[0]}, {settings[1]}, {settings[2]} and {sides}"
        )
    padded = [size + 2 * side for size, side in zip(shape, sides, strict=True)]
    lines, counts = [], []
    for size, k, spread, step in zip(padded, *settings, strict=True):
        counts.append((size - spread * (k - 1) - 1) // step + 1)
        if counts[-1] < 1:
            raise at.ShapeError(
                f"{op}: expected windows inside of the padded size {tuple(padded)}, "
                f"got kernel_size {settings[0]} with dilation {settings[1]}"
            )
        taps, starts = at.arange(k, device=device) * spread, at.arange(counts[-1], device=device) * step
        lines.append(taps.unsqueeze(1) + starts)
    rows, columns = lines
    places = rows[:, None, :, None] * padded[1] + columns[None, :, None, :]
    return places.flatten(), (sides[0], sides[1]), counts


@explained
def unfold(input: Tensor, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1) -> Tensor:
    """The windows of images ``(N, C, H, W)`` or ``(C, H, W)`` as columns: ``(N, C kh kw, L)`` for L windows.

    Every dtype; sizes are those of a convolution with the same settings, zeros lie around. ShapeError where no window
    fits.

    >>> unfold(at.arange(6).reshape(1, 2, 3), 2).tolist()
    [[0, 1], [1, 2], [3, 4], [4, 5]]
    """
    if input.ndim not in (3, 4):
        raise at.ShapeError(f"unfold: expected input (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
    if input.ndim == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    n, c, h, w = input.shape
    places, (top, left), counts = _window_places("unfold", (h, w), kernel_size, dilation, padding, stride, input.device)
    if top or left:
        input = _one.constant_pad(input, [left, left, top, top])
    taps = math.prod(sizes(kernel_size, 2))
    return at.index_select(input.flatten(2), 2, places).reshape(n, c * taps, math.prod(counts))


@explained
def fold(
    input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Size = 0, stride: Size = 1
) -> Tensor:
    """Adds columns ``(N, C kh kw, L)`` or ``(C kh kw, L)`` up to images of ``output_size``: the adjoint of `unfold`.

    Returns floats ``(N, C, H, W)`` or ``(C, H, W)``. ShapeError unless the columns are those that `unfold` makes of
    such images.

    >>> fold(at.ones(1, 4, 2), (2, 3), 2).tolist()
    [[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]]
    """
    if input.ndim not in (2, 3):
        raise at.ShapeError(f"fold: expected input (N, C kh kw, L) or (C kh kw, L), got {tuple(input.shape)}")
    if input.ndim == 2:
        return fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride).squeeze(0)
    if not input.is_floating_point():
        raise at.DTypeError(f"fold: expected floats, got {input.dtype.name}")
    h, w = sizes(output_size, 2, "fold: output_size")
    places, (top, left), counts = _window_places("fold", (h, w), kernel_size, dilation, padding, stride, input.device)
    taps = math.prod(sizes(kernel_size, 2))
    if input.shape[1] % taps or input.shape[2] != math.prod(counts):
        raise at.ShapeError(
            f"fold: expected columns (N, C * {taps}, {math.prod(counts)}) for output_size ({h}, {w}), "
            f"got {tuple(input.shape)}"
        )
    n, c, down, across = input.shape[0], input.shape[1] // taps, h + 2 * top, w + 2 * left
    columns = input.reshape(n, c, places.shape[0])
    wide = columns if input.dtype == at.float64 else columns.to(at.float32)
    sums = at.index_add(at.zeros(n, c, down * across, dtype=wide.dtype, device=input.device), 2, places, wide)
    images = sums.reshape(n, c, down, across).to(input.dtype)
    return images.narrow(2, top, h).narrow(3, left, w).contiguous() if top or left else images
