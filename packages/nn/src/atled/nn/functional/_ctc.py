"""Connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from ._loss import _reduce

# The logarithm of what cannot happen: finite, so that differences of two are, too.
_NEVER = -1e30
_Lengths = Tensor | Sequence[int]


@explained
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: _Lengths,
    target_lengths: _Lengths,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """``-log`` of the probability of the labels, summed over all alignments (Graves et al. 2006, section 4.1).

    log_probs: floats ``(T, N, C)`` or ``(T, C)``, as of `log_softmax`; targets: whole numbers ``(N, S)`` or ``(S,)``,
    or those of all samples one after another ``(sum(target_lengths),)``, none of them ``blank``; lengths: integers
    ``(N,)`` or ``()``. ``"mean"`` divides each loss by its target's length before the mean over the samples. Where no
    alignment is possible the loss is inf, or 0 with ``zero_infinity``, and its gradient 0.

    The gradient is that of the formula; PyTorch's adds ``exp(log_probs)``, which makes no difference behind a softmax.

    ShapeError, DTypeError and InvalidValueError say what does not fit.

    >>> log_probs = at.log(at.tensor([[0.5, 0.5], [0.5, 0.5]]))
    >>> round(ctc_loss(log_probs, at.tensor([1]), [2], [1]).item(), 4)  # of 4 paths, 3 read "1"
    0.2877
    """
    if log_probs.ndim not in (2, 3):
        raise at.ShapeError(f"ctc_loss: expected log_probs (T, N, C) or (T, C), got {tuple(log_probs.shape)}")
    if not log_probs.is_floating_point() or targets.is_complex() or targets.dtype == at.bool:
        raise at.DTypeError(
            f"ctc_loss: expected log_probs of floats and targets of integers, "
            f"got {log_probs.dtype.name} and {targets.dtype.name}"
        )
    batched = log_probs.ndim == 3
    wide = log_probs if log_probs.dtype == at.float64 else log_probs.to(at.float32)
    wide = wide if batched else wide.unsqueeze(1)
    steps, n, classes = wide.shape
    times, counts = _lengths("input_lengths", input_lengths, n, steps), _lengths("target_lengths", target_lengths, n)
    if not 0 <= blank < classes:
        raise at.InvalidValueError(f"ctc_loss: expected blank in [0, {classes}), got {blank}")
    labels = _rows(targets, counts, n, batched).to(at.int64).to(log_probs.device)
    ends = at.tensor(counts, device=labels.device, dtype=at.int64).unsqueeze(1)
    labels = at.where(at.arange(labels.shape[1], device=labels.device) < ends, labels, blank)
    if labels.device.type == "cpu" and labels.numel() and not labels._is_opaque():
        least, most = (int(bound) for bound in labels.aminmax())
        if least < 0 or most >= classes:
            found = least if least < 0 else most
            raise at.InvalidValueError(f"ctc_loss: expected targets from 0 to {classes - 1}, got {found}")
    labels = at.where(labels < 0, classes, labels)  # for a GPU to refuse: they would count from the end
    losses = _losses(wide, labels, times, counts, blank)
    impossible = losses > -_NEVER / 2
    losses = at.where(impossible, 0.0 if zero_infinity else float("inf"), losses)
    if reduction == "mean":
        losses = losses / at.tensor([max(count, 1) for count in counts], dtype=losses.dtype, device=losses.device)
    return _reduce("ctc_loss", losses if batched else losses.squeeze(0), reduction).to(log_probs.dtype)


def _lengths(name: str, given: _Lengths, n: int, most: int | None = None) -> list[int]:
    found = given.reshape(-1).tolist() if isinstance(given, Tensor) else list(given)
    if len(found) != n:
        raise at.ShapeError(f"ctc_loss: expected {name} of {n} ints, got {len(found)}")
    if min(found, default=0) < 0 or (most is not None and max(found, default=0) > most):
        bound = "at least 0" if most is None else f"0 to {most}"
        raise at.InvalidValueError(f"ctc_loss: expected {name} of {bound}, got {found}")
    return [int(length) for length in found]


def _rows(targets: Tensor, counts: Sequence[int], n: int, batched: bool) -> Tensor:
    """The labels of each sample as a row, the longest of which fills it."""
    longest = max(counts, default=0)
    if targets.ndim == 2:
        if targets.shape[0] != n or targets.shape[1] < longest:
            raise at.ShapeError(f"ctc_loss: expected targets of at least ({n}, {longest}), got {tuple(targets.shape)}")
        return targets.narrow(1, 0, longest)
    if targets.ndim != 1 or (batched and targets.shape[0] != sum(counts)) or targets.shape[0] < sum(counts):
        raise at.ShapeError(
            f"ctc_loss: expected targets (N, S) or ({sum(counts)},), the sum of target_lengths, "
            f"got {tuple(targets.shape)}"
        )
    rows, start = [], 0
    for count in counts:
        rows.append(_one.constant_pad(targets.narrow(0, start, count), [0, longest - count]))
        start += count
    return at.stack(rows) if rows else targets.reshape(0, 0)


def _losses(log_probs: Tensor, labels: Tensor, times: Sequence[int], counts: Sequence[int], blank: int) -> Tensor:
    steps, n, _ = log_probs.shape
    device = log_probs.device
    # A blank before, between and behind the labels. A step may leave out a blank between two different labels.
    blanks = at.full_like(labels, blank)
    states = at.cat(
        [at.stack([blanks, labels], -1).flatten(1), at.full((n, 1), blank, device=device, dtype=at.int64)], 1
    )
    size = states.shape[1]
    odd = at.arange(size, device=device) % 2 == 1
    differs = at.cat([at.full((n, min(size, 2)), blank, device=device, dtype=at.int64), states[:, :-2]], 1) != states
    leaps = at.logical_and(odd, differs)
    leaps = at.logical_and(leaps, at.arange(size, device=device) >= 2)
    emitted = at.unbind(at.gather(log_probs, 2, states.unsqueeze(0).expand(steps, n, size)))
    begins = at.arange(size, device=device) == 0
    # Before the first step all is in the first blank, from which the first label is a step away.
    reached = at.where(begins, 0.0, _NEVER).to(log_probs.dtype).expand(n, size)
    ends = at.tensor(times, device=device, dtype=at.int64).unsqueeze(1)
    for t in range(max(times, default=0)):
        ways = at.logaddexp(reached, _behind(reached, 1))
        ways = at.logaddexp(ways, at.where(leaps, _behind(reached, 2), _NEVER))
        reached = at.where(ends > t, at.clamp(ways + emitted[t], min=_NEVER), reached)
    if max(times, default=0) == 0:
        reached = reached + log_probs[:0].sum()  # a gradient of zeros
    last = at.tensor([2 * count for count in counts], device=device, dtype=at.int64).unsqueeze(1)
    final = at.gather(reached, 1, last)
    before = at.where(last > 0, at.gather(reached, 1, at.clamp(last - 1, min=0)), _NEVER)
    return -at.logaddexp(final, before).squeeze(1)


def _behind(reached: Tensor, by: int) -> Tensor:
    if reached.shape[1] <= by:
        return at.full_like(reached, _NEVER)
    return _one.constant_pad(reached, [by, -by], _NEVER)
