"""Distributions made of gamma variables: Gamma itself, chi-squared, Beta, Dirichlet, Student's t, Fisher's F."""

from __future__ import annotations

import math
from typing import ClassVar

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._distribution import (
    Constraints,
    Distribution,
    Number,
    Shape,
    detached,
    exponentials,
    in_double,
    inside_unit,
    quietly,
)

__all__ = ["Beta", "Chi2", "Dirichlet", "FisherSnedecor", "Gamma", "InverseGamma", "StudentT", "standard_gamma"]


def standard_gamma(concentration: Tensor) -> Tensor:
    """A draw of the gamma distribution with rate 1 for each element of ``concentration``, with its gradient.

    By rejection from a cubed normal (Marsaglia & Tsang 2000, "A simple method for generating gamma variables"). The
    gradient is that of the draw with its probability held, ``-(dP(a, x) / da) / density(x)`` (Figurnov, Mohamed & Mnih
    2018, "Implicit reparameterization gradients", eq. 6); it can be used once, second derivatives lack it.
    """
    with quietly():
        fixed = detached(concentration)
        whole, log_share = _draw(fixed)
        draws = (whole * log_share.exp()).to(fixed.dtype).clamp(min=at.finfo(fixed.dtype).tiny)
        if not _is_recorded(concentration):
            return draws
        log_draws = whole.to(at.float64).log() + log_share.to(at.float64)
        slope = (_log_slope(fixed.to(at.float64), log_draws) * log_draws.exp()).to(fixed.dtype)
    return draws + (concentration - fixed) * slope


def log_standard_gamma(concentration: Tensor) -> Tensor:
    """The logarithm of such a draw, in float64: those of small concentrations are below the least number."""
    wide = concentration.to(at.float64)
    with quietly():
        fixed = detached(wide)
        draws, log_share = _draw(detached(concentration))
        log_draws = draws.to(at.float64).log() + log_share.to(at.float64)
        if not _is_recorded(concentration):
            return log_draws
        slope = _log_slope(fixed, log_draws)
    return log_draws + (wide - fixed) * slope


def _is_recorded(tensor: Tensor) -> bool:
    return bool(getattr(tensor, "requires_grad", False))


def _draw(concentration: Tensor) -> tuple[Tensor, Tensor]:
    """Draws, and the logarithms of what they are to be multiplied by, both of float32 at least."""
    a = concentration.to(at.float64 if concentration.dtype == at.float64 else at.float32)
    # Below 1 a draw with one more is scaled by a power of a uniform number.
    is_small = a < 1
    d = (at.where(is_small, a + 1, a) - 1 / 3).reshape(-1)
    draws = _attempt(d)
    while True:
        (again,) = at.where(at.isnan(draws) & (d > 0))
        if again.numel() == 0:
            break
        draws[again] = _attempt(d[again])
    return draws.reshape(a.shape), at.where(is_small, -exponentials(a.shape, a) / a, 0.0)


def _attempt(d: Tensor) -> Tensor:
    """Draws, and NaN where they were rejected."""
    x = at.randn_like(d)
    t = x * (9 * d).rsqrt()
    v = (1 + t).pow(3)
    # 1 - v + log(v) of v near 1, which d multiplies.
    least = 3 * at.log1p(t) - t * (3 + t * (3 + t))
    accepted = (v > 0) & (at.rand_like(d).log() < 0.5 * x.square() + d * least)
    return at.where(accepted | (d == math.inf), d * v, math.nan)


