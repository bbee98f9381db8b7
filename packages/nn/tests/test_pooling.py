"""Pooling of volumes, adaptive maxima, unpooling and power means, against NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.nn import functional as F

RNG = np.random.default_rng(5)
Array = np.ndarray[Any, np.dtype[Any]]


def check_gradients(function: Callable[..., Any], x: Array) -> None:
    try:
        from atled.autograd import gradcheck
    except ImportError:
        return
    assert gradcheck(function, (at.from_numpy(x.copy()).requires_grad_(),))


def apart(*shape: int) -> Array:
    """Numbers that differ, so that the largest has a gradient."""
    return RNG.permutation(math.prod(shape)).reshape(shape) / 8.0


def windows(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> list[list[int]]:
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil(room / stride) if ceil else room // stride) + 1
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    return [[i * stride - padding + k * dilation for k in range(kernel)] for i in range(count)]


def adaptive(size: int, count: int) -> list[list[int]]:
    return [list(range(i * size // count, -(-(i + 1) * size // count))) for i in range(count)]


def places(shape: tuple[int, ...], looks: list[list[list[int]]]) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """Each output's place and the places of the input that it looks at, those outside left out."""
    for out in np.ndindex(*map(len, looks)):
        seen = itertools.product(*(look[i] for look, i in zip(looks, out, strict=True)))
        yield out, [p for p in seen if all(0 <= k < s for k, s in zip(p, shape, strict=True))]


def maxima(x: Array, looks: list[list[list[int]]]) -> tuple[Array, Array]:
    n = len(looks)
    values = np.zeros((*x.shape[:-n], *map(len, looks)))
    indices = np.zeros(values.shape, np.int64)
    for lead in np.ndindex(*x.shape[:-n]):
        for out, seen in places(x.shape[-n:], looks):
            best = max(seen, key=lambda p: (x[(*lead, *p)], [-k for k in p]))
            values[(*lead, *out)] = x[(*lead, *best)]
            indices[(*lead, *out)] = np.ravel_multi_index(best, x.shape[-n:])
    return values, indices


CASES = [
    (2, None, 0, 1, False),
    ((3, 2, 3), (2, 1, 2), (1, 1, 0), 1, True),
    (2, (3, 2, 1), (1, 0, 1), (1, 2, 1), False),
    (3, 2, 1, 1, True),
]


def looks_of(shape: tuple[int, ...], settings: Any) -> list[list[list[int]]]:
    kernel, stride, padding, dilation, ceil = settings
    each = [np.broadcast_to(v, (3,)) for v in (kernel, kernel if stride is None else stride, padding, dilation)]
    return [windows(size, *(int(v[i]) for v in each), ceil) for i, size in enumerate(shape)]


@pytest.mark.parametrize("settings", CASES)
def test_max_pool3d(settings: Any) -> None:
    x = RNG.integers(0, 9, (2, 2, 5, 6, 7)).astype(float)  # with equal ones
    values, indices = maxima(x, looks_of(x.shape[2:], settings))
    output, found = F.max_pool3d(at.from_numpy(x), *settings, return_indices=True)
    np.testing.assert_array_equal(output.numpy(), values)
    np.testing.assert_array_equal(found.numpy(), indices)
    again, found = F.max_pool3d_with_indices(at.from_numpy(x[0]), *settings)
    np.testing.assert_array_equal(again.numpy(), values[0])
    np.testing.assert_array_equal(found.numpy(), indices[0])
    check_gradients(lambda t: F.max_pool3d(t, *settings), apart(1, 1, 4, 5, 5))


