"""Norms, powers, exponentials and products of matrices."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.linalg

import atled.core as at
from atled.testing import COMPLEX, FLOATS, INTEGERS, NUMBERS, Draw, ErrorCase, OpSpec, Sample

from ._matrices import (
    DTYPES,
    SMOOTH_SQUARES,
    SQUARES,
    ULPS,
    any_matrix,
    no_matrix,
    regular,
)

ORDERS = ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)
SMOOTH_FLOATS = ("float32", "float64", "complex64", "complex128")
INFERRED: dict[str, Any] = {"dtypes": DTYPES, "ulps": ULPS, "result": "real"}


def vectors(draw: Draw) -> Iterator[Sample]:
    for ord in (2, 1, 3.5, math.inf, -math.inf, 0.5):
        yield Sample(draw(3, 4), ord)
        yield Sample(draw(3, 4), ord, 1, True)
    yield Sample(draw(2, 3, 4), 2, [0, 2])
    yield Sample(draw(5))
    if not draw.smooth:
        yield Sample(draw(3, 4), 0)
        yield Sample(draw(0))
        if draw.dtype == "float32":
            yield Sample(draw(3, 4), 2, None, False, dtype="float64")


def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    axis = None if dim is None else tuple(dim) if isinstance(dim, list) else dim
    if axis is None:
        size = np.linalg.norm(x.ravel(), ord)
        return np.reshape(size, (1,) * x.ndim) if keepdim else size
    if isinstance(axis, tuple):
        size = np.sum(np.abs(x) ** ord, axis, keepdims=keepdim) ** (1 / ord)
        return size
    return np.linalg.norm(x, ord, axis, keepdim)


def matrices(draw: Draw) -> Iterator[Sample]:
    for ord in ORDERS:
        yield Sample(any_matrix(draw, 3, 4), ord)
        yield Sample(any_matrix(draw, 2, 4, 3), ord, keepdim=True)
    yield Sample(any_matrix(draw, 3, 2, 4), "nuc", [0, 2])
    yield Sample(any_matrix(draw, 3, 2, 4), 1, [2, 0], True)
    yield Sample(any_matrix(draw, 3, 3))
    if not draw.smooth:
        yield Sample(any_matrix(draw, 0, 3, 3), 2)
        if draw.dtype == "float32":
            yield Sample(any_matrix(draw, 3, 3), 1, dtype="float64")


def matrix_norm(a: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, dtype: Any = None) -> Any:
    return np.linalg.norm(a, ord, tuple(dim), keepdim)


def norms(draw: Draw) -> Iterator[Sample]:
    yield Sample(any_matrix(draw, 2, 3, 4))
    yield Sample(any_matrix(draw, 3, 4), "nuc")
    yield Sample(any_matrix(draw, 3, 4), 1)
    yield Sample(any_matrix(draw, 4), 1)
    yield Sample(any_matrix(draw, 2, 3, 4), None, [1, 2], True)
    yield Sample(any_matrix(draw, 2, 3, 4), 1, [1])
    yield Sample(any_matrix(draw, 2, 3, 4), 2, [0, 1])
    yield Sample(any_matrix(draw, 2, 3), keepdim=True)


def norm(a: Any, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Any:
    return np.linalg.norm(a, ord, None if dim is None else tuple(dim) if len(dim) == 2 else dim[0], keepdim)


def conditions(draw: Draw) -> Iterator[Sample]:
    for p in (None, *ORDERS):
        yield Sample(regular(draw, 2, 3, 3), p)
    yield Sample(any_matrix(draw, 4, 3))
    if not draw.smooth:
        yield Sample(np.zeros((2, 0, 0), draw.dtype))
        yield Sample(np.stack([np.ones((2, 2)), np.eye(2)]).astype(draw.dtype), 1)


def cond(a: Any, p: Any = None) -> Any:
    return np.zeros(a.shape[:-2]) if a.size == 0 else np.linalg.cond(a, p)


def powers(draw: Draw) -> Iterator[Sample]:
    for shape in SMOOTH_SQUARES if draw.smooth else SQUARES[:6]:
        for n in (0, 1, 2, 5, -1, -3) if draw.dtype in DTYPES else (0, 1, 2, 5):
            yield Sample((regular if n < 0 else any_matrix)(draw, *shape), n)


def matrix_power(a: Any, n: int) -> Any:
    return np.linalg.matrix_power(a, n) if a.size else a


def exponents(draw: Draw) -> Iterator[Sample]:
    """Norms that each of the approximants is for, and such that take squarings."""
    for shape in SMOOTH_SQUARES if draw.smooth else SQUARES:
        yield Sample(any_matrix(draw, *shape))
    for norm in (1e-3, 0.2, 0.9, 2, 5, 20):
        x = any_matrix(draw, 3, 3)
        yield Sample((x * (norm / np.max(np.sum(np.abs(x), 0)))).astype(draw.dtype))


def matrix_exp(a: Any) -> Any:
    return scipy.linalg.expm(a) if a.size else a


def chains(draw: Draw) -> Iterator[Sample]:
    shapes = ((2, 3), (3, 4)), ((3,), (3, 4), (4, 2)), ((2, 5), (5, 1), (1, 6), (6,)), ((3,), (3,))
    for chain in shapes:
        yield Sample([any_matrix(draw, *shape) for shape in chain])


def multi_dot(tensors: Any) -> Any:
    return np.linalg.multi_dot(tensors) if len(tensors) > 2 else tensors[0] @ tensors[1]


def triples(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(4, 3), draw(4, 3))
    yield Sample(draw(2, 1, 3), draw(4, 3))
    yield Sample(draw(3, 4), draw(3, 4), dim=0)
    if not draw.smooth:
        yield Sample(draw(0, 3), draw(0, 3))


def cross(a: Any, b: Any, dim: int = -1) -> Any:
    a, b = np.broadcast_arrays(a, b)
    return np.cross(a, b, axis=dim)


def cross_size(a: Any, b: Any, dim: int = -1) -> Any:
    a, b = np.broadcast_arrays(a, b)
    return np.roll(a, -1, dim) * np.roll(b, -2, dim) + np.roll(a, -2, dim) * np.roll(b, -1, dim)


def nodes(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3))
    yield Sample(draw(2, 3), 4)
    if not draw.smooth:
        yield Sample(draw(3), 0)


def vander(x: Any, N: Any = None) -> Any:
    n = x.shape[-1] if N is None else N
    return x[..., None] ** np.arange(n)


def diagonals(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4))
    yield Sample(draw(2, 3, 3), offset=1)
    yield Sample(draw(2, 3, 4), offset=-1, dim1=0, dim2=1)


def diagonal(a: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    return np.diagonal(a, offset, dim1, dim2)


def traces(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4))
    yield Sample(draw(2, 3, 3), offset=1)
    if draw.dtype in ("float32", "int32"):
        yield Sample(draw(2, 3, 3), dtype="float64")


def trace(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    return np.trace(x, offset, -2, -1)


def trace_size(x: Any, offset: int = 0, dtype: Any = None) -> Any:
    return np.trace(np.abs(x), offset, -2, -1)


SPECS = [
    OpSpec(
        name="linalg::vector_norm",
        reference=vector_norm,
        samples=vectors,
        domain=(0.5, 4),
        errors=(ErrorCase(at.DTypeError, "floating or complex, got int64", np.ones(3, np.int64)),),
        **{**INFERRED, "ulps": {"default": 8}},
    ),
    OpSpec(
        name="linalg::matrix_norm",
        reference=matrix_norm,
        samples=matrices,
        errors=(
            ErrorCase(at.InvalidValueError, "ord to be 'fro', 'nuc', inf", np.eye(2), 3),
            ErrorCase(at.InvalidValueError, "got max", np.eye(2), "max"),
            ErrorCase(at.InvalidValueError, "two dimensions, got 1", np.eye(2), "fro", [0]),
            ErrorCase(at.InvalidValueError, "once", np.eye(2), "fro", [0, -2]),
            ErrorCase(at.ShapeError, "at least two dimensions", np.ones(2)),
        ),
        **INFERRED,
    ),
    OpSpec(
        name="linalg::norm",
        reference=norm,
        samples=norms,
        errors=(ErrorCase(at.ShapeError, "one or two dimensions where ord is given", np.ones((2, 2, 2)), 2),),
        **INFERRED,
    ),
    OpSpec(
        name="linalg::cond",
        reference=cond,
        samples=conditions,
        errors=(ErrorCase(at.ShapeError, "square", np.ones((2, 3)), 1), *no_matrix()[2:]),
        **INFERRED,
    ),
    OpSpec(
        name="linalg::matrix_power",
        reference=matrix_power,
        samples=powers,
        domain=(-2, 2),
        dtypes=(*DTYPES, "int64", "int32"),
        ulps={"default": 512},
        scale="largest",
        errors=(ErrorCase(at.LinAlgError, "singular", np.zeros((2, 2)), -1), *no_matrix(2)[:2]),
    ),
    OpSpec(
        name="linalg::matrix_exp",
        reference=matrix_exp,
        samples=exponents,
        dtypes=DTYPES,
        ulps={"default": 128},
        scale="largest",
        errors=no_matrix(),
    ),
    OpSpec(
        name="linalg::multi_dot",
        reference=multi_dot,
        samples=chains,
        dtypes=DTYPES,
        ulps={"default": 32},
        scale="largest",
        errors=(
            ErrorCase(at.ArgumentError, "at least two tensors, got 1", [np.eye(2)]),
            ErrorCase(at.ShapeError, r"tensors\[0\]\.shape\[-1\] == tensors\[1\]", [np.ones((2, 3)), np.ones((2, 3))]),
            ErrorCase(at.ShapeError, "at 1", [np.ones((2, 3)), np.ones((1, 3, 3))]),
        ),
    ),
    OpSpec(
        name="linalg::cross",
        reference=cross,
        samples=triples,
        scale=cross_size,
        dtypes=(*INTEGERS, *FLOATS, *COMPLEX),
        errors=(ErrorCase(at.ShapeError, "size 3 in dim -1", np.ones(2), np.ones(2)),),
    ),
    OpSpec(
        name="linalg::vander",
        reference=vander,
        samples=nodes,
        dtypes=("int64", *SMOOTH_FLOATS),
        ulps={"default": 8, "complex64": 64, "complex128": 64},
        errors=(ErrorCase(at.InvalidValueError, "N >= 0, got -1", np.ones(3), -1),),
    ),
    OpSpec(
        name="linalg::diagonal",
        reference=diagonal,
        samples=diagonals,
        result="input",
        errors=(ErrorCase(at.ShapeError, "at least 2 dimensions", np.ones(3)),),
    ),
    OpSpec(
        name="linalg::trace",
        reference=trace,
        samples=traces,
        dtypes=NUMBERS,
        result="standard sum",
        scale=trace_size,
        errors=(ErrorCase(at.ShapeError, "at least two dimensions", np.ones(3)),),
    ),
]
