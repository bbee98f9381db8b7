"""Indexing with tensors and masks, gathering and scattering."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, NUMBERS, REALS, Draw, ErrorCase, OpSpec, Sample

from .views import basic_index

X = np.ones((3, 4), np.float32)


def ints(draw: Draw, *shape: int, high: int, low: int = 0, dtype: str = "int64") -> Any:
    return draw.rng.integers(low, high, shape).astype(dtype)


def key_of(indices: Any) -> Any:
    return tuple(slice(None) if i is None else i for i in indices)


def indexes(draw: Draw) -> Iterator[Sample]:
    x = draw(4, 5, 6)
    yield Sample(x, [ints(draw, 3, high=4, low=-4)])
    yield Sample(x, [ints(draw, 2, 3, high=4), ints(draw, 3, high=5, low=-5)])
    yield Sample(x, [None, ints(draw, 2, high=5, dtype="int32")])
    yield Sample(x, [ints(draw, 3, high=4), None, ints(draw, 3, high=6)])
    yield Sample(x, [None, ints(draw, 2, 1, high=5), ints(draw, 4, high=6)])
    yield Sample(x, [draw(4, 5, dtype="bool")])
    yield Sample(x, [None, draw(5, dtype="bool"), ints(draw, 1, high=6)])
    yield Sample(x, [np.zeros((0,), np.int64)])
    yield Sample(x, [np.zeros(4, bool)])
    yield Sample(x, [ints(draw, 2, high=4, dtype="uint8")])


def put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    out = x.copy()
    if not accumulate:
        out[key_of(indices)] = values
    elif x.dtype == bool:
        np.logical_or.at(out, key_of(indices), values)
    else:
        np.add.at(out, key_of(indices), values)
    return out


def puts(draw: Draw) -> Iterator[Sample]:
    x = draw(4, 5)
    yield Sample(x, [np.array([0, -1, 2])], draw(3, 5))
    yield Sample(x, [np.array([0, 3]), np.array([1, 4])], draw())
    yield Sample(x, [None, np.array([0, 2])], draw(4, 2))
    yield Sample(x, [draw(4, 5, dtype="bool")], draw())
    yield Sample(x, [np.array([1, 1, 1])], draw(3, 5), True)
    yield Sample(x, [np.array([0, 0, 2]), np.array([1, 1, 1])], draw(3), accumulate=True)
    yield Sample(x, [np.zeros(0, np.int64)], draw(0, 5))


SPEC = [0, 1, 4, 1, 3, 0, 0, 0]  # [1:, :]


def set_item(x: Any, spec: Any, indices: Any, value: Any) -> Any:
    out = x.copy()
    view = basic_index(out, spec)
    view[key_of(indices) if indices else ...] = value
    return out


def assignments(draw: Draw) -> Iterator[Sample]:
    x = draw(4, 5)
    yield Sample(x, SPEC, [], draw(3, 5))
    yield Sample(x, SPEC, [], draw(5))
    yield Sample(x, [1, 2, 0, 0], [], draw.scalar())
    yield Sample(x, [0, 0, 4, 2, 0, 4, -1, -2], [], draw(2, 1))
    yield Sample(x, SPEC, [None, np.array([0, 2])], draw(3, 2))
    yield Sample(x, SPEC, [draw(3, 5, dtype="bool")], draw.scalar())


def selections(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(4, 5), 0, np.array([3, 1, 1]))
    yield Sample(draw(4, 5), -1, np.array([0, 4], np.int32))
    yield Sample(draw(2, 3, 4), 1, np.array(2))
    yield Sample(draw(5), 0, np.zeros(0, np.int64))
    if not draw.smooth:
        yield Sample(draw(1000, 33), 0, ints(draw, 5000, high=1000))
        yield Sample(draw(33, 1000), 1, ints(draw, 500, high=1000))


def select(x: Any, dim: int, index: Any) -> Any:
    return np.take(x, np.atleast_1d(index), dim)


def rows(draw: Draw) -> Iterator[Sample]:
    """A tensor, a dimension, indices (some twice) and the slices to write there."""
    yield Sample(draw(4, 5), 0, np.array([3, 1]), draw(2, 5))
    yield Sample(draw(4, 5), -1, np.array([0, 4, 2]), draw(4, 3))
    yield Sample(draw(5), 0, np.zeros(0, np.int64), draw(0))


def rows_twice(draw: Draw) -> Iterator[Sample]:
    yield from rows(draw)
    yield Sample(draw(4, 5), 0, np.array([1, 1, 3]), draw(3, 5))
    yield Sample(draw(4, 5), 0, np.array([1, 1, 3]), draw(3, 5), alpha=2)
    if not draw.smooth:
        yield Sample(draw(4, 37), 0, np.array([1, 1, 3]), draw(3, 37))
        yield Sample(draw(9), 0, np.array([8, 1, 8, -1]), draw(4))


def moved(x: Any, dim: int) -> Any:
    return np.moveaxis(x, dim, 0)


def index_add(x: Any, dim: int, index: Any, source: Any, alpha: Any = 1) -> Any:
    out = x.copy()
    np.add.at(moved(out, dim), index, moved(alpha * source if alpha != 1 else source, dim))
    return out


def index_copy(x: Any, dim: int, index: Any, source: Any) -> Any:
    out = x.copy()
    moved(out, dim)[index] = moved(source, dim)
    return out


def fills(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(4, 5), 0, np.array([3, 1]), draw.scalar())
    yield Sample(draw(4, 5), 1, np.array([0, 0, -1]), draw.scalar())
    yield Sample(draw(4, 5), -1, np.array([2, 0, 2]), draw())


def places(draw: Draw, *shape: int, high: int) -> Any:
    return ints(draw, *shape, high=high)


def gathers(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4), 1, places(draw, 3, 6, high=4))
    yield Sample(draw(3, 4), 0, places(draw, 2, 4, high=3))
    yield Sample(draw(2, 3, 4), -2, places(draw, 1, 5, 2, high=3))
    yield Sample(draw(5), 0, places(draw, 0, high=5))
    yield Sample(draw(3, 4), 1, places(draw, 3, 6, high=4).astype(np.int32))
    yield Sample(draw(2, 3), 0, np.broadcast_to(np.array([[1], [0], [1]], np.uint8), (3, 3)))
    if not draw.smooth:
        yield Sample(draw(100, 501), 1, places(draw, 100, 400, high=501))
        yield Sample(draw(501, 100), 0, places(draw, 400, 100, high=501))
        # Indices that are converted on the way, and inputs that lie transposed beside them.
        yield Sample(draw(3, 4, 5), 1, ints(draw, 3, 4, 5, high=4, dtype="int32"))
        yield Sample(draw(40, 33, 34), 0, ints(draw, 2, 33, 34, high=40, dtype="uint8"))
        yield Sample(draw(33, 40, 34), 0, places(draw, 2, 40, 34, high=33))


def coordinates(shape: tuple[int, ...], dim: int, index: Any) -> Any:
    grid = list(np.indices(index.shape))
    grid[dim % len(shape)] = index
    return tuple(grid)


def gather(x: Any, dim: int, index: Any) -> Any:
    return x[coordinates(x.shape, dim, index)]


def scatters(draw: Draw) -> Iterator[Sample]:
    """Each place is named at most once in its lane."""
    lane = np.stack([draw.rng.permutation(4)[:3] for _ in range(3)])
    yield Sample(draw(3, 4), 1, lane, draw(3, 3))
    yield Sample(draw(4, 3), 0, lane.T.copy(), draw(5, 4))
    yield Sample(draw(3, 4), 1, lane, draw.scalar())
    yield Sample(draw(5), 0, np.zeros(0, np.int64), draw(2))


def scatter(x: Any, dim: int, index: Any, src: Any, **_: Any) -> Any:
    out = x.copy()
    where = coordinates(x.shape, dim, index)
    out[where] = src[tuple(map(slice, index.shape))] if isinstance(src, np.ndarray) else src
    return out


def scatters_twice(draw: Draw) -> Iterator[Sample]:
    yield from (s for s in scatters(draw) if isinstance(s.args[3], np.ndarray))
    yield Sample(draw(3, 4), 1, places(draw, 3, 6, high=4), draw(3, 6))
    if not draw.smooth:
        yield Sample(draw(50, 20), 0, places(draw, 400, 20, high=50), draw(400, 20))


def scatter_add(x: Any, dim: int, index: Any, src: Any) -> Any:
    out = x.copy()
    np.add.at(out, coordinates(x.shape, dim, index), src[tuple(map(slice, index.shape))])
    return out


def reduces(draw: Draw) -> Iterator[Sample]:
    for reduce in ("sum", "prod", "amax", "amin", "mean"):
        if reduce == "mean" and draw.dtype not in FLOATS:
            continue
        for include_self in (True, False):
            yield Sample(draw(3, 4), 1, places(draw, 3, 6, high=4), draw(3, 6), reduce, include_self=include_self)


def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True) -> Any:
    groups: dict[tuple[int, ...], list[Any]] = {}
    for where, value in zip(
        zip(*(c.ravel() for c in coordinates(x.shape, dim, index)), strict=True), src.ravel(), strict=True
    ):
        groups.setdefault(tuple(int(i) for i in where), [x[where]] if include_self else []).append(value)
    out = x.copy()
    apply: Any = {"sum": np.sum, "prod": np.prod, "amax": np.max, "amin": np.min, "mean": np.mean}[reduce]
    for where, values in groups.items():
        out[where] = apply(np.array(values))
    return out


def takes(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4), np.array([[0, 11], [5, -1]]))
    yield Sample(draw(3, 4), np.array([2, 0]), axis=1)
    yield Sample(draw(3, 4), np.array([2, -1]), axis=0)


def along(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4), ints(draw, 3, 2, high=4), 1)
    yield Sample(draw(3, 4), ints(draw, 1, 4, high=3), 0)
    yield Sample(draw(3, 4), ints(draw, 5, high=12))


def masks(draw: Draw) -> Iterator[Sample]:
    yield Sample(draw(3, 4), draw(3, 4, dtype="bool"))
    yield Sample(draw(3, 4), draw(4, dtype="bool"))
    yield Sample(draw(4), draw(3, 1, dtype="bool"))
    yield Sample(draw(0), np.zeros(0, bool))


def masked_select(x: Any, mask: Any) -> Any:
    x, mask = np.broadcast_arrays(x, mask)
    return x[mask]


def sparse(draw: Draw) -> Iterator[Sample]:
    for shape in ((), (7,), (3, 4), (2, 0, 3), (2, 3, 4)):
        x = draw(*shape)
        yield Sample(np.where(draw(*shape, dtype="bool"), x, np.zeros_like(x)))
    yield Sample(draw(40_000))


OUT = np.array([0, 3])
FLOAT_INDEX = np.ones(2, np.float32)


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 0, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


SPECS = [
    op(
        "index",
        lambda x, indices: x[key_of(indices)],
        indexes,
        ErrorCase(at.BoundsError, "3", X, [OUT]),
        ErrorCase(at.BoundsError, "-4", X, [np.array([-4])]),
        ErrorCase(at.AtledError, "", X, [FLOAT_INDEX]),
        ErrorCase(at.AtledError, "", X, [np.ones(4, bool)]),
        ErrorCase(at.AtledError, "", X, [OUT, OUT, OUT]),
        ErrorCase(at.BoundsError, "broadcast", X, [np.array([0, 1]), np.array([0, 1, 2])]),
        differentiable=("input",),
    ),
    op("setitem", set_item, assignments, differentiable=("input", "value")),
    op(
        "setitem_",
        set_item,
        assignments,
        ErrorCase(at.ShapeError, "", X, [0, 1, 3, 1, 3, 0, 0, 0], [], np.ones(3)),
        differentiable=False,
    ),
    op(
        "index_put",
        put,
        puts,
        ErrorCase(at.BoundsError, "3", X, [OUT], np.ones(4, np.float32)),
        ulps=4,
        scale=lambda x, indices, values, accumulate=False: put(x, indices, values, accumulate),
        differentiable=("input", "values"),
    ),
    op(
        "index_select",
        select,
        selections,
        ErrorCase(at.BoundsError, "3", X, 0, OUT),
        ErrorCase(at.DTypeError, "integer", X, 0, FLOAT_INDEX),
        ErrorCase(at.BoundsError, "dim", X, 2, OUT),
        ErrorCase(at.ShapeError, "at most one dimension", X, 0, np.zeros((1, 1), int)),
        differentiable=("input",),
    ),
    op(
        "index_add",
        index_add,
        rows_twice,
        ErrorCase(at.BoundsError, "3", X, 0, OUT, np.ones((2, 4), np.float32)),
        ErrorCase(at.ShapeError, "source", X, 0, OUT, np.ones((3, 4), np.float32)),
        ErrorCase(at.DTypeError, "source", X, 0, OUT, np.ones((2, 4), np.float64)),
        dtypes=NUMBERS,
        ulps=4,
        scale=index_add,
        differentiable=("input", "source"),
    ),
    op(
        "index_copy",
        index_copy,
        rows,
        ErrorCase(at.BoundsError, "3", X, 0, OUT, np.ones((2, 4), np.float32)),
        differentiable=("input", "source"),
    ),
    op(
        "index_fill",
        lambda x, dim, index, value: index_copy(x, dim, index, np.full(np.take(x, index, dim).shape, value)),
        fills,
        ErrorCase(at.BoundsError, "3", X, 0, OUT, 1.0),
        ErrorCase(at.ShapeError, "one element", X, 0, OUT, np.ones(2, np.float32)),
        differentiable=("input", "value"),
    ),
    op(
        "gather",
        gather,
        gathers,
        ErrorCase(at.BoundsError, "4", X, 1, np.full((3, 1), 4)),
        ErrorCase(at.BoundsError, "dim", X, 2, np.zeros((3, 1), int)),
        ErrorCase(at.ShapeError, "index.shape", X, 1, np.zeros((4, 1), int)),
        ErrorCase(at.DTypeError, "integer", X, 1, np.zeros((3, 1))),
        differentiable=("input",),
    ),
    op(
        "scatter",
        scatter,
        scatters,
        ErrorCase(at.BoundsError, "4", X, 1, np.full((3, 1), 4), X),
        ErrorCase(at.ShapeError, "src", X, 1, np.zeros((3, 2), int), np.ones((3, 1), np.float32)),
        differentiable=("input", "src"),
    ),
    op(
        "scatter_add",
        scatter_add,
        scatters_twice,
        ErrorCase(at.BoundsError, "4", X, 1, np.full((3, 1), 4), X),
        dtypes=NUMBERS,
        ulps=8,
        scale=scatter_add,
        differentiable=("input", "src"),
    ),
    op(
        "scatter_reduce",
        scatter_reduce,
        reduces,
        ErrorCase(at.InvalidValueError, "reduce", X, 1, np.zeros((3, 1), int), X, "median"),
        dtypes=REALS,
        ulps=8,
        scale=scatter_reduce,
        differentiable=("input", "src"),
    ),
    op(
        "embedding",
        lambda weight, indices, *args, **kwargs: weight[indices],
        lambda draw: iter(
            [
                Sample(draw(5, 3), np.array([[0, 4], [1, 4]])),
                Sample(draw(5, 3), np.array([2, 0, 2]), 2),
                Sample(draw(5, 3), np.array([2, 0, 2]), scale_grad_by_freq=True),
                Sample(draw(5, 3), np.array(1)),
                Sample(draw(5, 3), np.zeros((0, 2), int)),
            ][:: 1 if not draw.smooth else 3]
        ),
        ErrorCase(at.ShapeError, "weight of two dimensions", X[0], np.array([0])),
        ErrorCase(at.BoundsError, "3", X, np.array([3])),
        ErrorCase(at.NotImplementedOpError, "sparse=False", X, np.array([0]), sparse=True),
        differentiable=("weight",),
    ),
    op(
        "take",
        lambda x, index, axis=None: np.take(x, index, axis),
        takes,
        ErrorCase(at.BoundsError, "12", X, np.array([12])),
        differentiable=("input",),
    ),
    op(
        "take_along_dim",
        lambda x, indices, dim=None: np.take_along_axis(x, indices, dim),
        along,
        ErrorCase(at.BoundsError, "4", X, np.full((3, 1), 4), 1),
        differentiable=("input",),
    ),
    op(
        "masked_select",
        masked_select,
        masks,
        ErrorCase(at.DTypeError, "bool", X, np.ones((3, 4), int)),
        ErrorCase(at.ShapeError, "", X, np.ones(3, bool)),
        differentiable=("input",),
    ),
    OpSpec(
        name="nonzero",
        reference=lambda x: np.argwhere(x),
        samples=sparse,
        result="int64",
        differentiable=False,
    ),
]
