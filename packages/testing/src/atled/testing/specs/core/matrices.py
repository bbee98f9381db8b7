"""Matrices made from parts, their parts, and whole tensors compared."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import linalg

import atled.core as at
from atled.testing import COMPLEX, FLOATS, INTEGERS, Draw, ErrorCase, OpSpec, Sample, result_dtype

from .views import calls

X = np.ones((3, 4), np.float32)
SUM_ULPS = {"default": 8, "float16": 2, "bfloat16": 2}


def pairs(draw: Draw) -> Iterator[Sample]:
    x = draw(3, 4)
    yield Sample(x, x)
    yield Sample(x, np.where(np.arange(4) == 2, np.zeros_like(x), x).astype(x.dtype))
    yield Sample(x, draw(4, 3))
    yield Sample(draw(0), draw(0))
    if draw.dtype.startswith("float"):
        yield Sample(np.array([np.nan], draw.dtype), np.array([np.nan], draw.dtype))


def near(draw: Draw) -> Iterator[Sample]:
    x = draw(3, 4)
    yield Sample(x, x)
    yield Sample(x, x[:1])
    yield Sample(x, draw(3, 4), 0.0, 100.0)
    if draw.dtype.startswith("float"):
        nan = np.array([np.nan], draw.dtype)
        yield Sample(nan, nan)
        yield Sample(nan, nan, equal_nan=True)


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    a, b = (x if np.iscomplexobj(x) else np.asarray(x, np.float64) for x in (a, b))
    return np.allclose(a, b, rtol, atol, equal_nan)


def diag_embed(x: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    n = x.shape[-1] + abs(offset)
    out = np.zeros((*x.shape[:-1], n, n), x.dtype)
    rows = np.arange(x.shape[-1]) + max(-offset, 0)
    out[..., rows, rows + offset] = x
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


def triangle(of: Callable[..., Any], row: int, col: int, offset: int = 0, **_: Any) -> Any:
    return np.stack(of(row, offset, col))


def lists(*shapes: tuple[tuple[int, ...], ...]) -> Callable[[Draw], Iterator[Sample]]:
    def generate(draw: Draw) -> Iterator[Sample]:
        for group in shapes:
            yield Sample([draw(*shape) for shape in group])

    return generate


def cartesian(tensors: Any) -> Any:
    return np.stack([g.ravel() for g in np.meshgrid(*tensors, indexing="ij")], -1) if len(tensors) > 1 else tensors[0]


def block_diag(tensors: Any) -> Any:
    return linalg.block_diag(*tensors)


def splits(dim_allowed: bool = True) -> Callable[[Draw], Iterator[Sample]]:
    def generate(draw: Draw) -> Iterator[Sample]:
        x = draw(4, 5, 6)
        yield Sample(x, 2)
        yield Sample(x, [1, 3])
        if dim_allowed:
            yield Sample(x, 4, 1)
            yield Sample(x, (2, 9), -1)

    return generate


def scattered(place: Callable[..., None]) -> Callable[..., Any]:
    def reference(x: Any, src: Any, *args: Any, **kwargs: Any) -> Any:
        out = x.copy()
        place(out, src, *args, **kwargs)
        return out

    return reference


def place_select(out: Any, src: Any, dim: int, index: int) -> None:
    np.moveaxis(out, dim, 0)[index] = src


def place_diagonal(out: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> None:
    view = np.moveaxis(out, (dim1, dim2), (-2, -1))
    n = src.shape[-1]
    rows = np.arange(n) + max(-offset, 0)
    view[..., rows, rows + offset] = src


def place_slice(out: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> None:
    np.moveaxis(out, dim, 0)[start:end:step] = np.moveaxis(src, dim, 0)


def place_masked(out: Any, mask: Any, source: Any) -> None:
    mask = np.broadcast_to(mask, out.shape)
    out[mask] = source.ravel()[: int(mask.sum())]


def counts(draw: Draw) -> Iterator[Sample]:
    x = draw(50, low=0, high=9)
    yield Sample(x)
    yield Sample(x, minlength=20)
    yield Sample(draw(0))
    yield Sample(x, draw(50, dtype="float64"))
    yield Sample(x, draw(50, dtype="float32"), 3)


def count_dtype(sample: Sample) -> str:
    weights = sample.args[1] if len(sample.args) > 1 else None
    return "int64" if weights is None else weights.dtype.name


EQUATIONS = (
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("i,j->ij", (2,), (3,)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("ij,kj,jl->ikl", (2, 3), (4, 3), (3, 2)),
    ("abc,cd->abd", (2, 3, 4), (4, 5)),
    ("i,i->", (5,), (5,)),
    ("a...->...", (2, 3)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 2), (2, 3)),
    ("a,b,c->bac", (2,), (3,), (4,)),
    ("aab,b...,c->...c", (2, 2, 3), (3, 4), (2,)),
    (",".join(["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi", "ij"]) + "->aj", *((2, 2),) * 9),
)


def equations(draw: Draw) -> Iterator[Sample]:
    for equation, *operands in EQUATIONS:
        yield Sample(equation, *(draw(*shape) for shape in operands))
    yield Sample("ij,jk->ik", [draw(2, 3), draw(3, 4)])


def einsum(equation: str, *operands: Any) -> Any:
    return np.einsum(equation, *(operands[0] if isinstance(operands[0], list) else operands))


def of_tensors(sample: Sample) -> str:
    found = [a for arg in sample.args for a in (arg if isinstance(arg, (list, tuple)) else [arg])]
    return result_dtype(*(a for a in found if isinstance(a, np.ndarray)))


def op(name: str, reference: Any, samples: Any, *errors: ErrorCase, **kwargs: Any) -> OpSpec:
    fields: dict[str, Any] = {"result": "input", "ulps": 0, **kwargs}
    return OpSpec(name=name, reference=reference, samples=samples, errors=errors, **fields)


def indices(name: str, of: Callable[..., Any]) -> OpSpec:
    return op(
        name,
        lambda *args, **kwargs: triangle(of, *args, **kwargs),
        lambda draw: iter([Sample(3, 4), Sample(4, 3, 1), Sample(4, 4, offset=-2), Sample(0, 3)]),
        ErrorCase(at.AtledError, "", -1, 3),
        dtypes=("int64",),
        result="int64",
        differentiable=False,
    )


STACKABLE = lists(((2, 3), (2, 3)), ((3,), (3,)), ((2, 3, 4), (2, 3, 4)))

SPECS = [
    OpSpec(name="equal", reference=np.array_equal, samples=pairs, result="bool", differentiable=False),
    OpSpec(
        name="allclose",
        reference=allclose,
        samples=near,
        result="bool",
        differentiable=False,
    ),
    op(
        "diag_embed",
        diag_embed,
        calls((), (1,), (-2,), (0, 0, 2), (0, 1, 0), shape=(2, 3)),
        ErrorCase(at.AtledError, "", X, 0, 1, 1),
    ),
    op(
        "diag",
        lambda x, diagonal=0: np.diag(x, diagonal),
        lambda draw: iter([Sample(draw(3)), Sample(draw(3), -1), Sample(draw(3, 4), 1), Sample(draw(3, 4), -2)]),
        ErrorCase(at.ShapeError, "", np.ones((1, 1, 1))),
    ),
    op("diagflat", lambda x, offset=0: np.diagflat(x, offset), calls((), (1,), (-1,), shape=(2, 2))),
    op(
        "trace",
        np.trace,
        calls((), shape=(3, 4)),
        ErrorCase(at.ShapeError, "", np.ones(3)),
        result="sum",
        scale=np.trace,
        ulps=SUM_ULPS,
    ),
    op(
        "kron",
        np.kron,
        lambda draw: iter([Sample(draw(2, 3), draw(3, 2)), Sample(draw(2), draw(3)), Sample(draw(2, 1), draw(3))]),
        result="promote",
        ulps={"default": 1, "complex64": 4, "complex128": 4},
    ),
    indices("tril_indices", np.tril_indices),
    indices("triu_indices", np.triu_indices),
    op("hstack", np.hstack, STACKABLE, ErrorCase(at.AtledError, "", [])),
    op("vstack", np.vstack, STACKABLE, ErrorCase(at.ShapeError, "", [X, np.ones((3, 5), np.float32)])),
    op("dstack", np.dstack, STACKABLE),
    op("column_stack", np.column_stack, lists(((3,), (3, 2)), ((3,), (3,)))),
    op("fliplr", np.fliplr, calls(()), ErrorCase(at.AtledError, "", np.ones(3))),
    op("flipud", np.flipud, calls(())),
    op(
        "rot90",
        lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims),
        calls((), (2,), (-1,), (5, (1, 2)), (1, (2, 0))),
        ErrorCase(at.AtledError, "", X, 1, (0, 0)),
    ),
    op("block_diag", block_diag, lists(((2, 3), (1, 1), (3, 2)))),
    op("cartesian_prod", cartesian, lists(((2,), (3,)), ((2,), (3,), (2,)), ((4,),))),
    op(
        "tensor_split",
        lambda x, parts, dim=0: np.array_split(x, parts, dim),
        splits(),
        ErrorCase(at.InvalidValueError, "expected from 1 to 16777216 sections, got 0", X, 0),
        ErrorCase(at.InvalidValueError, "sections, got 9223372036854775807", X, 2**63 - 1),
        ErrorCase(at.BoundsError, "dim", X, 2, 2),
    ),
    op("hsplit", lambda x, parts: np.array_split(x, parts, 1), splits(False)),
    op("vsplit", lambda x, parts: np.array_split(x, parts, 0), splits(False)),
    op("dsplit", lambda x, parts: np.array_split(x, parts, 2), splits(False), ErrorCase(at.AtledError, "", X, 2)),
    op(
        "select_scatter",
        scattered(place_select),
        lambda draw: iter([Sample(draw(3, 4), draw(4), 0, 1), Sample(draw(3, 4), draw(3), -1, -1)]),
        ErrorCase(at.AtledError, "", X, np.ones(3, np.float32), 0, 0),
    ),
    op(
        "diagonal_scatter",
        scattered(place_diagonal),
        lambda draw: iter(
            [Sample(draw(3, 3), draw(3)), Sample(draw(3, 4), draw(3), 1), Sample(draw(3, 4), draw(2), -1)]
        ),
        ErrorCase(at.AtledError, "", X, np.ones(2, np.float32)),
    ),
    op(
        "slice_scatter",
        scattered(place_slice),
        lambda draw: iter(
            [
                Sample(draw(5, 3), draw(2, 3), 0, 1, 3),
                Sample(draw(5, 3), draw(5, 2), 1, 0, 3, 2),
                Sample(draw(5, 3), draw(2, 3), start=-2),
            ]
        ),
        ErrorCase(at.AtledError, "", X, np.ones((2, 4), np.float32), 0, 0, 1),
    ),
    op(
        "masked_scatter",
        scattered(place_masked),
        lambda draw: iter(
            [
                Sample(draw(3, 4), draw(3, 4, dtype="bool"), draw(12)),
                Sample(draw(3, 4), draw(4, dtype="bool"), draw(3, 4)),
            ]
        ),
        ErrorCase(at.AtledError, "", X, np.ones((3, 4), bool), np.ones(3, np.float32)),
        differentiable=("input", "source"),
    ),
    OpSpec(
        name="bincount",
        reference=lambda x, weights=None, minlength=0: np.bincount(x.astype(np.int64), weights, minlength),
        scale=lambda x, weights=None, minlength=0: np.bincount(x.astype(np.int64), weights, minlength),
        samples=counts,
        dtypes=INTEGERS,
        result=count_dtype,
        ulps=8,
        errors=(
            ErrorCase(at.AtledError, "", np.array([1, -1])),
            ErrorCase(at.AtledError, "", np.ones((2, 2), int)),
            ErrorCase(at.DTypeError, "", np.ones(3)),
        ),
        differentiable=False,
    ),
    op(
        "einsum",
        einsum,
        equations,
        ErrorCase(at.AtledError, "", "ij,jk->ik", X, X),
        ErrorCase(at.AtledError, "", "ij->k", X),
        ErrorCase(at.AtledError, "", "i!->i", X),
        ErrorCase(at.AtledError, "", "ijk->i", X),
        ErrorCase(at.AtledError, "", "ij,jk->ik", X),
        dtypes=("int64", *FLOATS, *COMPLEX),
        scale=einsum,
        result=of_tensors,
        ulps=SUM_ULPS,
    ),
]
