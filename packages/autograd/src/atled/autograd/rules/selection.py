"""Rules of choosing between values."""

from typing import Any

import atled.core as at
from atled.autograd._rule import RuleBook

_core = at.ops.core


def _clamp_input(g: Any, input: Any, min: Any, max: Any) -> Any:
    if min is not None:
        g = at.where(input < min, 0, g)
    return g if max is None else at.where(input > max, 0, g)


def _clamp_min(g: Any, input: Any, min: Any, max: Any) -> Any:
    g = at.where(input < min, g, 0)
    # With min > max, max is the answer.
    return g if max is None else at.where(at.gt(min, max), 0, g)


def _clamp_max(g: Any, input: Any, min: Any, max: Any) -> Any:
    above = input > max
    return at.where(above if min is None else at.logical_or(above, at.gt(min, max)), g, 0)


def _masked_fill(input: Any, mask: Any, value: Any) -> Any:
    return at.where(mask, value.to(input.dtype), input) if isinstance(value, at.Tensor) else NotImplemented


def register(rule: RuleBook) -> None:
    rule(
        "where",
        input=lambda g, condition: at.where(condition, g, 0),
        other=lambda g, condition: at.where(condition, 0, g),
    )
    rule("clamp", input=_clamp_input, min=_clamp_min, max=_clamp_max)
    rule("masked_fill", input=lambda g, mask: at.masked_fill(g, mask, 0), value=lambda g, mask: at.where(mask, g, 0))
    rule(
        "clamp_min",
        input=lambda g, input, min: at.where(input < min, 0, g),
        min=lambda g, input, min: at.where(input < min, g, 0),
    )
    rule(
        "clamp_max",
        input=lambda g, input, max: at.where(input > max, 0, g),
        max=lambda g, input, max: at.where(input > max, g, 0),
    )
    rule(
        "fmax",
        input=lambda g, input, out: at.where(at.eq(out, input), g, 0),
        other=lambda g, input, out: at.where(at.eq(out, input), 0, g),
    )
    rule(
        "fmin",
        input=lambda g, input, out: at.where(at.eq(out, input), g, 0),
        other=lambda g, input, out: at.where(at.eq(out, input), 0, g),
    )
    rule("heaviside", input=lambda g: at.zeros_like(g), values=lambda g, input: at.where(at.eq(input, 0), g, 0))
    rule("nan_to_num", input=lambda g, input: at.where(at.isfinite(input), g, 0))
    rule("relu", input=lambda g, out: _core.relu_backward(g, out))
    rule("relu_backward", grad=lambda g, input: _core.relu_backward(g, input), input=None)
    rule(
        "copysign",
        input=lambda g, input, out: g * at.where(input == 0, 0, out / at.where(input == 0, 1, input)),
        other=lambda g: at.zeros_like(g),
    )
    rule.decompose("masked_fill", _masked_fill)
