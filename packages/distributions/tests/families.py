"""Distributions with parameters, beside SciPy's of the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

import atled.core as at
from atled import distributions as D


def tensor(value: Any) -> at.Tensor:
    """Numbers as a tensor of float64."""
    return at.asarray(np.asarray(value, np.float64))


def make(name: str, **parameters: Any) -> Any:
    """The distribution with parameters of float64."""
    return getattr(D, name)(**{k: v if isinstance(v, int) else tensor(v) for k, v in parameters.items()})


A, B, P, X = [0.7, 1.5, 4.0], [2.0, 0.6, 3.0], [0.2, 0.5, 0.9], [-1.0, 0.0, 2.5]
a, b, p, x = map(np.array, (A, B, P, X))

# Of numbers with a density, then of whole numbers: ours and SciPy's.
CONTINUOUS: dict[str, tuple[Any, Any]] = {
    "Beta": (make("Beta", concentration1=A, concentration0=B), stats.beta(a, b)),
    "Cauchy": (make("Cauchy", loc=X, scale=A), stats.cauchy(x, a)),
    "Chi2": (make("Chi2", df=A), stats.chi2(a)),
    "Exponential": (make("Exponential", rate=A), stats.expon(scale=1 / a)),
    "FisherSnedecor": (make("FisherSnedecor", df1=B, df2=[5.0, 6.0, 7.0]), stats.f(b, [5, 6, 7])),
    "Gamma": (make("Gamma", concentration=A, rate=B), stats.gamma(a, scale=1 / b)),
    "GeneralizedPareto": (
        make("GeneralizedPareto", loc=X, scale=A, concentration=[-0.4, 0.0, 0.3]),
        stats.genpareto([-0.4, 0, 0.3], x, a),
    ),
    "Gumbel": (make("Gumbel", loc=X, scale=A), stats.gumbel_r(x, a)),
    "HalfCauchy": (make("HalfCauchy", scale=A), stats.halfcauchy(scale=a)),
    "HalfNormal": (make("HalfNormal", scale=A), stats.halfnorm(scale=a)),
    "InverseGamma": (make("InverseGamma", concentration=[2.5, 3.0, 4.0], rate=B), stats.invgamma([2.5, 3, 4], scale=b)),
    "Laplace": (make("Laplace", loc=X, scale=A), stats.laplace(x, a)),
    "LogNormal": (make("LogNormal", loc=X, scale=P), stats.lognorm(p, scale=np.exp(x))),
    "Normal": (make("Normal", loc=X, scale=A), stats.norm(x, a)),
    "Pareto": (make("Pareto", scale=B, alpha=[2.5, 3.0, 4.0]), stats.pareto([2.5, 3, 4], scale=b)),
    "StudentT": (make("StudentT", df=[2.5, 3.0, 9.0], loc=X, scale=A), stats.t([2.5, 3, 9], x, a)),
    "Uniform": (make("Uniform", low=X, high=[0.0, 3.0, 3.0]), stats.uniform(x, [1, 3, 0.5])),
    "VonMises": (make("VonMises", loc=X, concentration=A), stats.vonmises(a, loc=x)),
    "Weibull": (make("Weibull", scale=A, concentration=B), stats.weibull_min(b, scale=a)),
}
DISCRETE: dict[str, tuple[Any, Any]] = {
    "Bernoulli": (make("Bernoulli", probs=P), stats.bernoulli(p)),
    "Binomial": (make("Binomial", total_count=6, probs=P), stats.binom(6, p)),
    "Geometric": (make("Geometric", probs=P), stats.geom(p, loc=-1)),
    "NegativeBinomial": (make("NegativeBinomial", total_count=B, probs=P), stats.nbinom(b, 1 - p)),
    "Poisson": (make("Poisson", rate=A), stats.poisson(a)),
}
