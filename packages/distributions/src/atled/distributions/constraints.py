"""Where values and parameters may lie: what ``check`` says of each element, or of each vector or matrix.

``event_dim`` is how many of the last dimensions belong to one value: 0 for numbers, 1 for vectors, 2 for matrices.
The names are those of ``torch.distributions.constraints``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import ExplainsInit

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


class Constraint(ExplainsInit):
    """A set of values, of which ``check`` tells the members; a subclass has it, ``event_dim`` and ``is_discrete``.

    >>> constraints.positive.check(at.tensor([-1.0, 2.0])).tolist()
    [False, True]
    """

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value: of value's shape without its last ``event_dim`` dimensions."""
        raise NotImplementedError(f"{type(self).__name__} has no check")

    def __repr__(self) -> str:
        return type(self).__name__


class _Named(Constraint):
    """One that has no parameters: a function of the values, under the name that this module has it by."""

    def __init__(self, text: str, test: Callable[[Tensor], Tensor], event_dim: int = 0, is_discrete: bool = False):
        self._text, self._test, self.event_dim, self.is_discrete = text, test, event_dim, is_discrete

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value."""
        return self._test(value)

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> str:
        return self._text  # copies and pickles are itself, which the registries know


class _Dependent(Constraint):
    """Depends on a distribution's parameters, which is asked instead."""

    def __init__(self, *, is_discrete: bool = False, event_dim: int = 0) -> None:
        self.event_dim, self.is_discrete = event_dim, is_discrete

    def check(self, value: Tensor) -> Tensor:
        """An OperationError."""
        raise at.OperationError(
            "dependent: expected the constraint of a distribution's instance, which knows its bounds"
        )

    def __call__(self, *, is_discrete: bool = False, event_dim: int = 0) -> _Dependent:
        return _Dependent(is_discrete=is_discrete, event_dim=event_dim)

    def __repr__(self) -> str:
        return "dependent"


class dependent_property(property, Constraint):
    """A property whose value, a constraint, depends on the instance; of the class it is ``dependent`` itself.

    >>> constraints.is_dependent(Uniform.support)
    True
    """

    def __init__(
        self, fn: Callable[[Any], Constraint] | None = None, *, is_discrete: bool = False, event_dim: int = 0
    ) -> None:
        super().__init__(fn)
        self.is_discrete, self.event_dim = is_discrete, event_dim

    def __call__(self, fn: Callable[[Any], Constraint]) -> dependent_property:
        return dependent_property(fn, is_discrete=self.is_discrete, event_dim=self.event_dim)

    def __repr__(self) -> str:
        return "dependent"


def is_dependent(constraint: object) -> bool:
    """Whether the constraint is known for a distribution's instance only.

    >>> constraints.is_dependent(constraints.real)
    False
    """
    return isinstance(constraint, (_Dependent, dependent_property))


def _all_of(fits: Tensor, dims: int) -> Tensor:
    """Whether all of the last ``dims`` dimensions fit."""
    return fits.flatten(fits.ndim - dims).all(-1) if dims else fits


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
        return _all_of(self.base_constraint.check(value), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"independent({self.base_constraint}, {self.reinterpreted_batch_ndims})"


class cat(Constraint):
    """Parts along ``dim``, of the given lengths, each with a constraint of its own.

    >>> constraints.cat([constraints.positive, constraints.real]).check(at.tensor([-1.0, -1.0])).tolist()
    [False, True]
    """

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0, lengths: Sequence[int] | None = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        self.event_dim = max(c.event_dim for c in self.cseq)

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value."""
        parts = zip(self.cseq, value.split(self.lengths, self.dim), strict=True)
        found = [_all_of(c.check(part), self.event_dim - c.event_dim) for c, part in parts]
        dim = (self.dim if self.dim < 0 else self.dim - value.ndim) + self.event_dim
        return at.cat(found, dim) if dim < 0 else at.stack(found).all(0)

    def __repr__(self) -> str:
        return f"cat({self.cseq}, {self.dim}, {self.lengths})"


class stack(Constraint):
    """Slices along ``dim``, each with a constraint of its own.

    >>> constraints.stack([constraints.positive, constraints.real]).check(at.tensor([-1.0, -1.0])).tolist()
    [False, True]
    """

    def __init__(self, cseq: Sequence[Constraint], dim: int = 0) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.is_discrete = any(c.is_discrete for c in self.cseq)
        widest = max(c.event_dim for c in self.cseq)
        self._is_within = -1 - widest <= dim < 0  # a slice's number is part of the value
        self.event_dim = widest + self._is_within

    def check(self, value: Tensor) -> Tensor:
        """A bool for each value."""
        slices, widest = zip(self.cseq, value.unbind(self.dim), strict=True), self.event_dim - self._is_within
        found = [_all_of(c.check(part), widest - c.event_dim) for c, part in slices]
        if self._is_within:
            return at.stack(found).all(0)
        return at.stack(found, self.dim if self.dim >= 0 else self.dim + widest)

    def __repr__(self) -> str:
        return f"stack({self.cseq}, {self.dim})"


Bound = Tensor | float


class _Bounded(Constraint):
    """One that its bounds tell of."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(str(bound) for bound in vars(self).values())})"


class greater_than(_Bounded):
    """Numbers above a bound.

    >>> constraints.greater_than(1.0).check(at.tensor([1.0, 2.0])).tolist()
    [False, True]
    """

    def __init__(self, lower_bound: Bound) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Tensor) -> Tensor:
        """A bool for each number."""
        return value > self.lower_bound


