"""Where values and parameters may lie: what ``check`` says of each element, or of each vector or matrix.

``event_dim`` is how many of the last dimensions belong to one value: 0 for numbers, 1 for vectors, 2 for matrices.
The names are those of ``torch.distributions.constraints``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor

__all__ = [
    "Constraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]


class Constraint:
    """A set of values, of which ``check`` tells the members.

    >>> constraints.positive.check(at.tensor([-1.0, 2.0])).tolist()
    [False, True]
    """

    is_discrete = False
    event_dim = 0

    def __init__(self, text: str, test: Callable[[Tensor], Tensor], event_dim: int = 0, is_discrete: bool = False):
        self._text, self._test, self.event_dim, self.is_discrete = text, test, event_dim, is_discrete

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value: of value's shape without its last ``event_dim`` dimensions."""
        return self._test(value)

    def __repr__(self) -> str:
        return self._text


class _Dependent(Constraint):
    """Depends on a distribution's parameters, which is asked instead."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        super().__init__("dependent", self._refuse, event_dim, is_discrete)

    def _refuse(self, value: Tensor) -> Tensor:
        raise at.OperationError(
            "dependent: expected the constraint of a distribution's instance, which knows its bounds"
        )

    def __call__(self, *, is_discrete: bool = False, event_dim: int = 0) -> _Dependent:
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)


class dependent_property(property, Constraint):
    """A property whose value, a constraint, depends on the instance; of the class it is ``dependent`` itself."""

    def __init__(
        self, fn: Callable[[Any], Constraint] | None = None, *, is_discrete: bool = False, event_dim: int = 0
    ) -> None:
        super().__init__(fn)
        self._text, self.is_discrete, self.event_dim = "dependent", is_discrete, event_dim

    def __call__(self, fn: Callable[[Any], Constraint]) -> dependent_property:
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)


def is_dependent(constraint: object) -> bool:
    """Whether the constraint is known for a distribution's instance only.

    >>> constraints.is_dependent(constraints.real)
    False
    """
    return isinstance(constraint, (_Dependent, dependent_property))


class independent(Constraint):
    """A constraint whose last ``reinterpreted_batch_ndims`` dimensions count as one value: all of it must fit.

    >>> constraints.independent(constraints.positive, 1).check(at.tensor([[1.0, 2.0], [1.0, -2.0]])).tolist()
    [True, False]
    """

    def __init__(self, base_constraint: Constraint, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = base_constraint
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.is_discrete = base_constraint.is_discrete
        self.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value."""
        if value.ndim < self.event_dim:
            raise at.ShapeError(f"{self}: expected at least {self.event_dim} dimensions, got {tuple(value.shape)}")
        inner = self.base_constraint.check(value)
        return inner.flatten(inner.ndim - self.reinterpreted_batch_ndims).all(-1) if self._joins else inner

    @property
    def _joins(self) -> bool:
        return self.reinterpreted_batch_ndims > 0

    def __repr__(self) -> str:
        return f"independent({self.base_constraint}, {self.reinterpreted_batch_ndims})"


class cat(Constraint):
    """Parts along ``dim``, of the given lengths, each with a constraint of its own."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value."""
        parts = value.split(self.lengths, self.dim)
        return at.cat([c.check(part) for c, part in zip(self.cseq, parts, strict=True)], self.dim)

    def __repr__(self) -> str:
        return f"cat({self.cseq}, {self.dim}, {self.lengths})"


class stack(Constraint):
    """Slices along ``dim``, each with a constraint of its own."""

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq) + (
            1 if dim + max(c.event_dim for c in self.cseq) < 0 else 0
        )

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value."""
        slices = value.unbind(self.dim)
        return at.stack([c.check(part) for c, part in zip(self.cseq, slices, strict=True)], self.dim)

    def __repr__(self) -> str:
        return f"stack({self.cseq}, {self.dim})"


class greater_than(Constraint):
    """Numbers above a bound."""

    def __init__(self, lower_bound: Any) -> None:
        super().__init__(f"greater_than({lower_bound})", lambda v: v > lower_bound)
        self.lower_bound = lower_bound


class greater_than_eq(Constraint):
    """Numbers of at least a bound."""

    def __init__(self, lower_bound: Any) -> None:
        super().__init__(f"greater_than_eq({lower_bound})", lambda v: v >= lower_bound)
        self.lower_bound = lower_bound


class less_than(Constraint):
    """Numbers below a bound."""

    def __init__(self, upper_bound: Any) -> None:
        super().__init__(f"less_than({upper_bound})", lambda v: v < upper_bound)
        self.upper_bound = upper_bound


class _Between(Constraint):
    """What lies between two bounds."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        super().__init__(f"{type(self).__name__}({lower_bound}, {upper_bound})", self._lies_between)
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def _lies_between(self, v: Tensor) -> Tensor:
        inside: Tensor = (v >= self.lower_bound) & (v <= self.upper_bound)
        return inside


