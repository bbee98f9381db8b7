"""Rules of running extremes and sums of exponentials."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_core = at.ops.core


def _back(g_values: Any, input_shape: Any, indices: Any, dim: Any) -> Any:
    return _core.scatter_add(g_values.new_zeros(input_shape), dim, indices, g_values)


def _by_logarithms(weights: Any, dim: Any, positive: Any) -> Any:
    """``positive``, a sum weighted along dim by positive weights that it takes the logarithms of, for any weights.

    It is that for weights + m without that for m, a constant: linear in the weights, at 0 too.
    """
    if weights.numel() == 0:
        return positive(weights)
    size = at.abs(weights.detach())
    largest = at.amax(size, dim, keepdim=True)
    m = at.maximum(2 * size, at.where(largest == 0, 1, largest) * at.finfo(size.dtype).eps)
    return positive(weights + m) - positive(m)


def _logcumsumexp(g: Any, input: Any, dim: Any, out: Any) -> Any:
    # sum over k >= i of g_k exp(in_i - out_k). Relative to the largest out of the line, the sum over k would underflow,
    # so it too is a logcumsumexp, from the back. Of -inf alone the sum is -inf; its terms have no part in it.
    finite = at.where(out == -at.inf, 0, out)

    def positive(w: Any) -> Any:
        return at.exp(at.flip(at.logcumsumexp(at.flip(at.log(w) - finite, (dim,)), dim), (dim,)) + input)

    return _by_logarithms(g, dim, positive)


def _logcumsumexp_tangent(arguments: Any, results: Any, tangents: Any) -> Any:
    # sum over i <= k of exp(in_i - out_k) t_i.
    (input, dim), (out,), t = arguments, results, tangents[0]
    finite = at.where(out == -at.inf, 0, out)
    return _by_logarithms(t, dim, lambda w: at.exp(at.logcumsumexp(input + at.log(w), dim) - finite))


def register(rule: RuleBook) -> None:
    rule("cummax", input=_back)
    rule("cummin", input=_back)
    rule("logcumsumexp", input=_logcumsumexp)
    rule.batch("dims", "cummax", "cummin", "logcumsumexp")
    rule.tangent("logcumsumexp", _logcumsumexp_tangent)
