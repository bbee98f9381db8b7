"""Sorting, searching and sets; equal elements keep their order, and NaN is greater than everything."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, BOOL, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample

X = np.ones((2, 3), np.float32)
COMPLEX = ErrorCase(at.DTypeError, "no order", np.ones(2, np.complex64))
DIM = ErrorCase(at.BoundsError, "dim", X, 2)
SHAPES = (((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -2), ((), 0), ((2, 0), 1), ((0, 3), 1))


def values(draw: Draw, *shape: int) -> Any:
    """No ties for finite differences, many otherwise."""
    return draw.distinct(*shape) if draw.smooth else np.rint(draw(*shape).astype("float64").real).astype(draw(1).dtype)


def ordered(x: Any, dim: int, descending: bool = False) -> Any:
    """The indices of the stable order, NaN last, or first when descending."""
    if x.ndim == 0:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(np.argsort(np.flip(x, dim), dim, kind="stable"), dim)


def pick(x: Any, index: Any, dim: int) -> Any:
    return x if x.ndim == 0 else np.take_along_axis(x, index, dim)


def sort(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    index = ordered(x, dim, descending)
    return pick(x, index, dim), index


def sorts(draw: Draw) -> Iterator[Sample]:
    for shape, dim in SHAPES:
        yield Sample(values(draw, *shape), dim)
        yield Sample(values(draw, *shape), dim, True)
    yield Sample(values(draw, 3, 4))
    yield Sample(values(draw, 3, 4), stable=True)
    if not draw.smooth:
        yield Sample(draw(5000))
        yield Sample(draw(70, 90), dim=0, descending=True)
        if draw.dtype in FLOATS:
            nans = np.where(draw(4, 9, dtype="bool"), draw(4, 9), np.array(np.nan, draw(1).dtype))
            yield Sample(nans)
            yield Sample(nans, 0, True)
        yield Sample(draw.specials())


def topk(x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    index = np.take(ordered(x, dim, largest), range(k), dim)
    return pick(x, index, dim), index


def tops(draw: Draw) -> Iterator[Sample]:
    yield Sample(values(draw, 3, 7), 3)
    yield Sample(values(draw, 7, 3), 2, 0)
    yield Sample(values(draw, 3, 7), 2, largest=False)
    yield Sample(values(draw, 4), 0)
    yield Sample(values(draw, 4), 4)
    if not draw.smooth:
        yield Sample(values(draw), 1)
        yield Sample(draw(3, 5000), 10)


def kthvalue(x: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    if x.ndim == 0:
        return x, np.zeros((), np.int64)
    index = np.take(ordered(x, dim), [k - 1], dim)
    found = pick(x, index, dim)
    return (found, index) if keepdim else (np.squeeze(found, dim), np.squeeze(index, dim))


def kths(draw: Draw) -> Iterator[Sample]:
    yield Sample(values(draw, 3, 7), 3)
    yield Sample(values(draw, 7, 3), 7, 0)
    yield Sample(values(draw, 3, 7), 1, dim=1, keepdim=True)
    yield Sample(values(draw), 1)


def search(
    sequence: Any,
    x: Any,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    where: Any = side or ("right" if right else "left")
    if sequence.ndim == 1:
        return np.searchsorted(sequence if sorter is None else sequence[sorter], x, where)
    rows = zip(sequence.reshape(-1, sequence.shape[-1]), x.reshape(-1, x.shape[-1]), strict=True)
    return np.array([np.searchsorted(s, row, where) for s, row in rows]).reshape(x.shape)


def searches(draw: Draw) -> Iterator[Sample]:
    sequence = np.sort(values(draw, 9))
    for right in (False, True):
        yield Sample(sequence, values(draw, 3, 4), right=right)
    yield Sample(sequence, values(draw, 3), side="right")
    yield Sample(sequence, draw.scalar())
    yield Sample(sequence, values(draw, 5), out_int32=True)
    yield Sample(np.sort(values(draw, 2, 9)), values(draw, 2, 4))
    unsorted = draw.distinct(9)
    yield Sample(unsorted, values(draw, 5), sorter=np.argsort(unsorted))
    yield Sample(sequence[:0], values(draw, 5))


def index_dtype(sample: Sample) -> str:
    return "int32" if sample.kwargs.get("out_int32") else "int64"


def buckets(draw: Draw) -> Iterator[Sample]:
    for sample in searches(draw):
        if sample.args[0].ndim == 1 and not {"side", "sorter"} & sample.kwargs.keys():
            yield Sample(sample.args[1], sample.args[0], **sample.kwargs)


def sets(draw: Draw) -> Iterator[Sample]:
    for shape in ((), (20,), (5, 6), (0,), (3000,)):
        yield Sample(np.rint(draw(*shape).real).astype(draw(1).dtype) if draw.dtype != "bool" else draw(*shape))
    if draw.dtype in ("float32", "float64"):
        yield Sample(np.array([np.nan, 1, np.nan, 1, -0.0, 0.0], draw.dtype))


def unique(*parts: int) -> Callable[[Any], Any]:
    """Some of the values, first places, inverse places and counts."""

    def reference(x: Any) -> Any:
        found = np.unique(x, True, True, True, equal_nan=False)
        found = (*found[:2], found[2].reshape(x.shape), found[3])
        return tuple(found[i] for i in parts)

    return reference


def consecutive(x: Any) -> Any:
    flat = x.ravel()
    if flat.size == 0:
        return flat, np.zeros(x.shape, np.int64), np.zeros(0, np.int64)
    starts = np.concatenate([[True], flat[1:] != flat[:-1]])
    inverse = np.cumsum(starts) - 1
    return flat[starts], inverse.reshape(x.shape), np.bincount(inverse)


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": ("input", "int64"), "ulps": 0, "dtypes": (*BOOL, *REALS), **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


SPECS = [
    op("sort", sort, sorts, COMPLEX, DIM, differentiable=("input",)),
    op(
        "argsort",
        lambda x, dim=-1, descending=False, stable=False: ordered(x, dim, descending),
        sorts,
        COMPLEX,
        DIM,
        result="int64",
        differentiable=False,
    ),
    op(
        "topk",
        topk,
        tops,
        ErrorCase(at.InvalidValueError, r"expected k in \[0, 3\]", X, 4),
        ErrorCase(at.InvalidValueError, "expected k", X, -1),
        ErrorCase(at.InvalidValueError, r"expected k in \[1, 1\] for dim 0, got 0", np.array(5.0), 0),
        ErrorCase(at.BoundsError, "dim", X, 1, 2),
    ),
    op("kthvalue", kthvalue, kths, ErrorCase(at.InvalidValueError, r"expected k in \[1, 3\]", X, 0)),
    op(
        "msort",
        lambda x: sort(x, 0)[0],
        lambda draw: (Sample(values(draw, *shape)) for shape in ((5,), (4, 3), (0, 2))),
        result="input",
    ),
    op(
        "searchsorted",
        search,
        searches,
        ErrorCase(at.ShapeError, "at least one dimension", np.ones(()), X),
        ErrorCase(at.ShapeError, "agree but for the last", np.ones((3, 4), np.float32), X),
        ErrorCase(at.InvalidValueError, "side", np.ones(3, np.float32), X, side="up"),
        ErrorCase(at.InvalidValueError, "agree", np.ones(3, np.float32), X, side="left", right=True),
        ErrorCase(at.ShapeError, r"sorter of sorted_sequence's shape \(3,\)", X[0], X, sorter=np.zeros((0, 3), int)),
        ErrorCase(at.BoundsError, "3", X[0], X, sorter=np.full(3, 3)),
        result=index_dtype,
        dtypes=REALS,
        differentiable=False,
    ),
    op(
        "bucketize",
        lambda x, boundaries, out_int32=False, right=False: search(boundaries, x, out_int32, right),
        buckets,
        result=index_dtype,
        dtypes=REALS,
        differentiable=False,
    ),
    op(
        "unique_all",
        unique(0, 1, 2, 3),
        sets,
        result=("input", "int64", "int64", "int64"),
        dtypes=ALL,
        differentiable=False,
    ),
    op(
        "unique_consecutive_all",
        consecutive,
        sets,
        result=("input", "int64", "int64"),
        dtypes=ALL,
        differentiable=False,
    ),
    op("unique_values", unique(0), sets, result="input", dtypes=ALL, differentiable=False),
    op("unique_counts", unique(0, 3), sets, dtypes=ALL, differentiable=False),
    op("unique_inverse", unique(0, 2), sets, dtypes=ALL, differentiable=False),
]