class greater_than_eq(_Bounded):
    """Numbers of at least a bound.

    >>> constraints.greater_than_eq(1.0).check(at.tensor([1.0, 2.0])).tolist()
    [True, True]
    """

    def __init__(self, lower_bound: Bound) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Tensor) -> Tensor:
        """A bool for each number."""
        return value >= self.lower_bound


class less_than(_Bounded):
    """Numbers below a bound.

    >>> constraints.less_than(1.0).check(at.tensor([0.0, 1.0])).tolist()
    [True, False]
    """

    def __init__(self, upper_bound: Bound) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        """A bool for each number."""
        return value < self.upper_bound


class interval(_Bounded):
    """Numbers between two bounds, which belong to it.

    >>> constraints.interval(0.0, 1.0).check(at.tensor([1.0, 2.0])).tolist()
    [True, False]
    """

    def __init__(self, lower_bound: Bound, upper_bound: Bound) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Tensor) -> Tensor:
        """A bool for each number."""
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class half_open_interval(_Bounded):
    """Numbers between two bounds, of which the lower one belongs to it.

    >>> constraints.half_open_interval(0.0, 1.0).check(at.tensor([0.0, 1.0])).tolist()
    [True, False]
    """

    def __init__(self, lower_bound: Bound, upper_bound: Bound) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Tensor) -> Tensor:
        """A bool for each number."""
        return (value >= self.lower_bound) & (value < self.upper_bound)


class integer_interval(_Bounded):
    """Whole numbers, of any dtype, between two bounds, which belong to it.

    >>> constraints.integer_interval(0, 3).check(at.tensor([0.5, 3.0])).tolist()
    [False, True]
    """

    is_discrete = True

    def __init__(self, lower_bound: Bound, upper_bound: Bound) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Tensor) -> Tensor:
        """A bool for each number."""
        return _whole(value) & (value >= self.lower_bound) & (value <= self.upper_bound)


class multinomial(_Bounded):
    """Vectors of counts that sum to ``upper_bound``.

    >>> constraints.multinomial(2).check(at.tensor([[1, 1], [1, 2]])).tolist()
    [True, False]
    """

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Bound) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Tensor) -> Tensor:
        """A bool for each vector."""
        return (_whole(value) & (value >= 0)).all(-1) & (value.sum(-1) == self.upper_bound)


def _whole(value: Tensor) -> Tensor:
    return value % 1 == 0


def _on_simplex(v: Tensor) -> Tensor:
    tolerance = max(1e-6, 8 * at.finfo(v.dtype).eps) if v.is_floating_point() else 0.5
    return (v >= 0).all(-1) & ((v.sum(-1) - 1).abs() < tolerance)


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
boolean = _Named("boolean", lambda v: (v == 0) | (v == 1), is_discrete=True)
one_hot = _Named("one_hot", lambda v: ((v == 0) | (v == 1)).all(-1) & (v.sum(-1) == 1), event_dim=1, is_discrete=True)
nonnegative_integer = _Named("nonnegative_integer", lambda v: _whole(v) & (v >= 0), is_discrete=True)
positive_integer = _Named("positive_integer", lambda v: _whole(v) & (v >= 1), is_discrete=True)
real = _Named("real", _numbers)
real_vector = _Named("real_vector", lambda v: _numbers(v).all(-1), event_dim=1)
positive = greater_than(0)
nonnegative = greater_than_eq(0)
unit_interval = interval(0, 1)
simplex = _Named("simplex", _on_simplex, event_dim=1)
lower_triangular = _Named("lower_triangular", _is_lower, event_dim=2)
lower_cholesky = _Named("lower_cholesky", _is_lower_cholesky, event_dim=2)
corr_cholesky = _Named("corr_cholesky", _is_corr_cholesky, event_dim=2)
square = _Named("square", _is_square, event_dim=2)
symmetric = _Named("symmetric", _is_symmetric, event_dim=2)
positive_semidefinite = _Named("positive_semidefinite", _is_semidefinite, event_dim=2)
positive_definite = _Named("positive_definite", _is_definite, event_dim=2)