def _log_slope(a: Tensor, log_x: Tensor) -> Tensor:
    """How log x moves with a where P(a, x) stays: by differences of fourth order, of the tail that x is in."""
    h, x = 1e-3 * at.minimum(a, a.sqrt()), log_x.exp()
    is_low = x < a

    def share(steps: int) -> Tensor:
        at_a = a + steps * h
        return at.where(is_low, at.special.gammainc(at_a, x), -at.special.gammaincc(at_a, x))

    change = (share(-2) - 8 * share(-1) + 8 * share(1) - share(2)) / (12 * h)
    slope = -change * at.exp(x + at.lgamma(a) - a * log_x)
    # Near 0, P(a, x) is x^a / Gamma(a + 1).
    slope = at.where(log_x < -18, (at.digamma(a + 1) - log_x) / a, slope)
    return at.nan_to_num(slope, nan=0.0, posinf=0.0, neginf=0.0)


class Gamma(Distribution):
    """``rate^a x^(a - 1) exp(-rate x) / Gamma(a)`` for ``x >= 0``, with ``a`` the concentration.

    >>> Gamma(2.0, 4.0).mean
    tensor(0.5000)
    """

    arg_constraints: ClassVar[Constraints] = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Number, rate: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self) -> Tensor:
        """concentration / rate."""
        return self.concentration / self.rate

    @property
    def mode(self) -> Tensor:
        """``(concentration - 1) / rate``, at least 0."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """concentration / rate²."""
        return self.concentration / self.rate.square()

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to both parameters."""
        return standard_gamma(self.concentration.expand(*self._extended_shape(sample_shape))) / self.rate

    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        a, value = self.concentration, self._validate_sample(value)
        return at.xlogy(a, self.rate) + at.xlogy(a - 1, value) - self.rate * value - at.lgamma(a)

    def cdf(self, value: Tensor) -> Tensor:
        """``gammainc(concentration, rate value)``."""
        return at.special.gammainc(self.concentration, self.rate * self._validate_sample(value))

    @in_double
    def entropy(self) -> Tensor:
        """``a - log(rate) + lgamma(a) + (1 - a) digamma(a)``."""
        a = self.concentration
        return a - self.rate.log() + at.lgamma(a) + (1 - a) * at.digamma(a)


class Chi2(Gamma):
    """The sum of the squares of ``df`` standard normal variables.

    >>> Chi2(3.0).mean
    tensor(3.)
    """

    arg_constraints: ClassVar[Constraints] = {"df": constraints.positive}

    def __init__(self, df: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, df=df)

    @property
    def concentration(self) -> Tensor:  # type: ignore[override]
        """df / 2."""
        df: Tensor = self.__dict__["df"]
        return df / 2

    @property
    def rate(self) -> Tensor:  # type: ignore[override]
        """1 / 2."""
        return at.full_like(self.concentration, 0.5)


class InverseGamma(Distribution):
    """``1 / x`` of a gamma variable ``x``.

    >>> InverseGamma(3.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints: ClassVar[Constraints] = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    has_rsample = True
    concentration: Tensor
    rate: Tensor

    def __init__(self, concentration: Number, rate: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration, rate=rate)

    @property
    def mean(self) -> Tensor:
        """``rate / (concentration - 1)``; infinite up to a concentration of 1."""
        a = self.concentration
        return at.where(a > 1, self.rate / (a - 1), math.inf)

    @property
    def mode(self) -> Tensor:
        """``rate / (concentration + 1)``."""
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Tensor:
        """Infinite up to a concentration of 2."""
        a = self.concentration
        return at.where(a > 2, self.rate.square() / ((a - 1).square() * (a - 2)), math.inf)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to both parameters."""
        return self.rate / standard_gamma(self.concentration.expand(*self._extended_shape(sample_shape)))

    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        a, value = self.concentration, self._validate_sample(value)
        return a * self.rate.log() - at.lgamma(a) - (a + 1) * value.log() - self.rate / value

    def cdf(self, value: Tensor) -> Tensor:
        """``gammaincc(concentration, rate / value)``."""
        return at.special.gammaincc(self.concentration, self.rate / self._validate_sample(value))

    @in_double
    def entropy(self) -> Tensor:
        """``a + log(rate) + lgamma(a) - (1 + a) digamma(a)``."""
        a = self.concentration
        return a + self.rate.log() + at.lgamma(a) - (1 + a) * at.digamma(a)


