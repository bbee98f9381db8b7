"""Kullback and Leibler's divergence between two distributions, by formulas for pairs of families."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import atled.core as at
from atled.core import Tensor

from ._categorical import Categorical, OneHotCategorical
from ._compound import Independent, TransformedDistribution
from ._discrete import Bernoulli, Binomial, Geometric, Poisson, softplus
from ._distribution import EULER, Distribution
from ._gamma import Beta, Dirichlet, Gamma, InverseGamma, log_inverse_beta
from ._normal import Cauchy, Gumbel, HalfCauchy, HalfNormal, Laplace, Normal, Uniform
from ._positive import Exponential, Kumaraswamy, Pareto, Weibull
from ._relaxed import ContinuousBernoulli
from ._transform import Transform, sum_rightmost
from ._vectors import LowRankMultivariateNormal, MultivariateNormal, Wishart, half_log_det, square_distance
from .constraints import Constraint

__all__ = ["kl_divergence", "register_kl"]

Formula = TypeVar("Formula", bound=Callable[[Any, Any], Tensor])
_formulas: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}
_found: dict[tuple[type, type], Callable[[Any, Any], Tensor] | None] = {}  # of the pairs that were asked for


def register_kl(type_p: type, type_q: type) -> Callable[[Formula], Formula]:
    """Makes a function of p and q the divergence of these types, and of subclasses that have no nearer one.

    >>> class Mine(Normal): ...
    >>> @register_kl(Mine, Normal)
    ... def mine_and_normal(p, q):
    ...     return at.zeros(p.batch_shape)
    >>> kl_divergence(Mine(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.)
    """
    for given in (type_p, type_q):
        if not (isinstance(given, type) and issubclass(given, Distribution)):
            raise at.ArgumentError(f"register_kl: expected subclasses of Distribution, got {given!r}")

    def register(formula: Formula) -> Formula:
        _formulas[type_p, type_q] = formula
        _found.clear()
        return formula

    return register


def _find(type_p: type, type_q: type) -> Callable[[Any, Any], Tensor] | None:
    """The formula of the nearest ancestors of both, those of p first."""
    if (type_p, type_q) not in _found:
        pairs = ((p, q) for p in type_p.__mro__ for q in type_q.__mro__)
        _found[type_p, type_q] = next((_formulas[pair] for pair in pairs if pair in _formulas), None)
    return _found[type_p, type_q]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """The expected ``log p(x) - log q(x)`` for x of p, in nats: a number for each of the batch.

    NotImplementedError where the pair has no formula; ``register_kl`` adds one.

    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    formula = _find(type(p), type(q))
    if formula is None:
        raise at.NotImplementedOpError(
            f"kl_divergence: expected a pair with a formula, got {type(p).__name__} and {type(q).__name__}; "
            "register_kl adds one, or take the mean of p.log_prob(x) - q.log_prob(x) over draws x of p"
        )
    return formula(p, q)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Tensor:
    a, b = p._finite_logits, q._finite_logits
    return p.probs * (softplus(-b) - softplus(-a)) + (1 - p.probs) * (softplus(b) - softplus(a))


@register_kl(Binomial, Binomial)
def _binomial(p: Binomial, q: Binomial) -> Tensor:
    if (p.total_count < q.total_count).any():
        raise at.NotImplementedOpError(
            "kl_divergence: Binomials with fewer trials than the other's have no closed form"
        )
    one = _bernoulli(Bernoulli(logits=p.logits, validate_args=False), Bernoulli(logits=q.logits, validate_args=False))
    return at.where(p.total_count > q.total_count, math.inf, p.total_count * one)


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Tensor:
    # Masked before the product: there the gradient of infinite logits would be NaN.
    apart = at.where(p.probs == 0, 0.0, p.logits - q.logits)
    return at.where((q.probs == 0) & (p.probs > 0), math.inf, p.probs * apart).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Tensor:
    return _categorical(
        Categorical(logits=p.logits, validate_args=False), Categorical(logits=q.logits, validate_args=False)
    )


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Tensor:
    return -p.entropy() - at.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Tensor:
    return at.xlogy(p.rate, p.rate) - at.xlogy(p.rate, q.rate) - (p.rate - q.rate)


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Tensor:
    ratio = (p.scale / q.scale).square()
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).square() - 1 - ratio.log())


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Tensor:
    ratio, apart = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + apart / q.scale + ratio * at.exp(-apart / p.scale) - 1


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Cauchy, q: Cauchy) -> Tensor:
    # Chyzak & Nielsen 2019, "A closed-form formula for the Kullback-Leibler divergence between Cauchy distributions".
    wide = (p.scale + q.scale).square() + (p.loc - q.loc).square()
    return wide.log() - (4 * p.scale * q.scale).log()


