"""Windows by which frames of a signal are weighted, with the names of ``torch.signal.windows``.

Each takes M, how many points, and ``sym``: True for a symmetric window, as filters are made of; False for a periodic
one, the symmetric window of M + 1 points without its last, for frames that follow one another. Below, n goes from 0 to
M - 1, and N is M - 1, or M of a periodic window; one point alone is 1. Windows are computed in float64 and rounded once
to ``dtype``: floating (the default float). InvalidValueError for a negative M, DTypeError for other dtypes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from atled.core import _core
from atled.core._explained import explained
from atled.core._methods import layout as Layout
from atled.core._ops import ops

Tensor = _core.Tensor
DType = _core.dtype
Device = _core.device | str

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

_NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)


def _length(function: str, M: int) -> int:
    if not isinstance(M, int):
        raise _core.ArgumentError(f"{function}: expected M to be int, got {M!r}")
    if M < 0:
        raise _core.InvalidValueError(f"{function}: expected M >= 0, got {M}")
    return M


def _computed(
    function: str,
    formula: Callable[[Tensor, int], Tensor],
    M: int,
    sym: bool,
    dtype: DType | None,
    layout: Layout | None,
    device: Device | None,
    requires_grad: bool,
) -> Tensor:
    """A window whose formula takes n, in float64, and N."""
    n = ops.core.arange(_length(function, M), dtype=_core.float64, layout=layout, device=device)
    values = n + 1 if M <= 1 else formula(n, M - 1 if sym else M)
    made: Tensor = values.to(_core.get_default_dtype() if dtype is None else dtype)
    if not made.is_floating_point():
        raise _core.DTypeError(f"{function}: expected a floating-point dtype, got {made.dtype.name}")
    return made.requires_grad_() if requires_grad else made


def _cosines(a: Sequence[float]) -> Callable[[Tensor, int], Tensor]:
    def formula(n: Tensor, N: int) -> Tensor:
        angle = n * (2 * math.pi / N)
        total: Tensor = ops.core.full_like(n, a[0])
        for k, factor in enumerate(a[1:], 1):
            total = total + (-1) ** k * factor * (k * angle).cos()
        return total

    return formula


@explained
def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A triangle from 0 to 1 and back: ``1 - |2 n / N - 1|``.

    >>> bartlett(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    made: Tensor = ops.core.bartlett_window(
        _length("bartlett", M), not sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )
    return made


@explained
def blackman(
    M: int,
    *,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)``.

    >>> blackman(5)
    tensor([0.0000, 0.3400, 1.0000, 0.3400, 0.0000])
    """
    made: Tensor = ops.core.blackman_window(
        _length("blackman", M), not sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )
    return made


@explained
def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Half a wave, without its zeros: ``sin(pi (n + 1/2) / (N + 1))``.

    >>> cosine(5)
    tensor([0.3090, 0.8090, 1.0000, 0.8090, 0.3090])
    """
    return _computed(
        "cosine", lambda n, N: ((n + 0.5) * (math.pi / (N + 1))).sin(), M, sym, dtype, layout, device, requires_grad
    )


@explained
def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """Decays to both sides of the center: ``exp(-|n - center| / tau)``.

    center: N / 2 unless given; of periodic windows only. tau: positive, the distance over which it falls by e.
    InvalidValueError for others.

    >>> exponential(5)
    tensor([0.1353, 0.3679, 1.0000, 0.3679, 0.1353])
    """
    if sym and center is not None:
        raise _core.InvalidValueError(
            f"exponential: expected no center of a symmetric window, got {center}; use sym=False"
        )
    if not tau > 0:
        raise _core.InvalidValueError(f"exponential: expected tau > 0, got {tau}")

    return _computed(
        "exponential",
        lambda n, N: ((n - (N / 2 if center is None else center)).abs() / -tau).exp(),
        M,
        sym,
        dtype,
        layout,
        device,
        requires_grad,
    )


@explained
def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A bell of standard deviation ``std``: ``exp(-((n - N / 2) / std)^2 / 2)``.

    std: in points; InvalidValueError unless positive.

    >>> gaussian(5)
    tensor([0.1353, 0.6065, 1.0000, 0.6065, 0.1353])
    """
    if not std > 0:
        raise _core.InvalidValueError(f"gaussian: expected std > 0, got {std}")

    return _computed(
        "gaussian",
        lambda n, N: (((n - N / 2) / std).square() * -0.5).exp(),
        M,
        sym,
        dtype,
        layout,
        device,
        requires_grad,
    )


@explained
def general_cosine(
    M: int,
    *,
    a: Sequence[float],
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A sum of cosines of alternating signs: ``a[0] - a[1] cos(2 pi n / N) + a[2] cos(4 pi n / N) - ...``.

    a: the weights; InvalidValueError without any.

    >>> general_cosine(5, a=[0.46, 0.23, 0.31])
    tensor([0.5400, 0.1500, 1.0000, 0.1500, 0.5400])
    """
    if not len(a):
        raise _core.InvalidValueError("general_cosine: expected at least one weight in a, got none")
    return _computed("general_cosine", _cosines(a), M, sym, dtype, layout, device, requires_grad)


@explained
def general_hamming(
    M: int,
    *,
    alpha: float = 0.54,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``alpha - (1 - alpha) cos(2 pi n / N)``.

    >>> general_hamming(5, alpha=0.75)
    tensor([0.5000, 0.7500, 1.0000, 0.7500, 0.5000])
    """
    made: Tensor = ops.core.hamming_window(
        _length("general_hamming", M),
        not sym,
        alpha,
        1 - alpha,
        dtype=dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
    )
    return made


@explained
def hamming(
    M: int,
    *,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``0.54 - 0.46 cos(2 pi n / N)``.

    >>> hamming(5)
    tensor([0.0800, 0.5400, 1.0000, 0.5400, 0.0800])
    """
    made: Tensor = ops.core.hamming_window(
        _length("hamming", M), not sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )
    return made


@explained
def hann(
    M: int,
    *,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``(1 - cos(2 pi n / N)) / 2``, von Hann's.

    >>> hann(5)
    tensor([0.0000, 0.5000, 1.0000, 0.5000, 0.0000])
    """
    made: Tensor = ops.core.hann_window(
        _length("hann", M), not sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )
    return made


@explained
def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``i0(beta sqrt(1 - x^2)) / i0(beta)`` for ``x = 2 n / N - 1``.

    beta: the larger, the narrower; in [-1e6, 1e6].

    >>> kaiser(5)
    tensor([5.2773e-05, 2.1567e-01, 1.0000e+00, 2.1567e-01, 5.2773e-05])
    """
    made: Tensor = ops.core.kaiser_window(
        _length("kaiser", M), not sym, beta, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )
    return made


@explained
def nuttall(
    M: int,
    *,
    sym: bool = True,
    dtype: DType | None = None,
    layout: Layout | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """The sum of four cosines with the lowest side lobes, 98 dB down: the minimum 4-term window of Nuttall (1981).

    >>> nuttall(5)
    tensor([3.6280e-04, 2.2698e-01, 1.0000e+00, 2.2698e-01, 3.6280e-04])
    """
    return _computed("nuttall", _cosines(_NUTTALL), M, sym, dtype, layout, device, requires_grad)
