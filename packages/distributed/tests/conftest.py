"""What the tests share: a rendezvous in this process, and a look at what they leave behind."""

import os
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


@pytest.fixture(autouse=True)
def no_shared_memory_left() -> Iterator[None]:
    """No test may leave shared memory of MPI behind."""
    yield
    folder = Path("/dev/shm")
    if folder.is_dir():
        assert not [name for name in os.listdir(folder) if name.startswith("mpich_shm_")]