class interval(_Between):
    """Numbers between two bounds, which belong to it."""


class half_open_interval(_Between):
    """Numbers between two bounds, of which the lower one belongs to it."""

    def _lies_between(self, v: Tensor) -> Tensor:
        inside: Tensor = (v >= self.lower_bound) & (v < self.upper_bound)
        return inside


class integer_interval(_Between):
    """Whole numbers, of any dtype, between two bounds, which belong to it."""

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        super().__init__(lower_bound, upper_bound)
        self.is_discrete = True

    def _lies_between(self, v: Tensor) -> Tensor:
        return _whole(v) & super()._lies_between(v)


def _whole(value: Tensor) -> Tensor:
    return value % 1 == 0


def _at_least(least: int) -> Constraint:
    name = {0: "nonnegative_integer", 1: "positive_integer"}[least]
    return Constraint(name, lambda v: _whole(v) & (v >= least), is_discrete=True)


def _on_simplex(v: Tensor) -> Tensor:
    return (v >= 0).all(-1) & ((v.sum(-1) - 1).abs() < 1e-6)


def _is_lower(v: Tensor) -> Tensor:
    return (v.tril() == v).flatten(-2).all(-1)


def _is_lower_cholesky(v: Tensor) -> Tensor:
    return _is_lower(v) & (v.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _is_corr_cholesky(v: Tensor) -> Tensor:
    tolerance = at.finfo(v.dtype).eps * v.shape[-1] * 10
    return _is_lower_cholesky(v) & ((v.square().sum(-1) - 1).abs() <= tolerance).all(-1)


def _is_square(v: Tensor) -> Tensor:
    return at.full(v.shape[:-2], v.shape[-2] == v.shape[-1], dtype=at.bool, device=v.device)


def _is_symmetric(v: Tensor) -> Tensor:
    square = _is_square(v)
    return at.isclose(v, v.mT, atol=1e-6).flatten(-2).all(-1) if v.shape[-1] == v.shape[-2] else square


def _is_semidefinite(v: Tensor) -> Tensor:
    symmetric = _is_symmetric(v)
    return symmetric & (at.linalg.eigvalsh(v) >= 0).all(-1) if v.shape[-1] == v.shape[-2] else symmetric


def _is_definite(v: Tensor) -> Tensor:
    symmetric = _is_symmetric(v)
    return symmetric & (at.linalg.cholesky_ex(v).info == 0) if v.shape[-1] == v.shape[-2] else symmetric


def _numbers(v: Tensor) -> Tensor:
    return v == v  # all but NaN


dependent = _Dependent()
boolean = Constraint("boolean", lambda v: (v == 0) | (v == 1), is_discrete=True)
one_hot = Constraint(
    "one_hot", lambda v: ((v == 0) | (v == 1)).all(-1) & (v.sum(-1) == 1), event_dim=1, is_discrete=True
)
nonnegative_integer = _at_least(0)
positive_integer = _at_least(1)
real = Constraint("real", _numbers)
real_vector = Constraint("real_vector", lambda v: _numbers(v).all(-1), event_dim=1)
positive = greater_than(0)
nonnegative = greater_than_eq(0)
unit_interval = interval(0, 1)
simplex = Constraint("simplex", _on_simplex, event_dim=1)
lower_triangular = Constraint("lower_triangular", _is_lower, event_dim=2)
lower_cholesky = Constraint("lower_cholesky", _is_lower_cholesky, event_dim=2)
corr_cholesky = Constraint("corr_cholesky", _is_corr_cholesky, event_dim=2)
square = Constraint("square", _is_square, event_dim=2)
symmetric = Constraint("symmetric", _is_symmetric, event_dim=2)
positive_semidefinite = Constraint("positive_semidefinite", _is_semidefinite, event_dim=2)
positive_definite = Constraint("positive_definite", _is_definite, event_dim=2)


class multinomial(Constraint):
    """Vectors of counts that sum to ``upper_bound``."""

    def __init__(self, upper_bound: Any) -> None:
        super().__init__(f"multinomial({upper_bound})", self._adds_up, event_dim=1, is_discrete=True)
        self.upper_bound = upper_bound

    def _adds_up(self, v: Tensor) -> Tensor:
        fits: Tensor = (_whole(v) & (v >= 0)).all(-1) & (v.sum(-1) == self.upper_bound)
        return fits
