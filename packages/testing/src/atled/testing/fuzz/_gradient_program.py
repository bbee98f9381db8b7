"""Programs whose gradients are compared: what they are made of, and how they run on atled or on another library."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

import atled.core as at

from .._convert import Array, from_numpy, to_numpy
from .._layouts import LAYOUTS

Tensor = Any  # of the world that the program runs in


class World(Protocol):
    """A library that programs run in."""

    def call(self, op: str, *args: Any, **kwargs: Any) -> Any:
        """Calls the op of that qualified name; one without a namespace is core's."""

    def constant(self, array: Array) -> Tensor:
        """A tensor without gradient."""

    def leaf(self, array: Array, layout: int) -> Tensor:
        """A tensor that requires grad, in one of the memory orders of `atled.testing`."""


class Atled:
    """atled itself, on one device."""

    def __init__(self, device: str = "cpu") -> None:
        self.device = device

    def call(self, op: str, *args: Any, **kwargs: Any) -> Any:
        """Through ``at.ops``, or the public function where there is one of core's."""
        ns, _, name = op.rpartition("::")
        return (getattr(getattr(at.ops, ns), name) if ns else getattr(at, name))(*args, **kwargs)

    def constant(self, array: Array) -> Tensor:
        """A copy."""
        return from_numpy(array, self.device)

    def leaf(self, array: Array, layout: int) -> Tensor:
        """layout: the number of one of `LAYOUTS`, or -1 for a contiguous tensor."""
        make = from_numpy if layout < 0 else LAYOUTS[layout]
        return make(array, self.device).requires_grad_()


@dataclass(frozen=True)
class Step:
    """One step: ``run(world, *values)`` gets the values in the slots `reads`, and answers a new one.

    With `in_place` it changes the first of them and answers nothing. `text` has {0}, {1}, ... for the values.
    """

    text: str
    reads: tuple[int, ...]
    run: Callable[..., Any]
    in_place: bool = False
    slot: int = -1

    def __str__(self) -> str:
        call = self.text.format(*(f"v{slot}" for slot in self.reads))
        return call if self.in_place else f"v{self.slot} = {call}"


@dataclass(frozen=True)
class Leaf:
    """A tensor to differentiate in."""

    slot: int
    array: Array
    layout: int = -1

    def __str__(self) -> str:
        return f"v{self.slot}: {self.array.dtype.name}{list(self.array.shape)}, layout {self.layout}"


@dataclass(frozen=True)
class Program:
    """Leaves and steps; the loss is a weighted sum of the elements in all slots, or in those of `only`."""

    seed: int
    leaves: tuple[Leaf, ...]
    steps: tuple[Step, ...] = ()
    only: int | None = None
    constants: dict[int, Array] = field(default_factory=dict)  # weights by slot
    device: str = "cpu"

    def __str__(self) -> str:
        loss = "all" if self.only is None else f"v{self.only}"
        return "\n  ".join([*map(str, self.leaves), *map(str, self.steps), f"loss: weighted sum of {loss}"])

    def weights(self, slot: int, shape: tuple[int, ...], is_complex: bool) -> Array:
        """The weights of a slot's elements: the same ones in each run of the program and of those made from it."""
        found = self.constants.get(slot)
        if found is None or found.shape != shape:
            rng = np.random.default_rng([self.seed, slot + 1000])
            found = np.asarray(rng.uniform(-1, 1, shape) + 1j * rng.uniform(-1, 1, shape))
            self.constants[slot] = found
        return found if is_complex else np.asarray(found.real)

    def values(self, world: World, arrays: Iterable[Array]) -> tuple[list[Tensor], dict[int, Tensor]]:
        """The leaves with these values, and all slots at the end of the program."""
        leaves = [world.leaf(array, leaf.layout) for leaf, array in zip(self.leaves, arrays, strict=True)]
        slots = {leaf.slot: tensor for leaf, tensor in zip(self.leaves, leaves, strict=True)}
        for step in self.steps:
            result = step.run(world, *(slots[slot] for slot in step.reads))
            if not step.in_place:
                slots[step.slot] = result
        return leaves, slots

    def loss(self, world: World, slots: dict[int, Tensor]) -> Tensor:
        """Re⟨weights, values⟩, summed over the slots."""
        total: Any = None
        for slot, value in slots.items():
            if self.only is not None and slot != self.only:
                continue
            is_complex = "complex" in str(value.dtype)
            weights = world.constant(self.weights(slot, tuple(value.shape), is_complex))
            product = value * weights.conj() if is_complex else value * weights
            part = (product.real if is_complex else product).sum()
            total = part if total is None else total + part
        return total

    def without(self, i: int) -> Program:
        """The program without step i and all that need its result."""
        gone = set() if self.steps[i].in_place else {self.steps[i].slot}
        kept = []
        for k, step in enumerate(self.steps):
            if k == i:
                continue
            if gone.isdisjoint(step.reads):
                kept.append(step)
            elif not step.in_place:
                gone.add(step.slot)
        return replace(self, steps=tuple(kept))


def numbers(tensor: at.Tensor) -> Array:
    """The values of a tensor with or without history."""
    return to_numpy(tensor.detach())