@pytest.mark.parametrize("settings", [case for case in CASES if case[3] == 1])
@pytest.mark.parametrize("counts_padding", [True, False])
@pytest.mark.parametrize("divisor", [None, 5])
def test_avg_pool3d(settings: Any, counts_padding: bool, divisor: int | None) -> None:
    x = RNG.standard_normal((2, 2, 5, 6, 7))
    looks = looks_of(x.shape[2:], settings)
    around = np.broadcast_to(settings[2], (3,))
    expected = np.zeros((2, 2, *map(len, looks)))
    for out, seen in places(x.shape[2:], looks):
        padded = [
            sum(k < size + p for k in look[i]) for look, i, size, p in zip(looks, out, x.shape[2:], around, strict=True)
        ]
        count = divisor or (math.prod(padded) if counts_padding else len(seen))
        expected[(..., *out)] = sum(x[(..., *p)] for p in seen) / count
    kernel, stride, padding, _, ceil = settings

    def call(t: at.Tensor) -> at.Tensor:
        return F.avg_pool3d(t, kernel, stride, padding, ceil, counts_padding, divisor)

    np.testing.assert_allclose(call(at.from_numpy(x)).numpy(), expected, atol=1e-12)
    check_gradients(call, x[:1, :1])


@pytest.mark.parametrize("size", [1, (3, 4, 2), (None, 2, 7)])
def test_adaptive_pools_of_volumes(size: Any) -> None:
    x = apart(2, 2, 5, 6, 7)
    out = [size] * 3 if isinstance(size, int) else [s or old for s, old in zip(size, x.shape[2:], strict=True)]
    looks = [adaptive(old, new) for old, new in zip(x.shape[2:], out, strict=True)]
    means = np.zeros((2, 2, *out))
    for place, seen in places(x.shape[2:], looks):
        means[(..., *place)] = np.mean([x[(..., *p)] for p in seen], 0)
    np.testing.assert_allclose(F.adaptive_avg_pool3d(at.from_numpy(x), size).numpy(), means, rtol=1e-12)
    values, indices = F.adaptive_max_pool3d(at.from_numpy(x), size, return_indices=True)
    for found, wanted in zip((values, indices), maxima(x, looks), strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("size", [1, 3, (2, 5), (7, None)])
def test_adaptive_max_pool2d(size: Any) -> None:
    x = RNG.integers(0, 5, (2, 7, 6)).astype(float)
    out = [size] * 2 if isinstance(size, int) else [s or old for s, old in zip(size, x.shape[1:], strict=True)]
    expected = maxima(x, [adaptive(old, new) for old, new in zip(x.shape[1:], out, strict=True)])
    for found, wanted in zip(F.adaptive_max_pool2d_with_indices(at.from_numpy(x), size), expected, strict=True):
        np.testing.assert_array_equal(found.numpy(), wanted)
    check_gradients(lambda t: F.adaptive_max_pool2d(t, size), apart(1, 7, 6))


def test_adaptive_max_pool1d_and_its_layers() -> None:
    x = apart(2, 3, 8)
    values, indices = maxima(x, [adaptive(8, 3)])
    layer = nn.AdaptiveMaxPool1d(3, return_indices=True)
    found = layer(at.from_numpy(x))
    np.testing.assert_array_equal(found[0].numpy(), values)
    np.testing.assert_array_equal(found[1].numpy(), indices)
    assert repr(nn.AdaptiveMaxPool2d((2, None))) == "AdaptiveMaxPool2d(output_size=(2, None))"
    with pytest.raises(at.ShapeError, match="at least 1"):
        F.adaptive_max_pool2d(at.ones(1, 2, 2), 0)


def starts(size: int, count: int, window: int, shift: float) -> list[int]:
    """Of windows that begin every so many elements, from a shift on; the last ends at the end (Graham 2014)."""
    step = (size - window) / max(count - 1, 1)
    return [int((i + shift) * step) - int(shift * step) for i in range(count - 1)] + [size - window]


@pytest.mark.parametrize(
    ("shape", "window", "out"), [((9, 7), (2, 3), (4, 3)), ((5, 6), (2, 2), (1, 5)), ((5, 6, 4), (2, 1, 3), (3, 4, 2))]
)
def test_fractional_max_pool(shape: tuple[int, ...], window: tuple[int, ...], out: tuple[int, ...]) -> None:
    n = len(shape)
    x, shifts = apart(2, 3, *shape), RNG.random((2, 3, n))
    function = getattr(F, f"fractional_max_pool{n}d")

    def call(t: at.Tensor, indices: bool = False) -> Any:
        return function(t, window, out, return_indices=indices, _random_samples=at.from_numpy(shifts))

    values, indices = (t.numpy() for t in call(at.from_numpy(x), True))
    for plane in np.ndindex(2, 3):
        order = shifts[plane][::-1] if n == 2 else shifts[plane]  # of images the columns' comes first
        looks = [
            [list(range(b, b + k)) for b in starts(s, o, k, u)]
            for s, o, k, u in zip(shape, out, window, order, strict=True)
        ]
        for found, wanted in zip((values, indices), maxima(x[plane], looks), strict=True):
            np.testing.assert_array_equal(found[plane], wanted)
    check_gradients(call, x)


def test_fractional_max_pool_draws_and_its_layers() -> None:
    at.manual_seed(4)
    x = at.from_numpy(apart(1, 50, 8, 8))
    layer = nn.FractionalMaxPool2d(2, output_ratio=(0.75, 0.5), return_indices=True)
    first, second = (layer(x)[1] for _ in range(2))
    assert first.shape == (1, 50, 6, 4) and (first != second).any()
    assert nn.FractionalMaxPool3d(2, output_size=2)(at.ones(3, 4, 5, 6)).shape == (3, 2, 2, 2)
    assert repr(nn.FractionalMaxPool2d(3, 2)) == "FractionalMaxPool2d(kernel_size=(3, 3), output_size=2)"
    for error, match, call in (
        (at.InvalidValueError, "output_size or output_ratio", lambda: nn.FractionalMaxPool2d(2)),
        (at.InvalidValueError, "output_ratio in .0, 1.", lambda: nn.FractionalMaxPool2d(2, output_ratio=1.5)),
        (at.ShapeError, "that fit", lambda: F.fractional_max_pool2d(x, 2, 8)),
        (at.ShapeError, "_random_samples of shape", lambda: F.fractional_max_pool2d(x, 2, 4, None, False, at.ones(1))),
        (at.ShapeError, "3 or 4 dimensions", lambda: F.fractional_max_pool2d(x[0, 0], 2, 4)),
    ):
        with pytest.raises(error, match=match):
            call()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling(n: int) -> None:
    pool, unpool = getattr(F, f"max_pool{n}d"), getattr(F, f"max_unpool{n}d")
    x = apart(2, 1, *(4, 6, 2)[:n])
    values, indices = pool(at.from_numpy(x), 2, return_indices=True)
    expected = np.zeros((2, 1, x[0, 0].size))
    np.put_along_axis(expected, indices.numpy().reshape(2, 1, -1), values.numpy().reshape(2, 1, -1), 2)
    np.testing.assert_array_equal(unpool(values, indices, 2).numpy(), expected.reshape(x.shape))
    check_gradients(lambda t: unpool(t, indices, 2), values.numpy())
    wide = unpool(values, indices, 2, output_size=[s + 1 for s in x.shape[2:]])
    assert wide.shape == (2, 1, *(s + 1 for s in x.shape[2:]))
    np.testing.assert_array_equal(np.sort(wide.numpy().ravel())[-values.numel() :], np.sort(values.numpy().ravel()))
    with pytest.raises(at.InvalidValueError, match="output_size nearer to"):
        unpool(values, indices, 2, output_size=[s + 2 for s in x.shape[2:]])
    with pytest.raises(at.ShapeError, match="indices of its shape"):
        unpool(values, indices[:1], 2)


def test_unpooling_refuses_indices_outside() -> None:
    for place in (2, -1, -2):
        with pytest.raises(at.BoundsError):
            F.max_unpool1d(at.ones(1, 1), at.tensor([[place]]), 2)
    with pytest.raises(at.DTypeError, match="indices of int64, got int32"):
        F.max_unpool1d(at.ones(1, 1), at.tensor([[0]], dtype=at.int32), 2)


@pytest.mark.parametrize("p", [1, 2.0, 3])
def test_power_means(p: float) -> None:
    x = RNG.random((2, 2, 4, 6))
    expected = (x.reshape(2, 2, 2, 2, 3, 2) ** p).sum((3, 5)) ** (1 / p)
    np.testing.assert_allclose(F.lp_pool2d(at.from_numpy(x), p, 2).numpy(), expected, rtol=1e-12)
    line = (x[0].reshape(2, 4, 3, 2) ** p).sum(3) ** (1 / p)
    np.testing.assert_allclose(F.lp_pool1d(at.from_numpy(x[0].reshape(8, 6)), p, 2).numpy(), line.reshape(8, 3))
    volume = (x.reshape(2, 1, 2, 2, 2, 3, 2) ** p).sum((2, 4, 6)) ** (1 / p)
    np.testing.assert_allclose(F.lp_pool3d(at.from_numpy(x), p, 2).numpy(), volume, rtol=1e-12)
    check_gradients(lambda t: F.lp_pool2d(t, p, 2), x)


def test_power_means_of_infinite_powers() -> None:
    x = RNG.standard_normal((2, 2, 4, 6))
    blocks = abs(x).reshape(2, 2, 2, 2, 3, 2)
    for p, among in ((math.inf, np.max), (-math.inf, np.min)):
        np.testing.assert_array_equal(F.lp_pool2d(at.from_numpy(x), p, 2).numpy(), among(blocks, axis=(3, 5)))
        line, volume = at.from_numpy(x[0]), at.from_numpy(x.reshape(2, 1, 2, 4, 6))
        np.testing.assert_array_equal(F.lp_pool1d(line, p, 2).numpy(), among(abs(x[0]).reshape(2, 4, 3, 2), axis=3))
        expected = among(abs(x).reshape(2, 1, 2, 2, 2, 3, 2), axis=(2, 4, 6))
        np.testing.assert_array_equal(F.lp_pool3d(volume, p, 2).numpy()[:, :, 0], expected)
    for p in (0, math.nan):
        with pytest.raises(at.InvalidValueError, match=f"lp_pool2d: expected norm_type other than 0 and NaN, got {p}"):
            F.lp_pool2d(at.ones(1, 2, 2), p, 2)


def test_sizes_may_be_numpys() -> None:
    two, x = np.int64(2), at.arange(8.0).reshape(1, 2, 2, 2)
    assert F.avg_pool3d(x, two).item() == 3.5 and F.adaptive_max_pool3d(x, np.int32(1)).item() == 7
    assert F.adaptive_avg_pool2d(x[0], np.int64(1)).flatten().tolist() == [1.5, 5.5]
    assert nn.Conv2d(2, 2, two).kernel_size == (2, 2) and nn.ReflectionPad2d(np.int64(1)).padding == (1, 1, 1, 1)
    assert nn.LayerNorm(two).normalized_shape == nn.RMSNorm(two).normalized_shape == (2,)
    with pytest.raises(at.ArgumentError, match="avg_pool3d: kernel_size: expected one int or 3, got 2.5"):
        F.avg_pool3d(x, 2.5)  # type: ignore[arg-type]


def test_adaptive_maxima_of_more_elements_than_there_is_memory_for() -> None:
    with pytest.raises(at.OutOfMemoryError):
        F.adaptive_max_pool2d(at.ones(1, 1, 1, 1), 2**62)


@pytest.mark.parametrize("size", range(1, 13))
def test_adaptive_max_pool1d_of_all_sizes(size: int) -> None:
    x = apart(1, 1, size)
    for count in range(1, 16):
        values, indices = maxima(x, [adaptive(size, count)])
        found = F.adaptive_max_pool1d(at.from_numpy(x), count, return_indices=True)
        np.testing.assert_array_equal(found[0].numpy(), values)
        np.testing.assert_array_equal(found[1].numpy(), indices)


def test_power_mean_of_zeros_has_no_slope() -> None:
    pytest.importorskip("atled.autograd")
    x = at.zeros(1, 2, 2, requires_grad=True)
    F.lp_pool2d(x, 2, 2).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [[[0.0, 0.0], [0.0, 0.0]]]


def test_an_empty_stride_is_the_window() -> None:
    for pool in (F.max_pool1d, F.max_pool2d, F.max_pool3d, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d):
        n = int(pool.__name__[-2])
        assert pool(at.ones(1, *[4] * n), 2, []).shape == (1, *[2] * n)


def test_half_precision_is_rounded_once() -> None:
    x = at.from_numpy(RNG.standard_normal((1, 2, 4, 4, 4)))
    for dtype in (at.float16, at.bfloat16):
        half = x.to(dtype)
        for pool in (lambda t: F.avg_pool3d(t, 3, 1), lambda t: F.adaptive_avg_pool3d(t, 3)):
            assert pool(half).dtype == dtype
            assert pool(half).tolist() == pool(half.to(at.float32)).to(dtype).tolist()


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (at.ShapeError, "avg_pool3d: expected input", lambda: F.avg_pool3d(at.ones(2, 2, 2), 2)),
        (at.InvalidValueError, "other than 0", lambda: F.avg_pool3d(at.ones(1, 2, 2, 2), 2, divisor_override=0)),
        (at.ShapeError, "max_pool3d: expected input", lambda: F.max_pool3d(at.ones(2, 2), 2)),
        (at.InvalidValueError, "kernel_size: expected one int or 3", lambda: F.max_pool3d(at.ones(1, 2, 2, 2), (2, 2))),
        (at.ShapeError, "hold a window of 3", lambda: F.max_pool3d(at.ones(1, 2, 4, 4), 3)),
        (at.InvalidValueError, "one int or 3", lambda: F.adaptive_avg_pool3d(at.ones(1, 2, 2, 2), (1, 2))),
        (at.InvalidValueError, "one int or 2", lambda: F.adaptive_avg_pool2d(at.ones(1, 2, 2), (1, 2, 3))),
        *(
            (at.InvalidValueError, "stride of at least 1", lambda pool=pool, n=n: pool(at.ones(1, *[4] * n), 2, 0))
            for kind in ((F.max_pool1d, F.max_pool2d, F.max_pool3d), (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d))
            for n, pool in enumerate(kind, 1)
        ),
    ],
)
def test_errors(error: type[Exception], match: str, call: Any) -> None:
    with pytest.raises(error, match=match):
        call()


