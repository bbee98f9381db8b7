"""Starts the ranks of a job on this machine, watches them, and ends them all when one fails."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import spawn as mp_spawn
from pathlib import Path
from types import FrameType
from typing import Any

from atled.core import ArgumentError, InvalidValueError
from atled.core._explained import explained

from ._errors import DistError, RankFailedError
from ._store import listen

__all__ = ["Failure", "launch", "spawn"]

_POLL_SECONDS = 0.02
# After the first failure: time for the others to end by themselves, then from SIGTERM to SIGKILL.
_GRACE_SECONDS = 2.0
_TERM_SECONDS = 3.0


@dataclass(frozen=True)
class Failure:
    """How the first rank that failed has ended: its status as a shell shows it, a sentence, and its traceback or "".

    `launch` gives one.

    >>> from atled import distributed as dist
    >>> failure = dist.launch(["no_such_script.py"])
    >>> failure.rank, failure.status, failure.reason, "no_such_script.py" in failure.traceback
    (0, 1, 'ended with status 1', True)
    """

    rank: int
    status: int
    reason: str
    traceback: str

    def __str__(self) -> str:
        return f"rank {self.rank} failed first: {self.reason}\n{self.traceback}".rstrip()


@explained
def launch(
    target: Sequence[str],
    nproc_per_node: int = 1,
    *,
    nnodes: int = 1,
    node_rank: int = 0,
    master_addr: str = "127.0.0.1",
    master_port: int = 0,
    max_restarts: int = 0,
) -> Failure | None:
    """Runs a Python script on ``nproc_per_node`` processes and waits for them.

    ``target`` is the script and its arguments, or ``"-m"``, a module and its arguments. Each process finds RANK,
    LOCAL_RANK, WORLD_SIZE, LOCAL_WORLD_SIZE, GROUP_RANK, MASTER_ADDR and MASTER_PORT in its environment, and its share
    of the processors in ATLED_NUM_THREADS and OMP_NUM_THREADS unless these are set. With several nodes, every node
    calls this with its ``node_rank``, and all with the address and port of node 0.

    When a rank fails, all are ended and started again, up to ``max_restarts`` times (on one node only): a script that
    saves checkpoints goes on from there.

    Returns None when all ranks ended well, else how the first one failed; the others were ended by then. Raises
    DistError for numbers that cannot be, or without a script, ArgumentError where ``target`` is a string.

    >>> from atled import distributed as dist
    >>> dist.launch(["-m", "platform"], nproc_per_node=2)  # prints twice
    """
    if isinstance(target, str):
        raise ArgumentError(f"launch: expected target to be a list, such as [{target!r}], got a string")
    mode, rest = ("module", target[1:]) if target[:1] == ["-m"] else ("script", target)
    if not rest:
        raise DistError("launch: expected a script, or -m and a module")
    if max_restarts < 0 or (max_restarts and nnodes > 1):
        raise DistError(f"launch: expected max_restarts >= 0, and 0 with several nodes, got {max_restarts}")
    for restarts in range(max_restarts + 1):
        with tempfile.TemporaryDirectory(prefix="atled-") as folder:
            failure = _run(
                [mode, *rest], Path(folder), nproc_per_node, nnodes, node_rank, master_addr, master_port, restarts
            )
        if failure is None or restarts == max_restarts:
            break
        print(f"{failure}\natled.distributed: restart {restarts + 1} of {max_restarts}", file=sys.stderr, flush=True)
    return failure


def spawn(fn: Callable[..., Any], args: Sequence[Any] = (), nprocs: int = 1) -> list[Any]:
    """Calls ``fn(rank, *args)`` in ``nprocs`` new processes that can call ``init_process_group()``.

    ``fn``, ``args`` and what ``fn`` returns must be picklable: ``fn`` is a function of a module, or of a script that
    calls ``spawn`` under ``if __name__ == "__main__"``, as the new processes import it. Returns what the ranks
    returned, in rank order.

    Raises RankFailedError with the traceback of the first rank that failed, DistError for what cannot be pickled or
    imported, InvalidValueError for ``nprocs`` below 1.

    >>> from atled import distributed as dist
    >>> dist.spawn(divmod, (4,), nprocs=2)
    [(0, 0), (0, 1)]
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise DistError(
            "spawn: called while a new process imports this script, where fn is found; put what is to run once under "
            'if __name__ == "__main__":'
        )
    if getattr(fn, "__module__", None) == "__main__" and not _has_file(sys.modules["__main__"]):
        raise DistError(
            f"spawn: expected fn of a script or module, which new processes import, got {fn!r} of an interactive "
            "session; put it in a file and import it"
        )
    if not isinstance(nprocs, int) or nprocs < 1:
        raise InvalidValueError(f"spawn: expected nprocs >= 1, got {nprocs!r}")
    if not isinstance(args, Iterable):
        raise ArgumentError(f"spawn: expected args to be a tuple, such as ({args!r},), got {args!r}")
    with tempfile.TemporaryDirectory(prefix="atled-") as name:
        folder = Path(name)
        task = folder / "task"
        preparation = mp_spawn.get_preparation_data("rank")
        # A secret of this process that pickle refuses to write, and that nobody needs.
        preparation.pop("authkey", None)
        try:
            task.write_bytes(pickle.dumps(preparation) + pickle.dumps((fn, tuple(args))))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise DistError(f"spawn: fn and args must be picklable, so fn a function of a module: {error}") from error
        failure = _run(["function", str(task)], folder, nprocs, 1, 0, "127.0.0.1", 0)
        if failure is not None:
            raise RankFailedError(f"spawn: {failure}", failure.rank, failure.traceback)
        results = [folder / f"rank{rank}.result" for rank in range(nprocs)]
        for rank, path in enumerate(results):
            if not path.exists():
                raise RankFailedError(f"spawn: rank {rank} ended by sys.exit(0), before fn returned", rank)
        return [pickle.loads(path.read_bytes()) for path in results]


