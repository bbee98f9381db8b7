"""Invertible maps, with the logarithm of how much they stretch: what a density is multiplied by.

The names are those of ``torch.distributions.transforms``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor

from . import constraints
from ._discrete import softplus

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "CatTransform",
    "ComposeTransform",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "ExpTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "TanhTransform",
    "Transform",
    "identity_transform",
]


class Transform:
    """A map from ``domain`` to ``codomain``; ``inv`` is the way back.

    A subclass has ``_call``, ``_inverse`` and ``log_abs_det_jacobian(x, y)``, which answers a number for each event.
    With ``cache_size=1`` the last pair is kept, so that the inverse of what was just computed is exact and free.

    >>> transforms.ExpTransform().inv(at.tensor(1.0))
    tensor(0.)
    """

    bijective = False
    domain: Any = constraints.real
    codomain: Any = constraints.real
    sign: Any = None

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise at.InvalidValueError(f"{type(self).__name__}: expected a cache_size of 0 or 1, got {cache_size!r}")
        self._cache_size = cache_size
        self._pair: tuple[Tensor, Tensor] | None = None

    @property
    def event_dim(self) -> int:
        """How many of the last dimensions are one value; domain and codomain must agree on it."""
        if self.domain.event_dim != self.codomain.event_dim:
            raise at.OperationError(f"{self}: expected domain and codomain of one event_dim; ask them instead")
        return int(self.domain.event_dim)

    @property
    def inv(self) -> Transform:
        """The inverse."""
        return _Inverse(self)

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same with another cache_size."""
        if self._cache_size == cache_size:
            return self
        other = copy.copy(self)
        Transform.__init__(other, cache_size)
        return other

    def __call__(self, x: Tensor) -> Tensor:
        """y of an x."""
        if self._pair is not None and x is self._pair[0]:
            return self._pair[1]
        y = self._call(x)
        if self._cache_size:
            self._pair = x, y
        return y

    def _inv_call(self, y: Tensor) -> Tensor:
        if self._pair is not None and y is self._pair[1]:
            return self._pair[0]
        x = self._inverse(y)
        if self._cache_size:
            self._pair = x, y
        return x

    def _call(self, x: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no _call")

    def _inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} has no inverse")

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |dy / dx|``, of ``x``'s shape without the event's dimensions."""
        raise NotImplementedError(f"{type(self).__name__} does not preserve volume in a way that has a density")

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return tuple(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _Inverse(Transform):
    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self._transform = transform
        self.bijective = transform.bijective
        self.domain, self.codomain = transform.codomain, transform.domain
        self.sign = transform.sign

    @property
    def inv(self) -> Transform:
        """The transform itself."""
        return self._transform

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same with another cache_size."""
        return self._transform.with_cache(cache_size).inv

    def __call__(self, x: Tensor) -> Tensor:
        return self._transform._inv_call(x)

    def _inv_call(self, y: Tensor) -> Tensor:
        return self._transform(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``-log |dx / dy|``."""
        return -self._transform.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        return self._transform.inverse_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return self._transform.forward_shape(shape)

    def __repr__(self) -> str:
        return f"{self._transform}.inv"


def sum_rightmost(value: Tensor, dims: int) -> Tensor:
    """The sums over the last ``dims`` dimensions."""
    return value if dims == 0 else value.flatten(value.ndim - dims).sum(-1)


def _with_parameters(shape: Sequence[int], *parameters: Any) -> tuple[int, ...]:
    """The shape, broadcast with those of the parameters that are tensors."""
    return tuple(at.broadcast_shapes(shape, *(p.shape for p in parameters if isinstance(p, Tensor))))


class ComposeTransform(Transform):
    """Several, one after another: ``parts[-1](... parts[0](x))``.

    >>> both = transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(1.0, 2.0)])
    >>> both(at.tensor(0.0))
    tensor(3.)
    """

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = [part.with_cache(cache_size) for part in parts] if cache_size else list(parts)
        self.bijective = all(part.bijective for part in self.parts)
        self.domain = self._outer([p.domain for p in self.parts], [p.codomain for p in self.parts])
        backwards = self.parts[::-1]
        self.codomain = self._outer([p.codomain for p in backwards], [p.domain for p in backwards])
        signs = [part.sign for part in self.parts]
        self.sign = None if any(s is None for s in signs) else math.prod(signs) if signs else 1

    @staticmethod
    def _outer(entries: list[Any], exits: list[Any]) -> Any:
        """The first entry, with as many dimensions as the chain needs there."""
        if not entries:
            return constraints.real
        needed = exits[-1].event_dim
        for entry, leave in zip(entries[::-1], exits[::-1], strict=True):
            needed = max(entry.event_dim, needed + entry.event_dim - leave.event_dim)
        more = needed - entries[0].event_dim
        return constraints.independent(entries[0], more) if more else entries[0]

    def with_cache(self, cache_size: int = 1) -> Transform:
        """The same with another cache_size, which is that of the parts."""
        return self if cache_size == self._cache_size else ComposeTransform(self.parts, cache_size)

    @property
    def inv(self) -> Transform:
        """The inverses, in the other order."""
        return ComposeTransform([part.inv for part in reversed(self.parts)])

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def _inv_call(self, y: Tensor) -> Tensor:
        for part in reversed(self.parts):
            y = part._inv_call(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of the parts'."""
        if not self.parts:
            return at.zeros_like(x)
        points = [x]
        for part in self.parts[:-1]:
            points.append(part(points[-1]))
        points.append(y)
        stretches = []
        event_dim = self.domain.event_dim
        for part, before, after in zip(self.parts, points[:-1], points[1:], strict=True):
            stretches.append(sum_rightmost(part.log_abs_det_jacobian(before, after), event_dim - part.domain.event_dim))
            event_dim += part.codomain.event_dim - part.domain.event_dim
        return sum(stretches[1:], stretches[0])

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        for part in self.parts:
            shape = part.forward_shape(shape)
        return tuple(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return tuple(shape)

    def __repr__(self) -> str:
        return f"ComposeTransform({self.parts})"


identity_transform = ComposeTransform([])


class IndependentTransform(Transform):
    """Whose last ``reinterpreted_batch_ndims`` batch dimensions belong to one value.

    >>> transforms.IndependentTransform(transforms.ExpTransform(), 1).event_dim
    1
    """

    def __init__(self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform.with_cache(cache_size) if cache_size else base_transform
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.bijective, self.sign = base_transform.bijective, base_transform.sign
        self.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims)
        self.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims)

    def _call(self, x: Tensor) -> Tensor:
        return self.base_transform(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return self.base_transform._inv_call(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The sum of the base's."""
        return sum_rightmost(self.base_transform.log_abs_det_jacobian(x, y), self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's."""
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform}, {self.reinterpreted_batch_ndims})"


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


class ExpTransform(Transform):
    """``exp(x)``.

    >>> transforms.ExpTransform()(at.tensor(0.0))
    tensor(1.)
    """

    codomain = constraints.positive
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.exp()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """x."""
        return x


class PowerTransform(Transform):
    """``x ** exponent`` of positive numbers.

    >>> transforms.PowerTransform(2.0)(at.tensor(3.0))
    tensor(9.)
    """

    domain = constraints.positive
    codomain = constraints.positive
    bijective = True

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        """The exponent's."""
        return self.exponent.sign() if isinstance(self.exponent, Tensor) else math.copysign(1, self.exponent)

    def _call(self, x: Tensor) -> Tensor:
        return x.pow(self.exponent)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |exponent y / x|``."""
        slope: Tensor = self.exponent * y / x
        return slope.abs().log()

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's: that of x and the exponent together."""
        return _with_parameters(shape, self.exponent)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return _with_parameters(shape, self.exponent)


class SigmoidTransform(Transform):
    """``1 / (1 + exp(-x))``.

    >>> transforms.SigmoidTransform()(at.tensor(0.0))
    tensor(0.5000)
    """

    codomain = constraints.unit_interval
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        info = at.finfo(x.dtype)
        return at.sigmoid(x).clamp(info.tiny, 1 - info.eps)

    def _inverse(self, y: Tensor) -> Tensor:
        info = at.finfo(y.dtype)
        y = y.clamp(info.tiny, 1 - info.eps)
        return y.log() - at.log1p(-y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``-log(1 + exp(-x)) - log(1 + exp(x))``."""
        return -softplus(-x) - softplus(x)


class SoftplusTransform(Transform):
    """``log(1 + exp(x))``.

    >>> transforms.SoftplusTransform()(at.tensor(0.0))
    tensor(0.6931)
    """

    codomain = constraints.positive
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return softplus(x)

    def _inverse(self, y: Tensor) -> Tensor:
        return (-at.expm1(-y)).log() + y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``-log(1 + exp(-x))``."""
        return -softplus(-x)


class TanhTransform(Transform):
    """``tanh(x)``; with ``cache_size=1`` the way back from what was just computed is exact.

    >>> transforms.TanhTransform(cache_size=1)(at.tensor(0.0))
    tensor(0.)
    """

    codomain = constraints.interval(-1.0, 1.0)
    bijective = True
    sign = 1

    def _call(self, x: Tensor) -> Tensor:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Tensor:
        return at.atanh(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log(1 - tanh(x)²)``, as ``2 (log(2) - x - softplus(-2 x))``, which no x rounds to 0."""
        return 2 * (math.log(2) - x - softplus(-2 * x))


class AbsTransform(Transform):
    """``|x|``, which is not invertible: the inverse answers the positive one.

    >>> transforms.AbsTransform()(at.tensor(-1.0))
    tensor(1.)
    """

    codomain = constraints.nonnegative

    def _call(self, x: Tensor) -> Tensor:
        return x.abs()

    def _inverse(self, y: Tensor) -> Tensor:
        return y


class AffineTransform(Transform):
    """``loc + scale x``, where the last ``event_dim`` dimensions are one value.

    >>> transforms.AffineTransform(1.0, 2.0)(at.tensor(3.0))
    tensor(7.)
    """

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        self.domain = self.codomain = (
            constraints.independent(constraints.real, event_dim) if event_dim else constraints.real
        )

    @property
    def sign(self) -> Any:
        """The scale's."""
        return self.scale.sign() if isinstance(self.scale, Tensor) else math.copysign(1, self.scale)

    def _call(self, x: Tensor) -> Tensor:
        y: Tensor = self.loc + self.scale * x
        return y

    def _inverse(self, y: Tensor) -> Tensor:
        x: Tensor = (y - self.loc) / self.scale
        return x

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """``log |scale|``."""
        scale = self.scale if isinstance(self.scale, Tensor) else at.full_like(x, float(self.scale))
        shape = at.broadcast_shapes(x.shape, y.shape)
        return sum_rightmost(scale.abs().log().expand(shape), self.event_dim)

    def forward_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of y, of x's: that of x, loc and scale together."""
        return _with_parameters(shape, self.loc, self.scale)

    def inverse_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of x, of y's."""
        return _with_parameters(shape, self.loc, self.scale)


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


class CumulativeDistributionTransform(Transform):
    """The cdf of a distribution, which makes its values uniform.

    >>> transforms.CumulativeDistributionTransform(Normal(0.0, 1.0))(at.tensor(0.0))
    tensor(0.5000)
    """

    bijective = True
    codomain = constraints.unit_interval
    sign = 1

    def __init__(self, distribution: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.distribution = distribution

    @property
    def domain(self) -> Any:
        """The distribution's support."""
        return self.distribution.support

    def _call(self, x: Tensor) -> Tensor:
        value: Tensor = self.distribution.cdf(x)
        return value

    def _inverse(self, y: Tensor) -> Tensor:
        value: Tensor = self.distribution.icdf(y)
        return value

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """The log-density."""
        value: Tensor = self.distribution.log_prob(x)
        return value
