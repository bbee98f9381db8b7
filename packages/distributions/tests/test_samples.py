"""Draws have the distribution that they are said to have, and gradients that move them along it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from families import CONTINUOUS, DISCRETE, make, tensor
from scipy import stats

import atled.core as at
from atled import distributions as D

COUNT = 4000


@pytest.mark.parametrize("name", CONTINUOUS)
def test_numbers_pass_the_test_of_kolmogorov_and_smirnov(name: str) -> None:
    ours, theirs = CONTINUOUS[name]
    at.manual_seed(3)
    drawn = np.asarray(ours.sample((COUNT,)))
    for i in range(3):
        whole = stats.kstest(drawn[:, i], lambda v, i=i: theirs.cdf(v[:, None])[:, i])
        if name == "VonMises":  # SciPy's goes on beyond a turn
            loc = ours.loc[i].item()
            whole = stats.kstest(np.cos(drawn[:, i] - loc), np.cos(theirs.rvs((COUNT, 3), 0)[:, i] - loc))
        assert whole.pvalue > 1e-3, name


@pytest.mark.parametrize("name", DISCRETE)
def test_whole_numbers_come_as_often_as_they_should(name: str) -> None:
    ours, theirs = DISCRETE[name]
    at.manual_seed(3)
    drawn = np.asarray(ours.sample((COUNT,)))
    for value in range(2):
        often = (drawn == value).mean(0)
        expected = theirs.pmf(value)
        assert (abs(often - expected) < 4 * np.sqrt(expected * (1 - expected) / COUNT) + 1e-9).all()
    np.testing.assert_allclose(drawn.mean(0), theirs.mean(), atol=4 * (theirs.std() / COUNT**0.5).max())


def test_vectors_have_their_means_and_covariances() -> None:
    at.manual_seed(5)
    cov = np.array([[2.0, 0.5], [0.5, 1.0]])
    cases = {
        "MultivariateNormal": (make("MultivariateNormal", loc=[1.0, -1.0], covariance_matrix=cov), cov),
        "LowRankMultivariateNormal": (
            make("LowRankMultivariateNormal", loc=[1.0, -1.0], cov_factor=[[1.0], [0.5]], cov_diag=[1.0, 0.75]), cov,
        ),
        "Dirichlet": (make("Dirichlet", concentration=[0.5, 2.0]), stats.dirichlet([0.5, 2]).cov()),
        "Multinomial": (make("Multinomial", total_count=5, probs=[0.3, 0.7]), stats.multinomial(5, [0.3, 0.7]).cov()),
    }  # fmt: skip
    for ours, expected in cases.values():
        drawn = np.asarray(ours.sample((COUNT * 4,)))
        np.testing.assert_allclose(drawn.mean(0), np.asarray(ours.mean), atol=0.06)
        np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.12)
    wishart = make("Wishart", df=4.0, covariance_matrix=cov)
    drawn = np.asarray(wishart.sample((COUNT * 4,)))
    np.testing.assert_allclose(drawn.mean(0), np.asarray(wishart.mean), rtol=0.05)
    np.testing.assert_allclose(drawn.var(0), np.asarray(wishart.variance), rtol=0.1)
    classes = np.asarray(D.Categorical(tensor([[1.0, 3.0], [1.0, 1.0]])).sample((COUNT,)))
    np.testing.assert_allclose(classes.mean(0), [0.75, 0.5], atol=0.03)
    mixture = D.MixtureSameFamily(
        D.Categorical(tensor([0.25, 0.75])), make("Normal", loc=[-9.0, 9.0], scale=[1.0, 1.0])
    )
    np.testing.assert_allclose((np.asarray(mixture.sample((COUNT,))) > 0).mean(), 0.75, atol=0.03)


def test_a_seed_gives_the_same_draws() -> None:
    for ours, _ in (*CONTINUOUS.values(), *DISCRETE.values()):
        drawn = []
        for _ in range(2):
            at.manual_seed(7)
            drawn.append(np.asarray(ours.sample((4,))))
        assert (drawn[0] == drawn[1]).all()


WITHOUT_CDF = ("FisherSnedecor", "StudentT", "Beta")
MOVED = [name for name, (ours, _) in CONTINUOUS.items() if ours.has_rsample and name not in WITHOUT_CDF]


@pytest.mark.parametrize("name", MOVED)
def test_gradients_hold_the_probability(name: str) -> None:
    """Along dx / dparameter the cdf stays: dF/dparameter + density dx/dparameter = 0 (Figurnov et al. 2018, eq. 6)."""
    pytest.importorskip("atled.autograd")
    ours, _ = CONTINUOUS[name]
    at.manual_seed(11)
    parameters = {k: at.detach(getattr(ours, k)).clone().requires_grad_() for k in ours.arg_constraints}
    drawn = type(ours)(**parameters).rsample((5,))
    for i, parameter in enumerate(parameters.values()):
        (moved,) = at.autograd.grad(drawn.sum(), parameter, retain_graph=True)

        def share(h: float, i: int = i) -> np.ndarray[Any, Any]:
            values = {k: at.detach(v) + (h if j == i else 0) for j, (k, v) in enumerate(parameters.items())}
            return np.asarray(type(ours)(**values).cdf(at.detach(drawn)))

        change = (share(1e-5) - share(-1e-5)) / 2e-5
        density = np.exp(np.asarray(ours.log_prob(at.detach(drawn))))
        np.testing.assert_allclose(np.asarray(moved), (-change / density).sum(0), rtol=1e-4, atol=1e-6)


def test_gradients_of_gamma_draws_over_many_sizes() -> None:
    pytest.importorskip("atled.autograd")
    at.manual_seed(2)
    a = tensor([0.01, 0.1, 0.9, 1.0, 3.0, 50.0, 1e4]).requires_grad_()
    drawn = D.Gamma(a, tensor(1.0)).rsample()
    (moved,) = at.autograd.grad(drawn.sum(), a)
    at_a, z = np.asarray(at.detach(a)), np.asarray(at.detach(drawn))
    # Where F is small, by its logarithm's slope; SciPy's quantiles are another way to the same.
    share, h = stats.gamma(at_a).cdf(z), 1e-4 * at_a
    expected = (stats.gamma(at_a + h).ppf(share) - stats.gamma(at_a - h).ppf(share)) / (2 * h)
    np.testing.assert_allclose(np.asarray(moved), expected, rtol=2e-4)


def test_ratios_and_vectors_have_the_gradient_of_their_mean() -> None:
    pytest.importorskip("atled.autograd")
    at.manual_seed(4)
    for make_one, mean in (
        (lambda c: D.Beta(c[0], c[1]), lambda c: c[0] / (c[0] + c[1])),
        (lambda c: D.Dirichlet(c), lambda c: c / c.sum()),
        (lambda c: D.FisherSnedecor(c[0] + 6, c[1] + 12), lambda c: (c[1] + 12) / (c[1] + 10)),
        (lambda c: D.StudentT(c[0] + 9, c[1]), lambda c: c[1] + 0 * c[0]),
    ):
        c = tensor([1.5, 2.5]).requires_grad_()
        drawn = make_one(c).rsample((COUNT * 5,)).mean(0)
        for part, whole in zip(drawn.reshape(-1), mean(c).reshape(-1), strict=True):
            (got,) = at.autograd.grad(part, c, retain_graph=True)
            (expected,) = at.autograd.grad(whole, c, retain_graph=True)
            np.testing.assert_allclose(np.asarray(got), np.asarray(expected), atol=0.03)
    logits = tensor([0.1, 0.4]).requires_grad_()
    drawn = D.OneHotCategoricalStraightThrough(logits=logits).rsample()
    assert sorted(drawn.tolist()) == [0.0, 1.0]
    (got,) = at.autograd.grad(drawn[0], logits)
    (expected,) = at.autograd.grad(at.softmax(logits, -1)[0], logits)
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected))
    assert not D.Normal(logits, tensor(1.0)).sample().requires_grad


def test_relaxed_draws_have_logistic_and_gumbel_noise() -> None:
    at.manual_seed(6)
    for dtype in (at.float64, at.bfloat16):
        ours = D.LogitRelaxedBernoulli(0.5, logits=tensor(0.7).to(dtype))
        drawn = np.asarray(ours.sample((COUNT,)).to(at.float64))
        assert stats.kstest(drawn, stats.logistic(1.4, 2).cdf).pvalue > 1e-3
    assert make("RelaxedBernoulli", temperature=0.1, logits=0.0).temperature.dtype is at.float64
    for family in (D.RelaxedBernoulli, D.RelaxedOneHotCategorical):  # a number takes the dtype of the tensor beside it
        assert family(0.1, logits=tensor([0.0])).temperature.item() == 0.1


def test_no_exponential_draw_is_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at.Tensor, "exponential_", lambda self: self.fill_(0))
    assert bool(at.isfinite(D.RelaxedOneHotCategorical(0.5, at.ones(3)).sample()).all())
    assert bool(at.isfinite(D.Gumbel(0.0, 1.0).sample()))


def test_draws_of_half_precision() -> None:
    at.manual_seed(8)
    for dtype in (at.bfloat16, at.float16):
        half = at.tensor(0.5, dtype=dtype)
        assert D.Geometric(half).sample((COUNT,)).amax().item() < 30
        for ours in (
            D.Uniform(half, 3 * half),
            D.Kumaraswamy(half, half / 8),
            D.RelaxedOneHotCategorical(1.0, logits=at.tensor([300.0, 301.0, 299.0], dtype=dtype)),
        ):
            assert bool(at.isfinite(ours.log_prob(ours.sample((COUNT,)))).all())
        counts = D.Multinomial(6000, at.stack([half, half])).sample()
        np.testing.assert_allclose(np.asarray(counts.to(at.float64)), 3000, atol=200)


def test_small_concentrations_leave_the_ratios_what_they_are() -> None:
    at.manual_seed(9)
    drawn = np.asarray(D.Beta(at.tensor(1e-3), at.tensor(1e-3)).sample((COUNT * 10,)))
    assert drawn.min() > 0 and drawn.max() < 1
    assert ((drawn > 0.1) & (drawn < 0.9)).mean() < 0.004 and abs(drawn.mean() - 0.5) < 0.02
    drawn = np.asarray(D.Dirichlet(at.full((3,), 1e-3)).sample((COUNT,)))
    assert (drawn.max(-1) < 0.9).mean() < 0.01
    np.testing.assert_allclose(drawn.mean(0), 1 / 3, atol=0.04)
    drawn = np.asarray(D.FisherSnedecor(at.tensor(0.02), at.tensor(0.02)).sample((COUNT,)))
    assert abs((drawn < 1).mean() - 0.5) < 0.04


def test_what_has_no_gamma_distribution_comes_back() -> None:
    assert D.Gamma(at.tensor([np.inf]), 1.0).sample().tolist() == [np.inf]
    outside = D.Gamma(at.tensor([-5.0, np.nan, 2.0]), 1.0, validate_args=False).sample()
    assert at.isnan(outside).tolist() == [True, True, False]


def test_small_concentrations_draw_what_has_a_density() -> None:
    at.manual_seed(12)
    for ours in (D.Weibull(1.0, 0.01), D.Kumaraswamy(0.01, 0.01)):
        assert bool(at.isfinite(ours.log_prob(ours.sample((COUNT,)))).all())


def test_gradients_of_draws_are_finite_for_tiny_concentrations() -> None:
    autograd = pytest.importorskip("atled.autograd")
    for dtype in (at.float32, at.float16):
        c = at.tensor([1e-30, 1e-6, 1e-3]).to(dtype).clamp(min=1e-7).requires_grad_()
        for ours in (D.Gamma(c, 1.0), D.Beta(c, 1.0), D.Dirichlet(c)):
            drawn = ours.rsample((50,))
            (got,) = autograd.grad(drawn.sum(), c)
            assert bool(at.isfinite(drawn).all() & at.isfinite(got).all())


def test_angles_of_any_concentration() -> None:
    at.manual_seed(10)
    ours = D.VonMises(tensor(0.0), tensor([1e-200, 1e8, 1e20, np.inf]))
    drawn = np.asarray(ours.sample((COUNT,)))
    assert stats.kstest(drawn[:, 0], stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    assert stats.kstest(drawn[:, 1] * 1e4, stats.norm.cdf).pvalue > 1e-3
    np.testing.assert_allclose(drawn[:, 2].std() * 1e10, 1, rtol=0.05)
    assert (drawn[:, 3] == 0).all()
