"""Linear maps, embeddings, dropout and losses."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import COMPLEX, FLOATS, Draw, ErrorCase, OpSpec, Sample, dtype_name

from .activation import gelu, gelu_slope

SUMS = {"float16": 2, "bfloat16": 2, "default": 16}


def linear_samples(draw: Draw) -> Iterator[Sample]:
    for shape in ((3, 4), (4,), (2, 3, 4)):
        yield Sample(draw(*shape), draw(5, 4), draw(5))
        yield Sample(draw(*shape), draw(5, 4))
    if not draw.smooth:
        yield Sample(draw(0, 4), draw(5, 4), draw(5))
        yield Sample(draw(2, 0), draw(5, 0), draw(5))
        yield Sample(draw(70, 65), draw(33, 65), draw(33))


def linear(x: Any, w: Any, b: Any = None) -> Any:
    return x @ w.T + (0 if b is None else b)


def linear_gelu(x: Any, w: Any, b: Any = None) -> Any:
    before = linear(x, w, b)
    return gelu(before, "tanh"), before


def linear_gelu_slopes(draw: Draw) -> Iterator[Sample]:
    for sample in linear_samples(draw):
        shape = linear(*sample.args).shape
        yield Sample(draw(*shape), draw(*shape), *sample.args)


def embedding_samples(draw: Draw) -> Iterator[Sample]:
    indices = np.array([[0, 3, 3], [1, 0, 3]])
    yield Sample(indices, draw(4, 5))
    yield Sample(indices.astype(np.int32), draw(4, 5))
    if not draw.smooth:
        yield Sample(indices, draw(4, 5), 3, True)
        yield Sample(np.zeros((0, 2), np.int64), draw(4, 5))
        yield Sample(np.array(2), draw(4, 5))


def embedding_backward_samples(draw: Draw) -> Iterator[Sample]:
    indices = np.array([[0, 3, 3], [1, 0, 3]])
    for args in ((), (3,), (-4, True), (None, True)):
        yield Sample(draw(2, 3, 5), indices, 4, *args)


def embedding_backward(g: Any, indices: Any, rows: int, padding: int | None = None, by_frequency: bool = False) -> Any:
    out, indices = np.zeros((rows, g.shape[-1])), indices.astype(int)
    counts = np.bincount(indices.ravel(), minlength=rows)
    for at_ in np.ndindex(*indices.shape):
        row = indices[at_]
        if padding is None or row != padding % rows:
            out[row] += g[at_] / (counts[row] if by_frequency else 1)
    return out


def bag_samples(draw: Draw) -> Iterator[Sample]:
    flat, offsets = np.array([0, 3, 3, 1, 0, 2, 3, 3, 1, 0, 2]), np.array([0, 3, 3, 9])
    for dim in (5, 8, 77):
        yield Sample(flat, draw(4, dim), offsets, None, True)
    yield Sample(flat[:8].reshape(2, 4).astype(np.int32), draw(4, 21), None, draw(2, 4), False)
    if not draw.smooth:  # whose gradients leave the row of padding out
        yield Sample(flat, draw(4, 21), np.array([0, 3, 3, 11], np.int32), draw(11), True, -1, True)
        yield Sample(np.zeros((3, 0), np.int64), draw(4, 5))
        yield Sample(flat[:0], draw(4, 5), offsets[:1], None, False, None, True)


def bags(
    i: Any,
    weight: Any,
    offsets: Any = None,
    shares: Any = None,
    mean: bool = False,
    padding: int | None = None,
    last: bool = False,
) -> Any:
    flat, shares = i.ravel().astype(int), 1 if shares is None else shares.reshape(-1, 1)
    bounds = [*offsets.astype(int)] if offsets is not None else [b * i.shape[1] for b in range(len(i) + 1)]
    bounds += [] if last or offsets is None else [len(flat)]
    counted = np.full(len(flat), True) if padding is None else flat != padding % len(weight)
    rows, out = weight[flat] * shares * counted[:, None], np.zeros((len(bounds) - 1, weight.shape[1]))
    for b in range(len(out)):
        here = slice(bounds[b], bounds[b + 1])
        out[b] = rows[here].sum(0) / (max(counted[here].sum(), 1) if mean else 1)
    return out


def dropout_samples(draw: Draw) -> Iterator[Sample]:
    for p in (0.0, 0.3, 1.0):
        yield Sample(draw(70, 71), p)
    yield Sample(draw(0), 0.5)


def check_dropout(outs: Any, x: Any, p: float) -> None:
    out, mask = outs
    scale = 1 / (1 - p) if p < 1 else 0.0
    expected = np.where(mask, x.astype(np.float64) * np.float32(scale), 0).astype(x.dtype)
    np.testing.assert_allclose(
        out.astype(np.float64), expected.astype(np.float64), rtol=1e-2 if x.dtype.itemsize == 2 else 1e-6
    )
    if x.size:
        # Five standard deviations of the share of a fair sample.
        assert abs(mask.mean() - (1 - p)) <= 5 * np.sqrt(p * (1 - p) / mask.size)


def nll_samples(draw: Draw) -> Iterator[Sample]:
    weight = draw(4, low=0.5, high=2)
    for reduction in ("mean", "sum", "none"):
        yield Sample(draw(3, 4), np.array([1, 0, 3]), None, reduction)
        yield Sample(draw(3, 4), np.array([1, -100, 3]), weight, reduction)
        yield Sample(draw(2, 4, 3), np.array([[1, 0, 3], [2, 2, 0]]), weight, reduction, 2, 0.2)
    yield Sample(draw(4), np.array(2))


def nll(
    x: Any, y: Any, weight: Any = None, reduction: str = "mean", ignore: int = -100, smoothing: float = 0.0
) -> tuple[Any, Any]:
    if x.ndim == 1:
        loss, total = nll(x[None], y[None], weight, reduction, ignore, smoothing)
        return loss.reshape(()), total
    classes, y = x.shape[1], y.astype(int)
    weight = np.ones(classes) if weight is None else weight
    losses, total = np.zeros(y.shape), 0.0
    for place in np.ndindex(*y.shape):
        if y[place] == ignore:
            continue
        row = x[(place[0], slice(None), *place[1:])]
        losses[place] = -(1 - smoothing) * weight[y[place]] * row[y[place]] - smoothing * np.mean(weight * row)
        total += weight[y[place]]
    reduced = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / total}[reduction]
    return reduced, total


def nll_result(sample: Sample) -> tuple[str, str]:
    dtype = dtype_name(sample.args[0].dtype)
    return dtype, "float64" if dtype == "float64" else "float32"


def nll_backward_samples(draw: Draw) -> Iterator[Sample]:
    for sample in nll_samples(draw):
        x, y, weight, *settings = (*sample.args, None)[: max(len(sample.args), 3)]
        loss, total = nll(x.astype(float), y, None if weight is None else weight.astype(float), *settings)
        total = np.asarray(total, "float64" if draw.dtype == "float64" else "float32")
        yield Sample(draw(*np.shape(loss)), y, weight, total, x.shape, *settings)


def nll_backward(g: Any, y: Any, weight: Any, total: Any, shape: Any, *settings: Any) -> Any:
    out, basis = np.zeros(shape), np.zeros(shape)
    for place in np.ndindex(*shape):
        basis[place] = 1
        out[place] = np.sum(g * nll(basis, y, weight, *settings)[0])
        basis[place] = 0
    return out


def mse_samples(draw: Draw) -> Iterator[Sample]:
    for reduction in ("mean", "sum", "none"):
        yield Sample(draw(3, 4), draw(3, 4), reduction)
    if not draw.smooth:
        yield Sample(draw(3, 4567), draw(3, 4567))


def mse(x: Any, y: Any, reduction: str = "mean") -> Any:
    each = (x - y) ** 2
    return {"none": each, "mean": each.mean(), "sum": each.sum()}[reduction]


def mse_backward_samples(draw: Draw) -> Iterator[Sample]:
    for reduction in ("mean", "sum"):
        yield Sample(draw(), draw(3, 4), draw(3, 4), reduction)
    yield Sample(draw(3, 4), draw(3, 4), draw(3, 4), "none")


def mse_backward(g: Any, x: Any, y: Any, reduction: str = "mean") -> Any:
    return g * 2 * (x - y) / (x.size if reduction == "mean" else 1)


X, Y = np.ones((3, 4), np.float32), np.array([0, 1, 2])
INDICES = np.array([0, 4])
LINEAR_ERRORS = (
    ErrorCase(
        at.ShapeError,
        r"input.shape\[-1\] == weight.shape\[1\], got \(3, 4\) and \(3, 5\)",
        X,
        np.ones((3, 5), np.float32),
    ),
    ErrorCase(at.ShapeError, "bias of shape", X, X, np.ones(4, np.float32)),
    ErrorCase(at.ShapeError, "out_features, in_features", X, X[0]),
    ErrorCase(at.DTypeError, "dtype float32, got float64", X, X.astype(np.float64)),
)

SPECS = [
    OpSpec(
        name="nn::linear",
        reference=linear,
        samples=linear_samples,
        dtypes=(*FLOATS, *COMPLEX),
        scale=linear,
        ulps=SUMS,
        errors=LINEAR_ERRORS,
    ),
    OpSpec(
        name="nn::linear_relu",
        reference=lambda *args: np.maximum(linear(*args), 0),
        samples=linear_samples,
        dtypes=FLOATS,
        scale=linear,
        ulps=SUMS,
        errors=LINEAR_ERRORS,
    ),
    OpSpec(
        name="nn::linear_gelu",
        reference=linear_gelu,
        samples=linear_samples,
        dtypes=FLOATS,
        result=lambda sample: (dtype_name(sample.args[0].dtype),) * 2,
        scale=lambda *args: (linear(*args),) * 2,
        ulps=SUMS,
        errors=LINEAR_ERRORS,
    ),
    OpSpec(
        name="nn::linear_gelu_backward",
        reference=lambda g, before, *_: g * gelu_slope(before, "tanh"),
        samples=linear_gelu_slopes,
        dtypes=FLOATS,
        scale=lambda g, before, *_: g * gelu_slope(before, "tanh"),
        ulps={"float16": 1, "bfloat16": 1, "float32": 64, "float64": 32},
        differentiable=("grad",),  # the others' are of what before was made of
        errors=(ErrorCase(at.ShapeError, "before of shape", X, X[:2], X, X),),
    ),
    OpSpec(
        name="nn::embedding",
        reference=lambda i, w, *_: w[i.astype(int)],
        samples=embedding_samples,
        dtypes=FLOATS,
        ulps=0,
        result=lambda sample: dtype_name(sample.args[1].dtype),
        differentiable=("weight",),
        errors=(
            ErrorCase(at.BoundsError, r"input in \[0, 3\), got 4 at position 1", INDICES, X),
            ErrorCase(at.BoundsError, "padding_idx", INDICES, X, 3),
            ErrorCase(at.DTypeError, "int32 or int64", X, X),
        ),
    ),
    OpSpec(
        name="nn::embedding_bag",
        reference=bags,
        samples=bag_samples,
        dtypes=FLOATS,
        ulps=SUMS,
        scale=lambda i, weight, offsets=None, shares=None, *rest: bags(
            i, abs(weight), offsets, None if shares is None else abs(shares), *rest
        ),
        result=lambda sample: dtype_name(sample.args[1].dtype),
        differentiable=("weight", "per_sample_weights"),
        cpu_alone=True,
        errors=(
            ErrorCase(at.ShapeError, r"input \(bags, n\) without offsets", INDICES, X),
            ErrorCase(at.ShapeError, "per_sample_weights of shape", INDICES, X, INDICES, X),
            ErrorCase(at.BoundsError, r"input in \[0, 3\), got 4 at position 1", INDICES, X, INDICES[:1] * 0),
            ErrorCase(at.InvalidValueError, "offsets from 0", INDICES, X, INDICES[:1] + 1),
        ),
    ),
    OpSpec(
        name="nn::embedding_backward",
        reference=embedding_backward,
        samples=embedding_backward_samples,
        dtypes=FLOATS,
        result="input",
        scale=embedding_backward,
        ulps=SUMS,
        differentiable=("grad",),
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, INDICES, 5),),
    ),
    OpSpec(
        name="nn::dropout",
        check=check_dropout,
        samples=dropout_samples,
        dtypes=FLOATS,
        differentiable=False,
        errors=(ErrorCase(at.InvalidValueError, r"p in \[0, 1\]", X, 1.5),),
    ),
    OpSpec(
        name="nn::dropout_backward",
        reference=lambda g, mask, p: g * mask / (1 - p),
        samples=lambda draw: iter([Sample(draw(3, 4), np.arange(12).reshape(3, 4) % 3 > 0, 0.4)]),
        dtypes=FLOATS,
        result="input",
        differentiable=("grad",),
        errors=(ErrorCase(at.DTypeError, "mask to be bool", X, X, 0.5),),
    ),
    OpSpec(
        name="nn::nll_loss",
        reference=nll,
        samples=nll_samples,
        dtypes=FLOATS,
        result=nll_result,
        scale=lambda x, y, *args, **kwargs: nll(x, np.where(y == 100, -100, y), *args, **kwargs),
        ulps=SUMS,
        differentiable=("input",),
        errors=(
            ErrorCase(at.BoundsError, r"target in \[0, 4\)", X, np.array([0, 4, 1])),
            ErrorCase(at.ShapeError, "target of shape", X, Y[:2]),
            ErrorCase(at.DTypeError, "int32 or int64", X, X[:, 0]),
            ErrorCase(at.InvalidValueError, "reduction", X, Y, None, "average"),
            ErrorCase(at.InvalidValueError, "label_smoothing", X, Y, label_smoothing=2.0),
        ),
    ),
    OpSpec(
        name="nn::nll_loss_backward",
        reference=nll_backward,
        samples=nll_backward_samples,
        dtypes=FLOATS,
        result="input",
        scale=lambda g, y, *args: nll_backward(g, np.where(y == 100, -100, y), *args),
        ulps=SUMS,
        differentiable=("grad",),
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, Y, None, np.float32(1), (3, 4)),),
    ),
    OpSpec(
        name="nn::mse_loss",
        reference=mse,
        samples=mse_samples,
        dtypes=FLOATS,
        scale=mse,
        ulps=SUMS,
        errors=(
            ErrorCase(at.ShapeError, "target of shape", X, X[:2]),
            ErrorCase(at.InvalidValueError, "reduction", X, X, "average"),
        ),
    ),
    OpSpec(
        name="nn::mse_loss_backward",
        reference=mse_backward,
        samples=mse_backward_samples,
        dtypes=FLOATS,
        scale=mse_backward,
        ulps=SUMS,
        errors=(ErrorCase(at.ShapeError, "grad of shape", X, X, X),),
    ),
]
