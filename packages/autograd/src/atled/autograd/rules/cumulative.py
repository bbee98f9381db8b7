"""Rules of running extremes and sums of exponentials."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_core = at.ops.core


def _back(g_values: Any, input_shape: Any, indices: Any, dim: Any) -> Any:
    return _core.scatter_add(g_values.new_zeros(input_shape), dim, indices, g_values)


def _logcumsumexp(g: Any, input: Any, dim: Any, out: Any) -> Any:
    # sum over k >= i of g_k exp(in_i - out_k). Relative to the largest out of the line, the sum over k would underflow,
    # so it too is a logcumsumexp, from the back and for each sign of g apart (as PyTorch does it).
    def part(positive: bool) -> Any:
        some = g > 0 if positive else g < 0
        size = at.where(some, at.log(at.where(some, at.abs(g), 1)), -at.inf)
        return at.exp(at.flip(at.logcumsumexp(at.flip(size - finite, (dim,)), dim), (dim,)) + input)

    # Of -inf alone the sum is -inf; its terms have no part in it.
    finite = at.where(out == -at.inf, 0, out)
    return part(True) - part(False)


def _logcumsumexp_tangent(arguments: Any, results: Any, tangents: Any) -> Any:
    # sum over i <= k of exp(in_i - out_k) t_i, a logcumsumexp for each sign of t.
    (input, dim), (out,), t = arguments, results, tangents[0]
    finite = at.where(at.isfinite(out), out, 0)

    def part(some: Any) -> Any:
        size = at.where(some, input + at.log(at.where(some, at.abs(t), 1)), -at.inf)
        return at.exp(at.logcumsumexp(size, dim) - finite)

    return part(t > 0) - part(t < 0)


def register(rule: RuleBook) -> None:
    rule("cummax", input=_back)
    rule("cummin", input=_back)
    rule("logcumsumexp", input=_logcumsumexp)
    rule.batch("dims", "cummax", "cummin", "logcumsumexp")
    rule.tangent("logcumsumexp", _logcumsumexp_tangent)
