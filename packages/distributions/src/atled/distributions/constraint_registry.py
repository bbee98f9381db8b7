"""Transforms from all real numbers to where a constraint holds: to optimise parameters without bounds.

``biject_to`` answers invertible ones, whose ``log_abs_det_jacobian`` samplers need; ``transform_to`` cheaper ones
where there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import atled.core as at

from . import constraints, transforms
from .transforms import Transform

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]

Factory = TypeVar("Factory", bound=Callable[[Any], Transform])


class ConstraintRegistry:
    """Which transform leads to a constraint.

    >>> transform_to(constraints.positive)(at.tensor(0.0))
    tensor(1.)
    """

    def __init__(self) -> None:
        self._factories: dict[Any, Callable[[Any], Transform]] = {}

    def register(self, constraint: Any, factory: Factory | None = None) -> Any:
        """Adds a factory for a class of constraints, or for one; without a factory it is a decorator."""
        if factory is None:
            return lambda given: self.register(constraint, given)
        is_class = isinstance(constraint, type) and issubclass(constraint, constraints.Constraint)
        if not (is_class or isinstance(constraint, constraints.Constraint)):
            raise at.ArgumentError(f"register: expected a Constraint or a subclass of it, got {constraint!r}")
        self._factories[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Transform:
        """The transform; NotImplementedOpError where none is known, ArgumentError for what is no constraint."""
        if not isinstance(constraint, constraints.Constraint):
            raise at.ArgumentError(f"constraint registry: expected a Constraint, got {constraint!r}")
        keys = (constraint, type(constraint))
        factory = next((self._factories[key] for key in keys if key in self._factories), None)
        if factory is None:
            raise at.NotImplementedOpError(
                f"constraint registry: no transform leads to {constraint}; register(...) adds one"
            )
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _above(bound: Any, sign: int = 1) -> Transform:
    plain = isinstance(bound, (int, float)) and bound == 0 and sign == 1
    exp = transforms.ExpTransform()
    return exp if plain else transforms.ComposeTransform([exp, transforms.AffineTransform(bound, sign)])


def _between(constraint: Any) -> Transform:
    low, high = constraint.lower_bound, constraint.upper_bound
    plain = isinstance(low, (int, float)) and isinstance(high, (int, float)) and (low, high) == (0, 1)
    sigmoid = transforms.SigmoidTransform()
    return sigmoid if plain else transforms.ComposeTransform([sigmoid, transforms.AffineTransform(low, high - low)])


for _registry in (biject_to, transform_to):
    for _whole in (constraints.real, constraints.real_vector):
        _registry.register(_whole, lambda _: transforms.identity_transform)
    for _kind in (constraints.greater_than, constraints.greater_than_eq):
        _registry.register(_kind, lambda c: _above(c.lower_bound))
    _registry.register(constraints.less_than, lambda c: _above(c.upper_bound, -1))
    for _range in (constraints.interval, constraints.half_open_interval):
        _registry.register(_range, _between)
    _registry.register(constraints.lower_cholesky, lambda _: transforms.LowerCholeskyTransform())
    _registry.register(constraints.corr_cholesky, lambda _: transforms.CorrCholeskyTransform())
    _registry.register(constraints.positive_definite, lambda _: transforms.PositiveDefiniteTransform())

biject_to.register(constraints.simplex, lambda _: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda _: transforms.SoftmaxTransform())


def _register_parts(registry: ConstraintRegistry) -> None:
    """Constraints made of others, by the transforms of their parts."""
    registry.register(
        constraints.independent,
        lambda c: transforms.IndependentTransform(registry(c.base_constraint), c.reinterpreted_batch_ndims),
    )
    registry.register(
        constraints.cat, lambda c: transforms.CatTransform([registry(part) for part in c.cseq], c.dim, c.lengths)
    )
    registry.register(
        constraints.stack, lambda c: transforms.StackTransform([registry(part) for part in c.cseq], c.dim)
    )


_register_parts(biject_to)
_register_parts(transform_to)
