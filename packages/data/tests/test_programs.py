"""Whole programs: how they end, and what they leave behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, /proc and namespaces")

# Workers announce themselves; one sample is so slow that its worker is busy when the program ends.
PRELUDE = """
import multiprocessing, os, sys, time
import numpy as np
from atled import data

if __name__ == "__main__":
    multiprocessing.set_start_method("fork")


class Slow(data.Dataset):
    def __getitem__(self, index):
        if index == 1:
            time.sleep(120)
        return np.full(20_000, index)

    def __len__(self):
        return 8


def start(**options):
    loader = data.DataLoader(Slow(), num_workers=2, **options)
    iterator = iter(loader)
    next(iterator)
    print(*[child.pid for child in multiprocessing.active_children()], flush=True)
    return iterator
"""


@pytest.fixture
def program(tmp_path: Path) -> Any:
    """Starts a program made of the prelude and a few lines; whatever remains of it is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def run(lines: str, *command: str) -> subprocess.Popen[str]:
        file = tmp_path / "program.py"
        file.write_text(PRELUDE + textwrap.dedent(lines))
        process = subprocess.Popen(
            [*command, sys.executable, str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A background job starts with interrupts ignored, which its children inherit.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        started.append(process)
        return process

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def wait_for_end(pids: list[int], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, pids))


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("pass", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('a mistake')", 1),
        ("import threading; threading.Thread(target=lambda: iterator).start()", 0),
    ],
)
@pytest.mark.parametrize("options", ["", "persistent_workers=True"])
def test_the_end_of_a_program_ends_its_workers(program: Any, ending: str, code: int, options: str) -> None:
    process = program(f"iterator = start({options})\n{ending}")
    pids = workers_of(process)
    assert len(pids) == 2
    assert process.wait(10) == code
    wait_for_end(pids, 1)
    errors = process.stderr.read()
    assert ("a mistake" in errors) if code == 1 else (errors == "")


def test_an_interrupt_ends_everything(program: Any) -> None:
    process = program("""
        iterator = start()
        for batch in iterator:
            pass
    """)
    pids = workers_of(process)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == -signal.SIGINT
    wait_for_end(pids, 1)
    errors = process.stderr.read()
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")


def test_a_caught_interrupt_lets_the_program_go_on(program: Any) -> None:
    process = program("""
        try:
            for batch in start():
                pass
        except KeyboardInterrupt:
            print("interrupted", len(list(data.DataLoader(range(4), num_workers=2))), flush=True)
    """)
    workers_of(process)
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) == 0
    assert process.stdout.read() == "interrupted 4\n"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_end_when_their_parent_is_killed(program: Any, method: str) -> None:
    process = program(f"""
        if __name__ == "__main__":
            iterator = start(multiprocessing_context="{method}")
            time.sleep(60)
    """)
    pids = workers_of(process)
    assert len(pids) == 2
    process.kill()
    process.wait()
    wait_for_end(pids, 8)


def test_an_unguarded_main_program_is_told_what_to_do(program: Any) -> None:
    process = program('start(multiprocessing_context="spawn")')
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert 'guard the main program with if __name__ == "__main__"' in errors


def test_a_full_dev_shm_is_no_obstacle(program: Any) -> None:
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no right to mount a small file system")
    process = program(
        """
        class Wide(data.Dataset):
            def __getitem__(self, index):
                return np.full(100_000, index, dtype=np.float64)

            def __len__(self):
                return 16

        with open("/dev/shm/full", "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65536))
            except OSError:
                pass
        total = sum(batch.numpy().sum() for batch in data.DataLoader(Wide(), batch_size=2, num_workers=2))
        print(total == 100_000 * sum(range(16)))
        """,
        *("unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=2m tmpfs /dev/shm && exec "$@"', "-"),
    )
    output, errors = process.communicate(timeout=60)
    assert output == "True\n", errors
    # Shared memory is no file there where the system can do without.
    assert ("SharedMemoryWarning" in errors) != hasattr(os, "memfd_create")
