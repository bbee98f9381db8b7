"""Optimizer state without levels: one entry for each value of each parameter, by the parameter's name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from atled.core import InvalidValueError, Tensor

__all__ = ["flattened", "unflattened"]


def flattened(state: Mapping[str, Any]) -> dict[str, Any]:
    """``state.NAME.exp_avg`` and ``param_groups.NAME.lr`` in the place of dicts and lists."""
    flat = {f"state.{name}.{key}": value for name, entries in state["state"].items() for key, value in entries.items()}
    for group in state["param_groups"]:
        for name in group["params"]:
            flat |= {f"param_groups.{name}.{key}": value for key, value in group.items() if key != "params"}
    return flat


def unflattened(flat: Mapping[str, Any], groups: Iterable[Sequence[str]]) -> dict[str, Any]:
    """What ``flattened`` got, for groups of these names, which need not be those of before."""
    found: dict[str, dict[str, dict[str, Any]]] = {"state": {}, "param_groups": {}}
    for path, value in flat.items():
        # Names have dots in them, the keys of optimizers have none.
        head, _, key = path.rpartition(".")
        kind, _, name = head.partition(".")
        if kind not in found or not name:
            raise InvalidValueError(
                "set_optimizer_state_dict: expected keys such as state.NAME.exp_avg and param_groups.NAME.lr, as "
                f"get_optimizer_state_dict gives with flatten_optimizer_state_dict=True, got {path!r}"
            )
        found[kind].setdefault(name, {})[key] = value
    return {
        "state": found["state"],
        "param_groups": [_settings(found["param_groups"], names) | {"params": list(names)} for names in groups],
    }


def _settings(of_names: Mapping[str, dict[str, Any]], names: Sequence[str]) -> dict[str, Any]:
    """What is said of all parameters of a group."""
    settings: dict[str, Any] = {}
    for name in names:
        for key, value in of_names.get(name, {}).items():
            before = settings.setdefault(key, value)
            if before is not value and not isinstance(value, Tensor) and before != value:
                raise InvalidValueError(
                    f"set_optimizer_state_dict: expected one {key} for the parameters of a group, got {before} and "
                    f"{value}, of {name}"
                )
    if names and not settings:
        raise InvalidValueError(f"set_optimizer_state_dict: expected param_groups.{names[0]}.*, got no such keys")
    return settings