def test_layers() -> None:
    x = at.ones(2, 3, 4, 6, 8)
    assert nn.MaxPool3d(2, return_indices=True)(x)[1].dtype == at.int64
    assert nn.AvgPool3d((1, 2, 2))(x).shape == (2, 3, 4, 3, 4)
    assert nn.AdaptiveAvgPool3d((1, None, 2))(x).shape == (2, 3, 1, 6, 2)
    assert nn.MaxUnpool3d(2)(*nn.MaxPool3d(2, return_indices=True)(x)).shape == x.shape
    assert repr(nn.MaxUnpool2d(2)) == "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))"
    assert repr(nn.LPPool2d(2, 3)) == "LPPool2d(norm_type=2, kernel_size=3, stride=None, ceil_mode=False)"


@pytest.mark.parametrize("name", ["padding", "stride", "dilation"])
def test_sizes_whose_products_overflow(name: str) -> None:
    x, weight = at.ones(1, 1, 5, 5, dtype=at.float64), at.ones(1, 1, 2, 2, dtype=at.float64)
    for call in (
        lambda: F.max_pool2d(x, 2, **{name: 2**63 - 1}),
        lambda: F.max_pool3d(x.unsqueeze(0), 2, **{name: 2**63 - 1}),
        lambda: F.conv2d(x, weight, **{name: 2**62}),
        lambda: F.conv3d(x.unsqueeze(0), weight.unsqueeze(0), **{name: 2**40}),
    ):
        with pytest.raises(at.InvalidValueError, match=f"{name} of at most"):
            call()
