"""NumPy's ufuncs on tensors.

A ufunc that is given a tensor answers tensors. Where atled has an op of the same meaning that op is called, so that
dtypes, devices and gradients are atled's; else (a ufunc of SciPy's, or with ``out=``, ``where=`` or a method such as
``reduce``) NumPy's loop runs over the tensors' own memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import array_api
from ._core import Tensor, asarray

# NumPy's names that are not the array API's.
_NAMES = {
    "absolute": "abs",
    "power": "pow",
    "invert": "bitwise_invert",
    "left_shift": "bitwise_left_shift",
    "right_shift": "bitwise_right_shift",
    "arctan2": "atan2",
}


_functions: dict[np.ufunc, Any] = {}


def _find(ufunc: np.ufunc) -> Any:
    """The function of the same meaning as one of NumPy's own ufuncs, or None."""
    name = ufunc.__name__
    if ufunc.nout != 1 or getattr(np, name, None) is not ufunc:
        return None
    return getattr(array_api, _NAMES.get(name, name), None)


def call(ufunc: np.ufunc, method: str, inputs: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """What ``ufunc.method(*inputs, **kwargs)`` answers, for ``Tensor.__array_ufunc__``."""
    if method == "__call__" and not kwargs:
        if ufunc not in _functions:
            _functions[ufunc] = _find(ufunc)
        if function := _functions[ufunc]:
            return function(*[asarray(x) if isinstance(x, np.ndarray) else x for x in inputs])
    given = kwargs.pop("out", None)
    if given is not None:
        kwargs["out"] = tuple(map(_array, given))
    if isinstance(kwargs.get("where"), Tensor):
        kwargs["where"] = _array(kwargs["where"])
    answer = getattr(ufunc, method)(*map(_array, inputs), **kwargs)
    if given is not None:
        return given[0] if len(given) == 1 else given
    return tuple(map(_tensor, answer)) if isinstance(answer, tuple) else _tensor(answer)


def _array(value: Any) -> Any:
    return value.numpy() if isinstance(value, Tensor) else value


def _tensor(value: Any) -> Any:
    return asarray(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value
