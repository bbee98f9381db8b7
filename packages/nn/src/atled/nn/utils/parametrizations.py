"""Ready-made parametrizations: weights of a given norm, of bounded slope, or with orthogonal rows or columns."""

from __future__ import annotations

from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._module import Module
from .._parameter import detached
from ..functional._layer import normalize
from ..modules._convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]

_MAPS = ("matrix_exp", "cayley", "householder")


def _tensor(module: Module, name: str) -> Tensor:
    found = getattr(module, name, None)
    if not isinstance(found, Tensor):
        raise at.ArgumentError(f"{type(module).__name__} has no parameter or buffer {name!r} to parametrize")
    return found


class _WeightNorm(Module):
    """``g v / |v|``: a norm for each index of ``dim``, or one for all where that is -1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def _norm(self, weight: Tensor) -> Tensor:
        if self.dim == -1:
            return at.linalg.vector_norm(weight)
        others = [d for d in range(weight.ndim) if d != self.dim]
        if not others:
            return at.abs(weight)
        return at.linalg.vector_norm(weight, 2, others, keepdim=True)

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / self._norm(weight_v))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self._norm(weight), weight


@explained
def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Has a weight learnt as its length and its direction (Salimans & Kingma 2016): ``w = g v / |v|``.

    A length g for each index of ``dim``, one for the whole where it is None. The state dict has
    ``parametrizations.<name>.original0`` (g) and ``original1`` (v) in place of the weight; one of PyTorch's older
    ``nn.utils.weight_norm``, with ``<name>_g`` and ``<name>_v``, can be loaded as well.

    >>> from atled import nn
    >>> layer = weight_norm(nn.Linear(3, 2))
    >>> layer.parametrizations.weight.original0.shape
    (2, 1)
    """
    weight = _tensor(module, name)
    if dim is not None and not -1 <= dim < weight.ndim:
        raise at.BoundsError(f"weight_norm: expected dim in [-1, {weight.ndim - 1}] or None, got {dim}")

    def rename(_: Module, state: dict[str, Any], prefix: str, *__: Any) -> None:
        for old, new in (("g", "original0"), ("v", "original1")):
            if f"{prefix}{name}_{old}" in state:
                state[f"{prefix}parametrizations.{name}.{new}"] = state.pop(f"{prefix}{name}_{old}")

    module.register_load_state_dict_pre_hook(rename)
    return register_parametrization(module, name, _WeightNorm(-1 if dim is None else dim), unsafe=True)


class _SpectralNorm(Module):
    """A weight over its largest singular value, which power iteration follows while it is trained."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        self.n_power_iterations = n_power_iterations
        if weight.ndim < 2:
            return
        matrix = self._matrix(detached(weight))
        rows, columns = matrix.shape
        like: dict[str, Any] = {"dtype": matrix.dtype, "device": matrix.device}
        self.register_buffer("_u", normalize(at.randn(rows, **like), dim=0, eps=eps))
        self.register_buffer("_v", normalize(at.randn(columns, **like), dim=0, eps=eps))
        self._iterate(matrix, 15)  # so that the first steps know the direction

    def _matrix(self, weight: Tensor) -> Tensor:
        return weight.movedim(self.dim, 0).flatten(1)

    def _iterate(self, matrix: Tensor, times: int) -> tuple[Tensor, Tensor]:
        """The singular vectors after further iterations, which the buffers keep, too."""
        u, v = self._u, self._v
        for _ in range(times):
            u = normalize(matrix @ v, dim=0, eps=self.eps)
            v = normalize(matrix.mT @ u, dim=0, eps=self.eps)
        self._u.copy_(u)
        self._v.copy_(v)
        return u, v

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim < 2:
            return normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            u, v = self._iterate(detached(matrix), self.n_power_iterations)
        else:
            u, v = self._u.clone(), self._v.clone()  # training goes on in place
        return weight / at.dot(u, matrix @ v)

    def right_inverse(self, value: Tensor) -> Tensor:
        return value  # as good as any: only its direction is certain


@explained
def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divides a weight by its largest singular value, so that the layer's slope is at most 1 (Miyato et al. 2018).

    The weight is seen as a matrix whose rows are the indices of ``dim``: 0, and 1 for transposed convolutions. So many
    power iterations a call follow it in training mode. The state dict has ``parametrizations.<name>.original`` in place
    of the weight, and the iteration's vectors. InvalidValueError unless ``n_power_iterations`` is positive.

    >>> from atled import nn
    >>> layer = spectral_norm(nn.Linear(20, 40))
    >>> _ = [layer.weight for _ in range(100)]
    >>> round(at.linalg.matrix_norm(layer.weight, 2).item(), 3)
    1.0
    """
    weight = _tensor(module, name)
    if n_power_iterations < 1:
        raise at.InvalidValueError(f"spectral_norm: expected n_power_iterations > 0, got {n_power_iterations}")
    if dim is None:
        dim = 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0
    return register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))


