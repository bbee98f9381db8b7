"""Memory that graphs take: for each recorded op, and at the peak of a training step."""

import subprocess
import sys

from benchmarks.rows.row import Row

OPS = 200_000

# Each side runs in a process of its own, and says how much its resident memory has grown.
_START = """
import sys

def resident(what="VmRSS"):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what))

if sys.argv[1] == "atled":
    import atled.core as at
    from atled import nn
    make = lambda *shape: at.ones(*shape)
else:
    import torch
    from torch import nn
    torch.set_num_threads(1)
    make = lambda *shape: torch.ones(*shape)
"""

_CHAIN = """
x = make(2).requires_grad_()
(x * 1.5).sum().backward()
before, y = resident(), x
for _ in range(int(sys.argv[2])):
    y = y + y
print(resident() - before)
"""

_STEP = """
width, batch = 1024, 2048
layers = [layer for _ in range(8) for layer in (nn.Linear(width, width), nn.ReLU())]
model, data = nn.Sequential(*layers), make(batch, width)
model(data[:8]).sum().backward()
before = resident()
model(data).sum().backward()
print(resident("VmHWM") - before)
"""


def _grown(script: str, side: str) -> int:
    command = [sys.executable, "-c", _START + script, side, str(OPS)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def rows() -> list[Row]:
    """Bytes for each node of a graph, and by how much a training step makes the process grow."""
    nodes = {side: _grown(_CHAIN, side) / OPS for side in ("atled", "torch")}
    steps = {side: _grown(_STEP, side) / 1e6 for side in ("atled", "torch")}
    return [
        Row("memory of a recorded tiny op, its result gone", measured=nodes, budgets={"torch": 0.5}, unit="B"),
        Row("peak of forward and backward, 8 layers 1024 wide", measured=steps, budgets={"torch": 1.0}, unit="MB"),
    ]
