"""Linear maps."""

from __future__ import annotations

import math
from typing import Any

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .. import init
from .._module import Module
from .._ops import one as _one
from .._parameter import Parameter


class Identity(Module):
    """Answers its input, whatever it is; arguments of the constructor are ignored.

    >>> import atled.core as at
    >>> Identity(54, unused=0.1)(at.tensor([1, 2])).tolist()
    [1, 2]
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def forward(self, input: Tensor) -> Tensor:
        """The input."""
        return input


class Linear(Module):
    """``x @ weight.T + bias`` for input ``(*, in_features)``: ``(*, out_features)``.

    Weight ``(out_features, in_features)`` and bias ``(out_features,)`` start uniform in ``±1 / sqrt(in_features)``.
    ShapeError and DTypeError where the input does not fit them.

    >>> import atled.core as at
    >>> layer = Linear(2, 3)
    >>> _ = layer.load_state_dict({"weight": at.tensor([[1.0, 0], [0, 1], [1, 1]]), "bias": at.tensor([0.0, 0, 10])})
    >>> layer(at.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0, 13.0]]
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: at.dtype | None = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(at.empty(out_features, in_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(at.empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        """The map of the last dimension."""
        return _one.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Bilinear(Module):
    """``x1 @ weight[k] @ x2 + bias[k]`` for inputs ``(*, in1_features)`` and ``(*, in2_features)``.

    Answers ``(*, out_features)``. Weight ``(out_features, in1_features, in2_features)`` and bias ``(out_features,)``
    start uniform in ``±1 / sqrt(in1_features)``; InvalidValueError where that is 0.

    >>> import atled.core as at
    >>> layer = Bilinear(2, 3, 4)
    >>> layer(at.ones(5, 2), at.ones(5, 3)).shape, layer.weight.shape
    ((5, 4), (4, 2, 3))
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in1_features: int,
        in2_features: int,
        out_features: int,
        bias: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        if in1_features < 1:
            raise at.InvalidValueError(f"Bilinear: expected in1_features of at least 1, got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = Parameter(at.empty(out_features, in1_features, in2_features, device=device, dtype=dtype))
        self.register_parameter("bias", Parameter(at.empty(out_features, device=device, dtype=dtype)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weight and bias anew."""
        bound = 1 / math.sqrt(self.in1_features)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Tensor:
        """The form of the two inputs' last dimensions."""
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
