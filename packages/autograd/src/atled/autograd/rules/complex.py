"""Rules of complex numbers, their views and angles; the tape gives each gradient its argument's dtype."""

from typing import Any

import atled.core as at
from atled.autograd._math import conj, is_complex
from atled.autograd._rule import RuleBook


def _angle(g: Any, input: Any, input_dtype: Any) -> Any:
    if not is_complex(input_dtype):
        return at.zeros_like(g)
    # The angle grows along input * 1j, at the rate of 1 / |input|.
    size = at.real(input * conj(input))
    return g * at.where(size == 0, 0, input * 1j / at.where(size == 0, 1, size))


def register(rule: RuleBook) -> None:
    rule("conj", input=lambda g: at.conj(g))
    rule("view_as_real", input=lambda g: at.view_as_complex(at.contiguous(g)))
    rule("view_as_complex", input=lambda g: at.view_as_real(g))
    rule("complex", real=lambda g: at.real(g), imag=lambda g: at.imag(g))
    rule(
        "polar",
        abs=lambda g, angle: at.real(g) * at.cos(angle) + at.imag(g) * at.sin(angle),
        angle=lambda g, out: at.imag(g * conj(out)),
    )
    rule("angle", input=_angle)
    rule.linear("conj", "real", "imag", "complex", "view_as_real", "view_as_complex")
    rule.batch("aligned", "view_as_real", "view_as_complex")
