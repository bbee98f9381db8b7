"""Modules that hold other modules or parameters."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self, overload

from .._module import Module, indented
from .._parameter import Parameter


def _position(index: int, size: int) -> int:
    position = operator.index(index)
    if not -size <= position < size:
        raise IndexError(f"expected an index in [{-size}, {size}), got {position}")
    return position % size


class _Numbered(Module):
    """Modules whose names are their positions."""

    def _replace(self, modules: Iterable[Module]) -> None:
        for name in list(self._modules):
            delattr(self, name)
        for i, module in enumerate(modules):
            self.register_module(str(i), module)

    def _list(self) -> list[Any]:
        return list(self._own("module").values())

    def __len__(self) -> int:
        return len(self._own("module"))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._list())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = Sequential() if isinstance(self, Sequential) else ModuleList()
            return part.extend(self._list()[index])
        return self._list()[_position(index, len(self))]

    def __setitem__(self, index: int, module: Module) -> None:
        self.register_module(list(self._modules)[_position(index, len(self))], module)

    def __delitem__(self, index: int | slice) -> None:
        modules = self._list()
        del modules[index if isinstance(index, slice) else _position(index, len(modules))]
        self._replace(modules)

    def __add__(self, other: Iterable[Module]) -> Self:
        both = ModuleList() if isinstance(self, ModuleList) else Sequential()
        return both.extend(self).extend(other)  # type: ignore[return-value]

    def __iadd__(self, other: Iterable[Module]) -> Self:
        return self.extend(other)

    def append(self, module: Module) -> Self:
        """Adds a module at the end."""
        self.register_module(str(len(self)), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Adds several modules at the end."""
        for module in modules:
            self.append(module)
        return self

    def insert(self, index: int, module: Module) -> Self:
        """Adds a module before a position."""
        modules = self._list()
        modules.insert(index, module)
        self._replace(modules)
        return self

    def pop(self, index: int = -1) -> Module:
        """Removes a module and answers it."""
        module: Module = self[index]
        del self[index]
        return module


class Sequential(_Numbered):
    """Modules that are called one after another, each with what the one before gave.

    They are given loose, or in a mapping that names them.

    >>> import atled.core as at
    >>> from atled import nn
    >>> nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))(at.ones(5, 3)).shape
    (5, 2)
    """

    @overload
    def __init__(self, *args: Module) -> None: ...
    @overload
    def __init__(self, arg: Mapping[str, Module], /) -> None: ...
    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], Mapping) else enumerate(args)
        for name, module in named:
            self.register_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """The last module's output."""
        own = self.__dict__
        for name in own["_kinds"]:
            input = own[name](input)
        return input


class ModuleList(_Numbered):
    """A list of modules that belong to the module it is assigned to.

    It has the methods of a list, and is not called itself. The names in the state dict are the positions.

    >>> from atled import nn
    >>> layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))
    >>> layers.append(nn.ReLU())
    ModuleList(
      (0-1): 2 x Linear(in_features=4, out_features=4, bias=True)
      (2): ReLU()
    )
    >>> list(layers.state_dict())
    ['0.weight', '0.bias', '1.weight', '1.bias']
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        self.extend(() if modules is None else modules)

    def __repr__(self) -> str:
        """Modules that print alike stand in one line: ``(0-2): 3 x ReLU()``."""
        lines = []
        for text, alike in itertools.groupby(self._own("module").items(), key=lambda item: repr(item[1])):
            names = [name for name, _ in alike]
            label = f"({names[0]}): " if len(names) == 1 else f"({names[0]}-{names[-1]}): {len(names)} x "
            lines.append(f"  {label}{indented(text)}\n")
        return f"{self._get_name()}(" + "".join(["\n", *lines] if lines else []) + ")"


class ModuleDict(Module):
    """A dict of modules that belong to the module it is assigned to, in the order in which they were added.

    Keys are strings, made of a mapping or of pairs; KeyError for one that is not there.

    >>> import atled.core as at
    >>> from atled import nn
    >>> choices = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
    >>> choices["relu"](at.tensor([-1.0, 1.0])).tolist(), list(choices)
    ([0.0, 1.0], ['relu', 'tanh'])
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None) -> None:
        super().__init__()
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Adds or replaces several modules."""
        for name, module in dict(modules).items():
            self[name] = module

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, module: Module) -> None:
        self.register_module(key, module)

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._modules.keys()

    def values(self) -> Iterable[Any]:
        """The modules."""
        return self._modules.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and modules."""
        return self._modules.items()

    def pop(self, key: str) -> Module:
        """Removes a module and answers it."""
        module = self[key]
        del self[key]
        return module

    def clear(self) -> None:
        """Removes all modules."""
        for name in list(self._modules):
            delattr(self, name)


