"""Running the launcher as a user does, and watching processes."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

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