def _halves(p: HalfNormal | HalfCauchy, q: HalfNormal | HalfCauchy) -> Tensor:
    # Both halves of an even distribution contribute the same.
    return kl_divergence(p._whole, q._whole)


register_kl(HalfNormal, HalfNormal)(_halves)
register_kl(HalfCauchy, HalfCauchy)(_halves)


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Gumbel, q: Gumbel) -> Tensor:
    ratio = p.scale / q.scale
    apart = (p.loc - q.loc) / q.scale
    return -ratio.log() + EULER * (ratio - 1) + apart + at.exp(-apart + at.lgamma(1 + ratio)) - 1


@register_kl(Weibull, Weibull)
def _weibull(p: Weibull, q: Weibull) -> Tensor:
    # The minus logarithm of a Weibull variable is a Gumbel one.
    return _gumbel(*(Gumbel(-d.scale.log(), d.concentration.reciprocal(), validate_args=False) for d in (p, q)))


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Tensor:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Kumaraswamy, Kumaraswamy)
def _kumaraswamy(p: Kumaraswamy, q: Kumaraswamy) -> Tensor:
    if not (p.concentration1 == q.concentration1).all():
        raise at.NotImplementedOpError("kl_divergence: Kumaraswamys of one concentration1 only have a closed form")
    # Of both, -log(1 - x^concentration1) is exponential then.
    return _exponential(*(Exponential(d.concentration0, validate_args=False) for d in (p, q)))


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Tensor:
    inside = (q.low <= p.low) & (p.high <= q.high)
    return at.where(inside, ((q.high - q.low) / (p.high - p.low)).log(), math.inf)


@register_kl(Pareto, Pareto)
def _pareto(p: Pareto, q: Pareto) -> Tensor:
    ratio = q.alpha / p.alpha
    found = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return at.where(p.scale < q.scale, math.inf, found)


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Tensor:
    # In double, as large terms cancel.
    a, b, rate, other = (t.to(at.float64) for t in (p.concentration, q.concentration, p.rate, q.rate))
    terms = b * (rate / other).log() + at.lgamma(b) - at.lgamma(a) + (a - b) * at.digamma(a)
    return (terms + (other - rate) * (a / rate)).to(at.promote_types(p._dtype, q._dtype))


@register_kl(InverseGamma, InverseGamma)
def _inverse_gamma(p: InverseGamma, q: InverseGamma) -> Tensor:
    return _gamma(*(Gamma(d.concentration, d.rate, validate_args=False) for d in (p, q)))


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Tensor:
    pairs = ((d.concentration1, d.concentration0) for d in (p, q))
    return _dirichlet(*(Dirichlet(at.stack(at.broadcast_tensors(*pair), -1), validate_args=False) for pair in pairs))


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Tensor:
    a, b = (d.concentration.to(at.float64) for d in (p, q))
    total = a.sum(-1)
    expected = at.digamma(a) - at.digamma(total).unsqueeze(-1)
    sizes = at.lgamma(total) - at.lgamma(b.sum(-1))
    terms = sizes - (at.lgamma(a) - at.lgamma(b)).sum(-1) + ((a - b) * expected).sum(-1)
    return terms.to(at.promote_types(p._dtype, q._dtype))


def _mass(factor: Tensor, other: Tensor) -> Tensor:
    """The sum of the squares of ``L⁻¹ M``: the trace of ``(L Lᵀ)⁻¹ M Mᵀ``."""
    batch = at.broadcast_shapes(factor.shape[:-2], other.shape[:-2])
    solved = at.linalg.solve_triangular(
        factor.expand(*batch, *factor.shape[-2:]), other.expand(*batch, *other.shape[-2:]), upper=False
    )
    return solved.square().sum((-2, -1))


Normals = MultivariateNormal | LowRankMultivariateNormal


def _vectors(p: Normals, q: Normals) -> Tensor:
    if p.event_shape != q.event_shape:
        raise at.ShapeError(
            f"kl_divergence: expected vectors of one length, got {tuple(p.event_shape)} and {tuple(q.event_shape)}"
        )
    first, second = p.scale_tril, q.scale_tril
    dets = half_log_det(second) - half_log_det(first)
    return dets + 0.5 * (_mass(second, first) + square_distance(second, q.loc - p.loc) - p.event_shape[0])


