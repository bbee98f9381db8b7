"""Rules of arithmetic. Complex ones follow the convention g · conj(df/dx), so that -g is the direction of descent."""

from typing import Any

import atled.core as at
from atled.autograd._math import conj, is_complex, is_number, scale
from atled.autograd._rule import RuleBook


def _pow_input(g: Any, input: Any, exponent: Any) -> Any:
    if not is_number(exponent):
        # The slope of x^0 is 0, also at 0, where x^-1 is infinite.
        base = at.where(at.logical_and(input == 0, exponent == 0), 1, input)
        return g * conj(exponent * base ** (exponent - 1))
    if exponent == 0:
        return at.zeros_like(g)
    if exponent == 1:
        return g
    return g * conj(input * 2 if exponent == 2 else input ** (exponent - 1) * exponent)


def _pow_exponent(g: Any, input: Any, exponent: Any, exponent_dtype: Any, out: Any) -> Any:
    if is_number(input):
        return g * conj(out * at.log(at.full_like(out, input))) if input != 0 else at.zeros_like(g)
    # 0^x is 0 for all x > 0: there log(0) must not make a NaN of it.
    safe = input == 0 if is_complex(exponent_dtype) else at.logical_and(input == 0, exponent >= 0)
    return g * conj(out * at.log(at.where(safe, 1, input)))


def _abs(g: Any, input: Any, input_dtype: Any, out: Any) -> Any:
    if is_complex(input_dtype):
        return g * input / at.where(out == 0, 1, out)
    return g * at.sign(input)


def _sign(g: Any, input: Any, input_dtype: Any, out: Any) -> Any:
    if not is_complex(input_dtype):
        return at.zeros_like(g)
    size = at.where(input == 0, 1, at.abs(input))
    return at.where(input == 0, 0, (g - at.real(g * conj(out)) * out) / size)


def _greater(g: Any, a: Any, b: Any) -> Any:
    """g where a > b, half of it where they are equal, nothing where a < b."""
    return at.where(a == b, g / 2, at.where(a < b, 0, g))


def register(rule: RuleBook) -> None:
    rule.autocast("float32", "pow", "reciprocal", "square")
    rule("add", input=lambda g: g, other=lambda g, alpha: scale(g, conj(alpha)))
    rule("sub", input=lambda g: g, other=lambda g, alpha: scale(-g, conj(alpha)))
    rule("mul", input=lambda g, other: g * conj(other), other=lambda g, input: g * conj(input))
    rule(
        "div",
        input=lambda g, other, rounding_mode: g / conj(other) if rounding_mode is None else at.zeros_like(g),
        # By the input, as in PyTorch: the result may be changed in place afterwards.
        other=lambda g, input, other, rounding_mode: (
            -g * conj(input / other / other) if rounding_mode is None else at.zeros_like(g)
        ),
    )
    rule("floor_divide", input=lambda g: at.zeros_like(g), other=lambda g: at.zeros_like(g))
    rule("remainder", input=lambda g: g, other=lambda g, input, other: -g * at.div(input, other, rounding_mode="floor"))
    rule("fmod", input=lambda g: g, other=lambda g, input, other: -g * at.div(input, other, rounding_mode="trunc"))
    rule("pow", input=_pow_input, exponent=_pow_exponent)
    rule("float_power", input=_pow_input, exponent=_pow_exponent)
    rule("neg", input=lambda g: -g)
    rule("positive", input=lambda g: g)
    rule("abs", input=_abs)
    rule("sign", input=_sign)
    rule("square", input=lambda g, input: g * conj(input * 2))
    rule("reciprocal", input=lambda g, out: -g * conj(out * out))
    rule(
        "maximum",
        input=lambda g, input, other: _greater(g, input, other),
        other=lambda g, input, other: _greater(g, other, input),
    )
    rule(
        "minimum",
        input=lambda g, input, other: _greater(g, other, input),
        other=lambda g, input, other: _greater(g, input, other),
    )
    rule(
        "lerp",
        input=lambda g, weight: g * conj(1 - weight),
        end=lambda g, weight: g * conj(weight),
        weight=lambda g, input, end: g * conj(end - input),
    )
    rule(
        "addcmul",
        input=lambda g: g,
        tensor1=lambda g, tensor2, value: scale(g * conj(tensor2), conj(value)),
        tensor2=lambda g, tensor1, value: scale(g * conj(tensor1), conj(value)),
    )
    rule(
        "addcdiv",
        input=lambda g: g,
        tensor1=lambda g, tensor2, value: scale(g / conj(tensor2), conj(value)),
        tensor2=lambda g, tensor1, tensor2, value: scale(-g * conj(tensor1 / (tensor2 * tensor2)), conj(value)),
    )
    rule.transposed("sign")
