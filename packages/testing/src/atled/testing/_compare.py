"""Comparing values: in units in the last place against float64, or with relative and absolute tolerances."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

import atled.core as at
from atled.core._explained import explained

from ._convert import Array, category, dtype_name, numpy_dtype, real_of, to_numpy

# Relative and absolute tolerance of assert_close per dtype, for results that several operations led to.
_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def spacing(magnitude: Array, dtype: str) -> Array:
    """The distance between neighbouring numbers of a float dtype at each magnitude, in float64."""
    info = ml_dtypes.finfo(numpy_dtype(real_of(dtype)))  # type: ignore[no-untyped-call]
    with np.errstate(divide="ignore", invalid="ignore"):
        exponent = np.floor(np.log2(np.clip(magnitude, float(info.smallest_normal), float(info.max))))
    return np.asarray(float(info.eps) * np.exp2(exponent), dtype=np.float64)


@explained
def assert_ulps(actual: Array, expected: Array, ulps: float, scale: Array | None = None, what: str = "") -> None:
    """Asserts that each element is within `ulps` units in the last place of what float64 says.

    `scale`, where given, is the magnitude that rounding errors are measured at: that of the terms of a sum which
    cancels. NaN equals NaN; infinities must agree once `expected` is rounded to the dtype; integers are exact.
    """
    dtype = dtype_name(actual.dtype)
    if actual.shape != expected.shape:
        raise AssertionError(f"{what}expected shape {expected.shape}, got {actual.shape}")
    if category(dtype) < 2:
        wrong = actual != expected
        error = np.zeros(actual.shape)
    else:
        wide = np.complex128 if category(dtype) == 3 else np.float64
        with np.errstate(all="ignore"):
            nearest = expected.astype(actual.dtype)
            if nearest.tobytes() == actual.tobytes():
                return
            rounded = nearest.astype(wide)
            got, wanted = actual.astype(wide), expected.astype(wide)
            same = (got == rounded) | (np.isnan(got) & np.isnan(wanted))
            if np.all(same):
                return
            magnitude = np.abs(wanted) if scale is None else np.maximum(np.abs(wanted), scale)
            error = np.abs(got - wanted) / spacing(magnitude, dtype)
            if wide is np.complex128:  # of a number with an infinite part, the other part may be off by some ulps
                same |= _part_close(got.real, rounded.real, dtype, ulps) & _part_close(
                    got.imag, rounded.imag, dtype, ulps
                )
            wrong = ~same & ~(error <= ulps)
    if np.any(wrong):
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{what}{int(np.sum(wrong))} of {actual.size} elements are wrong; at {where} expected {expected[where]!r}, "
            f"got {actual[where]!r} ({float(error[where]):.3g} ulp of {dtype}, allowed {ulps})"
        )


def _part_close(got: Array, wanted: Array, dtype: str, ulps: float) -> Array:
    close: Array = (got == wanted) | (np.abs(got - wanted) <= ulps * spacing(np.abs(wanted), dtype))
    return close


def _array(value: Any) -> Array:
    return to_numpy(value) if isinstance(value, at.Tensor) else np.asarray(value)


@explained
def assert_close(
    actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None, equal_nan: bool = False
) -> None:
    """Asserts that two tensors, arrays or numbers (or sequences or dicts of them) agree in shape and value.

    Element by element ``|actual - expected| <= atol + rtol * |expected|``; the defaults depend on the coarser dtype of
    both, and are zero for integers and bool. Two tensors must agree in dtype too.

    >>> assert_close(at.tensor([1.0]) / 3, [1 / 3])
    """
    if isinstance(actual, dict) or isinstance(expected, dict):
        assert actual.keys() == expected.keys(), f"expected keys {list(expected)}, got {list(actual)}"
        actual, expected = list(actual.values()), [expected[key] for key in actual]
    if isinstance(actual, (list, tuple)) and isinstance(expected, (list, tuple)):
        assert len(actual) == len(expected), f"expected {len(expected)} items, got {len(actual)}"
        for one, other in zip(actual, expected, strict=True):
            assert_close(one, other, rtol=rtol, atol=atol, equal_nan=equal_nan)
        return
    if isinstance(actual, at.Tensor) and isinstance(expected, at.Tensor):
        assert actual.dtype == expected.dtype, f"expected dtype {expected.dtype}, got {actual.dtype}"
    a, e = _array(actual), _array(expected)
    assert a.shape == e.shape, f"expected shape {e.shape}, got {a.shape}"
    # A plain number or list takes the precision of the other side.
    precise = [_TOLERANCES.get(dtype_name(side.dtype), (0.0, 0.0)) for side in (a, e)]
    if not isinstance(expected, (at.Tensor, np.ndarray)):
        precise.pop()
    default_rtol, default_atol = max(precise)
    rtol = default_rtol if rtol is None else rtol
    atol = default_atol if atol is None else atol
    wide = np.complex128 if np.iscomplexobj(a) or np.iscomplexobj(e) else np.float64
    if a.dtype.kind in "biu" and e.dtype.kind in "biu" and not rtol and not atol:
        wrong = a != e
    else:
        a, e = a.astype(wide), e.astype(wide)
        with np.errstate(invalid="ignore"):
            close = (a == e) | (np.abs(a - e) <= atol + rtol * np.abs(e))
        wrong = ~(close | (np.isnan(a) & np.isnan(e)) if equal_nan else close)
    if np.any(wrong):
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        difference = np.abs(a[wrong].astype(wide) - e[wrong].astype(wide))
        worst = float(np.max(difference, initial=0, where=~np.isnan(difference)))
        raise AssertionError(
            f"{int(np.sum(wrong))} of {a.size} elements differ by more than rtol={rtol}, atol={atol} "
            f"(at most by {worst:.3g}); at {where} expected {e[where]!r}, got {a[where]!r}"
        )
