"""Shapes, dtypes, checks and errors that all distributions share."""

from __future__ import annotations

import copy
import doctest
import importlib
import inspect
import pickle
import pkgutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from families import CONTINUOUS, DISCRETE, make, tensor

import atled.core as at
from atled import distributions as D
from atled.testing import raw_errors

ALL = {**CONTINUOUS, **DISCRETE}
MODULES = [f"atled.distributions.{module.name}" for module in pkgutil.iter_modules(D.__path__)]


@pytest.mark.parametrize("name", ALL)
def test_shapes_and_expand(name: str) -> None:
    ours, _ = ALL[name]
    assert ours.batch_shape == (3,) and ours.event_shape == ()
    wide = ours.expand((2, 3))
    at.manual_seed(0)
    drawn = wide.sample((4,))
    assert drawn.shape == (4, 2, 3) and wide.log_prob(drawn).shape == (4, 2, 3)
    np.testing.assert_array_equal(np.asarray(wide.log_prob(drawn)), np.asarray(ours.log_prob(drawn)))
    assert wide.mean.shape == wide.variance.shape == (2, 3)
    assert ours.sample().shape == (3,) and ours.sample((0,)).shape == (0, 3)
    assert name in repr(ours)
    for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        np.testing.assert_array_equal(np.asarray(other.log_prob(drawn)), np.asarray(ours.log_prob(drawn)))


def test_dtypes_follow_the_parameters() -> None:
    assert D.Normal(0.0, 1.0).sample().dtype is at.float32
    assert D.Normal(at.zeros(2, dtype=at.float64), 1).scale.dtype is at.float64
    assert D.Normal(at.zeros(2), at.ones(2, dtype=at.float64)).sample().dtype is at.float64
    assert D.Gamma(at.ones(2, dtype=at.bfloat16), 1.0).sample().dtype is at.bfloat16
    assert D.Bernoulli(at.ones(2, dtype=at.float16)).sample().dtype is at.float16
    assert D.Categorical(at.ones(2)).sample().dtype is at.int64
    assert D.Normal(at.tensor([1, 2]), 1.0).loc.dtype is at.float32


def test_what_lies_outside_is_an_error() -> None:
    for call, match in (
        (lambda: D.Normal(0.0, -1.0), r"Normal: expected scale within greater_than\(0\), got"),
        (lambda: D.Normal(0.0, at.tensor([1.0, float("nan")])), "Normal: expected scale"),
        (lambda: D.Uniform(1.0, 0.0), "Uniform: expected low < high"),
        (lambda: D.Bernoulli(1.5), "Bernoulli: expected probs within"),
        (lambda: D.Geometric(0.0), "Geometric: expected probs above 0"),
        (lambda: D.Categorical(at.tensor([-1.0, 2.0])), "Categorical: expected probs within simplex"),
        (lambda: D.MultivariateNormal(at.zeros(2), -at.eye(2)), "MultivariateNormal: expected covariance_matrix"),
        (lambda: D.Exponential(1.0).log_prob(at.tensor(-1.0)), "Exponential: expected a value within the support"),
        (lambda: D.Bernoulli(0.5).log_prob(at.tensor(0.5)), "support boolean"),
        (lambda: D.Categorical(at.ones(2)).log_prob(at.tensor(2)), "support integer_interval"),
        (lambda: D.Multinomial(-1, at.ones(2)), "total_count as an int of at least 0"),
        (lambda: D.LKJCholesky(1), "dim of at least 2"),
        (lambda: D.Wishart(1.0, at.eye(3)), "df above 2"),
    ):
        with pytest.raises(at.InvalidValueError, match=match):
            call()
    for call, match in (
        (lambda: D.Bernoulli(), "expected probs or logits, got neither"),
        (lambda: D.Categorical(at.ones(2), at.ones(2)), "expected probs or logits, got both"),
        (lambda: D.MultivariateNormal(at.zeros(2)), "one of covariance_matrix, precision_matrix, scale_tril, got none"),
        (lambda: D.Normal("0", 1.0), "expected loc as a Tensor or a number, got str"),
        (lambda: D.Normal(0.0, 1.0).log_prob(1.0), "expected a Tensor as value, got float"),
        (lambda: D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(at.zeros(2), 1.0)), "as a Categorical"),  # type: ignore[arg-type]
    ):
        with pytest.raises(at.ArgumentError, match=match):
            call()
    for call, match in (
        (lambda: D.Dirichlet(at.ones(3)).log_prob(at.ones(2) / 2), r"event_shape \(3,\), got \(2,\)"),
        (lambda: D.Normal(at.zeros(2), at.ones(3)), "broadcast"),
        (lambda: D.Normal(at.zeros(2), 1.0).log_prob(at.zeros(3)), "broadcast"),
        (lambda: D.MultivariateNormal(at.zeros(2), at.eye(3)), "loc of 3 numbers"),
        (lambda: D.Categorical(at.tensor(1.0)), "classes along its last dimension"),
        (lambda: D.MixtureSameFamily(D.Categorical(at.ones(3)), D.Normal(at.zeros(2), 1.0)), "3 of them"),
    ):
        with pytest.raises(at.ShapeError, match=match):
            call()


