"""Probability distributions for atled: densities, draws with gradients, divergences and transforms.

The names and arguments are those of ``torch.distributions``. Draws depend on the global generator alone: the same seed
gives the same ones on every device.
"""

import re
import sys
from types import ModuleType

from . import constraints, transforms, utils
from ._categorical import Categorical, Multinomial, OneHotCategorical, OneHotCategoricalStraightThrough
from ._compound import Independent, LogisticNormal, LogNormal, MixtureSameFamily, TransformedDistribution
from ._discrete import Bernoulli, Binomial, Geometric, NegativeBinomial, Poisson
from ._distribution import Distribution
from ._gamma import Beta, Chi2, Dirichlet, FisherSnedecor, Gamma, InverseGamma, StudentT
from ._normal import Cauchy, Gumbel, HalfCauchy, HalfNormal, Laplace, Normal, Uniform
from ._positive import Exponential, GeneralizedPareto, Kumaraswamy, Pareto, Weibull
from ._relaxed import (
    ContinuousBernoulli,
    ExpRelaxedCategorical,
    LogitRelaxedBernoulli,
    RelaxedBernoulli,
    RelaxedOneHotCategorical,
)
from ._vectors import LKJCholesky, LowRankMultivariateNormal, MultivariateNormal, VonMises, Wishart
from .constraint_registry import biject_to, transform_to
from .kl import kl_divergence, register_kl
from .transforms import (
    AbsTransform,
    AffineTransform,
    CatTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    PowerTransform,
    ReshapeTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StackTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "CatTransform",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpRelaxedCategorical",
    "ExpTransform",
    "Exponential",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LogitRelaxedBernoulli",
    "LowRankMultivariateNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "constraints",
    "identity_transform",
    "kl_divergence",
    "register_kl",
    "transform_to",
    "transforms",
    "utils",
]


_OTHER_MODULES = {
    "ExpRelaxedCategorical": "relaxed_categorical",
    "FisherSnedecor": "fishersnedecor",
    "LKJCholesky": "lkj_cholesky",
    "LogitRelaxedBernoulli": "relaxed_bernoulli",
    "LowRankMultivariateNormal": "lowrank_multivariate_normal",
    "OneHotCategoricalStraightThrough": "one_hot_categorical",
    "RelaxedOneHotCategorical": "relaxed_categorical",
    "StudentT": "studentT",
}


def _give_modules() -> None:
    """PyTorch's programs import a distribution from a module of its name: ``distributions.normal``."""
    for name in __all__:
        found = globals()[name]
        if isinstance(found, type) and issubclass(found, Distribution):
            own = _OTHER_MODULES.get(name) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
            module = globals().setdefault(own, ModuleType(f"{__name__}.{own}", f"What PyTorch has in {own}."))
            module.__dict__.update({name: found, "Distribution": Distribution})
            module.__dict__.setdefault("__all__", []).append(name)
            sys.modules[module.__name__] = module


_give_modules()
