"""Derivatives at points that samples do not hit: where formulas divide by 0, or multiply it by infinity."""

import math

import numpy as np
import pytest

import atled.core as at
from atled.autograd import func, grad, gradcheck, gradgradcheck


def leaf(*values: float, dtype: at.dtype = at.float64) -> at.Tensor:
    return at.tensor(list(values), dtype=dtype, requires_grad=True)


def test_powers_with_an_exponent_of_0() -> None:
    x, p = leaf(0.5, 2, 3), leaf(0, 0, 0)
    assert gradcheck(at.pow, (x, p)) and gradgradcheck(at.pow, (x, p))  # the mixed derivative is 1 / x
    x, p = leaf(0, math.inf, -math.inf, 0), leaf(0, 0, 0, 2)
    (slope,) = grad(at.pow(x, p).sum(), x)
    assert slope.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("function", [at.hypot, at.atan2])
def test_distance_and_angle_at_the_origin(function: at.Op) -> None:
    x, y = leaf(0, 3), leaf(0, 4)
    slopes = grad(function(x, y).sum(), [x, y])
    assert [slope[0].item() for slope in slopes] == [0, 0]
    expected = [3 / 5, 4 / 5] if function is at.hypot else [4 / 25, -3 / 25]
    np.testing.assert_allclose([slope[1].item() for slope in slopes], expected, rtol=1e-15)


@pytest.mark.parametrize("dtype", [at.float64, at.complex128])
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_determinants_of_any_rank(dtype: at.dtype, rank: int) -> None:
    rng = np.random.default_rng(rank)

    def matrix(*shape: int) -> np.ndarray:
        values = rng.standard_normal(shape)
        return values + 1j * rng.standard_normal(shape) if dtype == at.complex128 else values

    a = at.asarray(matrix(3, rank) @ matrix(rank, 3) if rank else 0 * matrix(3, 3)).requires_grad_()
    assert gradcheck(at.linalg.det, a) and gradgradcheck(at.linalg.det, a)
    (first,) = grad(at.real(at.linalg.det(a)), a, create_graph=True)
    # The gradient of det is the adjugate's adjoint, whose product with the matrix is the determinant.
    product = a.detach().numpy() @ first.detach().numpy().conj().T
    np.testing.assert_allclose(product, np.linalg.det(a.detach().numpy()) * np.eye(3), atol=1e-12)


def test_third_derivatives_of_a_determinant_are_those_of_its_polynomial() -> None:
    """Of diag(x, y, z) the determinant is xyz: its mixed third derivative is 1, also where all three are 0."""
    x = leaf(0, 0, 0)
    (first,) = grad(at.linalg.det(at.diag_embed(x)), x, create_graph=True)
    (second,) = grad(first[0], x, create_graph=True)
    (third,) = grad(second[1], x)
    assert third.tolist() == [0, 0, 1]


@pytest.mark.parametrize("function", [at.logsumexp, at.logcumsumexp])
def test_sums_of_exponentials_with_an_infinite_one(function: at.Op) -> None:
    x = leaf(1, -math.inf, math.inf, 2)
    (slope,) = grad(function(x, 0).sum(), x)
    assert slope[1].item() == 0 and slope[3].item() == 0
    x = leaf(-math.inf, -math.inf)
    assert grad(function(x, 0).sum(), x)[0].tolist() == [0, 0]


def test_logcumsumexp_is_linear_in_its_gradient_and_its_tangent_at_0() -> None:
    x = at.tensor([0.3, -1.0, 2.0], dtype=at.float64)
    weights = np.tril(np.exp(x.numpy()[None, :] - at.logcumsumexp(x, 0).numpy()[:, None]))
    for direction in np.eye(3):
        t, expected = at.tensor(direction), weights @ direction
        np.testing.assert_allclose(
            func.linearize(lambda x: at.logcumsumexp(x, 0), x)[1](t).numpy(), weights @ direction
        )
        pushed = func.jvp(lambda x: at.logcumsumexp(x, 0), (x,), (t,))[1]
        np.testing.assert_allclose(pushed.numpy(), expected, atol=1e-15)
    pull = func.vjp(lambda t: func.jvp(lambda x: at.logcumsumexp(x, 0), (x,), (t,))[1], at.zeros_like(x))[1]
    np.testing.assert_allclose(pull(at.ones_like(x))[0].numpy(), weights.sum(0))
    g = at.tensor([0.0, 2.0, 0.0], dtype=at.float64, requires_grad=True)
    assert gradgradcheck(lambda x: at.logcumsumexp(x, 0), x.clone().requires_grad_(), g)
    residual = at.logcumsumexp(x, 0)
    hessian = func.hessian(lambda x: ((at.logcumsumexp(x, 0) - residual) ** 2).sum() / 2)(x)
    np.testing.assert_allclose(hessian.numpy(), weights.T @ weights, atol=1e-14)


