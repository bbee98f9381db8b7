"""Checks one operator against its specification, on one device and dtype."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.core import _core
from atled.core._explained import explained
from atled.core.utils.pytree import tree_map_only

from ._compare import assert_ulps
from ._convert import (
    Array,
    arrays_in,
    at_dtype,
    category,
    dtype_name,
    from_numpy,
    numpy_dtype,
    real_of,
    result_dtype,
    to_numpy,
)
from ._layouts import LAYOUTS, cycle_layouts
from ._spec import HostErrorCase, OpSpec, Sample


@explained
def check_op(spec: OpSpec, device: str = "cpu", dtype: str = "float32") -> None:
    """Checks values, shapes, dtypes, strides, ``out=``, in-place and aliasing of every sample; raises AssertionError.

    The op is called through its public callable; all expectations come from the specification alone.

    >>> check_op(find("core")["exp"], "cpu", "float32")
    """
    for sample in spec.draw(dtype):
        case = _Case(spec, sample, device)
        case.check_values()
        if spec.reference is not None:
            case.check_layouts()
            case.check_meta()
            case.check_out()
            case.check_inplace()


@explained
def check_errors(spec: OpSpec, device: str = "cpu") -> None:
    """Checks that each error case raises its exception, worded as specified and naming the op."""
    for case in spec.errors:
        if isinstance(case, HostErrorCase) and device != "cpu":
            continue
        args, kwargs = _call_arguments(case, device)
        where = f"{spec.name}{case}"
        op = spec.op
        try:
            outputs = op(*args, **kwargs)
            if device != "cpu":
                # A device may tell of bad elements only when it is waited for.
                for tensor in (*_tensors_in(outputs), *_tensors_in((args, kwargs))):
                    to_numpy(tensor)
        except case.error as error:
            message = str(error)
            assert isinstance(error, at.AtledError), f"{where}: {type(error).__name__} is no AtledError: {message}"
            assert re.search(case.match, message), f"{where}: expected a message like {case.match!r}, got {message!r}"
            # A composite's checks are those of the ops that it calls.
            named = f"{op.name}: " in message if device != "cpu" else message.startswith(f"{op.name}: ")
            named = named or "composite" in op.traits
            assert named, f"{where}: expected the message to start with the op's name, got {message!r}"
        except Exception as error:
            raise AssertionError(f"{where}: expected {case.error.__name__}, got {error!r}") from error
        else:
            raise AssertionError(f"{where}: expected {case.error.__name__}, got a result")


def _call_arguments(sample: Sample, device: str, convert: Any = from_numpy) -> tuple[Any, Any]:
    def to_tensor(array: Array) -> at.Tensor:
        tensor: at.Tensor = convert(array, device)
        return tensor

    args, kwargs = tree_map_only(np.ndarray, to_tensor, (sample.args, sample.kwargs))
    if isinstance(kwargs.get("dtype"), str):
        kwargs["dtype"] = at_dtype(kwargs["dtype"])
    return args, kwargs


def _outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


class _Case:
    """One sample of one op on one device, with what the reference expects of it."""

    def __init__(self, spec: OpSpec, sample: Sample, device: str) -> None:
        self.spec, self.sample, self.device = spec, sample, device
        self.where = f"{spec.name}{sample} on {device}: "
        self.op = spec.op
        self.expected: list[Array] = []
        self.scales: list[Array | None] = []
        rule = spec.result(sample) if callable(spec.result) else spec.result
        self.rules = (rule,) if isinstance(rule, str) else rule
        if spec.reference is not None:
            dtype = self._dtype(self.rules[0])
            self.float_dtype = numpy_dtype(dtype) if category(dtype) > 1 else None
            self.expected = self._apply(spec.reference)
            self.scales = self._scales()
            if len(self.rules) == 1:
                self.rules *= len(self.expected)
            self.dtypes = [self._dtype(rule) for rule in self.rules]
            assert len(self.dtypes) == len(self.expected), (
                f"{self.where}the reference gave {len(self.expected)} outputs"
            )

    def _apply(self, reference: Any, prepare: Any = np.asarray) -> list[Array]:
        """A reference's outputs, computed in the widest dtypes."""

        def widen(array: Array) -> Array:
            kind = category(dtype_name(array.dtype))
            if kind < 2 and "float" in self.rules and self.float_dtype is not None:
                # Integers are first rounded to the float that the op computes in.
                array, kind = array.astype(self.float_dtype), category(self.float_dtype.name)
            wide: Any = np.complex128 if kind == 3 else np.float64 if kind == 2 else array.dtype
            return np.asarray(prepare(array.astype(wide)))

        args, kwargs = tree_map_only(np.ndarray, widen, (self.sample.args, self.sample.kwargs))
        with np.errstate(all="ignore"):
            return [np.asarray(output) for output in _outputs(reference(*args, **kwargs))]

    def _scales(self) -> list[Array | None]:
        compared = self._invariant(self.expected)
        if self.spec.scale == "largest":
            return [_largest(array) for array in compared]
        if callable(self.spec.scale):
            return [np.abs(magnitude) for magnitude in self._apply(self.spec.scale, np.abs)]
        return [None] * len(compared)

    def _invariant(self, outputs: list[Array]) -> list[Array]:
        """What of the results is compared."""
        if self.spec.invariant is None:
            return outputs
        return [np.asarray(part) for part in _outputs(self.spec.invariant(*outputs))]

    def _dtype(self, rule: str) -> str:
        asked = self.sample.kwargs.get("dtype")
        if asked is not None and rule not in ("bool", "int64"):
            return dtype_name(asked)
        if rule not in ("promote", "float", "sum", "standard sum", "real", "input"):
            return rule
        values = (*self.sample.args, *self.sample.kwargs.values())
        if rule == "input":
            return dtype_name(next(arrays_in(values)).dtype)
        dtype = result_dtype(*arrays_in(values), *values)
        if rule == "float" and category(dtype) < 2:
            return "float32"
        if rule == "sum" and category(dtype) < 2:
            return dtype if dtype == "uint64" else "int64"
        if rule == "standard sum" and category(dtype) < 2:
            return "uint64" if dtype.startswith("uint") else "int64"
        return real_of(dtype) if rule == "real" else dtype

    def check_values(self) -> None:
        args, kwargs = self._arguments()
        before = [to_numpy(t) for t in _tensors_in((args, kwargs))]
        outputs = _outputs(self.op(*args, **kwargs))
        if self.spec.check is not None:
            self.spec.check([to_numpy(t) for t in outputs], *self.sample.args, **self.sample.kwargs)
            return
        self._compare(outputs, "")
        if "mutates" not in self.op.traits:
            for tensor, values in zip(_tensors_in((args, kwargs)), before, strict=True):
                assert to_numpy(tensor).tobytes() == values.tobytes(), f"{self.where}an argument was changed"

    def check_layouts(self) -> None:
        # What is written must not be expanded: mutating ops have tests of their own for strides.
        if "mutates" in self.op.traits or next(arrays_in((self.sample.args, self.sample.kwargs)), None) is None:
            return
        for start in range(len(LAYOUTS)):
            args, kwargs = self._arguments(cycle_layouts(start))
            self._compare(_outputs(self.op(*args, **kwargs)), f"with odd strides ({LAYOUTS[start].__name__} first): ")

    def check_meta(self) -> None:
        """Shapes and dtypes on tensors without data; an op whose results depend on the data may say so instead."""
        if next(arrays_in((self.sample.args, self.sample.kwargs)), None) is None:
            return
        args, kwargs = self._arguments(_without_data)
        try:
            outputs = _outputs(self.op(*args, **kwargs))
        except at.DeviceError:
            assert "structured" not in self.op.traits, f"{self.where}without data: the shape rule alone must do"
            return
        for output, expected, dtype in zip(outputs, self.expected, self.dtypes, strict=True):
            if not isinstance(output, at.Tensor):
                continue
            got = (tuple(output.shape), dtype_name(output.dtype), str(output.device))
            wanted = (expected.shape, dtype, "meta")
            assert got == wanted, f"{self.where}without data: expected {wanted}, got {got}"

    def check_out(self) -> None:
        if "out" not in self.op.traits:
            return
        for odd in (False, True):
            args, kwargs = self._arguments()
            outs = [self._blank(e.shape, d, odd) for e, d in zip(self.expected, self.dtypes, strict=True)]
            result = self.op(*args, **kwargs, out=outs[0] if len(outs) == 1 else tuple(outs))
            assert all(a is b for a, b in zip(_outputs(result), outs, strict=True)), f"{self.where}out= is not returned"
            self._compare(outs, f"into out= ({'odd strides' if odd else 'contiguous'}): ")
        self._check_out_alias()

    def _check_out_alias(self) -> None:
        """out= is an argument, or overlaps one by all but a row."""
        first = self.sample.args[0] if self.sample.args else None
        if not isinstance(first, np.ndarray) or len(self.expected) != 1:
            return
        if first.shape != self.expected[0].shape or dtype_name(first.dtype) != self.dtypes[0]:
            return
        args, kwargs = self._arguments()
        self._compare([self.op(*args, **kwargs, out=args[0])], "out= is the first argument: ")
        if first.ndim == 0 or first.shape[0] == 0:
            return
        buffer = from_numpy(np.concatenate([first, first[-1:]]), self.device)
        args, kwargs = self._arguments()
        result = self.op(buffer[:-1], *args[1:], **kwargs, out=buffer[1:])
        self._compare([result], "out= overlaps the first argument: ")

    def check_inplace(self) -> None:
        first = self.sample.args[0] if self.sample.args else None
        inplace = _core.inplace_form(self.op)
        if inplace is None or not isinstance(first, np.ndarray):
            return
        if first.shape != self.expected[0].shape or dtype_name(first.dtype) != self.dtypes[0]:
            return
        for convert in (from_numpy, LAYOUTS[0], LAYOUTS[1]):
            args, kwargs = self._arguments()
            target = convert(first, self.device)
            result = inplace(target, *args[1:], **kwargs)
            assert result is target, f"{self.where}the in-place form returned something else"
            self._compare([target], f"in place ({getattr(convert, '__name__', 'contiguous')}): ")

    def _arguments(self, convert: Any = from_numpy) -> tuple[Any, Any]:
        args, kwargs = _call_arguments(self.sample, self.device, convert)
        # What makes tensors from none is told where to; on the CPU it must know by itself.
        if "factory" in self.op.traits and self.device != "cpu" and next(_tensors_in((args, kwargs)), None) is None:
            kwargs["device"] = self.device
        return args, kwargs

    def _place(self) -> str:
        """The type of device that results are on: what takes no tensor and no device makes them on the CPU."""
        given = next(arrays_in((self.sample.args, self.sample.kwargs)), None) is not None
        return self.device.split(":")[0] if given or "factory" in self.op.traits else "cpu"

    def _blank(self, shape: tuple[int, ...], dtype: str, odd: bool) -> at.Tensor:
        if odd:
            return at.ones((*shape, 2), dtype=at_dtype(dtype), device=self.device)[..., 1]
        return at.ones(shape, dtype=at_dtype(dtype), device=self.device)

    def _compare(self, outputs: list[Any], how: str) -> None:
        where = self.where + how
        assert len(outputs) == len(self.expected), f"{where}expected {len(self.expected)} outputs, got {len(outputs)}"
        for i, (output, expected) in enumerate(zip(outputs, self.expected, strict=True)):
            part = f"{where}output {i}: " if len(outputs) > 1 else where
            if not isinstance(output, at.Tensor):
                assert output == expected.item(), f"{part}expected {expected.item()!r}, got {output!r}"
                continue
            assert tuple(output.shape) == expected.shape, f"{part}expected shape {expected.shape}, got {output.shape}"
            name = dtype_name(output.dtype)
            assert name == self.dtypes[i], f"{part}expected dtype {self.dtypes[i]}, got {name}"
            assert str(output.device).split(":")[0] == self._place(), f"{part}it is on {output.device}"
            if self.spec.invariant is None:
                assert_ulps(to_numpy(output), expected, self.spec.tolerance(name, self._place()), self.scales[i], part)
        if self.spec.invariant is not None:
            self._compare_invariants([to_numpy(output) for output in outputs], where)

    def _compare_invariants(self, outputs: list[Array], where: str) -> None:
        dtype = dtype_name(outputs[0].dtype)
        got = self._invariant([_widest(output) for output in outputs])
        for i, (part, wanted) in enumerate(zip(got, self._invariant(self.expected), strict=True)):
            rounded = part.astype(dtype if part.dtype.kind == "c" else real_of(dtype))
            allowed = self.spec.tolerance(dtype, self._place())
            assert_ulps(rounded, wanted, allowed, self.scales[i], f"{where}invariant {i}: ")


def _widest(array: Array) -> Array:
    kind = category(dtype_name(array.dtype))
    return array.astype(np.complex128 if kind == 3 else np.float64) if kind > 1 else array


def _largest(array: Array) -> Array:
    axes = tuple(range(-min(array.ndim, 2), 0))
    if array.size == 0 or not axes:
        return np.abs(array)
    return np.broadcast_to(np.max(np.abs(array), axis=axes, keepdims=True), array.shape)


def _without_data(array: Array, device: str) -> at.Tensor:
    return at.empty(array.shape, dtype=at_dtype(dtype_name(array.dtype)), device="meta")


def _tensors_in(value: Any) -> Iterator[at.Tensor]:
    if isinstance(value, at.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors_in(item)
    elif isinstance(value, dict):
        yield from _tensors_in(list(value.values()))
