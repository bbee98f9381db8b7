"""Transforms of vectors and matrices, and of parts of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._discrete import softplus
from ._transform import Transform, sum_rightmost

__all__ = [
    "CatTransform",
    "CorrCholeskyTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "ReshapeTransform",
    "SoftmaxTransform",
    "StackTransform",
    "StickBreakingTransform",
]


class ReshapeTransform(Transform):
    """The last dimensions ``in_shape`` as ``out_shape``.

    >>> transforms.ReshapeTransform((4,), (2, 2))(at.zeros(3, 4)).shape
    (3, 2, 2)
    """

    bijective = True
    sign = 1

    def __init__(self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.in_shape, self.out_shape = tuple(in_shape), tuple(out_shape)
        if math.prod(self.in_shape) != math.prod(self.out_shape):
            raise at.ShapeError(
                f"ReshapeTransform: expected shapes of equally many elements, got {in_shape}, {out_shape}"
            )
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """0."""
        return at.zeros(x.shape[: x.ndim - len(self.in_shape)], dtype=x.dtype, device=x.device)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        return self._exchanged(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return self._exchanged(shape, self.out_shape, self.in_shape)

    @staticmethod
    def _exchanged(shape: Sequence[int], old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
        cut = len(shape) - len(old)
        if cut < 0 or tuple(shape[cut:]) != old:
            raise at.ShapeError(f"ReshapeTransform: expected a shape that ends with {old}, got {tuple(shape)}")
        return (*shape[:cut], *new)


class SoftmaxTransform(Transform):
    """``exp(x)``, normalised along the last dimension, which is not invertible: the inverse is the logarithm.

    >>> transforms.SoftmaxTransform()(at.zeros(2))
    tensor([0.5000, 0.5000])
    """

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return at.softmax(x, -1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()


class StickBreakingTransform(Transform):
    """Vectors of n - 1 numbers as n shares: each takes a part of what those before it have left.

    >>> transforms.StickBreakingTransform()(at.zeros(1))
    tensor([0.5000, 0.5000])
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    @staticmethod
    def _offsets(x: Tensor, n: int) -> Tensor:
        # So that zeros become equal shares.
        return at.arange(n, 0, -1, dtype=x.dtype, device=x.device).log()

    def _call(self, x: Tensor) -> Tensor:
        logits = x - self._offsets(x, x.shape[-1])
        left = (-softplus(logits)).cumsum(-1)
        before = at.cat([at.zeros_like(left[..., :1]), left[..., :-1]], -1)
        return at.cat([at.exp(before - softplus(-logits)), at.exp(left[..., -1:])], -1)

    def _inverse(self, y: Tensor) -> Tensor:
        # What is left after each, summed from the end, where it is small.
        left = y.flip(-1).cumsum(-1).flip(-1)[..., 1:].clamp(min=at.finfo(y.dtype).tiny)
        parts = y[..., :-1]
        return parts.log() - left.log() + self._offsets(y, parts.shape[-1])

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of ``log(share) - softplus(x)`` of the shifted x."""
        logits = x - self._offsets(x, x.shape[-1])
        return (y[..., :-1].log() - softplus(logits)).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """One more."""
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """One less."""
        return (*shape[:-1], shape[-1] - 1)


class CorrCholeskyTransform(Transform):
    """Vectors of ``n (n - 1) / 2`` numbers as Cholesky factors of n × n correlation matrices.

    Row by row: tanh of the numbers are the signed shares of what is left of the row's unit length (Lewandowski,
    Kurowicka & Joe 2009, "Generating random correlation matrices", section 2).

    >>> transforms.CorrCholeskyTransform()(at.zeros(3)).shape
    (3, 3)
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        n = self.forward_shape(x.shape)[-1]
        eps = at.finfo(x.dtype).eps
        rows, columns = at.tril_indices(n, n, -1, device=x.device)
        flat = at.zeros(*x.shape[:-1], n * n, dtype=x.dtype, device=x.device)
        flat = flat.index_add(-1, rows * n + columns, x.tanh().clamp(-1 + eps, 1 - eps))
        shares = flat.reshape(*x.shape[:-1], n, n)
        left = (1 - shares.square()).cumprod(-1).sqrt()
        before = at.cat([at.ones_like(left[..., :1]), left[..., :-1]], -1)
        return (shares + at.eye(n, dtype=x.dtype, device=x.device)) * before

    def _inverse(self, y: Tensor) -> Tensor:
        n = y.shape[-1]
        left = (1 - y.square().cumsum(-1)).clamp(min=at.finfo(y.dtype).tiny)
        before = at.cat([at.ones_like(left[..., :1]), left[..., :-1]], -1)
        rows, columns = at.tril_indices(n, n, -1, device=y.device)
        shares = (y / before.sqrt())[..., rows, columns]
        return (at.log1p(shares) - at.log1p(-shares)) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Of the lengths left, and of tanh."""
        n = y.shape[-1]
        left = (1 - y.square().cumsum(-1)).clamp(min=at.finfo(y.dtype).tiny)
        rows, columns = at.tril_indices(n, n, -1, device=y.device)
        inner = columns < rows - 1  # what the next entry of the row divides by
        lengths = 0.5 * left[..., rows[inner], columns[inner]].log().sum(-1)
        return lengths - 2 * (x + softplus(-2 * x) - math.log(2)).sum(-1)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A matrix for a vector."""
        length = shape[-1]
        n = round((0.25 + 2 * length) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != length:
            raise at.ShapeError(f"CorrCholeskyTransform: expected n (n - 1) / 2 numbers for some n, got {length}")
        return (*shape[:-1], n, n)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """A vector for a matrix."""
        return (*shape[:-2], shape[-1] * (shape[-1] - 1) // 2)


class LowerCholeskyTransform(Transform):
    """Any square matrices as lower triangular ones with a positive diagonal: its exponential.

    >>> transforms.LowerCholeskyTransform()(at.zeros(2, 2)).diagonal()
    tensor([1., 1.])
    """

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + at.diag_embed(x.diagonal(dim1=-2, dim2=-1).exp())

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + at.diag_embed(y.diagonal(dim1=-2, dim2=-1).log())


class PositiveDefiniteTransform(Transform):
    """Any square matrices as positive definite ones, ``L Lᵀ`` of LowerCholeskyTransform's L.

    >>> transforms.PositiveDefiniteTransform()(at.zeros(2, 2)).diagonal()
    tensor([1., 1.])
    """

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(at.linalg.cholesky(y))


class CatTransform(Transform):
    """A transform each for parts along ``dim``, of the given lengths.

    >>> transforms.CatTransform([transforms.ExpTransform(), transforms.TanhTransform()])(at.zeros(2))
    tensor([1., 0.])
    """

    def __init__(
        self, tseq: Sequence[Transform], dim: int = 0, lengths: Sequence[int] | None = None, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        self.bijective = all(t.bijective for t in self.transforms)
        self.domain = constraints.cat([t.domain for t in self.transforms], dim, self.lengths)
        self.codomain = constraints.cat([t.codomain for t in self.transforms], dim, self.lengths)

    def _each(self, *tensors: Tensor) -> list[tuple[Any, ...]]:
        return list(zip(self.transforms, *(t.split(self.lengths, self.dim) for t in tensors), strict=True))

    def _call(self, x: Tensor) -> Tensor:
        return at.cat([transform(part) for transform, part in self._each(x)], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        return at.cat([transform.inv(part) for transform, part in self._each(y)], self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The parts', side by side; along an event's dimension their sum."""
        most = self.domain.event_dim
        found = [
            sum_rightmost(t.log_abs_det_jacobian(before, after), most - t.domain.event_dim)
            for t, before, after in self._each(x, y)
        ]
        dim = self.dim if self.dim < 0 else self.dim - x.ndim
        return at.cat(found, dim + most) if dim + most < 0 else sum(found[1:], found[0])


class StackTransform(Transform):
    """A transform each for the slices along ``dim``.

    >>> transforms.StackTransform([transforms.ExpTransform(), transforms.TanhTransform()])(at.zeros(2))
    tensor([1., 0.])
    """

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms, self.dim = list(tseq), dim
        self.bijective = all(t.bijective for t in self.transforms)
        self.domain = constraints.stack([t.domain for t in self.transforms], dim)
        self.codomain = constraints.stack([t.codomain for t in self.transforms], dim)

    def _call(self, x: Tensor) -> Tensor:
        slices = zip(self.transforms, x.unbind(self.dim), strict=True)
        return at.stack([transform(part) for transform, part in slices], self.dim)

    def _inverse(self, y: Tensor) -> Tensor:
        slices = zip(self.transforms, y.unbind(self.dim), strict=True)
        return at.stack([transform.inv(part) for transform, part in slices], self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The slices', side by side; along an event's dimension their sum."""
        widest = max(t.domain.event_dim for t in self.transforms)
        slices = zip(self.transforms, x.unbind(self.dim), y.unbind(self.dim), strict=True)
        found = [sum_rightmost(t.log_abs_det_jacobian(*pair), widest - t.domain.event_dim) for t, *pair in slices]
        if self.domain.event_dim > widest:
            return sum(found[1:], found[0])
        return at.stack(found, self.dim if self.dim >= 0 else self.dim + widest)
