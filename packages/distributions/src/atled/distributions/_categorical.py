"""Distributions over classes, by probabilities or by unnormalised log-probabilities."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from . import constraints
from ._discrete import Binomial
from ._distribution import Constraints, Distribution, Shape, detached, in_double, lazy_property, quietly
from .utils import logits_to_probs, probs_to_logits

__all__ = ["Categorical", "Multinomial", "OneHotCategorical", "OneHotCategoricalStraightThrough", "OverClasses"]


class OverClasses(Distribution):
    """``probs``, which need not sum to 1, or ``logits`` of classes along the last dimension; both are normalised."""

    arg_constraints: ClassVar[Constraints] = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_event = True

    def _take_either(self, probs: Tensor | None, logits: Tensor | None, validate_args: bool | None) -> None:
        name = type(self).__name__
        if (probs is None) == (logits is None):
            raise at.ArgumentError(f"{name}: expected probs or logits, got {'neither' if probs is None else 'both'}")
        given = probs if probs is not None else logits
        if not isinstance(given, Tensor) or given.ndim < 1:
            raise at.ShapeError(f"{name}: expected a Tensor with classes along its last dimension, got {given!r}")
        if probs is not None:
            probs = probs / probs.sum(-1, keepdim=True)
        elif logits is not None:
            logits = at.log_softmax(logits, -1)
        self._take(validate_args, None if self.has_event else (), probs=probs, logits=logits)

    @lazy_property
    def probs(self) -> Tensor:
        """The probabilities, which sum to 1."""
        return logits_to_probs(self.logits)

    @lazy_property
    def logits(self) -> Tensor:
        """The logarithms of the probabilities, which are kept apart from 0 and 1 by the dtype's epsilon."""
        return probs_to_logits(self.probs)

    @property
    def param_shape(self) -> at.Size:
        """The shape of probs and of logits."""
        return at.Size(self._either.shape)

    @property
    def _either(self) -> Tensor:
        given: Tensor = self.__dict__[self._given[-1]]
        return given

    @property
    def _num_events(self) -> int:
        return self.param_shape[-1]

    def _drawn(self, shape: tuple[int, ...]) -> Tensor:
        """Class numbers of ``shape``, which ends with the batch_shape."""
        count = math.prod(shape[: len(shape) - len(self._batch_shape)])
        rows = detached(self.probs).reshape(-1, self._num_events)
        if count == 0 or rows.shape[0] == 0:
            return at.zeros(shape, dtype=at.int64, device=rows.device)
        return at.multinomial(rows, count, replacement=True).T.reshape(shape)

    def _entropy(self) -> Tensor:
        least = at.finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)