def test_a_norm_of_a_negative_order_at_0() -> None:
    x = leaf(0, 2, 3)
    assert grad(at.linalg.vector_norm(x, -1), x)[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda a: at.linalg.eigh(a)[0].sum(), np.eye(3)),
        (lambda a: at.real(at.linalg.eig(a)[0]).sum(), np.eye(3)),
        (lambda a: at.linalg.svd(a)[1].sum(), np.eye(3)),
        (lambda a: at.linalg.svd(a[:, :2])[1].sum(), np.eye(3)[:, :2] @ np.eye(3)[:2]),
    ],
)
def test_values_that_are_equal_have_gradients_without_their_vectors(function: object, expected: np.ndarray) -> None:
    a = at.eye(3, dtype=at.float64).requires_grad_()
    (slope,) = grad(function(a), a)  # type: ignore[operator]
    np.testing.assert_allclose(slope.numpy(), expected, atol=1e-14)


def test_singular_values_of_0_without_their_vectors() -> None:
    a = at.tensor([[2.0, 0], [0, 0], [0, 0]], dtype=at.float64, requires_grad=True)
    (slope,) = grad(at.linalg.svd(a, full_matrices=False)[1][0], a)
    assert slope.tolist() == [[1, 0], [0, 0], [0, 0]]


def test_the_variance_of_a_number() -> None:
    x = at.tensor(2.0, requires_grad=True)
    assert grad(at.var(x, 0, correction=0), x)[0].item() == 0
    assert math.isnan(grad(at.var(x, 0), x)[0].item())


@pytest.mark.parametrize("function", [at.igamma, at.igammac])
def test_incomplete_gamma_functions_of_a_number(function: at.Op) -> None:
    x = leaf(0.5, 1, 3)
    assert gradcheck(lambda x: function(2.5, x), x)


def test_products_of_no_reflectors() -> None:
    a, tau, other = leaf(1, 2, 3, 4, 5, 6).detach().reshape(3, 2).requires_grad_(), leaf(), leaf(7, 8, 9)
    gradients = grad(at.linalg.householder_product(a, tau).sum(), [a, tau], materialize_grads=True)
    assert [tuple(g.shape) for g in gradients] == [(3, 2), (0,)] and not gradients[0].any()
    gradients = grad(at.ormqr(a, tau, other.unsqueeze(1)).sum(), [a, tau, other], materialize_grads=True)
    assert gradients[2].tolist() == [1, 1, 1] and not gradients[0].any()


def test_asinh_on_its_branch_cuts() -> None:
    # Its derivative is 1 / cosh(asinh(z)), on either side of the cut that the sign of zero says.
    z = at.tensor([complex(0.0, 2.0), complex(-0.0, 2.0), complex(0.0, -2.0)], dtype=at.complex128, requires_grad=True)
    (slope,) = grad(at.asinh(z).sum(), z, at.ones((), dtype=at.complex128))
    np.testing.assert_allclose(slope.numpy(), np.conj(1 / np.cosh(np.arcsinh(z.detach().numpy()))), rtol=1e-12)


def test_relu_at_its_kink_and_at_nan() -> None:
    """Where the result is 0 or NaN the gradient is 0, whatever comes in; elsewhere it is passed on as it is."""
    x = leaf(-1, 0, -0.0, math.nan, 2, math.inf, 3)
    g = at.tensor([math.nan, math.inf, 5, 6, -0.0, 7, math.nan], dtype=at.float64)
    (slope,) = grad(at.relu(x), x, g)
    np.testing.assert_array_equal(slope.numpy(), [0, 0, 0, 0, -0.0, 7, math.nan])
    assert math.copysign(1, slope[4].item()) == -1


def test_the_product_of_a_number_that_is_0() -> None:
    x = at.tensor(0.0, dtype=at.float64, requires_grad=True)
    for dim in (None, 0, -1):
        (slope,) = grad(at.prod(x) if dim is None else at.prod(x, dim), x)
        assert slope.shape == () and slope.item() == 1


@pytest.mark.parametrize("shapes", [((5, 2, 0), (0, 3)), ((0, 2, 3), (3, 4)), ((5, 0, 3), (3, 0)), ((2, 0), (5, 0, 3))])
def test_products_of_matrices_without_elements(shapes: tuple[tuple[int, ...], ...]) -> None:
    matrices = [at.ones(*shape, dtype=at.float64).requires_grad_() for shape in shapes]
    slopes = grad(at.matmul(*matrices).sum(), matrices)
    for matrix, slope in zip(matrices, slopes, strict=True):
        assert slope.shape == matrix.shape and (slope == 0).all().item()


def test_what_fills_a_number_more_than_once_counts_once() -> None:
    number, value = leaf(3)[0], leaf(2)[0]
    slopes = grad(at.index_fill(number, 0, at.tensor([0, 0]), value), [number, value])
    assert [slope.item() for slope in slopes] == [0, 1]
