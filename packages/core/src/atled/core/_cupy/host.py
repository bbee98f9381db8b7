"""Ops that no library of CUDA's computes: they are run on the CPU, by copies there and back, which wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from atled.core import _core

#: Neither cuSOLVER nor CuPy factors Hermitian indefinite matrices, or solves with such factors.
OPS = ("linalg::ldl_factor_ex", "linalg::ldl_solve")


def run(op: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[_core.Tensor, ...]:
    """The results of an op whose tensors are all on one device, computed on the CPU."""
    device = next(a.device for a in args if isinstance(a, _core.Tensor))
    made = op(*(a.to("cpu") if isinstance(a, _core.Tensor) else a for a in args), **kwargs)
    return tuple(t.to(device) for t in (made if isinstance(made, tuple) else (made,)))


def kernel(op: _core.Op) -> Callable[..., Any]:
    """What runs `op` so as a kernel, which gets all arguments by position."""
    names = [name for name, *_ in op.args]

    def run_op(*args: Any) -> Any:
        tensors = [a for a in args if isinstance(a, _core.Tensor)]
        others = dict(zip(names[len(tensors) :], args[len(tensors) :], strict=True))
        made = run(op, *tensors, **others)
        return made if len(made) > 1 else made[0]

    return run_op
