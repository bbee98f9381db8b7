"""Ways to fill parameters before learning. All change the tensor in place, unrecorded, and answer it."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Generator, Tensor
from atled.core._explained import explained

from ._parameter import UninitializedParameter, detached

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {"tanh": 5.0 / 3.0, "relu": math.sqrt(2.0), "selu": 0.75}
_LINEAR = (
    "linear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "sigmoid",
)


@explained
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What an activation's input should be scaled by so that its output keeps the variance.

    After He et al. 2015, section 2.2: 1 for linear maps and ``"sigmoid"``, sqrt(2) for ``"relu"``,
    ``sqrt(2 / (1 + param^2))`` for ``"leaky_relu"`` of slope ``param`` (0.01 by default), 5 / 3 for ``"tanh"`` and 0.75
    for ``"selu"``. InvalidValueError for others.

    >>> calculate_gain("leaky_relu", 1.0), round(calculate_gain("relu"), 4)
    (1.0, 1.4142)
    """
    if nonlinearity in _LINEAR:
        return 1.0
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join((*_LINEAR, "leaky_relu", *_GAINS))
        raise at.InvalidValueError(f"calculate_gain: expected nonlinearity one of {known}, got {nonlinearity!r}")
    return _GAINS[nonlinearity]


def _plain(tensor: Tensor) -> Tensor:
    """What is filled without being recorded."""
    if not isinstance(tensor, Tensor):
        raise at.ArgumentError(f"init: expected tensor to be Tensor, got {type(tensor).__name__}")
    if isinstance(tensor, UninitializedParameter):
        raise at.ArgumentError("init: expected a tensor, got an UninitializedParameter; run the lazy layer once before")
    return detached(tensor)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b), drawn from ``generator``, or the device's own.

    Floats and complex numbers, whose real and imaginary parts are drawn alike; DTypeError for others.

    >>> w = uniform_(at.empty(1000), -2.0, 2.0)
    >>> bool((w >= -2).all()), bool((w < 2).all()), bool(w.std() > 1)
    (True, True, True)
    """
    plain = _plain(tensor)
    (at.view_as_real(plain) if plain.is_complex() else plain).uniform_(a, b, generator=generator)
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with ``mean`` and the standard deviation ``std``.

    Floats and complex numbers, whose real and imaginary parts each have half of the variance; DTypeError for others.

    >>> w = normal_(at.empty(10000), mean=5.0, std=0.1)
    >>> round(w.mean().item(), 1), round(w.std().item(), 1)
    (5.0, 0.1)
    """
    plain = _plain(tensor)
    if plain.is_complex():
        at.view_as_real(plain).normal_(mean, std / math.sqrt(2), generator=generator)
    else:
        plain.normal_(mean, std, generator=generator)
    return tensor


@explained
def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal with ``mean`` and ``std``, but drawn again where it falls outside of [a, b].

    The bounds are values, no multiples of ``std``. InvalidValueError where next to nothing of the distribution lies
    within.

    >>> w = trunc_normal_(at.empty(1000), std=1.0, a=-0.5, b=0.5)
    >>> bool((w.abs() <= 0.5).all())
    True
    """
    plain = _plain(tensor)
    low, high = (0.5 * math.erfc(-(bound - mean) / (std * math.sqrt(2.0))) for bound in (a, b))
    if high - low < 1e-12:
        raise at.InvalidValueError(f"trunc_normal_: expected [a, b] near the mean {mean}, got [{a}, {b}]")
    plain.normal_(mean, std, generator=generator)
    outside = (plain < a) | (plain > b)
    while bool(outside.any()):
        again = at.empty_like(plain).normal_(mean, std, generator=generator)
        plain.copy_(at.where(outside, again, plain))
        outside = (plain < a) | (plain > b)
    return tensor


def constant_(tensor: Tensor, val: float) -> Tensor:
    """``val`` everywhere, in the tensor's dtype.

    >>> constant_(at.empty(3), 0.5).tolist()
    [0.5, 0.5, 0.5]
    """
    _plain(tensor).fill_(val)
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Ones everywhere.

    >>> ones_(at.empty(3)).tolist()
    [1.0, 1.0, 1.0]
    """
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros everywhere.

    >>> zeros_(at.empty(3)).tolist()
    [0.0, 0.0, 0.0]
    """
    return constant_(tensor, 0.0)


@explained
def eye_(tensor: Tensor) -> Tensor:
    """The identity: ones on the diagonal of a matrix of any sizes. ShapeError for other than two dimensions.

    >>> eye_(at.empty(2, 3)).tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if tensor.ndim != 2:
        raise at.ShapeError(f"eye_: expected a matrix, got {tuple(tensor.shape)}")
    _plain(tensor).copy_(at.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))
    return tensor


