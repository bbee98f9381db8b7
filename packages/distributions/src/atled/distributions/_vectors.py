"""Normal vectors, correlation matrices, Wishart's matrices, and angles."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._distribution import Constraints, Distribution, Number, Shape, detached, lazy_property, quietly
from ._gamma import Beta, standard_gamma

__all__ = ["LKJCholesky", "LowRankMultivariateNormal", "MultivariateNormal", "VonMises", "Wishart"]


def _transposed_solve(factor: Tensor, other: Tensor) -> Tensor:
    return at.linalg.solve_triangular(factor, other, upper=False)


def factor_of_precision(precision: Tensor) -> Tensor:
    """The lower Cholesky factor of the inverse."""
    turned = at.linalg.cholesky(precision.flip(-2, -1)).flip(-2, -1)
    eye = at.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return at.linalg.solve_triangular(turned.mT, eye.expand(precision.shape), upper=False)


def square_distance(factor: Tensor, apart: Tensor) -> Tensor:
    """``apartᵀ (L Lᵀ)⁻¹ apart`` of vectors along the last dimension."""
    batch = at.broadcast_shapes(factor.shape[:-2], apart.shape[:-1])
    n = apart.shape[-1]
    solved = at.linalg.solve_triangular(factor.expand(*batch, n, n), apart.expand(*batch, n).unsqueeze(-1), upper=False)
    return solved.squeeze(-1).square().sum(-1)


def half_log_det(factor: Tensor) -> Tensor:
    """``log det L`` of a triangular L."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


