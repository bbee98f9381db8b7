"""Activation functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._parameter import constant, requires_grad
from .._precision import narrow, wide

_SELU = (1.6732632423543772, 1.0507009873554805)


def _in_place(op: Callable[..., Tensor], form: Callable[..., Tensor], input: Tensor, *settings: float) -> Tensor:
    """What op answers, put into input by its in-place form."""
    if requires_grad(input):  # the gradient is one of the input, which is therefore kept
        return input.copy_(op(input.clone(), *settings))
    return form(input, *settings)


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``, with a slope of 0 at 0; also of integers.

    >>> relu(at.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """
    return at.relu_(input) if inplace else at.relu(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """``min(max(x, min_val), max_val)``; where x is at a bound, its slope is 0 (that of ``clamp`` is not).

    Also of integers, which stay so between whole bounds. InvalidValueError for floats where ``min_val`` is above
    ``max_val``.

    >>> hardtanh(at.tensor([-3.0, 0.5, 3.0])).tolist()
    [-1.0, 0.5, 1.0]
    """
    if not isinstance(input, Tensor) or not input.is_floating_point():
        low, high = (
            int(bound) if float(bound).is_integer() else bound for bound in (min_val, max_val)
        )  # stay integers
        return at.clamp_(input, low, high) if inplace else at.clamp(input, low, high)
    if inplace:
        return _in_place(_one.hardtanh, _one.hardtanh_, input, min_val, max_val)
    return _one.hardtanh(input, min_val, max_val)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x, 0), 6)`` (Krizhevsky 2010), whose slope is 0 at 0 and 6; also of integers.

    >>> relu6(at.tensor([-1.0, 2.5, 8.0])).tolist()
    [0.0, 2.5, 6.0]
    """
    return hardtanh(input, 0.0, 6.0, inplace)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``x Phi(x)`` with the normal distribution's Phi (Hendrycks & Gimpel 2016).

    approximate: ``"none"``, or ``"tanh"`` for ``x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``, which differs by
    less than 0.0005; InvalidValueError for others.

    >>> [round(y, 4) for y in gelu(at.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-0.1587, 0.0, 0.8413]
    >>> round(gelu(at.tensor(1.0), approximate="tanh").item(), 4)
    0.8412
    """
    return _one.gelu(input, approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x sigmoid(x)`` (Elfwing et al. 2018), also called swish; its least value is -0.2785, at -1.2785.

    >>> [round(y, 4) for y in silu(at.tensor([-1.2785, 0.0, 1.0])).tolist()]
    [-0.2785, 0.0, 0.7311]
    """
    return _in_place(_one.silu, _one.silu_, input) if inplace else _one.silu(input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x tanh(log(1 + exp(x)))`` (Misra 2019), without overflow.

    >>> [round(y, 4) for y in mish(at.tensor([-1.0, 0.0, 100.0])).tolist()]
    [-0.3034, 0.0, 100.0]
    """
    if inplace:
        return _in_place(_one.mish, _one.mish_, input)
    return _one.mish(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``x`` where it is positive, else ``negative_slope x`` (Maas et al. 2013); a negative slope is allowed.

    >>> leaky_relu(at.tensor([-4.0, 4.0]), 0.25).tolist()
    [-1.0, 4.0]
    """
    if inplace:
        return _in_place(_one.leaky_relu, _one.leaky_relu_, input, negative_slope)
    return _one.leaky_relu(input, negative_slope)


@explained
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """``x`` where it is positive, else ``weight x`` (He et al. 2015, eq. 1), with one weight or one for each channel.

    Channels are dimension 1 of ``(N, C, *)``. Where the two dtypes differ, the answer's is the one they promote to.
    weight: 0-d or 1-d; ShapeError for others, and for another number of weights.

    >>> prelu(at.tensor([[-4.0, -4.0], [1.0, 2.0]]), at.tensor([0.25, 0.5])).tolist()
    [[-1.0, -2.0], [1.0, 2.0]]
    """
    if weight.ndim > 1:
        raise at.ShapeError(f"prelu: expected weight of at most one dimension, got shape {tuple(weight.shape)}")
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
    """``x`` where it is positive, else ``alpha (exp(x) - 1)`` (Clevert et al. 2016).

    >>> elu(at.tensor([-float("inf"), 0.0, 2.0]), alpha=0.5).tolist()
    [-0.5, 0.0, 2.0]
    """
    if inplace:
        return _in_place(_one.elu, _one.elu_, input, alpha)
    return _one.elu(input, alpha)


@explained
def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))`` (Barron 2017): `elu` with a slope of 1 at 0 for every alpha.

    InvalidValueError for an alpha of 0.

    >>> celu(at.tensor([-float("inf"), 0.0, 2.0]), alpha=0.5).tolist()
    [-0.5, 0.0, 2.0]
    """
    if alpha == 0:
        raise at.InvalidValueError(f"celu: expected alpha other than 0, got {alpha}")
    if inplace:
        return _in_place(_one.elu, _one.elu_, input, alpha, 1.0, 1.0 / alpha)
    return _one.elu(input, alpha, 1.0, 1.0 / alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """``1.0507 elu(x, 1.6733)``, which keeps mean 0 and variance 1 through layers (Klambauer et al. 2017, eq. 2).

    >>> [round(y, 4) for y in selu(at.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-1.1113, 0.0, 1.0507]
    """
    if inplace:
        return _in_place(_one.elu, _one.elu_, input, *_SELU)
    return _one.elu(input, *_SELU)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta x)) / beta`` (Dugas et al. 2001), and ``x`` itself where ``beta x > threshold``.

    >>> [round(y, 4) for y in softplus(at.tensor([-100.0, 0.0, 100.0])).tolist()]
    [0.0, 0.6931, 100.0]
    """
    return _one.softplus(input, beta, threshold)


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(x))``, computed as ``min(x, 0) - log(1 + exp(-|x|))``, so that it is finite for every finite x.

    >>> [round(y, 4) for y in logsigmoid(at.tensor([-1000.0, 0.0, 1000.0])).tolist()]
    [-1000.0, -0.6931, 0.0]
    """
    return _one.logsigmoid(input)


@explained
def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)`` (Turian et al. 2009); of integers in float32.

    >>> softsign(at.tensor([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """
    x = wide(input)
    return narrow(x / (1 + at.abs(x)), input)


@explained
def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh(x)``; of integers in float32.

    >>> [round(y, 4) for y in tanhshrink(at.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-1.036, 0.0, 1.036]
    """
    x = wide(input)  # the two are nearly equal about 0
    return narrow(x - at.tanh(x), input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``min(max(x + 3, 0), 6) / 6`` (Howard et al. 2019), whose slope is 0 at -3 and 3.

    >>> hardsigmoid(at.tensor([-4.0, 0.0, 1.5])).tolist()
    [0.0, 0.5, 0.75]
    """
    if inplace:
        return _in_place(_one.hardsigmoid, _one.hardsigmoid_, input)
    return _one.hardsigmoid(input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x hardsigmoid(x)`` (Howard et al. 2019, section 5.2).

    >>> hardswish(at.tensor([-3.0, -1.5, 3.0])).tolist()
    [0.0, -0.375, 3.0]
    """
    if inplace:
        return _in_place(_one.hardswish, _one.hardswish_, input)
    return _one.hardswish(input)


@explained
def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """``x`` where it is above ``threshold``, else ``value``; also of integers, and NaN stays NaN.

    >>> threshold(at.tensor([0.5, 1.0, 2.0]), 1.0, -8.0).tolist()
    [-8.0, -8.0, 2.0]
    """
    if inplace:
        return threshold_(input, threshold, value)
    return at.where(input <= threshold, value, input)  # NaN stays NaN


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` where ``|x| > lambd``, else 0; NaN stays NaN.

    >>> hardshrink(at.tensor([-1.0, -0.5, 0.25, 2.0])).tolist()
    [-1.0, 0.0, 0.0, 2.0]
    """
    return _one.hardshrink(input, lambd)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """``x`` brought nearer to 0 by ``lambd``, and 0 where ``|x| <= lambd``: the proximal map of ``lambd |x|``.

    InvalidValueError unless ``lambd`` is 0 or more and finite.

    >>> softshrink(at.tensor([-1.0, -0.5, 0.25, 2.0])).tolist()
    [-0.5, 0.0, 0.0, 1.5]
    """
    return _one.softshrink(input, lambd)


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-x))``, without overflow; of integers in float32.

    >>> sigmoid(at.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    return at.sigmoid(input)


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, ``(exp(x) - exp(-x)) / (exp(x) + exp(-x))``; of integers in float32.

    >>> tanh(at.tensor([-100.0, 0.0, 100.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    return at.tanh(input)


def softmax(input: Tensor, dim: int, dtype: at.dtype | None = None) -> Tensor:
    """``exp(x) / sum(exp(x))`` along ``dim``, without overflow: of the input's shape, positive and of sum 1.

    ``dtype`` is what the input is converted to first; integers are taken as float32 without it. A row that is -inf
    everywhere gives NaN. BoundsError where there is no such dimension.

    >>> softmax(at.tensor([[1000.0, 1000.0], [0.0, -float("inf")]]), dim=1).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    return at.softmax(input, dim, dtype=dtype)


@explained
def softmin(input: Tensor, dim: int, dtype: at.dtype | None = None) -> Tensor:
    """``softmax(-x)`` along ``dim``: the smallest elements have the largest shares; see `softmax`.

    >>> softmin(at.tensor([0.0, float("inf"), 0.0]), dim=0).tolist()
    [0.5, 0.0, 0.5]
    """
    return at.softmax(-input, dim, dtype=dtype)


@explained
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
    """``x - log(sum(exp(x)))`` along ``dim``: the logarithm of `softmax`, finite where that rounds to 0.

    >>> log_softmax(at.tensor([0.0, -1000.0]), dim=0).tolist()
    [0.0, -1000.0]
    """
    return at.log_softmax(input, dim, dtype=dtype)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """``a sigmoid(b)`` for the first half a and the second half b of ``dim`` (Dauphin et al. 2017, eq. 1).

    The answer is half as large along ``dim``; also of integers, in float32. ShapeError where that is of an odd size,
    BoundsError where there is no such dimension.

    >>> glu(at.tensor([[8.0, 4.0, 0.0, 100.0]])).tolist()
    [[4.0, 4.0]]
    """
    halves = at.chunk(input, 2, dim)
    if input.shape[dim] % 2:
        raise at.ShapeError(f"glu: expected dimension {dim} of an even size, got {tuple(input.shape)}")
    return narrow(wide(halves[0]) * at.sigmoid(wide(halves[1])), input)


@explained
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """``x`` where it is positive, else ``a x``, in training with a uniform in [lower, upper) (Xu et al. 2015).

    Otherwise a is their mean. The same shape and floating dtype; InvalidValueError unless ``lower <= upper``, both
    finite.

    >>> rrelu(at.tensor([-8.0, 8.0]), 0.25, 0.75).tolist()
    [-4.0, 8.0]
    """
    if not (lower <= upper and math.isfinite(upper - lower)):
        raise at.InvalidValueError(f"rrelu: expected finite lower <= upper, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = at.rand(input.shape, dtype=input.dtype, device=input.device) * (upper - lower) + lower

    def by_chance(x: Tensor) -> Tensor:
        return at.where(x <= 0, x * slope, x)

    if inplace:
        return input.copy_(by_chance(input.clone() if requires_grad(input) else input))
    return by_chance(input)


def relu_(input: Tensor) -> Tensor:
    """`relu` in place."""
    return at.relu_(input)


@explained
def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`elu` in place."""
    return _in_place(_one.elu, _one.elu_, input, alpha)


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """`celu` in place."""
    return celu(input, alpha, inplace=True)


@explained
def selu_(input: Tensor) -> Tensor:
    """`selu` in place."""
    return _in_place(_one.elu, _one.elu_, input, *_SELU)


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """`hardtanh` in place."""
    return hardtanh(input, min_val, max_val, inplace=True)


@explained
def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """`leaky_relu` in place."""
    return _in_place(_one.leaky_relu, _one.leaky_relu_, input, negative_slope)


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """`rrelu` in place."""
    return rrelu(input, lower, upper, training, inplace=True)


@explained
def threshold_(input: Tensor, threshold: float, value: float) -> Tensor:
    """`threshold` in place."""
    return input.masked_fill_(input <= threshold, value)
