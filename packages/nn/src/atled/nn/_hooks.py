"""Functions that a module calls before and after its forward, its backward, and its way into a state dict and back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import atled.core as at

from ._backward_hooks import Passage


def table_property(name: str) -> Any:
    """One of a module's tables of hooks as an attribute, which may be cleared or replaced."""

    def table(module: Any) -> dict[int, Any]:
        found: dict[int, Any] = getattr(module._own_hooks(), name)
        return found

    def replace(module: Any, hooks: dict[int, Any]) -> None:
        setattr(module._own_hooks(), name, dict(hooks))

    return property(table, replace)


class Hooks:
    """The hooks of one module, in the order of their calls, and whether it is called inside `atled.core.fuse`."""

    fused = False

    def __init__(self) -> None:
        self.before: dict[int, tuple[Callable[..., Any], bool]] = {}
        self.after: dict[int, tuple[Callable[..., Any], bool, bool]] = {}
        self.backward_before: dict[int, Callable[..., Any]] = {}
        self.backward: dict[int, Callable[..., Any]] = {}
        self.state_before: dict[int, Callable[..., Any]] = {}
        self.state_after: dict[int, Callable[..., Any]] = {}
        self.load_before: dict[int, Callable[..., Any]] = {}
        self.load_after: dict[int, Callable[..., Any]] = {}

    def call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The module's forward between its hooks."""
        with at.fuse() if self.fused else nullcontext():
            return self._call(module, args, kwargs)

    def _call(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        called: set[int] = set()
        try:
            args, kwargs = self._call_before(module, args, kwargs)
            passage = Passage(module, self) if self.backward or self.backward_before else None
            if passage is not None:
                args = passage.enter(args)
            result = module.forward(*args, **kwargs)
            for key, (hook, with_kwargs, _) in list(self.after.items()):
                called.add(key)
                changed = hook(module, args, kwargs, result) if with_kwargs else hook(module, args, result)
                result = result if changed is None else changed
            return result if passage is None else passage.leave(result)
        except BaseException:
            for key, (hook, with_kwargs, always) in list(self.after.items()):
                if always and key not in called:
                    _ = hook(module, args, kwargs, None) if with_kwargs else hook(module, args, None)
            raise

    def _call_before(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for hook, with_kwargs in list(self.before.values()):
            changed = hook(module, args, kwargs) if with_kwargs else hook(module, args)
            if changed is None:
                continue
            if not with_kwargs:
                args = changed if isinstance(changed, tuple) else (changed,)
            elif isinstance(changed, tuple) and len(changed) == 2:
                args, kwargs = changed
            else:
                raise RuntimeError(
                    f"forward pre-hook: expected None or a tuple (args, kwargs), got {type(changed).__name__}"
                )
        return args, kwargs
