"""Rules of running sums and products."""

from typing import Any

import atled.core as at
from atled.autograd._math import any_true, conj
from atled.autograd._rule import RuleBook


def _back_sum(g: Any, dim: Any) -> Any:
    """For each place, the sum of g from there to the end."""
    return at.flip(at.cumsum(at.flip(g, (dim,)), dim), (dim,))


def _cumprod(g: Any, input: Any, dim: Any, out: Any) -> Any:
    if input.ndim == 0:
        return g
    if input.dtype != out.dtype:
        input = input.to(out.dtype)
    if not any_true(input == 0):
        return _back_sum(g * conj(out), dim) / conj(input)
    # With zeros: d out_k / d in_i is the product of in_0..in_k without in_i, from a matrix whose diagonal is 1.
    rows = at.movedim(input, (dim,), (-1,))
    n = rows.shape[-1]
    without = at.cumprod(at.where(at.eye(n, dtype=at.bool, device=input.device), 1, rows.unsqueeze(-2)), -1)
    slopes = at.triu(without)
    return at.movedim((at.movedim(g, (dim,), (-1,)).unsqueeze(-2) * conj(slopes)).sum(-1), (-1,), (dim,))


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "cumsum", "cumprod")
    rule("cumsum", input=lambda g, dim: _back_sum(g, dim))
    rule("cumprod", input=_cumprod)
    rule.linear("cumsum")
    rule.batch("dims", "cumsum", "cumprod")
