"""Products of matrices and vectors."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, NUMBERS, Draw, ErrorCase, OpSpec, Sample, at_dtype, dtype_name, result_dtype

# The error of a sum of k products grows with k at worst; at the magnitude of its terms it stays far below this.
ULPS = {"default": 8, "float16": 2, "bfloat16": 2}


def ones(*shape: int, dtype: str = "float32") -> Any:
    return np.ones(shape, dtype)


def widest(dtype: str) -> Any:
    """What products of a dtype may be asked for in, by out_dtype."""
    return at.float32 if dtype in ("float16", "bfloat16") else at_dtype(dtype)


def widened(generate: Callable[[Draw], Iterator[Sample]]) -> Callable[[Draw], Iterator[Sample]]:
    """The same samples again, with out_dtype where products of halves are not rounded."""

    def again(draw: Draw) -> Iterator[Sample]:
        yield from generate(draw)
        if draw.dtype in ("float16", "bfloat16", "float64"):
            for sample in generate(draw):
                yield Sample(*sample.args, out_dtype=widest(draw.dtype), **sample.kwargs)

    return again


def products(*pairs: tuple[tuple[int, ...], tuple[int, ...]], large: Any = ()) -> Callable[[Draw], Iterator[Sample]]:
    def generate(draw: Draw) -> Iterator[Sample]:
        for a, b in pairs if not draw.smooth else pairs[:3]:
            yield Sample(draw(*a), draw(*b))
        if draw.dtype in ("float32", "float64", "complex64") and not draw.smooth:
            for a, b in large:
                yield Sample(draw(*a), draw(*b))

    return generate


def added(*shapes: tuple[tuple[int, ...], ...]) -> Callable[[Draw], Iterator[Sample]]:
    """An addend and two factors, with and without beta and alpha."""

    def generate(draw: Draw) -> Iterator[Sample]:
        for addend, a, b in shapes:
            yield Sample(draw(*addend), draw(*a), draw(*b))
            yield Sample(draw(*addend), draw(*a), draw(*b), beta=2, alpha=3)
            yield Sample(draw(*addend), draw(*a), draw(*b), beta=0)
        if draw.dtype.startswith(("float", "bfloat", "complex")) and not draw.smooth:
            addend, a, b = shapes[0]
            yield Sample(draw(*addend), draw(*a), draw(*b), beta=0.5, alpha=-1.5)
            nan = np.full(addend, np.nan).astype(draw(1).dtype)
            yield Sample(nan, draw(*a), draw(*b), beta=0)

    return generate


def activated(draw: Draw) -> Iterator[Sample]:
    for addend in (None, draw(5), draw(3, 1)):
        yield Sample(addend, draw(3, 4), draw(4, 5))
    if not draw.smooth:
        yield Sample(draw(5), draw(1, 4), draw(4, 5))
        yield Sample(draw(5), draw(2, 0), draw(0, 5))
        yield Sample(None, draw(0, 4), draw(4, 5))
        yield Sample(draw(33), draw(70, 65), draw(65, 33))


def gelu_of_sum(x: Any, a: Any, b: Any) -> Any:
    before = a @ b + (0 if x is None else x)
    return before * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (before + 0.044715 * before**3))), before


def plus(product: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def reference(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1, out_dtype: Any = None) -> Any:
        result = alpha * product(a, b)
        return result if beta == 0 else beta * x + result

    return reference


def size_of(product: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def reference(x: Any, a: Any, b: Any, beta: Any = 1, alpha: Any = 1, out_dtype: Any = None) -> Any:
        result = abs(alpha) * product(a, b)
        return result if beta == 0 else abs(beta) * x + result

    return reference


def tensordot(a: Any, b: Any, dims: int = 2, dims_a: Any = None, dims_b: Any = None) -> Any:
    return np.tensordot(a, b, dims if dims_a is None else (dims_a, dims_b))


def contractions(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2, 3, 4), draw(3, 4, 5))
    yield Sample(draw(2, 3), draw(3, 4), 1)
    yield Sample(draw(2, 3), draw(4), 0)
    yield Sample(draw(2, 3, 4), draw(4, 2), dims_a=[0, 2], dims_b=[1, 0])


def vectors(draw: Draw) -> Iterator[Sample]:
    for n in (5, 0, 1, 2100):
        yield Sample(draw(n), draw(n))


def vecdots(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4), draw(3, 4))
    yield Sample(draw(3, 4), draw(4))
    yield Sample(draw(3, 4), draw(3, 1), dim=0)
    yield Sample(draw(2, 0), draw(2, 0))


def vecdot(x: Any, y: Any, dim: int = -1) -> Any:
    return np.sum(np.conj(x) * y, dim)


def product(name: str, reference: Any, samples: Any, *errors: ErrorCase, scale: Any = None, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"dtypes": NUMBERS, "ulps": ULPS, "result": of_tensors, **kwargs}
    return OpSpec(name=name, reference=reference, scale=scale or reference, samples=samples, errors=errors, **fields)


def refused(*shapes: tuple[int, ...]) -> tuple[ErrorCase, ...]:
    """Of an op with out_dtype, for factors of two shapes, or an addend and factors."""
    halves, singles = ([ones(*shape, dtype=dtype) for shape in shapes] for dtype in ("float16", "float32"))
    wrong = "out_dtype to be that of the product, float16, or float32, got float64"
    cases = [
        ErrorCase(at.DTypeError, wrong, *halves, out_dtype=at.float64),
        ErrorCase(at.DTypeError, "product, float32, got float16; convert", *singles, out_dtype=at.float16),
    ]
    if len(shapes) == 3:
        match = "expected input to fit out_dtype float16, got what makes a sum of float32"
        cases.append(ErrorCase(at.DTypeError, match, singles[0], *halves[1:], out_dtype=at.float16))
    return tuple(cases)


def of_tensors(sample: Sample) -> str:
    if "out_dtype" in sample.kwargs:
        return str(sample.kwargs["out_dtype"].name)
    return result_dtype(*(a for a in sample.args if isinstance(a, np.ndarray)))


def outer_sum(a: Any, b: Any) -> Any:
    return np.sum(np.matmul(a, b), 0)


def multiplied(a: Any, b: Any, out_dtype: Any = None) -> Any:
    return np.matmul(a, b)


def fused(name: str, of: Any, *shapes: Any) -> OpSpec:
    widens = name in ("addmm", "baddbmm")
    mismatch = [ones(*shape) for shape in shapes[0]]
    mismatch[2] = ones(*(n + 1 for n in mismatch[2].shape))
    return product(
        name,
        plus(of),
        widened(added(*shapes)) if widens else added(*shapes),
        *(refused(*shapes[0]) if widens else ()),
        *([ErrorCase(at.ShapeError, "", *mismatch)] if name != "addr" else []),
        scale=size_of(of),
    )


MATRICES = (
    ((3, 4), (4, 5)),
    ((1, 1), (1, 1)),
    ((2, 3), (3, 1)),
    ((0, 4), (4, 5)),
    ((3, 0), (0, 5)),
    ((17, 33), (33, 9)),
)
INNER = r"expected input\.shape\[-1\] == other\.shape\[-2\], got \(3, 4\) and \(5, 6\)"

SPECS = [
    product(
        "matmul",
        np.matmul,
        products(
            *MATRICES,
            ((4,), (4,)),
            ((4,), (4, 5)),
            ((3, 4), (4,)),
            ((2, 3, 4), (2, 4, 5)),
            ((2, 1, 3, 4), (3, 4, 5)),
            ((2, 3, 4), (4, 5)),
            ((2, 3, 4), (4,)),
            ((4,), (2, 4, 5)),
            ((0, 3, 4), (0, 4, 5)),
            large=(((129, 257), (257, 65)), ((200, 300), (300,))),
        ),
        ErrorCase(at.ShapeError, INNER, ones(3, 4), ones(5, 6)),
        ErrorCase(at.ShapeError, "at least one dimension", ones(), ones(3)),
        ErrorCase(at.ShapeError, "broadcast", ones(2, 3, 4), ones(3, 4, 5)),
        ErrorCase(at.ArgumentError, "other", ones(3, 4), 2.0),
    ),
    product(
        "mm",
        multiplied,
        widened(products(*MATRICES, large=(((129, 257), (257, 65)),))),
        *refused((3, 4), (4, 5)),
        ErrorCase(at.ShapeError, "", ones(3, 4), ones(5, 6)),
        ErrorCase(at.ShapeError, r"mat2 of 2 dimensions, got shape \(4,\)", ones(3, 4), ones(4)),
    ),
    product(
        "bmm",
        multiplied,
        widened(
            products(((2, 3, 4), (2, 4, 5)), ((0, 3, 4), (0, 4, 5)), ((2, 3, 0), (2, 0, 5)), ((3, 1, 7), (3, 7, 1)))
        ),
        *refused((2, 3, 4), (2, 4, 5)),
        ErrorCase(at.ShapeError, "", ones(2, 3, 4), ones(3, 4, 5)),
        ErrorCase(at.ShapeError, "input of 3 dimensions", ones(3, 4), ones(2, 4, 5)),
    ),
    product(
        "mv",
        np.matmul,
        products(((3, 4), (4,)), ((0, 4), (4,)), ((3, 0), (0,)), ((65, 129), (129,))),
        ErrorCase(at.ShapeError, "", ones(3, 4), ones(3)),
    ),
    product("dot", np.dot, vectors, ErrorCase(at.ShapeError, "", ones(3), ones(4))),
    fused("addmm", np.matmul, ((3, 5), (3, 4), (4, 5)), ((5,), (3, 4), (4, 5)), ((), (3, 0), (0, 5))),
    OpSpec(
        name="addmm_relu",
        reference=lambda x, a, b: np.maximum(a @ b + (0 if x is None else x), 0),
        samples=activated,
        dtypes=FLOATS,
        scale=lambda x, a, b: a @ b + (0 if x is None else x),
        ulps=ULPS,
        errors=(
            ErrorCase(at.DTypeError, "real floating numbers, got int64", None, *[ones(2, 2, dtype="int64")] * 2),
            ErrorCase(at.ShapeError, "input to broadcast", ones(3), ones(2, 2), ones(2, 2)),
        ),
    ),
    OpSpec(
        name="addmm_gelu",
        reference=gelu_of_sum,
        samples=activated,
        dtypes=FLOATS,
        result=lambda sample: (dtype_name(sample.args[1].dtype),) * 2,
        scale=lambda x, a, b: (a @ b + (0 if x is None else x),) * 2,
        ulps=ULPS,
        differentiable=False,
        errors=(ErrorCase(at.DTypeError, "real floating numbers, got int64", None, *[ones(2, 2, dtype="int64")] * 2),),
    ),
    fused("addmv", np.matmul, ((3,), (3, 4), (4,)), ((1,), (3, 4), (4,))),
    fused("baddbmm", np.matmul, ((2, 3, 5), (2, 3, 4), (2, 4, 5)), ((5,), (2, 3, 4), (2, 4, 5))),
    fused("addbmm", outer_sum, ((3, 5), (2, 3, 4), (2, 4, 5)), ((5,), (2, 3, 4), (2, 4, 5))),
    fused("addr", np.outer, ((3, 5), (3,), (5,)), ((5,), (3,), (5,))),
    product(
        "outer",
        np.outer,
        products(((3,), (4,)), ((0,), (4,)), ((1,), (1,))),
        ErrorCase(at.ShapeError, "", ones(2, 3), ones(2)),
    ),
    product("vdot", np.vdot, vectors, ErrorCase(at.ShapeError, "", ones(3), ones(4))),
    product("vecdot", vecdot, vecdots, ErrorCase(at.AtledError, "", ones(3), ones(4))),
    product(
        "inner",
        np.inner,
        products(((3, 4), (5, 4)), ((4,), (4,)), ((2, 3, 4), (4,))),
        ErrorCase(at.ShapeError, "", ones(3, 4), ones(5, 3)),
    ),
    product(
        "tensordot",
        tensordot,
        contractions,
        ErrorCase(at.ShapeError, "", ones(2, 3), ones(4, 3), 1),
        ErrorCase(at.ArgumentError, "dims_a and dims_b together", ones(2, 3), ones(3), dims_a=[1]),
    ),
]
