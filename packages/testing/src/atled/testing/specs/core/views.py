"""Views and reshaping: other shapes, strides and offsets of the same elements."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import Draw, ErrorCase, OpSpec, Sample

X = np.ones((2, 3, 4), np.float32)
DIM = ErrorCase(at.BoundsError, r"dim.* in \[-3, 2\], got 3", X, 3)


def calls(*arguments: tuple[Any, ...], shape: tuple[int, ...] = (2, 3, 4)) -> Callable[[Draw], Iterator[Sample]]:
    """A tensor of one shape with each tuple of further arguments."""

    def generate(draw: Draw) -> Iterator[Sample]:
        for rest in arguments:
            yield Sample(draw(*shape), *rest)

    return generate


def both(*generators: Callable[[Draw], Iterator[Sample]]) -> Callable[[Draw], Iterator[Sample]]:
    """The samples of several generators."""

    def generate(draw: Draw) -> Iterator[Sample]:
        for generator in generators:
            yield from generator(draw)

    return generate


def flexible(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A reference over a shape that may come as loose integers."""
    return lambda x, *shape: reference(x, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)


def expand(x: Any, size: Any) -> Any:
    lead = len(size) - x.ndim
    return np.broadcast_to(x, [x.shape[i - lead] if n == -1 else n for i, n in enumerate(size)])


def squeeze(x: Any, dim: Any = None) -> Any:
    dims = range(x.ndim) if dim is None else [dim] if isinstance(dim, int) else dim
    return np.squeeze(x, tuple(d for d in dims if x.ndim and x.shape[d] == 1))


def basic_index(x: Any, spec: list[int]) -> Any:
    key: list[Any] = []
    for kind, a, b, c in zip(*[iter(spec)] * 4, strict=True):
        key.append([slice(a, None if b < 0 else b, c), a, None, slice(None)][kind])
    return x[tuple(key)]


def unfold(x: Any, dimension: int, size: int, step: int) -> Any:
    dimension %= x.ndim
    windows = np.lib.stride_tricks.sliding_window_view(x, size, dimension)
    return np.take(windows, range(0, windows.shape[dimension], step), dimension)


