"""stft and istft against SciPy's, and back again."""

from typing import Any

import numpy as np
import pytest
from scipy import signal

import atled.core as at

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 300))


@pytest.mark.parametrize(("name", "n_fft", "hop"), [("hann", 64, 16), ("hamming", 50, 25), ("blackman", 33, 8)])
def test_like_scipy(name: str, n_fft: int, hop: int) -> None:
    window = getattr(at, f"{name}_window")(n_fft, dtype=at.float64)
    ours = at.stft(at.asarray(X), n_fft, hop, window=window, center=False).numpy()
    sft = signal.ShortTimeFFT(signal.get_window(name, n_fft), hop, fs=1)
    first, last = sft.lower_border_end[1], sft.upper_border_begin(X.shape[-1])[1]
    theirs = sft.stft(X, p0=first, p1=first + ours.shape[-1])
    # SciPy's phases are of times relative to the middle of a frame, the frame's own points here.
    assert last >= ours.shape[-1]
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), rtol=0, atol=1e-12)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"n_fft": 64},
        {"n_fft": 50, "hop_length": 10, "win_length": 40},
        {"n_fft": 33, "hop_length": 11},
        {"n_fft": 64, "pad_mode": "constant"},
        {"n_fft": 64, "hop_length": 60, "win_length": 61},
    ],
    ids=str,
)
def test_round_trip(options: dict[str, Any], normalized: bool) -> None:
    window = at.hamming_window(options.get("win_length", options["n_fft"]), dtype=at.float64)
    x, pad_mode = at.asarray(X), options.pop("pad_mode", "reflect")
    spectra = at.stft(x, **options, window=window, pad_mode=pad_mode, normalized=normalized)
    back = at.istft(spectra, **options, window=window, normalized=normalized, length=240)
    np.testing.assert_allclose(back.numpy(), X[:, :240], rtol=0, atol=1e-13)


def test_complex_round_trip() -> None:
    x = at.asarray(X + 1j * X[::-1])
    window = at.hann_window(64, dtype=at.float64)
    spectra = at.stft(x, 64, window=window)
    assert spectra.shape == (2, 64, 19)
    back = at.istft(spectra, 64, window=window, return_complex=True)
    np.testing.assert_allclose(back.numpy(), x.numpy()[:, : back.shape[1]], rtol=0, atol=1e-13)


def test_parts_of_complex_numbers() -> None:
    x = at.asarray(X)
    whole, parts = at.stft(x, 16), at.stft(x, 16, return_complex=False)
    assert parts.shape == (*whole.shape, 2)
    np.testing.assert_array_equal(parts.numpy()[..., 0] + 1j * parts.numpy()[..., 1], whole.numpy())


def test_more_points_than_the_frames_cover_are_zeros() -> None:
    """What centering added at the end is covered, and comes back as it was: 8 points mirrored."""
    spectra = at.stft(at.asarray(X), 16)
    back = at.istft(spectra, 16, length=310).numpy()
    np.testing.assert_allclose(back[:, :300], X, rtol=0, atol=1e-13)
    np.testing.assert_allclose(back[:, 300:308], X[:, -2:-10:-1], rtol=0, atol=1e-13)
    np.testing.assert_array_equal(back[:, 308:], np.zeros((2, 2)))
