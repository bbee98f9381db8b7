"""nn's ops composed of core's: what runs them on device "cuda" where the plugin library has no kernel."""

from __future__ import annotations

from atled.core import _core
from atled.nn._composed import convolution
from atled.nn._composed.shared import Kernel
from atled.nn._native import CUDA_LIBRARY

#: What computes which op; each takes the op's arguments by position.
KERNELS: dict[str, Kernel] = convolution.KERNELS


def register() -> None:
    """Adds what device "cuda" has: the plugin library's kernels, and these for what the library has none for.

    The entry point ``cuda.nn`` does so at the first call of such an op there.
    """
    if CUDA_LIBRARY.exists():
        _core.load_plugin(str(CUDA_LIBRARY))
    ops = {op.qualified_name: op for op in _core.ops()}
    for name, kernel in KERNELS.items():
        op = ops[f"nn::{name}"]
        if not _core.has_kernel(op, "cuda"):
            _core.add_kernel(op, "cuda", kernel)
