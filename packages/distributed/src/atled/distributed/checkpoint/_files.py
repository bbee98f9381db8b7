"""Checkpoints of many ranks: each writes what it has, and any number of ranks reads what it needs."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import atled.core as at
from atled.core import ArgumentError, FormatError, InvalidValueError, Tensor

from .._errors import DistError
from .._group import ProcessGroup
from .._objects import all_gather_object, broadcast_object_list
from .._world import group_or_default, is_initialized
from ..fsdp._shard import shard_of
from ..fsdp._sharded_tensor import ShardedTensor
from ._order import wait_for_begun

__all__ = ["Draft", "check_outcomes", "complaint_of", "drafted", "load", "on_every_rank", "save"]

_INDEX = "index.safetensors"
_FILE = re.compile(r"[0-9a-f]{8}-[0-9]+\.safetensors")
_FORMAT = "atled.distributed.checkpoint"

_Parts = dict[str, dict[str, Any]]


class _Entry(NamedTuple):
    """A value in nested state, and where it is."""

    key: str
    value: Any
    holder: Any
    name: Any


def _entries(state: Any, path: str = "") -> Iterator[_Entry]:
    """The tensors, and the other values as far from the root as all of them hold no tensors."""
    pairs: Iterable[tuple[Any, Any]] = state.items() if isinstance(state, Mapping) else enumerate(state)
    for name, value in pairs:
        key = f"{path}/{name}" if path else str(name)
        if isinstance(value, Mapping) or (isinstance(value, list) and _has_tensors(value)):
            yield from _entries(value, key)
        else:
            yield _Entry(key, value, state, name)


def _has_tensors(value: Any, kind: type[Tensor] = Tensor) -> bool:
    if isinstance(value, (Mapping, list, tuple)):
        return any(_has_tensors(each, kind) for each in (value.values() if isinstance(value, Mapping) else value))
    return isinstance(value, kind)


def save(
    state_dict: Mapping[str, Any],
    *,
    checkpoint_id: str | os.PathLike[str],
    process_group: ProcessGroup | None = None,
    no_dist: bool = False,
) -> None:
    """Writes nested state of all ranks into the folder ``checkpoint_id``; every rank calls it.

    Each rank writes its rows of what ``checkpoint.state_dict`` gives for sharded modules into a file of its own; the
    first rank also writes what is whole, and an index, which is the last to be written: a checkpoint that was there
    before is good until then, and is replaced. State is dicts and lists of tensors, and of values that ``at.save``
    takes; values of the outermost dict may also be ``checkpoint.stateful.Stateful``, such as modules. With ``no_dist``,
    and without a job, this process writes alone what it has whole.

    Raises, on every rank, what went wrong on one, such as OSError where the disk is full (DistError on the others);
    InvalidValueError for two values of one path (``{"a/b": x, "a": {"b": y}}``), for sharded tensors in tuples, for
    rows that no rank of ``process_group`` (None: all) has, and for an optimizer of sharded parameters itself. Raises
    ArgumentError for state that is no dict, or a ``checkpoint_id`` that is no path.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> from atled.distributed import checkpoint
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    >>> model_state, optimizer_state = checkpoint.state_dict.get_state_dict(model, optimizer)
    >>> state = {"model": model_state, "optimizer": optimizer_state, "epoch": 3}
    >>> checkpoint.save(state, checkpoint_id="checkpoints/latest")
    """
    draft = drafted("checkpoint.save", state_dict, checkpoint_id, process_group, no_dist)
    wait_for_begun()
    on_every_rank("checkpoint.save", draft.write, draft.group)
    on_every_rank("checkpoint.save", draft.write_index, draft.group)


class Draft(NamedTuple):
    """A checkpoint to be written: what this rank writes, and what is known of all."""

    group: ProcessGroup | None
    folder: Path
    name: str
    tensors: dict[str, Tensor]
    # In the index.
    listed: dict[str, Any]
    values: dict[str, Any]

    @property
    def rank(self) -> int:
        return 0 if self.group is None else self.group.rank

    def write(self) -> None:
        """This rank's file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        at.save(self.tensors, self.folder / f"{self.name}-{self.rank}.safetensors")

    def write_index(self) -> None:
        """On the first rank, once all files are there, what makes them a checkpoint."""
        if self.rank == 0:
            index = {"format": _FORMAT, "version": 1, "tensors": self.listed, "values": self.values}
            at.save(index, self.folder / _INDEX)
            _remove_others(self.folder, self.name)


