"""A pickle machine that knows data and a given list of names, and nothing else; it imports and calls nothing by itself.

Written by hand over ``pickletools.genops``: the standard library's unpickler allocates what a pickle's numbers say, and
hashes what a pickle nests. What may be called for a name is up to the caller, who gets arguments that are data only.
"""

from __future__ import annotations

import pickletools
import struct
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from atled.core._core import FormatError

from .keys import Keys

Global = Callable[..., Any]
_MARK = object()
_PUSHED = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_MADE: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set}


class Named:
    """A name that a pickle mentions and the caller allows; `call` is None where it stands for itself."""

    def __init__(self, name: str, call: Global | None, value: Any = None) -> None:
        self.name, self.call, self.value = name, call, value


class Machine:
    """Runs one pickle. `names` maps "module.name" to what it stands for; `persistent` makes objects of ids."""

    def __init__(self, pickle: bytes, names: Mapping[str, Named], persistent: Callable[[Any], Any]) -> None:
        self._pickle = pickle
        self._names = names
        self._persistent = persistent
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self.check_key = Keys().check
        # Calls may copy no more elements than the pickle has bytes: each was spelled once.
        self._budget = len(pickle)

    def run(self) -> Any:
        """The object; FormatError for anything that is not such a pickle."""
        position = 0
        try:
            for opcode, argument, at in pickletools.genops(self._pickle):
                position = at or 0
                if opcode.name == "STOP":
                    return self._value(self._pop())
                self._step(opcode.name, argument)
        except FormatError:
            raise
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, struct.error) as e:
            raise FormatError(f"the pickle is damaged near byte {position}: {e}") from None
        raise FormatError("expected the pickle to end; the file is truncated")

    def spend(self, elements: int) -> None:
        """Accounts for a copy; FormatError when a pickle makes far more than it spells."""
        self._budget -= elements
        if self._budget < 0:
            raise FormatError("the pickle copies more than it holds")

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _PUSHED:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _MADE:
            stack.append(_MADE[name]())
        elif name in ("PROTO", "FRAME"):
            pass
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self._memo[self.check_key(argument)] = self._top()
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = self._top()
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            self._marks.append(len(stack))
            stack.append(_MARK)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            stack.append(self._global(argument))
        elif name == "BINPERSID":
            stack.append(self._persistent(self._pop()))
        else:
            operation = _OPERATIONS.get(name)
            if operation is None:
                raise FormatError(f"expected a pickle of tensors and plain data, got the instruction {name}")
            operation(self)

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise FormatError("the pickle is damaged: its stack is empty")
        return self._stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        del self._stack[-1]
        return value

    def _pop_mark(self) -> list[Any]:
        if not self._marks:
            raise FormatError("the pickle is damaged: a mark is missing")
        begin = self._marks.pop()
        values = self._stack[begin + 1 :]
        del self._stack[begin:]
        return values

    def _value(self, value: Any) -> Any:
        """What a name stands for, where it is used as a value."""
        if isinstance(value, Named):
            if value.call is not None:
                raise FormatError(f"expected plain data, got the function or class {value.name}")
            return value.value
        return value

    def _values(self) -> list[Any]:
        return [self._value(value) for value in self._pop_mark()]

    def _global(self, argument: Any) -> Named:
        if argument is None:
            name, module = self._pop(), self._pop()
            full = f"{module}.{name}"
        else:
            full = argument.replace(" ", ".", 1)
        found = self._names.get(full)
        if found is None:
            raise FormatError(
                f"the file names {full[:200]}, which is neither a tensor nor plain data, and might run code; "
                "save tensors in plain dicts and lists only"
            )
        return found

    def _pop_any(self) -> None:
        if self._stack and self._stack[-1] is _MARK:
            self._pop_mark()
        else:
            self._pop()

    def _some(self, count: int) -> None:
        values = [self._value(self._pop()) for _ in range(count)]
        self._stack.append(tuple(reversed(values)))

    def _dict(self) -> None:
        values = self._values()
        made: dict[Any, Any] = {}
        self._stack.append(made)
        self._set(made, values)

    def _append(self) -> None:
        value = self._value(self._pop())
        self._expect(list).append(value)

    def _appends(self) -> None:
        values = self._values()
        self._expect(list).extend(values)

    def _additems(self) -> None:
        values = self._values()
        self._expect(set).update(map(self.check_key, values))

    def _setitem(self) -> None:
        value, key = self._value(self._pop()), self._value(self._pop())
        self._set(self._expect(dict), [key, value])

    def _setitems(self) -> None:
        values = self._values()
        self._set(self._expect(dict), values)

    def _set(self, target: dict[Any, Any], values: list[Any]) -> None:
        if len(values) % 2:
            raise FormatError("the pickle is damaged: a key has no value")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[self.check_key(key)] = value

    def _expect(self, kind: type) -> Any:
        target = self._top()
        if not isinstance(target, kind):
            raise FormatError(f"the pickle is damaged: expected a {kind.__name__}, got {type(target).__name__}")
        return target

    def _reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Named) or function.call is None or type(arguments) is not tuple:
            raise FormatError("the pickle is damaged: it calls what is no function")
        self._stack.append(function.call(self, *arguments))

    def _build(self) -> None:
        """The state of an object: only ``nn.Module.state_dict`` has one here, its versions."""
        state = self._value(self._pop())
        target = self._expect(OrderedDict)
        if not isinstance(state, dict) or set(state) - {"_metadata"}:
            raise FormatError("expected no state of an object but a state_dict's _metadata")
        vars(target).update(state)


_OPERATIONS: dict[str, Callable[[Machine], None]] = {
    "POP": Machine._pop_any,
    "POP_MARK": lambda machine: machine._pop_mark().clear(),
    "DUP": lambda machine: machine._stack.append(machine._top()),
    "TUPLE": lambda machine: machine._stack.append(tuple(machine._values())),
    "TUPLE1": lambda machine: machine._some(1),
    "TUPLE2": lambda machine: machine._some(2),
    "TUPLE3": lambda machine: machine._some(3),
    "LIST": lambda machine: machine._stack.append(machine._values()),
    "DICT": Machine._dict,
    "FROZENSET": lambda machine: machine._stack.append(frozenset(map(machine.check_key, machine._values()))),
    "APPEND": Machine._append,
    "APPENDS": Machine._appends,
    "ADDITEMS": Machine._additems,
    "SETITEM": Machine._setitem,
    "SETITEMS": Machine._setitems,
    "REDUCE": Machine._reduce,
    "NEWOBJ": Machine._reduce,
    "BUILD": Machine._build,
}
