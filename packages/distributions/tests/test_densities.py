"""Densities, probabilities, moments and entropies are SciPy's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from families import CONTINUOUS, DISCRETE, make, tensor
from scipy import integrate, special, stats

import atled.core as at
from atled import distributions as D

RNG = np.random.default_rng(0)
SHARES = np.array([[0.1, 0.3, 0.7], [0.02, 0.5, 0.95]])


def close(got: at.Tensor, expected: Any, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), expected, rtol=rtol, atol=1e-12)


def has(call: Any) -> bool:
    try:
        call()
    except NotImplementedError:
        return False
    return True


@pytest.mark.parametrize("name", CONTINUOUS)
def test_of_numbers(name: str) -> None:
    ours, theirs = CONTINUOUS[name]
    values = theirs.ppf(SHARES)
    close(ours.log_prob(tensor(values)), theirs.logpdf(values))
    checks = {
        "cdf": (lambda: ours.cdf(tensor(values)), lambda: SHARES),
        "icdf": (lambda: ours.icdf(tensor(SHARES)), lambda: values),
        "entropy": (ours.entropy, theirs.entropy),
    }
    for what, (mine, reference) in checks.items():
        if has(mine):
            close(mine(), reference(), rtol=1e-8)
        else:
            assert name in {"cdf": "Beta FisherSnedecor StudentT VonMises", "entropy": "FisherSnedecor VonMises"}.get(
                what, "Beta Chi2 FisherSnedecor Gamma InverseGamma StudentT VonMises"
            )
    assert bool(ours.support.check(tensor(values)).all())
    if name not in ("Cauchy", "HalfCauchy", "VonMises"):
        close(ours.mean, theirs.mean())
        close(ours.variance, theirs.var())
        close(ours.stddev, theirs.std())


@pytest.mark.parametrize("name", DISCRETE)
def test_of_whole_numbers(name: str) -> None:
    ours, theirs = DISCRETE[name]
    values = np.array([[0.0], [1.0]]) if name == "Bernoulli" else np.array([[0.0], [1.0], [4.0]])
    close(ours.log_prob(tensor(values)), theirs.logpmf(values))
    close(ours.mean, theirs.mean())
    close(ours.variance, theirs.var())
    if has(ours.entropy):
        close(ours.entropy(), theirs.entropy())
    logits = type(ours)(
        **{k: getattr(ours, k) for k in ours.arg_constraints if k not in ("probs", "logits")},
        **({"logits": ours.logits} if hasattr(ours, "logits") else {}),
    )
    close(logits.log_prob(tensor(values)), theirs.logpmf(values), rtol=1e-8)


def test_modes_have_the_largest_density() -> None:
    for name in ("Beta", "FisherSnedecor", "Gamma", "InverseGamma", "Kumaraswamy", "LogNormal", "Weibull"):
        ours = make(name, **dict(zip(getattr(D, name).arg_constraints, ([2.5, 4.0], [3.0, 1.5]), strict=True)))
        mode = ours.mode
        assert bool((ours.log_prob(mode) >= at.maximum(ours.log_prob(mode * 0.99), ours.log_prob(mode * 1.01))).all())
    for name in ("Binomial", "Geometric", "NegativeBinomial", "Poisson"):
        ours, _ = DISCRETE[name]
        values = at.arange(7 if name == "Binomial" else 60, dtype=at.float64).unsqueeze(-1)
        best = at.exp(ours.log_prob(values)).amax(0)
        close(at.exp(ours.log_prob(ours.mode)), np.asarray(best))


def test_kumaraswamy_and_continuous_bernoulli_by_integrals() -> None:
    for ours in (
        make("Kumaraswamy", concentration1=2.5, concentration0=1.7),
        make("ContinuousBernoulli", probs=0.8),
        make("ContinuousBernoulli", probs=0.49999),
    ):

        def density(v: float, ours: Any = ours) -> float:
            return math.exp(ours.log_prob(tensor(v)).item())

        moments = [integrate.quad(lambda v, n=n: v**n * density(v), 0, 1)[0] for n in range(3)]
        entropy = -integrate.quad(lambda v: density(v) * math.log(density(v)), 0, 1)[0]
        expected = [1, moments[1], moments[2] - moments[1] ** 2, entropy]
        got = [ours.cdf(tensor(1.0)), ours.mean, ours.variance, ours.entropy()]
        np.testing.assert_allclose([moments[0], *(float(g.item()) for g in got[1:])], expected, rtol=1e-6)
        part = integrate.quad(density, 0, 0.3)[0]
        np.testing.assert_allclose(ours.cdf(tensor(0.3)).item(), part, rtol=1e-8)
        np.testing.assert_allclose(ours.icdf(tensor(part)).item(), 0.3, rtol=1e-8)


def test_kumaraswamy_near_the_ends() -> None:
    ours = make("Kumaraswamy", concentration1=2.5, concentration0=0.5)
    np.testing.assert_allclose(ours.cdf(tensor(1e-9)).item(), 0.5 * 1e-9**2.5, rtol=1e-9)
    small = D.Kumaraswamy(0.01, 0.01)
    np.testing.assert_allclose(
        small.log_prob(at.tensor(1 - 2.0**-20)).item(), -4 * math.log(10) - 0.99 * math.log(0.01 * 2.0**-20), rtol=1e-5
    )
    ends = make("Kumaraswamy", concentration1=[1.0, 2.0, 2.0], concentration0=[1.0, 1.0, 2.0])
    assert ends.log_prob(tensor(1.0)).tolist() == [0.0, math.log(2), -math.inf]
    assert ends.log_prob(tensor(0.0)).tolist() == [0.0, -math.inf, -math.inf]


def test_of_classes() -> None:
    weights = RNG.random((2, 4))
    probs = weights / weights.sum(-1, keepdims=True)
    for ours in (D.Categorical(tensor(weights)), D.Categorical(logits=tensor(np.log(weights)))):
        close(ours.log_prob(at.tensor([[0, 3], [1, 1], [2, 0]])), np.log(probs[[0, 1], [[0, 3], [1, 1], [2, 0]]]))
        close(ours.entropy(), stats.entropy(probs, axis=-1))
        assert ours.enumerate_support().shape == (4, 2) and ours.mode.tolist() == probs.argmax(-1).tolist()
    one_hot = D.OneHotCategorical(tensor(weights))
    close(one_hot.log_prob(one_hot.enumerate_support()), np.log(probs).T)
    counts = np.array([[1.0, 2.0, 0.0, 3.0], [6.0, 0.0, 0.0, 0.0]])
    multinomial = D.Multinomial(6, tensor(weights))
    close(multinomial.log_prob(tensor(counts)), stats.multinomial.logpmf(counts, 6, probs))
    close(multinomial.entropy(), [stats.multinomial.entropy(6, row) for row in probs])


def test_of_vectors_and_matrices() -> None:
    root = RNG.standard_normal((3, 3))
    cov, loc, x = root @ root.T + np.eye(3), RNG.standard_normal((2, 3)), RNG.standard_normal((5, 2, 3))
    expected = np.stack([stats.multivariate_normal(m, cov).logpdf(x[:, i]) for i, m in enumerate(loc)], -1)
    given = {"covariance_matrix": cov, "precision_matrix": np.linalg.inv(cov), "scale_tril": np.linalg.cholesky(cov)}
    for name, matrix in given.items():
        ours = make("MultivariateNormal", loc=loc, **{name: matrix})
        close(ours.log_prob(tensor(x)), expected, rtol=1e-8)
        close(ours.entropy(), [stats.multivariate_normal(m, cov).entropy() for m in loc])
        for other, value in given.items():
            np.testing.assert_allclose(np.asarray(getattr(ours, other))[1], value, rtol=1e-8, atol=1e-10)
    factor, diag = root[:, :2], np.array([0.5, 1.0, 2.0])
    low = make("LowRankMultivariateNormal", loc=loc[0], cov_factor=factor, cov_diag=diag)
    whole = stats.multivariate_normal(loc[0], factor @ factor.T + np.diag(diag))
    close(low.log_prob(tensor(x[:, 0])), whole.logpdf(x[:, 0]), rtol=1e-8)
    close(low.entropy(), whole.entropy())
    close(low.precision_matrix, np.linalg.inv(whole.cov), rtol=1e-7)
    wishart = make("Wishart", df=4.5, covariance_matrix=cov)
    close(wishart.log_prob(tensor(np.eye(3) + 0.2)), stats.wishart(4.5, cov).logpdf(np.eye(3) + 0.2), rtol=1e-8)
    close(wishart.entropy(), stats.wishart(4.5, cov).entropy(), rtol=1e-8)
    close(wishart.variance, stats.wishart(4.5, cov).var())
    alpha, share = np.array([0.5, 2.0, 3.0]), np.array([0.2, 0.3, 0.5])
    dirichlet = make("Dirichlet", concentration=alpha)
    close(dirichlet.log_prob(tensor(share)), stats.dirichlet(alpha).logpdf(share))
    close(dirichlet.entropy(), stats.dirichlet(alpha).entropy())
    close(dirichlet.variance, stats.dirichlet(alpha).var())


def test_correlations_have_the_density_and_draws_of_lkj() -> None:
    # Of 2 × 2 the one correlation r is beta-distributed, and the factor's density is in r.
    eta, r = 1.7, np.array([-0.6, 0.0, 0.4])
    factors = np.array([[[1, 0], [v, math.sqrt(1 - v * v)]] for v in r])
    expected = stats.beta(eta, eta, loc=-1, scale=2).logpdf(r)
    close(D.LKJCholesky(2, tensor(eta)).log_prob(tensor(factors)), expected, rtol=1e-8)
    # All correlations of n × n have beta's moments with eta + (n - 2) / 2.
    at.manual_seed(1)
    factor = np.asarray(D.LKJCholesky(4, tensor(eta)).sample((20000,)))
    drawn = factor @ factor.swapaxes(-1, -2)
    shape = eta + 1
    for i, j in ((1, 0), (2, 1), (3, 0), (3, 2)):
        assert stats.kstest(drawn[:, i, j], stats.beta(shape, shape, loc=-1, scale=2).cdf).pvalue > 1e-3
    np.testing.assert_allclose(np.diagonal(drawn, axis1=-2, axis2=-1), 1, rtol=1e-12)


def test_relaxed_densities_integrate_to_one() -> None:
    relaxed = make("RelaxedBernoulli", temperature=0.8, probs=0.3)
    total, _ = integrate.quad(lambda v: math.exp(relaxed.log_prob(tensor(v)).item()), 0, 1)
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    shares = make("RelaxedOneHotCategorical", temperature=0.9, probs=[0.3, 0.7])
    total, _ = integrate.quad(lambda v: math.exp(shares.log_prob(tensor([v, 1 - v])).item()), 0, 1)
    np.testing.assert_allclose(total, 1, rtol=1e-6)


def test_mixtures_and_transformed() -> None:
    weights, means = np.array([0.3, 0.7]), np.array([-1.0, 2.0])
    mixture = D.MixtureSameFamily(D.Categorical(tensor(weights)), make("Normal", loc=means, scale=[1.0, 0.5]))
    x = np.linspace(-3, 4, 9)
    parts = stats.norm(means, [1, 0.5])
    close(mixture.log_prob(tensor(x)), special.logsumexp(np.log(weights) + parts.logpdf(x[:, None]), axis=-1))
    close(mixture.cdf(tensor(x)), (parts.cdf(x[:, None]) * weights).sum(-1))
    close(mixture.mean, weights @ means)
    close(mixture.variance, weights @ (np.array([1, 0.25]) + means**2) - (weights @ means) ** 2)
    several = D.MixtureSameFamily(D.Categorical(tensor([weights, weights])), mixture.component_distribution)
    assert several.batch_shape == (2,) and several.sample((3,)).shape == (3, 2)
    close(several.log_prob(tensor(x[:, None])), np.asarray(mixture.log_prob(tensor(x[:, None]))).repeat(2, -1))
    turned = D.TransformedDistribution(
        make("Normal", loc=0.5, scale=2.0), [D.AffineTransform(1.0, -3.0), D.ExpTransform()]
    )
    theirs = stats.lognorm(6, scale=math.exp(-0.5))
    values = theirs.ppf(SHARES)
    close(turned.log_prob(tensor(values)), theirs.logpdf(values))
    close(turned.cdf(tensor(values)), SHARES)
    close(turned.icdf(tensor(SHARES)), values, rtol=1e-8)


def test_log_odds_far_out() -> None:
    close(D.Geometric(logits=at.tensor([20.0, -100.0])).log_prob(at.tensor(1.0)), [-20.0, -100.0], rtol=1e-6)
    for sign, values in ((1, [0.0, 1.0]), (-1, [1.0, 0.0])):
        sure = D.Bernoulli(logits=tensor(sign * math.inf))
        impossible, certain = sure.log_prob(tensor(values)).tolist()
        assert impossible < -1e300 and certain == 0 and sure.entropy().item() == 0
        assert D.kl_divergence(sure, D.Bernoulli(tensor(0.5))).item() == pytest.approx(math.log(2))


FAR = {
    "Cauchy": (stats.cauchy, "loc scale"),
    "HalfCauchy": (stats.halfcauchy, "scale"),
    "HalfNormal": (stats.chi(1), "scale"),  # whose quantiles near 0 are exact
    "Laplace": (stats.laplace, "loc scale"),
    "Normal": (stats.norm, "loc scale"),
}


@pytest.mark.parametrize("name", FAR)
def test_far_tails_of_float32(name: str) -> None:
    theirs, parameters = FAR[name]
    ours = getattr(D, name)(*({"loc": 0.0, "scale": 1.0}[p] for p in parameters.split()))
    for share in (1e-30, 1e-9, 0.2, 0.25, 0.5, 0.75, 0.999):
        exact = at.tensor(share)
        point = theirs.ppf(float(exact.item()))
        np.testing.assert_allclose(np.asarray(ours.icdf(exact)), point, rtol=2e-5)
        np.testing.assert_allclose(np.asarray(ours.cdf(at.tensor(float(point)))), share, rtol=2e-5)
    if "Cauchy" in name:
        close(ours.log_prob(at.tensor(1e25)), theirs.logpdf(1e25), rtol=1e-6)
    func = pytest.importorskip("atled.autograd.func")
    close(func.grad(ours.cdf)(tensor(0.5)), theirs.pdf(0.5), rtol=1e-6)
    close(func.grad(ours.icdf)(tensor(0.5)), 1 / theirs.pdf(theirs.ppf(0.5)), rtol=1e-6)


def test_large_parameters_of_float32() -> None:
    cases: list[tuple[Any, Any, Any]] = [
        (D.StudentT(1e6), stats.t(1e6), 0.5),
        (D.Beta(2e4, 3e4), stats.beta(2e4, 3e4), 0.40625),
        (D.Gamma(1e6, 1e3), stats.gamma(1e6, scale=1e-3), 1001.0),
        (D.FisherSnedecor(1e5, 1e6), stats.f(1e5, 1e6), 1.0078125),
        (D.VonMises(0.0, 1e6), stats.vonmises(1e6), 2.0**-9),
    ]
    for ours, theirs, x in cases:
        value = ours.log_prob(at.tensor(x))
        assert value.dtype is at.float32
        close(value, theirs.logpdf(x), rtol=1e-5)
        if not isinstance(ours, (D.FisherSnedecor, D.VonMises)):
            close(ours.entropy(), theirs.entropy(), rtol=1e-5)
    close(D.Poisson(1e6).log_prob(at.tensor(1e6)), stats.poisson(1e6).logpmf(1e6), rtol=1e-5)
    close(D.Binomial(100000, 0.5).log_prob(at.tensor(50000)), stats.binom(100000, 0.5).logpmf(50000), rtol=1e-5)
    close(D.ContinuousBernoulli(logits=at.tensor(50.0)).log_prob(at.tensor(1.0)), math.log(50), rtol=1e-6)
    assert D.Beta(at.tensor(2.0, dtype=at.bfloat16), 3.0).log_prob(at.tensor(0.5)).dtype is at.float32
