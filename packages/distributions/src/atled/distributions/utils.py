"""What families of one's own are made of, with the names of ``torch.distributions.utils``."""

from __future__ import annotations

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from ._distribution import Number, as_tensors, lazy_property

__all__ = ["broadcast_all", "clamp_probs", "lazy_property", "logits_to_probs", "probs_to_logits"]


def broadcast_all(*values: Number) -> tuple[Tensor, ...]:
    """Tensors and numbers as tensors of one shape, dtype and device; numbers take those of the tensors beside them.

    ArgumentError for what is neither, ShapeError where the shapes do not broadcast.

    >>> [v.shape for v in utils.broadcast_all(at.zeros(3), 1.0)]
    [(3,), (3,)]
    """
    tensors = as_tensors("broadcast_all", {f"value {i}": value for i, value in enumerate(values)})
    return tuple(at.broadcast_tensors(*tensors.values()))


@explained
def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities kept apart from 0 and 1 by their dtype's epsilon, so that logarithms are finite.

    >>> utils.clamp_probs(at.tensor([0.0, 0.5])) > 0
    tensor([ True,  True])
    """
    eps = at.finfo(probs.dtype).eps
    return probs.clamp(eps, 1 - eps)


@explained
def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities of log-odds where ``is_binary``, else of classes' log-probabilities along the last dimension.

    >>> utils.logits_to_probs(at.tensor([0.0, 0.0]))
    tensor([0.5000, 0.5000])
    """
    return at.sigmoid(logits) if is_binary else at.softmax(logits, -1)


@explained
def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Log-odds where ``is_binary``, else log-probabilities; of ``clamp_probs`` of the probabilities.

    >>> utils.probs_to_logits(at.tensor(0.5), is_binary=True)
    tensor(0.)
    """
    clamped = clamp_probs(probs)
    return clamped.log() - at.log1p(-clamped) if is_binary else clamped.log()
