"""The standard library's ``multiprocessing``, with tensors passed through shared memory.

All its names are here. Pipes, queues and pools send the elements of tensors and NumPy arrays in shared memory that the
receiver owns; a tensor after ``share_memory_()`` is sent as it is, and writes to it are seen on both sides. No memory
outlives the processes that hold it, however they end. docs/multiprocessing.md says more.

>>> ours, theirs = Pipe()
>>> theirs.send({"x": at.arange(3)})
>>> ours.recv()["x"]
tensor([0, 1, 2])
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Set
from multiprocessing import *  # noqa: F403
from multiprocessing import __all__ as _standard
from typing import Any

from atled.core import InvalidValueError

from . import connection
from ._context import get_context as get_context
from ._spawn import ProcessContext as ProcessContext
from ._spawn import ProcessExitedException as ProcessExitedException
from ._spawn import ProcessRaisedException as ProcessRaisedException
from ._spawn import spawn as spawn
from ._spawn import start_processes as start_processes
from .connection import Pipe as Pipe
from .connection import SharedMemoryWarning as SharedMemoryWarning

__all__ = sorted(  # noqa: PLE0605
    {
        *_standard,
        *("ProcessContext", "ProcessExitedException", "ProcessRaisedException", "SharedMemoryWarning"),
        *("get_all_sharing_strategies", "get_sharing_strategy", "set_sharing_strategy", "spawn", "start_processes"),
    }
)


def Queue(maxsize: int = 0) -> Any:  # type: ignore[no-redef]
    """A queue of at most `maxsize` objects, if that is not 0; tensors in them go through shared memory.

    >>> queue = Queue()
    >>> queue.put(at.tensor([1, 2]))
    >>> queue.get()
    tensor([1, 2])
    """
    return get_context().Queue(maxsize)


def JoinableQueue(maxsize: int = 0) -> Any:  # type: ignore[no-redef]
    """A queue that counts what is done: ``join`` waits until there was a ``task_done`` for each object.

    >>> queue = JoinableQueue()
    >>> queue.put(at.tensor([1, 2]))
    >>> queue.get()
    tensor([1, 2])
    >>> queue.task_done()
    >>> queue.join()
    """
    return get_context().JoinableQueue(maxsize)


def SimpleQueue() -> Any:  # type: ignore[no-redef]
    """A queue without a thread and a limit: ``put`` returns when the object is in the pipe.

    >>> queue = SimpleQueue()
    >>> queue.put(at.tensor([1, 2]))
    >>> queue.get()
    tensor([1, 2])
    """
    return get_context().SimpleQueue()


def Pool(  # type: ignore[no-redef]
    processes: int | None = None,
    initializer: Callable[..., object] | None = None,
    initargs: Iterable[Any] = (),
    maxtasksperchild: int | None = None,
) -> Any:
    """A pool of processes; arguments and results that are tensors go through shared memory.

    processes: as many as there are cores unless given. initializer is called with initargs in each at its start.

    >>> with Pool(1) as pool:
    ...     pool.map(at.exp, [at.zeros(2)])
    [tensor([1., 1.])]
    """
    return get_context().Pool(processes, initializer, initargs, maxtasksperchild)


def get_all_sharing_strategies() -> Set[str]:
    """The ways to send tensors: "file_descriptor" through shared memory, and "copy" through the connection.

    >>> sorted(get_all_sharing_strategies())
    ['copy', 'file_descriptor']
    """
    return connection.STRATEGIES


def get_sharing_strategy() -> str:
    """The way in which this process sends tensors.

    >>> get_sharing_strategy()
    'file_descriptor'
    """
    return connection.get_strategy()


def set_sharing_strategy(new_strategy: str) -> None:
    """Sets the way in which this process sends tensors.

    PyTorch's "file_system" is none: named files would outlive processes that are killed. InvalidValueError for it.

    >>> before = get_sharing_strategy()
    >>> set_sharing_strategy("copy")
    >>> set_sharing_strategy(before)
    """
    if new_strategy not in connection.STRATEGIES:
        known = ", ".join(sorted(connection.STRATEGIES))
        raise InvalidValueError(f"set_sharing_strategy: expected one of {known}, got {new_strategy!r}")
    connection.set_strategy(new_strategy)
