"""Linear maps, embeddings, dropout and padding."""

from __future__ import annotations

from collections.abc import Sequence

import atled.core as at
from atled.core import Tensor
from atled.nn._composed.shared import Kernel, bounds, from_zero, wide, widened


def linear(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if bias is None or input.ndim < 2:
        made = input @ weight.mT
        return made if bias is None else made + bias
    return at.addmm(bias, input.flatten(0, -2), weight.mT).reshape(*input.shape[:-1], weight.shape[0])


def dropout(input: Tensor, p: float, generator: at.Generator | None) -> tuple[Tensor, Tensor]:
    # As many random bits as the CPU's kernel compares, in the same order.
    words = at.randint(0, 2**32, input.shape, generator=generator, dtype=at.int64, device=input.device)
    mask = words >= int(p * 2**32)
    return dropout_backward(input, mask, p), mask


def dropout_backward(grad: Tensor, mask: Tensor, p: float) -> Tensor:
    scale = 1 / (1 - p) if p < 1 else 0.0
    return at.where(mask, widened(grad) * scale, 0).to(grad.dtype)


def _padding_row(padding_idx: int | None, rows: int, op: str) -> int | None:
    if padding_idx is None:
        return None
    if not -rows <= padding_idx < rows:
        raise at.BoundsError(f"{op}: expected padding_idx in [{-rows}, {rows}), got {padding_idx}")
    return padding_idx % rows


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None, scale_grad_by_freq: bool) -> Tensor:
    rows, dim = weight.shape
    _padding_row(padding_idx, rows, "embedding")
    with bounds("embedding", "input", input, rows):
        return weight.index_select(0, from_zero(input.flatten(), rows)).reshape(*input.shape, dim)


def embedding_backward(
    grad: Tensor, input: Tensor, num_embeddings: int, padding_idx: int | None, scale_grad_by_freq: bool
) -> Tensor:
    skip = _padding_row(padding_idx, num_embeddings, "embedding_backward")
    dim, places = grad.shape[-1], from_zero(input.flatten(), num_embeddings)
    g = widened(grad).reshape(places.numel(), dim)
    made = at.zeros((num_embeddings, dim), dtype=wide(grad.dtype), device=grad.device)
    with bounds("embedding_backward", "input", input, num_embeddings):
        if scale_grad_by_freq:
            ones = at.ones(places.shape, dtype=g.dtype, device=g.device)
            counts = at.zeros((num_embeddings,), dtype=g.dtype, device=g.device).index_add_(0, places, ones)
            g = g / counts.index_select(0, places).unsqueeze(1)
        if skip is not None:
            g = at.where((places == skip).unsqueeze(1), 0, g)
        return made.index_add_(0, places, g).to(grad.dtype)


def constant_pad(input: Tensor, pad: Sequence[int], value: float) -> Tensor:
    shape, source, target = list(input.shape), [slice(None)] * input.ndim, [slice(None)] * input.ndim
    for i in range(len(pad) // 2):
        d, (before, after) = input.ndim - 1 - i, pad[2 * i : 2 * i + 2]
        n = shape[d]
        shape[d] = n + before + after
        source[d] = slice(max(-before, 0), max(n - max(-after, 0), 0))
        target[d] = slice(max(before, 0), max(shape[d] - max(after, 0), 0))
    made = at.full(tuple(shape), value, dtype=input.dtype, device=input.device)
    if made.numel() and input.numel():
        made[tuple(target)].copy_(input[tuple(source)])
    return made


KERNELS: dict[str, Kernel] = {
    "linear": linear,
    "dropout": dropout,
    "dropout_backward": dropout_backward,
    "embedding": embedding,
    "embedding_backward": embedding_backward,
    "constant_pad": constant_pad,
}
