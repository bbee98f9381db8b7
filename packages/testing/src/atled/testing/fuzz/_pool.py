"""The tensors of a program, each beside the NumPy array that says what it must hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import atled.core as at

from .._convert import ALL, Array, category, from_numpy, numpy_dtype, real_of, to_numpy

_LIMIT = 12  # tensors alive at a time
_FAVOURITES = ("float32", "float32", "float32", "float64", "int64", "int64", "bool")
_SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0)


@dataclass(eq=False)
class Value:
    """A tensor, and an array that shares memory with the arrays of those tensors that this one shares memory with."""

    name: str
    tensor: at.Tensor
    array: Array

    @property
    def dtype(self) -> str:
        """The dtype's name."""
        return self.array.dtype.name

    @property
    def kind(self) -> int:
        """0 for bool, 1 for integers, 2 for floats, 3 for complex."""
        return category(self.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.array.shape

    def wide(self) -> Array:
        """A copy of the values in the widest dtype of their kind."""
        wide: Any = np.complex128 if self.kind == 3 else np.float64 if self.kind == 2 else self.array.dtype
        return np.array(self.array, dtype=wide)


class Pool:
    """The values of one program, all on one device."""

    def __init__(self, rng: np.random.Generator, device: str = "cpu") -> None:
        self.rng = rng
        self.device = device
        self.values: list[Value] = []
        self.count = 0

    def dtype(self) -> str:
        """A dtype, the common ones more often."""
        return str(self.rng.choice(_FAVOURITES if self.rng.random() < 0.7 else ALL))

    def shape(self) -> tuple[int, ...]:
        """A shape of up to four dimensions, now and then long enough for threads or empty."""
        if self.rng.random() < 0.03:
            return (int(self.rng.integers(30_000, 90_000)),)
        sizes = (1, 2, 3, 3, 4, 5, 7, 8, 17) if self.rng.random() < 0.9 else (0, 1, 2, 33)
        return tuple(int(self.rng.choice(sizes)) for _ in range(self.rng.choice([0, 1, 1, 2, 2, 2, 3, 3, 4])))

    def numbers(self, dtype: str, shape: tuple[int, ...]) -> Array:
        """Small numbers of a dtype, with NaN, infinities and signed zeros in some arrays of floats."""
        kind = category(dtype)
        if kind == 0:
            return np.asarray(self.rng.random(shape) < 0.5)
        if kind == 1:
            low = max(-9, int(np.iinfo(dtype).min))
            return np.asarray(self.rng.integers(low, 10, shape)).astype(dtype)
        values = np.asarray(self.rng.uniform(-4, 4, shape))
        if kind == 3:
            values = values + 1j * self.rng.uniform(-4, 4, shape)
        elif self.rng.random() < 0.15:
            values = np.where(self.rng.random(shape) < 0.1, self.rng.choice(_SPECIAL, shape), values)
        return np.asarray(values).astype(numpy_dtype(real_of(dtype) if kind == 2 else dtype))

    def fresh(self, dtype: str | None = None, shape: tuple[int, ...] | None = None) -> Value:
        """A tensor with memory of its own."""
        array = self.numbers(dtype or self.dtype(), self.shape() if shape is None else shape)
        return self.add(self.place(array), array)

    def place(self, array: Array) -> at.Tensor:
        """The array's values on the program's device."""
        return from_numpy(array, self.device)

    def add(self, tensor: at.Tensor, array: Array) -> Value:
        """Takes a tensor in, in place of a random one when there are many."""
        value = Value(f"v{self.count}", tensor, array)
        self.count += 1
        if len(self.values) >= _LIMIT:
            self.values[int(self.rng.integers(len(self.values)))] = value
        else:
            self.values.append(value)
        return value

    def pick(self, fits: Callable[[Value], bool] = lambda value: True) -> Value | None:
        """A random value that fits, or None."""
        found = [value for value in self.values if fits(value)]
        return found[int(self.rng.integers(len(found)))] if found else None

    def like(self, value: Value, dtype: str | None = None) -> Value:
        """A value that broadcasts with another: one that is there, or a new one with some of its dimensions."""
        fits = self.pick(lambda other: other is not value and _broadcasts(other.shape, value.shape))
        if fits is not None and self.rng.random() < 0.6 and dtype in (None, fits.dtype):
            return fits
        keep = int(self.rng.integers(0, len(value.shape) + 1))
        shape = tuple(1 if self.rng.random() < 0.2 else size for size in value.shape[len(value.shape) - keep :])
        return self.fresh(dtype, shape)

    def check(self, what: str) -> None:
        """Raises AssertionError when a tensor does not hold what its array says."""
        for value in self.values:
            got = to_numpy(value.tensor)
            same = (got == value.array) | ((got != got) & (value.array != value.array))
            assert got.shape == value.shape and bool(np.all(same)), f"{what}: {value.name} changed too, or did not"


def _broadcasts(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    try:
        return int(np.prod(np.broadcast_shapes(a, b))) < 300_000
    except ValueError:
        return False
