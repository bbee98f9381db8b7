"""The printed form of tensors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import atled.core as at

from ._core import ArgumentError, InvalidValueError, Tensor


@dataclass(frozen=True)
class PrintOptions:
    """How tensors are printed; see `set_printoptions`."""

    precision: int = 4
    threshold: int = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": PrintOptions(),
    "short": PrintOptions(precision=2, edgeitems=2),
    "full": PrintOptions(threshold=sys.maxsize),
}
_options = PrintOptions()
_here: ContextVar[PrintOptions | None] = ContextVar("printoptions", default=None)


def get_printoptions() -> PrintOptions:
    """The options in force here: those of `set_printoptions`, or of a ``with printoptions(...)`` around the call.

    >>> with at.printoptions(precision=2):
    ...     get_printoptions().precision, at.tensor([1.23456])
    (2, tensor([1.23]))
    """
    return _here.get() or _options


def _changed(
    base: PrintOptions,
    precision: int | None,
    threshold: float | None,
    edgeitems: int | None,
    linewidth: int | None,
    profile: str | None,
    sci_mode: bool | None,
) -> PrintOptions:
    if profile is not None:
        if profile not in _PROFILES:
            raise InvalidValueError(
                f"set_printoptions: expected a profile among {', '.join(_PROFILES)}, got {profile!r}"
            )
        base = _PROFILES[profile]
    if threshold is not None:
        threshold = int(min(threshold, sys.maxsize))
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None and value < 0:
            raise InvalidValueError(f"set_printoptions: expected {name} >= 0, got {value}")
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if sci_mode is not None or profile is not None:
        options["sci_mode"] = sci_mode
    return replace(base, **options)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed, for all threads; what is not given stays as it is.

    At most `precision` digits after the point; tensors of more than `threshold` elements show `edgeitems` at each end
    of each dimension; lines break at `linewidth` columns; `sci_mode` forces scientific notation or forbids it, and is
    chosen by the values when None. A `profile` ("default", "short" or "full") sets them all.

    >>> set_printoptions(precision=2)
    >>> at.tensor([0.125, 2.0])
    tensor([0.12, 2.00])
    >>> set_printoptions(profile="default")
    """
    global _options
    _options = _changed(_options, precision, threshold, edgeitems, linewidth, profile, sci_mode)


@contextlib.contextmanager
def printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> Iterator[None]:
    """As `set_printoptions`, within a ``with`` block and for its thread or task only.

    >>> with printoptions(sci_mode=True):
    ...     print(at.tensor([1.0]))
    tensor([1.0000e+00])
    """
    token = _here.set(_changed(get_printoptions(), precision, threshold, edgeitems, linewidth, profile, sci_mode))
    try:
        yield
    finally:
        _here.reset(token)


def tensor_repr(tensor: Tensor) -> str:
    """The printed form of a tensor: its values, and what is not plain about it."""
    options = get_printoptions()
    dtype = tensor.dtype.name
    if tensor._is_opaque():
        return f"tensor(<batched>, size={tuple(tensor.shape)}, dtype={dtype})"
    notes: list[str] = []
    values = values_text(tensor, "tensor(")
    if tensor.device.type == "meta" or (tensor.numel() == 0 and tensor.ndim != 1):
        notes.append(f"size={tuple(tensor.shape)}")
    if str(tensor.device) != "cpu":
        notes.append(f"device='{tensor.device}'")
    usual = {at.get_default_dtype().name}
    if tensor.numel() > 0:
        usual |= {"bool", "int64", "complex128" if "float64" in usual else "complex64"}
    if dtype not in usual:
        notes.append(f"dtype={dtype}")
    return _joined(values, notes + _gradient_notes(tensor), options.linewidth)


def _joined(values: str, notes: list[str], linewidth: int) -> str:
    """Adds the notes to the last line, or where they do not fit to lines of their own."""
    text = "tensor(" + values
    column = len(text) - (text.rfind("\n") + 1)
    for note in notes:
        if column + len(note) + 3 > linewidth:
            text += ",\n       " + note
            column = 7 + len(note)
        else:
            text += ", " + note
            column += 2 + len(note)
    return text + ")"


def _gradient_notes(tensor: Tensor) -> list[str]:
    # Until somebody has used an add-on's attribute, no tensor can have a gradient: printing need not load one.
    registry = sys.modules.get(f"{__package__}._registry")
    if registry is None or not registry.in_use("atled.tensor_attributes"):
        return []
    if (grad_fn := getattr(tensor, "grad_fn", None)) is not None:
        return [f"grad_fn={grad_fn!r}"]
    return ["requires_grad=True"] if getattr(tensor, "requires_grad", False) else []


def values_text(tensor: Tensor, prefix: str = "") -> str:
    """The values alone, in lines that begin below the end of ``prefix``."""
    if tensor.device.type == "meta":
        return "..."
    return _values(tensor, get_printoptions(), prefix) if tensor.numel() else "[]"


def _values(tensor: Tensor, options: PrintOptions, prefix: str) -> str:
    array = _to_numpy(tensor, options)
    formatter: dict[str, Any] = {}
    if options.sci_mode is True:
        formatter["float_kind"] = lambda x: np.format_float_scientific(x, options.precision, unique=False)
    return np.array2string(
        array,
        max_line_width=options.linewidth,
        precision=options.precision,
        suppress_small=options.sci_mode is False,
        separator=", ",
        prefix=prefix,
        floatmode="maxprec_equal" if _is_whole(array) else "fixed",
        formatter=formatter or None,  # type: ignore[arg-type]
        threshold=0 if tensor.numel() > options.threshold else sys.maxsize,
        edgeitems=options.edgeitems,
    )


def _is_whole(array: npt.NDArray[Any]) -> bool:
    """Whether no finite element has a fraction: such floats are shown as ``1.``"""
    if array.dtype.kind == "c":
        return _is_whole(array.real) and _is_whole(array.imag)
    with np.errstate(invalid="ignore"):
        return array.dtype.kind != "f" or bool(np.all((array == np.rint(array)) | ~np.isfinite(array)))


def _to_numpy(tensor: Tensor, options: PrintOptions) -> npt.NDArray[Any]:
    """The values to show; of a dimension that will be cut, both ends and one element that stands for the rest."""
    # An alias that no layer knows of: looking at a tensor must leave no trace in a graph.
    alias = at.from_dlpack(tensor)
    if tensor.numel() > options.threshold:
        edge = options.edgeitems
        for dim, size in enumerate(alias.shape):
            if size > 2 * edge + 1:
                ends = [alias.narrow(dim, 0, edge + 1), alias.narrow(dim, size - edge, edge)]
                alias = at.cat(ends, dim)
    alias = alias.to(device="cpu")
    if alias.dtype in (at.bfloat16, at.float8_e4m3fn, at.float8_e5m2):
        alias = alias.to(at.float32)
    array: npt.NDArray[Any] = alias.numpy()
    return array


def tensor_str(tensor: Tensor) -> str:
    """As `tensor_repr`."""
    return tensor_repr(tensor)


def tensor_format(tensor: Tensor, spec: str) -> str:
    """``f"{loss:.3f}"``, ``f"{loss}"``: a tensor of no dimensions is formatted as its number."""
    if tensor.ndim == 0 and not tensor.is_meta and not tensor._is_opaque():
        return format(tensor.item(), spec)
    try:
        return format(tensor_repr(tensor), spec)
    except ValueError:
        mend = "format its elements, or tensor.tolist()" if tensor.ndim else "its value is not known here"
        raise ArgumentError(
            f"format: expected a single number for {spec!r}, got a tensor of shape {tensor.shape}; {mend}"
        ) from None
