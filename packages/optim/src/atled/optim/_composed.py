"""The optimizers' ops composed of core's: what runs them on devices for which there is no kernel of optim's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor, _core
from atled.optim._native import CUDA_LIBRARY


def _wide(tensor: Tensor) -> Tensor:
    """Half precision is computed in float32."""
    return tensor.float() if tensor.dtype in (at.float16, at.bfloat16) else tensor


def _store(computed: Tensor, tensor: Tensor) -> None:
    """Writes back what was computed beside the tensor, not in it."""
    if computed is not tensor:
        tensor.copy_(computed)


def _check_params(op: str, params: Sequence[Tensor]) -> None:
    for i, param in enumerate(params):
        if not param.is_floating_point():
            raise at.DTypeError(
                f"{op}: expected parameters of a floating-point dtype, got {param.dtype.name} for parameter {i}"
            )


def _check_list(op: str, name: str, tensors: Sequence[Tensor], params: Sequence[Tensor]) -> None:
    if len(tensors) != len(params):
        raise at.ArgumentError(f"{op}: expected as many {name} as params ({len(params)}), got {len(tensors)}")
    for i, (tensor, param) in enumerate(zip(tensors, params, strict=True)):
        if tensor.dtype != param.dtype:
            raise at.DTypeError(
                f"{op}: expected {name}[{i}] of dtype {param.dtype.name} as its parameter, got {tensor.dtype.name}"
            )
        if tensor.shape != param.shape:
            raise at.ShapeError(
                f"{op}: expected {name}[{i}] of shape {param.shape} as its parameter, got {tensor.shape}"
            )


def sgd_(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    buffers: Sequence[Tensor],
    first: bool,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    maximize: bool,
) -> list[Tensor]:
    _check_params("sgd_", params)
    _check_list("sgd_", "grads", grads, params)
    if buffers:
        _check_list("sgd_", "buffers", buffers, params)
    for i, param in enumerate(params):
        p, d = _wide(param), _wide(grads[i])
        d = -d if maximize else d
        d = d.add(p, alpha=weight_decay) if weight_decay else d
        if buffers:
            b = _wide(buffers[i])
            b = b.copy_(d) if first else b.mul_(momentum).add_(d, alpha=1 - dampening)
            _store(b, buffers[i])
            d = d.add(b, alpha=momentum) if nesterov else b
        _store(p.add_(d, alpha=-lr), param)
    return list(params)


def adam_(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    means: Sequence[Tensor],
    squares: Sequence[Tensor],
    maxima: Sequence[Tensor],
    steps: Sequence[int],
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
    maximize: bool,
) -> list[Tensor]:
    _check_params("adam_", params)
    for name, tensors in (("grads", grads), ("means", means), ("squares", squares)):
        _check_list("adam_", name, tensors, params)
    if maxima:
        _check_list("adam_", "maxima", maxima, params)
    if len(steps) != len(params):
        raise at.ArgumentError(f"adam_: expected as many steps as params ({len(params)}), got {len(steps)}")
    for i, (param, step) in enumerate(zip(params, steps, strict=True)):
        if step < 1:
            raise at.InvalidValueError(f"adam_: expected steps >= 1, got {step}")
        p, d, m, v = (_wide(t) for t in (param, grads[i], means[i], squares[i]))
        d = -d if maximize else d
        if weight_decay and decoupled:
            p.mul_(1 - lr * weight_decay)
        elif weight_decay:
            d = d.add(p, alpha=weight_decay)
        _store(m.mul_(beta1).add_(d, alpha=1 - beta1), means[i])
        _store(v.mul_(beta2).addcmul_(d, d, value=1 - beta2), squares[i])
        if maxima:
            v = at.maximum(_wide(maxima[i]), v)
            maxima[i].copy_(v)
        root = v.sqrt().mul_(1 / math.sqrt(1 - beta2**step)).add_(eps)
        _store(p.addcdiv_(m, root, value=-lr / (1 - beta1**step)), param)
    return list(params)


def grad_norm(grads: Sequence[Tensor], norm_type: float) -> Tensor:
    if not norm_type > 0:
        raise at.InvalidValueError(
            f"grad_norm: expected norm_type > 0 (inf for the largest element), got {norm_type:g}"
        )
    for grad in grads:
        if not grad.is_floating_point():
            raise at.DTypeError(f"grad_norm: expected gradients of a floating-point dtype, got {grad.dtype.name}")
    dtype = at.float64 if any(grad.dtype == at.float64 for grad in grads) else at.float32
    norms = [at.linalg.vector_norm(grad.to(dtype), norm_type) for grad in grads if grad.numel()]
    if not norms:
        return at.zeros((), dtype=dtype, device=grads[0].device if grads else None)
    return at.linalg.vector_norm(at.stack(norms), norm_type)


def scale_by_norm_(grads: Sequence[Tensor], norm: Tensor, max_norm: float) -> list[Tensor]:
    if norm.numel() != 1 or norm.dtype not in (at.float32, at.float64):
        raise at.ArgumentError(
            f"scale_by_norm_: expected norm to be one float32 or float64, got {norm.dtype.name} of shape {norm.shape}"
        )
    _check_params("scale_by_norm_", grads)
    # A tensor, so that the device is not waited for; NaN stays NaN.
    factor = (max_norm / (norm.reshape(()).double() + 1e-6)).clamp(max=1)
    for grad in grads:
        g = _wide(grad)
        _store(g.mul_(factor.to(g.dtype)), grad)
    return list(grads)


KERNELS: dict[str, Callable[..., Any]] = {
    "sgd_": sgd_,
    "adam_": adam_,
    "grad_norm": grad_norm,
    "scale_by_norm_": scale_by_norm_,
}


def register() -> None:
    """Adds them as kernels of device "cuda"; the entry point ``cuda.optim`` does so at the first call of one there."""
    if CUDA_LIBRARY.exists():
        _core.load_plugin(str(CUDA_LIBRARY))
    ops = {op.qualified_name: op for op in _core.ops()}
    for name, kernel in KERNELS.items():
        op = ops[f"optim::{name}"]
        if not _core.has_kernel(op, "cuda"):
            _core.add_kernel(op, "cuda", kernel)
