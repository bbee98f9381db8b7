"""The cross-entropy of a linear map, whose results for all rows are never there at once."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._ops import several as _several
from .._parameter import recording
from .._precision import as_given, cast, wide, wide_dtype
from ._layer import linear
from ._loss import cross_entropy, known_reduction, soft_losses, soft_target

if TYPE_CHECKING:
    from ._linear_cross_entropy_options import LinearCrossEntropyOptions

# So many logits at once, and so many rows, cost less than what more and smaller products would.
_LEAST, _LEAST_ROWS = 1 << 22, 128


class _Case(NamedTuple):
    """What holds for every chunk."""

    shape: tuple[int, ...]  # of one row's logits: (C, d1, ..., dK)
    reduction: str
    ignore_index: int
    label_smoothing: float
    rows: int
    sums: at.dtype
    products: at.dtype
    keep: bool

    @property
    def each_or_sum(self) -> str:
        """The reduction of a chunk, whose part in a mean the others have to be known for."""
        return "none" if self.reduction == "none" else "sum"

    def parts(self, rows: int) -> list[slice]:
        """The chunks."""
        return [slice(i, min(i + self.rows, rows)) for i in range(0, rows, self.rows)]


class _Operands(NamedTuple):
    """input (N, features), linear_weight (C d1 ... dK, features) and linear_bias; target and the classes' weight."""

    input: Tensor
    linear_weight: Tensor
    linear_bias: Tensor | None
    target: Tensor
    weight: Tensor | None

    def part(self, rows: slice) -> _Operands:
        return self._replace(input=self.input[rows], target=self.target[rows])


