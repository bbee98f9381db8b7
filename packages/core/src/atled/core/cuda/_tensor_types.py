"""PyTorch's old types of tensors on GPUs; see `atled.core._tensor_types`."""

from __future__ import annotations

from atled.core import Tensor
from atled.core._tensor_types import TensorType


class FloatTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of float32 on a GPU.

    >>> at.cuda.FloatTensor(2, 3)  # doctest: +SKIP
    """


class DoubleTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of float64 on a GPU.

    >>> at.cuda.DoubleTensor(2, 3)  # doctest: +SKIP
    """


class HalfTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of float16 on a GPU.

    >>> at.cuda.HalfTensor(2, 3)  # doctest: +SKIP
    """


class BFloat16Tensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of bfloat16 on a GPU.

    >>> at.cuda.BFloat16Tensor(2, 3)  # doctest: +SKIP
    """


class ByteTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of uint8 on a GPU.

    >>> at.cuda.ByteTensor(2, 3)  # doctest: +SKIP
    """


class CharTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of int8 on a GPU.

    >>> at.cuda.CharTensor(2, 3)  # doctest: +SKIP
    """


class ShortTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of int16 on a GPU.

    >>> at.cuda.ShortTensor(2, 3)  # doctest: +SKIP
    """


class IntTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of int32 on a GPU.

    >>> at.cuda.IntTensor(2, 3)  # doctest: +SKIP
    """


class LongTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of int64 on a GPU.

    >>> at.cuda.LongTensor(2, 3)  # doctest: +SKIP
    """


class BoolTensor(Tensor, metaclass=TensorType, place="cuda"):
    """Tensors of bool on a GPU.

    >>> at.cuda.BoolTensor(2, 3)  # doctest: +SKIP
    """
