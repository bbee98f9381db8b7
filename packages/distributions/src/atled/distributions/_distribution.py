"""The base of all distributions: parameters that broadcast, checks, and what follows from samples and densities."""

from __future__ import annotations

import contextlib
import functools
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, cast, overload

import atled.core as at
from atled.core import Tensor
from atled.core._explained import ExplainsInit

from . import constraints

__all__ = [
    "EULER",
    "Constraints",
    "Distribution",
    "Number",
    "Shape",
    "as_tensors",
    "detached",
    "exponentials",
    "in_double",
    "inside_unit",
    "lazy_property",
    "quietly",
]

Method = TypeVar("Method", bound=Callable[..., Tensor])
Number = Tensor | float | int
Shape = Sequence[int]
Constraints = Mapping[str, Any]

#: The limit of 1 + 1/2 + ... + 1/n - log(n), by Euler.
EULER = 0.57721566490153286


def quietly() -> contextlib.AbstractContextManager[Any]:
    """Within it nothing is recorded, where there is anything that records."""
    no_grad = getattr(at, "no_grad", None)
    return contextlib.nullcontext() if no_grad is None else no_grad()


def detached(tensor: Tensor) -> Tensor:
    """The tensor apart from any gradient; itself, where there is nothing that records."""
    detach = getattr(tensor, "detach", None)
    return tensor if detach is None else detach()


def in_double(compute: Method) -> Method:
    """A method whose large terms cancel: computed in float64, its result of the parameters' and values' dtype."""

    @functools.wraps(compute)
    def widely(self: Distribution, *values: Tensor) -> Tensor:
        dtype = self._dtype
        if dtype == at.float64:
            return compute(self, *values)
        checked = [self._validate_sample(value) for value in values]
        for value in checked:
            dtype = at.promote_types(dtype, value.dtype)
        wide = self._copied(lambda _, value: value.to(at.float64), type(self).__new__(type(self)))
        wide._validate_args = False
        return compute(wide, *(value.to(at.float64) for value in checked)).to(dtype)

    return cast("Method", widely)


