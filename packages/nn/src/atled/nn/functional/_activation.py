"""Activation functions."""

from __future__ import annotations

from collections.abc import Callable

import atled.core as at
from atled.core import Tensor

from .._ops import one as _one
from .._parameter import constant, requires_grad


def _in_place(function: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
    # The gradient may be one of the input, which is therefore kept.
    return input.copy_(function(input.clone() if requires_grad(input) else input))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``.

    >>> relu(at.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return at.relu_(input) if inplace else at.relu(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """The input, bounded below and above; where it is at a bound, its gradient is 0 (that of ``clamp`` is not)."""
    if not isinstance(input, Tensor) or not input.is_floating_point():
        return at.clamp_(input, min_val, max_val) if inplace else at.clamp(input, min_val, max_val)
    if inplace:
        return _in_place(lambda x: _one.hardtanh(x, min_val, max_val), input)
    return _one.hardtanh(input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(input, 0), 6)``."""
    return hardtanh(input, 0.0, 6.0, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x Phi(x)`` with the normal distribution's Phi (Hendrycks & Gimpel 2016), or its ``"tanh"`` approximation."""
    return _one.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x sigmoid(x)`` (Elfwing et al. 2018)."""
    return _in_place(_one.silu, input) if inplace else _one.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x tanh(log(1 + exp(x)))`` (Misra 2019)."""
    if inplace:
        return _in_place(_one.mish, input)
    return _one.mish(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where it is positive, else ``negative_slope x``."""
    if inplace:
        return _in_place(lambda x: leaky_relu(x, negative_slope), input)
    return _one.leaky_relu(input, negative_slope)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` where it is positive, else ``weight x``, with one weight or one for each channel (dimension 1).

    ShapeError for another number of weights.
    """
    if (number := weight.numel()) != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if number != channels:
            raise at.ShapeError(
                f"prelu: expected one weight or {channels}, one for each channel of input {tuple(input.shape)}, got "
                f"{tuple(weight.shape)}"
            )
        weight = weight.reshape(-1, *[1] * (input.ndim - 2))
    elif weight.ndim > input.ndim:
        weight = weight.reshape(())
    if input.dtype != weight.dtype:
        dtype = at.result_type(input, weight)
        input, weight = input.to(dtype), weight.to(dtype)
    return _one.prelu(input, weight)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``x`` where it is positive, else ``alpha (exp(x) - 1)`` (Clevert et al. 2016)."""
    if inplace:
        return _in_place(lambda x: elu(x, alpha), input)
    return _one.elu(input, alpha)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))`` (Barron 2017)."""
    if inplace:
        return _in_place(lambda x: celu(x, alpha), input)
    return alpha * _one.elu(input / alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The self-normalising ``scale elu(x, alpha)`` (Klambauer et al. 2017)."""
    if inplace:
        return _in_place(selu, input)
    return 1.0507009873554805 * _one.elu(input, 1.6732632423543772)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta x)) / beta``, and ``x`` itself where ``beta x > threshold``."""
    return _one.softplus(input, beta, threshold)


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(x))``."""
    return _one.logsigmoid(input)


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return input / (1 + at.abs(input))


def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh(x)``."""
    return input - at.tanh(input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x + 3, 0), 6) / 6``."""
    if inplace:
        return _in_place(_one.hardsigmoid, input)
    return _one.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x hardsigmoid(x)`` (Howard et al. 2019)."""
    if inplace:
        return _in_place(_one.hardswish, input)
    return _one.hardswish(input)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where it is above the threshold, else ``value``."""
    if inplace:
        return threshold_(input, threshold, value)
    return at.where(input <= threshold, value, input)  # NaN stays NaN


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` where ``|x| > lambd``, else 0."""
    return _one.hardshrink(input, lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` brought nearer to 0 by ``lambd``."""
    return _one.softshrink(input, lambd)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``."""
    return at.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return at.tanh(input)


def softmax(input: Tensor, dim: int, dtype: at.dtype | None = None) -> Tensor:
    """``exp(x) / sum(exp(x))`` along a dimension."""
    return at.softmax(input, dim, dtype=dtype)


def softmin(input: Tensor, dim: int, dtype: at.dtype | None = None) -> Tensor:
    """``softmax(-x)``."""
    return at.softmax(-input, dim, dtype=dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """Draws from the categorical distributions that ``logits`` describe, differentiably (Jang et al. 2017, eq. 2).

    ``softmax((logits + noise) / tau)`` along ``dim``, with noise of the standard Gumbel distribution: of the shape and
    floating dtype of ``logits``. ``hard`` answers a one for the largest and zeros elsewhere, with the gradient of the
    soft answer. ``eps`` is PyTorch's, which ignores it, too. InvalidValueError unless ``tau`` is positive,
    DTypeError for logits that are not floating.

    >>> gumbel_softmax(at.zeros(2, 3), hard=True).sum(-1).tolist()
    [1.0, 1.0]
    """
    if not logits.is_floating_point():
        raise at.DTypeError(f"gumbel_softmax: expected logits of a floating dtype, got {logits.dtype.name}")
    if not tau > 0:
        raise at.InvalidValueError(f"gumbel_softmax: expected tau > 0, got {tau}")
    # The logarithm of an exponentially distributed number is distributed as Gumbel's, but for its sign. It can be 0.
    wide = at.float64 if logits.dtype == at.float64 else at.float32
    drawn = -at.log1p(-at.rand(logits.shape, dtype=wide, device=logits.device))
    noise = at.log(at.clamp(drawn, min=at.finfo(wide).eps / 4)).to(logits.dtype)
    soft = at.softmax((logits - noise) / tau, dim)
    if not hard:
        return soft
    plain = constant(soft)
    one = at.zeros_like(plain).scatter(dim, plain.argmax(dim, keepdim=True), 1.0)
    return one - plain + soft


def log_softmax(input: Tensor, dim: int, dtype: at.dtype | None = None) -> Tensor:
    """``log(softmax(x))``, computed without overflow."""
    return at.log_softmax(input, dim, dtype=dtype)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """``a sigmoid(b)`` for the two halves of a dimension (Dauphin et al. 2017)."""
    halves = at.chunk(input, 2, dim)
    if input.shape[dim] % 2:
        raise at.ShapeError(f"glu: expected dimension {dim} of an even size, got {tuple(input.shape)}")
    return halves[0] * at.sigmoid(halves[1])


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """``x`` where it is positive, else ``a x``, in training with a uniform in [lower, upper) (Xu et al. 2015).

    Otherwise a is their mean. The same shape and floating dtype; InvalidValueError unless ``lower <= upper``.

    >>> rrelu(at.tensor([-8.0, 8.0]), 0.25, 0.75).tolist()
    [-4.0, 8.0]
    """
    if not lower <= upper:
        raise at.InvalidValueError(f"rrelu: expected lower <= upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = at.rand(input.shape, dtype=input.dtype, device=input.device) * (upper - lower) + lower

    def by_chance(x: Tensor) -> Tensor:
        return at.where(x <= 0, x * slope, x)

    return _in_place(by_chance, input) if inplace else by_chance(input)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return relu(input, inplace=True)


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return elu(input, alpha, inplace=True)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, inplace=True)


def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return selu(input, inplace=True)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return leaky_relu(input, negative_slope, inplace=True)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return _in_place(lambda x: at.where(x <= threshold, value, x), input)
