"""Tensors made from sizes and numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, COMPLEX, FLOATS, REALS, Draw, ErrorCase, OpSpec, Sample

SIZES = ((), (3,), (2, 3), (0,), (2, 0, 3), (3, 16411))
NEGATIVE = ErrorCase(at.ShapeError, r"sizes >= 0, got \(2, -1\)", (2, -1))


def flat(size: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes that may have come as loose integers."""
    return tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size


def sizes(draw: Draw) -> Iterator[Sample]:
    for size in SIZES:
        yield Sample(size, dtype=draw.dtype)
    yield Sample(2, 3, dtype=draw.dtype)


def likes(draw: Draw) -> Iterator[Sample]:
    for size in SIZES:
        yield Sample(draw(*size))
    yield Sample(draw(2, 3), dtype="float64")


def news(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(2), (3, 4))
    yield Sample(draw(2), 3, 4)
    yield Sample(draw(2), (0, 4), dtype="float64")


def filled(number: int) -> Callable[..., Any]:
    return lambda *size, dtype: np.full(flat(size), number)


def shape_of(size_of: Callable[..., tuple[int, ...]]) -> Callable[..., None]:
    """Checks the shape of what has no defined values."""

    def check(outs: Any, *args: Any, dtype: str | None = None) -> None:
        assert outs[0].shape == size_of(*args), f"expected shape {size_of(*args)}, got {outs[0].shape}"
        wanted = dtype or args[0].dtype.name
        assert outs[0].dtype.name == wanted, f"expected dtype {wanted}, got {outs[0].dtype.name}"

    return check


def number_dtype(number: Any) -> str:
    return {bool: "bool", int: "int64", float: "float32", complex: "complex64"}[type(number)]


def constants(draw: Draw) -> Iterator[Sample]:
    for size in SIZES:
        yield Sample(size, draw.scalar(), dtype=draw.dtype)
    yield Sample((2, 2), draw.scalar())


def ranges(draw: Draw) -> Iterator[Sample]:
    for args in ((5,), (0,), (2, 7), (0, 10, 3), (7, 2), (3, 40_000)):
        yield Sample(*args, dtype=draw.dtype if args[-1] < 100 or draw.dtype.endswith(("32", "64")) else "int64")
    yield Sample(2, 9, 2)
    if not draw.dtype.startswith("uint"):
        yield Sample(5, -3, -2, dtype=draw.dtype)
    if draw.dtype in FLOATS:
        yield Sample(0.5, 3.0, 0.25, dtype=draw.dtype)
        yield Sample(1.0, 0.0, -0.125)


def range_dtype(sample: Sample) -> str:
    return str(sample.kwargs.get("dtype") or ("float32" if any(isinstance(x, float) for x in sample.args) else "int64"))


def spaces(draw: Draw) -> Iterator[Sample]:
    for args in ((0, 1, 5), (-2.5, 7.5, 11), (1, 1, 3), (3, -3, 4), (0, 1, 1), (0, 1, 0), (0, 1000, 30_001)):
        yield Sample(*args, dtype=draw.dtype)
    yield Sample(0.0, 1.0, 4, dtype=draw.dtype, endpoint=False)


def exponents(draw: Draw) -> Iterator[Sample]:
    yield Sample(0, 2, 5, dtype=draw.dtype)
    yield Sample(-1.0, 3.0, 9, 2.0, dtype=draw.dtype)


def eyes(draw: Draw) -> Iterator[Sample]:
    for args in ((3,), (2, 4), (4, 2), (0,), (0, 3)):
        yield Sample(*args, dtype=draw.dtype)
    yield Sample(3, 4, k=1, dtype=draw.dtype)
    yield Sample(3, k=-1)


def matrices(draw: Draw) -> Iterator[Sample]:
    for diagonal in (-2, 0, 1, 9):
        yield Sample(draw(4, 5), diagonal)
    yield Sample(draw(2, 3, 3))
    yield Sample(draw(3, 0))
    yield Sample(draw(2, 65, 70), diagonal=3)


