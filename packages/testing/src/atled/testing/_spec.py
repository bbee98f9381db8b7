"""What is known of an operator independently of its implementation."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import atled.core as at

from ._convert import ALL, Array, category, numpy_dtype, real_of


class Sample:
    """The arguments of one call, as the user writes them, with NumPy arrays where tensors go.

    >>> Sample(np.ones(3), dim=0).kwargs
    {'dim': 0}
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # NumPy turns 0-d arrays into scalars at every opportunity.
        self.args: tuple[Any, ...] = tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in args)
        self.kwargs: dict[str, Any] = kwargs

    def __repr__(self) -> str:
        parts = [_brief(arg) for arg in self.args] + [f"{k}={_brief(v)}" for k, v in self.kwargs.items()]
        return f"({', '.join(parts)})"


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype.name}{list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_brief, value))}]"
    return repr(value)


class ErrorCase(Sample):
    """Arguments that must be refused: with which exception, and a regular expression that its message matches."""

    def __init__(self, error: type[Exception], match: str, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.error, self.match = error, match


class HostErrorCase(ErrorCase):
    """One that only the CPU refuses: others would have to be waited for, and take it or the nearest legal value."""


class Draw:
    """Draws the arrays of an op's samples, the same ones at each run.

    `dtype` is the dtype under test and `domain` where values lie. With `smooth`, samples are meant for finite
    differences: generators keep them small and away from kinks, ties and special values.
    """

    def __init__(
        self, dtype: str, domain: tuple[float, float] = (-4, 4), *, smooth: bool = False, seed: str = ""
    ) -> None:
        self.dtype, self.domain, self.smooth = dtype, domain, smooth
        self.rng = np.random.default_rng(zlib.crc32(f"{seed}:{dtype}".encode()))

    def __call__(
        self, *shape: int, dtype: str | None = None, low: float | None = None, high: float | None = None
    ) -> Array:
        """An array of `shape` in [low, high) for integers, [low, high] for floats and each part of complex numbers."""
        dtype = dtype or self.dtype
        low = self.domain[0] if low is None else low
        high = self.domain[1] if high is None else high
        kind = category(dtype)
        if kind == 0:
            return np.asarray(self.rng.random(shape) < 0.5)
        if kind == 1:
            first = max(int(np.ceil(low)), int(np.iinfo(dtype).min))
            return np.asarray(self.rng.integers(first, max(int(np.floor(high)), first + 1), shape), dtype=dtype)
        values = self.rng.uniform(low, high, shape)
        if kind == 3:
            values = values + 1j * self.rng.uniform(low, high, shape)
        return np.asarray(values).astype(numpy_dtype(dtype))

    def distinct(self, *shape: int) -> Array:
        """As a call, but no two elements are equal (as far as the dtype has that many values)."""
        size = int(np.prod(shape))
        low, high = self.domain
        kind = category(self.dtype)
        values: Array = np.arange(size) % 2 if kind == 0 else np.linspace(low, high, size)
        if kind == 1:
            values = np.arange(size) - (size // 2 if self.dtype.startswith("int") else 0)
        return np.asarray(self.rng.permutation(values).reshape(shape)).astype(numpy_dtype(self.dtype))

    def scalar(self) -> Any:
        """A Python number of the dtype's kind, in the domain."""
        return self().item()

    def specials(self) -> Array:
        """The dtype's extreme and special values: NaN, infinities, zeros of both signs, subnormals; or its limits."""
        kind = category(self.dtype)
        if kind == 0:
            return np.array([False, True])
        if kind == 1:
            limits = np.iinfo(self.dtype)
            return np.array([limits.min, limits.min + 1, 0, 1, limits.max - 1, limits.max], dtype=self.dtype)
        info = np.finfo("float32" if self.dtype == "bfloat16" else real_of(self.dtype))
        values = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5]
        if kind == 2:  # what complex functions do at infinity is a matter of convention
            values += [float(info.tiny), -float(info.tiny), np.nan, np.inf, -np.inf]
        return np.array(values).astype(numpy_dtype(self.dtype))


#: Tolerance of a single rounding; products of complex numbers take several.
ROUNDED = {"default": 1, "complex64": 4, "complex128": 4}
#: Tolerance of an elementary function.
FUNCTION = {"default": 4, "float16": 1, "bfloat16": 1, "complex64": 16, "complex128": 16}

Samples = Callable[[Draw], Iterable[Sample]]
# "promote": among the tensors; "float": that, but integers become float32; "sum": that, but integers become int64;
# "standard sum": that, but unsigned integers become uint64;
# "real": the parts of complex numbers; "input": the first tensor's; else a dtype's name.
Result = str | tuple[str, ...] | Callable[[Sample], str | tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class OpSpec:
    """One operator's samples, reference and tolerances, from which its tests are made.

    `reference` takes the sample's arguments, with floats as float64, complex numbers as complex128 and integers as they
    are (as float64 where the result is a float), and returns an array or a tuple of them. An op without one (random
    numbers, uninitialised memory) has a `check`, which gets the result's arrays and then the sample's arguments.

    >>> OpSpec(name="log1p", reference=np.log1p, samples=unary, domain=(-0.9, 9), result="float").ns
    'core'
    """

    name: str  # "log1p" in core, "nn::conv2d" elsewhere
    samples: Samples
    reference: Callable[..., Any] | None = None
    check: Callable[..., None] | None = None
    dtypes: Sequence[str] = ALL
    domain: tuple[float, float] = (-4, 4)
    result: Result = "promote"
    ulps: float | Mapping[str, float] = 4
    # How many times as far off devices other than the CPU may be, whose libraries are others.
    elsewhere: float = 1
    # Of |arguments|: the magnitude of the terms of sums that may cancel; or "largest": that of the largest element of
    # each matrix, over all of which rounding errors are spread.
    scale: Callable[..., Any] | str | None = None
    # Of the results, where those are not determined (signs of eigenvectors): what is, and is compared in their place.
    invariant: Callable[..., Any] | None = None
    # What finite differences are taken of, where not the op itself: gets the op and its arguments.
    through: Callable[..., Any] | None = None
    errors: Sequence[ErrorCase] = ()
    cpu_alone: bool = False  # elsewhere the function that calls it composes other ops
    differentiable: bool | tuple[str, ...] = True  # or the names of the arguments that it is differentiable in

    def __post_init__(self) -> None:
        if (self.reference is None) == (self.check is None):
            raise ValueError(f"OpSpec {self.name}: expected a reference or else a check")

    @property
    def ns(self) -> str:
        """The op's namespace."""
        return self.name.rpartition("::")[0] or "core"

    @property
    def op(self) -> Any:
        """The registered op."""
        return getattr(getattr(at.ops, self.ns), self.name.rpartition("::")[2])

    def draw(self, dtype: str, *, smooth: bool = False) -> Iterator[Sample]:
        """The samples of one dtype; with `smooth`, those that finite differences can be taken at."""
        return iter(self.samples(Draw(dtype, self.domain, smooth=smooth, seed=self.name)))

    def tolerance(self, dtype: str, device: str = "cpu") -> float:
        """Units in the last place that a result of this dtype may be off on a kind of device."""
        ulps = self.ulps.get(dtype, self.ulps.get("default", 4)) if isinstance(self.ulps, Mapping) else self.ulps
        return ulps if device == "cpu" else ulps * self.elsewhere

    def __str__(self) -> str:
        return self.name
