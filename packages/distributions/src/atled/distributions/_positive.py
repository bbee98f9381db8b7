"""Distributions of positive numbers that are functions of an exponential one, and those on an interval like it."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._distribution import EULER, Constraints, Distribution, Number, Shape, exponentials, inside_unit

__all__ = ["Exponential", "GeneralizedPareto", "Kumaraswamy", "Pareto", "Weibull"]


class Exponential(Distribution):
    """``rate exp(-rate x)`` for ``x >= 0``.

    >>> Exponential(2.0).mean
    tensor(0.5000)
    """

    arg_constraints: ClassVar[Constraints] = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    rate: Tensor

    def __init__(self, rate: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    @property
    def mean(self) -> Tensor:
        """1 / rate."""
        return self.rate.reciprocal()

    @property
    def mode(self) -> Tensor:
        """0."""
        return at.zeros_like(self.rate)

    @property
    def stddev(self) -> Tensor:
        """1 / rate."""
        return self.rate.reciprocal()

    @property
    def variance(self) -> Tensor:
        """1 / rate²."""
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to rate."""
        return exponentials(self._extended_shape(sample_shape), self.rate) / self.rate

    def log_prob(self, value: Tensor) -> Tensor:
        """``log(rate) - rate value``; -inf below 0."""
        value = self._validate_sample(value)
        return at.where(value >= 0, self.rate.log() - self.rate * value, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return -at.expm1(-self.rate * self._validate_sample(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return -at.log1p(-value) / self.rate

    def entropy(self) -> Tensor:
        """``1 - log(rate)``."""
        return 1 - self.rate.log()


class Pareto(Distribution):
    """``alpha scale^alpha / x^(alpha + 1)`` for ``x >= scale``.

    >>> Pareto(1.0, 2.0).cdf(at.tensor(2.0))
    tensor(0.7500)
    """

    arg_constraints: ClassVar[Constraints] = {"scale": constraints.positive, "alpha": constraints.positive}
    has_rsample = True
    scale: Tensor
    alpha: Tensor

    def __init__(self, scale: Number, alpha: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale, alpha=alpha)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From scale on."""
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Tensor:
        """``alpha scale / (alpha - 1)``; infinite up to an alpha of 1."""
        return at.where(self.alpha > 1, self.alpha * self.scale / (self.alpha - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        """scale."""
        return self.scale

    @property
    def variance(self) -> Tensor:
        """Infinite up to an alpha of 2."""
        a = self.alpha
        return at.where(a > 2, self.scale.square() * a / ((a - 1).square() * (a - 2)), math.inf)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to both parameters."""
        return self.scale * at.exp(exponentials(self._extended_shape(sample_shape), self.scale) / self.alpha)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density; -inf below scale."""
        value = self._validate_sample(value)
        inside = self.alpha.log() + self.alpha * self.scale.log() - (self.alpha + 1) * value.log()
        return at.where(value >= self.scale, inside, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return -at.expm1(self.alpha * (self.scale / self._validate_sample(value)).log())

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return self.scale * at.exp(-at.log1p(-value) / self.alpha)

    def entropy(self) -> Tensor:
        """``log(scale / alpha) + 1 + 1 / alpha``."""
        return (self.scale / self.alpha).log() + 1 + self.alpha.reciprocal()


class GeneralizedPareto(Distribution):
    """What exceeds a high threshold (Pickands 1975): ``cdf(x) = 1 - (1 + c z)^(-1 / c)`` of ``z = (x - loc) / scale``.

    A ``concentration`` c of 0 is the exponential distribution, of -1 the uniform one.

    >>> GeneralizedPareto(0.0, 1.0, 0.0).cdf(at.tensor(1.0))
    tensor(0.6321)
    """

    arg_constraints: ClassVar[Constraints] = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    loc: Tensor
    scale: Tensor
    concentration: Tensor

    def __init__(self, loc: Number, scale: Number, concentration: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, scale=scale, concentration=concentration)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From loc on; to ``loc - scale / c`` where c is negative."""
        c = self.concentration
        return constraints.interval(self.loc, at.where(c < 0, self.loc - self.scale / c, math.inf))

    def _exponent(self, value: Tensor) -> Tensor:
        """``log(1 + c z) / c``, the minus logarithm of what is left above; by its series where c z is small."""
        z = (self._validate_sample(value) - self.loc) / self.scale
        product = self.concentration * z
        small = product.abs() < 1e-5
        c = at.where(small, 1.0, self.concentration)
        return at.where(small, z * (1 - product * (1 / 2 - product / 3)), at.log1p(c * z) / c)

    def _above(self, exponent: Tensor) -> Tensor:
        """The value of an exponent, by ``(exp(c t) - 1) / c``."""
        product = self.concentration * exponent
        small = product.abs() < 1e-5
        c = at.where(small, 1.0, self.concentration)
        z = at.where(small, exponent * (1 + product * (1 / 2 + product / 6)), at.expm1(c * exponent) / c)
        return self.loc + self.scale * z

    @property
    def mean(self) -> Tensor:
        """``loc + scale / (1 - c)``; infinite from a c of 1 on."""
        c = self.concentration
        return at.where(c < 1, self.loc + self.scale / (1 - c), math.inf)

    @property
    def mode(self) -> Tensor:
        """loc; the upper end where c is below -1."""
        c = self.concentration
        return at.where(c < -1, self.loc - self.scale / c, self.loc)

    @property
    def variance(self) -> Tensor:
        """``scale² / ((1 - c)² (1 - 2 c))``; infinite from a c of a half on."""
        c = self.concentration
        return at.where(c < 0.5, self.scale.square() / ((1 - c).square() * (1 - 2 * c)), math.inf)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to all parameters."""
        return self._above(exponentials(self._extended_shape(sample_shape), self.loc))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density; -inf outside."""
        exponent = self._exponent(value)
        inside = -(1 + self.concentration) * exponent - self.scale.log()
        return at.where(exponent >= 0, inside, -math.inf)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return -at.expm1(-self._exponent(value))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return self._above(-at.log1p(-value))

    def entropy(self) -> Tensor:
        """``log(scale) + c + 1``."""
        return self.scale.log() + self.concentration + 1


class Weibull(Distribution):
    """``cdf(x) = 1 - exp(-(x / scale)^concentration)`` for ``x > 0``.

    >>> Weibull(1.0, 1.0).mean
    tensor(1.)
    """

    arg_constraints: ClassVar[Constraints] = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive
    has_rsample = True
    scale: Tensor
    concentration: Tensor

    def __init__(self, scale: Number, concentration: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, scale=scale, concentration=concentration)

    @property
    def mean(self) -> Tensor:
        """``scale Gamma(1 + 1 / concentration)``."""
        return self.scale * at.exp(at.lgamma(1 + self.concentration.reciprocal()))

    @property
    def mode(self) -> Tensor:
        """``scale (1 - 1 / concentration)^(1 / concentration)``; 0 up to a concentration of 1."""
        k = self.concentration
        return at.where(k > 1, self.scale * (1 - k.reciprocal()).clamp(min=0).pow(k.reciprocal()), 0.0)

    @property
    def variance(self) -> Tensor:
        """By ``Gamma(1 + 2 / concentration)`` and the mean."""
        share = self.concentration.reciprocal()
        return self.scale.square() * (at.exp(at.lgamma(1 + 2 * share)) - at.exp(2 * at.lgamma(1 + share)))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to both parameters."""
        draws = exponentials(self._extended_shape(sample_shape), self.scale).pow(self.concentration.reciprocal())
        info = at.finfo(self.scale.dtype)
        return (self.scale * draws).clamp(info.tiny, info.max)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        k, ratio = self.concentration, (self._validate_sample(value) / self.scale).log()
        return k.log() - self.scale.log() + (k - 1) * ratio - at.exp(k * ratio)

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return -at.expm1(-(self._validate_sample(value) / self.scale).pow(self.concentration))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return self.scale * (-at.log1p(-value)).pow(self.concentration.reciprocal())

    def entropy(self) -> Tensor:
        """``Euler (1 - 1 / concentration) + log(scale / concentration) + 1``."""
        return EULER * (1 - self.concentration.reciprocal()) + (self.scale / self.concentration).log() + 1


class Kumaraswamy(Distribution):
    """``cdf(x) = 1 - (1 - x^a)^b`` from 0 to 1, with ``a`` and ``b`` the concentrations (Kumaraswamy 1980).

    >>> Kumaraswamy(1.0, 1.0).mean
    tensor(0.5000)
    """

    arg_constraints: ClassVar[Constraints] = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True
    concentration1: Tensor
    concentration0: Tensor

    def __init__(self, concentration1: Number, concentration0: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration1=concentration1, concentration0=concentration0)

    def _moment(self, n: int) -> Tensor:
        """``b B(1 + n / a, b)``."""
        a, b = self.concentration1, self.concentration0
        first = 1 + n / a
        return b * at.exp(at.lgamma(first) + at.lgamma(b) - at.lgamma(first + b))

    @property
    def mean(self) -> Tensor:
        """``b B(1 + 1 / a, b)``."""
        return self._moment(1)

    @property
    def mode(self) -> Tensor:
        """``((a - 1) / (a b - 1))^(1 / a)``; NaN where one of them is below 1, or both are 1."""
        a, b = self.concentration1, self.concentration0
        peak = ((a - 1) / (a * b - 1)).pow(a.reciprocal())
        return at.where((a < 1) | (b < 1) | ((a == 1) & (b == 1)), math.nan, peak)

    @property
    def variance(self) -> Tensor:
        """By the second moment."""
        return self._moment(2) - self._moment(1).square()

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to both concentrations."""
        tail = exponentials(self._extended_shape(sample_shape), self.concentration0)
        return inside_unit((-at.expm1(-tail / self.concentration0)).pow(self.concentration1.reciprocal()))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        a, b, value = self.concentration1, self.concentration0, self._validate_sample(value)
        left = self._log_left(value)
        left = at.where((b == 1) & (value == 1), 0.0, left)
        return (a * b).log() + at.xlogy(a - 1, value) + (b - 1) * left

    def _log_left(self, value: Tensor) -> Tensor:
        """``log(1 - value^a)``, of values near 0 and near 1."""
        powered = self.concentration1 * value.clamp(min=at.finfo(value.dtype).tiny).log()
        near_0, near_1 = powered.clamp(max=-math.log(2)), powered.clamp(min=-math.log(2))
        return at.where(powered < -math.log(2), at.log1p(-near_0.exp()), (-at.expm1(near_1)).log())

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        return -at.expm1(self.concentration0 * self._log_left(self._validate_sample(value)))

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        return (-at.expm1(at.log1p(-value) / self.concentration0)).pow(self.concentration1.reciprocal())

    def entropy(self) -> Tensor:
        """``(1 - 1 / b) + (1 - 1 / a) (digamma(b + 1) + Euler) - log(a b)``."""
        a, b = self.concentration1, self.concentration0
        return (1 - 1 / b) + (1 - 1 / a) * (at.digamma(b + 1) + EULER) - (a * b).log()