def make(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "float32", "ulps": 0, "differentiable": False, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


def uninitialised(name: str, size_of: Any, samples: Any, *errors: ErrorCase) -> OpSpec:
    return OpSpec(name=name, check=shape_of(size_of), samples=samples, errors=errors, differentiable=False)


TRIANGLE = ErrorCase(at.ShapeError, "at least 2 dimensions", np.ones(3))


def whole_range(start: float, end: float | None = None, step: float = 1, dtype: Any = None) -> Any:
    first, last = (0, start) if end is None else (start, end)
    return first + np.arange(int(np.floor((last - first) / step)) + 1) * step


SPECS = [
    uninitialised("empty", lambda *size: flat(size), sizes, NEGATIVE, ErrorCase(at.AtledError, "", (2**40, 2**40))),
    make("zeros", filled(0), sizes, NEGATIVE, ErrorCase(at.AtledError, "", (2**62,))),
    make("ones", filled(1), sizes, NEGATIVE),
    make(
        "full",
        lambda size, value, dtype=None: np.full(size, value),
        constants,
        ErrorCase(at.ShapeError, "sizes >= 0", (2, -1), 1),
        ErrorCase(at.ArgumentError, "fill_value", (2,), "text"),
        result=lambda sample: sample.kwargs.get("dtype") or number_dtype(sample.args[1]),
        ulps=1,
    ),
    uninitialised("empty_like", lambda x: x.shape, likes),
    make("zeros_like", lambda x, dtype=None: np.zeros(x.shape), likes, result="input"),
    make("ones_like", lambda x, dtype=None: np.ones(x.shape), likes, result="input"),
    make(
        "full_like",
        lambda x, value: np.full(x.shape, value),
        lambda draw: (Sample(s.args[0], draw.scalar()) for s in likes(draw) if not s.kwargs),
        result="input",
        ulps=1,
    ),
    uninitialised("new_empty", lambda x, *size: flat(size), news),
    make("new_zeros", lambda x, *size, dtype=None: np.zeros(flat(size)), news, result="input"),
    make("new_ones", lambda x, *size, dtype=None: np.ones(flat(size)), news, result="input"),
    make(
        "new_full",
        lambda x, size, value: np.full(size, value),
        lambda draw: iter([Sample(draw(2), (3, 4), draw.scalar()), Sample(draw(), (0, 2), draw.scalar())]),
        result="input",
        ulps=1,
    ),
    make(
        "scalar_tensor",
        lambda s, dtype=None: np.asarray(s),
        lambda draw: iter([Sample(draw.scalar(), dtype=draw.dtype), Sample(draw.scalar())]),
        result=lambda s: s.kwargs.get("dtype") or ("complex64" if isinstance(s.args[0], complex) else "float32"),
        ulps=1,
    ),
    uninitialised(
        "empty_strided",
        lambda size, stride: tuple(size),
        lambda draw: iter([Sample((2, 3), (1, 2), dtype=draw.dtype), Sample((), (), dtype=draw.dtype)]),
        ErrorCase(at.ShapeError, "one length", (2, 3), (1,)),
        ErrorCase(at.InvalidValueError, "strides >= 0", (2,), (-1,)),
    ),
    make(
        "arange",
        lambda *args, dtype=None: np.arange(*args),
        ranges,
        ErrorCase(at.InvalidValueError, "step other than 0", 0, 5, 0),
        ErrorCase(at.InvalidValueError, "finite", 0.0, float("inf")),
        ErrorCase(at.DTypeError, "real", 1j),
        dtypes=REALS,
        result=range_dtype,
        ulps=1,
    ),
    make(
        "range",
        whole_range,
        lambda draw: iter(
            [
                Sample(5),
                Sample(1, 4),
                Sample(1, 2, 0.3),
                Sample(5, 1, -2),
                Sample(2, 2),
                Sample(0, 3, dtype="int64"),
                Sample(0.5, 2, dtype="float64"),
            ]
        ),
        ErrorCase(at.InvalidValueError, "a step that leads", 0, 5, 0),
        ErrorCase(at.InvalidValueError, "a step that leads", 0, 5, -1),
        ErrorCase(at.InvalidValueError, "a step that leads", 0.0, float("inf")),
        dtypes=("float32",),
        result="float32",
        ulps=1,
    ),
    make(
        "linspace",
        lambda start, end, steps, dtype=None, endpoint=True: np.linspace(start, end, steps, endpoint=endpoint),
        spaces,
        ErrorCase(at.InvalidValueError, "steps >= 0", 0, 1, -1),
        dtypes=(*FLOATS, *COMPLEX),
        scale=lambda start, end, steps, **_: np.full(steps, max(abs(start), abs(end))),
        ulps=2,
    ),
    make(
        "logspace",
        lambda start, end, steps, base=10.0, dtype=None: np.logspace(start, end, steps, base=base),
        exponents,
        ErrorCase(at.InvalidValueError, "steps >= 0", 0, 1, -1),
        dtypes=FLOATS,
        ulps=4,
    ),
    make(
        "eye",
        lambda n, m=None, k=0, dtype=None: np.eye(n, m, k),
        eyes,
        ErrorCase(at.ShapeError, "sizes >= 0", -1),
        dtypes=ALL,
    ),
    make("tril", lambda x, diagonal=0: np.tril(x, diagonal), matrices, TRIANGLE, result="input", differentiable=True),
    make("triu", lambda x, diagonal=0: np.triu(x, diagonal), matrices, TRIANGLE, result="input", differentiable=True),
]
