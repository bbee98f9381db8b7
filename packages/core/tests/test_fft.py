"""What the specs of the namespace fft do not say: keywords of the array API, inverses, long lines, memory."""

import numpy as np
import pytest
import scipy.fft

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


# Powers, products of all factors with passes, primes by a chirp; within a cache, in two steps, in three.
SHORT = [1, 2, 8, 13, 17, 30, 97, 256, 1001, 1009, 1024, 1025, 2048, 2187, 4096, 5003]
LONG = [(30030, 2), (65537, 1), (2**18 + 2, 1), (5 * 2**18, 1)]


@pytest.mark.parametrize(("n", "lines"), [*((n, lines) for n in SHORT for lines in (1, 3, 21)), *LONG])
def test_all_ways_of_transforming(n: int, lines: int) -> None:
    """Against SciPy's in double, relative to the largest value."""
    real = RNG.standard_normal((lines, n))
    whole = real + 1j * RNG.standard_normal((lines, n))
    half = scipy.fft.rfft(real)
    for name, x, options in (
        ("fft", whole, {}),
        ("ifft", whole, {}),
        ("fft", real, {}),
        ("rfft", real, {}),
        ("irfft", half, {"n": n}),
    ):
        for dtype, tolerance in ((x.dtype, 3e-15), (np.dtype("c8" if x.dtype.kind == "c" else "f4"), 6e-7)):
            given = x.astype(dtype)
            exact = getattr(scipy.fft, name)(given.astype(x.dtype), **options)
            got = getattr(at.fft, name)(at.asarray(given), **options).numpy()
            error = np.abs(got - exact).max() / np.abs(exact).max()
            assert error < tolerance, f"{name} of {dtype}: {error:.1e}"


def test_strided_and_overlapping_memory() -> None:
    """Views of any strides come in; the result may be the input itself."""
    x = at.asarray(RNG.standard_normal((6, 40, 50)) + 0j)
    for view in (x.transpose(0, 2), x[::2, 1::3], x[:, :, 0].T, x[0, 0].expand(3, 50)):
        for dim in range(view.ndim):
            np.testing.assert_allclose(
                at.fft.fft(view, dim=dim), np.fft.fft(view.numpy(), axis=dim), rtol=0, atol=1e-12
            )
    expected = np.fft.fft(x.numpy(), axis=1)
    np.testing.assert_allclose(at.fft.fft(x, dim=1, out=x), expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-12)


def test_lines_do_not_touch_each_other() -> None:
    """Transforms that are made side by side: a NaN or a large number stays in its line."""
    x = np.ones((20, 64), np.float32)
    x[3, 5], x[7] = np.nan, 1e30
    for made in (at.fft.fft(at.asarray(x)), at.fft.rfft(at.asarray(x)), at.fft.ifft(at.asarray(x + 0j))):
        values = made.numpy()
        assert np.all(np.isnan(values[3]))
        np.testing.assert_array_equal(np.delete(values, (3, 7), 0), np.broadcast_to(values[0], (18, values.shape[1])))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_matter(threads: int) -> None:
    x = at.asarray(RNG.standard_normal((70, 96, 8)) + 0j)
    long = at.asarray(RNG.standard_normal(2**17))
    before = at.get_num_threads()
    at.set_num_threads(1)
    expected = [at.fft.fftn(x), at.fft.rfft(long), at.fft.ifft(long)]
    at.set_num_threads(threads)
    got = [at.fft.fftn(x), at.fft.rfft(long), at.fft.ifft(long)]
    at.set_num_threads(before)
    assert all(at.equal(a, b) for a, b in zip(expected, got, strict=True))
