"""Drawing programs whose gradients are compared: leaves, and steps that compute, make views, and write in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

import atled.core as at

from .._convert import Array
from .._layouts import LAYOUTS
from ._gradient_program import Atled, Leaf, Program, Step, numbers

_LARGEST = 200  # elements of a value
_HIGHEST = 20.0  # its magnitude
_SHAPES = ((), (3,), (4,), (2, 3), (3, 3), (4, 2), (1, 3), (3, 1), (2, 3, 2), (2, 2, 2), (1, 2, 3))

Maker = Callable[["Drawer"], Step | None]
MAKERS: list[Maker] = []


def maker(weight: int = 1) -> Callable[[Maker], Maker]:
    """Registers a maker of steps, to be drawn so many times as often."""

    def register(function: Maker) -> Maker:
        MAKERS.extend([function] * weight)
        return function

    return register


class Drawer:
    """A program under construction: its slots hold what they do at its end."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([seed, 7])
        leaves = []
        for slot in range(int(self.rng.integers(2, 4))):
            layout = int(self.rng.integers(-2, len(LAYOUTS)))
            leaves.append(Leaf(slot, self.numbers(self.shape(), self.chance(0.35)), max(layout, -1)))
        self.program = Program(seed, tuple(leaves))
        self.next = len(leaves)
        self.arrays = {leaf.slot: leaf.array for leaf in leaves}

    def shape(self) -> tuple[int, ...]:
        """A small shape."""
        return _SHAPES[int(self.rng.integers(len(_SHAPES)))]

    def chance(self, p: float) -> bool:
        """True with that probability."""
        return bool(self.rng.random() < p)

    def choice(self, options: Sequence[Any]) -> Any:
        """One of the options."""
        return options[int(self.rng.integers(len(options)))]

    def numbers(self, shape: tuple[int, ...], is_complex: bool) -> Array:
        """Numbers between -2 and 2, in each part of complex ones."""
        values = self.rng.uniform(-2, 2, shape)
        return np.asarray(values + 1j * self.rng.uniform(-2, 2, shape) if is_complex else values)

    def pick(self, fits: Callable[[Array], bool] = lambda array: True) -> int | None:
        """A slot that fits, a later one more often than not."""
        found = [slot for slot, array in self.arrays.items() if fits(array)]
        if not found:
            return None
        first, second = self.choice(found), self.choice(found)
        return int(max(first, second))

    def dim(self, array: Array) -> int:
        """A dimension, counted from either end."""
        return int(self.rng.integers(-array.ndim, array.ndim))

    def index(self, size: int, shape: tuple[int, ...], *, negative: bool = True) -> Array:
        """Indices into a dimension, some of them equal."""
        return np.asarray(self.rng.integers(-size if negative else 0, size, shape))

    def add(self, step: Step) -> bool:
        """Takes a step if its result is finite and small and the tape can follow it."""
        step = replace(step, slot=-1 if step.in_place else self.next)
        candidate = replace(self.program, steps=(*self.program.steps, step))
        arrays = [leaf.array for leaf in candidate.leaves]
        try:
            _, slots = candidate.values(Atled(), arrays)
            if step.in_place:
                candidate.loss(Atled(), slots).backward()
        except at.AtledError:
            return False  # shapes that do not fit, or a change that the tape has to refuse
        results = {slot: numbers(value) for slot, value in slots.items()}
        if not all(_sane(array) for array in results.values()):
            return False
        self.program, self.arrays = candidate, results
        self.next += not step.in_place
        return True


def _sane(array: Array) -> bool:
    return (
        array.dtype.name in ("float64", "complex128")
        and 0 < array.size <= _LARGEST
        and bool(np.all(np.isfinite(array)))
        and float(np.max(np.abs(array))) <= _HIGHEST
    )


def draw_program(seed: int, steps: int) -> Program:
    """The program of that seed."""
    from . import _gradient_ops, _gradient_writes  # noqa: F401 - their makers

    drawer = Drawer(seed)
    for _ in range(20 * steps):
        if len(drawer.program.steps) >= steps:
            break
        step = drawer.choice(MAKERS)(drawer)
        if step is not None:
            drawer.add(step)
    return drawer.program


# ---- element by element ----

