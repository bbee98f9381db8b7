"""nn's ops composed of core's: what runs them on devices for which there is no kernel of nn's own."""

from __future__ import annotations

from atled.core import _core
from atled.nn._composed import activation, convolution, loss, normalization, pooling, simple
from atled.nn._composed.shared import Kernel

#: What computes which op; each takes the op's arguments by position.
KERNELS: dict[str, Kernel] = {
    **activation.KERNELS,
    **convolution.KERNELS,
    **loss.KERNELS,
    **normalization.KERNELS,
    **pooling.KERNELS,
    **simple.KERNELS,
}


def register() -> None:
    """Adds them as kernels of device "cuda"; the entry point ``cuda.nn`` does so at the first call of one there."""
    ops = {op.qualified_name: op for op in _core.ops()}
    for name, kernel in KERNELS.items():
        _core.add_kernel(ops[f"nn::{name}"], "cuda", kernel)
