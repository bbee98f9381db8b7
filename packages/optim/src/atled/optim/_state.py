"""What a state dict must have before it is taken over, so that an error says what is wrong and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor


def expect_keys(whose: str, given: Any, *keys: str) -> None:
    """Raises unless it is a mapping that has the keys: ArgumentError, or InvalidValueError."""
    listed = ", ".join(map(repr, keys))
    if not isinstance(given, Mapping):
        raise at.ArgumentError(f"load_state_dict: expected the state of {whose}, a mapping, got {type(given).__name__}")
    if all(key in given for key in keys):
        return
    mend = ""
    if given and all(isinstance(value, Tensor) for value in given.values()):
        mend = "; this is a module's, for its own load_state_dict"
    elif not {"state", "param_groups"}.isdisjoint(given):
        mend = "; this is an optimizer's, for its own load_state_dict"
    found = ", ".join(map(repr, given)) or "none"
    raise at.InvalidValueError(
        f"load_state_dict: expected the state of {whose} with the keys {listed}, got {_short(found)}{mend}"
    )


def expect_groups(state_dict: Any, own: list[dict[str, Any]], whose: str) -> None:
    """Raises unless it is an optimizer's state for these groups of parameters."""
    expect_keys(whose, state_dict, "state", "param_groups")
    groups, state = state_dict["param_groups"], state_dict["state"]
    if not isinstance(groups, Sequence) or isinstance(groups, str):
        raise at.ArgumentError(f"load_state_dict: expected param_groups to be a list, got {type(groups).__name__}")
    if not isinstance(state, Mapping):
        raise at.ArgumentError(f"load_state_dict: expected state to be a mapping, got {type(state).__name__}")
    if len(groups) != len(own):
        raise at.InvalidValueError(f"load_state_dict: expected {len(own)} parameter groups, got {len(groups)}")
    for i, (group, other) in enumerate(zip(own, groups, strict=True)):
        params = other.get("params") if isinstance(other, Mapping) else None
        if not isinstance(params, Sequence) or isinstance(params, str):
            raise at.ArgumentError(
                f"load_state_dict: expected group {i} to be a dict with the numbers of its parameters as 'params', "
                f"got {_short(repr(other))}"
            )
        if len(group["params"]) != len(params):
            raise at.InvalidValueError(
                f"load_state_dict: expected {len(group['params'])} parameters in group {i}, got {len(params)}"
            )
    numbers = {number for group in groups for number in group["params"]}
    for number, entries in state.items():
        if _int(number) not in numbers:
            raise at.InvalidValueError(
                f"load_state_dict: expected state for the numbers in param_groups' 'params', got some for {number!r}"
            )
        if not isinstance(entries, Mapping):
            raise at.ArgumentError(
                f"load_state_dict: expected a dict as the state of parameter {number}, got {type(entries).__name__}"
            )


def _int(number: Any) -> int | None:
    """A parameter's number, which is text in a file."""
    try:
        return int(number)
    except (TypeError, ValueError):
        return None


def _short(text: str) -> str:
    return text if len(text) < 100 else text[:97] + "..."