_UNARY = [
    "sin",
    "cos",
    "tanh",
    "exp",
    "square",
    "neg",
    "sinh",
    "cosh",
    "atan",
    "asinh",
    "sigmoid",
    "erf",
    "expm1",
    "conj",
    "positive",
    "log_sigmoid",
]
_SCALED = {"mul": (-1.5, 1.5), "add": (-2, 2), "sub": (-2, 2), "div": (0.5, 2)}


@maker(3)
def unary(d: Drawer) -> Step | None:
    name, slot = d.choice(_UNARY), d.pick()
    if slot is None or not hasattr(at, name):
        return None
    return Step(f"at.{name}({{0}})", (slot,), lambda w, x: w.call(name, x))


@maker(3)
def binary(d: Drawer) -> Step | None:
    name, left = d.choice(["add", "sub", "mul", "div", "mul", "add"]), d.pick()
    right = None if left is None else d.pick(lambda a: _broadcasts(d.arrays[left], a))
    if left is None or right is None:
        return None
    return Step(f"at.{name}({{0}}, {{1}})", (left, right), lambda w, x, y: w.call(name, x, y))


@maker()
def with_a_number(d: Drawer) -> Step | None:
    name, slot = d.choice(list(_SCALED)), d.pick()
    if slot is None:
        return None
    number: Any = round(float(d.rng.uniform(*_SCALED[name])), 3)
    if d.arrays[slot].dtype.kind == "c" and d.chance(0.5):
        number = complex(number, 0.5)
    if d.chance(0.3):
        return Step(
            f"at.{name}({number}, {{0}})", (slot,), lambda w, x: w.call(name, w.constant(np.asarray(number)), x)
        )
    return Step(f"at.{name}({{0}}, {number})", (slot,), lambda w, x: w.call(name, x, number))


@maker()
def power(d: Drawer) -> Step | None:
    slot, exponent = d.pick(), d.choice([0, 1, 2, 3, -1, 2.5, 0.5])
    singular = exponent == -1 or exponent % 1 != 0
    if slot is None or (singular and float(np.min(np.abs(d.arrays[slot]))) < 0.05):
        return None
    return Step(f"at.pow({{0}}, {exponent})", (slot,), lambda w, x: w.call("pow", x, exponent))


@maker()
def extreme(d: Drawer) -> Step | None:
    name, left = d.choice(["maximum", "minimum", "atan2", "hypot", "logaddexp"]), d.pick(_is_real)
    right = None if left is None else d.pick(lambda a: _is_real(a) and _broadcasts(d.arrays[left], a))
    if left is None or right is None:
        return None
    return Step(f"at.{name}({{0}}, {{1}})", (left, right), lambda w, x, y: w.call(name, x, y))


@maker()
def where(d: Drawer) -> Step | None:
    left = d.pick()
    right = None if left is None else d.pick(lambda a: _broadcasts(d.arrays[left], a))
    if left is None or right is None:
        return None
    shape = np.broadcast_shapes(d.arrays[left].shape, d.arrays[right].shape)
    mask = d.rng.random(shape) < 0.5
    text = f"at.where({mask.tolist()}, {{0}}, {{1}})"
    return Step(text, (left, right), lambda w, x, y: w.call("where", w.constant(mask), x, y))


@maker()
def parts(d: Drawer) -> Step | None:
    slot = d.pick(lambda a: a.dtype.kind == "c")
    if slot is None:
        return None
    name = d.choice(["real", "imag", "view_as_real", "abs", "angle"])
    return Step(f"at.{name}({{0}})", (slot,), lambda w, x: w.call(name, x))


@maker()
def whole(d: Drawer) -> Step | None:
    left = d.pick(_is_real)
    right = None if left is None else d.pick(lambda a: _is_real(a) and a.shape == d.arrays[left].shape)
    if left is None or right is None:
        return None
    return Step("at.complex({0}, {1})", (left, right), lambda w, x, y: w.call("complex", x, y))


@maker()
def pairs(d: Drawer) -> Step | None:
    slot = d.pick(lambda a: _is_real(a) and a.ndim > 0 and a.shape[-1] == 2)
    return None if slot is None else Step("at.view_as_complex({0})", (slot,), lambda w, x: w.call("view_as_complex", x))


# ---- reductions, scans, products ----


