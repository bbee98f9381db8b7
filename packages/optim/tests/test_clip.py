"""Clipping against NumPy."""

import numpy as np
import pytest

import atled.core as at
from atled import optim

RNG = np.random.default_rng(0)
ARRAYS = [RNG.standard_normal((40, 30)), RNG.standard_normal(100_000), RNG.standard_normal(())]


@pytest.mark.parametrize("order", [1.0, 2.0, 3.5, float("inf")])
def test_norm(order: float) -> None:
    tensors = [at.asarray(a) for a in ARRAYS]
    flat = np.concatenate([a.ravel() for a in ARRAYS])
    got = optim.get_total_norm([tensors[0].T, *tensors[1:]], order)
    assert got.dtype is at.float64 and got.shape == ()
    np.testing.assert_allclose(got.item(), np.linalg.norm(flat, order), rtol=1e-13)


@pytest.mark.parametrize("order", [1.0, 2.0, 3.5, float("inf")])
def test_complex_gradients_count_as_long_as_they_are(order: float) -> None:
    pytest.importorskip("atled.autograd")
    arrays = [np.asarray(a + 1j * np.sin(a)) for a in ARRAYS]
    params = [at.zeros(a.shape, dtype=at.complex128) for a in arrays]
    for param, a in zip(params, arrays, strict=True):
        param.grad = at.tensor(a)
    expected = np.linalg.norm(np.concatenate([a.ravel() for a in arrays]), order)
    got = optim.clip_grad_norm_(params, 2.0, order)
    assert got.dtype is at.float64
    np.testing.assert_allclose(got.item(), expected, rtol=1e-13)
    for param, a in zip(params, arrays, strict=True):
        np.testing.assert_allclose(param.grad.numpy(), a * 2 / (expected + 1e-6), rtol=1e-13)


def test_norm_does_not_depend_on_threads() -> None:
    tensor, threads = at.asarray(ARRAYS[1]), at.get_num_threads()
    found = set()
    for count in (1, 2, 3):
        at.set_num_threads(count)
        found.add(optim.get_total_norm(tensor).item())
    at.set_num_threads(threads)
    assert len(found) == 1


def test_scaling() -> None:
    grads = [at.asarray(a.astype(np.float32)) for a in ARRAYS[:2]]
    norm = at.ops.optim.grad_norm(grads)
    at.ops.optim.scale_by_norm_(grads, norm, 1e9)  # within the limit: untouched
    np.testing.assert_array_equal(grads[0].numpy(), ARRAYS[0].astype(np.float32))
    at.ops.optim.scale_by_norm_(grads, norm, 2.0)
    assert optim.get_total_norm(grads).item() == pytest.approx(2.0, rel=1e-5)


def test_a_norm_that_is_not_finite() -> None:
    bad = [at.tensor([1.0, float("nan")])]
    assert np.isnan(optim.get_total_norm(bad).item())
    assert np.isnan(optim.get_total_norm(bad, float("inf")).item())
    with pytest.raises(at.OperationError, match="expected a finite norm of order 2.0, got nan"):
        optim.get_total_norm(bad, error_if_nonfinite=True)
    with pytest.raises(at.InvalidValueError, match="expected norm_type > 0"):
        optim.get_total_norm(bad, 0.0)


def test_gradients_of_parameters() -> None:
    pytest.importorskip("atled.autograd")
    a, b = at.tensor([3.0], requires_grad=True), at.tensor([4.0], requires_grad=True)
    (a * 3 + b * 4).sum().backward()
    norm = optim.clip_grad_norm_([a, b, at.tensor([1.0], requires_grad=True)], 1.0)
    assert norm.item() == pytest.approx(5.0)
    assert (a.grad.item(), b.grad.item()) == (pytest.approx(0.6, rel=1e-5), pytest.approx(0.8, rel=1e-5))
    optim.clip_grad_value_([a, b], 0.7)
    assert (a.grad.item(), b.grad.item()) == (pytest.approx(0.6, rel=1e-5), pytest.approx(0.7))