class Dirichlet(Distribution):
    """Vectors of shares that sum to 1, with density proportional to the product of ``x_i^(a_i - 1)``.

    >>> Dirichlet(at.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints: ClassVar[Constraints] = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    concentration: Tensor

    def __init__(self, concentration: Tensor, validate_args: bool | None = None) -> None:
        self._take(validate_args, concentration=concentration)

    @property
    def mean(self) -> Tensor:
        """The concentrations' shares."""
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def mode(self) -> Tensor:
        """``(a - 1) / sum(a - 1)``; where all are below 1, the vertex of the largest."""
        above = (self.concentration - 1).clamp(min=0)
        total = above.sum(-1, keepdim=True)
        largest = self.concentration.argmax(-1, keepdim=True)
        vertex = at.zeros_like(above).scatter(-1, largest, at.ones_like(above))
        return at.where((self.concentration < 1).all(-1, keepdim=True), vertex, above / total)

    @property
    def variance(self) -> Tensor:
        """``m (1 - m) / (sum(a) + 1)`` of the mean m."""
        return self.mean * (1 - self.mean) / (self.concentration.sum(-1, keepdim=True) + 1)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients: the shares of gamma variables."""
        draws = log_standard_gamma(self.concentration.expand(*self._extended_shape(sample_shape)))
        return inside_unit(at.softmax(draws, -1).to(self.concentration.dtype))

    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        a, value = self.concentration, self._validate_sample(value)
        return at.xlogy(a - 1, value).sum(-1) + at.lgamma(a.sum(-1)) - at.lgamma(a).sum(-1)

    @in_double
    def entropy(self) -> Tensor:
        """In nats."""
        a, total = self.concentration, self.concentration.sum(-1)
        return (
            at.lgamma(a).sum(-1)
            - at.lgamma(total)
            - (a.shape[-1] - total) * at.digamma(total)
            - ((a - 1) * at.digamma(a)).sum(-1)
        )


class Beta(Distribution):
    """``x^(a - 1) (1 - x)^(b - 1) / B(a, b)`` from 0 to 1; ``a`` is concentration1, ``b`` is concentration0.

    >>> Beta(1.0, 3.0).mean
    tensor(0.2500)
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

    @property
    def mean(self) -> Tensor:
        """a / (a + b)."""
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Tensor:
        """``(a - 1) / (a + b - 2)``; an end where one is at most 1, NaN where there is no one."""
        a, b = self.concentration1, self.concentration0
        inner = (a - 1) / (a + b - 2)
        ends = at.where(a > b, 1.0, at.where(a < b, 0.0, math.nan)).to(a.dtype)
        return at.where((a > 1) & (b > 1), inner, ends)

    @property
    def variance(self) -> Tensor:
        """``a b / ((a + b)² (a + b + 1))``."""
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.square() * (total + 1))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to both concentrations."""
        shape = self._extended_shape(sample_shape)
        first, second = (log_standard_gamma(c.expand(*shape)) for c in (self.concentration1, self.concentration0))
        return inside_unit(at.sigmoid(first - second).to(self.concentration1.dtype))

    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        a, b, value = self.concentration1, self.concentration0, self._validate_sample(value)
        return at.xlogy(a - 1, value) + at.special.xlog1py(b - 1, -value) + log_inverse_beta(a, b)

    @in_double
    def entropy(self) -> Tensor:
        """In nats."""
        a, b = self.concentration1, self.concentration0
        total = a + b
        return (
            -log_inverse_beta(a, b)
            - (a - 1) * at.digamma(a)
            - (b - 1) * at.digamma(b)
            + (total - 2) * at.digamma(total)
        )


def log_inverse_beta(a: Tensor, b: Tensor) -> Tensor:
    return at.lgamma(a + b) - at.lgamma(a) - at.lgamma(b)


class StudentT(Distribution):
    """Student's t distribution with ``df`` degrees of freedom, moved by ``loc`` and stretched by ``scale``.

    >>> StudentT(3.0).variance
    tensor(3.)
    """

    arg_constraints: ClassVar[Constraints] = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True
    df: Tensor
    loc: Tensor
    scale: Tensor

    def __init__(self, df: Number, loc: Number = 0.0, scale: Number = 1.0, validate_args: bool | None = None) -> None:
        self._take(validate_args, df=df, loc=loc, scale=scale)

    @property
    def mean(self) -> Tensor:
        """loc; NaN up to a df of 1."""
        return at.where(self.df > 1, self.loc, math.nan)

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """``scale² df / (df - 2)``; infinite up to a df of 2, NaN up to 1."""
        finite = self.scale.square() * self.df / (self.df - 2)
        return at.where(self.df > 2, finite, at.where(self.df > 1, math.inf, math.nan).to(finite.dtype))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to all parameters."""
        shape = self._extended_shape(sample_shape)
        normal = at.randn(shape, dtype=self.df.dtype, device=self.df.device)
        squares = 2 * standard_gamma((self.df / 2).expand(*shape))
        return self.loc + self.scale * normal * (squares / self.df).rsqrt()

    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        df, z = self.df, (self._validate_sample(value) - self.loc) / self.scale
        size = (
            self.scale.log()
            + 0.5 * df.log()
            + 0.5 * math.log(math.pi)
            + at.lgamma(0.5 * df)
            - at.lgamma(0.5 * (df + 1))
        )
        return -0.5 * (df + 1) * at.log1p(z.square() / df) - size

    @in_double
    def entropy(self) -> Tensor:
        """In nats."""
        half, next_half = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = at.lgamma(half) + math.lgamma(0.5) - at.lgamma(next_half)
        difference = at.digamma(next_half) - at.digamma(half)
        return self.scale.log() + next_half * difference + 0.5 * self.df.log() + log_beta