def _has_file(module: object) -> bool:
    return not getattr(module, "__file__", "<").startswith("<")


class _Rank:
    """One process, the leader of a process group of its own that its children belong to."""

    def __init__(self, number: int, command: list[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.number = number
        self.status: int | None = None
        self._ended_at = 0.0
        self._was_signalled = False
        self._own = folder / f"rank{number}"
        read_end, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "atled.distributed._worker", str(folder), str(read_end), *command],
                env=environment,
                pass_fds=[read_end],
                start_new_session=True,
            )
        except BaseException:
            os.close(self._lifeline)  # what may have been started ends by that
            raise
        finally:
            os.close(read_end)

    def has_ended(self) -> bool:
        """Whether the process has ended. Where possible it stays a zombie, which keeps its number and its group's."""
        if self.status is None:
            if hasattr(os, "waitid"):
                state = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if state is not None:
                    self.status = state.si_status if state.si_code == os.CLD_EXITED else -state.si_status
            else:
                self.status = self._process.poll()
            self._ended_at = time.time()
        return self.status is not None

    def signal(self, number: int) -> None:
        """Sends a signal to the process and its children."""
        self._was_signalled = self._was_signalled or not self.has_ended()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def reap(self) -> None:
        """Kills what is left of the group and collects the status."""
        self.signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._lifeline)

    def failure(self) -> tuple[bool, float, Failure] | None:
        """How the process failed by itself, if it did, behind what failures are sorted by: consequence, time."""
        if not self.status or self._was_signalled:
            return None
        try:
            word = json.loads(self._own.with_suffix(".json").read_text())
        except FileNotFoundError:
            word = {"time": self._ended_at, "is_cause": True, "traceback": ""}
        faults = self._own.with_suffix(".fault")
        text = word["traceback"] or (faults.read_text() if faults.exists() else "")
        if self.status < 0:
            reason, status = f"killed by {_signal_name(-self.status)}", 128 - self.status
        else:
            reason, status = f"ended with status {self.status}", self.status
        return not word["is_cause"], word["time"], Failure(self.number, status, reason, text)


def _run(
    command: list[str],
    folder: Path,
    nproc_per_node: int,
    nnodes: int,
    node_rank: int,
    addr: str,
    port: int,
    restarts: int = 0,
) -> Failure | None:
    if nproc_per_node < 1 or not 0 <= node_rank < nnodes:
        raise DistError(
            "launch: expected nproc_per_node >= 1 and 0 <= node_rank < nnodes, got "
            f"{nproc_per_node}, {node_rank} and {nnodes}"
        )
    if nnodes > 1 and port == 0:
        raise DistError("launch: several nodes need a master_port that all of them know")
    world_size = nnodes * nproc_per_node
    share = str(max(1, processors() // nproc_per_node))
    with _rendezvous(node_rank, addr, port, world_size) as port, _signals_as_exceptions():
        ranks: list[_Rank] = []
        try:
            for local in range(nproc_per_node):
                rank = node_rank * nproc_per_node + local
                environment = {
                    "ATLED_NUM_THREADS": share,
                    "OMP_NUM_THREADS": share,
                    **os.environ,
                    "RANK": str(rank),
                    "LOCAL_RANK": str(local),
                    "WORLD_SIZE": str(world_size),
                    "LOCAL_WORLD_SIZE": str(nproc_per_node),
                    "GROUP_RANK": str(node_rank),
                    "MASTER_ADDR": addr,
                    "MASTER_PORT": str(port),
                    "ATLED_RENDEZVOUS": str(port),
                    "ATLED_RESTART_COUNT": str(restarts),
                }
                ranks.append(_Rank(rank, command, folder, environment))
            _watch(ranks)
        except BaseException:
            _end(ranks, patience=0.0)
            raise
        _end(ranks, patience=_GRACE_SECONDS)
    failures = [failure for rank in ranks if (failure := rank.failure()) is not None]
    return min(failures, key=lambda failure: failure[:2])[2] if failures else None


def _signal_name(number: int) -> str:
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _rendezvous(node_rank: int, addr: str, port: int, world_size: int) -> Iterator[int]:
    """Serves the rendezvous on node 0; gives the port."""
    if node_rank != 0:
        yield port
        return
    from ._rendezvous import RendezvousServer  # brings asyncio, which ranks have no use for

    sock = listen(addr, port)
    server = RendezvousServer(sock, world_size)
    try:
        yield sock.getsockname()[1]
    finally:
        server.linger()
        server.close()


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """SIGTERM ends the launcher like Ctrl-C, through its cleaning up."""

    def stop(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    try:
        previous = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        # Not the main thread: its owner decides about signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _watch(ranks: list[_Rank]) -> None:
    """Waits until all have ended, or one has failed."""
    while True:
        ended = [rank.has_ended() for rank in ranks]
        if all(ended) or any(rank.status for rank in ranks):
            return
        time.sleep(_POLL_SECONDS)


def _end(ranks: list[_Rank], patience: float) -> None:
    """Ends all ranks that still run: by themselves within ``patience`` seconds, else by SIGTERM, else by SIGKILL."""
    _wait(ranks, patience)
    for rank in ranks:
        if not rank.has_ended():
            rank.signal(signal.SIGTERM)
    _wait(ranks, _TERM_SECONDS)
    for rank in ranks:
        rank.reap()


def _wait(ranks: list[_Rank], patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not all(rank.has_ended() for rank in ranks):
        time.sleep(_POLL_SECONDS)
