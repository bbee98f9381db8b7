"""Steps from the specifications: any differentiable op, at points of its domain that depend on the program's values.

The arguments are those of a smooth sample, each moved by a little of what a slot holds: so the values stay where the op
is smooth, and gradients flow through it in the middle of a program.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

import atled.core as at
from atled.core._ops import NAMESPACES

from .. import specs
from .._convert import Array
from .._spec import OpSpec
from ._gradient_program import Step
from ._gradient_steps import Drawer, maker

_MOVE = 0.02  # by how much of a sample's magnitude


@cache
def _specs() -> list[OpSpec]:
    """Those with a gradient and defined values: without random ones."""
    return [spec for spec in specs.find_all(NAMESPACES) if spec.differentiable and spec.name not in _RANDOM]


_RANDOM = {"bernoulli", "dropout", "normal", "rrelu", "uniform_", "normal_"}


@cache
def _samples(number: int, dtype: str) -> list[Any]:
    spec = _specs()[number]
    return list(spec.draw(dtype, smooth=True)) if dtype in spec.dtypes else []


class Moved:
    """A sample's array, moved by a slot's values."""

    def __init__(self, d: Drawer, array: Array, slot: int) -> None:
        self.array, self.slot = array, slot
        values = d.arrays[slot]
        self.places = np.arange(array.size) % values.size
        size = float(np.mean(np.abs(array))) if array.size else 1.0
        self.scale = _MOVE * size / max(1.0, float(np.max(np.abs(values))))

    def tensor(self, w: Any, value: Any) -> Any:
        """The argument itself."""
        flat = w.call("index_select", value.reshape(-1), 0, w.constant(self.places))
        if self.array.dtype.kind != "c" and "complex" in str(value.dtype):
            flat = flat.real
        return w.constant(self.array) + flat.reshape(self.array.shape) * self.scale


def _wanted(spec: OpSpec, name: str, value: Any) -> bool:
    chosen = spec.differentiable is True or name in spec.differentiable  # type: ignore[operator]
    return chosen and isinstance(value, np.ndarray) and value.dtype.name in ("float64", "complex128")


def _place(d: Drawer, spec: OpSpec, name: str, value: Any, moved: list[Moved]) -> Callable[..., Any]:
    """What gets the world and the moved tensors, and answers the argument."""
    if isinstance(value, (list, tuple)) and any(isinstance(entry, np.ndarray) for entry in value):
        places = [_place(d, spec, name, entry, moved) for entry in value]
        return lambda w, tensors: [place(w, tensors) for place in places]
    if not isinstance(value, np.ndarray):
        fixed = getattr(at, value) if name == "dtype" and isinstance(value, str) else value
        return lambda w, tensors: fixed
    slot = d.pick() if _wanted(spec, name, value) else None
    if slot is None:
        return lambda w, tensors: w.constant(value)
    moved.append(Moved(d, value, slot))
    k = len(moved) - 1
    return lambda w, tensors: tensors[k]


@maker(12)
def any_op(d: Drawer) -> Step | None:
    which = int(d.rng.integers(len(_specs())))
    spec, found = _specs()[which], _samples(which, d.choice(["float64", "float64", "complex128"]))
    if not found:
        return None
    number = int(d.rng.integers(len(found)))
    sample = found[number]
    names = [name for name, *_ in spec.op.args]
    moved: list[Moved] = []
    args = [_place(d, spec, names[min(i, len(names) - 1)], value, moved) for i, value in enumerate(sample.args)]
    kwargs = {name: _place(d, spec, name, value, moved) for name, value in sample.kwargs.items()}
    if not moved:
        return None
    output = int(d.rng.integers(4))

    def run(w: Any, *values: Any) -> Any:
        tensors = [entry.tensor(w, value) for entry, value in zip(moved, values, strict=True)]
        made, named = [place(w, tensors) for place in args], {name: place(w, tensors) for name, place in kwargs.items()}
        if "mutates" in spec.op.traits:
            made[0] = made[0] * 1
        call: Any = partial(w.call, f"{spec.ns}::{spec.op.name}")
        result = spec.through(call, *made, **named) if spec.through else call(*made, **named)
        listed = [t for t in (result if isinstance(result, (list, tuple)) else [result]) if "int" not in str(t.dtype)]
        recorded = [t for t in listed if t.requires_grad] or listed  # without those that are marked as constant
        return recorded[output % len(recorded)] if recorded else result

    text = ", ".join(f"moved by {{{k}}}" for k in range(len(moved)))
    return Step(f"{spec.ns}::{spec.op.name}(sample {number}, {text})", tuple(entry.slot for entry in moved), run)