class ParameterList(Module):
    """A list of parameters that belong to the module it is assigned to; plain tensors become parameters.

    >>> import atled.core as at
    >>> from atled import nn
    >>> nn.ParameterList([at.ones(2), at.zeros(3, 1)])
    ParameterList(
      (0): Parameter of shape (2,), atled.float32
      (1): Parameter of shape (3, 1), atled.float32
    )
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self.extend(() if values is None else values)

    def append(self, value: Any) -> Self:
        """Adds a parameter at the end."""
        self.register_parameter(str(len(self)), value if isinstance(value, Parameter) else Parameter(value))
        return self

    def extend(self, values: Iterable[Any]) -> Self:
        """Adds several parameters at the end."""
        for value in values:
            self.append(value)
        return self

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[Any]:
        return iter(list(self._parameters.values()))

    def __getitem__(self, index: Any) -> Any:
        values = list(self._parameters.values())
        return ParameterList(values[index]) if isinstance(index, slice) else values[_position(index, len(values))]

    def __setitem__(self, index: int, value: Any) -> None:
        name = str(_position(index, len(self)))
        self.register_parameter(name, value if isinstance(value, Parameter) else Parameter(value))

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return "\n".join(
            f"({name}): {describe(value)}" for name, value in self._parameters.items() if value is not None
        )


class ParameterDict(Module):
    """A dict of parameters that belong to the module it is assigned to; plain tensors become parameters.

    >>> import atled.core as at
    >>> from atled import nn
    >>> gains = nn.ParameterDict({"left": at.ones(2)})
    >>> gains["right"] = at.zeros(3)
    >>> {name: parameter.shape for name, parameter in gains.named_parameters()}
    {'left': (2,), 'right': (3,)}
    """

    def __init__(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]] | None = None) -> None:
        super().__init__()
        self.update(parameters or {})

    def update(self, parameters: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> None:
        """Adds or replaces several parameters."""
        for name, value in dict(parameters).items():
            self[name] = value

    def __getitem__(self, key: str) -> Parameter:
        return self._parameters[key]  # type: ignore[return-value]

    def __setitem__(self, key: str, value: Any) -> None:
        self.register_parameter(key, value if isinstance(value, Parameter) else Parameter(value))

    def __delitem__(self, key: str) -> None:
        delattr(self, key)

    def __len__(self) -> int:
        return len(self._kinds)

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def __contains__(self, key: str) -> bool:
        return key in self._parameters

    def keys(self) -> Iterable[str]:
        """The names."""
        return self._parameters.keys()

    def values(self) -> Iterable[Any]:
        """The parameters."""
        return self._parameters.values()

    def items(self) -> Iterable[tuple[str, Any]]:
        """Names and parameters."""
        return self._parameters.items()

    def extra_repr(self) -> str:
        """One line for each parameter."""
        return "\n".join(
            f"({name}): {describe(value)}" for name, value in self._parameters.items() if value is not None
        )


def describe(parameter: Parameter) -> str:
    """How the printed form of a container names a parameter."""
    return f"Parameter of shape {tuple(parameter.shape)}, {parameter.dtype}"
