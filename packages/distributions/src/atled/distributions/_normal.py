"""Distributions on the real line with closed forms: the normal and its neighbours."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._distribution import EULER, Constraints, Distribution, Number, Shape, detached, exponentials, quietly

__all__ = ["Cauchy", "Gumbel", "HalfCauchy", "HalfNormal", "Laplace", "Normal", "Uniform"]


class _LocationScale(Distribution):
    """``loc + scale * standard``: a shape that is moved and stretched."""

    arg_constraints: ClassVar[Constraints] = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    loc: Tensor
    scale: Tensor

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, scale=scale)

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        """Draws with loc 0 and scale 1."""
        raise NotImplementedError

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to loc and scale."""
        return self.loc + self.scale * self._standard(self._extended_shape(sample_shape))

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    def _scaled(self, value: Tensor) -> Tensor:
        return (self._validate_sample(value) - self.loc) / self.scale


class Normal(_LocationScale):
    """The normal distribution with mean ``loc`` and standard deviation ``scale``.

    >>> Normal(0.0, 1.0).cdf(at.tensor(0.0))
    tensor(0.5000)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        return at.randn(shape, dtype=self.loc.dtype, device=self.loc.device)

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def stddev(self) -> Tensor:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """scale²."""
        return self.scale.square()

    def log_prob(self, value: Tensor) -> Tensor:
        """``-((value - loc) / scale)² / 2 - log(scale) - log(2 pi) / 2``."""
        return -0.5 * self._scaled(value).square() - self.scale.log() - 0.5 * math.log(2 * math.pi)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return at.special.ndtr(self._scaled(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return self.loc + self.scale * at.special.ndtri(value)

    def entropy(self) -> Tensor:
        """``(1 + log(2 pi)) / 2 + log(scale)``."""
        return 0.5 + 0.5 * math.log(2 * math.pi) + self.scale.log()


class Laplace(_LocationScale):
    """``exp(-|x - loc| / scale) / (2 scale)``.

    >>> Laplace(0.0, 1.0).log_prob(at.tensor(0.0)).exp()
    tensor(0.5000)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        magnitude = exponentials(shape, self.loc)
        return at.where(at.rand(shape, device=self.loc.device) < 0.5, magnitude, -magnitude)

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """2 scale²."""
        return 2 * self.scale.square()

    @property
    def stddev(self) -> Tensor:
        """sqrt(2) scale."""
        return math.sqrt(2) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """``-|value - loc| / scale - log(2 scale)``."""
        return -self._scaled(value).abs() - (2 * self.scale).log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        z = self._scaled(value)
        return at.where(z < 0, 0.5 * at.exp(z.clamp(max=0)), 1 - 0.5 * at.exp(-z.clamp(min=0)))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return self.loc + self.scale * at.where(value < 0.5, (2 * value).log(), -(2 - 2 * value).log())

    def entropy(self) -> Tensor:
        """``1 + log(2 scale)``."""
        return 1 + (2 * self.scale).log()


class Gumbel(_LocationScale):
    """The distribution of the largest of many draws: ``cdf(x) = exp(-exp(-(x - loc) / scale))``.

    >>> Gumbel(0.0, 1.0).cdf(at.tensor(0.0)).log()
    tensor(-1.)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        return -exponentials(shape, self.loc).log()

    @property
    def mean(self) -> Tensor:
        """``loc + scale`` times Euler's constant."""
        return self.loc + self.scale * EULER

    @property
    def variance(self) -> Tensor:
        """``pi² scale² / 6``."""
        return self.stddev.square()

    @property
    def stddev(self) -> Tensor:
        """``pi scale / sqrt(6)``."""
        return math.pi / math.sqrt(6) * self.scale

    def log_prob(self, value: Tensor) -> Tensor:
        """``-z - exp(-z) - log(scale)`` of ``z = (value - loc) / scale``."""
        z = self._scaled(value)
        return -z - at.exp(-z) - self.scale.log()

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return at.exp(-at.exp(-self._scaled(value)))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self) -> Tensor:
        """``log(scale) + 1`` and Euler's constant."""
        return self.scale.log() + (1 + EULER)


