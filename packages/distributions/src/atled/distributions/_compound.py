"""Distributions made of others: independent dimensions, mixtures, images under transforms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._categorical import Categorical
from ._distribution import Constraints, Distribution, Number, Shape, quietly
from ._normal import Normal
from ._transform import sum_rightmost
from .transforms import ComposeTransform, ExpTransform, StickBreakingTransform, Transform

__all__ = ["Independent", "LogNormal", "LogisticNormal", "MixtureSameFamily", "TransformedDistribution"]


class Independent(Distribution):
    """A distribution whose last ``reinterpreted_batch_ndims`` batch dimensions are part of one value.

    >>> Independent(Normal(at.zeros(3), at.ones(3)), 1).log_prob(at.zeros(3)).shape
    ()
    """

    arg_constraints: ClassVar[Constraints] = {}

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        batch = base_distribution.batch_shape
        if not 0 <= reinterpreted_batch_ndims <= len(batch):
            raise at.InvalidValueError(
                f"Independent: expected reinterpreted_batch_ndims from 0 to {len(batch)}, the batch dimensions, got "
                f"{reinterpreted_batch_ndims}"
            )
        self.base_dist = base_distribution
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        cut = len(batch) - reinterpreted_batch_ndims
        super().__init__(batch[:cut], (*batch[cut:], *base_distribution.event_shape), validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """The base's."""
        return self.base_dist.has_rsample

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """The base's, where no dimension was taken."""
        return self.reinterpreted_batch_ndims == 0 and self.base_dist.has_enumerate_support

    def expand(self, batch_shape: Shape, _instance: Any = None) -> Self:
        """The same with a larger batch_shape."""
        wider = super().expand(batch_shape, _instance)
        taken = self._event_shape[: self.reinterpreted_batch_ndims]
        wider.base_dist = self.base_dist.expand((*batch_shape, *taken))
        return wider

    @property
    def support(self) -> Any:
        """The base's, for all of a value."""
        base = self.base_dist.support
        return constraints.independent(base, self.reinterpreted_batch_ndims) if self.reinterpreted_batch_ndims else base

    @property
    def mean(self) -> Tensor:
        """The base's."""
        return self.base_dist.mean

    @property
    def mode(self) -> Tensor:
        """The base's."""
        return self.base_dist.mode

    @property
    def variance(self) -> Tensor:
        """The base's."""
        return self.base_dist.variance

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """The base's draws."""
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """The base's draws, with gradients."""
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The sum of the base's."""
        return sum_rightmost(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self) -> Tensor:
        """The sum of the base's."""
        return sum_rightmost(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """The base's values."""
        if self.reinterpreted_batch_ndims:
            raise NotImplementedError("Independent: the values of several dimensions are not listed")
        return self.base_dist.enumerate_support(expand)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """One of the ``component_distribution``'s last batch dimension, chosen by a Categorical.

    >>> halves = MixtureSameFamily(Categorical(at.ones(2)), Normal(at.tensor([-1.0, 1.0]), at.ones(2)))
    >>> halves.mean
    tensor(0.)
    """

    arg_constraints: ClassVar[Constraints] = {}

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise at.ArgumentError(
                "MixtureSameFamily: expected mixture_distribution as a Categorical, got "
                f"{type(mixture_distribution).__name__}"
            )
        batch = component_distribution.batch_shape
        classes = mixture_distribution.param_shape[-1]
        if not batch or batch[-1] != classes:
            raise at.ShapeError(
                f"MixtureSameFamily: expected components along the last batch dimension, {classes} of them, got a "
                f"batch_shape of {tuple(batch)}"
            )
        shape = at.broadcast_shapes(mixture_distribution.batch_shape, batch[:-1])
        self.mixture_distribution = mixture_distribution.expand(shape)
        self.component_distribution = component_distribution.expand((*shape, classes))
        super().__init__(shape, component_distribution.event_shape, validate_args)

    def expand(self, batch_shape: Shape, _instance: Any = None) -> Self:
        """The same with a larger batch_shape."""
        wider = super().expand(batch_shape, _instance)
        classes = self.mixture_distribution.param_shape[-1]
        wider.component_distribution = self.component_distribution.expand((*batch_shape, classes))
        wider.mixture_distribution = self.mixture_distribution.expand(batch_shape)
        return wider

    @property
    def _dtype(self) -> Any:
        return self.component_distribution._dtype

    @property
    def support(self) -> Any:
        """The components' own."""
        found = self.component_distribution.support
        bounds = [getattr(found, name, None) for name in ("lower_bound", "upper_bound")]
        # Bounds that differ between components have their dimension.
        return constraints.dependent if any(isinstance(b, Tensor) and b.ndim for b in bounds) else found

    def _weights(self) -> Tensor:
        probs = self.mixture_distribution.probs
        return probs.reshape(*probs.shape, *(1 for _ in self._event_shape))

    @property
    def _component(self) -> int:
        return -1 - len(self._event_shape)

    @property
    def mean(self) -> Tensor:
        """The weighted mean of the components'."""
        return (self._weights() * self.component_distribution.mean).sum(self._component)

    @property
    def variance(self) -> Tensor:
        """The weighted mean of the components', and the variance of their means."""
        weights, means = self._weights(), self.component_distribution.mean
        within = (weights * self.component_distribution.variance).sum(self._component)
        apart = means - self.mean.unsqueeze(self._component)
        return within + (weights * apart.square()).sum(self._component)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws of the chosen components."""
        with quietly():
            chosen = self.mixture_distribution.sample(sample_shape)
            draws = self.component_distribution.sample(sample_shape)
            index = chosen.reshape(*chosen.shape, 1, *(1 for _ in self._event_shape))
            index = index.expand(*chosen.shape, 1, *self._event_shape)
            return draws.gather(draws.ndim + self._component, index).squeeze(self._component)

    def log_prob(self, value: Tensor) -> Tensor:
        """``logsumexp`` of the components' and the weights'."""
        value = self._validate_sample(value).unsqueeze(self._component)
        return at.logsumexp(self.component_distribution.log_prob(value) + self.mixture_distribution.logits, -1)

    def cdf(self, value: Tensor) -> Tensor:
        """The weighted mean of the components'."""
        value = self._validate_sample(value).unsqueeze(self._component)
        return (self.component_distribution.cdf(value) * self.mixture_distribution.probs).sum(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamily({self.mixture_distribution}, {self.component_distribution})"


class TransformedDistribution(Distribution):
    """What becomes of a distribution's values under transforms, one after another.

    >>> lognormal = TransformedDistribution(Normal(0.0, 1.0), [transforms.ExpTransform()])
    >>> lognormal.log_prob(at.tensor(1.0)).exp()
    tensor(0.3989)
    """

    arg_constraints: ClassVar[Constraints] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        for transform in self.transforms:
            if not isinstance(transform, Transform):
                raise at.ArgumentError(
                    f"{type(self).__name__}: expected transforms as Transforms, got {type(transform).__name__}"
                )
        whole = ComposeTransform(self.transforms)
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        base_event = len(base_distribution.event_shape)
        if len(shape) < whole.domain.event_dim:
            raise at.ShapeError(
                f"{type(self).__name__}: expected a base of at least {whole.domain.event_dim} dimensions for "
                f"{self.transforms}, got {shape}"
            )
        # Parameters of a transform may have the base grow.
        forward = whole.forward_shape(shape)
        widened = whole.inverse_shape(forward)
        if tuple(widened) != tuple(shape):
            base_distribution = base_distribution.expand(widened[: len(widened) - base_event])
        more = whole.domain.event_dim - base_event
        if more > 0:
            base_distribution = Independent(base_distribution, more)
        self.base_dist = base_distribution
        event = max(whole.codomain.event_dim, base_event + whole.codomain.event_dim - whole.domain.event_dim)
        super().__init__(forward[: len(forward) - event], forward[len(forward) - event :], validate_args)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """The base's."""
        return self.base_dist.has_rsample

    @property
    def support(self) -> Any:
        """Where the last transform leads."""
        if not self.transforms:
            return self.base_dist.support
        found = self.transforms[-1].codomain
        more = len(self._event_shape) - found.event_dim
        return constraints.independent(found, more) if more > 0 else found

    def expand(self, batch_shape: Shape, _instance: Any = None) -> Self:
        """The same with a larger batch_shape."""
        wider = super().expand(batch_shape, _instance)
        shape = ComposeTransform(self.transforms).inverse_shape((*batch_shape, *self._event_shape))
        wider.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return wider

    @property
    def _dtype(self) -> Any:
        return self.base_dist._dtype

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """The base's draws, transformed."""
        with quietly():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """The base's draws, transformed, with gradients."""
        return self._forward(self.base_dist.rsample(sample_shape))

    def _forward(self, x: Tensor) -> Tensor:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Tensor) -> Tensor:
        """The base's, less the transforms' ``log_abs_det_jacobian``."""
        y = self._validate_sample(value)
        event, total = len(self._event_shape), None
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event += transform.domain.event_dim - transform.codomain.event_dim
            stretch = sum_rightmost(transform.log_abs_det_jacobian(x, y), event - transform.domain.event_dim)
            total = stretch if total is None else total + stretch
            y = x
        density = sum_rightmost(self.base_dist.log_prob(y), event - len(self.base_dist.event_shape))
        return density if total is None else density - total

    def _falling(self, share: Tensor) -> Tensor:
        """The share, or 1 less it, where the transforms turn the order round."""
        sign: Any = 1
        for transform in self.transforms:
            if transform.sign is None:
                raise NotImplementedError(f"{type(self).__name__} has no cdf: {transform} is not monotonic")
            sign = sign * transform.sign
        falling: Tensor = sign * (share - 0.5) + 0.5
        return falling

    def cdf(self, value: Tensor) -> Tensor:
        """The base's at the inverse."""
        x = self._validate_sample(value)
        for transform in reversed(self.transforms):
            x = transform.inv(x)
        return self._falling(self.base_dist.cdf(x))

    def icdf(self, value: Tensor) -> Tensor:
        """The base's, transformed."""
        return self._forward(self.base_dist.icdf(self._falling(value)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_dist}, {self.transforms})"


class LogNormal(TransformedDistribution):
    """``exp(x)`` of a normal ``x`` with mean ``loc`` and standard deviation ``scale``.

    >>> LogNormal(0.0, 1.0).mean
    tensor(1.6487)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": constraints.real, "scale": constraints.positive}
    base_dist: Normal

    def __init__(self, loc: Number, scale: Number, validate_args: bool | None = None) -> None:
        super().__init__(Normal(loc, scale, validate_args), ExpTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The logarithm's mean."""
        return self.base_dist.loc

    @property
    def scale(self) -> Tensor:
        """The logarithm's standard deviation."""
        return self.base_dist.scale

    @property
    def mean(self) -> Tensor:
        """``exp(loc + scale² / 2)``."""
        return at.exp(self.loc + self.scale.square() / 2)

    @property
    def mode(self) -> Tensor:
        """``exp(loc - scale²)``."""
        return at.exp(self.loc - self.scale.square())

    @property
    def variance(self) -> Tensor:
        """``(exp(scale²) - 1) exp(2 loc + scale²)``."""
        squared = self.scale.square()
        return at.expm1(squared) * at.exp(2 * self.loc + squared)

    def entropy(self) -> Tensor:
        """The normal's and loc."""
        return self.base_dist.entropy() + self.loc


class LogisticNormal(TransformedDistribution):
    """Shares of n classes: StickBreakingTransform of n - 1 normal numbers.

    >>> LogisticNormal(at.zeros(2), at.ones(2)).event_shape
    (3,)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": constraints.real, "scale": constraints.positive}

    def __init__(self, loc: Tensor, scale: Tensor, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args)
        if not base.batch_shape:
            raise at.ShapeError("LogisticNormal: expected loc or scale of at least one dimension, got numbers")
        super().__init__(base, StickBreakingTransform(), validate_args)

    @property
    def loc(self) -> Tensor:
        """The normal numbers' means."""
        found: Tensor = self.base_dist.base_dist.loc  # type: ignore[attr-defined]
        return found

    @property
    def scale(self) -> Tensor:
        """The normal numbers' standard deviations."""
        found: Tensor = self.base_dist.base_dist.scale  # type: ignore[attr-defined]
        return found
