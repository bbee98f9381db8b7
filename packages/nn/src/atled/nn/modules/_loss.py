"""Losses as modules: settings in the constructor, input and target in the call.

``size_average`` and ``reduce`` are PyTorch's old names of ``reduction``, see ``functional``.
"""

from __future__ import annotations

from atled.core import Tensor

from .. import functional as F
from .._module import Module
from ..functional._loss import old_reduction


class _Loss(Module):
    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = old_reduction(type(self).__name__, size_average, reduce, reduction)


class _WeightedLoss(_Loss):
    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class CrossEntropyLoss(_WeightedLoss):
    """The cross-entropy of logits ``(N, C, *)`` with classes ``(N, *)`` or with probabilities ``(N, C, *)``.

    ``weight`` ``(C,)`` is a buffer, one number of each class. Formula, settings and errors are those of
    `functional.cross_entropy`.

    >>> import atled.core as at
    >>> round(CrossEntropyLoss()(at.zeros(1, 4), at.tensor([2])).item(), 4)
    1.3863
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class NLLLoss(_WeightedLoss):
    """``-weight[y] input[y]`` for log-probabilities ``(N, C, *)`` and classes y ``(N, *)``.

    ``weight`` ``(C,)`` is a buffer. Settings and errors are those of `functional.nll_loss`.

    >>> import atled.core as at
    >>> NLLLoss()(at.tensor([[-1.0, -2.0], [-3.0, -4.0]]), at.tensor([0, 1])).item()
    2.5
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        ignore_index: int = -100,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.nll_loss(input, target, self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class MSELoss(_Loss):
    """``(input - target)^2``, the mean or the sum of it, or with ``"none"`` each; see `functional.mse_loss`.

    >>> import atled.core as at
    >>> MSELoss()(at.tensor([1.0, 2.0]), at.tensor([1.0, 5.0])).item()
    4.5
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.mse_loss(input, target, reduction=self.reduction)


class L1Loss(_Loss):
    """``|input - target|``, the mean or the sum of it, or with ``"none"`` each; see `functional.l1_loss`.

    >>> import atled.core as at
    >>> L1Loss(reduction="sum")(at.tensor([1.0, 2.0]), at.tensor([1.0, 5.0])).item()
    3.0
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.l1_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """``d^2 / (2 beta)`` where ``d = |input - target| < beta``, else ``d - beta / 2`` (Girshick 2015, eq. 3).

    The call raises InvalidValueError for a negative beta.

    >>> import atled.core as at
    >>> SmoothL1Loss(reduction="none")(at.tensor([0.5, 3.0]), at.zeros(2)).tolist()
    [0.125, 2.5]
    """

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """``d^2 / 2`` where ``d = |input - target| < delta``, else ``delta (d - delta / 2)`` (Huber 1964).

    The call raises InvalidValueError unless delta is positive.

    >>> import atled.core as at
    >>> HuberLoss(reduction="none", delta=2.0)(at.tensor([0.5, 3.0]), at.zeros(2)).tolist()
    [0.125, 4.0]
    """

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.huber_loss(input, target, self.reduction, self.delta)


class BCELoss(_WeightedLoss):
    """``-(y log p + (1 - y) log(1 - p))`` for probabilities p and targets y of one shape.

    ``weight``, which broadcasts with them, is a buffer. Edges and errors are those of
    `functional.binary_cross_entropy`; `BCEWithLogitsLoss` is more exact behind a sigmoid.

    >>> import atled.core as at
    >>> round(BCELoss()(at.tensor([0.5, 0.5]), at.tensor([1.0, 0.0])).item(), 4)
    0.6931
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_WeightedLoss):
    """The binary cross-entropy of ``sigmoid(input)`` with targets of the same shape, computed without overflow.

    ``weight`` and ``pos_weight``, with which the part of the positives is multiplied, are buffers; see
    `functional.binary_cross_entropy_with_logits`.

    >>> import atled.core as at
    >>> BCEWithLogitsLoss(reduction="none")(at.tensor([1000.0, -1000.0]), at.tensor([1.0, 1.0])).tolist()
    [0.0, 1000.0]
    """

    pos_weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        pos_weight: Tensor | None = None,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """``target (log target - input)`` for log-probabilities ``input`` (Kullback & Leibler 1951).

    ``reduction="batchmean"`` is the divergence, ``"mean"`` divides by the number of elements; see `functional.kl_div`.

    >>> import atled.core as at
    >>> log_q, p = at.log(at.tensor([[0.5, 0.5]])), at.tensor([[1.0, 0.0]])
    >>> round(KLDivLoss(reduction="batchmean")(log_q, p).item(), 4)
    0.6931
    """

    def __init__(
        self,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class SoftMarginLoss(_Loss):
    """``log(1 + exp(-target input))`` for targets of 1 and -1, without overflow.

    >>> import atled.core as at
    >>> SoftMarginLoss(reduction="none")(at.tensor([-1000.0, 1000.0]), at.tensor([1.0, 1.0])).tolist()
    [1000.0, 0.0]
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """``max(0, -target (input1 - input2) + margin)``: for target 1 the first is to be larger, for -1 the second.

    >>> import atled.core as at
    >>> loss = MarginRankingLoss(margin=0.5, reduction="none")
    >>> loss(at.tensor([1.0, 2.0]), at.tensor([3.0, 1.0]), at.tensor([1, 1])).tolist()
    [2.5, 0.0]
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.margin_ranking_loss(input1, input2, target, self.margin, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """``1 - cos`` where target is 1, ``max(0, cos - margin)`` where it is -1; cos is of the last dimension.

    Called with two inputs ``(N, D)`` and target ``(N,)``; see `functional.cosine_embedding_loss`.

    >>> import atled.core as at
    >>> loss = CosineEmbeddingLoss()
    >>> round(loss(at.tensor([[1.0, 0.0]]), at.tensor([[0.0, 1.0]]), at.tensor([1])).item(), 4)
    1.0
    """

    def __init__(
        self, margin: float = 0.0, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Tensor, input2: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.cosine_embedding_loss(input1, input2, target, self.margin, reduction=self.reduction)


class TripletMarginLoss(_Loss):
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with p-norm distances (Balntas et al. 2016).

    Inputs ``(N, D)`` or ``(D,)``. With ``swap`` the negative's distance is the smaller one of those to the anchor and
    to the positive.

    >>> import atled.core as at
    >>> anchor, near, far = at.tensor([[0.0, 0.0]]), at.tensor([[3.0, 4.0]]), at.tensor([[0.0, 2.0]])
    >>> round(TripletMarginLoss()(anchor, near, far).item(), 4)
    4.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: bool | None = None,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss."""
        return F.triplet_margin_loss(
            anchor, positive, negative, self.margin, self.p, self.eps, self.swap, reduction=self.reduction
        )


class PoissonNLLLoss(_Loss):
    """The negative log-likelihood of counts under Poisson distributions.

    ``exp(x) - target x`` for the logarithm x of the rate. Settings are those of `functional.poisson_nll_loss`.

    >>> import atled.core as at
    >>> PoissonNLLLoss()(at.tensor([0.0]), at.tensor([2.0])).item()
    1.0
    """

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: bool | None = None,
        eps: float = 1e-8,
        reduce: bool | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input, self.full, self.eps = log_input, full, eps

    def forward(self, log_input: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return F.poisson_nll_loss(log_input, target, self.log_input, self.full, eps=self.eps, reduction=self.reduction)


class GaussianNLLLoss(_Loss):
    """``(log var + (input - target)^2 / var) / 2`` with var at least ``eps`` (Nix & Weigend 1994).

    ``full`` adds ``log(2 pi) / 2``. Called with input, target and var; see `functional.gaussian_nll_loss`.

    >>> import atled.core as at
    >>> round(GaussianNLLLoss()(at.tensor([1.0]), at.tensor([3.0]), at.tensor([4.0])).item(), 4)
    1.1931
    """

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.full, self.eps = full, eps

    def forward(self, input: Tensor, target: Tensor, var: Tensor) -> Tensor:
        """The loss."""
        return F.gaussian_nll_loss(input, target, var, self.full, self.eps, self.reduction)