def test_checks_can_be_left_out() -> None:
    assert np.isnan(D.Normal(0.0, -1.0, validate_args=False).log_prob(at.tensor(0.0)).item())
    assert D.Exponential(1.0, validate_args=False).log_prob(at.tensor(-1.0)).item() == -np.inf
    D.Distribution.set_default_validate_args(False)
    try:
        D.Normal(0.0, -1.0)
    finally:
        D.Distribution.set_default_validate_args(True)


def test_what_a_family_lacks_says_so() -> None:
    with pytest.raises(NotImplementedError, match="Poisson has no samples with gradients"):
        D.Poisson(1.0).rsample()
    with pytest.raises(NotImplementedError, match="Beta has no cdf"):
        D.Beta(1.0, 1.0).cdf(at.tensor(0.5))
    with pytest.raises(NotImplementedError, match="not monotonic"):
        D.TransformedDistribution(D.Normal(0.0, 1.0), D.AbsTransform()).cdf(at.tensor(0.5))


def test_independent_takes_dimensions() -> None:
    base = make("Normal", loc=np.zeros((2, 3)), scale=np.ones((2, 3)))
    ours = D.Independent(base, 1)
    assert ours.batch_shape == (2,) and ours.event_shape == (3,) and ours.has_rsample
    x = ours.sample((5,))
    np.testing.assert_allclose(np.asarray(ours.log_prob(x)), np.asarray(base.log_prob(x)).sum(-1))
    assert ours.entropy().shape == (2,) and ours.expand((4, 2)).sample().shape == (4, 2, 3)
    with pytest.raises(at.InvalidValueError, match="from 0 to 2"):
        D.Independent(base, 3)


def test_expand_keeps_the_class_its_attributes_and_its_checks() -> None:
    shares = tensor([[0.2, 0.8]])
    for ours in (
        D.LogNormal(tensor([0.0]), 1.0),
        D.LogisticNormal(tensor([[0.0]]), tensor(1.0)),
        D.RelaxedBernoulli(0.5, tensor([0.5])),
        D.RelaxedOneHotCategorical(0.5, shares),
        D.MixtureSameFamily(D.Categorical(shares), D.LogNormal(shares, 1.0)),
        D.Independent(D.Exponential(shares), 1),
    ):
        wide = ours.expand((3, 1))
        assert type(wide) is type(ours) and wide.batch_shape == wide.log_prob(wide.sample()).shape == (3, 1)
        for name in ("loc", "scale", "temperature", "probs", "logits", "transforms"):
            assert hasattr(wide, name) == hasattr(ours, name), name
        if isinstance(ours, (D.TransformedDistribution, D.Independent)):
            with pytest.raises(at.InvalidValueError, match="support"):
                wide.log_prob(-at.ones(wide.event_shape))


