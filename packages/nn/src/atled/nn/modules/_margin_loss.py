"""Losses that ask for a margin, those of several labels, and of sequences, as modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from ._loss import _Loss, _WeightedLoss


class HingeEmbeddingLoss(_Loss):
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1 (Hadsell et al. 2006); any shape.

    >>> import atled.core as at
    >>> HingeEmbeddingLoss(reduction="sum")(at.tensor([0.5, 0.25]), at.tensor([1, -1])).item()
    1.25
    """

    def __init__(
        self, margin: float = 1.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.hinge_embedding_loss(input, target, self.margin, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """``w[y] sum over i != y of max(0, margin - x[y] + x[i])^p / C`` for scores x and classes y.

    After Crammer & Singer 2001. Called with ``(N, C)`` and ``(N,)``; ``weight`` ``(C,)`` is a buffer, and p is 1 or 2.

    >>> import atled.core as at
    >>> MultiMarginLoss()(at.tensor([[0.5, 1.0, 0.25]]), at.tensor([1])).item()
    0.25
    """

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise at.InvalidValueError(f"MultiMarginLoss: expected p of 1 or 2, got {p}")
        self.p, self.margin = p, margin

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.multi_margin_loss(input, target, self.p, self.margin, self.weight, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """``sum of max(0, 1 - x[y] + x[i]) / C`` over the labels y of each sample and the classes i that are none of them.

    >>> import atled.core as at
    >>> round(MultiLabelMarginLoss()(at.tensor([[0.1, 0.2, 0.4, 0.8]]), at.tensor([[3, 0, -1, 1]])).item(), 4)
    0.85
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """The mean over the classes of the binary cross-entropy of ``sigmoid(input)``.

    >>> import atled.core as at
    >>> round(MultiLabelSoftMarginLoss()(at.zeros(1, 3), at.tensor([[0.0, 1, 1]])).item(), 4)
    0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.multilabel_soft_margin_loss(input, target, self.weight, reduction=self.reduction)


class TripletMarginWithDistanceLoss(_Loss):
    """`TripletMarginLoss` with any distance; without one, `functional.pairwise_distance`.

    >>> import atled.core as at
    >>> loss = TripletMarginWithDistanceLoss(distance_function=lambda x, y: abs(x - y).sum(-1))
    >>> loss(at.zeros(1, 2), at.ones(1, 2), at.zeros(1, 2)).item()
    3.0
    """

    def __init__(
        self,
        *,
        distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise at.InvalidValueError(f"TripletMarginWithDistanceLoss: expected margin > 0, got {margin}")
        self.distance_function = F.pairwise_distance if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss."""
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class CTCLoss(_Loss):
    """``-log`` of the probability of labels, summed over all alignments with ``(T, N, C)`` (Graves et al. 2006).

    Arguments are those of ``functional.ctc_loss``.

    >>> import atled.core as at
    >>> log_probs = at.log(at.tensor([[0.5, 0.5], [0.5, 0.5]]))
    >>> round(CTCLoss()(log_probs, at.tensor([1]), [2], [1]).item(), 4)
    0.2877
    """

    def __init__(self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(
        self,
        log_probs: Tensor,
        targets: Tensor,
        input_lengths: Tensor | Sequence[int],
        target_lengths: Tensor | Sequence[int],
    ) -> Tensor:
        """The loss."""
        return F.ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )
