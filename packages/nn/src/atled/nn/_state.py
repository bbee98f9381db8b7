"""State dicts: what a module's parameters and persistent buffers are, and putting them back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import atled.core as at

from ._errors import StateDictError
from ._parameter import Parameter, UninitializedParameter, detached, requires_grad

if TYPE_CHECKING:
    from ._module import Module


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
    found: dict[str, _Slot] = {}
    own = module.__dict__
    for kind in ("parameter", "buffer"):
        for name, of_kind in module._kinds.items():
            if of_kind == kind and own[name] is not None and name not in module._transient:
                found[prefix + name] = _Slot(module, name, own[name])
    for name, child in module._modules.items():
        if child is not None:
            found.update(_slots(child, f"{prefix}{name}."))
    return found


def collect(module: Module, destination: dict[str, Any], prefix: str, keep_vars: bool) -> dict[str, at.Tensor]:
    """Fills `destination` with the state of a module."""
    for key, slot in _slots(module, prefix).items():
        destination[key] = slot.value if keep_vars else detached(slot.value)
    return destination


def restore(module: Module, state: Any, strict: bool, assign: bool) -> IncompatibleKeys:
    """Puts a state dict into a module; checks all of it first, so that an error changes nothing."""
    if not hasattr(state, "keys"):
        raise at.ArgumentError(f"load_state_dict: expected state_dict to be a mapping, got {type(state).__name__}")
    slots = _slots(module, "")
    missing = [key for key in slots if key not in state]
    unexpected = [key for key in state if key not in slots]
    complaints = []
    if strict and unexpected:
        complaints.append(f"unexpected keys: {', '.join(unexpected)}")
    if strict and missing:
        complaints.append(f"missing keys: {', '.join(missing)}")
    for key, slot in slots.items():
        if key in state:
            complaints += _mismatch(key, slot, state[key])
    if complaints:
        lines = "".join(f"\n    {complaint}" for complaint in complaints)
        raise StateDictError(
            f"load_state_dict: expected the state of {type(module).__name__}, got one that does not fit it:{lines}"
        )
    for key, slot in slots.items():
        if key in state:
            _put(slot, state[key], assign)
    return IncompatibleKeys(missing, unexpected)


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