class _Orthogonal(Module):
    """Matrices with orthonormal columns, or rows where they are wide, made from any of the same shape."""

    base: Tensor | None

    def __init__(self, kind: str, trivialized: bool) -> None:
        super().__init__()
        self.kind = kind
        if trivialized:
            self.register_buffer("base", None)
        self.trivialized = trivialized

    def forward(self, x: Tensor) -> Tensor:
        wide = x.shape[-2] < x.shape[-1]
        if wide:
            x = x.mT
        n, k = x.shape[-2:]
        if self.kind == "householder":
            lower = x.tril(-1)
            tau = 2 / (1 + (lower * at.conj(lower)).sum(-2))
            q = at.linalg.householder_product(lower, tau)
            signs = at.where(at.real(detached(x.diagonal(0, -2, -1))) < 0, -1, 1).to(q.dtype)
            q = q * signs.unsqueeze(-2)
        else:
            lower = x.tril()
            if n != k:
                lower = at.cat([lower, lower.new_zeros(*x.shape[:-2], n, n - k)], -1)
            skew = lower - lower.mH
            if self.kind == "matrix_exp":
                q = at.linalg.matrix_exp(skew)
            else:
                one = at.eye(n, dtype=x.dtype, device=x.device)
                q = at.linalg.solve(one - 0.5 * skew, one + 0.5 * skew)
            q = q[..., :k]
        if self.trivialized and self.base is not None:
            q = self.base @ q
        return q.mT if wide else q

    def right_inverse(self, value: Tensor) -> Tensor:
        wide = value.shape[-2] < value.shape[-1]
        q = value.mT if wide else value
        n, k = q.shape[-2:]
        if not self.trivialized:
            if self.kind != "householder":
                raise at.NotImplementedOpError(
                    f"orthogonal: expected use_trivialization or orthogonal_map='householder' for an assignment, got "
                    f"{self.kind!r} without"
                )
            packed, tau = at.geqrf(q)
            signs = at.where(at.real(packed.diagonal(0, -2, -1)) < 0, -1, 1)
            signs = at.where(tau == 0, -signs, signs).to(q.dtype)
            packed = packed.tril(-1)
            packed.diagonal(0, -2, -1).copy_(signs)
            return packed.mT if wide else packed
        if n != k:
            q = at.cat([q, at.randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)], -1)
        self.base = _nearest(q)
        start = at.zeros_like(value)
        start.diagonal(0, -2, -1).fill_(-1)
        return start


def _nearest(a: Tensor) -> Tensor:
    """The orthogonal factor whose triangle has a positive diagonal: of an orthogonal matrix, that matrix."""
    q, r = at.linalg.qr(a)
    diagonal = r.diagonal(0, -2, -1)
    size = at.abs(diagonal)
    return q * at.where(size == 0, 1, diagonal / at.where(size == 0, 1, size)).unsqueeze(-2)


@explained
def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keeps a weight's columns orthonormal, or its rows where it is wide, while what it is made of is learnt.

    orthogonal_map: ``"matrix_exp"`` of a skew matrix, the default for square and complex ones, ``"cayley"``, its
    rational likeness, or ``"householder"``, a product of reflections, the default for others (Lezcano-Casado &
    Martínez-Rubio 2019). use_trivialization: the map is taken around the matrix that the weight was or is assigned
    (Lezcano-Casado 2019). ShapeError for fewer than two dimensions, InvalidValueError for another map.

    >>> from atled import nn
    >>> layer = orthogonal(nn.Linear(20, 40))
    >>> w = layer.weight
    >>> bool(at.allclose(w.mT @ w, at.eye(20), atol=1e-5))
    True
    """
    weight = _tensor(module, name)
    if weight.ndim < 2:
        raise at.ShapeError(f"orthogonal: expected a weight of at least two dimensions, got {tuple(weight.shape)}")
    if orthogonal_map is None:
        square = weight.shape[-2] == weight.shape[-1]
        orthogonal_map = "matrix_exp" if square or weight.is_complex() else "householder"
    if orthogonal_map not in _MAPS:
        raise at.InvalidValueError(f"orthogonal: expected orthogonal_map in {_MAPS}, got {orthogonal_map!r}")
    if orthogonal_map == "householder" and weight.is_complex():
        raise at.DTypeError("orthogonal: expected a real weight for 'householder', got a complex one")
    steps = _Orthogonal(orthogonal_map, use_trivialization)
    return register_parametrization(module, name, steps, unsafe=True)
