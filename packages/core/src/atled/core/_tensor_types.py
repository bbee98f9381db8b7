"""PyTorch's old types of tensors, one for each dtype and kind of device.

They stand in annotations, in ``isinstance`` and for `Tensor.type`, and make tensors; none is the class of a tensor.

>>> import atled.core as at
>>> at.LongTensor([3, 4]), isinstance(at.zeros(2), at.LongTensor), at.zeros(2).type(at.LongTensor)
(tensor([3, 4]), False, tensor([0, 0]))
"""

from __future__ import annotations

from typing import Any

from . import _core
from ._methods import _TYPES
from ._ops import ops

_DTYPES = {old: getattr(_core, name) for name, old in _TYPES.items()}


class TensorType(type):
    """The class of these types."""

    place: str

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], place: str = "cpu") -> TensorType:
        made = super().__new__(mcs, name, bases, namespace)
        made.place = place
        return made

    @property
    def dtype(cls) -> _core.dtype:
        """That of the tensors."""
        found: _core.dtype = _DTYPES[cls.__name__]
        return found

    def __call__(cls, *args: Any) -> _core.Tensor:
        """A tensor of data, over the memory of a tensor of this type, or uninitialised for sizes, as `Tensor.new`."""
        if len(args) == 1 and cls.__instancecheck__(args[0]):
            return _core.Tensor(args[0])
        return ops.core.empty(0, dtype=cls.dtype, device=cls.place).new(*args)  # type: ignore[no-any-return]

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _core.Tensor) and (instance.dtype, instance.device.type) == (cls.dtype, cls.place)

    def __repr__(cls) -> str:
        return f"<class '{cls.__module__.rpartition('.')[0]}.{cls.__name__}'>"


class FloatTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of float32 on the CPU.

    >>> at.FloatTensor([1, 2])
    tensor([1., 2.])
    """


class DoubleTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of float64 on the CPU.

    >>> at.DoubleTensor([1, 2])
    tensor([1., 2.], dtype=float64)
    """


class HalfTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of float16 on the CPU.

    >>> at.HalfTensor([1, 2])
    tensor([1., 2.], dtype=float16)
    """


class BFloat16Tensor(_core.Tensor, metaclass=TensorType):
    """Tensors of bfloat16 on the CPU.

    >>> at.BFloat16Tensor([1, 2])
    tensor([1., 2.], dtype=bfloat16)
    """


class ByteTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of uint8 on the CPU.

    >>> at.ByteTensor([1, 2])
    tensor([1, 2], dtype=uint8)
    """


class CharTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of int8 on the CPU.

    >>> at.CharTensor([1, 2])
    tensor([1, 2], dtype=int8)
    """


class ShortTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of int16 on the CPU.

    >>> at.ShortTensor([1, 2])
    tensor([1, 2], dtype=int16)
    """


class IntTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of int32 on the CPU.

    >>> at.IntTensor([1, 2])
    tensor([1, 2], dtype=int32)
    """


class LongTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of int64 on the CPU.

    >>> at.LongTensor([1, 2])
    tensor([1, 2])
    """


class BoolTensor(_core.Tensor, metaclass=TensorType):
    """Tensors of bool on the CPU.

    >>> at.BoolTensor([1, 0])
    tensor([ True, False])
    """
