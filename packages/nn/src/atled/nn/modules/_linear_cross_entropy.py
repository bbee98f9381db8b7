"""A linear map and its cross-entropy in one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from ._linear import Linear
from ._loss import _WeightedLoss

if TYPE_CHECKING:
    from ..functional._linear_cross_entropy_options import LinearCrossEntropyOptions


class LinearCrossEntropyLoss(_WeightedLoss):
    """The cross-entropy of ``linear(input)`` with a target, whose logits are never all in memory.

    `functional.linear_cross_entropy` says what input and target may be. The map is ``self.linear``, a `Linear` of
    ``in_features`` to ``num_classes``, times the sizes of ``out_features`` for a loss of more dimensions.

    ShapeError for a ``weight`` other than ``(num_classes,)``, InvalidValueError for ``label_smoothing`` outside of
    [0, 1].

    >>> import atled.core as at
    >>> from atled import nn
    >>> loss = nn.LinearCrossEntropyLoss(8, 1000)
    >>> loss(at.ones(6, 8), at.arange(6)).shape, list(loss.state_dict())
    ((), ['linear.weight'])
    """

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: at.dtype | None = None,
        reduction: str = "mean",
        weight: Tensor | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: LinearCrossEntropyOptions | None = None,
    ) -> None:
        name = type(self).__name__
        if weight is not None and tuple(weight.shape) != (num_classes,):
            raise at.ShapeError(f"{name}: expected weight ({num_classes},), got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise at.InvalidValueError(f"{name}: expected label_smoothing in [0, 1], got {label_smoothing}")
        super().__init__(weight, reduction=reduction)
        self.num_classes, self.out_features = num_classes, tuple(out_features)
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        self.linear = Linear(in_features, math.prod(out_features, start=num_classes), bias, device, dtype)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        shape, bias = (self.num_classes, *self.out_features), self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        """The sizes and the settings."""
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, reduction={self.reduction}, "
            f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}, options={self.options}"
        )
