"""Ops that device "cuda" computes with CuPy's cuSOLVER, cuBLAS and cuFFT: linear algebra and Fourier transforms.

CuPy is imported by the first call of such an op; it works in atled's memory and on the current stream.
"""

from __future__ import annotations

from typing import Any

from atled.core import _core
from atled.core._cupy import factorization, fft, host, least_squares, orthogonal, solving, spectral
from atled.core._cupy.call import Call, Kernel

#: What computes which op: (Call, *the op's arguments) -> results.
KERNELS: dict[str, Kernel] = {
    **factorization.KERNELS,
    **solving.KERNELS,
    **orthogonal.KERNELS,
    **spectral.KERNELS,
    **least_squares.KERNELS,
    **fft.KERNELS,
}


def register() -> None:
    """Adds the kernels of device "cuda", which must be registered."""
    ops = {op.qualified_name: op for op in _core.ops()}
    for name, function in KERNELS.items():
        _core.add_kernel(ops[name], "cuda", _kernel(ops[name].name, function))
    for name in host.OPS:
        _core.add_kernel(ops[name], "cuda", host.kernel(ops[name]))


def _kernel(op: str, function: Kernel) -> Kernel:
    def run(first: _core.Tensor, *rest: Any) -> Any:
        with Call(op, first.device) as call:
            return function(call, first, *rest)

    return run
