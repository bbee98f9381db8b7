"""Sums, means and maxima of rows of a table."""

from __future__ import annotations

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from ._layer import embedding, shorten


@explained
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The ``"sum"``, ``"mean"`` or ``"max"`` of bags of rows of ``weight``, ``(rows, dim)``: ``(bags, dim)``.

    input: integers ``(bags, n)``, or ``(L,)`` with ``offsets`` ``(bags,)``, where each bag begins, the first at 0;
    with ``include_last_offset`` the last of them is L. Rows ``padding_idx`` do not count; an empty bag is zeros.
    per_sample_weights: of the input's shape, for ``"sum"``. Rows that share a maximum share its gradient, which PyTorch
    gives to the first.

    ShapeError, ArgumentError and InvalidValueError say what does not fit. As by `embedding`, ``weight`` is changed for
    ``max_norm``, and ``sparse`` is refused with NotImplementedOpError.

    >>> table = at.tensor([[1.0, 2], [3, 4], [5, 6]])
    >>> embedding_bag(at.tensor([0, 2, 1]), table, at.tensor([0, 2]), mode="sum").tolist()
    [[6.0, 8.0], [3.0, 4.0]]
    """
    if mode not in ("sum", "mean", "max"):
        raise at.InvalidValueError(f"embedding_bag: expected mode 'sum', 'mean' or 'max', got {mode!r}")
    if per_sample_weights is not None and (mode != "sum" or per_sample_weights.shape != input.shape):
        raise at.InvalidValueError(
            f"embedding_bag: expected per_sample_weights of input's shape {tuple(input.shape)} and with mode 'sum', "
            f"got {tuple(per_sample_weights.shape)} and {mode!r}"
        )
    if input.ndim == 2 and offsets is not None:
        raise at.ArgumentError("embedding_bag: expected offsets=None for input of two dimensions, got a tensor")
    if max_norm is not None:
        shorten(weight, input, max_norm, norm_type)
    if (
        mode != "max"
        and weight.device.type == "cpu"
        and not sparse
        and (per_sample_weights is None or per_sample_weights.dtype == weight.dtype)
    ):
        settings = (mode == "mean", padding_idx, include_last_offset, scale_grad_by_freq)
        return _one.embedding_bag(input, weight, offsets, per_sample_weights, *settings)
    if input.ndim == 2:
        (bags, n), bag, sizes = input.shape, None, None
    else:
        (bags, bag, sizes), n = _bags(input, offsets, include_last_offset), 0

    def total(values: Tensor) -> Tensor:
        """Of each bag."""
        if bag is None:
            return values.reshape(bags, n, *values.shape[1:]).sum(1)
        if values.ndim == 2:  # the same sums as those of an embedding's gradient
            return _one.embedding_backward(values, bag, bags)
        return at.index_add(at.zeros(bags, dtype=values.dtype, device=values.device), 0, bag, values)

    def most(values: Tensor) -> Tensor:
        if bag is None:
            return values.reshape(bags, n, values.shape[1]).amax(1)
        least = at.full((bags, values.shape[1]), float("-inf"), dtype=values.dtype, device=values.device)
        return at.scatter_reduce(least, 0, bag.unsqueeze(1).expand(values.shape), values, "amax")

    flat = input.reshape(-1)
    rows = embedding(flat, weight, padding_idx, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
    counted = None if padding_idx is None else flat != padding_idx % weight.shape[0]
    counts: Tensor | int = n if sizes is None else sizes
    if counted is not None and mode != "sum":
        counts = total(counted.to(at.int64))
    if mode == "max":
        if bag is None and n == 0:
            return total(rows)
        if isinstance(counts, int):
            return most(rows)
        rows = most(rows if counted is None else at.where(counted.unsqueeze(1), rows, float("-inf")))
        return at.where((counts > 0).unsqueeze(1), rows, 0.0)
    shares = None if per_sample_weights is None else per_sample_weights.reshape(-1, 1)
    if counted is not None:  # left out, whatever is there
        rows = at.where(counted.unsqueeze(1), rows, 0.0)
        shares = None if shares is None else at.where(counted.unsqueeze(1), shares, 0.0)
    rows = rows if shares is None else rows * shares
    sums = total(rows if rows.dtype == at.float64 else rows.to(at.float32))
    if mode == "mean":
        if isinstance(counts, Tensor):
            sums = sums / at.clamp(counts, min=1).to(sums.dtype).unsqueeze(1)
        else:
            sums = sums / max(counts, 1)
    return sums.to(rows.dtype)


def _bags(input: Tensor, offsets: Tensor | None, include_last_offset: bool) -> tuple[int, Tensor, Tensor]:
    """How many bags there are, which one each element is in, and how many each has."""
    if input.ndim != 1 or offsets is None or offsets.ndim != 1:
        raise at.ShapeError(
            f"embedding_bag: expected input (bags, n), or (L,) with offsets (bags,), got {tuple(input.shape)} and "
            f"{None if offsets is None else tuple(offsets.shape)}"
        )
    bags = offsets.shape[0] - 1 if include_last_offset else offsets.shape[0]
    if bags < 0 or (bags == 0 and input.shape[0] > 0):
        raise at.ShapeError(f"embedding_bag: expected offsets of a bag or more, got {tuple(offsets.shape)}")
    if offsets.device.type == "cpu" and bags > 0:
        first, last, size = int(offsets[0].item()), int(offsets[-1].item()), input.shape[0]
        if first != 0 or last > size or (include_last_offset and last != size):
            most = size if include_last_offset else f"at most {size}"
            raise at.InvalidValueError(f"embedding_bag: expected offsets from 0 to {most}, got {first} to {last}")
        if (offsets[1:] < offsets[:-1]).any():
            raise at.InvalidValueError(f"embedding_bag: expected ascending offsets, got {offsets.tolist()}")
    ends = offsets if include_last_offset else at.cat((offsets, offsets.new_full((1,), input.shape[0])))
    sizes = at.diff(ends)
    if offsets.device.type == "cpu":
        return bags, at.repeat_interleave(sizes), sizes
    places = at.arange(input.shape[0], device=input.device).to(offsets.dtype)  # as a CUDA graph can have it
    return bags, at.searchsorted(offsets.narrow(0, 0, bags), places, right=True).to(at.int64) - 1, sizes