class Categorical(OverClasses):
    """Class numbers 0 to n - 1, with the given probabilities along the last dimension.

    >>> Categorical(at.tensor([1.0, 3.0])).log_prob(at.tensor([0, 1])).exp()
    tensor([0.2500, 0.7500])
    """

    has_enumerate_support = True
    has_event = False

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        self._take_either(probs, logits, validate_args)

    @property
    def _dtype(self) -> None:
        """Class numbers stay whole."""

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """0 to n - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def mean(self) -> Tensor:
        """NaN: classes have no order."""
        return at.full(self._batch_shape, math.nan, dtype=self.probs.dtype, device=self.probs.device)

    @property
    def mode(self) -> Tensor:
        """The most probable class."""
        return self.probs.argmax(-1)

    @property
    def variance(self) -> Tensor:
        """NaN: classes have no order."""
        return self.mean

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Class numbers of dtype int64."""
        with quietly():
            return self._drawn(self._extended_shape(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        """The class's log-probability."""
        index = self._validate_sample(value).to(at.int64).unsqueeze(-1)
        batch = at.broadcast_shapes(index.shape[:-1], self.logits.shape[:-1])
        logits = self.logits.expand(*batch, self._num_events)
        return logits.gather(-1, index.expand(*batch, 1)).squeeze(-1)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All classes."""
        n = self._num_events
        values = at.arange(n, device=self.logits.device).reshape(n, *(1 for _ in self._batch_shape))
        return values.expand(n, *self._batch_shape) if expand else values

    def entropy(self) -> Tensor:
        """``-sum(probs log(probs))``."""
        return self._entropy()


class OneHotCategorical(OverClasses):
    """Vectors of zeros with a 1 in the place of the drawn class.

    >>> OneHotCategorical(at.tensor([1.0, 3.0])).log_prob(at.tensor([0.0, 1.0])).exp()
    tensor(0.7500)
    """

    support = constraints.one_hot
    has_enumerate_support = True

    def __init__(
        self, probs: Tensor | None = None, logits: Tensor | None = None, validate_args: bool | None = None
    ) -> None:
        self._take_either(probs, logits, validate_args)

    @property
    def mean(self) -> Tensor:
        """probs."""
        return self.probs

    @property
    def mode(self) -> Tensor:
        """The most probable class."""
        return self._at(self.probs.argmax(-1))

    @property
    def variance(self) -> Tensor:
        """``probs (1 - probs)``."""
        return self.probs * (1 - self.probs)

    def _at(self, index: Tensor) -> Tensor:
        places = at.arange(self._num_events, device=index.device)
        return (index.unsqueeze(-1) == places).to(self.probs.dtype)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Vectors of the parameters' dtype."""
        with quietly():
            return self._at(self._drawn((*sample_shape, *self._batch_shape)))

    def log_prob(self, value: Tensor) -> Tensor:
        """The class's log-probability."""
        return Categorical(logits=self.logits, validate_args=False).log_prob(self._validate_sample(value).argmax(-1))

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All classes."""
        n = self._num_events
        values = at.eye(n, dtype=self.probs.dtype, device=self.probs.device)
        values = values.reshape(n, *(1 for _ in self._batch_shape), n)
        return values.expand(n, *self._batch_shape, n) if expand else values

    def entropy(self) -> Tensor:
        """``-sum(probs log(probs))``."""
        return self._entropy()


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """Whose ``rsample`` has the gradient of the probabilities (Bengio, Léonard & Courville 2013).

    >>> OneHotCategoricalStraightThrough(at.tensor([0.0, 1.0])).rsample()
    tensor([0., 1.])
    """

    has_rsample = True

    @explained
    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws, with probs' gradient."""
        return self.sample(sample_shape) + (self.probs - detached(self.probs))


class Multinomial(OverClasses):
    """How often each class comes in ``total_count`` draws.

    >>> Multinomial(2, at.tensor([1.0, 1.0])).log_prob(at.tensor([1.0, 1.0])).exp()
    tensor(0.5000)
    """

    total_count: int

    def __init__(
        self,
        total_count: int = 1,
        probs: Tensor | None = None,
        logits: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int) or total_count < 0:
            raise at.InvalidValueError(
                f"Multinomial: expected total_count as an int of at least 0, got {total_count!r}"
            )
        self.total_count = total_count
        self._take_either(probs, logits, validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Counts that sum to total_count."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Tensor:
        """``total_count probs``."""
        return self.total_count * self.probs

    @property
    def variance(self) -> Tensor:
        """``total_count probs (1 - probs)``."""
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Counts of the parameters' dtype."""
        shape = (*sample_shape, *self._batch_shape)
        with quietly():
            classes = self._drawn((self.total_count, *shape)).movedim(0, -1)
            # Whole, as a dtype of few digits stops counting.
            counts = at.zeros(*shape, self._num_events, dtype=at.int64, device=classes.device)
            return counts.scatter_add(-1, classes, at.ones_like(classes)).to(self.probs.dtype)

    @explained
    @in_double
    def log_prob(self, value: Tensor) -> Tensor:
        """``log(n! / (x_1! ... x_k!))`` and the classes' log-probabilities."""
        value = self._validate_sample(value)
        never = (value == 0) & (self.logits == -math.inf)
        terms = value * at.where(never, 0.0, self.logits)
        ways = at.lgamma(value.sum(-1) + 1) - at.lgamma(value + 1).sum(-1)
        return ways + terms.sum(-1)

    def entropy(self) -> Tensor:
        """In nats, by the counts' binomial distributions."""
        n = self.total_count
        counts = at.arange(1, n + 1, dtype=self.probs.dtype, device=self.probs.device)
        counts = counts.reshape(n, *(1 for _ in self.param_shape))
        chances = Binomial(n, probs=self.probs, validate_args=False).log_prob(counts).exp()
        return n * self._entropy() - math.lgamma(n + 1) + (chances * at.lgamma(counts + 1)).sum((0, -1))
