"""What rules use beside ops: steps that cost nothing where they have nothing to do."""

from typing import Any

import atled.core as at
from atled.autograd._trace import Proxy, TensorProxy


def conj(x: Any) -> Any:
    """The complex conjugate; of what is real, itself."""
    if isinstance(x, Proxy):
        tracer = x.tracer
        return TensorProxy(tracer, ("r", tracer.emit("conjugate", "", [tracer.operand(x)], 1)))
    if isinstance(x, at.Tensor):
        return x.conj() if x.dtype in (at.complex64, at.complex128) else x
    return x.conjugate()


def scale(x: Any, factor: Any) -> Any:
    """x * factor; with a factor of 1, x itself."""
    if isinstance(x, Proxy):
        tracer = x.tracer
        return TensorProxy(tracer, ("r", tracer.emit("scale", "", [tracer.operand(x), tracer.operand(factor)], 1)))
    return x if isinstance(factor, (int, float)) and factor == 1 else x * factor