class lazy_property:
    """A property that follows from the parameters: kept once it was computed, unless that was not recorded.

    >>> class Halves(Distribution):
    ...     @utils.lazy_property
    ...     def probs(self):
    ...         return at.tensor(0.5)
    >>> Halves().probs
    tensor(0.5000)
    """

    def __init__(self, compute: Callable[[Any], Tensor]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Tensor: ...
    def __get__(self, instance: Any, owner: type) -> Self | Tensor:
        """The value; of the class, this."""
        if instance is None:
            return self
        value = self._compute(instance)
        is_recorded = getattr(at, "is_grad_enabled", None)
        if is_recorded is None or is_recorded():
            instance.__dict__[self._name] = value
        return value


class Distribution(ExplainsInit):
    """A batch of distributions of one family: ``batch_shape`` of them, of values that have ``event_shape``.

    Parameters are tensors or numbers, which broadcast against each other; all have one floating dtype and device. With
    ``validate_args`` (True, unless Python runs with ``-O`` or ``set_default_validate_args`` says otherwise) parameters
    and values that lie outside their constraints are an InvalidValueError.

    >>> Normal(at.zeros(3), 1.0).sample((2,)).shape
    (2, 3)
    """

    has_rsample: ClassVar[bool] = False
    has_enumerate_support: ClassVar[bool] = False
    arg_constraints: ClassVar[Constraints] = {}
    support: Any = None
    _validates_by_default: ClassVar[bool] = __debug__

    def __init__(
        self,
        batch_shape: Shape = (),
        event_shape: Shape = (),
        validate_args: bool | None = None,
    ) -> None:
        if "_given" not in self.__dict__:  # a subclass that has set its parameters by itself
            self._given = tuple(n for n in self.arg_constraints if isinstance(self.__dict__.get(n), Tensor))
        self._batch_shape = at.Size(batch_shape)
        self._event_shape = at.Size(event_shape)
        self._validate_args = self._validates_by_default if validate_args is None else validate_args
        if self._validate_args:
            self._check_parameters()

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Says whether distributions made from now on check their parameters and values."""
        if value not in (True, False):
            raise at.InvalidValueError(f"set_default_validate_args: expected True or False, got {value!r}")
        Distribution._validates_by_default = bool(value)

    def _take(self, validate_args: bool | None, event_shape: Shape | None = None, **given: Any) -> None:
        """Sets the parameters that are not None, broadcast against each other, and the shapes that follow from them.

        A parameter's own event dimensions are those of its constraint; they are the distribution's, unless
        ``event_shape`` says otherwise.
        """
        tensors = as_tensors(type(self).__name__, {k: v for k, v in given.items() if v is not None})
        own = {name: self.arg_constraints[name].event_dim for name in tensors}
        for name, tensor in tensors.items():
            if tensor.ndim < own[name]:
                raise at.ShapeError(
                    f"{type(self).__name__}: expected {name} of at least {own[name]} dimensions, got "
                    f"{tuple(tensor.shape)}"
                )
        batch = at.broadcast_shapes(*(t.shape[: t.ndim - own[name]] for name, t in tensors.items()))
        self._given = tuple(tensors)
        for name, tensor in tensors.items():
            self.__dict__[name] = tensor.expand(*batch, *tensor.shape[tensor.ndim - own[name] :])
        if event_shape is None:
            widest = max(tensors, key=lambda name: own[name])
            event_shape = tensors[widest].shape[tensors[widest].ndim - own[widest] :]
        Distribution.__init__(self, batch, event_shape, validate_args)

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if constraints.is_dependent(constraint) or not isinstance(value, Tensor):
                continue
            with quietly():
                valid = constraint.check(value).all()
            if not valid:
                raise at.InvalidValueError(f"{type(self).__name__}: expected {name} within {constraint}, got {value}")

    @property
    def _dtype(self) -> Any:
        """The parameters', which whole numbers become; None where they stay what they are."""
        return self.__dict__[self._given[0]].dtype if self._given else None

    def _validate_sample(self, value: Tensor) -> Tensor:
        """The value, which fits the shapes and, where values are checked, the support."""
        if not isinstance(value, Tensor):
            raise at.ArgumentError(
                f"{type(self).__name__}: expected a Tensor as value, got {type(value).__name__}; make one by at.tensor"
            )
        if not (value.is_floating_point() or value.is_complex() or self._dtype is None):
            value = value.to(self._dtype)
        if not self._validate_args:
            return value
        event = value.ndim - len(self._event_shape)
        if event < 0 or tuple(value.shape[event:]) != tuple(self._event_shape):
            raise at.ShapeError(
                f"{type(self).__name__}: expected a value whose last dimensions are the event_shape "
                f"{tuple(self._event_shape)}, got {tuple(value.shape)}"
            )
        at.broadcast_shapes(value.shape[:event], self._batch_shape)
        support = self.support
        if isinstance(support, constraints.Constraint) and not constraints.is_dependent(support):
            with quietly():
                valid = support.check(value).all()
            if not valid:
                raise at.InvalidValueError(
                    f"{type(self).__name__}: expected a value within the support {support}, got {value}"
                )
        return value

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """What a subclass's ``expand`` fills: the instance of a subclass of its own, or else a bare one."""
        return type(self).__new__(type(self)) if _instance is None else _instance

    def expand(self, batch_shape: Shape, _instance: Any = None) -> Self:
        """The same distribution with a larger ``batch_shape``, to which its own broadcasts; no memory is copied.

        >>> Normal(0.0, 1.0).expand((2, 3)).batch_shape
        (2, 3)
        """
        batch = at.Size(batch_shape)

        def widened(name: str, value: Tensor) -> Tensor:
            return value.expand(*batch, *value.shape[value.ndim - self.arg_constraints[name].event_dim :])

        wider = self._copied(widened, self._get_checked_instance(type(self), _instance))
        wider._batch_shape = batch
        return wider

    def _copied(self, change: Callable[[str, Tensor], Tensor], other: Self) -> Self:
        """The other instance with all that this one has, of which the parameters that were given are changed."""
        other.__dict__.update({**self.__dict__, **other.__dict__})
        for name in list(other.__dict__):
            if name in self._given:
                other.__dict__[name] = change(name, self.__dict__[name])
            elif isinstance(getattr(type(self), name, None), lazy_property):
                del other.__dict__[name]
        return other

    @property
    def batch_shape(self) -> at.Size:
        """The shape of the batch of distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> at.Size:
        """The shape of one value."""
        return self._event_shape

    @property
    def mean(self) -> Tensor:
        """The expected value, of ``batch_shape + event_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def mode(self) -> Tensor:
        """The most probable value, or where the density is largest."""
        raise NotImplementedError(f"{type(self).__name__} has no mode")

    @property
    def variance(self) -> Tensor:
        """The expected squared distance from the mean."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self) -> Tensor:
        """The square root of the variance."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Independent draws, of ``sample_shape + batch_shape + event_shape``, apart from any gradient."""
        with quietly():
            return detached(self.rsample(sample_shape))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws that are differentiable with respect to the parameters, where ``has_rsample``."""
        raise NotImplementedError(
            f"{type(self).__name__} has no samples with gradients; sample() draws without, and log_prob(sample) has one"
        )

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, at ``value``: one number for each event."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of values up to ``value``."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Tensor) -> Tensor:
        """The value that ``cdf`` maps to ``value``."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All values that a discrete distribution can have, along a new first dimension."""
        raise NotImplementedError(f"{type(self).__name__} does not have finitely many values")

    def entropy(self) -> Tensor:
        """The expected ``-log_prob``, in nats, of ``batch_shape``."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy in closed form")

    def perplexity(self) -> Tensor:
        """``exp`` of the entropy."""
        return at.exp(self.entropy())

    def _extended_shape(self, sample_shape: Shape = ()) -> tuple[int, ...]:
        return (*sample_shape, *self._batch_shape, *self._event_shape)

    def __repr__(self) -> str:
        values = ((name, self.__dict__[name]) for name in self._given)
        shown = [f"{name}: {value.item() if value.numel() == 1 else tuple(value.shape)}" for name, value in values]
        return f"{type(self).__name__}({', '.join(shown)})"


def as_tensors(what: str, given: dict[str, Any]) -> dict[str, Tensor]:
    """The values as tensors of one dtype and device; numbers take those of the tensors beside them."""
    tensors = [v for v in given.values() if isinstance(v, Tensor)]
    for name, value in given.items():
        if not isinstance(value, (Tensor, numbers.Real)):
            raise at.ArgumentError(f"{what}: expected {name} as a Tensor or a number, got {type(value).__name__}")
    dtype = at.get_default_dtype()
    floating = [t.dtype for t in tensors if t.is_floating_point()]
    if floating:
        dtype = floating[0]
        for other in floating[1:]:
            dtype = at.promote_types(dtype, other)
    like: dict[str, Any] = {"dtype": dtype, "device": tensors[0].device if tensors else None}
    return {
        name: (value if value.dtype == dtype else value.to(dtype))
        if isinstance(value, Tensor)
        else at.tensor(float(value), **like)
        for name, value in given.items()
    }


def exponentials(shape: Shape, like: Tensor) -> Tensor:
    """Draws of mean 1, of the dtype and device of ``like``; none is 0, of which there is no logarithm."""
    draws = at.empty(tuple(shape), dtype=like.dtype, device=like.device).exponential_()
    return draws.clamp(min=at.finfo(like.dtype).tiny)


def inside_unit(share: Tensor) -> Tensor:
    """Apart from 0 and 1, where a density may be infinite."""
    info = at.finfo(share.dtype)
    return share.clamp(info.tiny, 1 - info.eps / 2)
