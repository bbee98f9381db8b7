"""What the specs of the namespace fft do not say: keywords of the array API, either library, inverses."""

import sys

import numpy as np
import pytest

import atled.core as at

RNG = np.random.default_rng(0)
X = RNG.standard_normal((3, 4, 10))


def test_keywords_of_the_array_api() -> None:
    x = at.asarray(X)
    np.testing.assert_array_equal(at.fft.fft(x, axis=1), at.fft.fft(x, dim=1))
    np.testing.assert_array_equal(at.fft.rfftn(x, s=(4, 6), axes=(0, 2)), at.fft.rfftn(x, (4, 6), (0, 2)))
    np.testing.assert_array_equal(at.fft.fftshift(x, axes=(0, 2)), at.fft.fftshift(x, (0, 2)))
    np.testing.assert_array_equal(at.fft.fftshift(x, axes=1), at.fft.fftshift(x, (1,)))


@pytest.mark.parametrize("n", [9, 10])
def test_a_transform_and_its_inverse_give_the_signal_back(n: int) -> None:
    x = at.asarray(X[..., :n])
    for there, back in (("rfft", "irfft"), ("ihfft", "hfft"), ("fft", "ifft")):
        y = getattr(at.fft, back)(getattr(at.fft, there)(x, norm="ortho"), n, norm="ortho")
        np.testing.assert_allclose(y.numpy(), x.numpy(), rtol=0, atol=1e-14)
    for name in ("fft2", "fftn"):
        y = getattr(at.fft, "ir" + name)(getattr(at.fft, "r" + name)(x), x.shape[-int(name == "fft2") * 2 :])
        np.testing.assert_allclose(y.numpy(), x.numpy(), rtol=0, atol=1e-14)


def test_no_dimensions_at_all() -> None:
    """Nothing is transformed, and the result is complex all the same."""
    assert at.fft.fftn(at.tensor(2.0)).item() == 2 + 0j
    assert at.fft.ifftn(at.tensor([1, 2]), dim=()).tolist() == [1 + 0j, 2 + 0j]
    with pytest.raises(at.ShapeError, match="rfftn: expected at least one dimension to transform"):
        at.fft.rfftn(at.tensor(2.0))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "complex128", "int64"])
def test_without_scipy(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy serves where SciPy is not installed."""
    x = at.asarray(X).to(getattr(at, dtype))
    ours = [at.fft.ifftn(x), at.fft.fft(x, 7), at.fft.irfft(x)]
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.fft", None)
    for expected, got in zip(ours, [at.fft.ifftn(x), at.fft.fft(x, 7), at.fft.irfft(x)], strict=True):
        assert got.dtype == expected.dtype
        tolerance = 1e-13 if got.dtype in (at.float64, at.complex128) else 1e-5
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=tolerance, atol=tolerance)