class FisherSnedecor(Distribution):
    """The F distribution: of the ratio of two chi-squared variables, each over its degrees of freedom.

    >>> FisherSnedecor(2.0, 4.0).mean
    tensor(2.)
    """

    arg_constraints: ClassVar[Constraints] = {"df1": constraints.positive, "df2": constraints.positive}
    support = constraints.positive
    has_rsample = True
    df1: Tensor
    df2: Tensor

    def __init__(self, df1: Number, df2: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, df1=df1, df2=df2)

    @property
    def mean(self) -> Tensor:
        """``df2 / (df2 - 2)``; NaN up to a df2 of 2."""
        return at.where(self.df2 > 2, self.df2 / (self.df2 - 2), math.nan)

    @property
    def mode(self) -> Tensor:
        """``(df1 - 2) / df1 * df2 / (df2 + 2)``; NaN up to a df1 of 2."""
        inner = (self.df1 - 2) / self.df1 * self.df2 / (self.df2 + 2)
        return at.where(self.df1 > 2, inner, math.nan)

    @property
    def variance(self) -> Tensor:
        """NaN up to a df2 of 4."""
        a, b = self.df1, self.df2
        finite = 2 * b.square() * (a + b - 2) / (a * (b - 2).square() * (b - 4))
        return at.where(b > 4, finite, math.nan)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to both parameters."""
        shape = self._extended_shape(sample_shape)
        first, second = (log_standard_gamma((df / 2).expand(*shape)) - df.log() for df in (self.df1, self.df2))
        return at.exp(first - second).to(self.df1.dtype).clamp(min=at.finfo(self.df1.dtype).tiny)

    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        a, b, value = self.df1 / 2, self.df2 / 2, self._validate_sample(value)
        ratio = self.df1 / self.df2
        front = log_inverse_beta(a, b) + a * ratio.log() + (a - 1) * value.log()
        return front - (a + b) * at.log1p(ratio * value)
