"""Transforms of each number by itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._discrete import softplus
from ._transform import Transform, sum_rightmost

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "PowerTransform",
    "SigmoidTransform",
    "SoftplusTransform",
    "TanhTransform",
]


def _with_parameters(shape: Sequence[int], *parameters: Any) -> tuple[int, ...]:
    """The shape, broadcast with those of the parameters that are tensors."""
    return tuple(at.broadcast_shapes(shape, *(p.shape for p in parameters if isinstance(p, Tensor))))


class ExpTransform(Transform):
    """``exp(x)``.

    >>> transforms.ExpTransform()(at.tensor(0.0))
    tensor(1.)
    """

    codomain = constraints.positive
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """x."""
        return x


class PowerTransform(Transform):
    """``x ** exponent`` of positive numbers.

    >>> transforms.PowerTransform(2.0)(at.tensor(3.0))
    tensor(9.)
    """

    domain = constraints.positive
    codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        """The exponent's."""
        return self.exponent.sign() if isinstance(self.exponent, Tensor) else math.copysign(1, self.exponent)

    def _call(self, x: Tensor) -> Tensor:
        return x.pow(self.exponent)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |exponent y / x|``."""
        slope: Tensor = self.exponent * y / x
        return slope.abs().log()

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's: that of x and the exponent together."""
        return _with_parameters(shape, self.exponent)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return _with_parameters(shape, self.exponent)


class SigmoidTransform(Transform):
    """``1 / (1 + exp(-x))``.

    >>> transforms.SigmoidTransform()(at.tensor(0.0))
    tensor(0.5000)
    """

    codomain = constraints.unit_interval
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        info = at.finfo(x.dtype)
        return at.sigmoid(x).clamp(info.tiny, 1 - info.eps)

    def _inverse(self, y: Tensor) -> Tensor:
        info = at.finfo(y.dtype)
        y = y.clamp(info.tiny, 1 - info.eps)
        return y.log() - at.log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``-log(1 + exp(-x)) - log(1 + exp(x))``."""
        return -softplus(-x) - softplus(x)


class SoftplusTransform(Transform):
    """``log(1 + exp(x))``.

    >>> transforms.SoftplusTransform()(at.tensor(0.0))
    tensor(0.6931)
    """

    codomain = constraints.positive
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-at.expm1(-y)).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``-log(1 + exp(-x))``."""
        return -softplus(-x)


class TanhTransform(Transform):
    """``tanh(x)``; with ``cache_size=1`` the way back from what was just computed is exact.

    >>> transforms.TanhTransform(cache_size=1)(at.tensor(0.0))
    tensor(0.)
    """

    codomain = constraints.interval(-1.0, 1.0)
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return at.atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log(1 - tanh(x)²)``, as ``2 (log(2) - x - softplus(-2 x))``, which no x rounds to 0."""
        return 2 * (math.log(2) - x - softplus(-2 * x))


class AbsTransform(Transform):
    """``|x|``, which is not invertible: the inverse answers the positive one.

    >>> transforms.AbsTransform()(at.tensor(-1.0))
    tensor(1.)
    """

    codomain = constraints.nonnegative

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class AffineTransform(Transform):
    """``loc + scale x``, where the last ``event_dim`` dimensions are one value.

    >>> transforms.AffineTransform(1.0, 2.0)(at.tensor(3.0))
    tensor(7.)
    """

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        self.domain = self.codomain = (
            constraints.independent(constraints.real, event_dim) if event_dim else constraints.real
        )

    @property
    def sign(self) -> Any:
        """The scale's."""
        return self.scale.sign() if isinstance(self.scale, Tensor) else math.copysign(1, self.scale)

    def _call(self, x: Tensor) -> Tensor:
        y: Tensor = self.loc + self.scale * x
        return y

    def _inverse(self, y: Tensor) -> Tensor:
        x: Tensor = (y - self.loc) / self.scale
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |scale|``."""
        scale = self.scale if isinstance(self.scale, Tensor) else at.full_like(x, float(self.scale))
        shape = at.broadcast_shapes(x.shape, y.shape)
        return sum_rightmost(scale.abs().log().expand(shape), self.event_dim)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's: that of x, loc and scale together."""
        return _with_parameters(shape, self.loc, self.scale)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return _with_parameters(shape, self.loc, self.scale)


class CumulativeDistributionTransform(Transform):
    """The cdf of a distribution, which makes its values uniform.

    >>> transforms.CumulativeDistributionTransform(Normal(0.0, 1.0))(at.tensor(0.0))
    tensor(0.5000)
    """

    bijective = True
    codomain = constraints.unit_interval
    sign = 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """The distribution's support."""
        return self.distribution.support

    def _call(self, x: Tensor) -> Tensor:
        value: Tensor = self.distribution.cdf(x)
        return value

    def _inverse(self, y: Tensor) -> Tensor:
        value: Tensor = self.distribution.icdf(y)
        return value

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The log-density."""
        value: Tensor = self.distribution.log_prob(x)
        return value
