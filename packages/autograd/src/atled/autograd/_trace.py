"""Tracing a rule's function into a program: calls it once with stand-ins that write down which ops it calls.

A stand-in for a tensor knows nothing but that it is one (in special mode also its shape and dtype); one for a number or
a list of integers may only be passed on, or used in arithmetic. Whatever looks closer raises Untraceable.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from atled.autograd import _tape

Operand = tuple[Any, ...]

_INPLACE_NAMES = frozenset({"data", "grad", "item", "tolist", "numpy"})


class Untraceable(Exception):
    """The function looked at what a program cannot know."""


class Tracer:
    """The program so far. Registers hold the parameters first, then results."""

    def __init__(self, parameters: int) -> None:
        self.instructions: list[tuple[str, str, list[Operand], int]] = []
        self.registers = parameters

    def emit(self, what: str, op: str, operands: list[Operand], results: int) -> int:
        """Appends an instruction and answers its first result register."""
        first = self.registers
        self.instructions.append((what, op, operands, first))
        self.registers += results
        return first

    def operand(self, value: Any) -> Operand:
        """An argument of an instruction."""
        if isinstance(value, Proxy):
            if value.tracer is not self:
                raise Untraceable("a value of another call")
            return value.where
        if isinstance(value, (list, tuple)) and any(isinstance(entry, Proxy) for entry in value):
            if any(not isinstance(entry, TensorProxy) and entry is not None for entry in value):
                raise Untraceable("a list of numbers that depend on a symbolic one")
            return "l", [self.operand(entry) for entry in value]
        plain = isinstance(value, (int, float, complex, str, type(None)))
        if plain or (isinstance(value, (list, tuple)) and all(isinstance(entry, (int, float)) for entry in value)):
            return "c", value
        if isinstance(getattr(value, "name", None), str) and hasattr(value, "itemsize"):
            return "c", value  # a dtype
        raise Untraceable(f"a constant of type {type(value).__name__}")

    def call(self, op: str, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Writes down a call of an op."""
        schema, results, _ = _tape.signature(op)
        given = dict(zip((name for name, _, _ in schema), args, strict=False))
        # Loose integers, x.reshape(2, 3), belong to the list int[*], which no positional argument follows.
        at = next((i for i, (_, kind, _) in enumerate(schema) if kind.startswith("int[*]")), len(args))
        if len(args) > at + 1 or (len(args) > at and isinstance(args[at], int)):
            given = dict(zip((name for name, _, _ in schema[:at]), args, strict=False))
            given[schema[at][0]] = tuple(args[at:])
        given |= kwargs
        unknown = given.keys() - {name for name, _, _ in schema}
        if unknown:
            raise Untraceable(f"{op} with {', '.join(sorted(unknown))}")
        operands: list[Operand] = []
        for name, _, has_default in schema:
            if name in given:
                operands.append(self.operand(given[name]))
            elif has_default:
                operands.append(("d",))
            else:
                raise Untraceable(f"{op} without {name}")
        what = _ARITHMETIC.get(op, "call")
        first = self.emit(what, op, operands, len(results))
        made = [TensorProxy(self, ("r", first + i)) for i in range(len(results))]
        return made[0] if len(made) == 1 else tuple(made)


_ARITHMETIC = {"core::add": "+", "core::sub": "-", "core::mul": "*", "core::div": "/", "core::pow": "^"}


def _refuse(name: str) -> Callable[..., NoReturn]:
    def look(self: "Proxy", *args: object) -> NoReturn:
        raise Untraceable(f"{name} of a value that is not known while tracing")

    return look