class _ByMatrix(Distribution):
    """One of ``covariance_matrix``, ``precision_matrix`` and ``scale_tril`` is given; the others follow from it."""

    arg_constraints: ClassVar[Constraints] = {
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """``L Lᵀ``."""
        return self.scale_tril @ self.scale_tril.mT

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        return at.linalg.inv(self.covariance_matrix)

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor ``L`` of the covariance."""
        if "covariance_matrix" in self._given:
            return at.linalg.cholesky(self.covariance_matrix)
        return factor_of_precision(self.precision_matrix)

    def _only(self, **matrices: Tensor | None) -> tuple[dict[str, Tensor], int]:
        """The one matrix that is given, by its name, and how many rows and columns it has."""
        name, given = type(self).__name__, {key: matrix for key, matrix in matrices.items() if matrix is not None}
        if len(given) != 1:
            raise at.ArgumentError(
                f"{name}: expected one of {', '.join(matrices)}, got {' and '.join(given) or 'none'}"
            )
        (matrix,) = given.values()
        if matrix.ndim < 2 or matrix.shape[-2] != matrix.shape[-1]:
            raise at.ShapeError(f"{name}: expected a square matrix, got {tuple(matrix.shape)}")
        return given, matrix.shape[-1]


class MultivariateNormal(_ByMatrix):
    """Normal vectors with mean ``loc`` and one of covariance, precision and scale_tril, the covariance's factor.

    >>> MultivariateNormal(at.zeros(2), at.eye(2)).log_prob(at.zeros(2)).exp()
    tensor(0.1592)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": constraints.real_vector, **_ByMatrix.arg_constraints}
    support = constraints.real_vector
    has_rsample = True
    loc: Tensor

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        matrix, n = self._only(
            covariance_matrix=covariance_matrix, precision_matrix=precision_matrix, scale_tril=scale_tril
        )
        if loc.ndim < 1 or loc.shape[-1] not in (1, n):
            raise at.ShapeError(
                f"MultivariateNormal: expected loc of {n} numbers, as the matrix has rows, got {tuple(loc.shape)}"
            )
        self._take(validate_args, (n,), loc=loc.expand(*loc.shape[:-1], n), **matrix)

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The covariance's diagonal."""
        return self.scale_tril.square().sum(-1)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """``loc + L z`` of standard normal z."""
        z = at.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.loc + (self.scale_tril @ z.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        distance = square_distance(self.scale_tril, self._validate_sample(value) - self.loc)
        n = self._event_shape[0]
        return -0.5 * (n * math.log(2 * math.pi) + distance) - half_log_det(self.scale_tril)

    def entropy(self) -> Tensor:
        """``n (1 + log(2 pi)) / 2 + log det L``."""
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + half_log_det(self.scale_tril)


class LowRankMultivariateNormal(Distribution):
    """Normal vectors with covariance ``W Wᵀ + D``: ``cov_factor`` W of few columns, ``cov_diag`` the diagonal of D.

    The determinant and the inverse are those of a small matrix (Woodbury's formula).

    >>> LowRankMultivariateNormal(at.zeros(2), at.ones(2, 1), at.ones(2)).variance
    tensor([2., 2.])
    """

    arg_constraints: ClassVar[Constraints] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    loc: Tensor
    cov_factor: Tensor
    cov_diag: Tensor

    def __init__(self, loc: Tensor, cov_factor: Tensor, cov_diag: Tensor, validate_args: bool | None = None) -> None:
        n = loc.shape[-1] if loc.ndim else 0
        fits = loc.ndim >= 1 and cov_factor.ndim >= 2 and cov_diag.ndim >= 1
        if not fits or cov_factor.shape[-2] != n or cov_diag.shape[-1] != n:
            raise at.ShapeError(
                "LowRankMultivariateNormal: expected loc (n), cov_factor (n, m) and cov_diag (n), got "
                f"{tuple(loc.shape)}, {tuple(cov_factor.shape)} and {tuple(cov_diag.shape)}"
            )
        self._take(validate_args, (n,), loc=loc, cov_factor=cov_factor, cov_diag=cov_diag)

    @property
    def mean(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """The covariance's diagonal."""
        return self.cov_factor.square().sum(-1) + self.cov_diag

    @property
    def covariance_matrix(self) -> Tensor:
        """``W Wᵀ + D``."""
        return self.cov_factor @ self.cov_factor.mT + at.diag_embed(self.cov_diag)

    @property
    def scale_tril(self) -> Tensor:
        """The lower Cholesky factor of the covariance."""
        return at.linalg.cholesky(self.covariance_matrix)

    @property
    def precision_matrix(self) -> Tensor:
        """The covariance's inverse."""
        scaled = self.cov_factor / self.cov_diag.unsqueeze(-1)
        solved = _transposed_solve(self._capacitance_tril, scaled.mT)
        return at.diag_embed(self.cov_diag.reciprocal()) - solved.mT @ solved

    @lazy_property
    def _capacitance_tril(self) -> Tensor:
        """The factor of ``1 + Wᵀ D⁻¹ W``."""
        m = self.cov_factor.shape[-1]
        eye = at.eye(m, dtype=self.loc.dtype, device=self.loc.device)
        return at.linalg.cholesky(eye + (self.cov_factor.mT / self.cov_diag.unsqueeze(-2)) @ self.cov_factor)

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """``loc + W z + sqrt(D) e`` of standard normal z and e."""
        shape = self._extended_shape(sample_shape)
        like: Any = {"dtype": self.loc.dtype, "device": self.loc.device}
        z = at.randn((*shape[:-1], self.cov_factor.shape[-1]), **like).unsqueeze(-1)
        return self.loc + (self.cov_factor @ z).squeeze(-1) + self.cov_diag.sqrt() * at.randn(shape, **like)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        apart = self._validate_sample(value) - self.loc
        projected = ((self.cov_factor.mT / self.cov_diag.unsqueeze(-2)) @ apart.unsqueeze(-1)).squeeze(-1)
        distance = (apart.square() / self.cov_diag).sum(-1) - square_distance(self._capacitance_tril, projected)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - self._half_log_det()

    def _half_log_det(self) -> Tensor:
        return half_log_det(self._capacitance_tril) + 0.5 * self.cov_diag.log().sum(-1)

    def entropy(self) -> Tensor:
        """``n (1 + log(2 pi)) / 2`` and half the logarithm of the determinant."""
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + self._half_log_det()


class Wishart(_ByMatrix):
    """Positive definite matrices: the sum of ``df`` outer products of normal vectors with the given covariance.

    Draws are made by Bartlett's decomposition (Bartlett 1933; Sawyer 2007): a triangle of normal numbers below the
    roots of chi-squared ones.

    >>> Wishart(at.tensor(3.0), at.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    arg_constraints: ClassVar[Constraints] = {"df": constraints.greater_than(0), **_ByMatrix.arg_constraints}
    support = constraints.positive_definite
    has_rsample = True
    df: Tensor

    def __init__(
        self,
        df: Number,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        matrix, n = self._only(
            covariance_matrix=covariance_matrix, precision_matrix=precision_matrix, scale_tril=scale_tril
        )
        self._take(validate_args, (n, n), df=df, **matrix)
        if not (self.df > n - 1).all():
            raise at.InvalidValueError(f"Wishart: expected df above {n - 1} for {n} × {n} matrices, got {self.df}")

    def _column(self) -> Tensor:
        return self.df.unsqueeze(-1).unsqueeze(-1)

    def _halves(self) -> Tensor:
        """``(df - i) / 2`` for the n rows i."""
        rows = at.arange(self._event_shape[0], dtype=self.df.dtype, device=self.df.device)
        return (self.df.unsqueeze(-1) - rows) / 2

    def _log_gammas(self) -> Tensor:
        n = self._event_shape[0]
        return at.lgamma(self._halves()).sum(-1) + n * (n - 1) / 4 * math.log(math.pi)

    @property
    def mean(self) -> Tensor:
        """``df`` times the covariance."""
        return self._column() * self.covariance_matrix

    @property
    def mode(self) -> Tensor:
        """``(df - n - 1)`` times the covariance; NaN where that is not positive."""
        factor = self._column() - self._event_shape[0] - 1
        return at.where(factor > 0, factor, math.nan) * self.covariance_matrix

    @property
    def variance(self) -> Tensor:
        """``df (v_ij² + v_ii v_jj)`` of the covariance v."""
        v = self.covariance_matrix
        diagonal = v.diagonal(dim1=-2, dim2=-1)
        return self._column() * (v.square() + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def rsample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws with gradients to df and the matrix."""
        shape = self._extended_shape(sample_shape)
        below = at.randn(shape, dtype=self.df.dtype, device=self.df.device).tril(-1)
        roots = (2 * standard_gamma(self._halves().expand(*shape[:-1]))).sqrt()
        factor = self.scale_tril @ (below + at.diag_embed(roots))
        return factor @ factor.mT

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density."""
        value, n = self._validate_sample(value), self._event_shape[0]
        batch = at.broadcast_shapes(value.shape, self.scale_tril.shape)
        traced = at.cholesky_solve(value.expand(*batch), self.scale_tril.expand(*batch))
        trace = traced.diagonal(dim1=-2, dim2=-1).sum(-1)
        value_det = 2 * half_log_det(at.linalg.cholesky(value))
        return (
            0.5 * (self.df - n - 1) * value_det
            - 0.5 * trace
            - 0.5 * n * self.df * math.log(2)
            - self.df * half_log_det(self.scale_tril)
            - self._log_gammas()
        )

    def entropy(self) -> Tensor:
        """In nats."""
        n = self._event_shape[0]
        expected = at.digamma(self._halves()).sum(-1)
        return (
            (n + 1) * (half_log_det(self.scale_tril) + 0.5 * n * math.log(2))
            + self._log_gammas()
            - 0.5 * (self.df - n - 1) * expected
            + 0.5 * n * self.df
        )


class LKJCholesky(Distribution):
    """Cholesky factors of ``dim`` × ``dim`` correlation matrices, of density ``det^(concentration - 1)``.

    Lewandowski, Kurowicka & Joe 2009, "Generating random correlation matrices based on vines and extended onion
    method", section 3.2: row by row, a beta-distributed length in a uniform direction.

    >>> LKJCholesky(2, 1.0).event_shape
    (2, 2)
    """

    arg_constraints: ClassVar[Constraints] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky
    concentration: Tensor

    def __init__(self, dim: int, concentration: Number = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise at.InvalidValueError(f"LKJCholesky: expected dim of at least 2, got {dim}")
        self.dim = dim
        self._take(validate_args, (dim, dim), concentration=concentration)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws."""
        shape = self._extended_shape(sample_shape)
        like: Any = {"dtype": self.concentration.dtype, "device": self.concentration.device}
        with quietly():
            rows = at.arange(1, self.dim, **like)
            most = detached(self.concentration).unsqueeze(-1) + 0.5 * (self.dim - 1 - rows)
            shares = Beta(0.5 * rows, most, validate_args=False).sample(sample_shape).unsqueeze(-1)
            directions = at.randn(shape, **like).tril(-1)[..., 1:, :]
            directions = directions / directions.square().sum(-1, keepdim=True).sqrt()
            below = at.cat([at.zeros((*shape[:-2], 1, self.dim), **like), shares.sqrt() * directions], -2)
            diagonal = (1 - below.square().sum(-1)).clamp(min=at.finfo(below.dtype).tiny).sqrt()
            return below + at.diag_embed(diagonal)

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, among such factors."""
        diagonal = self._validate_sample(value).diagonal(dim1=-2, dim2=-1)[..., 1:]
        n, eta = self.dim, self.concentration
        orders = at.arange(2, n + 1, dtype=eta.dtype, device=eta.device)
        powers = 2 * (eta.unsqueeze(-1) - 1) + n - orders
        alpha = eta + 0.5 * (n - 1)
        spheres = at.mvlgamma(alpha - 0.5, n - 1)
        constant = 0.5 * (n - 1) * math.log(math.pi) + spheres - (n - 1) * at.lgamma(alpha)
        return (powers * diagonal.log()).sum(-1) - constant


class VonMises(Distribution):
    """Angles: density proportional to ``exp(concentration cos(x - loc))`` from -pi to pi.

    Draws are made by rejection from a wrapped Cauchy distribution (Best & Fisher 1979).

    >>> VonMises(0.0, 1.0).log_prob(at.tensor(0.0)).exp()
    tensor(0.3417)
    """

    arg_constraints: ClassVar[Constraints] = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    loc: Tensor
    concentration: Tensor

    def __init__(self, loc: Number, concentration: Number, validate_args: bool | None = None) -> None:
        self._take(validate_args, loc=loc, concentration=concentration)

    @property
    def mean(self) -> Tensor:
        """loc, the mean direction."""
        return self.loc

    @property
    def mode(self) -> Tensor:
        """loc."""
        return self.loc

    @property
    def variance(self) -> Tensor:
        """``1 - I1(concentration) / I0(concentration)``, of the directions."""
        k = self.concentration
        return 1 - at.special.i1e(k) / at.special.i0e(k)

    def sample(self, sample_shape: Shape = ()) -> Tensor:
        """Draws."""
        shape = self._extended_shape(sample_shape)
        with quietly():
            k = detached(self.concentration).to(at.float64).expand(*shape).reshape(-1).clamp(min=1e-150)
            angles = self._attempt(k)
            while True:
                (again,) = at.where(at.isnan(angles) & ~at.isnan(k))
                if again.numel() == 0:
                    break
                angles[again] = self._attempt(k[again])
            turned = angles.reshape(shape) + detached(self.loc).to(at.float64)
            return (at.remainder(turned + math.pi, 2 * math.pi) - math.pi).to(self.loc.dtype)

    @staticmethod
    def _attempt(k: Tensor) -> Tensor:
        """Angles around 0, and NaN where they were rejected.

        The proposal's r is ``(1 + sqrt(1 + 4 k²)) / (2 k)``; what is near 1 for a large k is taken apart from 1.
        """
        root = at.hypot(at.ones_like(k), 2 * k)
        above = (1 + 1 / (root + 2 * k)) / 2  # k (r - 1)
        half = 0.5 * math.pi * at.rand_like(k)  # of the angle with the cosine z
        below = above / k + 2 * half.cos().square()  # r + z
        c = above * (above / k + 2) / below  # k (r - f)
        u = at.rand_like(k)
        accepted = (c * (2 - c) > u) | ((c / u).log() + 1 >= c)
        angles = 2 * at.asin((half.sin() * (above / k / below).sqrt()).clamp(max=1))
        return at.where(accepted, at.where(at.rand_like(k) < 0.5, -angles, angles), math.nan)

    def log_prob(self, value: Tensor) -> Tensor:
        """``concentration cos(value - loc) - log(2 pi I0(concentration))``."""
        k = self.concentration
        half = at.sin((self._validate_sample(value) - self.loc) / 2)
        return -2 * k * half.square() - math.log(2 * math.pi) - at.special.i0e(k).log()
