"""Images and volumes at other sizes and other places."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._parameter import requires_grad
from .._precision import cast
from .._sizes import integer
from ._pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

_NEAREST = ("nearest", "nearest-exact")
_SMOOTH = {"linear": 3, "bilinear": 4, "bicubic": 4, "trilinear": 5}  # and the dimensions of what they take
_Taps = list[tuple[Tensor, Tensor]]  # positions along a dimension, and what the elements there count
_GridTaps = list[tuple[Tensor, Tensor, Tensor]]  # likewise, with whether there is an element, between the two


@explained
def interpolate(
    input: Tensor,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """The last one, two or three dimensions of ``(N, C, ...)`` at another size, given itself or as a factor.

    mode: ``"nearest"`` and ``"nearest-exact"`` (the centre of each element counts) for every dtype; ``"linear"``,
    ``"bilinear"``, ``"trilinear"`` and ``"bicubic"`` (Keys 1981, with a = -0.75) for floats of 3, 4, 5 and 4
    dimensions, and for uint8, computed in float32, rounded and kept within 0 and 255; ``"area"`` is
    `adaptive_avg_pool2d` and its like.
    align_corners: for the smooth modes, whether the first and last elements keep their values, else the borders do.
    recompute_scale_factor: whether positions come of the sizes, not of scale_factor, where the two differ by rounding.
    antialias: for ``"bilinear"`` and ``"bicubic"``, widens the filters where the size shrinks, as Pillow does.

    InvalidValueError for settings that do not go together, ShapeError for an input without elements to take.

    >>> interpolate(at.tensor([[[0.0, 1.0]]]), scale_factor=2, mode="linear").tolist()
    [[[0.0, 0.25, 0.75, 1.0]]]
    """
    if input.ndim not in (3, 4, 5):
        raise at.ShapeError(f"interpolate: expected input (N, C, ...) of 3 to 5 dimensions, got {tuple(input.shape)}")
    n = input.ndim - 2
    if mode not in (*_NEAREST, "area", *_SMOOTH):
        raise at.InvalidValueError(
            f"interpolate: expected mode one of {', '.join((*_NEAREST, 'area', *_SMOOTH))}, got {mode!r}"
        )
    if align_corners is not None and mode not in _SMOOTH:
        raise at.InvalidValueError(f"interpolate: expected align_corners=None for mode {mode!r}, got {align_corners}")
    if _SMOOTH.get(mode, input.ndim) != input.ndim:
        raise at.ShapeError(
            f"interpolate: expected input of {_SMOOTH[mode]} dimensions for mode {mode!r}, got {tuple(input.shape)}"
        )
    if antialias and mode not in ("bilinear", "bicubic"):
        raise at.InvalidValueError(f"interpolate: expected mode 'bilinear' or 'bicubic' to antialias, got {mode!r}")
    out, scales = _target(input, n, size, scale_factor, mode, recompute_scale_factor)
    if min(out) < 1 or min(input.shape[2:]) < 1:
        raise at.ShapeError(f"interpolate: expected sizes of at least 1, got {tuple(input.shape)} to {out}")
    if mode == "area":
        return _area(input, out)
    if mode in _NEAREST:
        return _nearest(input, out, scales, exact=mode == "nearest-exact")
    if not (input.is_floating_point() or input.dtype == at.uint8):
        raise at.DTypeError(f"interpolate: expected floats or uint8 for mode {mode!r}, got {input.dtype.name}")
    wide = input if input.dtype == at.float64 else input.to(at.float32)
    for i in range(n):
        dim, size_here = i + 2, input.shape[i + 2]
        if size_here == out[i] and scales[i] in (None, 1):
            continue
        corners = bool(align_corners)
        if corners:
            step = (size_here - 1) / (out[i] - 1) if out[i] > 1 else 0.0
        else:
            step = 1 / (scales[i] or out[i] / size_here)
        place = at.arange(out[i], dtype=wide.dtype, device=input.device)
        if antialias:
            taps = _filter_taps(place, size_here, step, cubic=mode == "bicubic")
        else:
            place = place * step if corners else (place + 0.5) * step - 0.5
            taps = _cubic_taps(place, size_here) if mode == "bicubic" else _linear_taps(place, size_here)
        wide = _weighted(wide, dim, taps)
    if input.dtype == at.uint8:
        wide = (wide + 0.5).floor().clamp(0, 255)  # halves up, as PyTorch's
    return wide.to(input.dtype)


def _target(
    input: Tensor,
    n: int,
    size: int | Sequence[int] | None,
    scale_factor: float | Sequence[float] | None,
    mode: str,
    recompute: bool | None,
) -> tuple[list[int], list[float | None]]:
    """The sizes, and the factors that positions come of."""
    if (size is None) == (scale_factor is None):
        raise at.InvalidValueError(f"interpolate: expected size or scale_factor, got {size} and {scale_factor}")
    if size is not None:
        if recompute:
            raise at.InvalidValueError("interpolate: expected scale_factor with recompute_scale_factor, got size")
        one = integer(size)
        each = [one] * n if one is not None else [integer(s) for s in size] if isinstance(size, Iterable) else []
        out = [s for s in each if s is not None]
        if len(out) != n or len(each) != n:
            raise at.InvalidValueError(f"interpolate: expected size of {n} ints, got {size!r}")
        return out, [None] * n
    try:
        factors = [float(f) for f in scale_factor] if isinstance(scale_factor, Iterable) else [float(scale_factor)] * n  # type: ignore[arg-type]
    except (TypeError, ValueError):
        factors = []
    if len(factors) != n or not all(0 < factor < math.inf for factor in factors):
        raise at.InvalidValueError(f"interpolate: expected scale_factor of {n} positive numbers, got {scale_factor!r}")
    out = [math.floor(s * factor) for s, factor in zip(input.shape[2:], factors, strict=True)]
    return out, [None] * n if recompute or mode == "area" else [*factors]


def _area(input: Tensor, out: Sequence[int]) -> Tensor:
    if len(out) == 1:
        return adaptive_avg_pool1d(input, out)
    return adaptive_avg_pool2d(input, out) if len(out) == 2 else adaptive_avg_pool3d(input, out)


def _nearest(input: Tensor, out: Sequence[int], scales: Sequence[float | None], exact: bool) -> Tensor:
    for i in reversed(range(len(out))):  # elements first, then whole rows
        size, factor = input.shape[i + 2], scales[i]
        if size == out[i] and factor in (None, 1):
            continue
        place = at.arange(out[i], dtype=at.float32, device=input.device)
        place = at.floor((place + 0.5 if exact else place) * (1 / factor if factor else size / out[i])).to(at.int64)
        input = at.index_select(input, i + 2, at.clamp(place, max=size - 1))
    return input


def _linear_taps(place: Tensor, size: int) -> _Taps:
    place = at.clamp(place, min=0)
    low = at.clamp(at.floor(place), max=size - 1)
    share = at.clamp(place - low, max=1)
    low = low.to(at.int64)
    return [(low, 1 - share), (at.clamp(low + 1, max=size - 1), share)]


def _cubic_weights(t: Tensor) -> list[Tensor]:
    """Of the four neighbours of a place that is t in [0, 1) behind the second one."""
    a = -0.75

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic_taps(place: Tensor, size: int) -> _Taps:
    low = at.floor(place)
    first = low.to(at.int64) - 1
    return [(at.clamp(first + i, 0, size - 1), weight) for i, weight in enumerate(_cubic_weights(place - low))]


def _filter_taps(place: Tensor, size: int, step: float, cubic: bool) -> _Taps:
    """Of a filter that is as wide as the outputs are apart, where that is more than an element."""
    stretch = max(step, 1.0)
    reach = (2.0 if cubic else 1.0) * stretch
    centre = (place + 0.5) * step
    first = at.clamp((centre - reach + 0.5).to(at.int64), min=0)
    count = at.clamp((centre + reach + 0.5).to(at.int64), max=size) - first
    k = at.arange(min(2 * math.ceil(reach) + 1, size), device=place.device).unsqueeze(1)
    here = k + first
    x = at.abs((here - centre + 0.5) / stretch)
    if cubic:  # with a = -0.5
        near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
        weights = at.where(x < 1, near, at.where(x < 2, far, 0.0))
    else:
        weights = at.clamp(1 - x, min=0)
    weights = at.where(k < count, weights, 0.0)
    weights = weights / weights.sum(0)
    return list(zip(at.unbind(at.clamp(here, max=size - 1)), at.unbind(weights), strict=True))


def _weighted(input: Tensor, dim: int, taps: _Taps) -> Tensor:
    shape = (-1, *[1] * (input.ndim - 1 - dim))
    (place, weight), *others = taps
    result = at.index_select(input, dim, place) * weight.reshape(shape)
    for place, weight in others:
        result.addcmul_(at.index_select(input, dim, place), weight.reshape(shape))
    return result


@explained
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Places for `grid_sample` that affine maps make of those of an output (Jaderberg et al. 2015, eq. 1).

    theta: floats ``(N, 2, 3)`` for images, ``(N, 3, 4)`` for volumes. size: the output's, ``(N, C, H, W)`` or
    ``(N, C, D, H, W)``. Returns ``(N, H, W, 2)`` or ``(N, D, H, W, 3)``, x first. -1 and 1 are the centres of the
    outermost elements with ``align_corners``, else the borders. ShapeError where theta does not fit the size.

    >>> affine_grid(at.tensor([[[1.0, 0, 0], [0, 1, 0]]]), (1, 1, 1, 2)).tolist()
    [[[[-0.5, 0.0], [0.5, 0.0]]]]
    """
    n = len(size) - 2
    if n not in (2, 3) or tuple(theta.shape) != (size[0], n, n + 1) or min(size) < 1:
        raise at.ShapeError(
            f"affine_grid: expected theta (N, 2, 3) for size (N, C, H, W) or (N, 3, 4) for (N, C, D, H, W), "
            f"got {tuple(theta.shape)} and {tuple(size)}"
        )
    if not theta.is_floating_point():
        raise at.DTypeError(f"affine_grid: expected theta of floats, got {theta.dtype.name}")
    spatial = size[2:]
    axes = []
    for count in spatial:
        edge = 0.0 if count == 1 else 1.0 if align_corners else (count - 1) / count
        axes.append(at.linspace(-edge, edge, count, dtype=theta.dtype, device=theta.device))
    mesh = at.meshgrid(*axes, indexing="ij")
    ones = at.ones(spatial, dtype=theta.dtype, device=theta.device)
    places = at.stack([*reversed(mesh), ones], -1).reshape(1, -1, n + 1)
    return at.matmul(places, theta.mT).reshape(size[0], *spatial, n)


