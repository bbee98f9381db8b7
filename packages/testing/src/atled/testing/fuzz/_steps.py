"""The steps of programs: what each does to tensors, and what NumPy must make of the arrays."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import atled.core as at

from .._convert import Array, at_dtype, category, numpy_dtype, promote, real_of, result_dtype
from ._pool import Pool, Value


@dataclass(kw_only=True)
class Step:
    """One step that can be run: on tensors by `actual`, on arrays, in their widest dtypes, by `expected`."""

    text: str
    actual: Callable[[], Any]
    expected: Callable[[], Any]
    dtype: str | None = None  # of the result, where it is not expected's
    ulps: float = 0
    scale: Array | None = None
    target: Value | None = None  # what is changed in place
    view: bool = False


Maker = Callable[[Pool], Step | None]
STEPS: dict[str, Maker] = {}


def _named(maker: Callable[..., Step | None], name: str, pool: Pool) -> Step | None:
    return maker(pool, name)


def step(*names: str) -> Callable[[Callable[..., Step | None]], Callable[..., Step | None]]:
    """Registers a maker of steps, under its own name or, with names, once for each of them."""

    def register(maker: Callable[..., Step | None]) -> Callable[..., Step | None]:
        for name in names:
            STEPS[name] = partial(_named, maker, name)
        if not names:
            STEPS[maker.__name__] = maker
        return maker

    return register


def _writable(value: Value) -> bool:
    return bool(value.array.flags.writeable)


def _dim(pool: Pool, value: Value) -> int:
    return int(pool.rng.integers(-len(value.shape), len(value.shape)))


def _dims(pool: Pool, value: Value) -> tuple[int, ...] | None:
    ndim = len(value.shape)
    if ndim == 0 or pool.rng.random() < 0.3:
        return None
    return tuple(int(d) for d in pool.rng.choice(ndim, int(pool.rng.integers(1, ndim + 1)), replace=False))


# ---- element by element ----

# name -> (NumPy's function, the kinds of dtype it takes, ulps of floats)
_UNARY: dict[str, tuple[Callable[[Array], Array], str, float]] = {
    "neg": (np.negative, "ifc", 0),
    "abs": (np.abs, "if", 0),
    "square": (np.square, "if", 0),
    "sqrt": (np.sqrt, "f", 0),
    "exp": (np.exp, "f", 2),
    "log1p": (np.log1p, "f", 4),
    "tanh": (np.tanh, "f", 4),
    "sin": (np.sin, "f", 2),
    "floor": (np.floor, "f", 0),
    "ceil": (np.ceil, "f", 0),
    "trunc": (np.trunc, "f", 0),
    "round": (np.round, "f", 0),
    "sign": (np.sign, "if", 0),
    "reciprocal": (np.reciprocal, "f", 0),
    "isnan": (np.isnan, "fc", 0),
    "isfinite": (np.isfinite, "fc", 0),
    "signbit": (np.signbit, "f", 0),
    "logical_not": (np.logical_not, "bif", 0),
    "bitwise_not": (np.invert, "bi", 0),
    "conj": (np.conj, "fc", 0),
}
_UNARY = {name: row for name, row in _UNARY.items() if hasattr(at, name)}
_MAKES_BOOL = {"isnan", "isfinite", "signbit", "logical_not"}


@step(*_UNARY)
def unary(pool: Pool, name: str) -> Step | None:
    function, kinds, ulps = _UNARY[name]
    value = pool.pick(lambda v: "bifc"[v.kind] in kinds)
    if value is None:
        return None
    dtype = "bool" if name in _MAKES_BOOL else value.dtype
    common: dict[str, Any] = {"expected": lambda: function(value.wide()), "ulps": ulps, "dtype": dtype}
    if dtype == value.dtype and hasattr(at, name + "_") and _writable(value) and pool.rng.random() < 0.3:
        return Step(
            text=f"{value.name}.{name}_()", actual=lambda: getattr(value.tensor, name + "_")(), target=value, **common
        )
    return Step(text=f"{value.name}.{name}()", actual=lambda: getattr(at, name)(value.tensor), **common)


# name -> (NumPy's function, kinds of the promoted dtype, whether the result is bool)
_BINARY: dict[str, tuple[Callable[[Array, Array], Array], str, bool]] = {
    "add": (np.add, "bifc", False),
    "sub": (np.subtract, "ifc", False),
    "mul": (np.multiply, "bif", False),
    "maximum": (np.maximum, "bif", False),
    "minimum": (np.minimum, "bif", False),
    "eq": (np.equal, "bifc", True),
    "ne": (np.not_equal, "bifc", True),
    "lt": (np.less, "bif", True),
    "ge": (np.greater_equal, "bif", True),
    "logical_and": (np.logical_and, "bif", True),
    "logical_xor": (np.logical_xor, "bif", True),
    "bitwise_and": (np.bitwise_and, "bi", False),
    "bitwise_xor": (np.bitwise_xor, "bi", False),
    "copysign": (np.copysign, "f", False),
}
_BINARY = {name: row for name, row in _BINARY.items() if hasattr(at, name)}


def _promotes(*dtypes: str) -> bool:
    """Whether the dtypes have a common one: uint64 and signed integers have none."""
    return not ("uint64" in dtypes and any(d.startswith("int") for d in dtypes))


@step(*_BINARY)
def binary(pool: Pool, name: str) -> Step | None:
    function, kinds, truth = _BINARY[name]
    left = pool.pick()
    if left is None:
        return None
    scalar: Any = None
    if pool.rng.random() < 0.25:
        scalar = [bool(pool.rng.random() < 0.5), int(pool.rng.integers(0, 5)), float(pool.rng.uniform(-2, 2))][
            min(left.kind, 2)
        ]
        dtype, text = result_dtype(left.array, scalar), repr(scalar)
    else:
        right = pool.like(left)
        dtype, text = promote(left.dtype, right.dtype), right.name
        if not _promotes(left.dtype, right.dtype):
            return None
    if "bifc"[category(dtype)] not in kinds:
        return None
    other = scalar if scalar is not None else right.tensor
    wide = numpy_dtype(dtype)

    # Half precision is computed in float32, which integers and numbers are brought to.
    narrow = np.float32 if dtype in ("float16", "bfloat16") else wide

    def expected() -> Array:
        a = left.array.astype(narrow)
        b = np.asarray(right.array if scalar is None else scalar).astype(narrow)
        if category(dtype) == 2 and narrow is wide:
            a, b = a.astype(np.float64), b.astype(np.float64)
        return np.asarray(function(a, b))

    result = "bool" if truth else dtype
    if result == left.dtype and _writable(left) and hasattr(at, name + "_") and pool.rng.random() < 0.3:
        if scalar is None and np.broadcast_shapes(left.shape, right.shape) != left.shape:
            return None
        actual = lambda: getattr(left.tensor, name + "_")(other)  # noqa: E731
        return Step(text=f"{left.name}.{name}_({text})", actual=actual, expected=expected, dtype=result, target=left)
    shape = left.shape if scalar is not None else np.broadcast_shapes(left.shape, right.shape)
    out = pool.pick(lambda v: v.dtype == result and v.shape == shape and _writable(v))
    call = getattr(at, name)
    if out is not None and pool.rng.random() < 0.5:
        return Step(
            text=f"at.{name}({left.name}, {text}, out={out.name})",
            actual=lambda: call(left.tensor, other, out=out.tensor),
            expected=expected,
            dtype=result,
            target=out,
        )
    return Step(
        text=f"at.{name}({left.name}, {text})",
        actual=lambda: call(left.tensor, other),
        expected=expected,
        dtype=result,
    )


def _broadcast_all(*values: Value) -> bool:
    try:
        np.broadcast_shapes(*(value.shape for value in values))
    except ValueError:
        return False
    return True


@step()
def where(pool: Pool) -> Step | None:
    left = pool.pick()
    if left is None:
        return None
    right = pool.like(left)
    condition = pool.like(left, "bool")
    if not _promotes(left.dtype, right.dtype) or not _broadcast_all(condition, left, right):
        return None
    dtype = promote(left.dtype, right.dtype)
    wide = numpy_dtype(dtype)
    return Step(
        text=f"at.where({condition.name}, {left.name}, {right.name})",
        actual=lambda: at.where(condition.tensor, left.tensor, right.tensor),
        expected=lambda: np.where(condition.array, left.array.astype(wide), right.array.astype(wide)),
        dtype=dtype,
    )


@step()
def cast(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: v.kind < 3)
    dtype = pool.dtype()
    if value is None or not np.all(np.isfinite(value.array.astype(np.float64))):
        return None
    if category(dtype) == 1:
        limits = np.iinfo(dtype)
        if np.any(value.wide() < limits.min) or np.any(value.wide() > limits.max // 2):
            return None
    text, actual = f"{value.name}.to({dtype})", lambda: value.tensor.to(at_dtype(dtype))
    if dtype == "bfloat16" and value.dtype == "float64":
        # Rounded once; ml_dtypes rounds to float32 first.
        return Step(text=text, actual=actual, expected=value.wide, dtype=dtype, ulps=0.5)
    # What is the tensor's own dtype already shares memory in both libraries.
    return Step(
        text=text,
        actual=actual,
        expected=lambda: value.array.astype(numpy_dtype(dtype), copy=False),
        dtype=dtype,
        view=True,
    )


# ---- reductions, scans, order ----


def _sum(array: Array, axis: tuple[int, ...] | None, keepdims: bool, dtype: str | None = None) -> Array:
    """Rounded once, where NumPy's sum of float64 may be off by as many ulps as it has terms."""
    plain = np.asarray(np.sum(array, axis, dtype=dtype, keepdims=keepdims))
    if array.dtype != np.float64 or array.size == 0:
        return plain
    dims = range(array.ndim) if axis is None else axis
    kept = [d for d in range(array.ndim) if d not in dims]
    lines = array.transpose(*kept, *dims).reshape(plain.size, -1)
    return np.array([_exact(line, total) for line, total in zip(lines, plain.flat, strict=True)]).reshape(plain.shape)


