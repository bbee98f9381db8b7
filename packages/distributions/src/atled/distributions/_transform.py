"""What all transforms have in common, and those that are made of others: chains and independent dimensions."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import ExplainsInit

from . import constraints

__all__ = ["ComposeTransform", "IndependentTransform", "Transform", "identity_transform", "sum_rightmost"]


class Transform(ExplainsInit):
    """A map from ``domain`` to ``codomain``; ``inv`` is the way back.

    A subclass has ``_call``, ``_inverse`` and ``log_abs_det_jacobian(x, y)``, which answers a number for each event.
    With ``cache_size=1`` the last pair is kept, so that the inverse of what was just computed is exact and free.

    >>> transforms.ExpTransform().inv(at.tensor(1.0))
    tensor(0.)
    """

    bijective = False
    domain: Any = constraints.real
    codomain: Any = constraints.real
    sign: Any = None

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise at.InvalidValueError(f"{type(self).__name__}: expected a cache_size of 0 or 1, got {cache_size!r}")
        self._cache_size = cache_size
        self._pair: tuple[Tensor, Tensor] | None = None

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions are one value; domain and codomain must agree on it."""
        if self.domain.event_dim != self.codomain.event_dim:
            raise at.OperationError(f"{self}: expected domain and codomain of one event_dim; ask them instead")
        return int(self.domain.event_dim)

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _Inverse(self)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same with another cache_size."""
        if self._cache_size == cache_size:
            return self
        other = copy.copy(self)
        Transform.__init__(other, cache_size)
        return other

    def __call__(self, x: Tensor) -> Tensor:
        """y of an x."""
        if self._pair is not None and x is self._pair[0]:
            return self._pair[1]
        y = self._call(x)
        if self._cache_size:
            self._pair = x, y
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if self._pair is not None and y is self._pair[1]:
            return self._pair[0]
        x = self._inverse(y)
        if self._cache_size:
            self._pair = x, y
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no _call")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |dy / dx|``, of ``x``'s shape without the event's dimensions."""
        raise NotImplementedError(f"{type(self).__name__} does not preserve volume in a way that has a density")

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return tuple(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._transform = transform
        self.bijective = transform.bijective
        self.domain, self.codomain = transform.codomain, transform.domain
        self.sign = transform.sign

    @property
    def inv(self) -> Transform:
        """The transform itself."""
        return self._transform

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same with another cache_size."""
        return self._transform.with_cache(cache_size).inv

    def __call__(self, x: Tensor) -> Tensor:
        return self._transform._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._transform(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``-log |dx / dy|``."""
        return -self._transform.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        return self._transform.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return self._transform.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{self._transform}.inv"


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sums over the last ``dims`` dimensions."""
    return value if dims == 0 else value.flatten(value.ndim - dims).sum(-1)


class ComposeTransform(Transform):
    """Several, one after another: ``parts[-1](... parts[0](x))``.

    >>> both = transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(1.0, 2.0)])
    >>> both(at.tensor(0.0))
    tensor(3.)
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [part.with_cache(cache_size) for part in parts] if cache_size else list(parts)
        self.bijective = all(part.bijective for part in self.parts)
        self.domain = self._outer([p.domain for p in self.parts], [p.codomain for p in self.parts])
        backwards = self.parts[::-1]
        self.codomain = self._outer([p.codomain for p in backwards], [p.domain for p in backwards])
        signs = [part.sign for part in self.parts]
        self.sign = None if any(s is None for s in signs) else math.prod(signs) if signs else 1

    @staticmethod
    def _outer(entries: list[Any], exits: list[Any]) -> Any:
        """The first entry, with as many dimensions as the chain needs there."""
        if not entries:
            return constraints.real
        needed = exits[-1].event_dim
        for entry, leave in zip(entries[::-1], exits[::-1], strict=True):
            needed = max(entry.event_dim, needed + entry.event_dim - leave.event_dim)
        more = needed - entries[0].event_dim
        return constraints.independent(entries[0], more) if more else entries[0]

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same with another cache_size, which is that of the parts."""
        return self if cache_size == self._cache_size else ComposeTransform(self.parts, cache_size)

    @property
    def inv(self) -> Transform:
        """The inverses, in the other order."""
        return ComposeTransform([part.inv for part in reversed(self.parts)])

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inv_call(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of the parts'."""
        if not self.parts:
            return at.zeros_like(x)
        points = [x]
        for part in self.parts[:-1]:
            points.append(part(points[-1]))
        points.append(y)
        stretches = []
        event_dim = self.domain.event_dim
        for part, before, after in zip(self.parts, points[:-1], points[1:], strict=True):
            stretches.append(sum_rightmost(part.log_abs_det_jacobian(before, after), event_dim - part.domain.event_dim))
            event_dim += part.codomain.event_dim - part.domain.event_dim
        return sum(stretches[1:], stretches[0])

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        for part in self.parts:
            shape = part.forward_shape(shape)
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return tuple(shape)

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts})"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """Whose last ``reinterpreted_batch_ndims`` batch dimensions belong to one value.

    >>> transforms.IndependentTransform(transforms.ExpTransform(), 1).event_dim
    1
    """

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size) if cache_size else base_transform
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.bijective, self.sign = base_transform.bijective, base_transform.sign
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform._inv_call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of the base's."""
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform}, {self.reinterpreted_batch_ndims})"
