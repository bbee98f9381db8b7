"""Activations."""

from __future__ import annotations

import atled.core as at
from atled.core import Tensor

from .. import functional as F
from .._module import Module
from .._parameter import Parameter


class _Inplace(Module):
    """An activation whose only setting is whether it overwrites its input."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The setting, if it is not the default."""
        return "inplace=True" if self.inplace else ""


class ReLU(_Inplace):
    """``max(x, 0)`` of each element; any shape and dtype, which the answer has, too. ``inplace`` overwrites the input.

    >>> import atled.core as at
    >>> ReLU()(at.tensor([-1.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return at.relu_(input) if self.inplace else at.relu(input)


class ReLU6(_Inplace):
    """``min(max(x, 0), 6)`` of each element (Krizhevsky 2010); see `functional.relu6`.

    >>> import atled.core as at
    >>> ReLU6()(at.tensor([-1.0, 2.5, 8.0])).tolist()
    [0.0, 2.5, 6.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.relu6(input, self.inplace)


class SiLU(_Inplace):
    """``x sigmoid(x)`` of each element (Elfwing et al. 2018); any shape, floats.

    >>> import atled.core as at
    >>> [round(y, 4) for y in SiLU()(at.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-0.2689, 0.0, 0.7311]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.silu(input, self.inplace)


class Mish(_Inplace):
    """``x tanh(log(1 + exp(x)))`` of each element (Misra 2019); any shape, floats.

    >>> import atled.core as at
    >>> [round(y, 4) for y in Mish()(at.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-0.3034, 0.0, 0.8651]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.mish(input, self.inplace)


class RReLU(Module):
    """``x`` where it is positive, else ``a x``, in training with a uniform in [lower, upper) (Xu et al. 2015).

    In evaluation a is their mean. Any shape, floats; the call raises InvalidValueError unless ``lower <= upper``.

    >>> import atled.core as at
    >>> RReLU(0.25, 0.75).eval()(at.tensor([-8.0, 8.0])).tolist()
    [-4.0, 8.0]
    """

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class SELU(_Inplace):
    """``1.0507 elu(x, 1.6733)``, which keeps mean 0 and variance 1 through layers (Klambauer et al. 2017, eq. 2).

    For that the weights before it start normal of variance 1 / fan_in, and dropout is `AlphaDropout`. Any shape,
    floats.

    >>> import atled.core as at
    >>> [round(y, 4) for y in SELU()(at.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-1.1113, 0.0, 1.0507]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.selu(input, self.inplace)


class Hardsigmoid(_Inplace):
    """``min(max(x + 3, 0), 6) / 6`` of each element (Howard et al. 2019); any shape, floats.

    >>> import atled.core as at
    >>> Hardsigmoid()(at.tensor([-4.0, 0.0, 1.5])).tolist()
    [0.0, 0.5, 0.75]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.hardsigmoid(input, self.inplace)


class Hardswish(_Inplace):
    """``x hardsigmoid(x)`` of each element (Howard et al. 2019, section 5.2); any shape, floats.

    >>> import atled.core as at
    >>> Hardswish()(at.tensor([-3.0, -1.5, 3.0])).tolist()
    [0.0, -0.375, 3.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.hardswish(input, self.inplace)


class Sigmoid(Module):
    """``1 / (1 + exp(-x))`` of each element; any shape, of integers in float32.

    >>> import atled.core as at
    >>> Sigmoid()(at.tensor([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return at.sigmoid(input)


class Tanh(Module):
    """The hyperbolic tangent of each element; any shape, of integers in float32.

    >>> import atled.core as at
    >>> Tanh()(at.tensor([-100.0, 0.0, 100.0])).tolist()
    [-1.0, 0.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return at.tanh(input)


class LogSigmoid(Module):
    """``log(sigmoid(x))`` of each element, without overflow; any shape, floats.

    >>> import atled.core as at
    >>> [round(y, 4) for y in LogSigmoid()(at.tensor([-1000.0, 0.0])).tolist()]
    [-1000.0, -0.6931]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.logsigmoid(input)


class Softsign(Module):
    """``x / (1 + |x|)`` of each element (Turian et al. 2009); any shape, of integers in float32.

    >>> import atled.core as at
    >>> Softsign()(at.tensor([-3.0, 0.0, 1.0])).tolist()
    [-0.75, 0.0, 0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.softsign(input)


class Tanhshrink(Module):
    """``x - tanh(x)`` of each element; any shape, of integers in float32.

    >>> import atled.core as at
    >>> [round(y, 4) for y in Tanhshrink()(at.tensor([-2.0, 0.0, 2.0])).tolist()]
    [-1.036, 0.0, 1.036]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.tanhshrink(input)


class GELU(Module):
    """``x Phi(x)`` of each element, with the normal distribution's Phi (Hendrycks & Gimpel 2016); any shape, floats.

    ``approximate="tanh"`` takes the formula of `functional.gelu`; another word is refused by the call, with
    InvalidValueError.

    >>> import atled.core as at
    >>> [round(y, 4) for y in GELU()(at.tensor([-1.0, 0.0, 1.0])).tolist()]
    [-0.1587, 0.0, 0.8413]
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.gelu(input, self.approximate)

    def extra_repr(self) -> str:
        """The setting."""
        return f"approximate={self.approximate!r}"


class LeakyReLU(Module):
    """``x`` where it is positive, else ``negative_slope x`` (Maas et al. 2013); any shape, floats.

    >>> import atled.core as at
    >>> LeakyReLU(0.25)(at.tensor([-4.0, 4.0])).tolist()
    [-1.0, 4.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope, self.inplace = negative_slope, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        """The settings."""
        return f"negative_slope={self.negative_slope}{', inplace=True' if self.inplace else ''}"


class PReLU(Module):
    """``x`` where it is positive, else ``weight x`` with a learnt weight, one or one for each channel (He et al. 2015).

    Weight ``(num_parameters,)`` starts as ``init``; with more than one, channels are dimension 1 of ``(N, C, *)``, and
    ShapeError says where there are others. Weight decay is best not applied to it.

    >>> import atled.core as at
    >>> PReLU(2, init=0.5)(at.tensor([[-4.0, 4.0]])).tolist()
    [[-2.0, 4.0]]
    """

    weight: Parameter

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: at.device | str | None = None,
        dtype: at.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(at.full((num_parameters,), init, device=device, dtype=dtype or at.get_default_dtype()))

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.num_parameters}"


class _Alpha(Module):
    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha, self.inplace = alpha, inplace

    def extra_repr(self) -> str:
        """The settings."""
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class ELU(_Alpha):
    """``x`` where it is positive, else ``alpha (exp(x) - 1)`` (Clevert et al. 2016); any shape, floats.

    >>> import atled.core as at
    >>> ELU(alpha=0.5)(at.tensor([-float("inf"), 0.0, 2.0])).tolist()
    [-0.5, 0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.elu(input, self.alpha, self.inplace)


class CELU(_Alpha):
    """``max(0, x) + min(0, alpha (exp(x / alpha) - 1))`` of each element (Barron 2017); any shape, floats.

    >>> import atled.core as at
    >>> CELU(alpha=0.5)(at.tensor([-float("inf"), 0.0, 2.0])).tolist()
    [-0.5, 0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.celu(input, self.alpha, self.inplace)


class Softplus(Module):
    """``log(1 + exp(beta x)) / beta`` of each element, and ``x`` where ``beta x > threshold``; any shape, floats.

    >>> import atled.core as at
    >>> [round(y, 4) for y in Softplus()(at.tensor([-100.0, 0.0, 100.0])).tolist()]
    [0.0, 0.6931, 100.0]
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta, self.threshold = beta, threshold

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The settings."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Hardtanh(Module):
    """``min(max(x, min_val), max_val)`` of each element; any shape, integers too.

    ``min_value`` and ``max_value`` are PyTorch's old names. InvalidValueError unless ``min_val`` is below ``max_val``.

    >>> import atled.core as at
    >>> Hardtanh(-2.0, 2.0)(at.tensor([-3.0, 0.5, 3.0])).tolist()
    [-2.0, 0.5, 2.0]
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        # PyTorch's old names.
        min_val, max_val = min_val if min_value is None else min_value, max_val if max_value is None else max_value
        if min_val >= max_val:
            raise at.InvalidValueError(f"Hardtanh: expected min_val < max_val, got {min_val} and {max_val}")
        self.min_val, self.max_val, self.inplace = min_val, max_val, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"min_val={self.min_val}, max_val={self.max_val}{', inplace=True' if self.inplace else ''}"


class Threshold(Module):
    """``x`` where it is above ``threshold``, else ``value``; any shape and dtype.

    >>> import atled.core as at
    >>> Threshold(1.0, -8.0)(at.tensor([0.5, 1.0, 2.0])).tolist()
    [-8.0, -8.0, 2.0]
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold, self.value, self.inplace = threshold, value, inplace

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        """The settings."""
        return f"threshold={self.threshold}, value={self.value}"


class _Shrink(Module):
    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        """The setting."""
        return str(self.lambd)


class Hardshrink(_Shrink):
    """``x`` where ``|x| > lambd``, else 0; any shape, floats.

    >>> import atled.core as at
    >>> Hardshrink()(at.tensor([-1.0, -0.5, 0.25, 2.0])).tolist()
    [-1.0, 0.0, 0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """``x`` brought nearer to 0 by ``lambd``, and 0 where ``|x| <= lambd``; any shape, floats.

    The call raises InvalidValueError unless ``lambd`` is 0 or more and finite.

    >>> import atled.core as at
    >>> Softshrink()(at.tensor([-1.0, -0.5, 0.25, 2.0])).tolist()
    [-0.5, 0.0, 0.0, 1.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.softshrink(input, self.lambd)


class _AlongDim(Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def extra_repr(self) -> str:
        """The dimension."""
        return f"dim={self.dim}"


class Softmax(_AlongDim):
    """``exp(x) / sum(exp(x))`` along ``dim``: of the input's shape, positive and of sum 1; see `functional.softmax`.

    >>> import atled.core as at
    >>> Softmax(dim=1)(at.tensor([[1000.0, 1000.0], [0.0, -float("inf")]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.softmax(input, self.dim)


class Softmax2d(Module):
    """`Softmax` over the channels of ``(N, C, H, W)`` or ``(C, H, W)``, at each place; ShapeError for others.

    >>> import atled.core as at
    >>> Softmax2d()(at.zeros(2, 1, 1)).tolist()
    [[[0.5]], [[0.5]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        if input.ndim not in (3, 4):
            raise at.ShapeError(f"Softmax2d: expected (N, C, H, W) or (C, H, W), got {tuple(input.shape)}")
        return F.softmax(input, -3)


class Softmin(_AlongDim):
    """``softmax(-x)`` along ``dim``: of the input's shape; the smallest elements have the largest shares.

    >>> import atled.core as at
    >>> Softmin(dim=0)(at.tensor([0.0, float("inf"), 0.0])).tolist()
    [0.5, 0.0, 0.5]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.softmin(input, self.dim)


class LogSoftmax(_AlongDim):
    """The logarithm of `Softmax`, finite where that rounds to 0; what `NLLLoss` takes.

    >>> import atled.core as at
    >>> LogSoftmax(dim=0)(at.tensor([0.0, -1000.0])).tolist()
    [0.0, -1000.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """Of the same shape."""
        return F.log_softmax(input, self.dim)


class GLU(_AlongDim):
    """``a sigmoid(b)`` for the first half a and the second half b of ``dim`` (Dauphin et al. 2017, eq. 1).

    The answer is half as large along ``dim``. ShapeError where that is of an odd size.

    >>> import atled.core as at
    >>> GLU()(at.tensor([[8.0, 4.0, 0.0, 100.0]])).tolist()
    [[4.0, 4.0]]
    """

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, input: Tensor) -> Tensor:
        """Half as large along the dimension."""
        return F.glu(input, self.dim)
