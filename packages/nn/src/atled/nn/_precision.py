"""The precision that functions of several ops compute in."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import atled.core as at
from atled.core import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def wide_dtype(dtype: at.dtype) -> at.dtype:
    """float32 for half precision, in which steps in between would overflow or round; others as they are."""
    return at.float32 if dtype in (at.float16, at.bfloat16) else dtype


def wide(tensor: Tensor) -> Tensor:
    """The tensor in its `wide_dtype`."""
    return tensor.to(wide_dtype(tensor.dtype))


def narrow(result: Tensor, *given: Tensor) -> Tensor:
    """A result of `wide` tensors in the dtype that the given ones promote to, where that is half precision."""
    dtype = functools.reduce(at.promote_types, (tensor.dtype for tensor in given))
    return result.to(dtype) if wide_dtype(dtype) is not dtype else result


def as_given(function: F) -> F:
    """Has a function run without autocast, because it chooses the precision of its steps itself."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        amp: Any = sys.modules.get("atled.autograd.amp")  # see cast
        return function(*args, **kwargs) if amp is None else amp.run_as_given(function, *args, **kwargs)

    return run  # type: ignore[return-value]


def cast(how: str, *tensors: Tensor | None) -> tuple[Any, ...]:
    """The tensors as autocast hands them to an op about which ``how`` is said; see `RuleBook.autocast`."""
    # Whoever switched it on has loaded the module that does.
    amp: Any = sys.modules.get("atled.autograd.amp")
    return tensors if amp is None else amp.cast(how, *tensors)
