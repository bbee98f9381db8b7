"""Which ops device "cuda" has kernels for: all that the CPU has, but for those that are listed here with the reason."""

import atled.core as at
from atled.core import _core

# qualified name: why the device has no kernel of it
MISSING: dict[str, str] = {}


def test_every_op_of_the_cpu_has_a_kernel(gpu: str) -> None:
    assert at.device(gpu).type == "cuda"
    ops = [op for op in _core.ops() if _core.has_kernel(op, "cpu")]
    missing = {op.qualified_name for op in ops if not _core.has_kernel(op, "cuda")}
    assert sorted(missing - MISSING.keys()) == [], "no CUDA kernel, and no reason in MISSING"
    assert sorted(MISSING.keys() - missing) == [], "in MISSING, but there is a CUDA kernel"
