"""Transforms, their inverses, and how much they stretch beside the determinant of what autograd finds."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any, ClassVar

import numpy as np
import pytest
from families import make, tensor

import atled.core as at
from atled import distributions as D
from atled.distributions import constraints, transforms

RNG = np.random.default_rng(0)
X = RNG.standard_normal(3)
TANH = transforms.TanhTransform()
# By name: the transform, a point of its domain, and where its image lies.
CASES: dict[str, tuple[transforms.Transform, Any]] = {
    "abs": (transforms.AbsTransform(), abs(X)),
    "affine": (transforms.AffineTransform(tensor([1.0, 2.0, 3.0]), tensor([-1.0, 2.0, 0.5])), X),
    "affine vector": (transforms.AffineTransform(1.0, -2.0, event_dim=1), X),
    "cat": (transforms.CatTransform([transforms.ExpTransform(), TANH], lengths=[1, 2]), X),
    "cdf": (transforms.CumulativeDistributionTransform(make("Gumbel", loc=0.0, scale=2.0)), X),
    "compose": (
        transforms.ComposeTransform([TANH, transforms.AffineTransform(1.0, 0.5), transforms.ExpTransform()]), X,
    ),
    "corr_cholesky": (transforms.CorrCholeskyTransform(), X),
    "exp": (transforms.ExpTransform(), X),
    "independent": (transforms.IndependentTransform(transforms.SigmoidTransform(), 1), X),
    "inverse": (transforms.StickBreakingTransform().inv, np.array([0.2, 0.5, 0.3])),
    "lower_cholesky": (transforms.LowerCholeskyTransform(), np.tril(RNG.standard_normal((2, 2)))),
    "positive_definite": (transforms.PositiveDefiniteTransform(), np.tril(RNG.standard_normal((2, 2)))),
    "power": (transforms.PowerTransform(tensor(-1.5)), abs(X)),
    "reshape": (transforms.ReshapeTransform((3,), (3, 1)), X),
    "sigmoid": (transforms.SigmoidTransform(), X),
    "softmax": (transforms.SoftmaxTransform(), np.log([0.2, 0.5, 0.3])),
    "softplus": (transforms.SoftplusTransform(), X),
    "stack": (transforms.StackTransform([transforms.ExpTransform(), transforms.identity_transform, TANH]), X),
    "stick_breaking": (transforms.StickBreakingTransform(), X),
    "tanh": (TANH, X),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_round_trip_shape_and_codomain(name: str) -> None:
    transform, point = CASES[name]
    x = tensor(point)
    y = transform(x)
    assert tuple(y.shape) == tuple(transform.forward_shape(x.shape))
    assert tuple(x.shape) == tuple(transform.inverse_shape(y.shape))
    np.testing.assert_allclose(np.asarray(transform.inv(y)), point, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(np.asarray(transform.inv.inv(x)), np.asarray(y))
    if name not in ("affine", "reshape"):
        assert bool(transform.codomain.check(y).all())


@pytest.mark.parametrize("name", [name for name, (t, _) in CASES.items() if t.bijective])
def test_stretch_is_the_determinant_of_the_jacobian(name: str) -> None:
    func = pytest.importorskip("atled.autograd.func")
    transform, point = CASES[name]
    x = tensor(point)
    y = transform(x)
    got = transform.log_abs_det_jacobian(x, y).sum().item()

    def free(v: at.Tensor) -> at.Tensor:
        """The part of y that the rest follows from."""
        image = transform(v)
        if name == "stick_breaking":
            return image[:-1]
        if name == "corr_cholesky":
            return image[tuple(np.array(part) for part in np.tril_indices(3, -1))]
        return image.reshape(-1)

    if name == "inverse":  # on the simplex the last share follows from the others
        matrix = func.jacrev(lambda v: transform(at.cat([v, 1 - v.sum(-1, keepdim=True)])))(x[:-1])
    else:
        matrix = func.jacrev(free)(x)
    np.testing.assert_allclose(got, np.linalg.slogdet(np.asarray(matrix))[1], rtol=1e-8, atol=1e-10)


def test_tanh_far_out() -> None:
    tanh = transforms.TanhTransform(cache_size=1)
    x = tensor(30.0)
    y = tanh(x)
    assert y.item() == 1.0 and tanh.inv(y) is x
    np.testing.assert_allclose(tanh.log_abs_det_jacobian(x, y).item(), 2 * math.log(2) - 60)
    policy = D.TransformedDistribution(make("Normal", loc=20.0, scale=1.0), [tanh])
    assert math.isfinite(policy.log_prob(policy.rsample()).item())


def test_a_cache_is_that_of_the_parts() -> None:
    both = transforms.ComposeTransform([transforms.AffineTransform(0.0, 2.0), TANH]).with_cache(1)
    x = tensor(30.0)
    assert both.inv(both(x)) is x and both.with_cache(1) is both


def test_parameters_of_a_transform_widen_the_batch() -> None:
    for transform in (
        transforms.AffineTransform(tensor([0.0, 0.0]), 1.0),
        transforms.AffineTransform(0.0, tensor([1.0, 1.0])),
        transforms.PowerTransform(tensor([1.0, 1.0])),
    ):
        wide = D.TransformedDistribution(make("Uniform", low=0.0, high=1.0), transform)
        assert wide.batch_shape == wide.log_prob(tensor(0.5)).shape == (2,)
        drawn = wide.sample()
        assert drawn.shape == (2,) and drawn[0].item() != drawn[1].item()
        x = tensor(0.5)
        y = transform(x)
        assert transform.log_abs_det_jacobian(x, y).shape == y.shape == transform.forward_shape(())


def test_to_where_a_constraint_holds() -> None:
    for constraint in (
        constraints.real, constraints.positive, constraints.greater_than(2.0), constraints.less_than(-1.0),
        constraints.interval(-1.0, 3.0), constraints.simplex, constraints.independent(constraints.positive, 1),
    ):  # fmt: skip
        for registry in (D.biject_to, D.transform_to):
            assert bool(constraint.check(registry(constraint)(tensor(X))).all()), constraint
    for constraint in (constraints.lower_cholesky, constraints.positive_definite):
        assert bool(constraint.check(D.transform_to(constraint)(tensor(RNG.standard_normal((3, 3))))))
    assert bool(constraints.corr_cholesky.check(D.biject_to(constraints.corr_cholesky)(tensor(X))))
    with pytest.raises(NotImplementedError, match="no transform leads to boolean"):
        D.biject_to(constraints.boolean)


def test_constraints() -> None:
    table: list[tuple[Any, Any, Any]] = [
        (constraints.boolean, [0, 1, 2], [True, True, False]),
        (constraints.nonnegative_integer, [-1, 0.5, 3], [False, False, True]),
        (constraints.integer_interval(1, 3), [1, 3, 2.5], [True, True, False]),
        (constraints.half_open_interval(0, 1), [0, 1, 0.5], [True, False, True]),
        (constraints.real, [0, math.nan, math.inf], [True, False, True]),
        (constraints.one_hot, [[0, 1], [1, 1], [0.5, 0.5]], [True, False, False]),
        (constraints.simplex, [[0.5, 0.5], [0.5, 0.6], [-0.5, 1.5]], [True, False, False]),
        (constraints.multinomial(3), [[1, 2], [1, 1], [1.5, 1.5]], [True, False, False]),
        (constraints.lower_triangular, [[[1, 0], [1, -1]], [[1, 1], [0, 1]]], [True, False]),
        (constraints.lower_cholesky, [[[1, 0], [1, 2]], [[1, 0], [1, -1]]], [True, False]),
        (constraints.positive_definite, [[[2, 1], [1, 2]], [[1, 2], [2, 1]], [[2, 1], [0, 2]]], [True, False, False]),
        (constraints.positive_semidefinite, [[[1, 1], [1, 1]], [[1, 2], [2, 1]]], [True, False]),
        (constraints.square, [[1, 2], [3, 4]], True),
        (constraints.symmetric, [[1, 2, 3], [4, 5, 6]], False),
        (constraints.cat([constraints.positive, constraints.real]), [1, -1], [True, True]),
        (constraints.stack([constraints.positive, constraints.positive]), [1, -1], [True, False]),
    ]
    for constraint, value, expected in table:
        got = constraint.check(tensor(value)).tolist()
        assert got == expected, constraint
        assert pickle.loads(pickle.dumps(constraint)).check(tensor(value)).tolist() == expected
    with pytest.raises(at.OperationError, match="dependent"):
        constraints.dependent.check(tensor(1.0))
    assert constraints.is_dependent(D.Uniform.support)


def test_parts_of_one_value() -> None:
    base = make("Normal", loc=np.zeros((2, 2)), scale=np.ones((2, 2)))
    # Slices and parts of the last dimension, each with a density of its own.
    for transform in (
        transforms.StackTransform([transforms.ExpTransform(), TANH], dim=-1),
        transforms.IndependentTransform(transforms.CatTransform([transforms.ExpTransform(), TANH], dim=-1), 1),
    ):
        ours = D.TransformedDistribution(base, transform)
        assert ours.batch_shape == (2,) and ours.event_shape == (2,)
        drawn = ours.sample((3,))
        expected = D.LogNormal(tensor(0.0), 1.0).log_prob(drawn[..., 0]) + D.TransformedDistribution(
            make("Normal", loc=0.0, scale=1.0), TANH
        ).log_prob(drawn[..., 1])
        np.testing.assert_allclose(np.asarray(ours.log_prob(drawn)), np.asarray(expected), rtol=1e-9)
    both = constraints.cat([constraints.simplex, constraints.real_vector], dim=-1, lengths=[2, 1])
    assert both.check(tensor([[0.5, 0.5, 7.0], [0.5, 0.6, 7.0]])).tolist() == [True, False]
    pairs = constraints.stack([constraints.positive, constraints.simplex], dim=-2)
    assert pairs.event_dim == 2 and bool(pairs.check(tensor([[1.0, 2.0], [0.5, 0.5]])))
    apart = constraints.stack([constraints.positive, constraints.positive], dim=-2)
    assert apart.event_dim == 0 and apart.check(tensor([[1.0, -2.0], [0.5, 0.5]])).tolist() == [
        [True, False],
        [True, True],
    ]


def test_copies_of_constraints_have_their_transforms() -> None:
    for constraint in (constraints.real, constraints.simplex, constraints.positive, constraints.lower_cholesky):
        for other in (copy.deepcopy(constraint), pickle.loads(pickle.dumps(constraint))):
            assert repr(D.biject_to(other)) == repr(D.biject_to(constraint))


def test_a_constraint_of_ones_own() -> None:
    class Falling(constraints.Constraint):
        event_dim = 1

        def check(self, value: at.Tensor) -> at.Tensor:
            return (value[..., 1:] <= value[..., :-1]).all(-1)

    class Sorted(D.Distribution):
        arg_constraints: ClassVar = {"levels": Falling()}

        def __init__(self, levels: at.Tensor) -> None:
            self.levels = levels
            super().__init__(levels.shape[:-1], levels.shape[-1:])

    assert Sorted(tensor([3.0, 2.0])).event_shape == (2,)
    with pytest.raises(at.InvalidValueError, match="levels within Falling"):
        Sorted(tensor([2.0, 3.0]))
    with pytest.raises(NotImplementedError, match="has no check"):
        constraints.Constraint().check(tensor(1.0))


def test_shares_of_half_precision_add_up_as_it_can() -> None:
    for dtype in (at.float16, at.bfloat16):
        shares = tensor([0.1, 0.2, 0.3, 0.15, 0.77]).to(dtype)
        assert D.Categorical(shares).probs.dtype is dtype
        assert not bool(constraints.simplex.check(shares * 2))
    assert constraints.simplex.check(at.tensor([[0, 1], [1, 1]])).tolist() == [True, False]
