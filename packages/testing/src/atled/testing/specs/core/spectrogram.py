"""Short-time Fourier transforms, frame by frame with NumPy in complex128."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample


def signals(draw: Draw) -> Iterator[Sample]:
    """Every argument; lengths that the frames fill and do not fill; even and odd n_fft."""
    yield Sample(draw(20), 8, return_complex=True)
    yield Sample(draw(2, 17), 6, 2, 4, draw(4, low=0.2, high=1), normalized=True)
    yield Sample(draw(15), 7, 3, window=draw(7, low=0.2, high=1), center=False, onesided=False)
    for mode in ("constant", "replicate", "circular"):
        yield Sample(draw(9), 4, pad_mode=mode, return_complex=True)
    yield Sample(draw(12), 8, 3, 5, center=False, align_to_window=True)


def placed(window: Any, length: int | None, n_fft: int) -> Any:
    length = n_fft if length is None else length
    window = np.ones(length) if window is None else window
    before = (n_fft - length) // 2
    return np.pad(window, (before, n_fft - length - before))


def stft(
    x: Any,
    n_fft: int,
    hop: int | None = None,
    length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool = True,
    return_complex: bool = True,
    align_to_window: bool = False,
) -> Any:
    hop = hop or n_fft // 4
    if center:
        mode: Any = {"replicate": "edge", "circular": "wrap"}.get(pad_mode, pad_mode)
        x = np.pad(x, [*[(0, 0)] * (x.ndim - 1), (n_fft // 2, n_fft // 2)], mode=mode)
    missing = n_fft - (length or n_fft)
    if align_to_window:
        x = np.pad(x, [*[(0, 0)] * (x.ndim - 1), (missing // 2, missing - missing // 2)])
    starts = range(0, x.shape[-1] - n_fft + 1, hop)
    frames = np.stack([x[..., start : start + n_fft] * placed(window, length, n_fft) for start in starts], -1)
    turns = np.exp(-2j * np.pi * (np.outer(np.arange(n_fft), np.arange(n_fft)) % n_fft) / n_fft)
    turns = turns[: n_fft // 2 + 1] if onesided else turns
    return turns @ frames / (np.sqrt(n_fft) if normalized else 1)


def stft_scale(x: Any, n_fft: int, *args: Any, **kwargs: Any) -> Any:
    return np.broadcast_to(
        np.abs(stft(x, n_fft, *args, **kwargs)).max(-2, keepdims=True), stft(x, n_fft, *args, **kwargs).shape
    )


def spectra(draw: Draw) -> Iterator[Sample]:
    def drawn(*shape: int) -> Any:
        return draw(*shape, dtype={"float64": "complex128"}.get(draw.dtype, "complex64"))

    yield Sample(drawn(5, 6), 8)
    yield Sample(drawn(2, 4, 5), 6, 2, 4, draw(4, low=0.5, high=1), normalized=True)
    yield Sample(drawn(4, 5), 7, 3, window=draw(7, low=0.5, high=1), center=False, length=22)
    yield Sample(drawn(6, 4), 6, 3, center=False, onesided=False, return_complex=True)
    yield Sample(drawn(5, 6), 8, length=7)


def istft(
    x: Any,
    n_fft: int,
    hop: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool = True,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """The least squares solution, from the matrix that sums windowed frames."""
    hop = hop or n_fft // 4
    window = placed(window, win_length, n_fft)
    frames = np.moveaxis(x, -1, -2) * (np.sqrt(n_fft) if normalized else 1)
    frames = np.fft.irfft(frames, n_fft) if onesided else np.fft.ifft(frames)
    total = n_fft + hop * (frames.shape[-2] - 1)
    signal, weight = np.zeros((*frames.shape[:-2], total), frames.dtype), np.zeros(total)
    for t in range(frames.shape[-2]):
        signal[..., t * hop : t * hop + n_fft] += window * frames[..., t, :]
        weight[t * hop : t * hop + n_fft] += window**2
    start = n_fft // 2 if center else 0
    signal, weight = signal[..., start : total - start], weight[start : total - start]
    length = signal.shape[-1] if length is None else length
    signal = signal[..., :length] / weight[:length]
    return np.pad(signal, [*[(0, 0)] * (x.ndim - 2), (0, length - signal.shape[-1])])


def wide(sample: Sample) -> bool:
    return sample.args[0].dtype.name in ("float64", "complex128")


X = np.ones(20, np.float32)
Z = np.ones((5, 6), np.complex64)

SPECS = [
    OpSpec(
        name="stft",
        samples=signals,
        reference=stft,
        scale=stft_scale,
        dtypes=FLOATS,
        result=lambda sample: "complex128" if wide(sample) else "complex64",
        errors=(
            ErrorCase(at.InvalidValueError, "n_fft >= 1, got 0", X, 0),
            ErrorCase(at.InvalidValueError, "hop_length >= 1, got 0", X, 8, 0),
            ErrorCase(at.InvalidValueError, r"win_length in \[1, n_fft\] = \[1, 8\], got 9", X, 8, 2, 9),
            ErrorCase(at.ShapeError, r"window of shape \(8,\), got \(7,\)", X, 8, window=np.ones(7)),
            ErrorCase(at.ShapeError, "1 or 2 dimensions", np.ones((1, 1, 20)), 8),
            ErrorCase(at.ShapeError, "at least n_fft = 24 points, got 20", X, 24, center=False),
            ErrorCase(at.ShapeError, "more than n_fft / 2 = 20 points for pad_mode reflect, got 20", X, 40),
            ErrorCase(
                at.InvalidValueError, "reflect, constant, replicate or circular, got 'wrap'", X, 8, pad_mode="wrap"
            ),
            ErrorCase(at.InvalidValueError, "onesided=False", Z[0], 4, onesided=True),
            ErrorCase(at.InvalidValueError, "no align_to_window", X, 8, align_to_window=True),
        ),
    ),
    OpSpec(
        name="istft",
        samples=spectra,
        reference=istft,
        scale=lambda x, *args, **kwargs: np.abs(x).max() * 4,
        dtypes=("float32", "float64"),
        result=lambda sample: (
            ("complex" if "return_complex" in sample.kwargs else "float")
            + str((64 if wide(sample) else 32) * (2 if "return_complex" in sample.kwargs else 1))
        ),
        errors=(
            ErrorCase(at.DTypeError, "input to be complex, got float64", np.ones((5, 6)), 8),
            ErrorCase(at.ShapeError, "2 or 3 dimensions", Z[0], 8),
            ErrorCase(at.ShapeError, r"input.shape\[-2\] = 4 frequencies for n_fft 6, got 5", Z, 6),
            ErrorCase(at.ShapeError, "at least one frame", Z[:, :0], 8),
            ErrorCase(at.InvalidValueError, "onesided=False", Z, 8, return_complex=True),
            ErrorCase(at.InvalidValueError, "windows that overlap", Z, 8, window=np.eye(8)[0]),
            ErrorCase(at.InvalidValueError, r"fewer than 2\^63 points", Z, 8, 2**62),
            ErrorCase(at.ShapeError, "more than the 8 points that center cuts off", Z[:, :1], 8),
        ),
    ),
]
