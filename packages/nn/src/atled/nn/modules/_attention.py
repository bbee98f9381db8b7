"""Attention with several heads."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor

from .. import init
from .._module import Module
from .._parameter import Parameter
from ..functional._multihead import Projections, attend_in_heads
from ._linear import Linear


class MultiheadAttention(Module):
    """Attends with ``num_heads`` heads of ``embed_dim / num_heads`` features each (Vaswani et al. 2017, section 3.2.2).

    Inputs are query ``(L, N, embed_dim)``, key ``(S, N, kdim)`` and value ``(S, N, vdim)``; with ``batch_first`` ``N``
    stands before ``L`` and ``S``, and without a batch it is left out. ``kdim`` and ``vdim`` are ``embed_dim`` unless
    they are given. ``add_bias_kv`` appends a learnt key and value to each sequence, ``add_zero_attn`` ones of zeros.

    The maps into the heads start as Glorot's uniform distribution, their biases and the output's at 0. ShapeError where
    ``embed_dim`` is no multiple of ``num_heads``.

    >>> import atled.core as at
    >>> attention = MultiheadAttention(8, 2, batch_first=True)
    >>> x = at.ones(3, 5, 8)
    >>> output, weights = attention(x, x, x)
    >>> output.shape, weights.shape
    ((3, 5, 8), (3, 5, 5))
    """

    in_proj_weight: Parameter | None
    q_proj_weight: Parameter | None
    k_proj_weight: Parameter | None
    v_proj_weight: Parameter | None
    in_proj_bias: Parameter | None
    bias_k: Parameter | None
    bias_v: Parameter | None
    out_proj: Linear

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim < 1 or embed_dim % num_heads:
            raise at.ShapeError(
                f"MultiheadAttention: expected embed_dim to be a multiple of num_heads, got {embed_dim} and {num_heads}"
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        like: dict[str, Any] = {"device": device, "dtype": dtype}

        def parameter(name: str, wanted: bool, *shape: int) -> None:
            self.register_parameter(name, Parameter(at.empty(*shape, **like)) if wanted else None)

        packed = self.kdim == self.vdim == embed_dim
        parameter("q_proj_weight", not packed, embed_dim, embed_dim)
        parameter("k_proj_weight", not packed, embed_dim, self.kdim)
        parameter("v_proj_weight", not packed, embed_dim, self.vdim)
        parameter("in_proj_weight", packed, 3 * embed_dim, embed_dim)
        parameter("in_proj_bias", bias, 3 * embed_dim)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, **like)
        parameter("bias_k", add_bias_kv, 1, 1, embed_dim)
        parameter("bias_v", add_bias_kv, 1, 1, embed_dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the maps into the heads anew, and sets their biases and the output's to 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for vector in (self.bias_k, self.bias_v):
            if vector is not None:
                init.xavier_normal_(vector)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """The output, of query's shape, and the weights or None, as `functional.multi_head_attention_forward` has them.

        Masks are true where attention is not allowed; ``need_weights=False`` takes less time.
        """
        if query.shape[-1] != self.embed_dim or key.shape[-1] != self.kdim or value.shape[-1] != self.vdim:
            raise at.ShapeError(
                f"MultiheadAttention: expected query, key and value of {self.embed_dim}, {self.kdim} and {self.vdim} "
                f"features, got {tuple(query.shape)}, {tuple(key.shape)} and {tuple(value.shape)}"
            )
        separate = None
        if self.q_proj_weight is not None and self.k_proj_weight is not None and self.v_proj_weight is not None:
            separate = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return attend_in_heads(
            (query, key, value),
            self.num_heads,
            Projections(
                self.in_proj_weight,
                separate,
                self.in_proj_bias,
                self.out_proj.weight,
                self.out_proj.bias,
                self.bias_k,
                self.bias_v,
            ),
            self.add_zero_attn,
            self.dropout if self.training else 0.0,
            key_padding_mask,
            attn_mask,
            need_weights,
            average_attn_weights,
            is_causal,
            batch_first=self.batch_first,
        )
