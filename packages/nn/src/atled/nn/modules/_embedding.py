"""Tables of vectors."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .. import functional as F
from .. import init
from .._module import Module
from .._parameter import Parameter, detached


class Embedding(Module):
    """The rows of a learnt table that integers name: input ``(*)``, output ``(*, embedding_dim)``.

    ``weight`` ``(num_embeddings, embedding_dim)`` starts normal with deviation 1. The row ``padding_idx`` starts at
    zero and is not learnt. BoundsError for an index or a ``padding_idx`` that is no row; ``max_norm``
    changes ``weight``, and ``sparse`` is refused by the call, as by `functional.embedding`.

    >>> import atled.core as at
    >>> table = Embedding.from_pretrained(at.tensor([[1.0, 2], [3, 4], [5, 6]]))
    >>> table(at.tensor([2, 0])).tolist()
    [[5.0, 6.0], [1.0, 2.0]]
    >>> Embedding(10, 3, padding_idx=0)(at.tensor([[0, 2]]))[0, 0].tolist()
    [0.0, 0.0, 0.0]
    """

    weight: Parameter

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise at.BoundsError(
                f"Embedding: expected padding_idx in [{-num_embeddings}, {num_embeddings}), got {padding_idx}"
            )
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx % num_embeddings if padding_idx is not None else None
        self.max_norm, self.norm_type = max_norm, norm_type
        self.scale_grad_by_freq, self.sparse = scale_grad_by_freq, sparse
        if _weight is None:
            self.weight = Parameter(at.empty(num_embeddings, embedding_dim, device=device, dtype=dtype), not _freeze)
            self.reset_parameters()
        else:
            if tuple(_weight.shape) != (num_embeddings, embedding_dim):
                raise at.ShapeError(
                    f"Embedding: expected a table ({num_embeddings}, {embedding_dim}), got {tuple(_weight.shape)}"
                )
            self.weight = Parameter(_weight, not _freeze)

    @classmethod
    @explained
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> Embedding:
        """An embedding over a given table; frozen unless said otherwise."""
        rows, dim = embeddings.shape
        return cls(
            rows, dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, _weight=embeddings, _freeze=freeze
        )

    def reset_parameters(self) -> None:
        """Draws the table anew."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            detached(self.weight)[self.padding_idx].zero_()

    def forward(self, input: Tensor) -> Tensor:
        """Of shape ``(*input.shape, embedding_dim)``."""
        return F.embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )

    def extra_repr(self) -> str:
        """The sizes."""
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        return text if self.padding_idx is None else f"{text}, padding_idx={self.padding_idx}"
