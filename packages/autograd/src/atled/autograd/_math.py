"""What rules use beside ops: steps that cost nothing where they have nothing to do."""

from typing import Any

import atled.core as at
from atled.autograd import _tape
from atled.autograd._trace import Proxy, SymbolProxy, TensorProxy, Untraceable


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


def is_number(x: Any) -> bool:
    """Whether an argument that may be a tensor or a number is a number; while tracing, only known ones can be asked."""
    if isinstance(x, SymbolProxy):
        raise Untraceable("whether a value is a number")
    return not isinstance(x, (at.Tensor, TensorProxy))


def is_complex(dtype: Any) -> bool:
    """Whether a dtype is complex."""
    return dtype in (at.complex64, at.complex128)


def concrete(x: Any) -> Any:
    """The tensor whose values are known that x stands for: of a batch, all of it."""
    while depth := _tape.depth_of(x):
        pair = _tape.unwrap(x, depth)
        assert pair is not None
        x = pair[0]
    return x


def any_true(mask: Any) -> bool:
    """Whether any element is true, in any element of a batch too, so that a rule may choose what is right for all."""
    return bool(concrete(mask).any())
