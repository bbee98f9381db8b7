"""Finds and loads what other wheels plug into atled, by entry points and on first use.

A wheel fills an extension point in its ``pyproject.toml``::

    [project.entry-points."atled.ops"]
    mine = "my_package:LIBRARY"

Values of the groups in `REGISTRATION_GROUPS` are the path of a plugin library (str or Path) or a callable that
registers; values of all other groups are handed out as they are. When two distributions fill one name, both are named
in an error, unless one declares a priority by its group, ``[project.entry-points."atled.ops.priority_10"]``. The
greatest wins, and a group without suffix has priority 0.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from atled.core import _core
from atled.core._ops import NAMESPACES

if TYPE_CHECKING:
    from importlib import metadata

#: Groups whose values act (they register ops, kernels, a device or a layer) rather than being used themselves.
REGISTRATION_GROUPS = ("atled.ops", "atled.kernels", "atled.devices", "atled.layers")
GROUPS = (
    *REGISTRATION_GROUPS,
    "atled.gradients",
    "atled.tensor_attributes",
    "atled.functions",
    "atled.collectives",
    "atled.formats",
    "atled.data",
    "atled.interop",
)

# What to install for a name that nothing provides: group -> name -> requirement.
_HINTS: dict[str, dict[str, str]] = {
    "atled.ops": {"nn": "atled-nn", "optim": "atled-optim", "autograd": "atled-autograd"},
    "atled.devices": {"cuda": "atled-core[cuda]"},
    "atled.layers": {"autograd": "atled-autograd", "autocast": "atled-autograd"},
    "atled.tensor_attributes": dict.fromkeys(
        (
            *("backward", "grad", "grad_fn", "is_leaf", "requires_grad", "requires_grad_", "register_hook"),
            *("detach", "detach_", "output_nr", "retain_grad", "retains_grad"),
        ),
        "atled-autograd",
    ),
    "atled.functions": {
        **dict.fromkeys(("no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled"), "atled-autograd"),
        **dict.fromkeys(("inference_mode", "is_inference_mode_enabled", "vmap"), "atled-autograd"),
        **dict.fromkeys(("autograd", "func", "utils.checkpoint", "cuda.make_graphed_callables"), "atled-autograd"),
        **dict.fromkeys(("nn", "backends.cudnn"), "atled-nn"),
        "optim": "atled-optim",
        "utils.data": "atled-data",
        "distributions": "atled-distributions",
        "distributed": "atled-distributed",
        "amp.GradScaler": "atled-optim",
        **dict.fromkeys(
            (
                *("autocast", "amp.autocast", "amp.custom_bwd", "amp.custom_fwd", "amp.get_autocast_dtype"),
                *("amp.is_autocast_available", "amp.is_autocast_cache_enabled", "amp.is_autocast_enabled"),
            ),
            "atled-autograd",
        ),
        "testing": "atled-testing",
    },
    "atled.collectives": {"gloo": "atled-distributed", "mpi": "atled-distributed"},
}

_GROUP = re.compile(r"(?P<group>atled\.[a-z_]+?)(?:\.priority_(?P<priority>\d{1,9}))?")


@dataclass
class Plugin:
    """One entry point: who fills `name` of `group`, and what became of it."""

    group: str
    name: str
    priority: int
    distribution: str
    version: str
    entry_point: metadata.EntryPoint
    state: str = "not loaded"  # then "loading", "loaded" or "failed"
    value: object = None
    failure: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"

    @property
    def broken(self) -> bool:
        """Whether it failed to load; a device that says why it cannot be there did not."""
        return self.failure is not None and not isinstance(self.failure, _core.DeviceError)


# Reentrant, since loading one plugin may need another; renewed in a forked child, whose copy nobody may ever release.
_lock = threading.RLock()
_plugins: dict[str, dict[str, list[Plugin]]] | None = None
_known: dict[tuple[str, ...], Plugin] = {}  # survives refresh(): what has registered itself must not do so again
_broken_metadata: list[str] = []
_loaded_libraries: set[Path] = set()


def _normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _scan() -> dict[str, dict[str, list[Plugin]]]:
    found: dict[str, dict[str, list[Plugin]]] = {group: {} for group in GROUPS}
    seen: set[str] = set()
    # Not before it is needed: it brings in the e-mail parser and more.
    from importlib import metadata

    _broken_metadata.clear()
    for distribution in metadata.distributions():
        # One unreadable distribution, of whomever, must not hide all the others.
        try:
            if "[atled." not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name, version = distribution.metadata["Name"], distribution.version
            entry_points = [ep for ep in distribution.entry_points if ep.group.startswith("atled.")]
        except Exception as error:
            _broken_metadata.append(f"{getattr(distribution, '_path', distribution)}: {type(error).__name__}: {error}")
            continue
        # The first one on the path is the one that imports find.
        if _normalized(name) in seen:
            continue
        seen.add(_normalized(name))
        for ep in entry_points:
            match = _GROUP.fullmatch(ep.group)
            if match is None or match["group"] not in found:
                _broken_metadata.append(f"{name} {version}: {ep.group!r} is no extension point of this atled-core")
                continue
            fresh = Plugin(match["group"], ep.name, int(match["priority"] or 0), name, version, ep)
            plugin = _known.setdefault((name, version, ep.group, ep.name, ep.value), fresh)
            found[plugin.group].setdefault(ep.name, []).append(plugin)
    for by_name in found.values():
        for candidates in by_name.values():
            candidates.sort(key=lambda plugin: (-plugin.priority, _normalized(plugin.distribution)))
    return found


def _table(group: str) -> dict[str, list[Plugin]]:
    global _plugins
    with _lock:
        if _plugins is None:
            _plugins = _scan()
        if group not in _plugins:
            raise _core.InvalidValueError(f"expected one of the groups {', '.join(GROUPS)}, got {group!r}")
        return _plugins[group]


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def refresh() -> None:
    """Forgets what was found, so that the next use reads the metadata again; what is loaded stays loaded."""
    global _plugins
    with _lock:
        _plugins = None


def names(group: str) -> list[str]:
    """The names that installed distributions provide in `group`, sorted; imports none of them."""
    return sorted(_table(group))


def plugins() -> list[Plugin]:
    """Every entry point of every group, loaded or not."""
    return [plugin for group in GROUPS for by_name in sorted(_table(group).items()) for plugin in by_name[1]]


def in_use(group: str) -> bool:
    """Whether anything of a group has been loaded already; looks for nothing."""
    return _plugins is not None and any(p.state == "loaded" for some in _plugins[group].values() for p in some)


def broken_metadata() -> list[str]:
    """What could not be read or made sense of while looking for entry points."""
    _table(GROUPS[0])
    return list(_broken_metadata)


def hint(group: str, name: str) -> str | None:
    """The requirement to install for a name that nothing provides, where atled knows one."""
    return _HINTS.get(group, {}).get(name)


def known_names(group: str) -> set[str]:
    """The names of a group that have a `hint`."""
    return set(_HINTS.get(group, {}))


def missing(group: str, name: str, what: str) -> str:
    """The sentence about a name that nothing provides; `what` is how its user calls it (``Tensor.backward``)."""
    if requirement := hint(group, name):
        return f"{what} comes with {requirement}, which is not installed: pip install {_quoted(requirement)}"
    available = ", ".join(names(group)) or "none"
    return f"{what} is provided by no installed distribution (entry-point group {group}; found: {available})"


def _quoted(requirement: str) -> str:
    return f"'{requirement}'" if "[" in requirement else requirement


def _choose(group: str, name: str) -> Plugin | None:
    candidates = _table(group).get(name)
    if not candidates:
        return None
    first, *others = candidates
    if others and others[0].priority == first.priority:
        rivals = [str(plugin) for plugin in candidates if plugin.priority == first.priority]
        removals = " or ".join(f"pip uninstall {plugin.distribution}" for plugin in candidates[: len(rivals)])
        raise _core.PluginError(
            f"{name!r} of {group} is provided by {' and '.join(rivals)}: {removals}, "
            f"or have one of them declare the group as {group}.priority_{first.priority + 1}"
        )
    return first


def _fail(plugin: Plugin) -> _core.PluginError:
    cause = plugin.failure
    return _core.PluginError(
        f"{plugin} provides {plugin.name!r} of {plugin.group} and failed to load ({type(cause).__name__}: {cause}): "
        f"pip install --upgrade --force-reinstall {plugin.distribution}"
    )


def _register(value: object) -> None:
    if isinstance(value, (str, Path)):
        path = Path(value).resolve()
        if path not in _loaded_libraries:
            _loaded_libraries.add(path)  # before it runs: its own registration may come back here
            try:
                _core.load_plugin(str(path))
            except BaseException:
                _loaded_libraries.discard(path)
                raise
    elif callable(value):
        value()
    else:
        raise TypeError(f"expected the path of a plugin library or a callable, got {type(value).__name__}")


def _left_out(plugin: Plugin) -> _core.DeviceError | None:
    """What there is to say when a wheel was built without its kernels for a device."""
    if plugin.group != "atled.kernels" or not isinstance(plugin.value, (str, Path)) or Path(plugin.value).exists():
        return None
    device = plugin.name.partition(".")[0]
    how = ", or build one with nvcc and -DATLED_CUDA=ON" if device == "cuda" else ""
    return _core.DeviceError(
        f"this build of {plugin.distribution} is without its kernels for {device}: looked for {plugin.value}, which is "
        f"not there; install a wheel that was built with them{how}"
    )


def _load(plugin: Plugin) -> object:
    if plugin.state == "not loaded":
        # Importing happens outside of our lock: another thread may hold the import lock and wait for us.
        try:
            value: object = plugin.entry_point.load()
            with _lock:
                if plugin.state == "not loaded":
                    plugin.state, plugin.value = "loading", value
                    # A plugin that asks for itself meanwhile gets what there is so far.
                    if plugin.group in REGISTRATION_GROUPS:
                        _register(value)
                    plugin.state = "loaded"
        except (Exception, SystemExit) as error:
            plugin.state, plugin.failure = "failed", _left_out(plugin) or error
    with _lock:
        if plugin.failure is not None:
            raise _fail(plugin) from plugin.failure
        return plugin.value


def _load_or_say_why(plugin: Plugin) -> None:
    """As `_load`, but raises the DeviceError of what cannot be there."""
    try:
        _load(plugin)
    except _core.PluginError:
        if plugin.failure is not None and not plugin.broken:
            raise plugin.failure from None
        raise


def load(group: str, name: str) -> object:
    """What an installed distribution provides as `name` in `group`.

    In `REGISTRATION_GROUPS` the registration has been run, once. Raises PluginError when nothing provides the name,
    when two distributions of one priority do, or when loading failed; the cause is chained, at this and each later use.
    """
    plugin = _choose(group, name)
    if plugin is None:
        raise _core.PluginError(missing(group, name, f"{name!r} of {group}"))
    return _load(plugin)


def find(group: str, name: str) -> object | None:
    """As `load`, but None when nothing provides the name."""
    plugin = _choose(group, name)
    return None if plugin is None else _load(plugin)


def tensor_attribute(name: str) -> object:
    """The object to set on Tensor for `name`; AttributeError, saying what to install, when nothing provides it."""
    # Protocol probes (_repr_html_, __array_interface__, ...) are frequent and never an add-on's.
    if not name.startswith("_"):
        found = _load_or_hint("atled.tensor_attributes", name, f"Tensor.{name}")
        if found is not None:
            return found
    raise AttributeError(f"'Tensor' object has no attribute {name!r}")


def module_function(path: str) -> object:
    """What an add-on puts into atled.core (``no_grad``) or a module of it (``utils.data``).

    AttributeError, saying what to install, when nothing provides it.
    """
    module, _, name = f"atled.core.{path}".rpartition(".")
    if not name.startswith("_"):
        found = _load_or_hint("atled.functions", path, f"{module}.{name}")
        if found is not None:
            return found
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def _load_or_hint(group: str, name: str, shown: str) -> object | None:
    """What an add-on provides; AttributeError where a known one would, once installed; None for what nobody knows."""
    found = find(group, name)
    if found is None and hint(group, name):
        raise AttributeError(missing(group, name, shown))
    return found


def from_foreign(value: Any) -> object | None:
    """The tensor that a converter of the group ``atled.interop`` makes of another library's object, else None.

    A converter is registered under the name of the library's top module (``pandas``), takes the object and returns a
    tensor, or None when it does not know the type either.
    """
    for cls in type(value).__mro__:
        library = cls.__module__.partition(".")[0]
        if library == "builtins":
            continue
        converter = find("atled.interop", library)
        if converter is not None:
            return cast(Callable[[Any], "object | None"], converter)(value)
    return None


def load_ops(namespace: str) -> None:
    """Registers the ops of a namespace; PluginError, saying what to install, when nothing provides it."""
    if namespace in NAMESPACES:  # core's own, which are there
        return
    plugin = _choose("atled.ops", namespace)
    if plugin is None:
        raise _core.PluginError(missing("atled.ops", namespace, f"at.ops.{namespace}"))
    _load(plugin)


def load_kernels(device: str, namespace: str) -> bool:
    """Adds a device's kernels for the ops of a namespace; False when nothing provides them."""
    plugin = _choose("atled.kernels", f"{device}.{namespace}")
    if plugin is None:
        return False
    _load_or_say_why(plugin)
    return True


def load_device(name: str) -> None:
    """Registers a device type; DeviceError, saying what to install, when nothing provides it."""
    plugin = _choose("atled.devices", name)
    if plugin is None:
        raise _core.DeviceError(missing("atled.devices", name, f"device {name!r}"))
    _load_or_say_why(plugin)
    if name in os.environ.get("ATLED_FALLBACK_TO_CPU", "").split(","):
        _core.fallback_to_cpu(name)
