"""PyTorch's functions that are no ops: questions about tensors, shapes, and tensors from other objects."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, TypeGuard

from . import _core
from ._core import ArgumentError, InvalidValueError, ShapeError, Tensor
from ._ops import ops


def is_tensor(obj: object) -> TypeGuard[Tensor]:
    """Whether an object is a Tensor.

    >>> is_tensor(at.zeros(2)), is_tensor([0.0, 0.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


def _need(function: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise ArgumentError(f"{function}: expected input to be Tensor, got {type(input).__name__}")
    return input


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex.

    >>> is_complex(at.tensor([1j])), is_complex(at.tensor([1.0]))
    (True, False)
    """
    return _need("is_complex", input).is_complex()


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is one of real floats: float16, bfloat16, float32, float64 or float8.

    >>> is_floating_point(at.tensor([1.0])), is_floating_point(at.tensor([1]))
    (True, False)
    """
    return _need("is_floating_point", input).is_floating_point()


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers.

    >>> is_signed(at.tensor([1])), is_signed(at.tensor([1], dtype=at.uint8))
    (True, False)
    """
    return _need("is_signed", input).is_signed()


def is_nonzero(input: Tensor) -> bool:
    """Whether the single element of a tensor is not zero; InvalidValueError when there is not just one.

    >>> is_nonzero(at.tensor([0.5])), is_nonzero(at.tensor([[0]]))
    (True, False)
    """
    return _need("is_nonzero", input).is_nonzero()


def detach(input: Tensor) -> Tensor:
    """The same elements as a tensor outside of every graph of gradients: a view.

    It is `Tensor.detach`, which comes with atled-autograd.
    """
    found: Tensor = _need("detach", input).detach()
    return found


def numel(input: Tensor) -> int:
    """Number of elements: the product of the shape, 1 for a 0-d tensor.

    >>> numel(at.zeros(2, 3)), numel(at.tensor(5.0))
    (6, 1)
    """
    return _need("numel", input).numel()


def get_device(input: Tensor) -> int:
    """The number of the GPU that a tensor is on; -1 for the CPU.

    >>> get_device(at.zeros(2, device="cpu"))
    -1
    """
    return _need("get_device", input).get_device()


def get_device_module(device: _core.device | str | None = None) -> ModuleType:
    """The module of a device type, ``atled.core.cuda`` for "cuda"; atled.core itself for one that has no module.

    device: the default device unless given.

    >>> get_device_module("cpu").__name__
    'atled.core'
    """
    chosen = _core.get_default_device() if device is None else _core.device(device)
    try:
        return importlib.import_module(f"atled.core.{chosen.type}")
    except ModuleNotFoundError:
        return importlib.import_module("atled.core")


def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that tensors of the given shapes have together; ShapeError when they do not broadcast.

    >>> broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    sizes = [(shape,) if isinstance(shape, int) else tuple(shape) for shape in shapes]
    if not all(hasattr(n, "__index__") for shape in sizes for n in shape):
        raise ArgumentError(f"broadcast_shapes: expected shapes of ints, got {', '.join(map(repr, shapes))}")
    result = [1] * max(map(len, sizes), default=0)
    for shape in sizes:
        for i, n in enumerate(reversed(shape), 1):
            if n < 0:
                raise InvalidValueError(f"broadcast_shapes: expected sizes >= 0, got {shape}")
            if n != 1 and result[-i] not in (1, n):
                listed = ", ".join(map(str, sizes))
                raise ShapeError(f"broadcast_shapes: expected shapes that broadcast, got {listed}")
            result[-i] = n if result[-i] == 1 else result[-i]
    return tuple(result)


def as_tensor(data: Any, dtype: _core.dtype | None = None, device: _core.device | str | None = None) -> Tensor:
    """A tensor over data's memory where that is possible, else a copy; a tensor keeps its history.

    data: what `tensor` takes, or an object that speaks DLPack. A copy is needed for lists, and for another dtype or
    device.

    >>> import numpy as np
    >>> array = np.array([1, 2, 3])
    >>> as_tensor(array)[0] = 9
    >>> array.tolist(), as_tensor([1.5]).dtype
    ([9, 2, 3], atled.float32)
    """
    return _core.asarray(data, dtype, device)


def to_dlpack(tensor: Tensor) -> Any:
    """A DLPack capsule over the tensor's memory; ``from_dlpack`` takes it, once.

    Objects that have ``__dlpack__``, as tensors do, need no capsule: ``from_dlpack(x)`` asks them itself.

    >>> x = at.tensor([1, 2])
    >>> at.from_dlpack(to_dlpack(x))[0] = 7
    >>> x
    tensor([7, 2])
    """
    return _need("to_dlpack", tensor).__dlpack__()


def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: _core.dtype | None = None,
    device: _core.device | str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Uninitialised memory of the given size, whose dimensions lie in memory in the order of ``physical_layout``.

    >>> empty_permuted((2, 3), (1, 0)).stride()
    (1, 2)
    """
    if sorted(physical_layout) != list(range(len(size))):
        raise InvalidValueError(
            f"empty_permuted: expected physical_layout to hold each of 0 to {len(size) - 1} once, got {physical_layout}"
        )
    stride, step = [0] * len(size), 1
    for dim in reversed(physical_layout):
        stride[dim] = step
        step *= size[dim]
    made: Tensor = ops.core.empty_strided(size, stride, dtype=dtype, device=device)
    return made.requires_grad_() if requires_grad else made
