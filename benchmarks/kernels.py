"""Where a GPU's time goes: ``python -m benchmarks.kernels NAME...`` lists the kernels of the group "cuda"'s rows.

Each row whose name holds one of the names is run with each peer under PyTorch's profiler, which sees the kernels of all
libraries in the process. Times are a launch's or a step's share, in microseconds.
"""

import argparse
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import torch
from torch.autograd import DeviceType

from benchmarks.rows import GROUPS
from benchmarks.rows.cuda import LAUNCHES

MOST = 16


def kernels(call: Callable[[], object]) -> list[tuple[str, float, float]]:
    """Of one run after a warm-up: each kernel's name, and how often it ran and how long for each launch of the row."""
    call()
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        call()
        torch.cuda.synchronize()
    events: list[Any] = [e for e in profile.key_averages() if e.device_type == DeviceType.CUDA]
    events.sort(key=attrgetter("self_device_time_total"), reverse=True)
    return [(e.key, e.count / LAUNCHES, e.self_device_time_total / LAUNCHES) for e in events]


def main() -> None:
    """Prints the kernels of the chosen rows."""
    parser = argparse.ArgumentParser(prog="benchmarks.kernels", description=__doc__)
    parser.add_argument("name", nargs="+", help="a part of the names of rows")
    parser.add_argument("--peers", nargs="+", default=["atled", "torch"], help="atled and torch by default")
    arguments = parser.parse_args()
    for row in GROUPS["cuda"]():
        if not any(name in row.name for name in arguments.name):
            continue
        for peer in arguments.peers:
            if peer not in row.peers:
                continue
            found = kernels(row.peers[peer])
            print(f"== {row.name}, {peer}: {sum(time for _, _, time in found):.1f} us")
            for name, count, time in found[:MOST]:
                print(f"{time:10.1f} us  x {count:<5.1f} {name[:110]}")


if __name__ == "__main__":
    main()
