"""Writing at places of a tensor, and places as coordinates."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, FLOATS, INTEGERS, REALS, Draw, ErrorCase, HostErrorCase, OpSpec, Sample

X = np.ones((2, 3), np.float32)
ONE = np.ones(1, np.float32)
REDUCTIONS: dict[str, Callable[..., Any]] = {
    "prod": np.prod,
    "mean": np.mean,
    "amax": np.max,
    "amin": np.min,
    "sum": np.sum,
}


def put(x: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    out = x.copy().reshape(-1)
    if accumulate:
        np.add.at(out, index.ravel(), source.ravel())
    else:
        out[index.ravel()] = source.ravel()
    return out.reshape(x.shape)


def puts(draw: Draw) -> Iterator[Sample]:
    index = np.array([[3, 0], [-1, 7]])
    yield Sample(draw(3, 4), index, draw(2, 2))
    yield Sample(draw(3, 4), index, draw(4), accumulate=draw.dtype != "bool")
    yield Sample(draw(), np.array(0), draw())
    yield Sample(draw(3), np.zeros(0, np.int64), draw(0))


def index_reduce(x: Any, dim: int, index: Any, source: Any, reduce: str, include_self: bool = True) -> Any:
    out = np.moveaxis(x.copy(), dim, 0).copy()
    rows = np.moveaxis(source, dim, 0)
    for place in np.unique(index):
        parts = [out[place]] * include_self + [rows[i] for i in np.flatnonzero(index == place)]
        out[place] = REDUCTIONS[reduce](np.stack(parts), 0)
    return np.moveaxis(out, 0, dim)


def index_reductions(draw: Draw) -> Iterator[Sample]:
    for reduce in ("prod", "amax", "amin", "sum", *(("mean",) if draw.dtype in FLOATS else ())):
        for include_self in (True, False):
            yield Sample(draw(4, 3), 0, np.array([2, 0, 2]), draw(3, 3), reduce, include_self=include_self)
        yield Sample(draw(2, 3), -1, np.array([1]), draw(2, 1), reduce)


def as_strided_scatter(x: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    out = x.copy().reshape(-1)
    for place in itertools.product(*map(range, size)):
        out[(storage_offset or 0) + sum(i * s for i, s in zip(place, stride, strict=True))] = src[place]
    return out.reshape(x.shape)


def nonzero_static(x: Any, size: int, fill_value: int = -1) -> Any:
    out = np.full((size, x.ndim), fill_value, np.int64)
    found = np.argwhere(x)[:size]
    out[: len(found)] = found
    return out


def some_zeros(draw: Draw) -> Iterator[Sample]:
    x = np.where(draw.rng.random((3, 5)) < 0.5, np.zeros((3, 5), draw(1).dtype), np.ones((3, 5), draw(1).dtype))
    for size in (0, 3, 20):
        yield Sample(x, size=size)
    yield Sample(x, size=20, fill_value=7)
    yield Sample(draw(0), size=2)


def fill_diagonal(x: Any, fill_value: Any, wrap: bool = False) -> Any:
    out = x.copy()
    np.fill_diagonal(out, fill_value, wrap)
    return out


def sum_to(x: Any, *size: Any) -> Any:
    shape = size[0] if size and isinstance(size[0], tuple) else size
    lead = x.ndim - len(shape)
    dims = tuple(d for d in range(x.ndim) if d < lead or (shape[d - lead] == 1 and x.shape[d] != 1))
    return np.sum(x, dims, keepdims=True).reshape(shape) if dims else x


def summed_dtype(sample: Sample) -> str:
    x = sample.args[0]
    return "int64" if x.dtype.kind in "biu" and x.dtype != "uint64" and sample.args[1:] != x.shape else x.dtype.name


def combinations(x: Any, r: int = 2, with_replacement: bool = False) -> Any:
    every = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    if r == 0:
        return x[:0]
    return x[np.array(list(every(range(len(x)), r)), np.int64).reshape(-1, r)]


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 0, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


SPECS = [
    op(
        "put",
        put,
        puts,
        ErrorCase(at.BoundsError, "6", X, np.array([6]), ONE),
        ErrorCase(at.DTypeError, "integer", X, ONE, ONE),
        ErrorCase(at.ShapeError, "as many elements", X, np.array([1, 2]), ONE),
        ErrorCase(at.DTypeError, "dtype", X, np.array([1]), np.ones(1)),
        ulps={"default": 1},
    ),
    op(
        "index_reduce",
        index_reduce,
        index_reductions,
        ErrorCase(at.BoundsError, "dim", X, 2, np.array([0]), X, "amax"),
        ErrorCase(at.BoundsError, "2", X, 0, np.array([2]), X[:1], "amax"),
        ErrorCase(at.ShapeError, r"source of shape \(1, 3\)", X, 0, np.array([0]), X, "amax"),
        ErrorCase(at.InvalidValueError, "reduce", X, 0, np.array([0]), X[:1], "median"),
        domain=(0.5, 3),
        dtypes=REALS,
        ulps={"default": 4, "float16": 2, "bfloat16": 2},
    ),
    op(
        "as_strided_scatter",
        as_strided_scatter,
        lambda draw: iter(
            [
                Sample(draw(3, 4), draw(2, 2), (2, 2), (5, 1)),
                Sample(draw(12), draw(3), (3,), (4,), 1),
                Sample(draw(3, 4), draw(), (), ()),
            ]
        ),
        ErrorCase(at.BoundsError, "", X, ONE, (1,), (1,), 6),
        ErrorCase(at.ShapeError, r"src of shape \(2,\)", X, ONE, (2,), (1,)),
    ),
    op(
        "nonzero_static",
        nonzero_static,
        some_zeros,
        ErrorCase(at.InvalidValueError, "size >= 0", X, size=-1),
        result="int64",
        differentiable=False,
    ),
    op(
        "fill_diagonal_",
        fill_diagonal,
        lambda draw: iter(
            [
                Sample(draw(3, 4), draw.scalar()),
                Sample(draw(7, 2), draw.scalar()),
                Sample(draw(8, 2), draw.scalar(), True),
                Sample(draw(3, 3, 3), draw.scalar()),
                Sample(draw(2, 0), draw.scalar(), wrap=True),
            ]
        ),
        ErrorCase(at.ShapeError, "at least two dimensions", ONE, 1),
        ErrorCase(at.ShapeError, "of one size", np.ones((2, 2, 3)), 1),
    ),
    op(
        "sum_to_size",
        sum_to,
        lambda draw: iter(
            [
                Sample(draw(2, 3, 4), 3, 1),
                Sample(draw(2, 3), 2, 3),
                Sample(draw(2, 3), 1, 3),
                Sample(draw(2, 3), ()),
                Sample(draw(2, 0), 1),
            ]
        ),
        ErrorCase(at.ShapeError, "broadcasts to input's shape", X, 2, 2),
        ErrorCase(at.ShapeError, "broadcasts to input's shape", X, 1, 2, 3),
        scale=sum_to,
        result=summed_dtype,
        ulps={"default": 8, "float16": 1, "bfloat16": 1},
    ),
    op(
        "unravel_index",
        lambda indices, shape: np.unravel_index(indices.astype(np.int64), shape),
        lambda draw: iter(
            [
                Sample(draw(3, 5, low=0, high=24), (2, 3, 4)),
                Sample(draw(low=0, high=7), 7),
                Sample(draw(0, low=0, high=7), (2, 2)),
            ]
        ),
        HostErrorCase(at.BoundsError, r"indices in \[0, 6\), got 6", np.array([6]), (2, 3)),
        HostErrorCase(at.BoundsError, "got -1", np.array([-1]), (2, 3)),
        ErrorCase(at.DTypeError, "integer", ONE, (2, 3)),
        dtypes=INTEGERS,
        result="int64",
        differentiable=False,
    ),
    op(
        "combinations",
        combinations,
        lambda draw: iter(
            [
                Sample(draw(4)),
                Sample(draw(5), 3),
                Sample(draw(4), 3, True),
                Sample(draw(3), 0),
                Sample(draw(3), 4),
                Sample(draw(3), 4, with_replacement=True),
                Sample(draw(0), 2, True),
            ]
        ),
        ErrorCase(at.ShapeError, "one dimension", X),
        ErrorCase(at.InvalidValueError, "r >= 0", ONE, -1),
        ErrorCase(at.OutOfMemoryError, "fewer combinations", np.ones(1000), 40),
        ErrorCase(at.OutOfMemoryError, "fewer combinations", np.ones(1), 2**62, True),
        dtypes=ALL,
    ),
]
