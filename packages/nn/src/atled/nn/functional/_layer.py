"""Linear maps, padding, normalisation, embedding and distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._ops import one as _one
from .._ops import several as _several
from .._paired_losses import promoted
from .._parameter import detached
from .._precision import as_given, cast, narrow, wide, wide_dtype
from .._sizes import integer


def linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    activation: Literal["relu", "gelu_tanh"] | None = None,
) -> Tensor:
    """``input @ weight.T + bias`` for input ``(*, in_features)`` and weight ``(out_features, in_features)``.

    Bias is ``(out_features,)``, and all have one floating or complex dtype. A weight ``(in_features,)`` makes one
    number of each vector, without a dimension of its own. ShapeError and DTypeError say what does not fit.

    With an activation, of floats, `relu` of that or ``gelu(..., approximate="tanh")``, which some devices apply while
    they multiply: then memory is read and written less often.

    >>> linear(at.tensor([[1.0, 2.0]]), at.tensor([[3.0, 4.0], [-3.0, -4.0]]), at.tensor([0.5, 0.0])).tolist()
    [[11.5, -11.0]]
    >>> linear(at.tensor([[1.0, 2.0]]), at.tensor([[3.0, 4.0], [-3.0, -4.0]]), activation="relu").tolist()
    [[11.0, 0.0]]
    """
    try:
        is_row = weight.ndim == 1
    except AttributeError:  # what it is, the op says
        is_row = False
    if is_row:
        column = None if bias is None else bias.reshape(1)
        return linear(input, weight.reshape(1, -1), column, activation=activation).squeeze(-1)
    if activation is None:
        return _one.linear(input, weight, bias)
    if activation == "relu":
        return _one.linear_relu(input, weight, bias)
    if activation == "gelu_tanh":
        return _several.linear_gelu(input, weight, bias)[0]
    raise at.InvalidValueError(f"linear: expected activation None, 'relu' or 'gelu_tanh', got {activation!r}")


@as_given
def _bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out, n1, n2 = weight.shape
    left = linear(input1, weight.permute(0, 2, 1).reshape(out * n2, n1)).reshape(*input1.shape[:-1], out, n2)
    result = (left * input2.unsqueeze(-2)).sum(-1)
    return result if bias is None else result + bias


@explained
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input1 @ weight[k] @ input2 + bias[k]`` for inputs ``(*, n1)``, ``(*, n2)`` and weight ``(out, n1, n2)``.

    Answers ``(*, out)``; bias is ``(out,)``, and all have one floating dtype. ShapeError where sizes do not fit.

    >>> bilinear(at.tensor([1.0, 2]), at.tensor([3.0]), at.tensor([[[1.0], [10]], [[0.0], [1]]])).tolist()
    [63.0, 6.0]
    """
    if weight.ndim != 3:
        raise at.ShapeError(f"bilinear: expected weight (out, n1, n2), got {tuple(weight.shape)}")
    if input1.shape[:-1] != input2.shape[:-1]:
        raise at.ShapeError(
            f"bilinear: expected inputs (*, n1) and (*, n2), got {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise at.ShapeError(f"bilinear: expected bias of shape ({weight.shape[0]},), got {tuple(bias.shape)}")
    return _bilinear(*cast("widest", input1, input2, weight, bias))


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Surrounds the last dimensions: ``pad`` holds (before, after) for the last one, then for the one before, ...

    Modes: ``"constant"``, of ``value`` (None: 0), ``"reflect"`` (at most the size less 1), ``"replicate"`` and
    ``"circular"`` (at most the size); negative sizes crop. Every dtype. ShapeError for sizes that are too large,
    InvalidValueError for another mode, an odd number of sizes or too many.

    >>> pad(at.tensor([[1, 2, 3]]), (1, 2)).tolist()
    [[0, 1, 2, 3, 0, 0]]
    >>> [pad(at.tensor([1, 2, 3]), (2, 1), mode).tolist() for mode in ("reflect", "replicate", "circular")]
    [[3, 2, 1, 2, 3, 2], [1, 1, 1, 2, 3, 3], [2, 3, 1, 2, 3, 1]]
    """
    if mode == "constant":
        return _one.constant_pad(input, pad, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise at.InvalidValueError(f"pad: expected mode 'constant', 'reflect', 'replicate' or 'circular', got {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise at.InvalidValueError(
            f"pad: expected two sizes for each of at most {input.ndim} last dimensions, got {len(pad)} sizes"
        )
    for i in range(len(pad) // 2):
        dim = input.ndim - 1 - i
        input = _pad_by_parts(input, dim, pad[2 * i], pad[2 * i + 1], mode)
    return input


def _pad_by_parts(input: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    n = input.shape[dim]
    if mode == "circular" and min(before, after) < 0 < max(before, after):  # what is left is repeated
        input = input.narrow(dim, min(max(-before, 0), n), max(n + min(before, after), 0))
        return _pad_by_parts(input, dim, max(before, 0), max(after, 0), mode)
    most = {"reflect": n - 1, "replicate": max(before, after), "circular": n}[mode]
    if max(before, after) > most or n == 0:
        raise at.ShapeError(
            f"pad: expected sizes of at most {most} for dimension {dim} of size {n}, got {before} and {after}"
        )
    start, end = max(-before, 0), n - max(-after, 0)
    parts = [input.narrow(dim, start, max(end - start, 0))]
    if before > 0:
        parts.insert(0, _border(input, dim, before, mode, first=True))
    if after > 0:
        parts.append(_border(input, dim, after, mode, first=False))
    return at.cat(parts, dim)


def _border(input: Tensor, dim: int, size: int, mode: str, first: bool) -> Tensor:
    n = input.shape[dim]
    if mode == "replicate":
        return input.narrow(dim, 0 if first else n - 1, 1).expand(*input.shape[:dim], size, *input.shape[dim + 1 :])
    if mode == "circular":
        return input.narrow(dim, n - size if first else 0, size)
    return input.narrow(dim, 1 if first else n - 1 - size, size).flip(dim)


@explained
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) weight + bias`` for each channel of ``(N, C, *)``.

    After Ioffe & Szegedy 2015, algorithm 1. In training with the batch's mean and biased variance; then
    ``running_mean`` and ``running_var``, where given, move in place by ``momentum`` towards the mean and the unbiased
    variance. Else with the running ones. The four are ``(C,)``, of the input's floating dtype, beside half precision
    also float32. Answers the input's shape and dtype. An empty batch is taken, and moves nothing. ShapeError in
    training for one value per channel, ArgumentError
    where running statistics are needed and missing, or only one of them is given; InvalidValueError for
    a negative eps.

    >>> x, mean, var = at.tensor([[1.0], [3.0]]), at.tensor([0.0]), at.tensor([1.0])
    >>> [round(y, 3) for y in batch_norm(x, mean, var, training=True, momentum=0.5).flatten().tolist()]
    [-1.0, 1.0]
    >>> mean.item(), var.item()
    (1.0, 1.5)
    """
    if not training:
        if running_mean is None or running_var is None:
            raise at.ArgumentError("batch_norm: expected running_mean and running_var when training=False, got None")
        return _one.batch_norm_inference(input, running_mean, running_var, weight, bias, eps)
    expect_both("batch_norm", running_mean, running_var)
    if not eps >= 0:
        raise at.InvalidValueError(f"batch_norm: expected eps >= 0, got {eps}")
    if input.numel() == 0 and input.ndim > 1:  # an empty batch has no mean, and moves no average
        zeros = at.zeros(input.shape[1], dtype=input.dtype, device=input.device)
        mean, var = (zeros, zeros) if running_mean is None or running_var is None else (running_mean, running_var)
        return _one.batch_norm_inference(input, mean, var, weight, bias, eps)
    output, mean, var = _several.batch_norm(input, weight, bias, eps)
    if running_mean is not None:
        _one.update_average(running_mean, mean, momentum)
    if running_var is not None:
        count = input.numel() // max(1, input.shape[1])
        _one.update_average(running_var, var, momentum, count / (count - 1))
    return output


def expect_both(op: str, running_mean: Tensor | None, running_var: Tensor | None) -> None:
    """Raises ArgumentError for one without the other, which would stay as it is."""
    if (running_mean is None) is not (running_var is None):
        missing = "running_mean" if running_mean is None else "running_var"
        raise at.ArgumentError(f"{op}: expected running_mean and running_var, or neither, got None for {missing}")


@explained
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(x - mean) / sqrt(var + eps) weight + bias`` over the last dimensions (Ba et al. 2016).

    These are ``normalized_shape``. Mean and biased variance of each slice; weight and bias are of ``normalized_shape``
    and the input's floating dtype, beside half precision also float32. Answers the input's shape and dtype; half
    precision is computed in float32 and rounded once. ShapeError and DTypeError say what does not fit.

    >>> layer_norm(at.tensor([[1.0, 3.0], [0.0, 8.0]]), [2], weight=at.tensor([1.0, 2.0]), eps=0.0).tolist()
    [[-1.0, 2.0], [-1.0, 2.0]]
    """
    low = wide_dtype(input.dtype) is not input.dtype
    if low and any(t is not None and t.dtype is not input.dtype for t in (weight, bias)):
        weight, bias = (None if t is None else wide(t) for t in (weight, bias))
        return narrow(_several.layer_norm(wide(input), normalized_shape, weight, bias, eps)[0], input)
    return _several.layer_norm(input, normalized_shape, weight, bias, eps)[0]


@explained
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divides by the root of the mean square over the last dimensions (Zhang & Sennrich 2019).

    Floats of a shape that ends with ``normalized_shape``, and weight of that shape and the same dtype, beside half
    precision also float32; the same shape and dtype, half precision computed in float32 and rounded once. ``eps`` is
    added to the mean; None is the epsilon of float32, or of float64. ShapeError and DTypeError say what does not fit.

    >>> rms_norm(at.tensor([3.0, 4.0, 0.0, 0.0]), [4], eps=0.0).tolist()
    [1.2000000476837158, 1.600000023841858, 0.0, 0.0]
    """
    if eps is None:
        eps = 2.220446049250313e-16 if input.dtype == at.float64 else 1.1920928955078125e-07
    if weight is not None and weight.dtype != input.dtype:
        return narrow(_several.layer_norm(wide(input), normalized_shape, weight, None, eps, False)[0], input)
    return _several.layer_norm(input, normalized_shape, weight, None, eps, False)[0]


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """``x / max(norm(x), eps)`` with the p-norm along ``dim``: unit vectors, but for those shorter than ``eps``.

    All floating dtypes, the same shape; DTypeError for integers.

    >>> normalize(at.tensor([[3.0, -1.0], [0.0, 0.0]]), p=1.0).tolist()
    [[0.75, -0.25], [0.0, 0.0]]
    """
    return input / at.clamp(at.norm(input, p, dim, keepdim=True), min=eps)


def shorten(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the rows that ``input`` names to ``max_norm``, where they are longer; in place and unrecorded."""
    table, rows = detached(weight), at.unique(input)
    table.index_copy_(0, rows, at.renorm(table.index_select(0, rows), norm_type, 0, max_norm))


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """The rows of ``weight``, ``(rows, dim)``, that the integers in ``input`` name: ``(*input.shape, dim)``.

    The row ``padding_idx`` is looked up as others are and gets no gradient; with ``scale_grad_by_freq`` gradients are
    divided by how often a row comes up. With ``max_norm``, rows that are looked up and have a larger ``norm_type``-norm
    are first scaled to it, in ``weight`` itself, unrecorded. BoundsError for indices outside of [0, rows), DTypeError
    for others than int32 and int64; ``sparse`` is refused with NotImplementedOpError.

    >>> embedding(at.tensor([2, 0]), at.tensor([[1.0, 2], [3, 4], [5, 6]])).tolist()
    [[5.0, 6.0], [1.0, 2.0]]
    """
    if sparse:
        raise at.NotImplementedOpError("embedding: expected sparse=False, got True; gradients are dense tensors")
    if max_norm is not None:
        shorten(weight, input, max_norm, norm_type)
    return _one.embedding(input, weight, padding_idx, scale_grad_by_freq)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 zeros with a one where the last dimension is the class; ``num_classes`` -1 takes the largest class + 1.

    tensor: integers of any shape ``(*)``; answers ``(*, num_classes)``. InvalidValueError for a class below 0 or not
    below ``num_classes``; on a GPU that is found out only for ``num_classes`` -1, since looking at the values would
    wait for it.

    >>> one_hot(at.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if not isinstance(tensor, Tensor):
        raise at.ArgumentError(f"one_hot: expected a Tensor, got {type(tensor).__name__}; make one with at.tensor(...)")
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == at.bool:
        raise at.DTypeError(f"one_hot: expected integers, got {tensor.dtype.name}")
    if integer(num_classes) is None:
        raise at.ArgumentError(f"one_hot: expected num_classes to be an int, got {num_classes!r}")
    if num_classes == -1 or (tensor.device.type == "cpu" and tensor.numel() and not tensor._is_opaque()):
        if not tensor.numel():
            raise at.InvalidValueError("one_hot: expected num_classes, since the tensor has no elements")
        least, most = (int(bound) for bound in tensor.aminmax())
        num_classes = most + 1 if num_classes == -1 else num_classes
        if least < 0 or most >= num_classes:
            found = least if least < 0 else most
            raise at.InvalidValueError(f"one_hot: expected classes from 0 to {num_classes - 1}, got {found}")
    return (tensor.unsqueeze(-1) == at.arange(num_classes, device=tensor.device)).to(at.int64)


@explained
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """``x1 . x2 / (max(|x1|, eps) max(|x2|, eps))`` along ``dim``: the cosine of the angle between vectors.

    The two broadcast, in ``dim`` as well, which the answer has no more, and promote to a floating dtype. Half precision
    is computed in float32.

    >>> x, y = at.tensor([[3.0, 4.0], [0.0, 0.0]]), at.tensor([[4.0, 3.0]])
    >>> [round(cos, 4) for cos in cosine_similarity(x, y).tolist()]
    [0.96, 0.0]
    """
    x1, x2 = cast("float32", x1, x2)
    if x1.dtype != x2.dtype:
        x1, x2 = promoted(x1, x2)
    if x1.shape != x2.shape:
        x1, x2 = at.broadcast_tensors(x1, x2)
    first, second = (x / at.clamp(at.norm(x, 2, dim, keepdim=True), min=eps) for x in (wide(x1), wide(x2)))
    return narrow((first * second).sum(dim), x1, x2)


@explained
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """The p-norm of ``x1 - x2 + eps`` over the last dimension, which stays as one of size 1 with ``keepdim``.

    The two broadcast; ``eps`` keeps the slope finite where they are equal. Integers are taken as float32, and half
    precision is computed in it.

    >>> pairwise_distance(at.tensor([[3.0, 4.0]]), at.zeros(1, 2), eps=0.0).tolist()
    [5.0]
    """
    x1, x2 = cast("float32", x1, x2)
    d = wide(x1) - wide(x2) + eps
    return narrow(at.norm(d, p, -1, keepdim), x1, x2)


@explained
def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm of the difference of each two rows of ``(N, M)``: ``(N (N - 1) / 2,)``, pairs (0, 1), (0, 2), ...

    Floats. ShapeError for another number of dimensions, InvalidValueError for a negative p.

    >>> pdist(at.tensor([[0.0, 0], [3, 4], [0, 1]])).tolist()
    [5.0, 1.0, 4.242640495300293]
    """
    if input.ndim != 2:
        raise at.ShapeError(f"pdist: expected input (N, M), got {tuple(input.shape)}")
    if p < 0:
        raise at.InvalidValueError(f"pdist: expected p of at least 0, got {p}")
    rows = input.shape[0]
    first, second = at.triu_indices(rows, rows, 1, device=input.device)
    return at.index_select(at.cdist(input, input, p).flatten(), 0, first * rows + second)
