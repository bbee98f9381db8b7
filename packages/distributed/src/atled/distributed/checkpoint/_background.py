"""Checkpoints that are written while the program goes on."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from atled.core import Tensor

from .._group import ProcessGroup
from .._store import Store
from .._world import job_store
from ._files import Draft, check_outcomes, complaint_of, drafted, on_every_rank
from ._order import begin

__all__ = ["async_save"]


def async_save(
    state_dict: Mapping[str, Any],
    *,
    checkpoint_id: str | os.PathLike[str],
    process_group: ProcessGroup | None = None,
    no_dist: bool = False,
) -> Future[None]:
    """As `save`, but copies the state to memory on cpu, and returns while a thread writes it from there.

    What is returned is a ``concurrent.futures.Future``: ``result()`` waits until the checkpoint is there, and raises
    what went wrong. The state may be changed at once. Checkpoints are written one after the other, in the order of the
    calls; ranks tell each other by the rendezvous that their files are there, past all collectives. `save`, `load`,
    ``destroy_process_group()`` and the end of a process wait for what is being written.

    Raises at once, on every rank, what `save` does of wrong arguments and state, and what copying raises on one; what
    writing raises comes by ``result()``, also that of values that a file cannot hold. Where nobody has asked for that,
    the next call, and all that waits, warns of it (RuntimeWarning).

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed import checkpoint
    >>> model = dist.fully_shard(nn.Linear(4, 6))
    >>> saved = checkpoint.async_save({"model": model}, checkpoint_id="checkpoints/in_background")
    >>> model(at.ones((1, 4))).sum().backward()  # goes on
    >>> saved.result()
    >>> checkpoint.load({"model": model}, checkpoint_id="checkpoints/in_background")
    """
    what = "checkpoint.async_save"
    draft = drafted(what, state_dict, checkpoint_id, process_group, no_dist)
    copies: list[Draft] = []
    on_every_rank(what, lambda: copies.append(_copied(draft)), draft.group)
    store = None if draft.group is None else job_store(what)
    return begin(draft.folder, lambda: _write(what, copies[0], store))


def _copied(draft: Draft) -> Draft:
    """The same in memory of its own."""
    tensors = {key: _on_cpu(each) for key, each in draft.tensors.items()}
    return draft._replace(tensors=tensors, values=copy.deepcopy(draft.values))


def _on_cpu(tensor: Tensor) -> Tensor:
    return tensor.clone() if tensor.device.type == "cpu" else tensor.cpu()


def _write(what: str, draft: Draft, store: Store | None) -> None:
    group = draft.group
    if store is None or group is None:
        draft.write()
        draft.write_index()
        return
    for step in (draft.write, draft.write_index):
        error = _error_of(step)
        complaint = "" if error is None else complaint_of(error)
        complaints = _of_all_ranks(store, group, f"checkpoint {draft.name} {step.__name__}", complaint)
        if error is not None:
            raise error
        check_outcomes(what, group, complaints)


def _of_all_ranks(store: Store, group: ProcessGroup, key: str, own: str) -> list[str]:
    """What each rank of the group says, by way of the first."""
    if group.rank == 0:
        said = [own, *(store.get(f"{key} {rank}").decode() for rank in range(1, group.size))]
        store.set(key, json.dumps(said))
        return said
    store.set(f"{key} {group.rank}", own)
    heard: list[str] = json.loads(store.get(key))
    return heard


def _error_of(function: Callable[[], None]) -> Exception | None:
    try:
        function()
    except Exception as error:
        return error
    return None
