"""Ways to fill parameters before learning. All change the tensor in place, unrecorded, and answer it."""

from __future__ import annotations

import math

import atled.core as at
from atled.core import Generator, Tensor

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


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """What an activation's input should be scaled by so that its output keeps the variance.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
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
    if isinstance(tensor, UninitializedParameter):
        raise at.ArgumentError("init: expected a tensor, got an UninitializedParameter; run the lazy layer once before")
    return detached(tensor)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in [a, b)."""
    _plain(tensor).uniform_(a, b, generator=generator)
    return tensor


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with a mean and a standard deviation."""
    _plain(tensor).normal_(mean, std, generator=generator)
    return tensor


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Normal, but drawn again where it falls outside of [a, b]."""
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
    """One value everywhere."""
    _plain(tensor).fill_(val)
    return tensor


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix."""
    if tensor.ndim != 2:
        raise at.ShapeError(f"eye_: expected a matrix, got {tuple(tensor.shape)}")
    detached(tensor).copy_(at.eye(*tensor.shape, dtype=tensor.dtype, device=tensor.device))
    return tensor


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """The weight of a convolution that hands its input on, as far as the channels go, within each group."""
    if tensor.ndim not in (3, 4, 5) or tensor.shape[0] % groups:
        raise at.ShapeError(f"dirac_: expected (K, C, *kernel) with K a multiple of groups, got {tuple(tensor.shape)}")
    plain = zeros_(detached(tensor))
    per_group = tensor.shape[0] // groups
    center = tuple(size // 2 for size in tensor.shape[2:])
    for group in range(groups):
        for c in range(min(per_group, tensor.shape[1])):
            plain[(group * per_group + c, c, *center)] = 1.0
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if _plain(tensor).ndim < 2:
        raise at.ShapeError(
            f"init: expected at least two dimensions to count fan in and fan out, got {tuple(tensor.shape)}"
        )
    taps = math.prod(tensor.shape[2:])
    return tensor.shape[1] * taps, tensor.shape[0] * taps


# PyTorch's private name, which many layers' reset_parameters use.
_calculate_fan_in_and_fan_out = _fans


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform in ``±gain sqrt(6 / (fan_in + fan_out))`` (Glorot & Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with deviation ``gain sqrt(2 / (fan_in + fan_out))`` (Glorot & Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(_fans(tensor))), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise at.InvalidValueError(f"kaiming init: expected mode 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform in ``±gain sqrt(3 / fan)`` (He et al. 2015)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with deviation ``gain / sqrt(fan)`` (He et al. 2015)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def orthogonal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Orthonormal rows, or columns if there are fewer (Saxe et al. 2014); all further dimensions count as one."""
    import numpy as np

    if tensor.ndim < 2:
        raise at.ShapeError(f"orthogonal_: expected at least two dimensions, got {tuple(tensor.shape)}")
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    drawn = at.empty(max(rows, columns), min(rows, columns), dtype=at.float64).normal_(0.0, 1.0, generator=generator)
    q, r = np.linalg.qr(drawn.numpy())
    q = q * np.sign(np.diag(r))
    values = np.ascontiguousarray((q.T if rows < columns else q) * gain)
    detached(tensor).copy_(at.from_numpy(values).reshape(tensor.shape))
    return tensor


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal, but with a share of each column zero (Martens 2010)."""
    if tensor.ndim != 2:
        raise at.ShapeError(f"sparse_: expected a matrix, got {tuple(tensor.shape)}")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    plain = normal_(detached(tensor), 0.0, std, generator)
    for column in range(columns):
        order = at.empty(rows).uniform_(0.0, 1.0, generator=generator).tolist()
        for row in sorted(range(rows), key=order.__getitem__)[:zeros]:
            plain[row, column] = 0.0
    return tensor
