"""Losses. ``reduction`` is ``"mean"``, ``"sum"`` or ``"none"``.

``size_average`` and ``reduce`` are what PyTorch had before ``reduction``, and stand where they do there. Where one is
given, ``reduce=False`` is ``"none"``, ``size_average=False`` is ``"sum"``, and ``reduction`` does not count.
"""

from __future__ import annotations

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._ops import several as _several
from .._paired_losses import broadcast, paired, promoted, reduced
from .._paired_losses import softplus as _softplus
from .._parameter import constant
from .._precision import cast, narrow, wide


def old_reduction(op: str, size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that PyTorch's old names of it, and the new one, ask for."""
    if size_average is None and reduce is None:
        return reduction
    if isinstance(size_average, str) or isinstance(reduce, str):
        raise at.ArgumentError(f"{op}: expected size_average and reduce to be bools; name reduction=... in the call")
    return "none" if reduce is not None and not reduce else "mean" if size_average in (None, True) else "sum"


def known_reduction(op: str, reduction: str) -> str:
    """The reduction; InvalidValueError for another word."""
    if reduction not in ("none", "mean", "sum"):
        raise at.InvalidValueError(f"{op}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
    return reduction


def _reduce(op: str, loss: Tensor, reduction: str) -> Tensor:
    return reduced(loss, known_reduction(op, reduction))


def _paired(
    op: str,
    kind: str,
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    reduction: str,
    bound: float = 1.0,
) -> Tensor:
    if weight is None:
        return paired(kind, input, target, known_reduction(op, reduction), bound)
    return _reduce(op, _weighing(op, paired(kind, input, target, "none", bound), weight), reduction)


def _weighing(op: str, loss: Tensor, weight: Tensor) -> Tensor:
    """Each loss times its weight; ShapeError for weights that would make more of them."""
    result = loss * weight
    if result.shape != loss.shape:
        raise at.ShapeError(
            f"{op}: expected weight to broadcast to shape {tuple(loss.shape)}, got {tuple(weight.shape)}"
        )
    return result


def _expect_one_rank(op: str, **tensors: Tensor) -> None:
    """Raises ShapeError for numbers of dimensions that differ: (N, 1) beside (N,) would give N losses for each."""
    if len({tensor.ndim for tensor in tensors.values()}) > 1:
        shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())
        raise at.ShapeError(f"{op}: expected tensors of one number of dimensions, got {shapes}")


def _positive(x: Tensor) -> Tensor:
    # Its slope at 0 is 1, as PyTorch's losses have it; relu's is 0.
    return at.clamp(x, min=0)


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-weight[y] input[y]`` for log-probabilities ``(N, C, *)`` or ``(C,)`` and integers y ``(N, *)`` or ``()``.

    weight: ``(C,)``, ones without it. ``"mean"`` divides by the sum of the weights of the targets, ``"none"`` answers
    y's shape. Targets equal to ``ignore_index`` count for nothing; where all are, the mean is NaN. ShapeError where
    shapes do not fit, BoundsError for a class that there is not.

    >>> log_probabilities = at.tensor([[-1.0, -2.0], [-3.0, -4.0], [-5.0, -6.0]])
    >>> nll_loss(log_probabilities, at.tensor([0, 1, -100])).item()
    2.5
    """
    reduction = old_reduction("nll_loss", size_average, reduce, reduction)
    return _several.nll_loss(input, target, weight, reduction, ignore_index)[0]


@explained
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """The cross-entropy of logits ``(N, C, *)`` with classes ``(N, *)`` or with probabilities ``(N, C, *)``.

    `nll_loss` of `log_softmax` for classes, whose weight and ``ignore_index`` it has, or
    ``-sum over c of target[c] weight[c] log_softmax(input)[c]``, of which ``"mean"`` divides by the number of targets.
    Without a batch logits are ``(C,)``. ``label_smoothing`` moves that share of each target to the mean over all
    classes (Szegedy et al. 2016, section 7). Errors are those of `nll_loss`, and InvalidValueError for smoothing
    outside of [0, 1].

    >>> round(cross_entropy(at.zeros(1, 4), at.tensor([2])).item(), 4)
    1.3863
    >>> round(cross_entropy(at.zeros(1, 2), at.tensor([[0.25, 0.75]])).item(), 4)
    0.6931
    """
    reduction = old_reduction("cross_entropy", size_average, reduce, reduction)
    log_probabilities = at.log_softmax(input, _class_dim(input))
    if not target.is_floating_point():
        return _several.nll_loss(log_probabilities, target, weight, reduction, ignore_index, label_smoothing)[0]
    return _soft_cross_entropy(log_probabilities, target, weight, reduction, label_smoothing)


def _soft_cross_entropy(
    log_probabilities: Tensor, target: Tensor, weight: Tensor | None, reduction: str, label_smoothing: float
) -> Tensor:
    if target.shape != log_probabilities.shape:
        raise at.ShapeError(
            f"cross_entropy: expected probabilities of the input's shape {tuple(log_probabilities.shape)}, "
            f"got {tuple(target.shape)}"
        )
    if not 0 <= label_smoothing <= 1:
        raise at.InvalidValueError(f"cross_entropy: expected label_smoothing in [0, 1], got {label_smoothing}")
    loss = soft_losses(log_probabilities, soft_target(target, weight, label_smoothing))
    return _reduce("cross_entropy", loss, reduction)


def soft_target(target: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Probabilities as the loss counts them: smoothed, and times the weights of the classes."""
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / target.shape[_class_dim(target)]
    return target if weight is None else target * weight.reshape(-1, *[1] * max(target.ndim - 2, 0))


def soft_losses(log_probabilities: Tensor, target: Tensor) -> Tensor:
    """The cross-entropy of each sample with a `soft_target`."""
    return -(log_probabilities * target).sum(_class_dim(target))


def _class_dim(t: Tensor) -> int:
    return 1 if t.ndim > 1 else 0


@explained
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``(input - target)^2``; the two broadcast, and their dtypes promote to a floating one.

    weight, of a shape that broadcasts with them: the mean is ``sum(weight loss) / sum(weight)``.

    >>> x, y = at.tensor([1.0, 2.0]), at.tensor([1.0, 5.0])
    >>> mse_loss(x, y).item(), mse_loss(x, y, reduction="none").tolist()
    (4.5, [0.0, 9.0])
    """
    reduction = old_reduction("mse_loss", size_average, reduce, reduction)
    if weight is not None:
        return _weighted("mse_loss", (input - target) ** 2, weight, reduction)
    if input.dtype != target.dtype:
        input, target = promoted(input, target)
    if input.shape != target.shape:
        input, target = broadcast(input, target)
    return _one.mse_loss(input, target, reduction)


def _weighted(op: str, loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return (loss * weight).sum() / at.broadcast_to(weight, loss.shape).sum()
    return _reduce(op, loss * weight, reduction)


@explained
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``|input - target|``, with a slope of 0 where the two are equal; they broadcast, and their dtypes promote.

    weight: as of `mse_loss`.

    >>> l1_loss(at.tensor([1.0, 2.0]), at.tensor([1.0, 5.0])).item()
    1.5
    """
    reduction = old_reduction("l1_loss", size_average, reduce, reduction)
    if weight is None:
        return _paired("l1_loss", "l1", input, target, None, reduction)
    return _weighted("l1_loss", paired("l1", input, target, "none"), weight, reduction)


@explained
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``d^2 / (2 beta)`` where ``d = |input - target| < beta``, else ``d - beta / 2`` (Girshick 2015, eq. 3).

    The two broadcast, and their dtypes promote. With beta 0 it is `l1_loss`; InvalidValueError for a negative one.

    >>> smooth_l1_loss(at.tensor([0.5, 3.0]), at.zeros(2), reduction="none").tolist()
    [0.125, 2.5]
    """
    reduction = old_reduction("smooth_l1_loss", size_average, reduce, reduction)
    if not beta >= 0:
        raise at.InvalidValueError(f"smooth_l1_loss: expected beta >= 0, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return _paired("smooth_l1_loss", "smooth_l1", input, target, None, reduction, beta)


@explained
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """``d^2 / 2`` where ``d = |input - target| < delta``, else ``delta (d - delta / 2)`` (Huber 1964).

    It is ``delta`` times `smooth_l1_loss`. The two broadcast, and their dtypes promote; weight multiplies each loss.
    InvalidValueError unless delta is positive.

    >>> huber_loss(at.tensor([0.5, 3.0]), at.zeros(2), delta=2.0, reduction="none").tolist()
    [0.125, 4.0]
    """
    if not delta > 0:
        raise at.InvalidValueError(f"huber_loss: expected delta > 0, got {delta}")
    return _paired("huber_loss", "huber", input, target, weight, reduction, delta)


@explained
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(y log p + (1 - y) log(1 - p))`` for probabilities p and targets y of one shape.

    Logarithms count as at least -100. weight: broadcasts to their shape. The gradient is
    ``(p - y) / max(p (1 - p), 1e-12)``, as PyTorch's, so that it is finite where p is 0 or 1. A p outside of [0, 1]
    gives NaN: values are not looked at. ShapeError unless the shapes are the same.

    >>> binary_cross_entropy(at.tensor([0.0]), at.tensor([1.0])).item()
    100.0
    >>> round(binary_cross_entropy(at.tensor([0.5]), at.tensor([1.0])).item(), 4)
    0.6931
    """
    reduction = old_reduction("binary_cross_entropy", size_average, reduce, reduction)
    _same_shape("binary_cross_entropy", input, target)
    least = max(1e-12, at.finfo(input.dtype).tiny)
    return _paired("binary_cross_entropy", "bce", input, target, weight, reduction, least)


@explained
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """The `binary_cross_entropy` of ``sigmoid(input)``, as ``(1 - y) x + log(1 + exp(-x))``, which does not overflow.

    weight broadcasts to the loss's shape, ``pos_weight`` with the targets: the part of the positives counts so often.
    ShapeError unless input and target are of one shape.

    >>> binary_cross_entropy_with_logits(at.tensor([1000.0, -1000.0]), at.tensor([1.0, 1.0]), reduction="none").tolist()
    [0.0, 1000.0]
    """
    reduction = old_reduction("binary_cross_entropy_with_logits", size_average, reduce, reduction)
    _same_shape("binary_cross_entropy_with_logits", input, target)
    if pos_weight is None:
        return _paired("binary_cross_entropy_with_logits", "bce_with_logits", input, target, weight, reduction)
    loss = (1 - target) * input + (1 + (pos_weight - 1) * target) * _softplus(-input)
    if weight is not None:
        loss = _weighing("binary_cross_entropy_with_logits", loss, weight)
    return _reduce("binary_cross_entropy_with_logits", loss, reduction)


def _same_shape(op: str, input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise at.ShapeError(
            f"{op}: expected input and target of one shape, got {tuple(input.shape)} and {tuple(target.shape)}"
        )


@explained
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """``target (log target - input)`` for log-probabilities ``input`` (Kullback & Leibler 1951).

    target: probabilities, or with ``log_target`` their logarithms; where a probability is 0 the loss is 0, of a finite
    input, but its logarithm -inf gives NaN. The two broadcast, and their dtypes promote. ``"mean"`` divides by the
    number of elements, ``"batchmean"`` by N, as the divergence has it.

    >>> log_q, p = at.log(at.tensor([[0.5, 0.5]])), at.tensor([[1.0, 0.0]])
    >>> round(kl_div(log_q, p, reduction="batchmean").item(), 4), round(kl_div(log_q, p).item(), 4)
    (0.6931, 0.3466)
    """
    reduction = old_reduction("kl_div", size_average, reduce, reduction)
    kind = "kl_div_of_logs" if log_target else "kl_div"
    if reduction == "batchmean":
        return paired(kind, input, target, "sum") / input.shape[0]
    return _paired("kl_div", kind, input, target, None, reduction)


@explained
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``1 - cos`` where target is 1, ``max(0, cos - margin)`` where it is -1; cos is of the last dimension.

    Inputs ``(N, D)`` and target ``(N,)``, or ``(D,)`` and ``()``. Other targets have a loss of 0. Half precision is
    computed in float32. ShapeError for other numbers of dimensions.

    >>> x, y = at.tensor([[1.0, 0.0], [1.0, 0.0]]), at.tensor([[0.0, 1.0], [2.0, 0.0]])
    >>> [round(loss, 4) for loss in cosine_embedding_loss(x, y, at.tensor([1, -1]), reduction="none").tolist()]
    [1.0, 1.0]
    """
    reduction = old_reduction("cosine_embedding_loss", size_average, reduce, reduction)
    if target.ndim > 1 or not input1.ndim == input2.ndim == target.ndim + 1:
        shapes = ", ".join(str(tuple(each.shape)) for each in (input1, input2, target))
        raise at.ShapeError(
            f"cosine_embedding_loss: expected inputs (N, D) and target (N,), or (D,) and (), got {shapes}"
        )
    # Squared lengths count with 1e-12 more, as in PyTorch: the slope at a vector of zeros is bounded by it.
    input1, input2 = cast("float32", input1, input2)
    first, second = wide(input1), wide(input2)
    squares = [(x * x).sum(-1) + 1e-12 for x in (first, second)]
    cos = (first * second).sum(-1) / at.sqrt(squares[0] * squares[1])
    loss = at.where(target == 1, 1 - cos, at.where(target == -1, _positive(cos - margin), 0.0))
    return narrow(_reduce("cosine_embedding_loss", loss, reduction), input1, input2)


@explained
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, -target (input1 - input2) + margin)``: for target 1 the first is to be larger, for -1 the second.

    The three broadcast, and have one number of dimensions, else ShapeError. At the kink the slope is -target, as in
    PyTorch.

    >>> margin_ranking_loss(at.tensor([1.0, 2.0]), at.tensor([3.0, 1.0]), at.tensor([1, 1]), reduction="none").tolist()
    [2.0, 0.0]
    """
    reduction = old_reduction("margin_ranking_loss", size_average, reduce, reduction)
    _expect_one_rank("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return _reduce("margin_ranking_loss", _positive(margin - target * (input1 - input2)), reduction)


@explained
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``max(0, d(anchor, positive) - d(anchor, negative) + margin)`` with p-norm distances (Balntas et al. 2016).

    Inputs ``(N, D)`` or ``(D,)``; d is `pairwise_distance` with p and eps. With ``swap`` the negative's distance is the
    smaller one of those to the anchor and to the positive. ShapeError unless the three have one number of dimensions,
    InvalidValueError for a margin that is not positive.

    >>> anchor, near, far = at.tensor([[0.0, 0.0]]), at.tensor([[3.0, 4.0]]), at.tensor([[0.0, 2.0]])
    >>> round(triplet_margin_loss(anchor, near, far).item(), 4)
    4.0
    """
    reduction = old_reduction("triplet_margin_loss", size_average, reduce, reduction)
    from ._layer import pairwise_distance

    if not margin > 0:
        raise at.InvalidValueError(f"triplet_margin_loss: expected margin > 0, got {margin}")
    _expect_one_rank("triplet_margin_loss", anchor=anchor, positive=positive, negative=negative)
    anchor, positive, negative = cast("float32", anchor, positive, negative)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = at.minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce(
        "triplet_margin_loss", _positive(pairwise_distance(anchor, positive, p, eps) - far + margin), reduction
    )


@explained
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Tensor:
    """``log(1 + exp(-target input))`` for targets of 1 and -1, without overflow.

    target broadcasts to input's shape, else ShapeError.

    >>> soft_margin_loss(at.tensor([-1000.0, 1000.0]), at.tensor([1.0, 1.0]), reduction="none").tolist()
    [1000.0, 0.0]
    """
    reduction = old_reduction("soft_margin_loss", size_average, reduce, reduction)
    loss = _softplus(-target * input)
    if loss.shape != input.shape:
        raise at.ShapeError(
            f"soft_margin_loss: expected target to broadcast to input's shape {tuple(input.shape)}, "
            f"got {tuple(target.shape)}"
        )
    return _reduce("soft_margin_loss", loss, reduction)


@explained
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log-likelihood of counts under Poisson distributions, without the term of the target alone.

    ``exp(x) - target x`` for the logarithm x of the rate, or with ``log_input=False`` ``x - target log(x + eps)`` for
    the rate itself. ``full`` adds Stirling's approximation ``y log y - y + log(2 pi y) / 2`` where the target y is
    above 1.

    >>> poisson_nll_loss(at.tensor([0.0]), at.tensor([2.0])).item()
    1.0
    >>> round(poisson_nll_loss(at.tensor([0.0]), at.tensor([2.0]), full=True).item(), 4)
    1.6518
    """
    reduction = old_reduction("poisson_nll_loss", size_average, reduce, reduction)
    loss = at.exp(input) - target * input if log_input else input - target * at.log(input + eps)
    if full:
        stirling = target * at.log(target) - target + 0.5 * at.log(6.283185307179586 * target)
        loss = loss + at.where(target > 1, stirling, 0.0)
    return _reduce("poisson_nll_loss", loss, reduction)


@explained
def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """``(log var + (input - target)^2 / var) / 2`` with var at least ``eps`` (Nix & Weigend 1994).

    ``full`` adds ``log(2 pi) / 2``. var: of input's shape, or without its last dimension, for one variance of each
    vector; else the three broadcast. Where var is below ``eps`` it has the slope of ``eps``, so that it can grow again.

    >>> round(gaussian_nll_loss(at.tensor([1.0]), at.tensor([3.0]), at.tensor([4.0])).item(), 4)
    1.1931
    """
    if var.shape != input.shape and var.shape == input.shape[:-1]:
        var = var.unsqueeze(-1)
    var = var + constant(at.clamp(var, min=eps) - var)  # with the slope of var, so that it can grow out of the bound
    loss = 0.5 * (at.log(var) + (input - target) ** 2 / var)
    return _reduce("gaussian_nll_loss", loss + 0.9189385332046727 if full else loss, reduction)
