"""Optimizers that know of rows and columns: Adafactor and Muon."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import atled.core as at
from atled.core import Tensor
from atled.optim._fused import require_not_negative
from atled.optim._optimizer import Optimizer, Params, buffer_for, expect_alike, plain, require


class Adafactor(Optimizer):
    """Adafactor (Shazeer & Stern 2018, algorithm 5): for a matrix it keeps the mean squares of rows and columns only.

    Their product estimates the mean square ``v`` of each element's gradient ``g``, with
    ``beta2 = 1 - step ** beta2_decay``; tensors of fewer than two dimensions keep ``v`` itself. The update
    ``u = g / sqrt(v)``, scaled down to a root mean square of at most ``d``, is taken ``lr`` (at most
    ``1 / sqrt(step)``) times the parameter's root mean square, which counts as at least ``eps[1]``. ``eps[0]`` is
    the least ``sqrt(v)``: None for the dtype's ``eps``. ``weight_decay`` is decoupled; ``maximize`` climbs.
    ``foreach`` changes nothing.

    Errors: ``InvalidValueError`` for a setting outside its range.

    >>> weight = at.ones(2, 3)
    >>> Adafactor([weight], lr=0.1).step(grads=[at.full((2, 3), 3.0)])
    >>> round(weight[0, 0].item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require(group["beta2_decay"] <= 0, "beta2_decay", "at most 0", group["beta2_decay"])
        least, smallest = group["eps"]
        require((least is None or least >= 0) and smallest >= 0, "eps", "at least 0", group["eps"])
        require(group["d"] >= 1, "d", "at least 1", group["d"])
        require_not_negative(group, "weight_decay")

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        expect_alike(self, params, grads)
        lr = float(group["lr"])
        for given, given_grad in zip(params, grads, strict=True):
            if given.numel() == 0:
                continue
            state, param, grad = self.state[given], plain(given), plain(given_grad)
            if group["maximize"]:
                grad = -grad
            step = state["step"] = state.get("step", 0) + 1
            least, smallest = group["eps"]
            least = at.finfo(param.dtype).eps if least is None else least
            square = _mean_square(state, param, grad, step ** group["beta2_decay"], least)
            update = square.clamp_(min=least**2).rsqrt_().mul_(grad)
            size = _root_mean_square(param).clamp(min=smallest) * min(lr, 1 / math.sqrt(step))
            too_large = (_root_mean_square(update) / group["d"]).clamp(min=1.0)
            if group["weight_decay"] != 0:
                param.mul_(1 - lr * group["weight_decay"])
            param.sub_(update.mul_(size / too_large))


def _root_mean_square(x: Tensor) -> Tensor:
    return x.norm() / math.sqrt(max(1, x.numel()))


def _mean_square(state: dict[str, Any], param: Tensor, grad: Tensor, fresh: float, least: float) -> Tensor:
    """The running mean of the gradient's square, of which ``fresh`` is new; a tensor to be changed."""
    if grad.ndim < 2:
        return buffer_for(state, "variance", param).lerp_(grad.square(), fresh).clone()
    *_, rows, columns = grad.shape
    row = buffer_for(state, "row_var", param[..., :1])
    column = buffer_for(state, "col_var", param[..., :1, :])
    row.lerp_(grad.norm(dim=-1, keepdim=True).square_() / columns, fresh)
    column.lerp_(grad.norm(dim=-2, keepdim=True).square_() / rows, fresh)
    return (row @ column).div_(row.mean(dim=-2, keepdim=True).clamp_(min=least))


class Muon(Optimizer):
    """Muon (Jordan 2024): momentum for matrices, whose singular values are all made about 1.

    With ``b = momentum * b + (1 - momentum) * g``, the update is ``b``, or ``momentum * b + (1 - momentum) * g`` with
    ``nesterov``, divided by its norm, at least ``eps``, and then ``ns_steps`` times
    ``x = k0 * x + (k1 * a + k2 * a @ a) @ x`` with ``a = x @ x.T`` and ``k = ns_coefficients``, in bfloat16. It is
    taken ``lr`` times ``sqrt(max(1, rows / columns))`` (``adjust_lr_fn="original"``), or ``lr`` times
    ``0.2 * sqrt(max(rows, columns))``, which makes it as large as AdamW's (``"match_rms_adamw"``; Liu et al. 2025).
    ``weight_decay`` is decoupled. Other parameters, and embeddings, are for `AdamW`.

    Errors: ``InvalidValueError`` for a setting outside its range and a parameter that is no matrix.

    >>> weight = at.eye(2)
    >>> Muon([weight], lr=0.1, weight_decay=0.0).step(grads=[at.tensor([[0.0, 3.0], [-3.0, 0.0]])])
    >>> [[round(x, 1) for x in row] for row in weight.tolist()]
    [[1.0, -0.1], [0.1, 1.0]]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require_not_negative(group, "weight_decay", "momentum")
        require(len(group["ns_coefficients"]) == 3, "ns_coefficients", "to be three numbers", group["ns_coefficients"])
        require(0 <= group["ns_steps"] < 100, "ns_steps", "in [0, 100)", group["ns_steps"])
        known = group["adjust_lr_fn"] in (None, "original", "match_rms_adamw")
        require(known, "adjust_lr_fn", "None, 'original' or 'match_rms_adamw'", repr(group["adjust_lr_fn"]))
        for param in group["params"]:
            if param.ndim != 2:
                raise at.InvalidValueError(
                    f"Muon: expected parameters that are matrices, got one of shape {param.shape}; give others to AdamW"
                )

    def _update(self, group: dict[str, Any], params: list[Tensor], grads: list[Tensor]) -> None:
        expect_alike(self, params, grads)
        lr, momentum = float(group["lr"]), group["momentum"]
        for given, given_grad in zip(params, grads, strict=True):
            if given.numel() == 0:
                continue
            param, grad = plain(given), plain(given_grad)
            buffer = buffer_for(self.state[given], "momentum_buffer", param).lerp_(grad, 1 - momentum)
            update = _orthogonal(
                grad.lerp(buffer, momentum) if group["nesterov"] else buffer,
                group["ns_coefficients"],
                group["ns_steps"],
                group["eps"],
            )
            rows, columns = param.shape
            if group["adjust_lr_fn"] == "match_rms_adamw":
                rate = lr * 0.2 * math.sqrt(max(rows, columns))
            else:
                rate = lr * math.sqrt(max(1, rows / columns))
            param.mul_(1 - lr * group["weight_decay"]).sub_(update.to(param.dtype) * rate)


def _orthogonal(x: Tensor, coefficients: Sequence[float], steps: int, eps: float) -> Tensor:
    """The nearest orthogonal matrix, roughly, by Newton and Schulz's iteration with a polynomial of degree five."""
    first, third, fifth = coefficients
    tall = x.shape[0] > x.shape[1]
    y = x.to(at.bfloat16)
    if tall:  # the product is then the smaller one
        y = y.T
    y = y / y.norm().clamp(min=eps)
    for _ in range(steps):
        gram = y @ y.T
        y = at.addmm(y, at.addmm(gram, gram, gram, beta=third, alpha=fifth), y, beta=first)
    return y.T if tall else y
