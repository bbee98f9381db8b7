"""Sums, means and maxima of rows of a table."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .. import functional as F
from .._module import Module
from .._parameter import Parameter
from ._embedding import Embedding


class EmbeddingBag(Module):
    """The mean, sum or maximum (``mode``) of bags of rows of a learnt table ``(num_embeddings, embedding_dim)``.

    ``weight`` is as that of `Embedding`; calls, ``(bags, embedding_dim)`` and errors are those of
    `functional.embedding_bag`.

    >>> import atled.core as at
    >>> bag = EmbeddingBag.from_pretrained(at.tensor([[1.0, 2], [3, 4], [5, 6]]), mode="sum")
    >>> bag(at.tensor([0, 2, 1]), at.tensor([0, 2])).tolist()
    [[6.0, 8.0], [3.0, 4.0]]
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        if mode not in ("sum", "mean", "max"):
            raise at.InvalidValueError(f"EmbeddingBag: expected mode 'sum', 'mean' or 'max', got {mode!r}")
        table = Embedding(num_embeddings, embedding_dim, padding_idx, _weight=_weight, device=device, dtype=dtype)
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.sparse, self.include_last_offset = mode, sparse, include_last_offset
        self.padding_idx = table.padding_idx
        self.weight = table.weight

    @classmethod
    @explained
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
    ) -> EmbeddingBag:
        """Bags of rows of a given table; frozen unless said otherwise."""
        rows, dim = embeddings.shape
        settings = (max_norm, norm_type, scale_grad_by_freq, mode, sparse)
        made = cls(rows, dim, *settings, embeddings, include_last_offset, padding_idx)
        made.weight = Parameter(embeddings, not freeze)
        return made

    def reset_parameters(self) -> None:
        """Draws the table anew."""
        Embedding.reset_parameters(self)  # type: ignore[arg-type]

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """Of shape ``(bags, embedding_dim)``."""
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        """The sizes and the mode."""
        text = f"{self.num_embeddings}, {self.embedding_dim}, mode={self.mode!r}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