def _exact(line: Array, total: float) -> float:
    try:
        return math.fsum(line) if np.isfinite(total) else total
    except OverflowError:
        return total


def _mean(array: Array, axis: tuple[int, ...] | None, keepdims: bool) -> Array:
    total = _sum(array, axis, keepdims)
    return total / (array.size // total.size)


_REDUCTIONS: dict[str, tuple[Callable[..., Any], str]] = {
    "sum": (_sum, "bif"),
    "mean": (_mean, "f"),
    "amax": (np.max, "if"),
    "amin": (np.min, "if"),
    "any": (np.any, "bif"),
    "all": (np.all, "bif"),
}


@step(*_REDUCTIONS)
def reduce(pool: Pool, name: str) -> Step | None:
    function, kinds = _REDUCTIONS[name]
    value = pool.pick(lambda v: "bifc"[v.kind] in kinds)
    if value is None or (name in ("amax", "amin", "mean") and value.array.size == 0):
        return None
    dims, keep = _dims(pool, value), bool(pool.rng.random() < 0.5)
    dtype = "bool" if name in ("any", "all") else value.dtype
    options: dict[str, Any] = {"axis": dims, "keepdims": keep}
    scale = None
    if name == "sum" and value.kind < 2:
        dtype = value.dtype if value.dtype == "uint64" else "int64"
        options["dtype"] = dtype
    elif name in ("sum", "mean"):
        with np.errstate(all="ignore"):
            scale = np.asarray(np.sum(np.abs(value.wide()), axis=dims, keepdims=keep))
            scale = np.where(np.isfinite(scale), scale, 0) / (1 if name == "sum" else _count(value, dims))
    return Step(
        text=f"{value.name}.{name}({dims}, {keep})",
        actual=lambda: getattr(at, name)(value.tensor, dims, keep),
        expected=lambda: function(value.wide(), **options),
        dtype=dtype,
        ulps=8,
        scale=scale,
    )


def _count(value: Value, dims: tuple[int, ...] | None) -> int:
    return int(np.prod([value.shape[d] for d in (range(len(value.shape)) if dims is None else dims)]))


@step()
def cumsum(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: v.kind == 1 and len(v.shape) > 0)
    if value is None:
        return None
    dim = _dim(pool, value)
    dtype = value.dtype if value.dtype == "uint64" else "int64"
    return Step(
        text=f"{value.name}.cumsum({dim})",
        actual=lambda: at.cumsum(value.tensor, dim),
        expected=lambda: np.cumsum(value.array, dim, dtype=dtype),
        dtype=dtype,
    )


@step("sort", "argsort")
def order(pool: Pool, name: str) -> Step | None:
    value = pool.pick(lambda v: v.kind < 3 and len(v.shape) > 0 and v.dtype != "bfloat16")
    if value is None:
        return None
    dim = _dim(pool, value)
    if name == "argsort":
        return Step(
            text=f"{value.name}.argsort({dim}, stable=True)",
            actual=lambda: at.argsort(value.tensor, dim=dim, stable=True),
            expected=lambda: np.argsort(value.array, dim, kind="stable"),
            dtype="int64",
        )
    return Step(
        text=f"{value.name}.sort({dim})[0]",
        actual=lambda: at.sort(value.tensor, dim)[0],
        # NumPy's default sort leaves some float16 out of order (2.4.6 on x86).
        expected=lambda: np.sort(value.array, dim, kind="stable"),
        dtype=value.dtype,
    )


@step("argmax", "argmin")
def arg_extreme(pool: Pool, name: str) -> Step | None:
    value = pool.pick(lambda v: v.kind in (1, 2) and v.array.size > 0 and len(v.shape) > 0 and v.dtype != "bfloat16")
    if value is None:
        return None
    dim, keep = _dim(pool, value), bool(pool.rng.random() < 0.5)
    return Step(
        text=f"{value.name}.{name}({dim}, {keep})",
        actual=lambda: getattr(at, name)(value.tensor, dim, keep),
        expected=lambda: getattr(np, name)(value.array, dim, keepdims=keep),
        dtype="int64",
    )


@step()
def matmul(pool: Pool) -> Step | None:
    left = pool.pick(lambda v: len(v.shape) >= 1 and v.kind in (1, 2) and v.array.size < 20_000)
    if left is None or not np.all(np.isfinite(left.array.astype(np.float64))):
        return None
    columns = int(pool.rng.choice([1, 2, 5, 9, 33]))
    shape = (left.shape[-1], columns) if pool.rng.random() < 0.7 else (left.shape[-1],)
    right = pool.pick(lambda v: v.shape == shape and v.dtype == left.dtype) or pool.fresh(left.dtype, shape)
    if not np.all(np.isfinite(right.array.astype(np.float64))):
        return None
    return Step(
        text=f"{left.name} @ {right.name}",
        actual=lambda: left.tensor @ right.tensor,
        expected=lambda: left.wide() @ right.wide(),
        dtype=left.dtype,
        ulps=4 + left.shape[-1] / 4,
        scale=np.abs(left.array.astype(np.float64)) @ np.abs(right.array.astype(np.float64)),
    )


# ---- views ----


def _view(value: Value, text: str, actual: Callable[[at.Tensor], Any], expected: Callable[[Array], Any]) -> Step:
    return Step(
        text=f"{value.name}{text}",
        actual=lambda: actual(value.tensor),
        expected=lambda: expected(value.array),
        view=True,
    )


@step()
def permute(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: len(v.shape) > 1)
    if value is None:
        return None
    axes = tuple(int(i) for i in pool.rng.permutation(len(value.shape)))
    return _view(value, f".permute({axes})", lambda t: t.permute(axes), lambda a: a.transpose(axes))


@step()
def unsqueeze(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: len(v.shape) < 5)
    if value is None:
        return None
    dim = int(pool.rng.integers(0, len(value.shape) + 1))
    return _view(value, f".unsqueeze({dim})", lambda t: t.unsqueeze(dim), lambda a: np.expand_dims(a, dim))


@step()
def squeeze(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: 1 in v.shape)
    return None if value is None else _view(value, ".squeeze()", lambda t: t.squeeze(), lambda a: a.squeeze())


@step()
def expand(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: v.array.size < 1000)
    if value is None:
        return None
    shape = (int(pool.rng.integers(1, 4)), *(int(pool.rng.integers(2, 4)) if n == 1 else n for n in value.shape))
    return _view(value, f".expand{shape}", lambda t: t.expand(shape), lambda a: np.broadcast_to(a, shape))


@step()
def diagonal(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: len(v.shape) > 1)
    if value is None:
        return None
    offset = int(pool.rng.integers(-1, 2))
    a, b = (int(d) for d in pool.rng.choice(len(value.shape), 2, replace=False))
    if max(value.shape[b] - max(offset, 0), 0) * max(value.shape[a] + min(offset, 0), 0) == 0:
        return None

    def writable(array: Array) -> Array:
        # NumPy's diagonal may be written since its array may; NumPy itself only marks it so from a later version on.
        found = np.diagonal(array, offset, a, b)
        if array.flags.writeable:
            found.flags.writeable = True
        return found

    return _view(value, f".diagonal({offset}, {a}, {b})", lambda t: t.diagonal(offset, a, b), writable)


@step()
def reshape(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: v.array.size > 0)
    if value is None:
        return None
    sizes = list(value.shape)
    if len(sizes) > 1 and pool.rng.random() < 0.7:
        i = int(pool.rng.integers(len(sizes) - 1))
        sizes[i : i + 2] = [sizes[i] * sizes[i + 1]]
    else:
        sizes = [-1]
    return _view(value, f".reshape({sizes})", lambda t: t.reshape(sizes), lambda a: a.reshape(sizes))


def _basic_key(pool: Pool, value: Value) -> tuple[Any, ...]:
    """Slices, integers, ... and None; few enough for the dimensions."""
    key: list[Any] = []
    for size in value.shape[: int(pool.rng.integers(0, len(value.shape) + 1))]:
        choice = pool.rng.random()
        if choice < 0.25 and size > 0:
            key.append(int(pool.rng.integers(-size, size)))
        elif choice < 0.9:
            start, stop = (
                int(i) if pool.rng.random() < 0.7 else None for i in pool.rng.integers(-size - 1, size + 2, 2)
            )
            key.append(slice(start, stop, int(pool.rng.choice([1, 1, 2, 3, -1, -2]))))
        else:
            key.append(slice(None))
    if pool.rng.random() < 0.2 and len(value.shape) < 5:
        key.insert(int(pool.rng.integers(len(key) + 1)), None)
    if pool.rng.random() < 0.2:
        key.append(Ellipsis)
    return tuple(key)


def _index_key(pool: Pool, value: Value) -> tuple[Any, ...] | None:
    """A key with index arrays or a mask; None when no dimension can have one.

    Without integers: beside arrays, NumPy takes them for arrays too, where PyTorch takes them first.
    """
    if 0 in value.shape or not value.shape or len(value.shape) > 4:
        return None
    if pool.rng.random() < 0.3:
        count = int(pool.rng.integers(1, len(value.shape) + 1))
        return (pool.rng.random(value.shape[:count]) < 0.5,)
    shape = (int(pool.rng.integers(1, 4)),) * int(pool.rng.integers(1, 3))
    key: list[Any] = []
    for size in value.shape:
        choice = pool.rng.random()
        if choice < 0.5:
            key.append(pool.rng.integers(-size, size, shape))
        else:
            key.append(slice(None))
    return tuple(key) if any(isinstance(k, np.ndarray) for k in key) else None


def _to_tensors(pool: Pool, key: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(pool.place(k) if isinstance(k, np.ndarray) else k for k in key)


def _key_text(key: tuple[Any, ...]) -> str:
    parts = (k.tolist() if isinstance(k, np.ndarray) else k for k in key)
    return f"[{', '.join(map(repr, parts))}]"


@step()
def getitem(pool: Pool) -> Step | None:
    value = pool.pick()
    if value is None:
        return None
    key = _basic_key(pool, value)
    # An index of integers alone is a number in NumPy, unless it ends in an ellipsis.
    return _view(value, _key_text(key), lambda t: t[key], lambda a: a[(*key, Ellipsis) if Ellipsis not in key else key])


@step()
def getitem_by_index(pool: Pool) -> Step | None:
    value = pool.pick()
    key = _index_key(pool, value) if value is not None else None
    if value is None or key is None:
        return None
    return Step(
        text=f"{value.name}{_key_text(key)}",
        actual=lambda: value.tensor[_to_tensors(pool, key)],
        expected=lambda: np.array(value.array[key]),
        dtype=value.dtype,
    )


@step("setitem", "setitem_by_index")
def assign(pool: Pool, name: str) -> Step | None:
    value = pool.pick(_writable)
    if value is None:
        return None
    key = _basic_key(pool, value) if name == "setitem" else _index_key(pool, value)
    if key is None:
        return None
    region = value.array[key]
    # Writing twice to one element leaves the winner open.
    places = np.arange(value.array.size).reshape(value.shape)[key]
    if np.unique(places).size != np.size(places):
        return None
    if pool.rng.random() < 0.4:
        source: Any = [bool(pool.rng.random() < 0.5), int(pool.rng.integers(0, 9)), 1.5, 1.5 - 2j][value.kind]
        given, text = source, repr(source)
    else:
        other = pool.pick(lambda v: v.dtype == value.dtype and _fits(v.shape, np.shape(region)))
        other = other or pool.fresh(value.dtype, np.shape(region))
        source, given, text = other.array, other.tensor, other.name

    def expected() -> Array:
        result = np.array(value.array)
        result[key] = np.array(source)
        return result

    def actual() -> None:
        value.tensor[_to_tensors(pool, key)] = given

    return Step(text=f"{value.name}{_key_text(key)} = {text}", actual=actual, expected=expected, target=value)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False


@step()
def copy_(pool: Pool) -> Step | None:
    value = pool.pick(_writable)
    if value is None:
        return None
    other = pool.pick(lambda v: v is not value and v.dtype == value.dtype and _fits(v.shape, value.shape))
    if other is None:
        return None
    return Step(
        text=f"{value.name}.copy_({other.name})",
        actual=lambda: value.tensor.copy_(other.tensor),
        expected=lambda: np.array(np.broadcast_to(other.array, value.shape)),
        target=value,
    )


# ---- moving elements ----


@step("cat", "stack")
def join(pool: Pool, name: str) -> Step | None:
    first = pool.pick(lambda v: 0 < len(v.shape) < 5 and v.array.size < 100_000)
    if first is None:
        return None
    same = [v for v in pool.values if v.shape == first.shape]
    parts = [same[int(pool.rng.integers(len(same)))] for _ in range(int(pool.rng.integers(1, 4)))]
    if not _promotes(*(v.dtype for v in parts)):
        return None
    dim, dtype = _dim(pool, first), promote(*(v.dtype for v in parts))
    function: Callable[..., Array] = np.concatenate if name == "cat" else np.stack
    return Step(
        text=f"at.{name}([{', '.join(v.name for v in parts)}], {dim})",
        actual=lambda: getattr(at, name)([v.tensor for v in parts], dim),
        expected=lambda: function([v.array.astype(numpy_dtype(dtype)) for v in parts], dim),
        dtype=dtype,
    )


@step("flip", "roll")
def turn(pool: Pool, name: str) -> Step | None:
    value = pool.pick(lambda v: len(v.shape) > 0)
    if value is None:
        return None
    dim, by = _dim(pool, value), int(pool.rng.integers(-3, 4))
    if name == "roll":
        actual, expected = (lambda: value.tensor.roll(by, dim)), (lambda: np.roll(value.array, by, dim))
    else:
        actual, expected = (lambda: value.tensor.flip(dim)), (lambda: np.array(np.flip(value.array, dim)))
    return Step(text=f"{value.name}.{name}({dim}, {by})", actual=actual, expected=expected)


def _index_dtype(pool: Pool, size: int) -> str:
    names = ["int64", "int64", "int32", *(["int8", "uint8"] if size < 128 else [])]
    return str(pool.rng.choice(names))


@step()
def gather(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: len(v.shape) > 0 and v.array.size > 0)
    if value is None:
        return None
    dim = _dim(pool, value)
    shape = list(value.shape)
    shape[dim] = int(pool.rng.integers(1, 5))
    index = pool.rng.integers(0, value.shape[dim], shape).astype(_index_dtype(pool, value.shape[dim]))
    return Step(
        text=f"{value.name}.gather({dim}, {index.tolist()})",
        actual=lambda: at.gather(value.tensor, dim, pool.place(index)),
        expected=lambda: np.take_along_axis(value.array, index, dim),
    )


@step()
def scatter(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: len(v.shape) > 0 and v.array.size > 0)
    if value is None:
        return None
    dim = _dim(pool, value)
    # Each place once: writing twice to one element leaves the winner open.
    lines = np.moveaxis(value.array, dim, -1).shape
    index = np.moveaxis(pool.rng.permuted(np.broadcast_to(np.arange(lines[-1]), lines), axis=-1), -1, dim)
    index = index.take(range(int(pool.rng.integers(1, min(value.shape[dim], 4) + 1))), dim)
    index = index.astype(_index_dtype(pool, value.shape[dim]))
    source = pool.fresh(value.dtype, index.shape)

    def expected() -> Array:
        result = np.array(value.array)
        np.put_along_axis(result, index.astype(np.int64), source.array, dim)
        return result

    return Step(
        text=f"{value.name}.scatter({dim}, {index.tolist()}, {source.name})",
        actual=lambda: at.scatter(value.tensor, dim, pool.place(index), source.tensor),
        expected=expected,
    )


@step()
def index_add(pool: Pool) -> Step | None:
    value = pool.pick(lambda v: v.kind == 1 and len(v.shape) > 0 and v.array.size > 0)
    if value is None:
        return None
    dim = _dim(pool, value)
    index = pool.rng.integers(0, value.shape[dim], int(pool.rng.integers(1, 5)))
    shape = list(value.shape)
    shape[dim] = len(index)
    source = pool.fresh(value.dtype, tuple(shape))

    def expected() -> Array:
        result = np.array(value.array)
        np.add.at(np.moveaxis(result, dim, 0), index, np.moveaxis(source.array, dim, 0))
        return result

    return Step(
        text=f"{value.name}.index_add({dim}, {index.tolist()}, {source.name})",
        actual=lambda: value.tensor.index_add(dim, pool.place(index), source.tensor),
        expected=expected,
    )


@step("real", "imag")
def part(pool: Pool, name: str) -> Step | None:
    value = pool.pick(lambda v: v.kind == 3)
    if value is None:
        return None
    return Step(
        text=f"at.{name}({value.name})",
        actual=lambda: at.clone(getattr(at, name)(value.tensor)),
        expected=lambda: np.array(getattr(np, name)(value.array)),
        dtype=real_of(value.dtype),
    )
