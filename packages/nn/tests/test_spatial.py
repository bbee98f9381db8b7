"""Convolutions of volumes, transposed convolutions, resampling, and elements in other places, against NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn import functional as F

RNG = np.random.default_rng(11)
Array = np.ndarray[Any, np.dtype[np.float64]]


def draw(*shape: int) -> Array:
    return RNG.standard_normal(shape)


def run(function: Callable[..., Any], *arrays: Array) -> Array:
    result: Array = function(*map(at.from_numpy, arrays)).numpy()
    return result


def check_gradients(function: Callable[..., Any], *arrays: Array) -> None:
    """At float64, against finite differences, where autograd is installed."""
    try:
        from atled.autograd import gradcheck
    except ImportError:
        return
    assert gradcheck(function, tuple(at.from_numpy(a.copy()).requires_grad_() for a in arrays))


def transposed(x: Array, w: Array, stride: Any, padding: Any, more: Any, groups: int, dilation: Any) -> Array:
    """Adds each input element, times the kernel, to the output."""
    n = x.ndim - 2
    step, around, extra, spread = (np.broadcast_to(v, (n,)) for v in (stride, padding, more, dilation))
    inner = np.array(x.shape[2:])
    kernel = np.array(w.shape[2:])
    full = (inner - 1) * step + spread * (kernel - 1) + 1 + extra
    out = np.zeros((x.shape[0], w.shape[1] * groups, *full))
    per = x.shape[1] // groups
    for c, place, tap in itertools.product(range(x.shape[1]), np.ndindex(*inner), np.ndindex(*kernel)):
        at_output = tuple(np.array(place) * step + np.array(tap) * spread)
        channels = slice(c // per * w.shape[1], (c // per + 1) * w.shape[1])
        out[(slice(None), channels, *at_output)] += np.outer(x[(slice(None), c, *place)], w[(c, slice(None), *tap)])
    return out[(..., *(slice(p, size - p) for p, size in zip(around, full, strict=True)))]


@pytest.mark.parametrize(
    ("n", "settings"),
    [
        (1, (1, 0, 0, 1, 1)),
        (1, (3, 1, 2, 2, 1)),
        (2, (1, 0, 0, 1, 1)),
        (2, (2, 1, 1, 1, 1)),
        (2, ((2, 3), (0, 1), (1, 0), 2, (1, 2))),
        (2, (1, 1, 1, 1, 2)),  # more than the stride
        (3, (2, 1, 1, 2, 1)),
        (3, ((1, 2, 1), 0, (0, 1, 0), 1, (2, 1, 1))),
    ],
)
def test_transposed_convolution(n: int, settings: Any) -> None:
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[n - 1]
    groups = settings[3]
    x, w, b = draw(2, 4, *(3, 4, 2)[:n]), draw(4, 3, *(3, 2, 3)[:n]), draw(3 * groups)
    expected = transposed(x, w, *settings) + b.reshape(-1, *[1] * n)
    np.testing.assert_allclose(run(lambda *t: function(*t, *settings), x, w, b), expected, atol=1e-12)
    np.testing.assert_allclose(run(lambda *t: function(*t, *settings), x[0], w, b), expected[0], atol=1e-12)
    if n < 3:
        check_gradients(lambda *t: function(*t, *settings), x[:1], w, b)


@pytest.mark.parametrize("function", [F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d])
def test_transposed_convolution_of_complex_numbers(function: Any) -> None:
    n = {F.conv_transpose1d: 1, F.conv_transpose2d: 2, F.conv_transpose3d: 3}[function]
    settings = (2, 1, 1, 2, 2)  # stride, padding, output_padding, groups, dilation
    x, w, b = (draw(*s) + 1j * draw(*s) for s in ((2, 4, 3, 4, 2)[: n + 2], (4, 3, 3, 2, 3)[: n + 2], (6,)))
    expected = [transposed(p, q, *settings) for p in (x.real, x.imag) for q in (w.real, w.imag)]
    expected = expected[0] - expected[3] + 1j * (expected[1] + expected[2]) + b.reshape(-1, *[1] * n)
    given = [at.from_numpy(array) for array in (x, w, b)]
    np.testing.assert_allclose(function(*given, *settings).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(function(given[0][1], *given[1:], *settings).numpy(), expected[1], atol=1e-12)


def test_transposed_convolution_in_all_dtypes_and_of_nothing() -> None:
    for dtype in (at.float16, at.bfloat16, at.float32):
        x, w = at.ones(1, 2, 3, 3, dtype=dtype), at.ones(2, 1, 2, 2, dtype=dtype)
        assert F.conv_transpose2d(x, w, stride=2).to(at.float32).tolist() == [[[[2.0] * 6] * 6]]
    bias = at.tensor([1.0, 2.0])
    assert F.conv_transpose2d(at.ones(0, 3, 2, 2), at.ones(3, 2, 2, 2), bias).shape == (0, 2, 3, 3)


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (at.ShapeError, "expected input .N, C, H, W.", lambda x, w: F.conv_transpose2d(x[0, 0], w)),
        (at.ShapeError, r"input.shape\[1\] == weight.shape\[0\]", lambda x, w: F.conv_transpose2d(x, w[:2])),
        (at.ShapeError, "bias of shape .2,.", lambda x, w: F.conv_transpose2d(x, w, at.ones(3))),
        (at.ShapeError, "output of at least one", lambda x, w: F.conv_transpose2d(x, w, padding=5)),
        (at.DTypeError, "dtype float32, got float64", lambda x, w: F.conv_transpose2d(x, w.to(at.float64))),
        (at.DTypeError, "bias of input's dtype", lambda x, w: F.conv_transpose2d(x, w, at.ones(2, dtype=at.float64))),
        (at.InvalidValueError, "output_padding smaller than", lambda x, w: F.conv_transpose2d(x, w, output_padding=1)),
        (at.InvalidValueError, "stride and dilation", lambda x, w: F.conv_transpose2d(x, w, stride=0)),
        (
            at.InvalidValueError,
            "stride: expected one int or 2",
            lambda x, w: F.conv_transpose2d(x, w, stride=(1, 2, 3)),
        ),
    ],
)
def test_errors_of_transposed_convolution(error: type[Exception], match: str, call: Any) -> None:
    with pytest.raises(error, match=match):
        call(at.ones(1, 4, 3, 3), at.ones(4, 2, 2, 2))


def test_conv3d_layers() -> None:
    x, w = draw(1, 2, 3, 5, 4), draw(3, 2, 2, 3, 2)
    # "same" adds the odd element at the end.
    around = [(0, 0), (0, 0), *(((k - 1) // 2, k - 1 - (k - 1) // 2) for k in (2, 3, 2))]
    padded = np.pad(x, around)
    expected = np.zeros((1, 3, 3, 5, 4))
    for place in np.ndindex(3, 5, 4):
        patch = padded[(0, slice(None), *(slice(p, p + k) for p, k in zip(place, (2, 3, 2), strict=True)))]
        expected[(0, slice(None), *place)] = (w * patch).sum((1, 2, 3, 4))
    np.testing.assert_allclose(run(lambda *t: F.conv3d(*t, padding="same"), x, w), expected, atol=1e-12)
    assert F.conv3d(at.ones(2, 4, 4, 4), at.ones(3, 2, 3, 3, 3)).shape == (3, 2, 2, 2)
    layer = nn.Conv3d(2, 4, (1, 2, 3), padding=(0, 1, 1), padding_mode="replicate", groups=2)
    assert layer(at.ones(1, 2, 3, 4, 5)).shape == (1, 4, 3, 5, 5)
    assert list(layer.state_dict()) == ["weight", "bias"] and layer.weight.shape == (4, 1, 1, 2, 3)


def test_transposed_layers_take_an_output_size() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2)
    assert layer.weight.shape == (4, 3, 3, 3) and list(layer.state_dict()) == ["weight", "bias"]
    bound = 1 / math.sqrt(3 * 9)
    assert (
        float(at.abs(at.Tensor(layer.weight)).amax()) <= bound and float(at.abs(at.Tensor(layer.bias)).amax()) <= bound
    )
    x = at.ones(1, 4, 5, 5)
    for size in ((9, 9), (10, 9), (1, 6, 10, 10)):
        assert layer(x, size).shape[-2:] == size[-2:]
    with pytest.raises(at.InvalidValueError, match="output_size from .9, 9. to .10, 10., got .11, 9."):
        layer(x, (11, 9))
    with pytest.raises(at.InvalidValueError, match="padding_mode 'zeros'"):
        nn.ConvTranspose1d(1, 1, 1, padding_mode="reflect")
    assert "output_padding=(1, 1)" in repr(nn.ConvTranspose2d(1, 1, 3, 2, output_padding=1))


# ---- other sizes ----


def resampled(x: Array, out: tuple[int, ...], weights: Callable[[int, int], Array]) -> Array:
    """Along each dimension in turn, by a matrix (out, size)."""
    for i, count in enumerate(out):
        x = np.moveaxis(np.tensordot(weights(x.shape[i + 2], count), x, (1, i + 2)), 0, i + 2)
    return x


def nearest(size: int, out: int) -> Array:
    return np.eye(size)[[i * size // out for i in range(out)]]


def nearest_exact(size: int, out: int) -> Array:
    return np.eye(size)[[(2 * i + 1) * size // (2 * out) for i in range(out)]]


def by_kernel(kernel: Callable[[float], float], reach: int, corners: bool) -> Callable[[int, int], Array]:
    """Of a kernel around the place of each output; elements outside are those of the border."""

    def matrix(size: int, out: int) -> Array:
        made = np.zeros((out, size))
        for i in range(out):
            place = i * (size - 1) / max(out - 1, 1) if corners else (i + 0.5) * size / out - 0.5
            for k in range(math.floor(place) - reach + 1, math.floor(place) + reach + 1):
                made[i, min(max(k, 0), size - 1)] += kernel(abs(place - k))
        return made

    return matrix


def keys(a: float) -> Callable[[float], float]:
    def kernel(d: float) -> float:
        if d < 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0

    return kernel


def tent(d: float) -> float:
    return max(0.0, 1 - d)


@pytest.mark.parametrize("out", [(3,), (9,), (14, 3), (5, 10), (1, 1), (4, 9, 3)])
@pytest.mark.parametrize("corners", [False, True])
def test_smooth_interpolation(out: tuple[int, ...], corners: bool) -> None:
    x = draw(2, 2, *(7, 5, 4)[: len(out)])
    mode = ("linear", "bilinear", "trilinear")[len(out) - 1]
    expected = resampled(x, out, by_kernel(tent, 1, corners))

    def call(t: at.Tensor) -> at.Tensor:
        return F.interpolate(t, out, mode=mode, align_corners=corners)

    np.testing.assert_allclose(run(call, x), expected, atol=1e-12)
    check_gradients(call, x)
    if len(out) == 2:
        expected = resampled(x, out, by_kernel(keys(-0.75), 2, corners))
        result = run(lambda t: F.interpolate(t, out, mode="bicubic", align_corners=corners), x)
        np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("out", [(3,), (14,), (14, 3), (5, 10), (4, 9, 3)])
def test_nearest_and_area_interpolation(out: tuple[int, ...]) -> None:
    x = draw(2, 2, *(7, 5, 4)[: len(out)])
    np.testing.assert_array_equal(run(lambda t: F.interpolate(t, out), x), resampled(x, out, nearest))
    exact = run(lambda t: F.interpolate(t, out, mode="nearest-exact"), x)
    np.testing.assert_array_equal(exact, resampled(x, out, nearest_exact))
    check_gradients(lambda t: F.interpolate(t, out), x)

    def means(size: int, count: int) -> Array:
        made = np.zeros((count, size))
        for i in range(count):
            made[i, i * size // count : -(-(i + 1) * size // count)] = 1
        return made / made.sum(1, keepdims=True)

    np.testing.assert_allclose(run(lambda t: F.interpolate(t, out, mode="area"), x), resampled(x, out, means))


@pytest.mark.parametrize(("mode", "kernel", "reach"), [("bilinear", tent, 1.0), ("bicubic", keys(-0.5), 2.0)])
@pytest.mark.parametrize("out", [(3, 4), (1, 2), (12, 7)])
def test_antialiased_interpolation(mode: str, kernel: Any, reach: float, out: tuple[int, int]) -> None:
    def matrix(size: int, count: int) -> Array:
        step = size / count
        wide = max(step, 1.0)
        centres = (np.arange(count) + 0.5) * step
        made = np.array([[kernel(abs(k + 0.5 - c) / wide) for k in range(size)] for c in centres])
        return made / made.sum(1, keepdims=True)

    x = draw(1, 2, 11, 9)
    result = run(lambda t: F.interpolate(t, out, mode=mode, antialias=True), x)
    np.testing.assert_allclose(result, resampled(x, out, matrix), atol=1e-12)


def test_interpolation_by_a_factor() -> None:
    x = draw(1, 1, 10)
    # 1.55 makes 15 elements: positions come of the factor, or of the sizes.
    places = (np.arange(15) + 0.5) / 1.55 - 0.5
    by_factor = run(lambda t: F.interpolate(t, scale_factor=1.55, mode="linear"), x)
    np.testing.assert_allclose(by_factor[0, 0], np.interp(places, np.arange(10), x[0, 0]), atol=1e-12)
    by_size = run(lambda t: F.interpolate(t, scale_factor=1.55, mode="linear", recompute_scale_factor=True), x)
    places = (np.arange(15) + 0.5) / 1.5 - 0.5
    np.testing.assert_allclose(by_size[0, 0], np.interp(places, np.arange(10), x[0, 0]), atol=1e-12)
    assert F.interpolate(at.ones(1, 1, 4, 6), scale_factor=(0.5, 1.5)).shape == (1, 1, 2, 9)
    assert F.interpolate(at.arange(3).reshape(1, 1, 3), scale_factor=2).tolist() == [[[0, 0, 1, 1, 2, 2]]]


def test_interpolation_between_large_and_infinite_numbers() -> None:
    x = at.tensor([[[3e38, -3e38]]])
    np.testing.assert_allclose(
        F.interpolate(x, scale_factor=2, mode="linear").numpy(), [[[3e38, 1.5e38, -1.5e38, -3e38]]], rtol=1e-6
    )
    inner = F.interpolate(at.full((1, 1, 3), -math.inf), scale_factor=2, mode="linear")[..., 1:-1]
    assert (inner == -math.inf).all()


def test_interpolation_to_numpys_sizes() -> None:
    x = at.tensor([[[0.0, 1.0]]])
    for settings in ({"size": np.int64(4)}, {"size": np.array([4])}, {"scale_factor": np.float32(2)}):
        assert F.interpolate(x, **settings).tolist() == [[[0, 0, 1, 1]]]  # type: ignore[arg-type]


def test_interpolation_of_half_precision_is_rounded_once() -> None:
    x = draw(1, 1, 6, 6)
    for dtype in (at.float16, at.bfloat16):
        given = at.from_numpy(x).to(dtype)
        result = F.interpolate(given, (11, 13), mode="bicubic")
        wide = F.interpolate(given.to(at.float32), (11, 13), mode="bicubic")
        assert result.dtype == dtype and result.tolist() == wide.to(dtype).tolist()


@pytest.mark.parametrize(
    ("error", "match", "shape", "settings"),
    [
        (at.ShapeError, "3 to 5 dimensions", (3, 4), {"size": 2}),
        (at.InvalidValueError, "size or scale_factor", (1, 1, 4), {}),
        (at.InvalidValueError, "size or scale_factor", (1, 1, 4), {"size": 2, "scale_factor": 2}),
        (at.InvalidValueError, "size of 1 ints", (1, 1, 4), {"size": (2, 2)}),
        (at.InvalidValueError, "size of 1 ints, got 'nearest'", (1, 1, 4), {"size": "nearest"}),
        (at.InvalidValueError, "size of 1 ints, got 2.5", (1, 1, 4), {"size": 2.5}),
        (at.InvalidValueError, "1 positive numbers", (1, 1, 4), {"scale_factor": (2, 2)}),
        (at.InvalidValueError, "1 positive numbers, got nan", (1, 1, 4), {"scale_factor": math.nan}),
        (at.InvalidValueError, "1 positive numbers, got inf", (1, 1, 4), {"scale_factor": math.inf}),
        (at.InvalidValueError, "1 positive numbers, got 'area'", (1, 1, 4), {"scale_factor": "area"}),
        (at.InvalidValueError, "mode one of", (1, 1, 4), {"size": 2, "mode": "sharp"}),
        (at.InvalidValueError, "align_corners=None", (1, 1, 4), {"size": 2, "align_corners": True}),
        (at.ShapeError, "4 dimensions for mode 'bilinear'", (1, 1, 4), {"size": 2, "mode": "bilinear"}),
        (at.InvalidValueError, "to antialias", (1, 1, 4), {"size": 2, "mode": "linear", "antialias": True}),
        (at.InvalidValueError, "recompute", (1, 1, 4), {"size": 2, "recompute_scale_factor": True}),
        (at.ShapeError, "sizes of at least 1", (1, 1, 4), {"scale_factor": 0.1}),
        (at.ShapeError, "sizes of at least 1", (1, 1, 0), {"size": 2}),
    ],
)
def test_errors_of_interpolation(error: type[Exception], match: str, shape: Any, settings: Any) -> None:
    with pytest.raises(error, match=match):
        F.interpolate(at.ones(shape), **settings)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_smooth_interpolation_of_bytes_is_rounded(mode: str) -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 8)).astype(np.uint8)
    x[0] = np.where(x[0] < 128, 0, 255)  # where a cubic overshoots
    for size, antialias in (((13, 5), False), ((4, 7), True)):
        result = F.interpolate(at.from_numpy(x), size, mode=mode, antialias=antialias)
        wide = F.interpolate(at.from_numpy(x.astype(np.float64)), size, mode=mode, antialias=antialias).numpy()
        assert result.dtype is at.uint8
        np.testing.assert_allclose(result.numpy(), np.clip(wide, 0, 255), rtol=0, atol=0.501)
    row = at.tensor([0, 1, 2, 3], dtype=at.uint8).expand(1, 1, 2, 4)
    assert F.interpolate(row, (1, 2), mode="bilinear").tolist() == [[[[1, 3]]]]  # 0.5 and 2.5


def test_smooth_interpolation_is_of_floats_and_bytes() -> None:
    with pytest.raises(at.DTypeError, match="floats or uint8 for mode 'linear', got int64"):
        F.interpolate(at.arange(4).reshape(1, 1, 4), 2, mode="linear")


# ---- other places ----


def sampled(x: Array, grid: Array, mode: str, padding_mode: str, corners: bool) -> Array:
    """An output element at a time."""
    n, sizes = x.ndim - 2, x.shape[2:]

    def inside(p: float, size: int) -> float:
        if padding_mode == "zeros":
            return p
        if padding_mode == "reflection":
            low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)
            if high == low:
                return low
            while not low <= p <= high:
                p = 2 * low - p if p < low else 2 * high - p
        return min(max(p, 0.0), size - 1.0)

    def taps(p: float, size: int) -> list[tuple[int, float]]:
        if mode == "bicubic":
            low = math.floor(p)
            return [(int(inside(k, size)), keys(-0.75)(abs(p - k))) for k in range(low - 1, low + 3)]
        p = inside(p, size)
        if mode == "nearest":
            return [(round(p), 1.0)]
        low = math.floor(p)
        return [(low, 1 - p + low), (low + 1, p - low)]

    out = np.zeros((*x.shape[:2], *grid.shape[1:-1]))
    for b, *place in np.ndindex(*grid.shape[:-1]):
        g = grid[(b, *place)][::-1]
        at_input = [(v + 1) / 2 * (s - 1) if corners else ((v + 1) * s - 1) / 2 for v, s in zip(g, sizes, strict=True)]
        for combination in itertools.product(*(taps(p, s) for p, s in zip(at_input, sizes, strict=True))):
            index = tuple(k for k, _ in combination)
            if all(0 <= k < s for k, s in zip(index, sizes, strict=True)):
                out[(b, slice(None), *place)] += x[(b, slice(None), *index)] * np.prod([w for _, w in combination])
    assert n == grid.shape[-1]
    return out


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize(
    ("mode", "n"), [("bilinear", 2), ("nearest", 2), ("bicubic", 2), ("bilinear", 3), ("nearest", 3)]
)
def test_grid_sample(mode: str, n: int, padding_mode: str, corners: bool) -> None:
    def call(x: at.Tensor, grid: at.Tensor) -> at.Tensor:
        return F.grid_sample(x, grid, mode, padding_mode, corners)

    for sizes in ((5, 4, 3)[:n], (1, 6, 2)[:n]):
        x, grid = draw(2, 2, *sizes), RNG.uniform(-1.9, 1.9, (2, *(3, 2, 2)[:n], n))
        np.testing.assert_allclose(run(call, x, grid), sampled(x, grid, mode, padding_mode, corners), atol=1e-10)
        if mode == "nearest":
            check_gradients(lambda t, g=grid: call(t, at.from_numpy(g)), x)  # type: ignore[misc]
        elif sizes[0] > 1:
            check_gradients(call, x, grid)


@pytest.mark.parametrize("settings", [("bilinear", "reflection"), ("bicubic", "zeros")])
def test_grid_sample_twice_forward(settings: Any) -> None:
    jvp = pytest.importorskip("atled.autograd").func.jvp
    x, grid, dx, dgrid = (at.from_numpy(draw(*shape)) for shape in ((1, 2, 5, 6), (1, 3, 2, 2)) * 2)

    def first(x: at.Tensor, grid: at.Tensor) -> at.Tensor:
        return jvp(lambda x, grid: F.grid_sample(x, grid, *settings), (x, grid), (dx, dgrid))[1]  # type: ignore[no-any-return]

    second, step = jvp(first, (x, grid), (dx, dgrid))[1], 1e-6
    expected = (first(x + step * dx, grid + step * dgrid) - first(x - step * dx, grid - step * dgrid)) / (2 * step)
    np.testing.assert_allclose(second.numpy(), expected.numpy(), atol=1e-6, rtol=1e-6)


def test_affine_grid() -> None:
    theta = draw(2, 2, 3)
    for corners in (False, True):
        edge = [1.0 if corners else (s - 1) / s for s in (4, 5)]
        y, x = np.meshgrid(np.linspace(-edge[0], edge[0], 4), np.linspace(-edge[1], edge[1], 5), indexing="ij")
        places = np.stack([x, y, np.ones_like(x)], -1)
        expected = np.einsum("hwk,nik->nhwi", places, theta)
        call = lambda t, c=corners: F.affine_grid(t, (2, 3, 4, 5), c)  # noqa: E731
        np.testing.assert_allclose(run(call, theta), expected, atol=1e-12)
        check_gradients(call, theta)
    assert F.affine_grid(at.ones(1, 3, 4), (1, 1, 2, 3, 4)).shape == (1, 2, 3, 4, 3)
    # The identity leaves an image as it is.
    image = draw(1, 2, 4, 5)
    identity = F.affine_grid(at.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=at.float64), image.shape)
    np.testing.assert_allclose(F.grid_sample(at.from_numpy(image), identity).numpy(), image, atol=1e-12)


def test_errors_of_grids() -> None:
    x, grid = at.ones(1, 1, 3, 3), at.zeros(1, 2, 2, 2)
    for error, match, call in (
        (at.ShapeError, "input .N, C, H, W. and grid", lambda: F.grid_sample(x, grid[..., :1])),
        (at.DTypeError, "one floating dtype", lambda: F.grid_sample(x, grid.to(at.float64))),
        (at.InvalidValueError, "mode 'bilinear'", lambda: F.grid_sample(x, grid, "linear")),
        (at.InvalidValueError, "padding_mode 'zeros'", lambda: F.grid_sample(x, grid, padding_mode="wrap")),
        (at.ShapeError, r"at most 2\^24", lambda: F.grid_sample(x[..., :1].expand(1, 1, 3, (1 << 24) + 4), grid)),
        (at.ShapeError, "theta .N, 2, 3.", lambda: F.affine_grid(at.ones(1, 3, 3), (1, 1, 2, 2))),
    ):
        with pytest.raises(error, match=match):
            call()


def test_grid_sample_of_nothing() -> None:
    assert F.grid_sample(at.ones(0, 2, 3, 3), at.zeros(0, 4, 5, 2)).shape == (0, 2, 4, 5)
    assert F.grid_sample(at.ones(1, 2, 3, 3), at.zeros(1, 0, 5, 2)).shape == (1, 2, 0, 5)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_grid_sample_at_nan_and_infinity(mode: str, corners: bool, size: int) -> None:
    x = at.arange(1.0, size * size + 1).reshape(1, 1, size, size)
    for place in (math.nan, math.inf, -math.inf):
        grid = at.full((1, 1, 1, 2), place)
        assert F.grid_sample(x, grid, mode, "zeros", corners).item() == 0
        if mode == "bicubic":
            continue
        last = place == math.inf
        assert F.grid_sample(x, grid, mode, "border", corners).item() == (size * size if last else 1)
        assert F.grid_sample(x, grid, mode, "reflection", corners).item() == 1


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample_of_infinite_elements_elsewhere(mode: str) -> None:
    x, grid = at.full((1, 1, 2, 2), math.inf), at.full((1, 1, 1, 2), 5.0)
    assert F.grid_sample(x, grid, mode).item() == 0
    if mode != "bicubic":
        # On the last element there is none beside it.
        edge = at.tensor([[[[1.0, 2.0], [math.inf, 3.0]]]])
        assert F.grid_sample(edge, at.ones(1, 1, 1, 2), mode, "border", True).item() == 3
    pytest.importorskip("atled.autograd")
    x, grid = x.requires_grad_(), grid.requires_grad_()
    F.grid_sample(x, grid, mode).sum().backward()
    assert not x.grad.any() and not grid.grad.any()


def test_grid_sample_of_the_nearest_has_a_gradient_of_zeros() -> None:
    pytest.importorskip("atled.autograd")
    grid = at.tensor([[[[0.5, math.nan], [-math.inf, 3e38]]]], requires_grad=True)
    F.grid_sample(at.full((1, 1, 2, 2), math.inf), grid, "nearest", "border").sum().backward()
    assert grid.grad is not None and grid.grad.tolist() == [[[[0, 0], [0, 0]]]]


def test_pixels_and_channels() -> None:
    x = draw(2, 12, 3, 4)
    n, c, h, w = 2, 3, 3, 4
    expected = np.zeros((n, c, 2 * h, 2 * w))
    for i, j in np.ndindex(2, 2):
        expected[:, :, i::2, j::2] = x[:, 2 * i + j :: 4]
    np.testing.assert_array_equal(run(lambda t: F.pixel_shuffle(t, 2), x), expected)
    np.testing.assert_array_equal(run(lambda t: F.pixel_unshuffle(t, 2), expected), x)
    np.testing.assert_array_equal(run(lambda t: F.pixel_shuffle(t, 2), x[0]), expected[0])
    order = [k * 4 + i for i in range(4) for k in range(3)]
    np.testing.assert_array_equal(run(lambda t: F.channel_shuffle(t, 3), x), x[:, order])
    with pytest.raises(at.ShapeError, match="a multiple of upscale_factor.2, 25"):
        F.pixel_shuffle(at.from_numpy(x), 5)
    with pytest.raises(at.ShapeError, match="multiples of downscale_factor 2"):
        F.pixel_unshuffle(at.from_numpy(x), 2)
    with pytest.raises(at.ShapeError, match="groups=5 divide"):
        F.channel_shuffle(at.from_numpy(x), 5)


@pytest.mark.parametrize("settings", [(2, 1, 0, 1), ((3, 2), 1, 1, 2), ((2, 3), (2, 1), (0, 2), (1, 2)), (1, 1, 0, 1)])
def test_windows_as_columns_and_back(settings: Any) -> None:
    x = draw(2, 3, 6, 7)
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (np.broadcast_to(v, (2,)) for v in settings)
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    tops = range(0, padded.shape[2] - dh * (kh - 1), sh)
    lefts = range(0, padded.shape[3] - dw * (kw - 1), sw)
    windows = [
        padded[:, :, t : t + dh * (kh - 1) + 1 : dh, s : s + dw * (kw - 1) + 1 : dw] for t in tops for s in lefts
    ]
    columns = np.stack([v.reshape(2, -1) for v in windows], -1)
    np.testing.assert_array_equal(run(lambda t: F.unfold(t, *settings), x), columns)
    np.testing.assert_array_equal(run(lambda t: F.unfold(t, *settings), x[0]), columns[0])
    # fold is the adjoint: <unfold(x), y> = <x, fold(y)> for all x and y.
    y = draw(*columns.shape)
    basis = np.eye(x[:1, :1].size).reshape(-1, 1, 6, 7)
    each = run(lambda t: F.unfold(t, *settings), basis)
    folded = run(lambda t: F.fold(t, (6, 7), *settings), y)
    expected = np.tensordot(y.reshape(2, 3, kh * kw, -1), each, ((2, 3), (1, 2))).reshape(2, 3, 6, 7)
    np.testing.assert_allclose(folded, expected, atol=1e-12)
    check_gradients(lambda t: F.unfold(t, *settings), x)
    check_gradients(lambda t: F.fold(t, (6, 7), *settings), y[:1])


def test_errors_of_windows() -> None:
    with pytest.raises(at.ShapeError, match="windows inside of the padded size .3, 3."):
        F.unfold(at.ones(1, 1, 3, 3), 4)
    with pytest.raises(at.ShapeError, match="columns .N, C . 4, 4."):
        F.fold(at.ones(1, 4, 5), 3, 2)
    with pytest.raises(at.InvalidValueError, match="at least 1 and padding"):
        F.unfold(at.ones(1, 1, 3, 3), 2, stride=0)


@pytest.mark.parametrize(("kind", "mode"), [("Reflection", "reflect"), ("Replication", "edge"), ("Circular", "wrap")])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_padding_layers(kind: str, mode: Any, n: int) -> None:
    x = draw(1, 2, *(5, 4, 6)[:n])
    sizes = (1, 2, 2, 0, 1, 1)[: 2 * n]
    around = [(0, 0), (0, 0), *((sizes[2 * i], sizes[2 * i + 1]) for i in reversed(range(n)))]
    layer = getattr(nn, f"{kind}Pad{n}d")
    np.testing.assert_array_equal(run(layer(sizes), x), np.pad(x, around, mode))
    constant, zero = getattr(nn, f"ConstantPad{n}d"), getattr(nn, f"ZeroPad{n}d")
    np.testing.assert_array_equal(run(constant(sizes, 1.5), x), np.pad(x, around, constant_values=1.5))
    np.testing.assert_array_equal(run(zero(sizes), x), np.pad(x, around))
    assert layer(1)(at.ones(x.shape)).shape == (1, 2, *(s + 2 for s in x.shape[2:]))
    with pytest.raises(at.InvalidValueError, match=f"one int or {2 * n}"):
        layer((1,) * (2 * n + 1))
