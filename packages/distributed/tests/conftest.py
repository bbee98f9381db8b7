"""What the tests share: a rendezvous in this process, and running the launcher as a user does."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from atled.distributed._rendezvous import RendezvousServer
from atled.distributed._store import listen

HERE = Path(__file__).parent


@dataclass
class Ended:
    """A finished run of the launcher."""

    status: int
    stdout: str
    stderr: str
    seconds: float


def launch_job(*words: str | Path, ranks: int = 2) -> Ended:
    """Runs ``python -m atled.distributed.run`` with these words."""
    command = [sys.executable, "-m", "atled.distributed.run", "--nproc-per-node", str(ranks), *map(str, words)]
    start = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return Ended(done.returncode, done.stdout, done.stderr, time.monotonic() - start)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_dead(pids: list[int], seconds: float = 10.0) -> list[int]:
    """Waits for processes to end; returns those that did not."""
    deadline = time.monotonic() + seconds
    while (alive := [pid for pid in pids if is_alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return alive


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """The address of a rendezvous for two ranks."""
    sock = listen("127.0.0.1", 0)
    server = RendezvousServer(sock, 2)
    yield sock.getsockname()
    server.close()


@pytest.fixture(autouse=True)
def no_shared_memory_left() -> Iterator[None]:
    """No test may leave shared memory of MPI behind."""
    yield
    folder = Path("/dev/shm")
    if folder.is_dir():
        assert not [name for name in os.listdir(folder) if name.startswith("mpich_shm_")]