def drafted(what: str, state_dict: Any, checkpoint_id: Any, process_group: ProcessGroup | None, no_dist: bool) -> Draft:
    """What is to be written; the tensors are those of the state. Raises on every rank what is wrong on one."""
    if not isinstance(state_dict, Mapping):
        raise ArgumentError(f"{what}: expected a dict, got {type(state_dict).__name__}")
    folder = _folder(what, checkpoint_id)
    is_alone = no_dist or (process_group is None and not is_initialized())
    group = None if is_alone else group_or_default(process_group, what)
    name = [secrets.token_hex(4)]
    if group is not None:
        broadcast_object_list(name, group=group, group_src=0)
    rank = 0 if group is None else group.rank

    tensors: dict[str, Tensor] = {}
    values: dict[str, Any] = {}

    def own_parts() -> _Parts:
        file = f"{name[0]}-{rank}.safetensors"
        found, parts, others = _own(what, _of_objects(what, state_dict), file, is_first=rank == 0)
        tensors.update(found)
        if rank == 0:  # which alone writes them
            values.update(others)
        return parts

    listed = _listed(what, on_every_rank(what, own_parts, group))
    return Draft(group, folder, name[0], tensors, listed, values)


def _of_objects(what: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """The state with state dicts in the place of objects that have some."""
    for key, value in state.items():
        if hasattr(value, "param_groups") and any(
            shard_of(param) is not None for group in value.param_groups for param in group["params"]
        ):
            raise InvalidValueError(
                f"{what}: expected the state of an optimizer of sharded parameters to be what get_optimizer_state_dict "
                f"gives, which says whose rows it is, got the optimizer itself at {key!r}"
            )
    return {key: value.state_dict() if _is_stateful(value) else value for key, value in state.items()}


def _is_stateful(value: Any) -> bool:
    """Whether it is as ``checkpoint.stateful.Stateful`` says.

    From Python 3.12 on, isinstance does not see what ``__getattr__`` hands on, as DistributedDataParallel does.
    """
    return all(callable(getattr(value, name, None)) for name in ("state_dict", "load_state_dict"))


def _own(
    what: str, state: Mapping[str, Any], file: str, is_first: bool
) -> tuple[dict[str, Tensor], _Parts, dict[str, Any]]:
    """What one rank writes: its tensors, which rows of what they are, and other values."""
    tensors: dict[str, Tensor] = {}
    parts: _Parts = {}
    values: dict[str, Any] = {}
    seen: set[str] = set()
    for key, value, _, _ in _entries(state):
        if key in seen:
            raise InvalidValueError(f"{what}: expected one value of the path {key!r}, got two")
        seen.add(key)
        if not isinstance(value, Tensor):
            if _has_tensors(value, ShardedTensor):
                raise InvalidValueError(f"{what}: expected no sharded tensor in a tuple, got one at {key!r}")
            values[key] = value
            continue
        is_sharded = isinstance(value, ShardedTensor)
        if value.is_first if is_sharded else is_first:
            shape = value.full_shape if is_sharded else tuple(value.shape)
            place = [value.begin, value.end, value.shard_dim] if is_sharded else [0, shape[0] if shape else 1, 0]
            parts[key] = {"shape": list(shape), "part": [file, *place]}
            tensors[key] = Tensor(value).detach() if is_sharded else value.detach()
    return tensors, parts, values


def on_every_rank(what: str, function: Callable[[], Any], group: ProcessGroup | None) -> list[Any]:
    """What a function gives on each rank; raises on all where it does on one, so that nobody waits for that one."""
    if group is None:
        return [function()]
    result: Any = None
    error: Exception | None = None
    try:
        result = function()
    except Exception as raised:
        error = raised
    outcomes: list[Any] = [None] * group.size
    all_gather_object(outcomes, (result, None if error is None else complaint_of(error)), group)
    if error is not None:
        raise error
    check_outcomes(what, group, [complaint for _, complaint in outcomes])
    return [each for each, _ in outcomes]


def complaint_of(error: Exception) -> str:
    """What other ranks are told of an error."""
    return f"{type(error).__name__}: {error}"


def check_outcomes(what: str, group: ProcessGroup, complaints: Sequence[str | None]) -> None:
    """Raises where a rank complains."""
    for rank, complaint in zip(group.ranks, complaints, strict=True):
        if complaint:
            raise DistError(f"{what}: failed on rank {rank}: {complaint}")


def _listed(what: str, of_ranks: list[_Parts]) -> dict[str, Any]:
    """All tensors, and where their rows are."""
    listed: dict[str, Any] = {}
    for parts in of_ranks:
        for key, part in parts.items():
            entry = listed.setdefault(key, {"shape": part["shape"], "parts": []})
            entry["parts"].append(part["part"])
    for key, entry in listed.items():
        _, _, _, dim = entry["parts"][0]
        rows = entry["shape"][dim] if entry["shape"] else 1
        found = sum(end - begin for _, begin, end, _ in entry["parts"])
        if found != rows:
            raise InvalidValueError(
                f"{what}: expected the {rows} rows of {key} on the ranks of process_group, got {found}"
            )
    return listed


def _remove_others(folder: Path, name: str) -> None:
    """Removes the files of an earlier checkpoint, which nothing refers to any more, and no others."""
    for path in folder.iterdir():
        if _FILE.fullmatch(path.name) and not path.name.startswith(f"{name}-"):
            path.unlink(missing_ok=True)


def load(
    state_dict: MutableMapping[str, Any],
    *,
    checkpoint_id: str | os.PathLike[str],
    process_group: ProcessGroup | None = None,
    no_dist: bool = False,
    strict: bool = True,
) -> None:
    """Reads the tensors of nested state in place, and puts the other values into it, from what ``save`` wrote.

    ``state_dict`` says what is wanted: all or some of the keys, sharded as it is now, by any number of ranks or
    without a job. Then ``set_state_dict`` of ``checkpoint.state_dict`` takes it over. With ``strict=False`` keys that
    the checkpoint has not, such as those of optimizer state that parameters without gradients never got, are taken out
    of ``state_dict``. A value that is ``checkpoint.stateful.Stateful`` loads what its own state dict asks for. Each
    rank reads by itself: ``process_group`` and ``no_dist`` are there for PyTorch's programs and change nothing.

    Raises FormatError for a folder without a checkpoint, InvalidValueError for keys that it has not, and for other
    shapes, ArgumentError for state that is no dict, or a ``checkpoint_id`` that is no path; nothing has been changed
    then.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn, optim
    >>> from atled.distributed import checkpoint
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> state = {"model": checkpoint.state_dict.get_model_state_dict(model), "epoch": 3}
    >>> checkpoint.save(state, checkpoint_id="checkpoints/latest")
    >>> state["epoch"] = 0
    >>> checkpoint.load(state, checkpoint_id="checkpoints/latest")
    >>> checkpoint.state_dict.set_model_state_dict(model, state["model"])
    <All keys matched successfully>
    >>> state["epoch"]
    3
    """
    if not isinstance(state_dict, MutableMapping):
        raise ArgumentError(f"checkpoint.load: expected a dict to read into, got {type(state_dict).__name__}")
    folder = _folder("checkpoint.load", checkpoint_id)
    wait_for_begun()
    index = _index(folder)
    objects = {key: value for key, value in state_dict.items() if _is_stateful(value)}
    wanted = {**state_dict, **_of_objects("checkpoint.load", objects)}
    entries = list(_entries(wanted))
    absent: list[_Entry] = []
    if not strict:
        absent = [entry for entry in entries if _is_absent(entry, index)]
        entries = [entry for entry in entries if not _is_absent(entry, index)]
    complaints = [complaint for entry in entries for complaint in _complaints(entry, index)]
    complaints += [complaint for key, value in objects.items() for complaint in _without_state(key, value, index)]
    if complaints:
        lines = "".join(f"\n    {complaint}" for complaint in complaints)
        raise InvalidValueError(f"checkpoint.load: expected state that {folder} has, got other:{lines}")
    opened: dict[str, dict[str, Tensor]] = {}
    for entry in entries:
        _read(entry, folder, index, opened)
    for entry in reversed(absent):  # from the end, for what is before it in a list stays where it is
        del entry.holder[entry.name]
    for key in list(state_dict):
        if key in objects:
            objects[key].load_state_dict(wanted[key])
        elif key in wanted:
            state_dict[key] = wanted[key]
        else:
            del state_dict[key]


def _read(entry: _Entry, folder: Path, index: Any, opened: dict[str, dict[str, Tensor]]) -> None:
    """Puts what a checkpoint has of a value in its place; ``opened`` are the files that were needed so far."""
    key, value, holder, name = entry
    if not isinstance(value, Tensor):
        holder[name] = index["values"][key]
        return
    target = (Tensor(value) if isinstance(value, ShardedTensor) else value).detach()
    begin, dim = (value.begin, value.shard_dim) if isinstance(value, ShardedTensor) else (0, 0)
    end = begin + (target.shape[dim] if target.ndim else 1)
    for file, first, last, along in index["tensors"][key]["parts"]:
        if not target.numel() or (along == dim and min(end, last) <= max(begin, first)):
            continue
        if file not in opened:
            opened[file] = at.load(folder / file, mmap=True)
        _copy_common(target, (begin, dim), opened[file][key], (first, along))


def _copy_common(target: Tensor, to: tuple[int, int], source: Tensor, place: tuple[int, int]) -> None:
    """Copies what two parts of a tensor have in common; each begins somewhere along some dimension of the whole."""
    target, source = (each if each.ndim else each.reshape(1) for each in (target, source))
    begins = [[begin if each == dim else 0 for each in range(source.ndim)] for begin, dim in (to, place)]
    for dim, (begin, other) in enumerate(zip(*begins, strict=True)):
        low = max(begin, other)
        length = min(begin + target.shape[dim], other + source.shape[dim]) - low
        if length <= 0:
            return
        target, source = target.narrow(dim, low - begin, length), source.narrow(dim, low - other, length)
    target.copy_(source)


def _folder(what: str, checkpoint_id: object) -> Path:
    if not isinstance(checkpoint_id, (str, os.PathLike)):
        raise ArgumentError(f"{what}: expected checkpoint_id to be the path of a folder, got {checkpoint_id!r}")
    return Path(checkpoint_id)


def _index(folder: Path) -> Any:
    path = folder / _INDEX
    if not path.exists():
        raise FormatError(f"checkpoint.load: expected a folder that checkpoint.save has written, got {folder}")
    index = at.load(path)
    if not isinstance(index, dict) or index.get("format") != _FORMAT or index.get("version") != 1:
        raise FormatError(f"checkpoint.load: expected the index of a checkpoint of version 1, got {path}")
    return index


def _is_absent(entry: _Entry, index: Any) -> bool:
    return entry.key not in index["tensors" if isinstance(entry.value, Tensor) else "values"]


def _without_state(key: str, value: Any, index: Any) -> list[str]:
    """Whether an optimizer, which has state from its first step on, would silently be left without."""
    if not hasattr(value, "param_groups") or getattr(value, "state", True):
        return []
    is_there = any(name.startswith(f"{key}/state/") for name in index["tensors"])
    return [f"{key}: an optimizer's state there, none here; load what get_optimizer_state_dict gives"] * is_there


def _complaints(entry: _Entry, index: Any) -> list[str]:
    """What keeps a value from being read."""
    is_tensor = isinstance(entry.value, Tensor)
    if _is_absent(entry, index):
        return [f"{entry.key}: no such {'tensor' if is_tensor else 'value'}"]
    if not is_tensor:
        return []
    saved = tuple(index["tensors"][entry.key]["shape"])
    is_sharded = isinstance(entry.value, ShardedTensor)
    wanted = entry.value.full_shape if is_sharded else tuple(entry.value.shape)
    return [] if saved == wanted else [f"{entry.key}: shape {saved} there, {wanted} here"]
