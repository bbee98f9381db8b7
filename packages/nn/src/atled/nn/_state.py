"""State dicts: what a module's parameters and persistent buffers are, and putting them back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import atled.core as at

from ._errors import StateDictError
from ._parameter import Parameter, UninitializedParameter, detached, requires_grad

if TYPE_CHECKING:
    from ._module import Module


_EXTRA = "_extra_state"


class IncompatibleKeys(NamedTuple):
    """What a state dict lacked, and what it had too much."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class _Slot(NamedTuple):
    """One entry of a state dict: the module and the attribute that hold it."""

    module: Module
    name: str
    value: at.Tensor


def _slots(module: Module, prefix: str) -> dict[str, _Slot]:
    found = _own_slots(module, prefix)
    for path, child in _children(module, prefix):
        found.update(_slots(child, path))
    return found


def _own_slots(module: Module, prefix: str) -> dict[str, _Slot]:
    found: dict[str, _Slot] = {}
    own = module.__dict__
    for kind in ("parameter", "buffer"):
        for name, of_kind in module._kinds.items():
            if of_kind == kind and own[name] is not None and name not in module._transient:
                found[prefix + name] = _Slot(module, name, own[name])
    return found


def _children(module: Module, prefix: str) -> Iterator[tuple[str, Module]]:
    for name, child in module._own("module").items():
        if child is not None:
            yield f"{prefix}{name}.", child


def _tree(module: Module, prefix: str) -> Iterator[tuple[str, Module]]:
    """The modules, with the prefixes of their keys; one that is held twice comes twice."""
    yield prefix, module
    for path, child in _children(module, prefix):
        yield from _tree(child, path)


def _hooks(module: Module, table: str) -> list[Callable[..., Any]]:
    return [] if module._hooks is None else list(getattr(module._hooks, table).values())


def _overrides(module: Module, method: str) -> bool:
    base = next(cls for cls in reversed(type(module).__mro__) if method in vars(cls))
    return getattr(type(module), method) is not vars(base)[method]


def collect(module: Module, destination: dict[str, Any], prefix: str, keep_vars: bool) -> dict[str, Any]:
    """Fills `destination` with the state of a module."""
    for hook in _hooks(module, "state_before"):
        hook(module, prefix, keep_vars)
    for key, slot in _own_slots(module, prefix).items():
        destination[key] = slot.value if keep_vars else detached(slot.value)
    if _overrides(module, "get_extra_state"):
        destination[prefix + _EXTRA] = module.get_extra_state()
    for path, child in _children(module, prefix):
        child.state_dict(destination, path, keep_vars)
    for hook in _hooks(module, "state_after"):
        hook(module, destination, prefix, {"version": module._version})
    return destination


def restore(module: Module, given: Any, strict: bool, assign: bool) -> IncompatibleKeys:
    """Puts a state dict into a module; checks all of it first, so that an error changes nothing."""
    if not hasattr(given, "keys"):
        raise at.ArgumentError(f"load_state_dict: expected state_dict to be a mapping, got {type(given).__name__}")
    state, keys, complaints = dict(given), IncompatibleKeys([], []), list[str]()
    for odd in (key for key in state if not isinstance(key, str)):
        raise at.ArgumentError(f"load_state_dict: expected names as keys, got the key {odd!r}")
    modules = list(_tree(module, ""))
    for prefix, each in modules:
        metadata = {"version": each._version}  # which files do not say: that of the class
        for hook in _hooks(each, "load_before"):
            hook(each, state, prefix, metadata, strict, *keys, complaints)
        if _overrides(each, "_load_from_state_dict"):
            each._load_from_state_dict(state, prefix, metadata, strict, *keys, complaints)
    slots = _slots(module, "")
    extra = {prefix + _EXTRA: each for prefix, each in modules if _overrides(each, "set_extra_state")}
    keys.missing_keys.extend(key for key in (*slots, *extra) if key not in state)
    keys.unexpected_keys.extend(key for key in state if key not in slots and key not in extra)
    after = [(each, hook) for _, each in reversed(modules) for hook in _hooks(each, "load_after")]
    complaints += _missed(keys) if strict and not after else []
    for key, slot in slots.items():
        if key in state:
            complaints += _mismatch(key, slot, state[key])
    _complain(module, complaints)
    for key, slot in slots.items():
        if key in state:
            _put(slot, state[key], assign)
    for key, each in extra.items():
        if key in state:
            each.set_extra_state(state[key])
    for each, hook in after:
        hook(each, keys)
    _complain(module, _missed(keys) if strict else [])
    return keys


def _missed(keys: IncompatibleKeys) -> list[str]:
    found = []
    if keys.unexpected_keys:
        found.append(f"unexpected keys: {', '.join(keys.unexpected_keys)}")
    if keys.missing_keys:
        found.append(f"missing keys: {', '.join(keys.missing_keys)}")
    return found


def _complain(module: Module, complaints: list[str]) -> None:
    if complaints:
        lines = "".join(f"\n    {complaint}" for complaint in complaints)
        raise StateDictError(
            f"load_state_dict: expected the state of {type(module).__name__}, got one that does not fit it:{lines}"
        )


def _mismatch(key: str, slot: _Slot, given: Any) -> list[str]:
    if not isinstance(given, at.Tensor):
        return [f"{key}: expected a Tensor, got {type(given).__name__}"]
    if tuple(given.shape) != tuple(slot.value.shape) and not _is_open(slot):
        return [f"size mismatch for {key}: expected {tuple(slot.value.shape)}, got {tuple(given.shape)}"]
    return []


def _is_open(slot: _Slot) -> bool:
    """Whether it is a lazy layer's, of no shape yet."""
    return hasattr(slot.module, "cls_to_become") and tuple(slot.value.shape) == (0,)


def _put(slot: _Slot, given: at.Tensor, assign: bool) -> None:
    if _is_open(slot) and not assign:
        slot = _shaped(slot, given.shape)
    if not assign:
        detached(slot.value).copy_(detached(given))
    elif isinstance(slot.value, Parameter):
        given = given if isinstance(given, Parameter) else Parameter(given, requires_grad(slot.value))
        slot.module.__dict__[slot.name] = given
    else:
        slot.module.__dict__[slot.name] = detached(given)


def _shaped(slot: _Slot, shape: tuple[int, ...]) -> _Slot:
    """The slot with room for what it is to hold; what is of no shape itself leaves it as it is."""
    if tuple(shape) == (0,):
        return slot
    if isinstance(slot.value, UninitializedParameter):
        slot.value.materialize(shape)
        return slot
    room = at.empty(shape, device=slot.value.device, dtype=slot.value.dtype)
    slot.module.__dict__[slot.name] = room
    return slot._replace(value=room)
