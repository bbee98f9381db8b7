"""The sample op: values, forms, errors and gradients, against NumPy."""

import numpy as np
import pytest

import atled.core as at


def reference(x: np.ndarray, limit: float) -> np.ndarray:
    return x / (1 + np.abs(x) / limit)


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16, at.float32, at.float64])
def test_values(dtype: at.dtype) -> None:
    x = np.linspace(-4, 4, 1001)
    got = at.ops.sample.soft_clip(at.asarray(x).to(dtype), 2.0)
    assert got.dtype is dtype
    exact = reference(at.asarray(x).to(dtype).to(at.float64).numpy(), 2.0)
    ulp = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 2**-23, "float64": 2**-52}[dtype.name]
    np.testing.assert_allclose(got.to(at.float64).numpy(), exact, rtol=2 * ulp)


def test_forms() -> None:
    x = at.tensor([[1.0, -2.0], [0.5, 8.0]])
    expected = reference(x.numpy().astype(float), 1.0)
    out = at.empty((2, 2))
    assert at.ops.sample.soft_clip(x, out=out) is out
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(at.ops.sample.soft_clip(x.T).numpy(), expected.T, rtol=1e-6)
    np.testing.assert_allclose(at.ops.sample.soft_clip(input=x, limit=1).numpy(), expected, rtol=1e-6)


def test_errors() -> None:
    with pytest.raises(at.DTypeError, match="soft_clip: expected input of a floating-point dtype, got int64"):
        at.ops.sample.soft_clip(at.tensor([1, 2]))
    with pytest.raises(at.InvalidValueError, match="soft_clip: expected limit > 0, got -1"):
        at.ops.sample.soft_clip(at.tensor([1.0]), limit=-1)


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16, at.float32, at.float64])
def test_cuda(dtype: at.dtype) -> None:
    try:
        x = at.asarray(np.linspace(-4, 4, 1003)).to(dtype).to("cuda")
    except at.DeviceError as error:
        pytest.skip(str(error))
    for y in (x, x[1:], x[::2], x.reshape(17, 59).T, x[:0]):  # aligned, not aligned, with gaps, turned, empty
        got, expected = at.ops.sample.soft_clip(y, 2.0), at.ops.sample.soft_clip(y.cpu(), 2.0)
        assert got.dtype is dtype and got.shape == y.shape
        ulp = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 2**-23, "float64": 2**-52}[dtype.name]
        np.testing.assert_allclose(got.to(at.float64).cpu().numpy(), expected.to(at.float64).numpy(), rtol=2 * ulp)
    z = x.reshape(17, 59).T
    expected = at.ops.sample.soft_clip(z.cpu(), 2.0)
    z.copy_(at.ops.sample.soft_clip(z, 2.0, out=at.empty_like(z)))
    assert (z.cpu() == expected.to(dtype)).all().item()


def test_gradients() -> None:
    autograd = pytest.importorskip("atled.autograd")
    x = at.tensor([0.3, -1.7, 4.0], dtype=at.float64, requires_grad=True)
    assert autograd.gradcheck(lambda t: at.ops.sample.soft_clip(t, 1.5), (x,))
    assert autograd.gradgradcheck(lambda t: at.ops.sample.soft_clip(t, 1.5), (x,))