@explained
def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The weight ``(K, C, *kernel)`` of a convolution that hands its input on, as far as channels go, in each group.

    That is with padding ``"same"`` and odd kernels. ShapeError unless the tensor has three to five dimensions and K is
    a multiple of ``groups``.

    >>> dirac_(at.empty(2, 2, 3)).tolist()
    [[[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    """
    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise at.ShapeError(f"dirac_: expected (K, C, *kernel) with K a multiple of groups, got {tuple(tensor.shape)}")
    plain = zeros_(_plain(tensor))
    per_group = tensor.shape[0] // groups
    center = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for c in range(min(per_group, tensor.shape[1])):
            plain[(group * per_group + c, c, *center)] = 1.0
    return tensor


def _fans(op: str, tensor: Tensor) -> tuple[int, int]:
    if _plain(tensor).ndim < 2:
        raise at.ShapeError(
            f"{op}: expected at least two dimensions to count fan in and fan out, got {tuple(tensor.shape)}"
        )
    taps = math.prod(tensor.shape[2:])
    return tensor.shape[1] * taps, tensor.shape[0] * taps


def _fan(op: str, tensor: Tensor, mode: str) -> int:
    if mode not in ("fan_in", "fan_out"):
        raise at.InvalidValueError(f"{op}: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    return _fans(op, tensor)[mode == "fan_out"]


# PyTorch's private names, which many layers' reset_parameters use.
def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    return _fans("_calculate_fan_in_and_fan_out", tensor)


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    return _fan("_calculate_correct_fan", tensor, mode)


@explained
def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in ``±gain sqrt(6 / (fan_in + fan_out))`` (Glorot & Bengio 2010, eq. 16).

    It keeps variances forward and backward as far as both can be. Of a weight ``(out, in, *kernel)``, ``fan_in`` is in
    times the kernel's size, ``fan_out`` out times it. ShapeError for fewer than two dimensions.

    >>> w = xavier_uniform_(at.empty(50, 100))
    >>> bool(w.abs().max() <= 0.2), bool(w.abs().max() > 0.19)
    (True, True)
    """
    bound = gain * math.sqrt(6.0 / sum(_fans("xavier_uniform_", tensor)))
    return uniform_(tensor, -bound, bound, generator)


@explained
def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with deviation ``gain sqrt(2 / (fan_in + fan_out))`` (Glorot & Bengio 2010, eq. 12).

    The fans are those of `xavier_uniform_`.

    >>> w = xavier_normal_(at.empty(100, 100))
    >>> round(w.std().item(), 2)
    0.1
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans("xavier_normal_", tensor))), generator)


def _kaiming_std(op: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _fan(op, tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


@explained
def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in ``±gain sqrt(3 / fan)`` (He et al. 2015, eq. 10), which keeps the variance through an activation.

    ``gain`` is that of `calculate_gain` for ``nonlinearity`` and ``a``; ``fan`` is that of `xavier_uniform_` for
    ``mode``: ``"fan_in"`` for the forward pass, ``"fan_out"`` for the backward one. InvalidValueError for another mode
    or nonlinearity, ShapeError for fewer than two dimensions.

    >>> w = kaiming_uniform_(at.empty(50, 600), nonlinearity="relu")
    >>> bool(w.abs().max() <= 0.1), bool(w.abs().max() > 0.095)
    (True, True)
    """
    bound = math.sqrt(3.0) * _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


@explained
def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with deviation ``gain / sqrt(fan)`` (He et al. 2015, eq. 10); arguments are those of `kaiming_uniform_`.

    >>> w = kaiming_normal_(at.empty(50, 200), nonlinearity="relu")
    >>> round(w.std().item(), 2)
    0.1
    """
    return normal_(tensor, 0.0, _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity), generator)


@explained
def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """``gain`` times orthonormal rows, or columns if these are fewer (Saxe et al. 2014).

    Further dimensions count as columns. Uniform over all of them: Q of a normal matrix, with the signs of R. ShapeError
    for fewer than two dimensions.

    >>> w = orthogonal_(at.empty(2, 3), gain=2.0)
    >>> bool(at.allclose(w @ w.mT, 4 * at.eye(2), atol=1e-5))
    True
    """
    import numpy as np

    if tensor.ndim < 2:
        raise at.ShapeError(f"orthogonal_: expected at least two dimensions, got {tuple(tensor.shape)}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = at.empty(max(rows, columns), min(rows, columns), dtype=at.float64).normal_(0.0, 1.0, generator=generator)
    q, r = np.linalg.qr(drawn.numpy())
    q = q * np.sign(np.diag(r))
    values = np.ascontiguousarray((q.T if rows < columns else q) * gain)
    _plain(tensor).copy_(at.from_numpy(values).reshape(tensor.shape))
    return tensor


@explained
def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal with deviation ``std``, but with the share ``sparsity`` of each column, rounded up, zero (Martens 2010).

    ShapeError for other than two dimensions.

    >>> w = sparse_(at.empty(10, 4), sparsity=0.25)
    >>> (w == 0).sum(0).tolist()
    [3, 3, 3, 3]
    """
    if tensor.ndim != 2:
        raise at.ShapeError(f"sparse_: expected a matrix, got {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    plain = normal_(_plain(tensor), 0.0, std, generator)
    for column in range(columns):
        order = at.empty(rows).uniform_(0.0, 1.0, generator=generator).tolist()
        for row in sorted(range(rows), key=order.__getitem__)[:zeros]:
            plain[row, column] = 0.0
    return tensor