for _one in (MultivariateNormal, LowRankMultivariateNormal):
    for _other in (MultivariateNormal, LowRankMultivariateNormal):
        register_kl(_one, _other)(_vectors)


@register_kl(Wishart, Wishart)
def _wishart(p: Wishart, q: Wishart) -> Tensor:
    n = p.event_shape[0]
    dets = half_log_det(q.scale_tril) - half_log_det(p.scale_tril)
    expected = at.digamma(p._halves()).sum(-1)
    return (
        q.df * dets
        + 0.5 * p.df * (_mass(q.scale_tril, p.scale_tril) - n)
        + q._log_gammas()
        - p._log_gammas()
        + 0.5 * (p.df - q.df) * expected
    )


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Tensor:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise at.NotImplementedOpError("kl_divergence: Independents of equally many dimensions only have a formula")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: TransformedDistribution, q: TransformedDistribution) -> Tensor:
    # The same invertible map of both changes nothing.
    same = len(p.transforms) == len(q.transforms) and all(
        a.bijective and _are_equal(a, b) for a, b in zip(p.transforms, q.transforms, strict=True)
    )
    if not same or p.event_shape != q.event_shape:
        raise at.NotImplementedOpError(
            "kl_divergence: TransformedDistributions of the same transforms, which have an inverse, only have a formula"
        )
    return kl_divergence(p.base_dist, q.base_dist)


def _are_equal(a: Any, b: Any) -> bool:
    """Whether two transforms, or parameters of them, are the same."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        return a.shape == b.shape and bool((a == b).all())
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_are_equal, a, b))
    if isinstance(a, Transform):
        names = vars(a).keys() - {"_cache_size", "_pair"}
        return names == vars(b).keys() - {"_cache_size", "_pair"} and all(
            _are_equal(getattr(a, name), getattr(b, name)) for name in names
        )
    return repr(a) == repr(b) if isinstance(a, Constraint) else bool(a == b)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Tensor:
    return _gamma(Gamma(at.ones_like(p.rate), p.rate, validate_args=False), q)


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Tensor:
    return _gamma(p, Gamma(at.ones_like(q.rate), q.rate, validate_args=False))


# ---- of two families: the mean of -log q(x) over x of p, and of log p(x), which is minus p's entropy ----


def _to_normal(p: Distribution, q: Normal) -> Tensor:
    squares = p.variance + (p.mean - q.loc).square()
    return 0.5 * squares / q.scale.square() + q.scale.log() + 0.5 * math.log(2 * math.pi) - p.entropy()


def _to_continuous_bernoulli(p: Distribution, q: ContinuousBernoulli) -> Tensor:
    return softplus(q.logits) - q._log_constant() - p.mean * q.logits - p.entropy()


def _to_exponential(p: Distribution, q: Exponential) -> Tensor:
    return q.rate * p.mean - q.rate.log() - p.entropy()


def _mean_log(p: Beta | Pareto | Uniform) -> Tensor:
    """The mean of log(x)."""
    if isinstance(p, Beta):
        return at.digamma(p.concentration1) - at.digamma(p.concentration1 + p.concentration0)
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    # By low / high, which may be next to each other; from 0 on, with gradients to high that are finite.
    low = at.where(p.low > 0, p.low, p.high / 2)
    width = (p.high - low) / low
    return p.high.log() - 1 + at.where(p.low > 0, at.log1p(width) / width, 0.0)


def _to_gamma(p: Beta | Pareto | Uniform, q: Gamma) -> Tensor:
    a = q.concentration
    return at.lgamma(a) - a * q.rate.log() - (a - 1) * _mean_log(p) + q.rate * p.mean - p.entropy()


def _to_pareto(p: Uniform, q: Pareto) -> Tensor:
    return (q.alpha + 1) * _mean_log(p) - q.alpha.log() - q.alpha * q.scale.log() - p.entropy()


def _to_beta(p: Uniform, q: Beta) -> Tensor:
    a, b = q.concentration1, q.concentration0
    mirrored = Uniform(1 - p.high, 1 - p.low, validate_args=False)
    return -(a - 1) * _mean_log(p) - (b - 1) * _mean_log(mirrored) - log_inverse_beta(a, b) - p.entropy()


def _to_uniform(p: Beta | ContinuousBernoulli, q: Uniform) -> Tensor:
    inside = (q.low <= 0) & (q.high >= 1)
    return at.where(inside, (q.high - q.low).log() - p.entropy(), math.inf)


for _kind in (Uniform, Laplace, Gumbel, Exponential, Gamma, Pareto, Beta, ContinuousBernoulli):
    register_kl(_kind, Normal)(_to_normal)
for _kind in (Beta, ContinuousBernoulli):
    register_kl(_kind, ContinuousBernoulli)(_to_continuous_bernoulli)
    register_kl(_kind, Uniform)(_to_uniform)
for _kind in (Beta, ContinuousBernoulli, Pareto):
    register_kl(_kind, Exponential)(_to_exponential)
for _kind in (Beta, Pareto):
    register_kl(_kind, Gamma)(_to_gamma)


def _inside(formula: Callable[[Uniform, Any], Tensor], high: float) -> Callable[[Uniform, Any], Tensor]:
    """The formula where p lies within q's support, from 0 or from a scale on to ``high``; infinite elsewhere."""

    def guarded(p: Uniform, q: Any) -> Tensor:
        inside = (p.low >= (q.scale if isinstance(q, Pareto) else 0.0)) & (p.high <= high)
        # Replaced before the formula: there the gradient of what is outside would be NaN.
        low, top = at.where(inside, p.low, 0.25), at.where(inside, p.high, 0.75)
        return at.where(inside, formula(Uniform(low, top, validate_args=False), q), math.inf)

    return guarded


