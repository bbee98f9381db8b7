"""Rules of reductions. `restore` brings what a reduction made back to the shape of what it was made from."""

import math
from typing import Any

import atled.core as at
from atled.autograd._math import any_true, conj, is_complex
from atled.autograd._rule import RuleBook

_restore = at.ops.autograd.restore


def _dims(shape: Any, dim: Any) -> list[int]:
    """The reduced dimensions, counted from the front."""
    return [d % max(len(shape), 1) for d in dim] if dim else list(range(len(shape)))


def _sgn(x: Any, dtype: Any) -> Any:
    if not is_complex(dtype):
        return at.sign(x)
    return x / at.where(x == 0, 1, at.abs(x))


def _prod(g: Any, input: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    shape = tuple(input.shape)
    if input.dtype != out.dtype:
        input = input.to(out.dtype)
    if not any_true(input == 0):
        return _restore(g * conj(out), shape, dim, keepdim) / conj(input)
    # With zeros: for each element the product of those before it times the product of those after it.
    reduced = _dims(shape, dim) if shape else []
    kept = [d for d in range(len(shape)) if d not in reduced]
    order = kept + reduced
    rows = input.permute(order).reshape([shape[d] for d in kept] + [-1])
    one = at.ones_like(rows[..., :1])
    before = at.cat([one, rows[..., :-1].cumprod(-1)], -1)
    after = at.cat([one, rows.flip(-1)[..., :-1].cumprod(-1)], -1).flip(-1)
    others = before * after
    others = others.reshape([shape[d] for d in order]).permute([order.index(d) for d in range(len(shape))])
    return _restore(g, shape, dim, keepdim) * conj(others)


def _extreme(g: Any, input: Any, input_shape: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    # Equal extremes share the gradient.
    chosen = input == _restore(out, input_shape, dim, keepdim)
    return at.where(chosen, _restore(g, input_shape, dim, keepdim) / at.sum(chosen, dim, True), 0)


def _var(g: Any, input: Any, input_shape: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> Any:
    if correction is None:
        correction = 0 if unbiased is False else 1
    count = math.prod(input_shape[d] for d in _dims(input_shape, dim)) if len(input_shape) else 1
    factor = 2 / (count - correction) if count > correction else math.nan
    return _restore(g, input_shape, dim, keepdim) * ((input - at.mean(input, dim, True)) * factor)


def _std(
    g: Any, input: Any, input_shape: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any, out: Any
) -> Any:
    g = at.where(out == 0, 0, g / (at.where(out == 0, 1, out) * 2))
    return _var(g, input, input_shape, dim, unbiased, keepdim, correction)


def _nansum(g: Any, input: Any, input_shape: Any, dim: Any, keepdim: bool) -> Any:
    return at.where(input == input, _restore(g, input_shape, dim, keepdim), 0)


def _norm(g: Any, input: Any, input_shape: Any, input_dtype: Any, p: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    g, whole = _restore(g, input_shape, dim, keepdim), _restore(out, input_shape, dim, keepdim)
    if p == 0:
        return at.zeros_like(input)
    if p == 1:
        return g * _sgn(input, input_dtype)
    # At 0 the norm has a kink; 0 is the smallest of its slopes there.
    if p == 2:
        return input * at.where(whole == 0, 0, g / at.where(whole == 0, 1, whole))
    if math.isinf(p):
        chosen = at.abs(input) == whole
        return _sgn(input, input_dtype) * at.where(chosen, g / at.sum(chosen, dim, True), 0)
    size = at.abs(input)
    at_zero = at.logical_or(size == 0, whole == 0)  # of a negative p, the norm is 0 where any element is
    slope = at.where(at_zero, 0, (at.where(size == 0, 1, size) / at.where(whole == 0, 1, whole)) ** (p - 1))
    return _sgn(input, input_dtype) * (g * slope)


def _logsumexp(g: Any, input: Any, input_shape: Any, input_dtype: Any, dim: Any, keepdim: bool, out: Any) -> Any:
    whole = _restore(out, input_shape, dim, keepdim)
    # Of -inf alone the sum is -inf: its terms then have no part in it, rather than NaN.
    none = at.logical_not(at.isfinite(whole)) if is_complex(input_dtype) else whole == -at.inf
    share = at.exp(input - at.where(none, 0, whole))
    return _restore(g, input_shape, dim, keepdim) * conj(share)


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "sum", "prod", "norm", "logsumexp")
    rule("sum", input=lambda g, input_shape, dim, keepdim: _restore(g, input_shape, dim, keepdim))
    rule("mean", input=lambda g, input_shape, dim, keepdim: _restore(g, input_shape, dim, keepdim, True))
    rule("prod", input=_prod)
    rule("amax", input=_extreme)
    rule("amin", input=_extreme)
    rule("nansum", input=_nansum)
    rule("var", input=_var)
    rule("std", input=_std)
    rule("norm", input=_norm)
    rule("logsumexp", input=_logsumexp)
    rule.non_differentiable("any", "all", "count_nonzero")
    rule.linear("sum", "mean")
    rule.batch("dims", "sum", "mean", "prod", "amax", "amin", "nansum", "var", "std", "norm", "logsumexp")
    rule.batch("dims", "any", "all", "count_nonzero")
