"""Similarities and distances."""

from __future__ import annotations

from atled.core import Tensor

from .. import functional as F
from .._module import Module


class CosineSimilarity(Module):
    """The cosine of the angle between vectors along a dimension; each norm counts as at least ``eps``.

    >>> import atled.core as at
    >>> CosineSimilarity()(at.tensor([[1.0, 0]]), at.tensor([[2.0, 0]])).tolist()
    [1.0]
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Of the shape that the two broadcast to, without the dimension."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)

    def extra_repr(self) -> str:
        """The settings."""
        return f"dim={self.dim}, eps={self.eps}"


class PairwiseDistance(Module):
    """The p-norm of ``x1 - x2 + eps`` over the last dimension.

    >>> import atled.core as at
    >>> PairwiseDistance(eps=0.0)(at.tensor([[3.0, 4]]), at.zeros(1, 2)).tolist()
    [5.0]
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Of the shape that the two broadcast to, without the last dimension, or with one of size 1."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.norm}, eps={self.eps}, keepdim={self.keepdim}"
