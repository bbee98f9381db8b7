"""Batch normalisation in evaluation mode, folded into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._module import Module
from .._parameter import Parameter, detached, requires_grad


def _fused(
    weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float, scale: Any, shift: Any, dim: int
) -> tuple[Parameter, Parameter]:
    w, m, v = detached(weight), detached(mean), detached(var)
    factor = at.rsqrt(v + eps) if scale is None else detached(scale) * at.rsqrt(v + eps)
    shape = [1] * w.ndim
    shape[dim] = -1
    moved = (-m if bias is None else detached(bias) - m) * factor
    if shift is not None:
        moved = moved + detached(shift)
    learnt = requires_grad(weight)
    fused_bias = Parameter(moved.to(w.dtype), learnt if bias is None else requires_grad(bias))
    return Parameter((w * factor.reshape(shape)).to(w.dtype), learnt), fused_bias


@explained
def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of the convolution that does what one and a batch normalisation of its output do.

    conv_w: (out, in / groups, ...), with ``transpose`` (in, out, ...). bn_rm, bn_rv: running mean and variance (out).
    ``w' = w s`` and ``b' = (b - mean) s + shift`` with ``s = scale / sqrt(var + eps)``; None for conv_b and bn_b is 0,
    for bn_w 1.

    >>> import atled.core as at
    >>> mean, var = at.tensor([1.0]), at.tensor([4.0])
    >>> w, b = fuse_conv_bn_weights(at.ones(1, 1, 1), None, mean, var, 0.0, at.tensor([3.0]), None)
    >>> w.item(), b.item()
    (1.5, -1.5)
    """
    return _fused(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


@explained
def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight (out, in) and bias (out) of a linear layer with a batch normalisation; see `fuse_conv_bn_weights`.

    >>> import atled.core as at
    >>> mean, var = at.tensor([1.0]), at.tensor([4.0])
    >>> w, b = fuse_linear_bn_weights(at.tensor([[1.0, 2.0]]), None, mean, var, 0.0, None, None)
    >>> w.tolist(), b.tolist()
    ([[0.5, 1.0]], [-0.5])
    """
    return _fused(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fuse(op: str, layer: Any, bn: Any, dim: int) -> Any:
    if layer.training or bn.training:
        raise at.InvalidValueError(f"{op}: expected both modules in evaluation mode; call eval() first")
    if bn.running_mean is None or bn.running_var is None:
        raise at.InvalidValueError(f"{op}: expected a batch normalisation that tracks running statistics")
    channels = layer.weight.shape[dim]
    if tuple(bn.running_mean.shape) != (channels,):
        raise at.ShapeError(f"{op}: expected a batch normalisation of {channels} features, got {bn.num_features}")
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = _fused(
        layer.weight, layer.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, dim
    )
    return fused


@explained
def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Module:
    """A convolution that does in one what ``conv`` and then ``bn`` do in evaluation mode.

    ``transpose`` for transposed convolutions of one group. InvalidValueError in training mode.

    >>> import atled.core as at
    >>> from atled import nn
    >>> conv, bn = nn.Conv2d(3, 8, 3).eval(), nn.BatchNorm2d(8).eval()
    >>> x = at.randn(1, 3, 9, 9)
    >>> bool(at.allclose(fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-5))
    True
    """
    if transpose and getattr(conv, "groups", 1) != 1:
        raise at.InvalidValueError("fuse_conv_bn_eval: expected one group in a transposed convolution")
    fused: Module = _fuse("fuse_conv_bn_eval", conv, bn, 1 if transpose else 0)
    return fused


@explained
def fuse_linear_bn_eval(linear: Module, bn: Module) -> Module:
    """A linear layer that does in one what ``linear`` and then ``bn`` do in evaluation mode; neither changes.

    InvalidValueError in training mode and without running statistics, ShapeError for another number of features.

    >>> import atled.core as at
    >>> from atled import nn
    >>> linear, bn, x = nn.Linear(3, 4).eval(), nn.BatchNorm1d(4).eval(), at.ones(2, 3)
    >>> bool(at.allclose(fuse_linear_bn_eval(linear, bn)(x), bn(linear(x)), atol=1e-5))
    True
    """
    fused: Module = _fuse("fuse_linear_bn_eval", linear, bn, 0)
    return fused


@explained
def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """Makes a module without computing initial values: its parameters hold whatever was in the memory.

    ``device`` is where they are, the CPU unless given.

    >>> from atled import nn
    >>> skip_init(nn.Linear, 3, 2).weight.shape
    (2, 3)
    """
    device = kwargs.pop("device", "cpu")
    with at.device("meta"):
        module = module_cls(*args, **kwargs)
    return module.to_empty(device=device)
