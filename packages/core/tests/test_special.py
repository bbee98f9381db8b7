"""Special functions at chosen points, against values of 50 digits (mpmath), where SciPy itself may be off."""

from __future__ import annotations

import numpy as np
import pytest

import atled.core as at

EXACT: dict[str, list[tuple[tuple[float, ...], float]]] = {
    "lgamma": [
        ((1e-08,), 18.4206807381802089),
        ((0.3,), 1.09579799481807556),
        ((1.46,), -0.121485001004007429),
        ((7.5,), 7.53436423675873296),
        ((1234.5,), 7550.5509010778949),
        ((-2.25,), 0.555501545020647471),
    ],
    "digamma": [
        ((1e-06,), -1000000.57721402001),
        ((0.3,), -3.50252422220013312),
        ((1.4616321449683622,), -9.24126552172942752e-17),
        ((1.9,), 0.356184161164059658),
        ((7.5,), 1.94675748424608679),
        ((100000.0,), 11.5129204649618951),
        ((-2.25,), 4.15858356465797227),
    ],
    "erfc": [
        ((-3.0,), 1.99997790950300141),
        ((0.25,), 0.723673609831763067),
        ((2.5,), 4.0695201744495894e-4),
        ((9.75,), 2.98570083280057832e-43),
        ((20.0,), 5.39586561160790093e-176),
        ((26.25,), 1.191076770672623e-301),
    ],
    "erfinv": [
        ((1e-09,), 8.86226925452758069e-10),
        ((0.3,), 0.272462714726754345),
        ((-0.75,), -0.813419847597618542),
        ((0.999999,), 3.45891073727549878),
        ((0.99999999999999,), 5.47255251741453541),
    ],
    "special.erfcx": [
        ((-25.0,), 5.43351893932747339e271),
        ((-1.5,), 18.6538862562627339),
        ((0.25,), 0.770346547730996744),
        ((3.5,), 0.155293655608894297),
        ((40.0,), 0.0141003359833778136),
        ((1000000000000.0,), 5.64189583547756287e-13),
    ],
    "special.ndtr": [
        ((-37.0,), 5.72557122252457682e-300),
        ((-20.25,), 1.77619986494957003e-91),
        ((-5.0,), 2.86651571879193912e-7),
        ((-0.5,), 0.308537538725986896),
        ((1.5,), 0.933192798731141934),
        ((6.0,), 0.999999999013412355),
    ],
    "special.log_ndtr": [
        ((-100000.0,), -5000000012.431864),
        ((-20.25,), -208.96076728764924),
        ((-0.5,), -1.17591176159361861),
        ((1.5,), -0.069143455612233983),
        ((8.0,), -6.22096057427178606e-16),
    ],
    "special.ndtri": [
        ((1e-17,), -8.49379322410959807),
        ((1e-05,), -4.26489079392282461),
        ((0.025,), -1.95996398454005421),
        ((0.5625,), 0.157310684610170696),
        ((0.999,), 3.09023230616781328),
    ],
    "i0": [
        ((0.25,), 1.01568614122360792),
        ((-3.5,), 7.37820343222547966),
        ((7.75,), 338.513753747275945),
        ((30.0,), 781672297823.97749),
        ((712.0,), 2.46841105776275243e307),
    ],
    "special.i1": [
        ((1e-05,), 5.00000000006250041e-6),
        ((-3.5,), -6.20583492225836547),
        ((9.5,), 1658.4530777821342),
        ((30.0,), 768532038938.956999),
        ((712.0,), 2.46667701352461519e307),
    ],
    "special.modified_bessel_k0": [
        ((1e-06,), 13.9314420736264195),
        ((1.75,), 0.155379812386603586),
        ((2.25,), 0.0840431119746581121),
        ((30.0,), 2.13247749646305637e-14),
        ((600.0,), 1.35582853099485244e-262),
    ],
    "special.modified_bessel_k1": [
        ((1e-06,), 999999.999992784324),
        ((1.75,), 0.195477453474393013),
        ((2.25,), 0.101216302568325256),
        ((30.0,), 2.16773200189154942e-14),
        ((600.0,), 1.35695791811280609e-262),
    ],
    "special.scaled_modified_bessel_k0": [
        ((0.75,), 1.29260299776396168),
        ((10000.0,), 0.0125329847176992853),
    ],
    "special.scaled_modified_bessel_k1": [
        ((0.75,), 2.01026186433392224),
        ((10000.0,), 0.0125336113512705057),
    ],
    "special.bessel_j0": [
        ((0.25,), 0.984435929295852705),
        ((1.5,), 0.511827671735918129),
        ((7.25,), 0.291996924191778998),
        ((1234.5,), -0.0135503796180357219),
        ((10000000.0,), -8.68373486419170175e-5),
    ],
    "special.bessel_j1": [
        ((1e-05,), 4.99999999993750041e-6),
        ((1.5,), 0.557936507910099642),
        ((-8.25,), -0.262203551992743819),
        ((1234.5,), 0.0182175083373924983),
        ((10000000.0,), 2.36899240312057853e-4),
    ],
    "special.bessel_y0": [
        ((1e-05,), -7.40316028370197008),
        ((0.25,), -0.931573024930058687),
        ((8.25,), 0.255149605098644929),
        ((1234.5,), 0.0182229950474125516),
        ((10000000.0,), 2.36899244653924989e-4),
    ],
    "special.bessel_y1": [
        ((1e-05,), -63661.9772753654799),
        ((0.25,), -2.70410522931528244),
        ((7.25,), -0.289347994197587045),
        ((1234.5,), 0.0135577614471803344),
        ((10000000.0,), 8.68373604868793587e-5),
    ],
    "special.airy_ai": [
        ((-1000.0,), 0.0559718957730199188),
        ((-7.25,), 0.323740573211186146),
        ((-1.5,), 0.464256577748869406),
        ((0.5,), 0.23169360648083349),
        ((1.75,), 0.0505698808057948716),
        ((8.0,), 4.69220761609923163e-8),
        ((90.0,), 5.71516340800159671e-249),
    ],
    "special.spherical_bessel_j0": [
        ((0.0001,), 0.999999998333333334),
        ((0.01,), 0.999983333416666468),
        ((2.5,), 0.239388857641582598),
        ((-20.0,), 0.0456472625363813827),
        ((10000000.0,), 4.20547793190782491e-8),
    ],
    "polygamma": [
        ((1, 0.25), 17.1973291545071107),
        ((1, 10000.0), 1.00005000166666666e-4),
        ((3, 7.5), 0.00577243665657869371),
        ((7, 10.04), 9.76184257693243982e-5),
        ((2, -1.75), -124.213821354230582),
    ],
    "special.zeta": [
        ((2.0, 1.0), 1.64493406684822644),
        ((1.001, 0.25), 1004.23297545146633),
        ((8.0, 10.04), 1.93687352716913488e-8),
        ((40.0, 25.5), 7.0035735772213057e-57),
        ((3.0, 100000.0), 5.00005000025e-11),
    ],
    "igamma": [
        ((0.5, 0.25), 0.520499877813046538),
        ((3.5, 2.0), 0.220222591524284079),
        ((50.0, 45.0), 0.246802034400170273),
        ((1000.0, 990.0), 0.379521378537963941),
        ((1000000.0, 1001000.0), 0.841344786368340292),
    ],
    "igammac": [
        ((1e-09, 0.25), 1.04428263450613563e-9),
        ((0.75, 0.01), 0.96573934888644333),
        ((3.5, 9.0), 0.0119700023540295513),
        ((50.0, 60.0), 0.0844066810936918296),
        ((1000.0, 1100.0), 0.00105932325392997735),
        ((1000000.0, 1001000.0), 0.158655213631659708),
    ],
}