def test_a_family_of_ones_own_in_torchs_style() -> None:
    class Shifted(D.Distribution):
        arg_constraints: ClassVar = {"loc": D.constraints.real}
        support = D.constraints.real

        def __init__(self, loc: at.Tensor, validate_args: bool | None = None) -> None:
            self.loc, _ = D.utils.broadcast_all(loc, 1.0)
            super().__init__(self.loc.shape, validate_args=validate_args)

        @D.utils.lazy_property
        def twice(self) -> at.Tensor:
            return 2 * self.loc

        def log_prob(self, value: at.Tensor) -> at.Tensor:
            if self._validate_args:
                self._validate_sample(value)
            return -(value - self.loc).abs()

    class Expanding(Shifted):
        def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
            new = self._get_checked_instance(Expanding, _instance)
            new.loc = self.loc.expand(batch_shape)
            super(Shifted, new).__init__(batch_shape, validate_args=False)
            new._validate_args = self._validate_args
            return new

    class Again(D.Normal):
        def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
            new = self._get_checked_instance(Again, _instance)
            new.mine = 1
            return super().expand(batch_shape, _instance=new)

    for ours in (Shifted(tensor([1.0, 2.0])), Expanding(tensor([1.0, 2.0])), Again(tensor([1.0, 2.0]), 1.0)):
        assert getattr(ours, "twice", ours.loc).shape == (2,)
        wide = ours.expand((3, 2))
        assert getattr(wide, "twice", wide.loc).shape == (3, 2)
        assert type(wide) is type(ours) and wide.loc.shape == wide.log_prob(tensor(0.0)).shape == (3, 2)
        assert repr(ours).startswith(f"{type(ours).__name__}(loc: (2,)")
        with pytest.raises(at.InvalidValueError, match="support real"):
            wide.log_prob(tensor(np.nan))
    assert wide.mine == 1


def test_whole_numbers_are_as_exact_as_the_parameters() -> None:
    for ours in (
        D.Poisson(tensor(50.0)),
        D.Binomial(60, tensor(0.4)),
        D.NegativeBinomial(5, tensor(0.4)),
        D.InverseGamma(tensor(2.0), 30.0),
        D.LogNormal(tensor(3.0), 1.0),
        D.MixtureSameFamily(D.Categorical(tensor([1.0, 2.0])), D.Poisson(tensor([1.0, 50.0]))),
    ):
        assert ours.log_prob(at.tensor(47)).item() == ours.log_prob(tensor(47)).item()
    assert D.Bernoulli(0.5).log_prob(at.tensor([True, False])).dtype is at.float32


def test_gradients_reach_the_parameters() -> None:
    autograd = pytest.importorskip("atled.autograd")
    for name, (ours, theirs) in CONTINUOUS.items():
        parameters = [at.detach(getattr(ours, k)).clone().requires_grad_() for k in ours.arg_constraints]
        values = tensor(theirs.ppf(0.4))

        def density(*given: at.Tensor, ours: Any = ours, values: at.Tensor = values) -> at.Tensor:
            return type(ours)(*given).log_prob(values)

        if name != "Uniform":  # a bound's gradient is one-sided
            assert autograd.gradcheck(density, parameters), name
    logits = tensor([[0.1, -0.2, 0.3]]).requires_grad_()
    assert autograd.gradcheck(lambda v: D.Categorical(logits=v).log_prob(at.tensor([2])), [logits])
    # Drawn first, which computes probs without recording.
    policy = D.Categorical(logits=logits)
    policy.sample()
    (got,) = autograd.grad(policy.probs[0, 0], logits)
    assert got.abs().sum().item() > 0


def test_torchs_modules_have_the_classes() -> None:
    assert importlib.import_module("atled.distributions.normal").Normal is D.Normal
    assert importlib.import_module("atled.distributions.multivariate_normal").MultivariateNormal is D.MultivariateNormal
    assert importlib.import_module("atled.distributions.relaxed_categorical").__all__ == [
        "ExpRelaxedCategorical",
        "RelaxedOneHotCategorical",
    ]
    for name in ("fishersnedecor", "lkj_cholesky", "lowrank_multivariate_normal", "studentT"):
        importlib.import_module(f"atled.distributions.{name}")
    assert at.distributions is D


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    names = {"at": at, **vars(D)}
    assert doctest.testmod(importlib.import_module(name), extraglobs=names).failed == 0


def test_everything_public_has_an_example() -> None:
    shown = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in (D, D.constraints, D.transforms, D.constraint_registry, D.kl, D.utils)
        for name in module.__all__
    }
    documented = {name: v for name, v in shown.items() if isinstance(v, type) or inspect.isfunction(inspect.unwrap(v))}
    assert len(documented) > 100
    assert [name for name, v in documented.items() if ">>>" not in (v.__doc__ or "")] == []


def test_bad_arguments_get_errors_of_ours() -> None:
    modules = (D, D.constraints, D.transforms, D.constraint_registry, D.kl, D.utils)
    assert [error for module in modules for error in raw_errors(module)] == []


def test_no_other_package_is_imported() -> None:
    for file in Path(D.__path__[0]).glob("*.py"):
        for sibling in ("autograd", "nn", "optim", "data", "distributed"):
            assert f"atled.{sibling}" not in file.read_text()
        assert "at.detach" not in file.read_text()  # comes with autograd, without which there are draws too