@explained
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target, ...)``, made in chunks of rows.

    input: ``(N, features)`` or ``(features,)``. linear_weight: ``(C, features)``, or ``(C, d1, ..., dK, features)`` for
    K-dimensional losses of a batch. linear_bias: ``(C, d1, ..., dK)``. target: classes ``(N, d1, ..., dK)``, of
    integers, or probabilities ``(N, C, d1, ..., dK)``, of floats. weight: ``(C,)``. ignore_index: of classes alone;
    None is -100. Returns a number, or for ``reduction="none"`` ``(N, d1, ..., dK)``, in the input's dtype, or the wider
    one of input and probabilities.

    Memory holds the logits of a chunk of the rows at a time: those of 128 rows, 2^22 or about as many as input has
    numbers, whatever is most; ``options`` choose other chunks. Half precision has its softmax and its sums in float32.
    The gradients of ``"mean"`` and ``"sum"`` are made with the loss, while its chunk is at hand; those of ``"none"``
    make the logits a second time. A gradient that is to be differentiated in its turn is made in one piece, and so is
    all under `vmap` and where target or weight require grad.

    ShapeError, DTypeError and InvalidValueError for what does not fit.

    >>> hidden, vocabulary = at.zeros(6, 8), at.ones(1000, 8)
    >>> round(linear_cross_entropy(hidden, vocabulary, at.arange(6)).item(), 4)
    6.9078
    """
    known_reduction("linear_cross_entropy", reduction)
    shape = _logits_shape(input, linear_weight, linear_bias)
    soft = target.is_floating_point()
    if soft and ignore_index is not None:
        raise at.InvalidValueError(
            f"linear_cross_entropy: expected ignore_index=None beside a target of probabilities, got {ignore_index}"
        )
    ignored = -100 if ignore_index is None else ignore_index
    flat_weight = linear_weight.reshape(math.prod(shape), input.shape[-1])
    flat_bias = None if linear_bias is None else linear_bias.reshape(-1)
    input, flat_weight, flat_bias = cast("lower", input, flat_weight, flat_bias)
    given = _Operands(input, flat_weight, flat_bias, target, weight)
    case = _case(given, shape, reduction, ignored, label_smoothing, options)
    if case is not None:
        # What autocast makes of it, float32, is left so.
        (like,) = cast("float32", input.flatten()[:1])
        return _in_chunks(case, given).to(at.result_type(like, target) if soft else like.dtype)
    logits = linear(input, flat_weight, flat_bias)
    return cross_entropy(
        logits.reshape(*input.shape[:-1], *shape),
        target,
        weight,
        ignore_index=ignored,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _opaque(*tensors: Tensor | None) -> bool:
    """Whether one is what a running vmap or jvp has for many numbers."""
    return any(t is not None and t._is_opaque() for t in tensors)


def _logits_shape(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> tuple[int, ...]:
    op = "linear_cross_entropy"
    if input.ndim not in (1, 2):
        raise at.ShapeError(f"{op}: expected input (N, features) or (features,), got {tuple(input.shape)}")
    if linear_weight.ndim < 2 or linear_weight.shape[-1] != input.shape[-1]:
        raise at.ShapeError(
            f"{op}: expected linear_weight (C, ..., {input.shape[-1]}), whose last dimension is input's, got "
            f"{tuple(linear_weight.shape)}"
        )
    shape = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != shape:
        raise at.ShapeError(f"{op}: expected linear_bias {shape}, got {tuple(linear_bias.shape)}")
    if len(shape) > 1 and input.ndim == 1:
        raise at.ShapeError(
            f"{op}: expected a batch of input (N, features) for linear_weight {tuple(linear_weight.shape)}, got "
            f"{tuple(input.shape)}"
        )
    return shape


def _case(
    given: _Operands,
    shape: tuple[int, ...],
    reduction: str,
    ignore_index: int,
    label_smoothing: float,
    options: LinearCrossEntropyOptions | None,
) -> _Case | None:
    """How to go through the rows; None for the definition, whose logits are whole."""
    input = given.input
    if input.ndim == 1 or not input.shape[0]:
        return None
    sums = wide_dtype(input.dtype)
    # The definition says what is wrong with these.
    if not input.is_floating_point() or any(t is not None and t.dtype != input.dtype for t in given[1:3]):
        return None
    if given.weight is not None and given.weight.dtype not in (input.dtype, sums):
        return None
    # Transforms and the gradient of probabilities see the steps themselves.
    if _opaque(*given) or recording(given.target, given.weight):
        return None
    rows, features, width = *input.shape, math.prod(shape)
    if options is None:
        step = max(rows_by_aspect(rows, features, width, 2), _LEAST // max(width, 1), _LEAST_ROWS)
        if step >= rows:
            return None
        how = (step, sums, input.dtype, False)
    else:
        from ._linear_cross_entropy_options import LinearCrossEntropyOptions  # who has options has loaded it

        if not isinstance(options, LinearCrossEntropyOptions):
            raise at.ArgumentError(
                f"linear_cross_entropy: expected options of LinearCrossEntropyOptions, got {type(options).__name__}"
            )
        step = options.rows(rows, features, width, input.dtype, input.device)
        how = (step, *options.dtypes(input.dtype), options.allow_retain_graph)
    _check_target(given, shape, label_smoothing)
    return _Case(shape, reduction, ignore_index, label_smoothing, *how)


def rows_by_aspect(rows: int, features: int, classes: int, parts: int) -> int:
    """A power of 2, so that a chunk's logits take about a part of the input's memory; no more than there are."""
    if not rows or not features:
        return max(rows, 1)
    share = -(-rows // max(-(-classes // features), 1))
    power: int = 1 << (share - 1).bit_length()
    return max(min(power // parts, rows), 1)


def _check_target(given: _Operands, shape: tuple[int, ...], label_smoothing: float) -> None:
    op, target, weight = "linear_cross_entropy", given.target, given.weight
    rows, classes = given.input.shape[0], shape[0]
    expected = (rows, *shape) if target.is_floating_point() else (rows, *shape[1:])
    if tuple(target.shape) != expected:
        what = "probabilities" if target.is_floating_point() else "classes"
        raise at.ShapeError(f"{op}: expected target of {what} {expected}, got {tuple(target.shape)}")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise at.ShapeError(f"{op}: expected weight ({classes},), got {tuple(weight.shape)}")
    if not 0 <= label_smoothing <= 1:
        raise at.InvalidValueError(f"{op}: expected label_smoothing in [0, 1], got {label_smoothing}")


def _in_chunks(case: _Case, given: _Operands) -> Tensor:
    if recording(*given[:3]):
        recorded: Tensor = _recorded().apply(case, *given)
        return recorded
    return _walk(case, given, [False] * 3)[0]


@functools.cache
def _recorded() -> Any:
    """The step with a gradient, for where one is asked for."""

    class LinearCrossEntropy(at.autograd.Function):
        @staticmethod
        def forward(ctx: Any, case: _Case, *tensors: Any) -> Tensor:
            ctx.case = case
            ctx.save_for_backward(*tensors)
            now = case.reduction != "none"
            needs = [now and need for need in ctx.needs_input_grad[1:4]]
            loss, ctx.share, ctx.slopes = _walk(case, _Operands(*tensors), needs)
            return loss

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            case, given = ctx.case, _Operands(*ctx.saved_tensors)
            slopes, own = ctx.slopes, not case.keep
            # To be differentiated in its turn, or under a transform: in one piece, and not in place.
            again = at.is_grad_enabled() or _opaque(g, *given)
            if again or all(slope is None for slope in slopes):
                needs, g_rows = list(ctx.needs_input_grad[1:4]), g if case.reduction == "none" else None
                whole = case._replace(rows=given.input.shape[0]) if again else case
                slopes, own = _walk(whole, given, needs, g_rows)[2], not again
            elif own:
                ctx.slopes = [None] * 3
            if case.reduction != "none":
                scale = wide(g) * ctx.share
                slopes = [s if s is None else s.mul_(scale) if own else s * scale for s in slopes]
            return (None, *(None if slope is None else slope.to(given.input.dtype) for slope in slopes), None, None)

    return LinearCrossEntropy


@as_given
def _walk(
    case: _Case, given: _Operands, needs: list[bool], g: Tensor | None = None
) -> tuple[Tensor, Tensor | float, list[Tensor | None]]:
    """The loss; what each row's own counts in it; and the gradients that are needed, of the rows' sum.

    g: for ``"none"`` the gradient by each row's loss, which those gradients are multiplied by.
    """
    bias = None if given.linear_bias is None else given.linear_bias.to(case.products)
    given = given._replace(linear_weight=given.linear_weight.to(case.products), linear_bias=bias)
    if _opaque(g, *given):
        case = case._replace(rows=given.input.shape[0])
    sums, losses, totals = _Sums(case, given.linear_weight, needs), [], []
    one = at.ones((), dtype=wide_dtype(given.input.dtype), device=given.input.device)

    def walk(rows: slice) -> None:  # a function, whose tensors are gone before the next chunk's are made
        part = given.part(rows)
        logits = linear(part.input.to(case.products), part.linear_weight, part.linear_bias)
        log_probabilities = at.log_softmax(wide(logits).reshape(-1, *case.shape), 1)
        del logits
        loss, total = _part_loss(case, part, log_probabilities)
        losses.append(loss)
        totals.append(total)
        if any(needs):
            sums.add(part.input, _slope(case, part, log_probabilities, one if g is None else wide(g[rows])))

    for rows in case.parts(given.input.shape[0]):
        walk(rows)
    if case.reduction == "none":
        return at.cat(losses), 1.0, sums.result()
    loss = at.stack(losses).sum()
    if case.reduction == "sum":
        return loss, 1.0, sums.result()
    total = at.stack(totals).sum()
    return loss / total, at.where(total == 0, 0, 1 / total), sums.result()


class _Sums:
    """The gradients of input, linear_weight and linear_bias, as far as chunks have come."""

    def __init__(self, case: _Case, weight: Tensor, needs: list[bool]) -> None:
        self._case, self._weight, self._needs = case, weight, needs
        self._of_input: list[Tensor] = []
        self._of_weight: Tensor | None = None
        self._of_bias: Tensor | None = None

    def add(self, input: Tensor, slope: Tensor) -> None:
        """What a chunk adds: ``slope`` is the gradient by its logits."""
        case, total = self._case, self._of_weight
        narrow, input = slope.to(case.products), input.to(case.products)
        if self._needs[0]:
            self._of_input.append(at.matmul(narrow, self._weight))
        if self._needs[1]:
            if total is None:
                self._of_weight = at.matmul(narrow.t(), input).to(case.sums)
            elif case.sums == case.products:
                total.addmm_(narrow.t(), input)
            else:
                total.add_(at.matmul(narrow.t(), input))
        if self._needs[2]:
            part = slope.sum(0)
            self._of_bias = part if self._of_bias is None else self._of_bias.add_(part)

    def result(self) -> list[Tensor | None]:
        """The three, those that are not needed as None."""
        return [at.cat(self._of_input) if self._of_input else None, self._of_weight, self._of_bias]


def _part_loss(case: _Case, part: _Operands, log_probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The losses of a chunk's rows, or their sum, and how many they are or what they weigh."""
    if not part.target.is_floating_point():
        weight = None if part.weight is None else part.weight.to(log_probabilities.dtype)
        settings = (case.each_or_sum, case.ignore_index, case.label_smoothing)
        loss, total = _several.nll_loss(log_probabilities, part.target, weight, *settings)
        return loss, total
    losses = soft_losses(log_probabilities, _soft(case, part, log_probabilities))
    total = at.full((), float(losses.numel()), dtype=losses.dtype, device=losses.device)
    return losses if case.reduction == "none" else losses.sum(), total


def _slope(case: _Case, part: _Operands, log_probabilities: Tensor, g: Tensor) -> Tensor:
    """The gradient of the rows' losses, times ``g``, by their logits: ``(rows, C d1 ... dK)``."""
    if part.target.is_floating_point():
        each = g.unsqueeze(1) if case.reduction == "none" else g
        direct = -(_soft(case, part, log_probabilities) * each)
    else:
        weight = None if part.weight is None else part.weight.to(log_probabilities.dtype)
        unused = at.ones((), dtype=log_probabilities.dtype, device=g.device)  # the total of a mean
        settings = (tuple(log_probabilities.shape), case.each_or_sum, case.ignore_index, case.label_smoothing)
        direct = _one.nll_loss_backward(g, part.target, weight, unused, *settings)
    by_logits: Tensor = at.ops.core.log_softmax_backward(direct, log_probabilities, 1)
    return by_logits.flatten(1)


def _soft(case: _Case, part: _Operands, log_probabilities: Tensor) -> Tensor:
    weight = None if part.weight is None else part.weight.to(log_probabilities.dtype)
    return soft_target(part.target.to(log_probabilities.dtype), weight, case.label_smoothing)