register_kl(Uniform, Beta)(_inside(_to_beta, 1.0))
register_kl(Uniform, ContinuousBernoulli)(_inside(_to_continuous_bernoulli, 1.0))
register_kl(Uniform, Exponential)(_inside(_to_exponential, math.inf))
register_kl(Uniform, Gamma)(_inside(_to_gamma, math.inf))
register_kl(Uniform, Pareto)(_inside(_to_pareto, math.inf))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Normal, q: Laplace) -> Tensor:
    # The mean of |x - loc| is that of the folded normal distribution (Leone et al. 1961).
    apart = (p.loc - q.loc) / p.scale
    folded = math.sqrt(2 / math.pi) * at.exp(-apart.square() / 2) + apart * at.erf(apart / math.sqrt(2))
    return folded * p.scale / q.scale + (2 * q.scale).log() - p.entropy()


def _to_gumbel(p: Distribution, q: Gumbel, start: Tensor | float, log_moment: Tensor) -> Tensor:
    """By the logarithm of the mean of ``exp(-(x - start) / q.scale)``."""
    moment = at.exp(log_moment - (start - q.loc) / q.scale)
    return q.scale.log() + (p.mean - q.loc) / q.scale + moment - p.entropy()


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Normal, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, p.loc, (p.scale / q.scale).square() / 2)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Uniform, q: Gumbel) -> Tensor:
    width = (p.high - p.low) / q.scale
    return _to_gumbel(p, q, p.low, (-at.expm1(-width) / width).log())


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Gamma, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, 0.0, -p.concentration * at.log1p((p.rate * q.scale).reciprocal()))


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Exponential, q: Gumbel) -> Tensor:
    return _to_gumbel(p, q, 0.0, -at.log1p((p.rate * q.scale).reciprocal()))


def _infinite(p: Distribution, q: Distribution) -> Tensor:
    like = p.__dict__[p._given[0]]
    shape = at.broadcast_shapes(p.batch_shape, q.batch_shape)
    return at.full(shape, math.inf, dtype=at.promote_types(p._dtype, q._dtype), device=like.device)


# Where p has values that q never has, whatever the parameters are.
_Kinds = tuple[type[Distribution], ...]
_apart: tuple[tuple[_Kinds, _Kinds], ...] = (
    ((Normal, Laplace, Gumbel, Exponential, Gamma, Pareto), (Beta, ContinuousBernoulli, Uniform)),  # above all ends
    ((Normal, Laplace, Gumbel), (Exponential, Gamma, Pareto)),  # below 0
    ((Exponential, Gamma, Beta, ContinuousBernoulli), (Pareto,)),  # next to 0
    ((Poisson,), (Bernoulli, Binomial)),
)
for _kinds, _others in _apart:
    for _first, _second in itertools.product(_kinds, _others):
        register_kl(_first, _second)(_infinite)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Tensor:
    return q.rate - at.xlogy(p.probs, q.rate) - p.entropy()
