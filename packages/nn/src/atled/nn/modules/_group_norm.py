"""Normalisation of groups of channels."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .. import init
from .._module import Module
from .._parameter import Parameter


class GroupNorm(Module):
    """Normalises each of ``num_groups`` groups of neighbouring channels of ``(N, C, *)`` (Wu & He 2018).

    The same in training and evaluation. Weight and bias ``(C,)`` start as 1 and 0. ShapeError where ``num_channels`` is
    no multiple of ``num_groups``; dtypes and errors of the call are those of `functional.group_norm`.

    >>> import atled.core as at
    >>> GroupNorm(2, 4, eps=1e-12)(at.tensor([[1.0, 3.0, 4.0, 8.0]])).tolist()
    [[-1.0, 1.0, -1.0, 1.0]]
    """

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: at.dtype | None = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise at.ShapeError(
                f"GroupNorm: expected num_channels to be a multiple of num_groups, got {num_channels} and {num_groups}"
            )
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        like: dict[str, Any] = {"device": device, "dtype": dtype}
        self.register_parameter("weight", Parameter(at.ones(num_channels, **like)) if affine else None)
        self.register_parameter("bias", Parameter(at.zeros(num_channels, **like)) if affine and bias else None)

    def reset_parameters(self) -> None:
        """Sets weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Tensor:
        """The normalised input, of the same shape."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The sizes and the settings."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )
