"""Gradient rules of nn's ops, over public differentiable ops; parameter names say what a rule saves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import atled.core as at
from atled.core import Tensor

from . import _attention_gradients, _paired_losses, _recurrent_gradients, _sampling_gradients
from ._ops import one as _one
from ._ops import several as _several


def register(rule: Any) -> None:
    """Registers all rules; what the entry point of the group ``atled.gradients`` names."""
    for family in (_linear, _convolution, _pooling, _padding, _normalization, _lookup, _losses, _activations):
        family(rule)
    _attention_gradients.register(rule)
    _paired_losses.register(rule)
    _recurrent_gradients.register(rule)
    _sampling_gradients.register(rule)


def _linear(rule: Any) -> None:
    rule.autocast("lower", "linear", "linear_relu", "linear_gelu")
    rule(
        "linear",
        input=lambda g, weight: at.matmul(g, rule.conj(weight)),
        weight=lambda g, input: at.matmul(_rows(g).t(), rule.conj(_rows(input))),
        bias=lambda g: _rows(g).sum(0),
    )
    operands = ("input", "weight", "bias")
    rule.joint("linear_relu", operands, _linear_relu)
    rule.joint("linear_gelu", operands, _linear_gelu)
    rule.constant("linear_gelu", "before")
    rule(
        "linear_gelu_backward",
        grad=lambda g, before, input, weight, bias: _one.linear_gelu_backward(g, before, input, weight, bias),
        before=None,
    )
    rule.joint("linear_gelu_backward", operands, _linear_gelu_second)
    rule.decompose("linear", _linear_by_matmul)
    rule.decompose("linear_gelu", _gelu_by_matmul)
    rule.decompose("linear_relu", lambda input, weight, bias: at.relu(_linear_by_matmul(input, weight, bias)))


def _linear_by_matmul(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product = at.matmul(input, weight.mT)
    return product if bias is None else product + bias


Needs = tuple[bool, ...]
Gradients = tuple[Tensor | None, ...]


def _linear_gradients(g: Tensor, input: Tensor, weight: Tensor, needs: Needs) -> Gradients:
    """Of what is needed of a linear map's input, weight and bias, for rows ``g``."""
    to_input = at.matmul(g, weight) if needs[0] else None
    return (
        to_input if to_input is None or input.ndim == 2 else to_input.reshape(input.shape),
        at.matmul(g.t(), _rows(input)) if needs[1] else None,
        g.sum(0) if needs[2] else None,
    )


def _linear_relu(g: Tensor, input: Tensor, weight: Tensor, out: Tensor, needs: Needs) -> Gradients:
    return _linear_gradients(at.ops.core.relu_backward(_rows(g), _rows(out)), input, weight, needs)


def _linear_gelu(g: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None, before: Tensor, needs: Needs) -> Any:
    g = _one.linear_gelu_backward(_rows(g), _rows(before), input, weight, bias)
    return _linear_gradients(g, input, weight, needs)


def _linear_gelu_second(
    g: Tensor, grad: Tensor, input: Tensor, weight: Tensor, bias: Tensor | None, needs: Needs
) -> Gradients:
    # before is a constant; the gradient's own gradients, of any order, go through what it was made of.
    before = _rows(_linear_by_matmul(input, weight, bias))
    return _linear_gradients(g * grad * _gelu_second(before, "tanh"), input, weight, needs)


def _gelu_by_matmul(input: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    before = _linear_by_matmul(input, weight, bias)
    return _one.gelu(before, "tanh"), before


def _rows(t: Tensor) -> Tensor:
    if t.ndim == 2:
        return t
    return t.flatten(0, -2) if t.ndim > 2 else t.unsqueeze(0)


# A convolution, its gradient to the input and its gradient to the weight close under differentiation: each is bilinear,
# and the derivative of one is the two others.
def _convolution(rule: Any) -> None:
    _convolution_of(rule, 2)
    _convolution_of(rule, 3)


def _convolution_of(rule: Any, dims: int) -> None:
    name = f"conv{dims}d"
    rule.autocast("lower", name, f"{name}_backward_input")  # the latter is the transposed convolution

    def forward(input: Tensor, weight: Tensor, *settings: Any) -> Tensor:
        op: Callable[..., Tensor] = getattr(_one, name)
        return op(input, weight, None, *settings)

    def to_input(*args: Any) -> Tensor:
        op: Callable[..., Tensor] = getattr(_one, f"{name}_backward_input")
        return op(*args)

    def to_weight(*args: Any) -> Tensor:
        op: Callable[..., Tensor] = getattr(_one, f"{name}_backward_weight")
        return op(*args)

    rule(
        name,
        input=lambda g, weight, input_shape, stride, padding, dilation, groups: to_input(
            g, weight, input_shape, stride, padding, dilation, groups
        ),
        weight=lambda g, input, weight_shape, stride, padding, dilation, groups: to_weight(
            g, input, weight_shape, stride, padding, dilation, groups
        ),
        bias=lambda g: g.sum((0, *range(2, g.ndim))),
    )
    rule(
        f"{name}_backward_input",
        grad=lambda g, weight, stride, padding, dilation, groups: forward(g, weight, stride, padding, dilation, groups),
        weight=lambda g, grad, weight_shape, stride, padding, dilation, groups: to_weight(
            grad, g, weight_shape, stride, padding, dilation, groups
        ),
    )
    rule(
        f"{name}_backward_weight",
        grad=lambda g, input, stride, padding, dilation, groups: forward(input, g, stride, padding, dilation, groups),
        input=lambda g, grad, input_shape, stride, padding, dilation, groups: to_input(
            grad, g, input_shape, stride, padding, dilation, groups
        ),
    )


def _pooling(rule: Any) -> None:
    rule(
        "max_pool2d_with_indices",
        input=lambda g, indices, input_shape, kernel_size, stride, padding, dilation: _one.max_pool2d_backward(
            g, indices, input_shape, kernel_size, stride, padding, dilation
        ),
    )
    rule(
        "max_pool2d",
        input=lambda g, input, kernel_size, stride, padding, dilation, ceil_mode: _one.max_pool2d_backward(
            g,
            _several.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)[1],
            input.shape,
            kernel_size,
            stride,
            padding,
            dilation,
        ),
    )
    rule(
        "max_pool2d_backward",
        grad=lambda g, indices: at.gather(g.flatten(-2), -1, indices.flatten(-2)).reshape(indices.shape),
    )
    rule(
        "avg_pool2d",
        input=lambda g, input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: (
            _one.avg_pool2d_backward(
                g, input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
            )
        ),
    )
    rule(
        "avg_pool2d_backward",
        grad=lambda g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: _one.avg_pool2d(
            g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        ),
    )
    rule("adaptive_avg_pool2d", input=lambda g, input_shape: _one.adaptive_avg_pool2d_backward(g, input_shape))
    rule("adaptive_avg_pool2d_backward", grad=lambda g, grad_shape: _one.adaptive_avg_pool2d(g, grad_shape[-2:]))


def _padding(rule: Any) -> None:
    rule("constant_pad", input=lambda g, pad: _one.constant_pad(g, [-size for size in pad]))
    rule.batch("aligned", "constant_pad")


# With the normalised x' = (x - mean) rstd of n elements, the gradient to x of the plain normalisation is
#     J(a) = rstd (a - mean(a) - x' mean(a x')),        without mean(a) where x is not centered,
# a symmetric map of a. The tape sees mean and rstd as constants; the rules below differentiate through them.
def _curvature(v: Tensor, a: Tensor, plain: Tensor, rstd: Tensor, jv: Tensor, ja: Tensor, dims: Any) -> Tensor:
    """The gradient to x of sum(v J(a)), in which ``plain`` is x', ``jv`` is J(v) and ``ja`` is J(a)."""

    def mean(t: Tensor) -> Tensor:
        return t.mean(dims, keepdim=True)

    return -rstd * (plain * mean(v * ja) + mean(a * plain) * jv + mean(v * plain) * ja)


def _normalized(input: Tensor, spread: Tensor, dims: Any, center: bool = True) -> tuple[Tensor, Tensor]:
    """x' and 1 / sqrt(spread) as functions of x, of any order: what was saved of x, as spread, has no derivatives."""
    centered = input - input.mean(dims, keepdim=True) if center else input
    variance = (centered * centered).mean(dims, keepdim=True)
    rstd = at.rsqrt(spread + (variance - variance.detach()))
    return centered * rstd, rstd


def _normalization(rule: Any) -> None:
    rule.autocast("float32", "layer_norm")
    rule.joint(
        "layer_norm",
        ("input", "weight", "bias"),
        lambda g, input, normalized_shape, mean, rstd, weight, center: _several.layer_norm_backward(
            g, input, normalized_shape, mean, rstd, weight, center
        ),
    )
    rule.constant("layer_norm", "mean", "rstd")
    rule.joint("layer_norm_backward", ("grad", "input", "weight"), _layer_norm_second)
    rule("layer_norm_backward", mean=None, rstd=None)
    rule.joint(
        "batch_norm",
        ("input", "weight", "bias"),
        lambda g, input, mean, var, weight, eps: _several.batch_norm_backward(g, input, mean, var, weight, eps),
    )
    rule.constant("batch_norm", "mean", "var")
    rule.joint("batch_norm_backward", ("grad", "input", "weight"), _batch_norm_second)
    rule("batch_norm_backward", mean=None, var=None)
    rule.joint(
        "group_norm",
        ("input", "weight", "bias"),
        lambda g, input, num_groups, mean, rstd, weight: _several.group_norm_backward(
            g, input, num_groups, mean, rstd, weight
        ),
    )
    rule.constant("group_norm", "mean", "rstd")
    rule.joint("group_norm_backward", ("grad", "input", "weight"), _group_norm_second)
    rule("group_norm_backward", mean=None, rstd=None)
    rule(
        "batch_norm_inference",
        input=lambda g, input, var, weight, eps: g * _per_channel(_scale(var, weight, eps), input),
        mean=lambda g, input, var, weight, eps: -_channel_sum(g) * _scale(var, weight, eps),
        var=lambda g, input, mean, var, weight, eps: (
            _channel_sum(g * (input - _per_channel(mean, input))) * _scale(var, weight, eps) * (-0.5 / (var + eps))
        ),
        weight=lambda g, input, mean, var, eps: (
            _channel_sum(g * (input - _per_channel(mean, input))) * at.rsqrt(var + eps)
        ),
        bias=lambda g: _channel_sum(g),
    )
    rule.non_differentiable("update_average")


def _layer_norm_second(
    g_input: Tensor,
    g_weight: Tensor,
    g_bias: Tensor,
    grad: Tensor,
    input: Tensor,
    normalized_shape: Any,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    center: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:
    dims = list(range(-len(normalized_shape), 0))

    def first(a: Tensor) -> Tensor:
        return _several.layer_norm_backward(a, input, normalized_shape, mean, rstd, None, center)[0]

    plain, rstd = _normalized(input, 1 / (rstd * rstd), dims, center)
    a = grad if weight is None else grad * weight
    jv, ja = first(g_input), first(a)
    to_grad = (jv if weight is None else jv * weight) + g_weight * plain + g_bias
    to_input = _curvature(g_input, a, plain, rstd, jv, ja, dims) + first(grad * g_weight)
    if weight is None:
        return to_grad, to_input, None
    leading = list(range(grad.ndim - len(normalized_shape)))
    return to_grad, to_input, (grad * jv).sum(leading) if leading else grad * jv


def _batch_norm_second(
    g_input: Tensor,
    g_weight: Tensor,
    g_bias: Tensor,
    grad: Tensor,
    input: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor | None]:
    if weight is not None:  # which may be wider
        g_input, grad, input = (t.to(weight.dtype) for t in (g_input, grad, input))

    def first(a: Tensor) -> Tensor:
        return _several.batch_norm_backward(a, input, mean, var, None, eps)[0]

    def wide(t: Tensor) -> Tensor:
        return _per_channel(t, input)

    dims = [0, *range(2, input.ndim)]
    plain, rstd = _normalized(input, wide(var + eps), dims)
    a = grad if weight is None else grad * wide(weight)
    jv, ja = first(g_input), first(a)
    to_grad = (jv if weight is None else jv * wide(weight)) + wide(g_weight) * plain + wide(g_bias)
    to_input = _curvature(g_input, a, plain, rstd, jv, ja, dims) + first(grad * wide(g_weight))
    return to_grad, to_input, None if weight is None else _channel_sum(grad * jv)


def _group_norm_second(
    g_input: Tensor,
    g_weight: Tensor,
    g_bias: Tensor,
    grad: Tensor,
    input: Tensor,
    num_groups: int,
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    if weight is not None:  # which may be wider
        g_input, grad, input = (t.to(weight.dtype) for t in (g_input, grad, input))

    def first(a: Tensor) -> Tensor:
        return _several.group_norm_backward(a, input, num_groups, mean, rstd, None)[0]

    def wide(t: Tensor) -> Tensor:
        return _per_channel(t, input)

    width = math.prod(input.shape[1:]) // num_groups

    def rows(t: Tensor) -> Tensor:
        return t.reshape(-1, 1 if t.shape == mean.shape else width)

    plain, scale = _normalized(rows(input), rows(1 / (rstd * rstd)), [1])
    a = grad if weight is None else grad * wide(weight)
    jv, ja = first(g_input), first(a)
    curved = _curvature(rows(g_input), rows(a), plain, scale, rows(jv), rows(ja), [1])
    to_grad = (jv if weight is None else jv * wide(weight)) + wide(g_weight) * plain.reshape(input.shape) + wide(g_bias)
    to_input = curved.reshape(input.shape) + first(grad * wide(g_weight))
    return to_grad, to_input, None if weight is None else _channel_sum(grad * jv)


def _per_channel(t: Tensor, like: Tensor) -> Tensor:
    return t.reshape(-1, *[1] * (like.ndim - 2))


def _channel_sum(t: Tensor) -> Tensor:
    return t.sum([0, *range(2, t.ndim)])


def _scale(var: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    rstd = at.rsqrt(var + eps)
    return rstd if weight is None else rstd * weight


def _lookup(rule: Any) -> None:
    rule(
        "embedding",
        weight=lambda g, input, weight_shape, padding_idx, scale_grad_by_freq: _one.embedding_backward(
            g, input, weight_shape[0], padding_idx, scale_grad_by_freq
        ),
    )
    rule("embedding_backward", grad=_embedding_second)
    rule("embedding_bag", weight=_bags_to_weight, per_sample_weights=_bags_to_shares)
    rule("dropout", input=lambda g, mask, p: _one.dropout_backward(g, mask, p))
    rule("dropout_backward", grad=lambda g, mask, p: _one.dropout_backward(g, mask, p))
    rule.batch("aligned", "dropout")
    rule.batch("dims", "dropout_backward")
    rule.decompose("embedding", _embedding_by_index)


def _embedding_by_index(input: Tensor, weight: Tensor, padding_idx: int | None, scale_grad_by_freq: bool) -> Any:
    return NotImplemented if scale_grad_by_freq or padding_idx is not None else at.ops.core.index(weight, [input])


def _bags_to_weight(
    g: Tensor,
    input: Tensor,
    weight_shape: tuple[int, ...],
    offsets: Tensor | None,
    per_sample_weights: Tensor | None,
    mean: bool,
    padding_idx: int | None,
    include_last_offset: bool,
    scale_grad_by_freq: bool,
) -> Tensor:
    rows = _of_rows(g, input, offsets, include_last_offset, mean, padding_idx, weight_shape[0])
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    return _one.embedding_backward(rows, input.reshape(-1), weight_shape[0], padding_idx, scale_grad_by_freq)


def _bags_to_shares(
    g: Tensor,
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    mean: bool,
    padding_idx: int | None,
    include_last_offset: bool,
) -> Tensor:
    flat = input.reshape(-1)
    rows = _one.embedding(flat, weight)
    products = (rows * _of_rows(g, input, offsets, include_last_offset, mean, padding_idx, weight.shape[0])).sum(1)
    if padding_idx is not None:
        products = at.where(flat != padding_idx % weight.shape[0], products, 0.0)
    return products.reshape(input.shape)


def _of_rows(
    g: Tensor, input: Tensor, offsets: Tensor | None, last: bool, mean: bool, padding_idx: int | None, rows: int
) -> Tensor:
    """Of each row in the bags, before it is multiplied by its share: its bag's."""
    counted = None if padding_idx is None else input != padding_idx % rows
    if offsets is None:
        bags, n = input.shape
        if mean:
            g = _divided(g, n if counted is None else counted.sum(1))
        return g.unsqueeze(1).expand(bags, n, g.shape[1]).reshape(bags * n, g.shape[1])
    ends = offsets if last else at.cat((offsets, offsets.new_full((1,), input.shape[0])))
    sizes = at.diff(ends)
    bag = at.ops.core.repeat_indices(sizes)
    if mean:
        g = _divided(g, sizes if counted is None else at.bincount(bag[counted], minlength=g.shape[0]))
    return at.index_select(g, 0, bag)


def _divided(g: Tensor, counts: Tensor | int) -> Tensor:
    if isinstance(counts, int):
        return g / max(counts, 1)
    return g / at.clamp(counts, min=1).to(g.dtype).unsqueeze(1)


def _embedding_second(
    g: Tensor, input: Tensor, num_embeddings: int, padding_idx: int | None, scale_grad_by_freq: bool
) -> Tensor:
    result = _one.embedding(input, g)
    if padding_idx is not None:
        result = result * (input != padding_idx % num_embeddings).unsqueeze(-1).to(g.dtype)
    if scale_grad_by_freq:
        ones = at.ones(*input.shape, 1, dtype=g.dtype, device=g.device)
        counts = _one.embedding_backward(ones, input, num_embeddings)
        result = result / _one.embedding(input, counts)
    return result


def _losses(rule: Any) -> None:
    rule.autocast("float32", "nll_loss", "mse_loss", "paired_loss")
    rule(
        "nll_loss",
        input=lambda g, target, weight, total_weight, input_shape, reduction, ignore_index, label_smoothing: (
            _one.nll_loss_backward(
                g, target, weight, total_weight, input_shape, reduction, ignore_index, label_smoothing
            )
        ),
        weight=None,
    )
    rule.constant("nll_loss", "total_weight")
    rule(
        "nll_loss_backward",
        grad=lambda g, target, weight, reduction, ignore_index, label_smoothing: _several.nll_loss(
            g, target, weight, reduction, ignore_index, label_smoothing
        )[0],
        weight=None,
        total_weight=None,
    )
    rule(
        "mse_loss",
        input=lambda g, input, target, reduction: _one.mse_loss_backward(g, input, target, reduction),
        target=lambda g, input, target, reduction: _one.mse_loss_backward(g, target, input, reduction),
    )
    rule(
        "mse_loss_backward",
        grad=lambda g, input, target, reduction: _mse_to_grad(g, input, target, reduction),
        input=lambda g, grad, input, reduction: g * grad * _mse_scale(input, reduction),
        target=lambda g, grad, input, reduction: -g * grad * _mse_scale(input, reduction),
    )
    rule.decompose(
        "mse_loss", lambda input, target, reduction: _paired_losses.reduced((input - target) ** 2, reduction)
    )
    rule.decompose("nll_loss", _nll_by_gather)


def _nll_by_gather(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: str, ignore_index: int, label_smoothing: float
) -> Any:
    if weight is not None or label_smoothing or input.ndim > 2:
        return NotImplemented
    kept = target != ignore_index
    chosen = at.gather(input, -1, at.where(kept, target, 0).unsqueeze(-1)).squeeze(-1)
    losses = at.where(kept, -chosen, 0)
    total = kept.sum().to(input.dtype)
    return losses if reduction == "none" else losses.sum() / (total if reduction == "mean" else 1), total


def _mse_scale(input: Tensor, reduction: str) -> float:
    return 2.0 / max(input.numel(), 1) if reduction == "mean" else 2.0


def _mse_to_grad(g: Tensor, input: Tensor, target: Tensor, reduction: str) -> Tensor:
    each = g * (input - target) * _mse_scale(input, reduction)
    return each if reduction == "none" else each.sum()


# Each activation has a backward op grad * slope(input); the second derivatives are compositions.
def _activations(rule: Any) -> None:
    rule.autocast("float32", "softplus")
    plain: dict[str, Callable[[Tensor], Tensor] | None] = {
        "hardsigmoid": None,
        "hardswish": _hardswish_second,
        "logsigmoid": lambda x: -at.sigmoid(x) * at.sigmoid(-x),
        "mish": _mish_second,
        "silu": _silu_second,
    }
    names = ("elu", "gelu", "hardshrink", "hardtanh", "leaky_relu", "softplus", "softshrink", *plain)
    rule.batch("dims", *(f"{name}_backward" for name in names))  # they do not broadcast
    for name, second in plain.items():
        _without_parameters(rule, name, second)
    rule(
        "elu",
        input=lambda g, input, alpha, scale, input_scale: _one.elu_backward(g, input, alpha, scale, input_scale),
    )
    rule(
        "elu_backward",
        grad=lambda g, input, alpha, scale, input_scale: _one.elu_backward(g, input, alpha, scale, input_scale),
        input=lambda g, grad, input, alpha, scale, input_scale: (
            g
            * grad
            * at.where(input > 0, 0.0, alpha * scale * input_scale**2 * at.exp(at.clamp(input * input_scale, max=0)))
        ),
    )
    rule("gelu", input=lambda g, input, approximate: _one.gelu_backward(g, input, approximate))
    rule(
        "gelu_backward",
        grad=lambda g, input, approximate: _one.gelu_backward(g, input, approximate),
        input=lambda g, grad, input, approximate: g * grad * _gelu_second(input, approximate),
    )
    rule("hardtanh", input=lambda g, input, min_val, max_val: _one.hardtanh_backward(g, input, min_val, max_val))
    rule(
        "hardtanh_backward",
        grad=lambda g, input, min_val, max_val: _one.hardtanh_backward(g, input, min_val, max_val),
        input=None,
    )
    rule("hardshrink", input=lambda g, input, lambd: _one.hardshrink_backward(g, input, lambd))
    rule(
        "hardshrink_backward",
        grad=lambda g, input, lambd: _one.hardshrink_backward(g, input, lambd),
        input=None,
    )
    rule("softshrink", input=lambda g, input, lambd: _one.softshrink_backward(g, input, lambd))
    rule(
        "softshrink_backward",
        grad=lambda g, input, lambd: _one.softshrink_backward(g, input, lambd),
        input=None,
    )
    rule(
        "prelu",
        input=lambda g, input, weight: at.where(input > 0, g, g * weight),
        weight=lambda g, input: at.where(input > 0, 0.0, g * input),
    )
    rule("leaky_relu", input=lambda g, input, negative_slope: _one.leaky_relu_backward(g, input, negative_slope))
    rule(
        "leaky_relu_backward",
        grad=lambda g, input, negative_slope: _one.leaky_relu_backward(g, input, negative_slope),
        input=None,
    )
    rule("softplus", input=lambda g, input, beta, threshold: _one.softplus_backward(g, input, beta, threshold))
    rule(
        "softplus_backward",
        grad=lambda g, input, beta, threshold: _one.softplus_backward(g, input, beta, threshold),
        input=lambda g, grad, input, beta, threshold: g * grad * _softplus_second(input, beta, threshold),
    )


def _without_parameters(rule: Any, name: str, second: Callable[[Tensor], Tensor] | None) -> None:
    def backward(g: Tensor, input: Tensor) -> Tensor:
        gradient: Tensor = getattr(_one, f"{name}_backward")(g, input)
        return gradient

    def curvature(g: Tensor, grad: Tensor, input: Tensor) -> Tensor:
        assert second is not None
        return g * grad * second(input)

    rule(name, input=backward)
    rule(f"{name}_backward", grad=backward, input=None if second is None else curvature)


def _hardswish_second(x: Tensor) -> Tensor:
    return (at.abs(x) < 3).to(x.dtype) / 3


def _mish_second(x: Tensor) -> Tensor:
    # x t with t = tanh(log(1 + exp(x))): t' = (1 - t^2) s, and t'' = t' (1 - s - 2 t s).
    t, s = at.tanh(_one.softplus(x)), at.sigmoid(x)
    return (1 - t * t) * s * (2 + x * (1 - s - 2 * t * s))


def _gelu_second(x: Tensor, approximate: str) -> Tensor:
    if approximate == "none":
        return 0.3989422804014327 * at.exp(-0.5 * x * x) * (2 - x * x)
    # x s(u) with u = scale (x + cube x^3): 2 u' s' + x (u'' s' + u'^2 s'').
    scale, cube = 1.5957691216057308, 0.044715
    s = at.sigmoid(scale * (x + cube * x * x * x))
    slope = s * (1 - s)
    u1, u2 = scale * (1 + 3 * cube * x * x), 6 * scale * cube * x
    return 2 * u1 * slope + x * (u2 * slope + u1 * u1 * slope * (1 - 2 * s))


def _silu_second(x: Tensor) -> Tensor:
    s = at.sigmoid(x)
    return s * (1 - s) * (2 + x * (1 - 2 * s))


def _softplus_second(x: Tensor, beta: float, threshold: float) -> Tensor:
    s = at.sigmoid(beta * x)
    return at.where(beta * x > threshold, 0.0, beta * s * (1 - s))
