"""What a module has registered, as the dicts that PyTorch's modules keep it in."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any


class Registered(dict[str, Any]):
    """The names and values of one kind; what is written here or deleted is so in the module, too."""

    def __init__(self, module: Any, kind: str) -> None:
        super().__init__(module._own(kind))
        self._module, self._kind = module, kind

    def __setitem__(self, name: str, value: Any) -> None:
        module = self._module
        if module._kinds.get(name) == self._kind:
            module.__dict__[name] = value
        else:
            module._register(self._kind, name, value)
        super().__setitem__(name, value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        delattr(self._module, name)

    # Made of the two above.
    pop = MutableMapping.pop
    popitem = MutableMapping.popitem
    clear = MutableMapping.clear
    update = MutableMapping.update
    setdefault = MutableMapping.setdefault
