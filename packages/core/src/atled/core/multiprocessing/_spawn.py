"""Starts one function in several processes, and passes on what goes wrong in them."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from atled.core import AtledError

from ._context import get_context
from .connection import Connection

_END_SECONDS = 5.0


class ProcessError(AtledError, RuntimeError):
    """One of the processes failed; ``index`` and ``pid`` say which."""

    def __init__(self, message: str, index: int, pid: int) -> None:
        super().__init__(message)
        self.index = self.error_index = index
        self.pid = self.error_pid = pid


class ProcessRaisedException(ProcessError):
    """A process raised an exception; its traceback is in the message."""


class ProcessExitedException(ProcessError):
    """A process ended by a signal or an exit code; ``exit_code`` is negative for a signal."""

    def __init__(self, message: str, index: int, pid: int, exit_code: int) -> None:
        super().__init__(message, index, pid)
        self.exit_code = exit_code


class ProcessContext:
    """The processes that `start_processes` started without joining them.

    >>> from atled.core.multiprocessing import start_processes
    >>> context = start_processes(print, nprocs=2, join=False, start_method="fork")
    >>> len(context.pids()), context.join()
    (2, True)
    """

    def __init__(self, processes: list[BaseProcess], errors: list[Connection]) -> None:
        self.processes = processes
        self._errors = errors

    def pids(self) -> list[int | None]:
        """Their numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits until one fails or all have ended; True when all have, False after `timeout` seconds.

        When one fails, the others are terminated, and after `grace_period` (5) seconds killed; then
        ProcessRaisedException or ProcessExitedException is raised.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            running = [process.sentinel for process in self.processes if process.is_alive()]
            failed = next((i for i, process in enumerate(self.processes) if process.exitcode), None)
            if failed is not None:
                self._end(_END_SECONDS if grace_period is None else grace_period)
                raise self._failure(failed)
            if not running:
                return True
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            wait(running, left)

    def _end(self, grace_period: float) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        deadline = time.monotonic() + grace_period
        for process in self.processes:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _failure(self, index: int) -> ProcessError:
        process = self.processes[index]
        pid, code = process.pid or 0, process.exitcode or 0
        try:
            text = self._errors[index].recv() if self._errors[index].poll(0) else None
        except (EOFError, OSError):
            text = None
        if text is not None:
            return ProcessRaisedException(f"process {index} (pid {pid}) raised:\n\n{text}", index, pid)
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return ProcessExitedException(f"process {index} (pid {pid}) {how}", index, pid, code)


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Starts `nprocs` processes that call ``fn(index, *args)``.

    With `join`, waits for all of them and returns None, raising ProcessRaisedException or ProcessExitedException when
    one fails, after ending the others. Otherwise returns a context whose ``join`` does that. With "spawn" and
    "forkserver", fn must be importable by its name.

    >>> x = at.zeros(2).share_memory_()
    >>> start_processes(x.index_fill_, (at.tensor([1]), 5.0), start_method="fork")
    >>> x
    tensor([0., 5.])
    """
    context = get_context(start_method)
    processes: list[BaseProcess] = []
    errors: list[Connection] = []
    for index in range(nprocs):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, index, args, theirs), daemon=daemon)
        process.start()
        theirs.close()
        processes.append(process)
        errors.append(ours)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    started.join()
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """As `start_processes`, under PyTorch's name.

    >>> x = at.zeros(2).share_memory_()
    >>> spawn(x.index_fill_, (at.tensor([1]), 5.0), start_method="fork")
    >>> x
    tensor([0., 5.])
    """
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def _run(fn: Callable[..., Any], index: int, args: tuple[Any, ...], errors: Connection) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        raise SystemExit(130) from None  # the parent is interrupted, too
    except Exception:
        errors.send(traceback.format_exc())
        raise SystemExit(1) from None
