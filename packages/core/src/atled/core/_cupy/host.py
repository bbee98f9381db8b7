"""Ops that no library of CUDA's computes: they are run on the CPU, by copies there and back, which wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atled.core import _core

#: Neither cuSOLVER nor CuPy factors Hermitian indefinite matrices, or solves with such factors.
OPS = ("linalg::ldl_factor_ex", "linalg::ldl_solve")


def kernel(op: _core.Op) -> Callable[..., Any]:
    """What runs `op` there as a kernel, which gets all arguments by position, tensors first."""
    names = [name for name, *_ in op.args]

    def run(*args: Any) -> Any:
        tensors = [a for a in args if isinstance(a, _core.Tensor)]
        others = dict(zip(names[len(tensors) :], args[len(tensors) :], strict=True))
        made = op(*(t.to("cpu") for t in tensors), **others)
        device = tensors[0].device
        return tuple(t.to(device) for t in made) if isinstance(made, tuple) else made.to(device)

    return run