@maker(2)
def reduction(d: Drawer) -> Step | None:
    slot = d.pick()
    if slot is None:
        return None
    array, keep = d.arrays[slot], d.chance(0.5)
    names = ["sum", "mean", "sum"] if array.dtype.kind == "c" else ["sum", "mean", "amax", "amin", "logsumexp"]
    name = d.choice(names)
    count = int(d.rng.integers(1, array.ndim + 1)) if array.ndim else 0
    dims = tuple(int(i) for i in d.rng.choice(array.ndim, count, replace=False)) if count else ()
    if not dims:
        return None
    return Step(f"at.{name}({{0}}, {dims}, {keep})", (slot,), lambda w, x: w.call(name, x, dims, keep))


@maker()
def along_one(d: Drawer) -> Step | None:
    slot = d.pick(lambda a: a.ndim > 0)
    if slot is None:
        return None
    array = d.arrays[slot]
    names = ["cumsum", "cumprod", "prod"]
    names += [] if array.dtype.kind == "c" else ["softmax", "log_softmax", "var", "std", "logcumsumexp"]
    name, dim = d.choice(names), d.dim(array)
    if name == "std" and float(np.min(np.std(array, dim))) < 0.05:
        return None
    return Step(f"at.{name}({{0}}, {dim})", (slot,), lambda w, x: w.call(name, x, dim))


@maker()
def first_of(d: Drawer) -> Step | None:
    name, slot = d.choice(["sort", "cummax", "cummin", "median"]), d.pick(lambda a: _is_real(a) and a.ndim > 0)
    if slot is None:
        return None
    dim = d.dim(d.arrays[slot])
    return Step(f"at.{name}({{0}}, {dim})[0]", (slot,), lambda w, x: w.call(name, x, dim)[0])


@maker(2)
def product(d: Drawer) -> Step | None:
    left = d.pick(lambda a: a.ndim > 0)
    if left is None:
        return None
    a = d.arrays[left]
    right = d.pick(lambda b: b.ndim > 0 and b.dtype == a.dtype and b.shape[-2 if b.ndim > 1 else 0] == a.shape[-1])
    if right is None:
        return None
    return Step("at.matmul({0}, {1})", (left, right), lambda w, x, y: w.call("matmul", x, y))


@maker()
def outer(d: Drawer) -> Step | None:
    left, right = d.pick(lambda a: a.ndim == 1), d.pick(lambda a: a.ndim == 1)
    if left is None or right is None:
        return None
    return Step("at.outer({0}, {1})", (left, right), lambda w, x, y: w.call("outer", x, y))


@maker()
def joined(d: Drawer) -> Step | None:
    left = d.pick(lambda a: a.ndim > 0)
    right = None if left is None else d.pick(lambda a: a.shape == d.arrays[left].shape)
    if left is None or right is None:
        return None
    name, dim = d.choice(["cat", "stack"]), d.dim(d.arrays[left])
    return Step(f"at.{name}([{{0}}, {{1}}], {dim})", (left, right), lambda w, x, y: w.call(name, [x, y], dim))


# ---- views and reading by index ----


@maker(3)
def view(d: Drawer) -> Step | None:
    slot = d.pick(lambda a: a.ndim > 0)
    if slot is None:
        return None
    found = d.choice(_VIEWS)(d, d.arrays[slot])
    if found is None:
        return None
    text, run = found
    return Step("{0}" + text, (slot,), lambda w, x: run(x))


View = tuple[str, Callable[[Any], Any]]


def _permute(d: Drawer, a: Array) -> View | None:
    order = tuple(int(i) for i in d.rng.permutation(a.ndim))
    return f".permute({order})", lambda x: x.permute(order)


def _reshape(d: Drawer, a: Array) -> View | None:
    shape = d.choice([(-1,), (1, -1), (a.shape[-1], -1), tuple(reversed(a.shape))])
    return f".reshape({shape})", lambda x: x.reshape(shape)


def _select(d: Drawer, a: Array) -> View | None:
    dim = d.dim(a)
    i = int(d.rng.integers(-a.shape[dim], a.shape[dim]))
    return f".select({dim}, {i})", lambda x: x.select(dim, i)


def _slice(d: Drawer, a: Array) -> View | None:
    key = basic_key(d, a)
    return f"[{_key_text(key)}]", lambda x: x[key]


