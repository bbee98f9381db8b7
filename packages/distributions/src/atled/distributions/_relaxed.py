"""Continuous stand-ins for discrete choices, whose draws have gradients, and the continuous Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._categorical import OverClasses
from ._compound import TransformedDistribution
from ._discrete import ByProbability, softplus
from ._distribution import Constraints, Number, Shape, exponentials
from .transforms import ExpTransform, SigmoidTransform

__all__ = [
    "ContinuousBernoulli",
    "ExpRelaxedCategorical",
    "LogitRelaxedBernoulli",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
]


def _as_temperature(temperature: Number, like: Tensor) -> Tensor:
    if isinstance(temperature, Tensor):
        return temperature
    return at.tensor(float(temperature), dtype=like.dtype, device=like.device)


class _Relaxed(TransformedDistribution):
    """The image of a distribution that has a temperature."""

    arg_constraints: ClassVar[Constraints] = {}
    base_dist: Any

    @property
    def temperature(self) -> Tensor:
        """How far from a choice its values are."""
        found: Tensor = self.base_dist.temperature
        return found

    @property
    def probs(self) -> Tensor:
        """The probabilities of the choices that it stands for."""
        found: Tensor = self.base_dist.probs
        return found

    @property
    def logits(self) -> Tensor:
        """Their log-odds, or their logarithms."""
        found: Tensor = self.base_dist.logits
        return found


class LogitRelaxedBernoulli(ByProbability):
    """The log-odds of RelaxedBernoulli: logistic noise on ``logits``, over ``temperature`` (Maddison et al. 2017).

    >>> LogitRelaxedBernoulli(1.0, 0.5).log_prob(at.tensor(0.0)).exp()
    tensor(0.2500)
    """

    support = constraints.real
    has_rsample = True

    def __init__(
        self,
        temperature: Number,
        probs: Number | None = None,
        logits: Number | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take_either(probs, logits, validate_args)
        self.temperature = _as_temperature(temperature, self._either)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients."""
        shape = self._extended_shape(sample_shape)
        # The log-odds of a uniform number, without those that half precision rounds to an end.
        noise = exponentials(shape, self._either).log() - exponentials(shape, self._either).log()
        return (noise + self.logits) / self.temperature

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        apart = self.logits - self._validate_sample(value) * self.temperature
        return self.temperature.log() + apart - 2 * softplus(apart)


class RelaxedBernoulli(_Relaxed):
    """Numbers between 0 and 1, near to an end where ``temperature`` is low (Jang et al. 2017; Maddison et al. 2017).

    >>> RelaxedBernoulli(0.5, probs=0.5).has_rsample
    True
    """

    def __init__(
        self,
        temperature: Number,
        probs: Number | None = None,
        logits: Number | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits, validate_args)
        super().__init__(base, SigmoidTransform(), validate_args)


class ExpRelaxedCategorical(OverClasses):
    """The logarithms of RelaxedOneHotCategorical's values.

    Gumbel noise on ``logits``, over ``temperature``, normalised.

    >>> ExpRelaxedCategorical(0.5, at.ones(3)).event_shape
    (3,)
    """

    support: Any = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        temperature: Number,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._take_either(probs, logits, validate_args)
        self.temperature = _as_temperature(temperature, self._either)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients."""
        noise = -exponentials(self._extended_shape(sample_shape), self.logits).log()
        return at.log_softmax((self.logits + noise) / self.temperature, -1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Maddison et al. 2017, eq. 22."""
        value, n = self._validate_sample(value), self._num_events
        scores = self.logits - value * self.temperature
        return math.lgamma(n) + (n - 1) * self.temperature.log() + at.log_softmax(scores, -1).sum(-1)


class RelaxedOneHotCategorical(_Relaxed):
    """Shares of classes, nearly all of one class where ``temperature`` is low (Jang et al. 2017; Maddison et al. 2017).

    >>> RelaxedOneHotCategorical(0.5, at.ones(3)).event_shape
    (3,)
    """

    support: Any = constraints.simplex

    def __init__(
        self,
        temperature: Number,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args)
        super().__init__(base, ExpTransform(), validate_args)


class ContinuousBernoulli(ByProbability):
    """Density proportional to ``probs^x (1 - probs)^(1 - x)`` from 0 to 1 (Loaiza-Ganem & Cunningham 2019).

    Where probs is within ``lims``, formulas that would be 0 / 0 at a half are taken from their series there.

    >>> ContinuousBernoulli(0.5).log_prob(at.tensor(0.3)).abs() < 1e-6
    tensor(True)
    """

    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        probs: Number | None = None,
        logits: Number | None = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._lims = lims
        self._take_either(probs, logits, validate_args)

    def _beside(self) -> tuple[Tensor, Tensor]:
        """Where probs is apart from a half, and the logits with the others moved there."""
        apart = (self.probs <= self._lims[0]) | (self.probs > self._lims[1])
        return apart, at.where(apart, self.logits, math.log(self._lims[0] / (1 - self._lims[0])))

    def _log_constant(self) -> Tensor:
        """``log(2 atanh(1 - 2 p) / (1 - 2 p))``, which is ``log(logits / tanh(logits / 2))``."""
        apart, logits = self._beside()
        exact = logits.abs().log() - at.tanh(logits.abs() / 2).log()
        x = (self.probs - 0.5).square()
        return at.where(apart, exact, math.log(2) + (4 / 3 + 104 / 45 * x) * x)

    @property
    def mean(self) -> Tensor:
        """``p / (2 p - 1) + 1 / (2 atanh(1 - 2 p))``."""
        apart, logits = self._beside()
        exact = at.sigmoid(logits) / at.tanh(logits / 2) - 1 / logits
        x = self.probs - 0.5
        return at.where(apart, exact, 0.5 + (1 / 3 + 16 / 45 * x.square()) * x)

    @property
    def variance(self) -> Tensor:
        """``p (p - 1) / (1 - 2 p)² + 1 / (2 atanh(1 - 2 p))²``."""
        apart, logits = self._beside()
        x = (self.probs - 0.5).square()
        exact = logits.pow(-2) - at.sigmoid(logits) * at.sigmoid(-logits) / at.tanh(logits / 2).square()
        return at.where(apart, exact, 1 / 12 - (1 / 15 - 128 / 945 * x) * x)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients: ``icdf`` of uniform numbers."""
        return self.icdf(self._uniform(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        return self._validate_sample(value) * self.logits - softplus(self.logits) + self._log_constant()

    def cdf(self, value: Tensor) -> Tensor:
        """``(exp(x logits) - 1) / (exp(logits) - 1)``."""
        value = self._validate_sample(value)
        falls = self.logits <= 0
        share = at.expm1(self._slope * at.where(falls, value, 1 - value)) / at.expm1(self._slope)
        return at.where(falls, share, 1 - share).clamp(0, 1)

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        falls = self.logits <= 0
        place = at.log1p(at.where(falls, value, 1 - value) * at.expm1(self._slope)) / self._slope
        return at.where(falls, place, 1 - place)

    @property
    def _slope(self) -> Tensor:
        """``-|logits|``, apart from 0."""
        return -self.logits.abs().clamp(min=at.finfo(self.logits.dtype).tiny)

    def entropy(self) -> Tensor:
        """In nats."""
        return softplus(self.logits) - self._log_constant() - self.mean * self.logits