#: In units of 2^-52, relative to the value; 4 unless named.
BOUNDS = {
    "special.i1": 6,  # Cephes' series near 8
    "igamma": 16,  # exp(-t), whose relative error is t times that of t
    "igammac": 32,
    "polygamma": 6,
}
# Between their zeros the last digit is that of the amplitude.
AMPLITUDES = {"special.bessel_j0", "special.bessel_j1", "special.bessel_y0", "special.bessel_y1"}


def call(name: str, arguments: tuple[float, ...], dtype: at.dtype) -> float:
    module, _, function = name.rpartition(".")
    tensors = [at.tensor([x], dtype=dtype) for x in arguments]
    if function == "polygamma":
        return float(at.polygamma(int(arguments[0]), tensors[1]).item())
    return float(getattr(at.special if module else at, function)(*tensors).item())


@pytest.mark.parametrize("name", EXACT)
def test_float64(name: str) -> None:
    for arguments, exact in EXACT[name]:
        got = call(name, arguments, at.float64)
        size = max(abs(exact), 0.8 / np.sqrt(max(abs(arguments[0]), 1))) if name in AMPLITUDES else abs(exact)
        error = abs(got - exact) / size / 2**-52
        assert error <= BOUNDS.get(name, 4), f"{name}{arguments}: expected {exact!r}, got {got!r}, {error:.3g} off"


@pytest.mark.parametrize("name", EXACT)
def test_float32_is_float64_rounded(name: str) -> None:
    """Of arguments that float32 holds; with one rounding, which a tie may turn the other way."""
    for arguments, _ in EXACT[name]:
        held = tuple(float(np.float32(x)) for x in arguments)
        wide, got = call(name, held, at.float64), call(name, held, at.float32)
        with np.errstate(over="ignore"):
            nearest = np.float32(wide)
        assert got == nearest or abs(got - wide) <= 0.6 * np.spacing(np.abs(nearest)), f"{name}{held}"


def test_what_never_ends_is_refused() -> None:
    huge = at.tensor([1e18], dtype=at.float64)
    with pytest.raises(at.InvalidValueError, match="legendre_polynomial_p: expected n of at most 1000000"):
        at.special.legendre_polynomial_p(at.tensor([0.5]), huge)
    assert at.special.zeta(at.tensor([2.0]), -huge - 0.5).isinf().item()
    assert at.special.zeta(at.tensor([2.0]), at.tensor([-1e6 - 0.5])).isfinite().item()
    assert at.igamma(huge, huge).item() == pytest.approx(0.5)


def test_polygamma_is_a_method_too() -> None:
    x = at.tensor([1.0, 2.5])
    assert x.polygamma(1).tolist() == at.polygamma(1, x).tolist()
    wanted = at.polygamma(2, x).tolist()
    assert x.polygamma_(2) is x and x.tolist() == wanted


def test_names_of_special_are_those_of_core() -> None:
    for name, core in {"psi": "digamma", "gammaln": "lgamma", "expit": "sigmoid", "gammainc": "igamma"}.items():
        assert getattr(at.special, name) is getattr(at, core)
