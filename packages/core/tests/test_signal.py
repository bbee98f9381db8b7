"""The windows of at.signal.windows against SciPy's."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.signal import windows

import atled.core as at

CASES: list[tuple[str, dict[str, Any]]] = [
    ("bartlett", {}),
    ("blackman", {}),
    ("cosine", {}),
    ("exponential", {}),
    ("exponential", {"tau": 3.5}),
    ("gaussian", {"std": 1.0}),
    ("gaussian", {"std": 7.0}),
    ("general_cosine", {"a": [0.7]}),
    ("general_cosine", {"a": [0.5, 0.25, 0.15, 0.07, 0.03]}),
    ("general_hamming", {"alpha": 0.75}),
    ("hamming", {}),
    ("hann", {}),
    ("kaiser", {"beta": 12.0}),
    ("kaiser", {"beta": 0.0}),
    ("nuttall", {}),
]


@pytest.mark.parametrize("sym", [True, False])
@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_like_scipy(name: str, parameters: dict[str, Any], sym: bool) -> None:
    for m in (0, 1, 2, 5, 64):
        ours = getattr(at.signal.windows, name)(m, **parameters, sym=sym, dtype=at.float64)
        theirs = getattr(windows, name)(m, **parameters, sym=sym)
        assert ours.dtype is at.float64
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-13, atol=4e-16, err_msg=str(m))
    rounded = getattr(at.signal.windows, name)(64, **parameters, sym=sym)
    assert rounded.dtype is at.float32
    theirs = getattr(windows, name)(64, **parameters, sym=sym)
    np.testing.assert_allclose(rounded.numpy(), theirs, rtol=6e-8, atol=4e-16)


def test_a_center() -> None:
    ours = at.signal.windows.exponential(9, center=1.5, tau=2.0, sym=False, dtype=at.float64)
    np.testing.assert_allclose(ours.numpy(), windows.exponential(9, 1.5, 2.0, sym=False), rtol=1e-14)
    with pytest.raises(at.InvalidValueError, match="no center of a symmetric window, got 1.5; use sym=False"):
        at.signal.windows.exponential(9, center=1.5)


def test_what_they_refuse() -> None:
    for name in at.signal.windows.__all__:
        window = getattr(at.signal.windows, name)
        given = {"a": [1.0]} if name == "general_cosine" else {}
        with pytest.raises(at.InvalidValueError, match=f"^{name}: expected M >= 0, got -1"):
            window(-1, **given)
        with pytest.raises(at.DTypeError, match="expected a floating-point dtype, got int64"):
            window(4, **given, dtype=at.int64)
        with pytest.raises(at.ArgumentError, match="layout to be"):
            window(4, **given, layout="rows")
        with pytest.raises(at.ArgumentError):
            window("4", **given)
    with pytest.raises(at.InvalidValueError, match="std > 0, got 0"):
        at.signal.windows.gaussian(4, std=0)
    with pytest.raises(at.InvalidValueError, match="tau > 0, got nan"):
        at.signal.windows.exponential(4, tau=at.nan)
    with pytest.raises(at.InvalidValueError, match="at least one weight"):
        at.signal.windows.general_cosine(4, a=[])


def test_where_they_are_made() -> None:
    for name, given in CASES:
        made = getattr(at.signal.windows, name)(4, **given, device="meta", dtype=at.float16, layout=at.strided)
        assert made.device.type == "meta" and made.dtype is at.float16 and made.shape == (4,)


def test_it_is_loaded_when_asked_for() -> None:
    program = "import sys, atled.core as at; assert 'atled.core.signal' not in sys.modules; at.signal.windows.hann(8)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_fraction_of_points_is_refused() -> None:
    for window in (at.signal.windows.gaussian, at.signal.windows.hann):
        with pytest.raises(at.ArgumentError, match="expected M to be int, got 5.5"):
            window(5.5)
