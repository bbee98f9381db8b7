"""Divergences are the expected difference of log-densities: by quadrature, by sums, and for vectors by draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from families import make, tensor
from scipy import integrate

import atled.core as at
from atled import distributions as D

A, B = {"concentration": 2.0, "rate": 1.5}, {"concentration": 3.5, "rate": 0.8}
NUMBERS: dict[str, tuple[Any, Any, tuple[float, float]]] = {
    "Beta": (
        make("Beta", concentration1=2.0, concentration0=3.0),
        make("Beta", concentration1=1.5, concentration0=4.0),
        (0, 1),
    ),
    "Cauchy": (make("Cauchy", loc=0.0, scale=1.0), make("Cauchy", loc=1.0, scale=2.0), (-np.inf, np.inf)),
    "ContinuousBernoulli": (make("ContinuousBernoulli", probs=0.3), make("ContinuousBernoulli", probs=0.8), (0, 1)),
    "Exponential": (make("Exponential", rate=1.5), make("Exponential", rate=0.5), (0, np.inf)),
    "Gamma": (make("Gamma", **A), make("Gamma", **B), (0, np.inf)),
    "InverseGamma": (make("InverseGamma", **A), make("InverseGamma", **B), (0, np.inf)),
    "Gumbel": (make("Gumbel", loc=0.0, scale=1.0), make("Gumbel", loc=1.0, scale=2.0), (-8, 60)),
    "HalfCauchy": (make("HalfCauchy", scale=1.0), make("HalfCauchy", scale=2.0), (0, np.inf)),
    "HalfNormal": (make("HalfNormal", scale=1.0), make("HalfNormal", scale=2.0), (0, np.inf)),
    "Laplace": (make("Laplace", loc=0.0, scale=1.0), make("Laplace", loc=1.0, scale=2.0), (-60, 60)),
    "LogNormal": (make("LogNormal", loc=0.0, scale=1.0), make("LogNormal", loc=1.0, scale=0.7), (0, np.inf)),
    "Normal": (make("Normal", loc=0.0, scale=1.0), make("Normal", loc=1.0, scale=2.0), (-40, 40)),
    "Pareto": (make("Pareto", scale=2.0, alpha=3.0), make("Pareto", scale=1.0, alpha=2.0), (2, np.inf)),
    "Uniform": (make("Uniform", low=0.0, high=1.0), make("Uniform", low=-1.0, high=2.0), (0, 1)),
    "Exponential and Gamma": (make("Exponential", rate=1.5), make("Gamma", **B), (0, np.inf)),
    "Gamma and Exponential": (make("Gamma", **A), make("Exponential", rate=0.5), (0, np.inf)),
    "Gamma and Normal": (make("Gamma", **A), make("Normal", loc=1.0, scale=2.0), (0, 60)),
    "Uniform and Normal": (make("Uniform", low=0.0, high=1.0), make("Normal", loc=1.0, scale=2.0), (0, 1)),
    "Kumaraswamy": (
        make("Kumaraswamy", concentration1=2.0, concentration0=3.0),
        make("Kumaraswamy", concentration1=2.0, concentration0=1.5),
        (0, 1),
    ),
    "Weibull": (make("Weibull", scale=1.5, concentration=2.0), make("Weibull", scale=0.8, concentration=1.2), (0, 30)),
}
# p and q by name, from where to where p is integrated.
PLACES: dict[str, tuple[Any, tuple[float, float]]] = {
    "Beta": (make("Beta", concentration1=2.0, concentration0=3.0), (0, 1)),
    "Chi2": (make("Chi2", df=3.0), (0, 80)),
    "ContinuousBernoulli": (make("ContinuousBernoulli", probs=0.3), (0, 1)),
    "Exponential": (make("Exponential", rate=1.5), (0, 30)),
    "Gamma": (make("Gamma", **A), (0, 40)),
    "Gumbel": (make("Gumbel", loc=1.0, scale=2.0), (-8, 60)),
    "Laplace": (make("Laplace", loc=0.3, scale=0.7), (-60, 60)),
    "Normal": (make("Normal", loc=1.0, scale=0.8), (-20, 20)),
    "Pareto": (make("Pareto", scale=0.2, alpha=3.0), (0.2, np.inf)),
    "Uniform": (make("Uniform", low=0.25, high=0.75), (0.25, 0.75)),
    "Uniform from 0": (make("Uniform", low=0.0, high=0.5), (0, 0.5)),
    "Uniform around": (make("Uniform", low=-0.5, high=1.5), (-0.5, 1.5)),
}
FINITE: dict[str, tuple[str, ...]] = {
    "Beta": ("Chi2", "ContinuousBernoulli", "Exponential", "Gamma", "Uniform around"),
    "Chi2": ("Gumbel",),
    "ContinuousBernoulli": ("Exponential", "Normal", "Uniform around"),
    "Exponential": ("Gumbel",),
    "Gamma": ("Gumbel",),
    "Normal": ("Gumbel", "Laplace"),
    "Pareto": ("Chi2", "Exponential", "Gamma", "Normal"),
    "Uniform": ("Beta", "Chi2", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel", "Pareto"),
    "Uniform from 0": ("Beta", "Chi2", "ContinuousBernoulli", "Exponential", "Gamma", "Gumbel"),
    "Uniform around": ("Gumbel",),
}
NUMBERS |= {f"{p} and {q}": (PLACES[p][0], PLACES[q][0], PLACES[p][1]) for p, others in FINITE.items() for q in others}
_BOUNDED, _POSITIVE = ("Beta", "ContinuousBernoulli", "Uniform"), ("Exponential", "Gamma", "Chi2", "Pareto")
INFINITE: dict[str, tuple[str, ...]] = {
    "Beta": ("Pareto", "Uniform"),
    "Chi2": (*_BOUNDED, "Pareto"),
    "ContinuousBernoulli": ("Pareto", "Uniform"),
    "Exponential": (*_BOUNDED, "Pareto"),
    "Gamma": (*_BOUNDED, "Pareto"),
    "Gumbel": _BOUNDED + _POSITIVE,
    "Laplace": _BOUNDED + _POSITIVE,
    "Normal": _BOUNDED + _POSITIVE,
    "Pareto": _BOUNDED,
    "Uniform from 0": ("Pareto",),
    "Uniform around": ("Beta", "Chi2", "ContinuousBernoulli", "Exponential", "Gamma", "Pareto"),
}
COUNTS: dict[str, tuple[Any, Any, int]] = {
    "Bernoulli": (make("Bernoulli", probs=0.3), make("Bernoulli", probs=0.8), 2),
    "Bernoulli and Poisson": (make("Bernoulli", probs=0.3), make("Poisson", rate=0.7), 2),
    "Binomial": (make("Binomial", total_count=4, probs=0.3), make("Binomial", total_count=4, probs=0.8), 5),
    "Categorical": (make("Categorical", probs=[0.2, 0.8]), make("Categorical", probs=[0.5, 0.5]), 2),
    "Geometric": (make("Geometric", probs=0.3), make("Geometric", probs=0.8), 150),
    "Poisson": (make("Poisson", rate=2.0), make("Poisson", rate=3.0), 60),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_of_numbers(name: str) -> None:
    p, q, (low, high) = NUMBERS[name]

    def term(v: float) -> float:
        point = tensor(v)
        mine = p.log_prob(point).item()
        return float(np.exp(mine) * (mine - q.log_prob(point).item())) if np.exp(mine) else 0.0

    expected, _ = integrate.quad(term, low, high, limit=200)
    np.testing.assert_allclose(D.kl_divergence(p, q).item(), expected, rtol=1e-6)


@pytest.mark.parametrize(("p", "q"), [(p, q) for p, others in INFINITE.items() for q in others])
def test_values_that_the_other_never_has(p: str, q: str) -> None:
    first, second = PLACES[p][0].expand((3, 1)), PLACES[q][0].expand((2,))
    found = D.kl_divergence(first, second)
    assert found.dtype is at.float64 and found.shape == (3, 2) and (found == at.inf).all()


def test_whether_a_divergence_is_finite_is_told_for_each() -> None:
    p = make("Pareto", scale=[1.0, 1.0, 1.0], alpha=[0.5, 1.5, 2.5])
    finite = D.kl_divergence(p, make("Exponential", rate=1.0)).isfinite()
    assert finite.tolist() == D.kl_divergence(p, make("Gamma", **A)).isfinite().tolist() == [False, True, True]
    assert D.kl_divergence(p, make("Normal", loc=0.0, scale=1.0)).isfinite().tolist() == [False, False, True]
    p = make("Uniform", low=[-0.1, 0.0, 0.5], high=[0.5, 1.0, 1.1])
    assert D.kl_divergence(p, PLACES["Beta"][0]).isfinite().tolist() == [False, True, False]
    assert D.kl_divergence(p, PLACES["Gamma"][0]).isfinite().tolist() == [False, True, True]
    assert D.kl_divergence(p, PLACES["Pareto"][0]).isfinite().tolist() == [False, False, True]
    assert D.kl_divergence(make("Poisson", rate=[1.0, 2.0]), make("Bernoulli", probs=0.5)).tolist() == [at.inf] * 2
    assert D.kl_divergence(make("Poisson", rate=1.0), make("Binomial", total_count=9, probs=0.5)).item() == at.inf
    kumaraswamys = (make("Kumaraswamy", concentration1=a, concentration0=2.0) for a in (1.0, 2.0))
    with pytest.raises(NotImplementedError, match="one concentration1"):
        D.kl_divergence(*kumaraswamys)


def test_narrow_intervals() -> None:
    for width in (1e-3, 1e-9):  # of which the density of q is nearly constant
        p = make("Uniform", low=2.0, high=2.0 + width)
        q = make("Gamma", **A)
        expected = -np.log(width) - q.log_prob(tensor(2.0 + width / 2)).item()
        np.testing.assert_allclose(D.kl_divergence(p, q).item(), expected, rtol=1e-6)


def test_gradients_where_some_are_infinite() -> None:
    autograd = pytest.importorskip("atled.autograd")
    for name in ("Beta", "Gamma", "Pareto"):
        low, high = tensor([-0.5, 0.0, 0.25]).requires_grad_(), tensor([0.5, 0.5, 0.5]).requires_grad_()
        divergence = D.kl_divergence(D.Uniform(low, high), PLACES[name][0])
        slopes = np.asarray(autograd.grad(divergence[1:].sum(), [high])[0])
        assert slopes[0] == 0 and slopes[2] != 0 and np.isfinite(slopes).all()


@pytest.mark.parametrize("name", COUNTS)
def test_of_counts(name: str) -> None:
    p, q, n = COUNTS[name]
    values = at.arange(n, dtype=at.float64)
    mine = np.asarray(p.log_prob(values))
    expected = (np.exp(mine) * (mine - np.asarray(q.log_prob(values)))).sum()
    np.testing.assert_allclose(D.kl_divergence(p, q).item(), expected, rtol=1e-9)


def test_of_vectors() -> None:
    rng = np.random.default_rng(0)
    roots = rng.standard_normal((2, 3, 3))
    first, second = roots @ roots.swapaxes(-1, -2) + np.eye(3)
    loc = rng.standard_normal((2, 3))
    inverse = np.linalg.inv(second)
    apart = loc[1] - loc[0]
    expected = 0.5 * (
        np.trace(inverse @ first)
        + apart @ inverse @ apart
        - 3
        + np.linalg.slogdet(second)[1]
        - np.linalg.slogdet(first)[1]
    )
    p, q = (
        make("MultivariateNormal", loc=loc[0], covariance_matrix=first),
        make("MultivariateNormal", loc=loc[1], covariance_matrix=second),
    )
    np.testing.assert_allclose(D.kl_divergence(p, q).item(), expected)
    low = make("LowRankMultivariateNormal", loc=loc[1], cov_factor=roots[1], cov_diag=[1.0, 1.0, 1.0])
    np.testing.assert_allclose(D.kl_divergence(p, low).item(), expected)
    at.manual_seed(0)
    for p, q in (
        (make("Dirichlet", concentration=[1.0, 2.0, 3.0]), make("Dirichlet", concentration=[2.0, 2.0, 2.0])),
        (make("Wishart", df=5.0, covariance_matrix=first), make("Wishart", df=6.5, covariance_matrix=second)),
    ):
        drawn = p.sample((20000,))
        difference = np.asarray(p.log_prob(drawn) - q.log_prob(drawn))
        error = difference.std() / len(difference) ** 0.5
        assert abs(D.kl_divergence(p, q).item() - difference.mean()) < 4 * error


def test_what_lies_outside_is_infinite_and_what_is_unknown_says_so() -> None:
    assert D.kl_divergence(make("Uniform", low=-2.0, high=1.0), make("Uniform", low=0.0, high=1.0)).item() == np.inf
    p, q = make("Categorical", probs=[1.0, 0.0]), make("Categorical", probs=[0.0, 1.0])
    assert D.kl_divergence(p, q).item() == np.inf and D.kl_divergence(p, p).item() == 0
    with pytest.raises(NotImplementedError, match="Normal and Poisson; register_kl adds"):
        D.kl_divergence(make("Normal", loc=0.0, scale=1.0), make("Poisson", rate=1.0))
    scaled = [
        D.TransformedDistribution(make("Normal", loc=0.0, scale=1.0), D.AffineTransform(0.0, s)) for s in (1.0, 2.0)
    ]
    with pytest.raises(NotImplementedError, match="the same transforms"):
        D.kl_divergence(*scaled)
    for event_dim in (0, 1):  # equal ones that were made apart
        p, q = (
            D.TransformedDistribution(
                make("Normal", loc=[m], scale=[1.0]),
                [D.AffineTransform(tensor([2.0]), 3.0, event_dim, cache), D.ComposeTransform([D.TanhTransform()])],
            )
            for m, cache in ((0.0, 0), (1.0, 1))
        )
        assert D.kl_divergence(p, q).item() == 0.5
    # Both folded are one distribution.
    folded = [D.TransformedDistribution(make("Normal", loc=m, scale=1.0), D.AbsTransform()) for m in (1.0, -1.0)]
    with pytest.raises(NotImplementedError, match="which have an inverse"):
        D.kl_divergence(*folded)
    relaxed = [D.RelaxedOneHotCategorical(t, tensor([0.5, 0.5])) for t in (0.5, 5.0)]
    with pytest.raises(NotImplementedError, match="ExpRelaxedCategorical"):
        D.kl_divergence(*relaxed)


def test_large_concentrations_of_float32() -> None:
    for family, given in (
        (D.Gamma, [(1e6, 1.0), (1.001e6, 1.0)]),
        (D.Beta, [(1e6, 2e6), (1.001e6, 2e6)]),
    ):
        p, q = (family(*map(at.tensor, numbers)) for numbers in given)
        wide = [family(*(tensor(at.tensor(v).item()) for v in numbers)) for numbers in given]
        got, expected = D.kl_divergence(p, q), D.kl_divergence(*wide)
        assert got.dtype is at.float32
        np.testing.assert_allclose(got.item(), expected.item(), rtol=1e-5)


def test_gradients_beside_classes_that_are_ruled_out() -> None:
    autograd = pytest.importorskip("atled.autograd")
    values = [tensor([1.0, 0.5, -np.inf]).requires_grad_(), tensor([0.2, 0.0, -np.inf]).requires_grad_()]
    p, q = (D.Categorical(logits=v) for v in values)
    got = autograd.grad(D.kl_divergence(p, q), values)
    few = [at.detach(v[:2]).requires_grad_() for v in values]
    expected = autograd.grad(D.kl_divergence(*(D.Categorical(logits=v) for v in few)), few)
    for mine, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(np.asarray(mine), [*np.asarray(reference), 0.0])


def test_independent_and_own_formulas() -> None:
    p, q = (D.Independent(make("Normal", loc=[0.0, m], scale=[1.0, 1.0]), 1) for m in (0.0, 2.0))
    np.testing.assert_allclose(D.kl_divergence(p, q).item(), 2.0)

    class Mine(D.Normal):
        pass

    mine = Mine(tensor(0.0), tensor(1.0))
    assert D.kl_divergence(mine, mine).item() == 0  # the nearest ancestor's

    @D.register_kl(Mine, Mine)
    def _(p: Mine, q: Mine) -> at.Tensor:
        return at.tensor(7.0)

    assert D.kl_divergence(mine, mine).item() == 7
    with pytest.raises(at.ArgumentError, match="subclasses of Distribution"):
        D.register_kl(int, Mine)
