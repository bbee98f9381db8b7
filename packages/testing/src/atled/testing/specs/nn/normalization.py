"""Normalisation."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample, dtype_name

EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def wide(dtype: str) -> str:
    """What statistics are kept in."""
    return "float64" if dtype == "float64" else "float32"


def close(actual: Any, expected: Any, terms: float) -> None:
    """Within the rounding of some terms of the size of the largest element."""
    scale = np.max(np.abs(expected), initial=1.0)
    np.testing.assert_allclose(
        actual.astype(np.float64), expected, rtol=0, atol=terms * EPS[dtype_name(actual.dtype)] * scale
    )


def double(*arrays: Any) -> list[Any]:
    return [None if a is None else np.asarray(a, np.float64) for a in arrays]


def with_statistics(sample: Sample) -> tuple[str, str, str]:
    dtype = dtype_name(sample.args[0].dtype)
    return dtype, wide(dtype), wide(dtype)


# ---- layer norm ----

SHAPES = (((2, 3, 5), (5,)), ((4, 3, 5), (3, 5)), ((6,), (6,)), ((3, 1031), (1031,)))


def layer_norm(x: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, center: bool = True) -> Any:
    dims = tuple(range(-len(shape), 0))
    mean = x.mean(dims, keepdims=True) * center
    rstd = 1 / np.sqrt(((x - mean) ** 2).mean(dims, keepdims=True) + eps)
    return (x - mean) * rstd * (1 if weight is None else weight) + (0 if bias is None else bias), mean, rstd


def layer_norm_samples(draw: Draw) -> Iterator[Sample]:
    for shape, normalized in SHAPES[: 2 if draw.smooth else None]:
        yield Sample(draw(*shape), normalized, draw(*normalized), draw(*normalized))
        yield Sample(draw(*shape), normalized, eps=0.1)
        yield Sample(draw(*shape), normalized, draw(*normalized), None, 1e-5, False)
    if not draw.smooth:
        yield Sample(draw(0, 3), (3,))


def check_layer_norm(
    outs: Any, x: Any, shape: Any, weight: Any = None, bias: Any = None, *settings: Any, **by_name: Any
) -> None:
    x, weight, bias = double(x, weight, bias)
    for actual, expected in zip(outs, layer_norm(x, shape, weight, bias, *settings, **by_name), strict=True):
        assert actual.shape == expected.shape
        close(actual, expected, 16)


def layer_norm_backward_samples(draw: Draw) -> Iterator[Sample]:
    for shape, normalized in SHAPES[: 2 if draw.smooth else None]:
        x = draw(*shape)
        _, mean, rstd = layer_norm(x.astype(np.float64), normalized)
        statistics = mean.astype(wide(draw.dtype)), rstd.astype(wide(draw.dtype))
        yield Sample(draw(*shape), x, normalized, *statistics, draw(*normalized))
        yield Sample(draw(*shape), x, normalized, *statistics)
        _, mean, rstd = layer_norm(x.astype(np.float64), normalized, center=False)
        statistics = mean.astype(wide(draw.dtype)), rstd.astype(wide(draw.dtype))
        yield Sample(draw(*shape), x, normalized, *statistics, draw(*normalized), False)


def check_layer_norm_backward(
    outs: Any, g: Any, x: Any, shape: Any, mean: Any, rstd: Any, weight: Any = None, center: bool = True
) -> None:
    g, x, mean, rstd, weight = double(g, x, mean, rstd, weight)
    dims, leading = tuple(range(-len(shape), 0)), tuple(range(x.ndim - len(shape)))
    plain, a = (x - mean) * rstd, g * (1 if weight is None else weight)
    close(
        outs[0], rstd * (a - a.mean(dims, keepdims=True) * center - plain * (a * plain).mean(dims, keepdims=True)), 64
    )
    close(outs[1], (g * plain).sum(leading), 64)
    close(outs[2], g.sum(leading), 64)


# ---- batch norm ----

IMAGES = ((3, 2, 4), (4, 3), (2, 3, 4, 5), (700, 300), (5, 2, 33, 31))


def per_channel(t: Any, x: Any) -> Any:
    return t.reshape(-1, *[1] * (x.ndim - 2))


def channel_dims(x: Any) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def batch_norm_samples(draw: Draw) -> Iterator[Sample]:
    for shape in IMAGES[: 3 if draw.smooth else None]:
        yield Sample(draw(*shape), draw(shape[1]), draw(shape[1]))
        yield Sample(draw(*shape), eps=0.5)
    yield Sample(draw(3, 2, 4), draw(2, dtype=wide(draw.dtype)), draw(2, dtype=wide(draw.dtype)))


def check_batch_norm(outs: Any, x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> None:
    x, weight, bias = double(x, weight, bias)
    # Wider than float64, whose sums along the first dimension round with every term.
    long = x.astype(np.longdouble)
    mean, var = (t.astype(np.float64) for t in (long.mean(channel_dims(x)), long.var(channel_dims(x))))
    result = (x - per_channel(mean, x)) / np.sqrt(per_channel(var, x) + eps)
    if weight is not None:
        result = result * per_channel(weight, x) + per_channel(bias, x)
    close(outs[0], result, 32)
    close(outs[1], mean, 8)
    close(outs[2], var, max(8, math.sqrt(x.size / x.shape[1])))


def batch_norm_backward_samples(draw: Draw) -> Iterator[Sample]:
    for shape in IMAGES[: 3 if draw.smooth else None]:
        x = draw(*shape)
        statistics = [
            np.asarray(t, wide(draw.dtype))
            for t in (x.astype(float).mean(channel_dims(x)), x.astype(float).var(channel_dims(x)))
        ]
        yield Sample(draw(*shape), x, *statistics, draw(shape[1]))
        yield Sample(draw(*shape), x, *statistics, eps=0.5)
        if shape == IMAGES[0]:
            yield Sample(draw(*shape), x, *statistics, draw(shape[1], dtype=wide(draw.dtype)))


def as_input_and_weight(sample: Sample) -> tuple[str, str, str]:
    dtypes = [dtype_name(arg.dtype) for arg in sample.args]
    affine = dtypes[4] if len(dtypes) > 4 else dtypes[1]
    return dtypes[1], affine, affine


def check_batch_norm_backward(
    outs: Any, g: Any, x: Any, mean: Any, var: Any, weight: Any = None, eps: float = 1e-5
) -> None:
    g, x, mean, var, weight = double(g, x, mean, var, weight)
    rstd, dims = per_channel(1 / np.sqrt(var + eps), x), channel_dims(x)
    plain = (x - per_channel(mean, x)) * rstd
    gradient = rstd * (g - g.mean(dims, keepdims=True) - plain * (g * plain).mean(dims, keepdims=True))
    close(outs[0], gradient if weight is None else gradient * per_channel(weight, x), 64)
    close(outs[1], (g * plain).sum(dims), math.sqrt(g.size))
    close(outs[2], g.sum(dims), math.sqrt(g.size))


def inference_samples(draw: Draw) -> Iterator[Sample]:
    for shape in IMAGES[: 3 if draw.smooth else None]:
        c = shape[1]
        mean, var = draw(c), draw(c, low=0.5, high=2)
        yield Sample(draw(*shape), mean, var, draw(c), draw(c))
        yield Sample(draw(*shape), mean, var, eps=0.1)
    parameters = [draw(2, low=0.5, high=2, dtype=wide(draw.dtype)) for _ in range(4)]
    yield Sample(draw(3, 2, 4), *parameters)


def check_inference(
    outs: Any, x: Any, mean: Any, var: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> None:
    x, mean, var, weight, bias = double(x, mean, var, weight, bias)
    result = (x - per_channel(mean, x)) / np.sqrt(per_channel(var, x) + eps)
    close(outs[0], result if weight is None else result * per_channel(weight, x) + per_channel(bias, x), 16)


# ---- group norm ----

GROUPS = (((2, 4, 3), 2), ((2, 6, 2, 2), 3), ((3, 4, 33), 1), ((1, 4, 1), 2), ((2, 2, 40, 30), 2))


def group_norm(x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    rows = x.reshape(x.shape[0], groups, -1)
    mean, rstd = rows.mean(-1), 1 / np.sqrt(rows.var(-1) + eps)
    plain = ((rows - mean[..., None]) * rstd[..., None]).reshape(x.shape)
    scaled = plain if weight is None else plain * per_channel(weight, x)
    return scaled if bias is None else scaled + per_channel(bias, x), mean, rstd


def group_norm_samples(draw: Draw) -> Iterator[Sample]:
    for shape, groups in GROUPS[: 2 if draw.smooth else None]:
        yield Sample(draw(*shape), groups, draw(shape[1]), draw(shape[1]))
        yield Sample(draw(*shape), groups, None, draw(shape[1]), 0.5)
    yield Sample(draw(3, 2, 4), 1, draw(2, dtype=wide(draw.dtype)), draw(2, dtype=wide(draw.dtype)))


def check_group_norm(outs: Any, x: Any, groups: int, *parameters: Any) -> None:
    exact = double(x, *parameters[:2])
    for actual, expected in zip(outs, group_norm(exact[0], groups, *exact[1:], *parameters[2:]), strict=True):
        close(actual, expected, 32)


def group_norm_backward_samples(draw: Draw) -> Iterator[Sample]:
    for shape, groups in GROUPS[: 2 if draw.smooth else None]:
        x = draw(*shape)
        statistics = [t.astype(wide(draw.dtype)) for t in group_norm(x.astype(float), groups)[1:]]
        yield Sample(draw(*shape), x, groups, *statistics, draw(shape[1]))
        yield Sample(draw(*shape), x, groups, *statistics)


def as_input_and_channels(sample: Sample) -> tuple[str, str, str]:
    dtype = dtype_name(sample.args[1].dtype)
    return dtype, dtype, dtype


def check_group_norm_backward(outs: Any, g: Any, x: Any, groups: int, mean: Any, rstd: Any, weight: Any = None) -> None:
    g, x, mean, rstd, weight = double(g, x, mean, rstd, weight)
    a = (g if weight is None else g * per_channel(weight, x)).reshape(*mean.shape, -1)
    plain = (x.reshape(a.shape) - mean[..., None]) * rstd[..., None]
    gradient = rstd[..., None] * (a - a.mean(-1, keepdims=True) - plain * (a * plain).mean(-1, keepdims=True))
    close(outs[0], gradient.reshape(x.shape), 64)
    close(outs[1], (g * plain.reshape(x.shape)).sum(channel_dims(x)), math.sqrt(g.size) + 8)
    close(outs[2], g.sum(channel_dims(x)), math.sqrt(g.size) + 8)


def averages(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(5), draw(5), 0.1)
    yield Sample(draw(2, 3), draw(2, 3, dtype=wide(draw.dtype)), 0.3, 1.5)


X = np.ones((2, 3, 4), np.float32)
V = np.ones(3, np.float32)

SPECS = [
    OpSpec(
        name="nn::layer_norm",
        check=check_layer_norm,
        samples=layer_norm_samples,
        dtypes=FLOATS,
        result=with_statistics,
        errors=(
            ErrorCase(at.ShapeError, "end with normalized_shape", X, (3,)),
            ErrorCase(at.ShapeError, "weight of shape", X, (4,), V),
            ErrorCase(at.DTypeError, "got int64", X.astype(np.int64), (4,)),
        ),
    ),
    OpSpec(
        name="nn::layer_norm_backward",
        check=check_layer_norm_backward,
        samples=layer_norm_backward_samples,
        dtypes=FLOATS,
        differentiable=("grad", "weight"),  # in input only together with its statistics
        errors=(ErrorCase(at.ShapeError, "mean of shape", X, X, (4,), V, V),),
    ),
    OpSpec(
        name="nn::batch_norm",
        check=check_batch_norm,
        samples=batch_norm_samples,
        dtypes=FLOATS,
        result=with_statistics,
        errors=(
            ErrorCase(at.ShapeError, r"\(N, C, \.\.\.\)", V),
            ErrorCase(at.ShapeError, "more than one value per channel", X[:1, :, 0]),
            ErrorCase(at.ShapeError, "weight of shape", X, np.ones(4, np.float32)),
            ErrorCase(at.DTypeError, "weight of input's dtype float32, got float64", X, V.astype(np.float64)),
        ),
    ),
    OpSpec(
        name="nn::batch_norm_backward",
        check=check_batch_norm_backward,
        samples=batch_norm_backward_samples,
        dtypes=FLOATS,
        result=as_input_and_weight,
        differentiable=("grad", "weight"),  # in input only together with its statistics
        errors=(ErrorCase(at.ShapeError, "grad of shape", X[:1], X, V, V),),
    ),
    OpSpec(
        name="nn::batch_norm_inference",
        check=check_inference,
        samples=inference_samples,
        dtypes=FLOATS,
        errors=(ErrorCase(at.ShapeError, "mean of shape", X, np.ones(2, np.float32), V),),
    ),
    OpSpec(
        name="nn::group_norm",
        check=check_group_norm,
        samples=group_norm_samples,
        dtypes=FLOATS,
        cpu_alone=True,
        result=with_statistics,
        errors=(
            ErrorCase(at.ShapeError, "multiple of 2 groups", X, 2),
            ErrorCase(at.ShapeError, "weight of shape", X, 3, np.ones(4, np.float32)),
        ),
    ),
    OpSpec(
        name="nn::group_norm_backward",
        check=check_group_norm_backward,
        samples=group_norm_backward_samples,
        dtypes=FLOATS,
        cpu_alone=True,
        result=as_input_and_channels,
        differentiable=("grad", "weight"),  # in input only together with its statistics
        errors=(ErrorCase(at.ShapeError, "mean of shape", X, X, 3, V, V),),
    ),
    OpSpec(
        name="nn::update_average",
        reference=lambda a, b, momentum, scale=1.0: (1 - momentum) * a + momentum * scale * b,
        samples=averages,
        dtypes=FLOATS,
        result="input",
        scale=lambda a, b, momentum, scale=1.0: (1 - momentum) * a + momentum * scale * b,
        differentiable=False,
        errors=(ErrorCase(at.ShapeError, "value of shape", V, np.ones(2, np.float32), 0.1),),
    ),
]