@explained
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """The values of images or volumes at given places (Jaderberg et al. 2015, section 3.3).

    input: floats ``(N, C, H, W)`` or ``(N, C, D, H, W)``; grid: ``(N, h, w, 2)`` or ``(N, d, h, w, 3)``, x first, in
    which -1 and 1 are the centres of the outermost elements with ``align_corners``, else the borders. Returns
    ``(N, C, h, w)`` or ``(N, C, d, h, w)``, differentiable in both.
    mode: ``"bilinear"`` (of volumes: trilinear), ``"nearest"``, and ``"bicubic"`` for images.
    padding_mode: what lies outside: ``"zeros"``, the ``"border"``, or its ``"reflection"``.
    A place of NaN lies outside with ``"zeros"``, where PyTorch may answer NaN, and else on the first element, of which
    ``"bicubic"`` makes NaN. With ``"nearest"`` the grid has a gradient of zeros.

    ShapeError, DTypeError and InvalidValueError say what does not fit.

    >>> grid_sample(at.tensor([[[[1.0, 3.0]]]]), at.zeros(1, 1, 1, 2)).tolist()
    [[[[2.0]]]]
    """
    n = input.ndim - 2
    if n not in (2, 3) or grid.ndim != input.ndim or grid.shape[0] != input.shape[0] or grid.shape[-1] != n:
        raise at.ShapeError(
            f"grid_sample: expected input (N, C, H, W) and grid (N, h, w, 2), or (N, C, D, H, W) and (N, d, h, w, 3), "
            f"got {tuple(input.shape)} and {tuple(grid.shape)}"
        )
    if min(input.shape[2:]) < 1:
        raise at.ShapeError(f"grid_sample: expected input of at least one element, got {tuple(input.shape)}")
    input, grid = cast("widest", input, grid)
    if input.dtype != grid.dtype or not input.is_floating_point():
        raise at.DTypeError(
            f"grid_sample: expected input and grid of one floating dtype, got {input.dtype.name} and {grid.dtype.name}"
        )
    if mode not in ("bilinear", "nearest", "bicubic") or (mode == "bicubic" and n == 3):
        raise at.InvalidValueError(
            f"grid_sample: expected mode 'bilinear', 'nearest', or for images 'bicubic', got {mode!r}"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise at.InvalidValueError(
            f"grid_sample: expected padding_mode 'zeros', 'border' or 'reflection', got {padding_mode!r}"
        )
    if input.device.type == "cpu":
        return _one.grid_sample(input, grid, mode, padding_mode, bool(align_corners))
    return _by_elements(input, grid, mode, padding_mode, bool(align_corners))


def _by_elements(input: Tensor, grid: Tensor, mode: str, padding_mode: str, corners: bool) -> Tensor:
    """`grid_sample` as a composition, for devices without a kernel."""
    n = input.ndim - 2
    wide = at.float64 if input.dtype == at.float64 else at.float32
    places = grid.to(wide).flatten(1, -2)
    taps = [
        grid_taps(places[..., n - 1 - i], input.shape[i + 2], mode, padding_mode, corners) for i in range(n)
    ]  # of each dimension
    flat, strides = input.to(wide).flatten(2), [math.prod(input.shape[3 + i :]) for i in range(n)]
    result: Tensor | None = None
    for combination in itertools.product(*taps):
        index, inside, weight = combination[0]
        index = index * strides[0]
        for (place, within, share), stride in zip(combination[1:], strides[1:], strict=True):
            index, inside, weight = index + place * stride, at.logical_and(inside, within), weight * share
        value = at.gather(flat, 2, index.unsqueeze(1).expand(*flat.shape[:2], index.shape[1]))
        # An element that counts nothing may be infinite.
        part = at.where(inside.unsqueeze(1), value, 0.0) * weight.unsqueeze(1)
        result = part if result is None else result + part
    assert result is not None
    if mode == "nearest" and requires_grad(grid):
        result = result + (at.where(at.isfinite(places), places, 0.0) * 0).sum()  # a gradient of zeros
    return result.reshape(*input.shape[:2], *grid.shape[1:-1]).to(input.dtype)


def grid_taps(place: Tensor, size: int, mode: str, padding_mode: str, corners: bool) -> _GridTaps:
    """The elements along one dimension that make the value at each place: where, whether there, and their shares."""
    place = (place + 1) * ((size - 1) / 2) if corners else ((place + 1) * size - 1) / 2
    if mode != "bicubic":  # for which it is the elements, not the place, that is brought inside
        place = brought_inside(place, size, padding_mode, corners)
    if mode == "nearest":
        place = at.round(place)
        taps = [(place, at.ones_like(place))]
    else:
        low = at.floor(place)
        t = place - low
        shares = _cubic_weights(t) if mode == "bicubic" else [1 - t, t]
        taps = [(low + (i - 1 if mode == "bicubic" else i), share) for i, share in enumerate(shares)]
    if mode == "bicubic":
        taps = [(brought_inside(element, size, padding_mode, corners), share) for element, share in taps]
    found = []
    for element, share in taps:
        # NaN is nowhere, as are elements outside; where those have been brought inside, one may be beside the last.
        inside = at.logical_and(element >= 0, element <= size - 1)
        found.append((at.where(inside, element, 0.0).to(at.int64), inside, at.where(inside, share, 0.0)))
    return found


def brought_inside(place: Tensor, size: int, padding_mode: str, corners: bool) -> Tensor:
    if padding_mode == "zeros":
        return place
    if padding_mode == "reflection":
        low, span = (0.0, size - 1) if corners else (-0.5, size)
        if span == 0:
            return at.zeros_like(place)
        from_low = at.abs(place - low)
        turns = at.floor(from_low / span)
        rest = from_low - turns * span
        place = at.where(turns % 2 == 0, rest, span - rest) + low
    return at.clamp(at.where(at.isnan(place), 0.0, place), 0, size - 1)
