"""Distributions of whole numbers, by probabilities or by their log-odds."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from . import constraints
from ._distribution import (
    Constraints,
    Distribution,
    Number,
    Shape,
    detached,
    exponentials,
    in_double,
    lazy_property,
    quietly,
)
from ._gamma import standard_gamma
from .utils import logits_to_probs, probs_to_logits

__all__ = ["Bernoulli", "Binomial", "ByProbability", "Geometric", "NegativeBinomial", "Poisson", "softplus"]


def softplus(x: Tensor) -> Tensor:
    """``log(1 + exp(x))``."""
    return at.logaddexp(x, at.zeros_like(x))


class ByProbability(Distribution):
    """Either ``probs`` is given or ``logits``, ``log(probs / (1 - probs))``; the other follows from it."""

    arg_constraints: ClassVar[Constraints] = {"probs": constraints.unit_interval, "logits": constraints.real}

    def _take_either(self, probs: Any, logits: Any, validate_args: bool | None, **others: Any) -> None:
        if (probs is None) == (logits is None):
            given = "neither" if probs is None else "both"
            raise at.ArgumentError(f"{type(self).__name__}: expected probs or logits, got {given}")
        self._take(validate_args, **others, probs=probs, logits=logits)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities."""
        return logits_to_probs(self.logits, is_binary=True)

    @lazy_property
    def logits(self) -> Tensor:
        """``log(probs / (1 - probs))``, with probs kept apart from 0 and 1 by the dtype's epsilon."""
        return probs_to_logits(self.probs, is_binary=True)

    @property
    def _either(self) -> Tensor:
        given: Tensor = self.__dict__[self._given[-1]]
        return given

    @property
    def param_shape(self) -> at.Size:
        """The shape of probs and of logits."""
        return at.Size(self._either.shape)

    def _uniform(self, sample_shape: Shape) -> Tensor:
        shape = self._extended_shape(sample_shape)
        return at.rand(shape, dtype=self._either.dtype, device=self._either.device)


class Bernoulli(ByProbability):
    """1 with probability ``probs``, else 0.

    >>> Bernoulli(0.25).log_prob(at.tensor([0.0, 1.0])).exp()
    tensor([0.7500, 0.2500])
    """

    support = constraints.boolean
    has_enumerate_support = True

    def __init__(
        self, probs: Number | None = None, logits: Number | None = None, validate_args: bool | None = None
    ) -> None:
        self._take_either(probs, logits, validate_args)

    @property
    def mean(self) -> Tensor:
        """probs."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """1 or 0, NaN for a probability of a half."""
        likely = (self.probs > 0.5).to(self.probs.dtype)
        return at.where(self.probs == 0.5, math.nan, likely)

    @property
    def variance(self) -> Tensor:
        """``probs (1 - probs)``."""
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of the parameters' dtype."""
        with quietly():
            return at.bernoulli(detached(self.probs.expand(*self._extended_shape(sample_shape))))

    def log_prob(self, value: Tensor) -> Tensor:
        """``value log(probs) + (1 - value) log(1 - probs)``."""
        return self._validate_sample(value) * self._finite_logits - softplus(self._finite_logits)

    @property
    def _finite_logits(self) -> Tensor:
        """The logits, of which infinite ones times 0 are no number."""
        info = at.finfo(self.logits.dtype)
        return self.logits.clamp(info.min, info.max)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """0 and 1."""
        return _counted(self, 2, expand)

    def entropy(self) -> Tensor:
        """``-probs log(probs) - (1 - probs) log(1 - probs)``."""
        return softplus(self._finite_logits) - self.probs * self._finite_logits


