"""Steps that write: in place, by index, into views; and their forms that make a new tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._convert import Array
from ._gradient_program import Step
from ._gradient_steps import Drawer, _broadcasts, _key_text, basic_key, convert_key, index_key, maker

_UNARY = ("sin_", "tanh_", "exp_", "neg_", "square_", "sigmoid_", "zero_", "t_", "cos_", "conj_")


@maker(2)
def copied(d: Drawer) -> Step | None:
    """What later steps may change without spoiling what others have saved."""
    slot = d.pick()
    return None if slot is None else Step("{0}.clone()", (slot,), lambda w, x: x.clone())


@maker(2)
def unary_in_place(d: Drawer) -> Step | None:
    name, slot = d.choice(_UNARY), d.pick()
    if slot is None:
        return None
    return Step(f"{{0}}.{name}()", (slot,), lambda w, x: getattr(x, name)(), in_place=True)


@maker(3)
def binary_in_place(d: Drawer) -> Step | None:
    name, left = d.choice(["add_", "sub_", "mul_", "div_", "copy_"]), d.pick()
    right = None if left is None else d.pick(lambda a: _into(a, d.arrays[left]))
    if left is None or right is None:
        return None
    return Step(f"{{0}}.{name}({{1}})", (left, right), lambda w, x, y: getattr(x, name)(y), in_place=True)


@maker()
def ternary_in_place(d: Drawer) -> Step | None:
    name, first = d.choice(["addcmul_", "lerp_"]), d.pick()
    if first is None:
        return None
    second, third = (d.pick(lambda a: _into(a, d.arrays[first]) and a.dtype == d.arrays[first].dtype) for _ in range(2))
    if second is None or third is None:
        return None
    run = lambda w, x, y, z: getattr(x, name)(y, z)  # noqa: E731
    return Step(f"{{0}}.{name}({{1}}, {{2}})", (first, second, third), run, in_place=True)


@maker(3)
def setitem(d: Drawer) -> Step | None:
    target = d.pick(lambda a: a.ndim > 0)
    if target is None:
        return None
    array = d.arrays[target]
    key = basic_key(d, array) if d.chance(0.4) else index_key(d, array, unique=True)
    if key is None:
        return None
    place = array[key]
    value = None if d.chance(0.2) else d.pick(lambda a: _into(a, place))
    text = f"{{0}}[{_key_text(key)}] = "

    def run(w: Any, x: Any, y: Any = 0.5) -> None:
        x[convert_key(w, key)] = y

    if value is None:
        return Step(text + "0.5", (target,), run, in_place=True)
    return Step(text + "{1}", (target, value), run, in_place=True)


@maker(2)
def index_put(d: Drawer) -> Step | None:
    target, accumulate = d.pick(lambda a: a.ndim > 0), d.chance(0.5)
    key = None if target is None else index_key(d, d.arrays[target], unique=not accumulate)
    if target is None or key is None or not isinstance(key[0], np.ndarray):
        return None
    place = d.arrays[target][key]
    value = d.pick(lambda a: _into(a, place) and a.dtype == d.arrays[target].dtype)
    if value is None:
        return None
    name = d.choice(["index_put", "index_put_"])
    text = f"{{0}}.{name}(({_key_text(key)},), {{1}}, {accumulate})"
    run = lambda w, x, y: getattr(x, name)(convert_key(w, key), y, accumulate)  # noqa: E731
    return Step(text, (target, value), run, in_place=name.endswith("_"))


@maker(2)
def along_dim(d: Drawer) -> Step | None:
    """index_add, index_copy, scatter and scatter_add, in both forms."""
    target = d.pick(lambda a: a.ndim > 0)
    source = None if target is None else d.pick(lambda a: _same_but_dtype(a, d.arrays[target]))
    if target is None or source is None:
        return None
    array, dim = d.arrays[target], d.dim(d.arrays[target])
    size = array.shape[dim]
    name = d.choice(["index_add", "index_copy", "scatter", "scatter_add"])
    if name.startswith("scatter"):
        index = d.index(size, array.shape, negative=False)
        if name == "scatter":  # no place twice
            order = np.argsort(d.rng.random(array.shape), axis=dim)
            index = np.asarray(order)
    else:
        index = d.rng.permutation(size) if name == "index_copy" else d.index(size, (size,), negative=False)
    name += d.choice(["", "_"])
    text = f"{{0}}.{name}({dim}, {index.tolist()}, {{1}})"
    run = lambda w, x, y: getattr(x, name)(dim, w.constant(index), y)  # noqa: E731
    return Step(text, (target, source), run, in_place=name.endswith("_"))


@maker()
def reduced_scatter(d: Drawer) -> Step | None:
    target = d.pick(lambda a: a.ndim > 0 and a.dtype.kind == "f")
    source = None if target is None else d.pick(lambda a: _same_but_dtype(a, d.arrays[target]))
    if target is None or source is None:
        return None
    dim = d.dim(d.arrays[target])
    index = d.index(d.arrays[target].shape[dim], d.arrays[target].shape, negative=False)
    how, own = d.choice(["sum", "prod", "mean", "amax", "amin"]), d.chance(0.6)
    text = f"{{0}}.scatter_reduce({dim}, {index.tolist()}, {{1}}, {how!r}, include_self={own})"
    run = lambda w, x, y: x.scatter_reduce(dim, w.constant(index), y, how, include_self=own)  # noqa: E731
    return Step(text, (target, source), run)


@maker()
def masked(d: Drawer) -> Step | None:
    target, name = d.pick(), d.choice(["masked_fill", "masked_fill_", "masked_scatter", "masked_scatter_"])
    if target is None:
        return None
    array = d.arrays[target]
    mask = d.rng.random(array.shape) < 0.5
    if name.startswith("masked_fill"):
        text = f"{{0}}.{name}({mask.tolist()}, 0.5)"
        run: Any = lambda w, x: getattr(x, name)(w.constant(mask), 0.5)  # noqa: E731
        return Step(text, (target,), run, in_place=name.endswith("_"))
    source = d.pick(lambda a: a.dtype == array.dtype and a.size >= mask.sum())
    if source is None:
        return None
    run = lambda w, x, y: getattr(x, name)(w.constant(mask), y)  # noqa: E731
    return Step(f"{{0}}.{name}({mask.tolist()}, {{1}})", (target, source), run, in_place=name.endswith("_"))


@maker()
def region(d: Drawer) -> Step | None:
    """select_scatter and diagonal_scatter: a copy with one view of it replaced."""
    target = d.pick(lambda a: a.ndim > 1)
    if target is None:
        return None
    array = d.arrays[target]
    arguments: tuple[int, ...]
    if d.chance(0.5):
        dim = d.dim(array)
        i = int(d.rng.integers(array.shape[dim]))
        shape = np.take(array, i, dim).shape
        text, arguments, name = f"{dim}, {i}", (dim, i), "select_scatter"
    else:
        shape = np.diagonal(array, 0, -2, -1).shape
        text, arguments, name = "0, -2, -1", (0, -2, -1), "diagonal_scatter"
    source = d.pick(lambda a: a.shape == shape and a.dtype == array.dtype)
    if source is None:
        return None
    run = lambda w, x, y: getattr(x, name)(y, *arguments)  # noqa: E731
    return Step(f"{{0}}.{name}({{1}}, {text})", (target, source), run)


def _same_but_dtype(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype


def _into(value: Array, place: Array) -> bool:
    """Whether value can be written there without changing the place's shape or dropping imaginary parts."""
    if value.dtype.kind == "c" and place.dtype.kind != "c":
        return False
    return _broadcasts(value, place) and np.broadcast_shapes(value.shape, place.shape) == place.shape