def as_strided(x: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    flat = np.ascontiguousarray(x).reshape(-1)[storage_offset or 0 :]
    return np.lib.stride_tricks.as_strided(flat, size, [s * flat.itemsize for s in stride])


def split(x: Any, sizes: Any, dim: int = 0) -> Any:
    n = x.shape[dim]
    ends = list(range(sizes, n, sizes)) if isinstance(sizes, int) else list(np.cumsum(sizes)[:-1])
    return np.split(x, ends, dim)


def chunk(x: Any, chunks: int, dim: int = 0) -> Any:
    return split(x, max(-(-x.shape[dim] // chunks), 1), dim)


def flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if x.ndim == 0:
        return x.reshape(1)
    start, end = start_dim % x.ndim, end_dim % x.ndim
    return x.reshape(*x.shape[:start], int(np.prod(x.shape[start : end + 1])), *x.shape[end + 1 :])


def unflatten(x: Any, dim: int, sizes: Any) -> Any:
    dim %= x.ndim
    return x.reshape(*x.shape[:dim], *sizes, *x.shape[dim + 1 :])


SHAPES = ((6, 4), (2, -1), (-1,), (1, 24, 1))


def view(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    return OpSpec(name=name, reference=reference, samples=samples, result="input", ulps=0, errors=errors, **kwargs)


def like_other(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2, 3, 4), np.zeros((4, 6), np.float32))
    yield Sample(draw(0, 3), np.zeros((3, 0, 2), np.int32))


def reshapes(draw: Draw) -> Iterator[Sample]:
    for shape in SHAPES:
        yield Sample(draw(2, 3, 4), shape)
    yield Sample(draw(2, 3, 4), 4, 6)
    yield Sample(draw(1), ())
    yield Sample(draw(), (1, 1))
    yield Sample(draw(0, 3), (3, 0))
    yield Sample(draw(0, 3), (-1, 3))


def bit_casts(draw: Draw) -> Iterator[Sample]:
    for dtype in {
        1: ("uint8", "int8"),
        2: ("int16", "float16", "bfloat16"),
        4: ("uint32", "float32"),
        8: ("float64", "int64"),
    }[draw(1).dtype.itemsize]:
        yield Sample(draw(3, 4), dtype=dtype)
        yield Sample(draw(), dtype=dtype)
    for dtype in ("uint8", "int32", "float64", "complex128"):
        yield Sample(draw(2, 16), dtype=dtype)
        yield Sample(draw(0, 16), dtype=dtype)


def tensors(draw: Draw) -> Iterator[Sample]:
    yield Sample([draw(3, 1), draw(4), draw()])
    yield Sample([draw(2, 3)])


RESHAPE_ERRORS = (
    ErrorCase(at.ShapeError, r"\(5, 5\)", X, (5, 5)),
    ErrorCase(at.ShapeError, "", X, (-1, 5)),
    ErrorCase(at.AtledError, "", X, (-1, -1)),
    ErrorCase(at.AtledError, "", X, (-2, 12)),
)

SPECS = [
    view("reshape", flexible(np.reshape), reshapes, *RESHAPE_ERRORS),
    # Odd strides are reshape's business: view refuses most of them, as it should.
    OpSpec(
        name="view",
        check=lambda outs, x, *shape: np.testing.assert_array_equal(outs[0], flexible(np.reshape)(x, *shape)),
        samples=reshapes,
        errors=RESHAPE_ERRORS,
    ),
    OpSpec(
        name="view_dtype",
        check=lambda outs, x, dtype: np.testing.assert_array_equal(
            np.ascontiguousarray(outs[0]).reshape(-1).view("uint8"), np.ascontiguousarray(x).reshape(-1).view("uint8")
        ),
        samples=bit_casts,
        dtypes=("bool", "int8", "uint16", "bfloat16", "float16", "int32", "float32", "float64", "uint64"),
        errors=(
            ErrorCase(at.ShapeError, "whole elements of the larger dtype", np.ones((2, 3), np.float32), dtype="int64"),
            ErrorCase(at.ShapeError, "at least one dimension", np.float32(1), dtype="int64"),
        ),
        differentiable=False,
    ),
    view(
        "permute",
        flexible(np.transpose),
        calls(((2, 0, 1),), ((0, 1, 2),), (-1, 0, 1)),
        ErrorCase(at.AtledError, "", X, (0, 1)),
        ErrorCase(at.AtledError, "", X, (0, 1, 1)),
        ErrorCase(at.BoundsError, "", X, (0, 1, 3)),
    ),
    view("transpose", np.swapaxes, calls((0, 1), (-1, 0), (1, 1)), ErrorCase(at.BoundsError, "dim0", X, 3, 0)),
    view(
        "squeeze",
        squeeze,
        both(
            calls((), (0,), (-1,), ((0, 2),), shape=(1, 3, 1)),
            calls((), (1,), shape=(2, 3)),
            calls((), (0,), shape=()),
            calls((), shape=(1, 0)),
        ),
        ErrorCase(at.BoundsError, "dim", X, 3),
    ),
    view(
        "unsqueeze",
        np.expand_dims,
        both(calls((0,), (-1,), (2,), (-4,)), calls((0,), (-1,), shape=())),
        ErrorCase(at.BoundsError, "dim", X, 4),
    ),
    view(
        "expand",
        flexible(expand),
        both(
            calls(((2, 3, 4),), (2, 3, -1), shape=(3, 1)),
            calls(((3,),), ((),), shape=()),
            calls(((2, 0, 3),), shape=(3,)),
        ),
        ErrorCase(at.ShapeError, "", X, (2, 5, 4)),
        ErrorCase(at.ShapeError, "", X, (3, 4)),
    ),
    view(
        "select",
        lambda x, dim, index: np.take(x, index, dim),
        calls((0, 1), (-1, -1), (1, 0)),
        ErrorCase(at.BoundsError, "index", X, 0, 2),
        ErrorCase(at.BoundsError, "dim", X, 3, 0),
    ),
    view(
        "narrow",
        lambda x, dim, start, length: np.take(x, range(start, start + length), dim),
        calls((1, 1, 2), (-1, 0, 4), (0, 0, 0), (2, 4, 0)),
        ErrorCase(at.AtledError, "", X, 1, 2, 2),
        ErrorCase(at.AtledError, "", X, 1, 0, -1),
    ),
    view(
        "slice",
        basic_index,
        calls(([1, 1, 0, 0, 0, 0, 3, 2],), ([3, 0, 0, 0, 2, 0, 0, 0, 0, 2, -1, -1],), ([0, 2, 0, 1],)),
        ErrorCase(at.BoundsError, "", X, [1, 2, 0, 0]),
    ),
    view(
        "diagonal",
        lambda x, offset=0, dim1=0, dim2=1: np.diagonal(x, offset, dim1, dim2),
        both(calls((), (1,), (-1, 1, 2), (0, -1, 0), (9,)), calls((), shape=(0, 3))),
        ErrorCase(at.AtledError, "", X, 0, 1, 1),
        ErrorCase(at.BoundsError, "", X, 0, 0, 3),
    ),
    OpSpec(
        name="as_strided",
        check=lambda outs, x, *rest: np.testing.assert_array_equal(outs[0], as_strided(x, *rest)),
        samples=calls(((2, 2), (1, 2)), ((3,), (0,), 5), ((), (), 7), ((4, 3), (1, 4), 12)),
        errors=(
            ErrorCase(at.AtledError, "", X, (25,), (1,)),
            ErrorCase(at.AtledError, "", X, (2,), (1, 1)),
            ErrorCase(at.AtledError, "", X, (2,), (1,), -1),
        ),
    ),
    view(
        "unfold",
        unfold,
        calls((2, 2, 1), (1, 3, 2), (-1, 1, 3), (0, 2, 2)),
        ErrorCase(at.AtledError, "", X, 1, 4, 1),
        ErrorCase(at.AtledError, "", X, 1, 2, 0),
    ),
    view("unbind", lambda x, dim=0: list(np.moveaxis(x, dim, 0)), calls((), (1,), (-1,)), DIM),
    view(
        "split",
        split,
        calls((1,), (2, 1), (3, -1), ([1, 3], 2), (5, 0)),
        ErrorCase(at.AtledError, "", X, 0),
        ErrorCase(at.AtledError, "", X, [1, 2], 0),
    ),
    view("split_with_sizes", split, calls(([1, 1],), ([1, 0, 3], 2)), ErrorCase(at.AtledError, "", X, [1, 2])),
    view("chunk", chunk, calls((2,), (2, 1), (3, 2), (9, -1)), ErrorCase(at.AtledError, "", X, 0)),
    view(
        "t",
        lambda x: x.T,
        both(calls((), shape=(2, 3)), calls((), shape=(3,)), calls((), shape=())),
        ErrorCase(at.ShapeError, "", X),
    ),
    view("matrix_transpose", lambda x: np.swapaxes(x, -1, -2), calls(()), ErrorCase(at.ShapeError, "", np.ones(3))),
    view("movedim", np.moveaxis, calls((0, -1), ((0, 1), (2, 0))), ErrorCase(at.AtledError, "", X, (0, 1), (2,))),
    view(
        "flatten",
        flatten,
        both(calls((), (1,), (0, 1), (-2, -1)), calls((), shape=()), calls((), shape=(0, 3))),
        ErrorCase(at.InvalidValueError, "start_dim <= end_dim", X, 2, 1),
        ErrorCase(at.BoundsError, "start_dim", X, 3),
    ),
    view("ravel", np.ravel, both(calls(()), calls((), shape=()), calls((), shape=(0, 3)))),
    view(
        "unflatten",
        unflatten,
        calls((2, (2, 2)), (-1, (1, -1)), (0, (2, 1))),
        ErrorCase(at.ShapeError, "expected sizes whose product is 4", X, 2, (3, 2)),
        ErrorCase(at.ShapeError, "expected sizes whose product is 4", X, 2, (-7, -(2**63))),
    ),
    OpSpec(
        name="view_as",
        check=lambda outs, x, other: np.testing.assert_array_equal(outs[0], x.reshape(other.shape)),
        samples=like_other,
        differentiable=("input",),
    ),
    view("reshape_as", lambda x, other: x.reshape(other.shape), like_other, differentiable=("input",)),
    view(
        "expand_as",
        lambda x, other: np.broadcast_to(x, other.shape),
        lambda draw: iter(
            [Sample(draw(3, 1), np.zeros((2, 3, 4), np.float32)), Sample(draw(), np.zeros((2, 0), bool))]
        ),
        differentiable=("input",),
    ),
    view("adjoint", lambda x: np.conj(np.swapaxes(x, -1, -2)), calls(())),
    view("atleast_1d", np.atleast_1d, both(calls(()), calls((), shape=()))),
    view("atleast_2d", np.atleast_2d, both(calls(()), calls((), shape=()), calls((), shape=(3,)))),
    view(
        "atleast_3d",
        np.atleast_3d,
        both(calls((), shape=()), calls((), shape=(3,)), calls((), shape=(2, 3)), calls(())),
    ),
    view(
        "broadcast_tensors",
        lambda tensors: np.broadcast_arrays(*tensors),
        tensors,
        ErrorCase(at.ShapeError, "broadcast", [np.ones(2), np.ones(3)]),
    ),
]