class Geometric(ByProbability):
    """How often a trial fails before it succeeds, each time with probability ``probs``.

    >>> Geometric(0.5).log_prob(at.tensor([0.0, 2.0])).exp()
    tensor([0.5000, 0.1250])
    """

    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Number | None = None, logits: Number | None = None, validate_args: bool | None = None
    ) -> None:
        self._take_either(probs, logits, validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise at.InvalidValueError(f"Geometric: expected probs above 0, got {self.probs}")

    @property
    def mean(self) -> Tensor:
        """1 / probs - 1."""
        return self.probs.reciprocal() - 1

    @property
    def mode(self) -> Tensor:
        """0."""
        return at.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        """``(1 / probs - 1) / probs``."""
        return self.mean / self.probs

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of the parameters' dtype."""
        with quietly():
            draws = exponentials(self._extended_shape(sample_shape), self._either)
            return detached((-draws / self._log_failure()).floor())

    def _log_failure(self) -> Tensor:
        """``log(1 - probs)``, of logits without the difference, which may round to 0."""
        return at.log1p(-self.probs) if "probs" in self._given else -softplus(self.logits)

    def log_prob(self, value: Tensor) -> Tensor:
        """``value log(1 - probs) + log(probs)``."""
        value = self._validate_sample(value)
        if "logits" in self._given:
            return value * self._log_failure() - softplus(-self.logits)
        return at.special.xlog1py(value, -self.probs) + self.probs.log()

    def entropy(self) -> Tensor:
        """That of one trial, over probs."""
        return (softplus(self.logits) - self.probs * self.logits) / self.probs


class Binomial(ByProbability):
    """How many of ``total_count`` trials succeed, each with probability ``probs``.

    >>> Binomial(2, 0.5).log_prob(at.tensor([0.0, 1.0, 2.0])).exp()
    tensor([0.2500, 0.5000, 0.2500])
    """

    arg_constraints: ClassVar[Constraints] = {
        "total_count": constraints.nonnegative_integer,
        **ByProbability.arg_constraints,
    }
    has_enumerate_support = True
    total_count: Tensor

    def __init__(
        self,
        total_count: Number = 1,
        probs: Number | None = None,
        logits: Number | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take_either(probs, logits, validate_args, total_count=total_count)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """From 0 to total_count."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Tensor:
        """``total_count probs``."""
        return self.total_count * self.probs

    @property
    def mode(self) -> Tensor:
        """``floor((total_count + 1) probs)``."""
        return at.minimum(((self.total_count + 1) * self.probs).floor(), self.total_count)

    @property
    def variance(self) -> Tensor:
        """``total_count probs (1 - probs)``."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of the parameters' dtype."""
        shape = self._extended_shape(sample_shape)
        with quietly():
            counts, shares = (detached(t).expand(*shape).contiguous() for t in (self.total_count, self.probs))
            return at.binomial(counts, shares)

    @explained
    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """``log C(total_count, value)`` and the trials' log-probabilities."""
        value, n = self._validate_sample(value), self.total_count
        ways = at.lgamma(n + 1) - at.lgamma(value + 1) - at.lgamma(n - value + 1)
        return ways + value * self.logits - n * softplus(self.logits)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """From 0 to total_count, which must be the same everywhere."""
        most = int(self.total_count.max().item())
        if not (self.total_count == most).all():
            raise NotImplementedError("Binomial: expected one total_count for all to list the values, got several")
        return _counted(self, most + 1, expand)

    def entropy(self) -> Tensor:
        """The sum over all values; total_count must be the same everywhere."""
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(at.exp(log_prob) * log_prob).sum(0)


class NegativeBinomial(ByProbability):
    """How many trials succeed, each with probability ``probs``, before ``total_count`` fail; that may be no integer.

    >>> NegativeBinomial(1, 0.5).log_prob(at.tensor([0.0, 1.0])).exp()
    tensor([0.5000, 0.2500])
    """

    arg_constraints: ClassVar[Constraints] = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    total_count: Tensor

    def __init__(
        self,
        total_count: Number,
        probs: Number | None = None,
        logits: Number | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take_either(probs, logits, validate_args, total_count=total_count)

    @property
    def mean(self) -> Tensor:
        """``total_count probs / (1 - probs)``."""
        return self.total_count * at.exp(self.logits)

    @property
    def mode(self) -> Tensor:
        """``floor((total_count - 1) probs / (1 - probs))``, at least 0."""
        return ((self.total_count - 1) * at.exp(self.logits)).floor().clamp(min=0)

    @property
    def variance(self) -> Tensor:
        """``mean / (1 - probs)``."""
        return self.mean / at.sigmoid(-self.logits)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of the parameters' dtype: of Poisson's with a rate of a gamma variable."""
        with quietly():
            counts = detached(self.total_count).expand(*self._extended_shape(sample_shape))
            return at.poisson(standard_gamma(counts) * at.exp(detached(self.logits)))

    @explained
    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the probability."""
        value, n = self._validate_sample(value), self.total_count
        ways = at.where(n + value == 0, 0.0, at.lgamma(n + value) - at.lgamma(value + 1) - at.lgamma(n))
        return ways - n * softplus(self.logits) - value * softplus(-self.logits)


class Poisson(Distribution):
    """``rate^n exp(-rate) / n!``.

    >>> Poisson(2.0).log_prob(at.tensor(1.0)).exp()
    tensor(0.2707)
    """

    arg_constraints: ClassVar[Constraints] = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    rate: Tensor

    def __init__(self, rate: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, rate=rate)

    @property
    def mean(self) -> Tensor:
        """rate."""
        return self.rate

    @property
    def mode(self) -> Tensor:
        """``floor(rate)``."""
        return self.rate.floor()

    @property
    def variance(self) -> Tensor:
        """rate."""
        return self.rate

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of the parameters' dtype."""
        with quietly():
            return at.poisson(detached(self.rate.expand(*self._extended_shape(sample_shape))).contiguous())

    @explained
    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """``value log(rate) - rate - log(value!)``."""
        value = self._validate_sample(value)
        return at.xlogy(value, self.rate) - self.rate - at.lgamma(value + 1)


def _counted(distribution: ByProbability, n: int, expand: bool) -> Tensor:
    """0 to n - 1 along a new first dimension."""
    either = distribution._either
    values = at.arange(n, dtype=either.dtype, device=either.device)
    values = values.reshape(n, *(1 for _ in distribution.batch_shape))
    return values.expand(n, *distribution.batch_shape) if expand else values