class Cauchy(_LocationScale):
    """The distribution of Cauchy and Lorentz, which has no mean: ``1 / (pi scale (1 + ((x - loc) / scale)²))``.

    >>> Cauchy(0.0, 1.0).cdf(at.tensor(1.0))
    tensor(0.7500)
    """

    def _standard(self, shape: tuple[int, ...]) -> Tensor:
        return at.empty(shape, dtype=self.loc.dtype, device=self.loc.device).cauchy_()

    @property
    def mean(self) -> Tensor:
        """NaN: there is none."""
        return at.full_like(self.loc, math.nan)

    @property
    def variance(self) -> Tensor:
        """Infinite."""
        return at.full_like(self.loc, math.inf)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        z = self._scaled(value)
        return -2 * at.hypot(at.ones_like(z), z).log() - self.scale.log() - math.log(math.pi)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        z = self._scaled(value)
        return at.atan2(at.ones_like(z), -z) / math.pi

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        # By the tail's probability, of which less is lost than of the distance from the middle.
        tail = at.minimum(value, 1 - value)
        far = (value - 0.5).sign() / at.tan(math.pi * tail.clamp(max=0.25))
        near = at.tan(math.pi * (value - 0.5).clamp(-0.25, 0.25))
        return self.loc + self.scale * at.where(tail < 0.25, far, near)

    def entropy(self) -> Tensor:
        """``log(4 pi scale)``."""
        return (4 * math.pi * self.scale).log()


class _Half(Distribution):
    """The absolute value of a draw from a distribution that is even, of which ``_whole`` is one."""

    arg_constraints: ClassVar[Constraints] = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    scale: Tensor

    def __init__(self, scale: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale)

    @property
    def _whole(self) -> _LocationScale:
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """0."""
        return at.zeros_like(self.scale)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to scale."""
        return self._whole.rsample(sample_shape).abs()

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density; -inf below 0."""
        value = self._validate_sample(value)
        return at.where(value >= 0, self._whole.log_prob(value) + math.log(2), -math.inf)

    def entropy(self) -> Tensor:
        """That of the whole, less ``log(2)``."""
        return self._whole.entropy() - math.log(2)


class HalfNormal(_Half):
    """``|x|`` of a normal ``x`` with mean 0 and standard deviation ``scale``.

    >>> HalfNormal(1.0).log_prob(at.tensor(0.0)).exp()
    tensor(0.7979)
    """

    @property
    def _whole(self) -> Normal:
        return Normal(at.zeros_like(self.scale), self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """``scale sqrt(2 / pi)``."""
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Tensor:
        """``scale² (1 - 2 / pi)``."""
        return self.scale.square() * (1 - 2 / math.pi)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return at.erf(self._validate_sample(value) / (math.sqrt(2) * self.scale))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return math.sqrt(2) * self.scale * at.erfinv(value)


class HalfCauchy(_Half):
    """``|x|`` of an ``x`` of Cauchy's distribution around 0.

    >>> HalfCauchy(1.0).cdf(at.tensor(1.0))
    tensor(0.5000)
    """

    @property
    def _whole(self) -> Cauchy:
        return Cauchy(at.zeros_like(self.scale), self.scale, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Infinite."""
        return at.full_like(self.scale, math.inf)

    @property
    def variance(self) -> Tensor:
        """Infinite."""
        return at.full_like(self.scale, math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return 2 / math.pi * at.atan(self._validate_sample(value) / self.scale)

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        near = at.tan(math.pi / 2 * value.clamp(max=0.5))
        return self.scale * at.where(value < 0.5, near, 1 / at.tan(math.pi / 2 * (1 - value.clamp(min=0.5))))


class Uniform(Distribution):
    """Equally dense from ``low`` to ``high``, the latter excluded.

    >>> Uniform(0.0, 4.0).log_prob(at.tensor([1.0, 3.0])).exp()
    tensor([0.2500, 0.2500])
    """

    arg_constraints: ClassVar[Constraints] = {"low": constraints.dependent, "high": constraints.dependent}
    has_rsample = True
    low: Tensor
    high: Tensor

    def __init__(self, low: Number, high: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, low=low, high=high)
        if self._validate_args and not (self.low < self.high).all():
            raise at.InvalidValueError(f"Uniform: expected low < high, got {self.low} and {self.high}")

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From low to high."""
        return constraints.interval(self.low, self.high)

    @property
    def mean(self) -> Tensor:
        """The middle."""
        return (self.high + self.low) / 2

    @property
    def mode(self) -> Tensor:
        """NaN: there is no one."""
        return at.full_like(self.high, math.nan)

    @property
    def variance(self) -> Tensor:
        """``(high - low)² / 12``."""
        return (self.high - self.low).square() / 12

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to low and high."""
        draws = at.rand(self._extended_shape(sample_shape), dtype=self.low.dtype, device=self.low.device)
        drawn = self.low + draws * (self.high - self.low)
        with quietly():
            below = at.nextafter(detached(self.high), detached(self.low))
        return at.where(drawn == self.high, below, drawn)  # the sum may round to high

    def log_prob(self, value: Tensor) -> Tensor:
        """``-log(high - low)``; -inf outside."""
        value = self._validate_sample(value)
        inside = (value >= self.low) & (value < self.high)
        return at.where(inside, -(self.high - self.low).log(), -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return ((self._validate_sample(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return self.low + value * (self.high - self.low)

    def entropy(self) -> Tensor:
        """``log(high - low)``."""
        return (self.high - self.low).log()
