"""What the tests share: a rendezvous in this process, and a look at what they leave behind."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from atled.distributed._rendezvous import RendezvousServer
from atled.distributed._store import listen


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """The address of a rendezvous for two ranks."""
    sock = listen("127.0.0.1", 0)
    server = RendezvousServer(sock, 2)
    yield sock.getsockname()
    server.close()


def left_behind() -> list[Path]:
    """Shared memory of MPI whose process, which its name has, is gone."""
    files = Path("/dev/shm").glob("mpich_shm_*")
    return [file for file in files if not Path("/proc", file.name.split("_")[2]).exists()]


@pytest.fixture(autouse=True)
def no_shared_memory_left() -> Iterator[None]:
    """No test may leave shared memory of MPI behind; other tests that run meanwhile get time to take theirs away."""
    yield
    end = time.monotonic() + 10
    while left := left_behind():
        assert time.monotonic() < end, f"left behind: {left}"
        time.sleep(0.05)
