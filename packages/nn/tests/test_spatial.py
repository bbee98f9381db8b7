"""Convolutions of volumes and transposed convolutions, against NumPy."""

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