def _unsqueeze(d: Drawer, a: Array) -> View | None:
    dim = d.dim(a)
    return f".unsqueeze({dim})", lambda x: x.unsqueeze(dim)


def _diagonal(d: Drawer, a: Array) -> View | None:
    offset = d.choice([0, 0, 1, -1])
    return (f".diagonal({offset}, -2, -1)", lambda x: x.diagonal(offset, -2, -1)) if a.ndim > 1 else None


def _expand(d: Drawer, a: Array) -> View | None:
    shape = (2, *(3 if n == 1 else n for n in a.shape))
    return f".expand({shape})", lambda x: x.expand(shape)


def _unfold(d: Drawer, a: Array) -> View | None:
    dim, size = d.dim(a), 2
    return (f".unfold({dim}, 2, 1)", lambda x: x.unfold(dim, 2, 1)) if a.shape[dim] >= size else None


def _flip(d: Drawer, a: Array) -> View | None:
    dim = d.dim(a)
    return f".flip({dim})", lambda x: x.flip(dim)


def _split(d: Drawer, a: Array) -> View | None:
    dim = d.dim(a)
    return f".split(1, {dim})[-1]", lambda x: x.split(1, dim)[-1]


_VIEWS: list[Callable[[Drawer, Array], View | None]] = [
    _permute, _reshape, _select, _slice, _slice, _unsqueeze, _diagonal, _expand, _unfold, _flip, _split,
]  # fmt: skip


def basic_key(d: Drawer, a: Array) -> tuple[Any, ...]:
    """Slices, integers and None for the first dimensions of an array."""
    key: list[Any] = []
    for size in a.shape[: int(d.rng.integers(1, a.ndim + 1))] if a.ndim else ():
        if d.chance(0.3):
            key.append(int(d.rng.integers(-size, size)))
        else:
            start = int(d.rng.integers(0, size))
            key.append(slice(start, None, d.choice([1, 1, 2])))
    return tuple(key) or (Ellipsis,)


def _key_text(key: tuple[Any, ...]) -> str:
    parts = [k.tolist() if isinstance(k, np.ndarray) else k for k in key]
    return ", ".join(f"{k.start}::{k.step}" if isinstance(k, slice) else "..." if k is ... else str(k) for k in parts)


def index_key(d: Drawer, a: Array, *, unique: bool) -> tuple[Any, ...] | None:
    """A mask, or an array of indices for one dimension."""
    if a.ndim == 0:
        return None
    if d.chance(0.4):
        return (d.rng.random(a.shape[: int(d.rng.integers(1, a.ndim + 1))]) < 0.6,)
    lead = int(d.rng.integers(0, a.ndim))
    size = a.shape[lead]
    found = (
        d.rng.permutation(size)[: int(d.rng.integers(1, size + 1))] if unique else d.index(size, (d.choice([2, 4]),))
    )
    return (*(slice(None),) * lead, np.asarray(found))


def convert_key(w: Any, key: tuple[Any, ...]) -> tuple[Any, ...]:
    """The key with tensors for arrays."""
    return tuple(w.constant(k) if isinstance(k, np.ndarray) else k for k in key)


@maker(2)
def by_index(d: Drawer) -> Step | None:
    slot = d.pick(lambda a: a.ndim > 0)
    key = None if slot is None else index_key(d, d.arrays[slot], unique=False)
    if slot is None or key is None:
        return None
    return Step(f"{{0}}[{_key_text(key)}]", (slot,), lambda w, x: x[convert_key(w, key)])


@maker()
def gather(d: Drawer) -> Step | None:
    slot = d.pick(lambda a: a.ndim > 0)
    if slot is None:
        return None
    a = d.arrays[slot]
    dim = d.dim(a)
    name = d.choice(["gather", "index_select", "take"])
    if name == "gather":
        index = d.index(a.shape[dim], a.shape, negative=False)
    else:
        index = d.index(a.size if name == "take" else a.shape[dim], (3,), negative=False)
    arguments = () if name == "take" else (dim,)
    text = f"at.{name}({{0}}, {', '.join(map(str, [*arguments, index.tolist()]))})"
    return Step(text, (slot,), lambda w, x: w.call(name, x, *arguments, w.constant(index)))


def _is_real(a: Array) -> bool:
    return a.dtype.kind == "f"


def _broadcasts(a: Array, b: Array) -> bool:
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        return False
    return True
