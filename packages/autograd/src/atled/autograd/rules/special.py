"""Rules of special functions (Abramowitz & Stegun 7.1, 9.1, 9.6, 22.8)."""

import math
from typing import Any, NoReturn

import atled.core as at
from atled.autograd._math import is_number
from atled.autograd._rule import RuleBook

_special = at.ops.special


def _unknown(g: Any) -> NoReturn:
    raise at.NotImplementedOpError("zeta: the derivative in input has no closed form; detach input")


def _over(x: Any, input: Any) -> Any:
    """x / input, but 1/2 at 0: the limit of a function of order 1 over its argument."""
    return at.where(input == 0, 0.5, x / at.where(input == 0, 1, input))


def _sinc_slope(g: Any, input: Any, out: Any) -> Any:
    return g * at.where(input == 0, 0, (at.cos(input) - out) / at.where(input == 0, 1, input))


def _xlog1py_input(g: Any, input: Any, other: Any) -> Any:
    flat = at.logical_and(input == 0, at.ones_like(g) * other <= -1)
    return at.where(flat, 0, _special.xlog1py(g, other))


# ---- orthogonal polynomials; n is a whole number even where it comes as a float ----


def _whole(n: Any) -> Any:
    return int(n) if is_number(n) else at.floor(n)


def _u_slope(x: Any, n: Any) -> Any:
    u = _special.chebyshev_polynomial_u(x, n)
    inside = ((n + 1) * _special.chebyshev_polynomial_t(x, n + 1) - x * u) / at.where(x * x == 1, 1, x * x - 1)
    return at.where(x * x == 1, x * u * (n * (n + 2) / 3), at.where(at.ge(n + x * 0, 1), inside, 0))


def _slope_t(g: Any, input: Any, n: Any) -> Any:
    n = _whole(n)
    return g * (n * _special.chebyshev_polynomial_u(input, n - 1))


def _slope_u(g: Any, input: Any, n: Any) -> Any:
    return g * _u_slope(input, _whole(n))


def _slope_v(g: Any, input: Any, n: Any) -> Any:
    n = _whole(n)
    return g * (_u_slope(input, n) - _u_slope(input, n - 1))


def _slope_w(g: Any, input: Any, n: Any) -> Any:
    n = _whole(n)
    return g * (_u_slope(input, n) + _u_slope(input, n - 1))


def _slope_h(g: Any, input: Any, n: Any) -> Any:
    n = _whole(n)
    return g * (2 * n * _special.hermite_polynomial_h(input, n - 1))


def _slope_he(g: Any, input: Any, n: Any) -> Any:
    n = _whole(n)
    return g * (n * _special.hermite_polynomial_he(input, n - 1))


def _slope_l(g: Any, input: Any, n: Any, out: Any) -> Any:
    n = _whole(n)
    step = (out - _special.laguerre_polynomial_l(input, n - 1)) / at.where(input == 0, 1, input)
    return g * (n * at.where(input == 0, -1, step))


def _slope_p(g: Any, input: Any, n: Any, out: Any) -> Any:
    n = _whole(n)
    square = input * input
    inside = (input * out - _special.legendre_polynomial_p(input, n - 1)) / at.where(square == 1, 1, square - 1)
    return g * (n * at.where(square == 1, input * out * ((n + 1) / 2), inside))


def _shifted(slope: Any) -> Any:
    """The rule for the polynomial of 2 input - 1."""

    def shifted(g: Any, input: Any, n: Any) -> Any:
        return slope(g, 2 * input - 1, n) * 2

    return shifted


def register(rule: RuleBook) -> None:
    """Registers them."""
    rule("zeta", input=_unknown, other=lambda g, input, other: -g * (input * _special.zeta(at.add(input, 1), other)))
    rule("erfcx", input=lambda g, input, out: g * (2 * input * out - 2 / math.sqrt(math.pi)))
    rule("ndtr", input=lambda g, input: g * (at.exp(input * input * -0.5) / math.sqrt(2 * math.pi)))
    rule("ndtri", input=lambda g, out: g * (at.exp(out * out * 0.5) * math.sqrt(2 * math.pi)))
    rule("log_ndtr", input=lambda g, input: g / _special.erfcx(input * -math.sqrt(0.5)) * math.sqrt(2 / math.pi))
    rule("entr", input=lambda g, input: g * (-1 - at.log(input)))
    rule("xlog1py", input=_xlog1py_input, other=lambda g, input, other: g * (input / (other + 1)))
    rule("i0e", input=lambda g, input, out: g * (_special.i1e(input) - at.sign(input) * out))
    rule("i1", input=lambda g, input, out: g * (at.i0(input) - _over(out, input)))
    rule("i1e", input=lambda g, input, out: g * (_special.i0e(input) - _over(out, input) - at.sign(input) * out))
    rule("modified_bessel_k0", input=lambda g, input: -g * _special.modified_bessel_k1(input))
    rule("modified_bessel_k1", input=lambda g, input, out: -g * (_special.modified_bessel_k0(input) + out / input))
    rule(
        "scaled_modified_bessel_k0",
        input=lambda g, input, out: g * (out - _special.scaled_modified_bessel_k1(input)),
    )
    rule(
        "scaled_modified_bessel_k1",
        input=lambda g, input, out: g * (out - out / input - _special.scaled_modified_bessel_k0(input)),
    )
    rule("bessel_j0", input=lambda g, input: -g * _special.bessel_j1(input))
    rule("bessel_j1", input=lambda g, input, out: g * (_special.bessel_j0(input) - _over(out, input)))
    rule("bessel_y0", input=lambda g, input: -g * _special.bessel_y1(input))
    rule("bessel_y1", input=lambda g, input, out: g * (_special.bessel_y0(input) - out / input))
    rule("spherical_bessel_j0", input=_sinc_slope)
    rule.not_implemented("airy_ai", "it needs the derivative of Airy's function, which is no op")
    for kind, slope in (("t", _slope_t), ("u", _slope_u), ("v", _slope_v), ("w", _slope_w)):
        rule(f"chebyshev_polynomial_{kind}", input=slope, n=None)
        rule(f"shifted_chebyshev_polynomial_{kind}", input=_shifted(slope), n=None)
    rule("hermite_polynomial_h", input=_slope_h, n=None)
    rule("hermite_polynomial_he", input=_slope_he, n=None)
    rule("laguerre_polynomial_l", input=_slope_l, n=None)
    rule("legendre_polynomial_p", input=_slope_p, n=None)