class Proxy:
    """Stands for a value that is known when the program runs."""

    __slots__ = ("tracer", "where")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tracer: Tracer, where: Operand) -> None:
        self.tracer = tracer
        self.where = where

    def __atled_call__(self, op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if op.name != op.qualified_name.split("::")[1]:
            raise Untraceable(f"the in-place {op.name}")
        return self.tracer.call(op.qualified_name, args, kwargs)

    def _binary(self, op: str, other: Any, swap: bool = False) -> Any:
        return self.tracer.call(f"core::{op}", (other, self) if swap else (self, other), {})

    def __add__(self, other: Any) -> Any:
        return self._binary("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._binary("add", other, True)

    def __sub__(self, other: Any) -> Any:
        return self._binary("sub", other)

    def __rsub__(self, other: Any) -> Any:
        return self._binary("sub", other, True)

    def __mul__(self, other: Any) -> Any:
        return self._binary("mul", other)

    def __rmul__(self, other: Any) -> Any:
        return self._binary("mul", other, True)

    def __truediv__(self, other: Any) -> Any:
        return self._binary("div", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._binary("div", other, True)

    def __pow__(self, other: Any) -> Any:
        return self._binary("pow", other)

    def __rpow__(self, other: Any) -> Any:
        return self._binary("pow", other, True)

    __bool__ = _refuse("the truth")
    __index__ = _refuse("the value")
    __int__ = _refuse("the value")
    __float__ = _refuse("the value")
    __complex__ = _refuse("the value")
    __len__ = _refuse("the length")
    __iter__ = _refuse("the entries")
    __getitem__ = _refuse("an entry")
    __eq__ = _refuse("a comparison")
    __ne__ = _refuse("a comparison")
    __lt__ = _refuse("a comparison")
    __le__ = _refuse("a comparison")
    __gt__ = _refuse("a comparison")
    __ge__ = _refuse("a comparison")


class SymbolProxy(Proxy):
    """Stands for a number, or a list of integers such as a shape."""

    __slots__ = ()

    def __neg__(self) -> Any:
        return self.tracer.call("core::mul", (self, -1), {})


class TensorProxy(Proxy):
    """Stands for a tensor; its methods are the ops."""

    __slots__ = ("_dtype", "_shape")

    def __init__(self, tracer: Tracer, where: Operand, metadata: tuple[tuple[int, ...], Any] | None = None) -> None:
        super().__init__(tracer, where)
        self._shape: tuple[int, ...] | None = metadata[0] if metadata else None
        self._dtype: Any = metadata[1] if metadata else None

    def _known(self, value: Any) -> Any:
        if value is None:
            raise Untraceable("the shape or dtype of a tensor that is not known while tracing")
        return value

    @property
    def shape(self) -> tuple[int, ...]:
        """Known in special mode only, of parameters only."""
        known: tuple[int, ...] = self._known(self._shape)
        return known

    @property
    def ndim(self) -> int:
        """As shape."""
        return len(self.shape)

    def numel(self) -> int:
        """As shape."""
        return math.prod(self.shape)

    def dim(self) -> int:
        """As shape."""
        return self.ndim

    @property
    def dtype(self) -> Any:
        """As shape."""
        return self._known(self._dtype)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name.endswith("_") or name in _INPLACE_NAMES:
            raise Untraceable(f"Tensor.{name}")
        try:
            _tape.signature(f"core::{name}")
        except Exception:
            raise Untraceable(f"Tensor.{name}") from None
        return lambda *args, **kwargs: self.tracer.call(f"core::{name}", (self, *args), kwargs)

    def __neg__(self) -> Any:
        return self.tracer.call("core::neg", (self,), {})

    def __abs__(self) -> Any:
        return self.tracer.call("core::abs", (self,), {})

    def __matmul__(self, other: Any) -> Any:
        return self._binary("matmul", other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._binary("matmul", other, True)

    def __lt__(self, other: Any) -> Any:
        return self._binary("lt", other)

    def __le__(self, other: Any) -> Any:
        return self._binary("le", other)

    def __gt__(self, other: Any) -> Any:
        return self._binary("gt", other)

    def __ge__(self, other: Any) -> Any:
        return self._binary("ge", other)

    def __eq__(self, other: object) -> Any:
        return self._binary("eq", other)

    def __ne__(self, other: object) -> Any:
        return self._binary("ne", other)

    def __invert__(self) -> Any:
        return self.tracer.call("core::logical_not", (self,), {})

    def __and__(self, other: Any) -> Any:
        return self._binary("logical_and", other)

    def __or__(self, other: Any) -> Any:
        return self._binary("logical_or", other)


def _parameter(tracer: Tracer, i: int, kind: str, data: Any) -> Any:
    if kind == "tensor":
        return TensorProxy(tracer, ("r", i), data)
    if kind == "tensors":
        return tuple(
            None if entry is False else TensorProxy(tracer, ("e", i, k), entry) for k, entry in enumerate(data)
        )
    if kind == "symbol":
        return SymbolProxy(tracer, ("r", i))
    return data


def trace(function: Callable[..., Any], parameters: list[tuple[str, Any]], joint: int) -> Any:
    """(instructions, results, number of registers), or a text that says why there is no program.

    ``joint``: how many gradients the function answers as a tuple; 0 for a single one.
    """
    tracer = Tracer(len(parameters))
    try:
        result = function(*(_parameter(tracer, i, *parameter) for i, parameter in enumerate(parameters)))
        results = list(result) if joint else [result]
        if joint and len(results) != joint:
            raise Untraceable(f"{len(results)} gradients where {joint} were expected")
        operands = [_result(tracer, entry) for entry in results]
    except Untraceable as why:
        return str(why)
    except Exception as error:
        # A stand-in met something that it is not ready for; on real tensors the function speaks for itself.
        return f"{type(error).__name__}: {error}"
    return tracer.instructions, operands, tracer.registers


def _result(tracer: Tracer, value: Any) -> Operand:
    if value is None:
        return "c", None
    if isinstance(value, TensorProxy):
        return tracer.operand(value)
    if isinstance(value, (list, tuple)) and all(isinstance(entry, TensorProxy) or entry is None for entry in value):
        return "l", [tracer.operand(entry) for entry in value]
    raise Untraceable(f"a gradient of type {type(value).__name__}")
