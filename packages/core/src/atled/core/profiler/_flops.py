"""Floating-point operations of the ops that most of the work is in, by their shapes: a product and a sum are two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

Shape = Sequence[int]
Rule = Callable[[list[Shape], Shape], int]


def _product(left: int) -> Rule:
    """Of a product of matrices; ``left`` is the place of its left factor among the arguments."""
    return lambda given, out: 2 * prod(out) * prod(given[left][-1:])  # inner takes numbers, too


def _attention(given: list[Shape], of_key: int, of_value: int) -> int:
    """Of as many products of the size of query by key, and of weights by value; a mask does not count."""
    query, key, value = given
    return 2 * prod(query[:-1]) * key[-2] * (of_key * query[-1] + of_value * value[-1])


# Each element of a convolution's result is a product with a weight without its first dimension.
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("mm", "bmm", "matmul", "mv", "dot", "vdot", "inner", "scaled_mm"), _product(0)),
    **dict.fromkeys(("linear", "linear_relu", "linear_gelu"), _product(0)),
    **dict.fromkeys(("addmm", "addmm_relu", "addmm_gelu", "addmv", "baddbmm"), _product(1)),
    "addbmm": lambda given, out: 2 * prod(given[1]) * out[-1],
    **dict.fromkeys(("conv2d", "conv3d"), lambda given, out: 2 * prod(out) * prod(given[1][1:])),
    **dict.fromkeys(
        ("conv2d_backward_input", "conv3d_backward_input"), lambda given, _: 2 * prod(given[0]) * prod(given[1][1:])
    ),
    **dict.fromkeys(
        ("conv2d_backward_weight", "conv3d_backward_weight"), lambda given, out: 2 * prod(given[0]) * prod(out[1:])
    ),
    **dict.fromkeys(("attention", "fused_attention"), lambda given, _: _attention(given[:3], 1, 1)),
    "fused_attention_backward": lambda given, _: _attention(given[1:4], 3, 2),
}


def flops_of(name: str, arguments: Any, results: Any) -> int:
    """Of one call; 0 for an op that no rule knows, or whose shapes were not recorded."""
    rule = _RULES.get(name.removesuffix("_"))
    if rule is None or not arguments or not results or not isinstance(results[0], tuple):
        return 0
    given: list[Shape] = [one[1:] if isinstance(one, tuple) else () for one in arguments]
    return rule(given, results[0][1:])
