"""Samples are the same at each run, lie in their domain, and specifications are found once each."""

import types

import numpy as np
import pytest

from atled.testing import ALL, FLOATS, Draw, ErrorCase, OpSpec, Sample, samples, specs


@pytest.mark.parametrize("dtype", ALL)
def test_draws_repeat_and_stay_in_their_domain(dtype: str) -> None:
    first, second = Draw(dtype, (1, 3), seed="x"), Draw(dtype, (1, 3), seed="x")
    a, b = first(50, 4), second(50, 4)
    assert a.dtype.name == dtype and a.tobytes() == b.tobytes()
    if dtype != "bool":
        parts = [a.real, a.imag] if a.dtype.kind == "c" else [a]
        for part in parts:
            assert part.astype(np.float64).min() >= 1 and part.astype(np.float64).max() <= 3
    assert Draw(dtype, (1, 3), seed="y")(50, 4).tobytes() != a.tobytes()


@pytest.mark.parametrize("dtype", FLOATS)
def test_distinct_values_are_distinct(dtype: str) -> None:
    assert len(np.unique(Draw(dtype).distinct(7, 9).astype(np.float64))) == 63


def test_smooth_samples_are_few_small_and_finite() -> None:
    drawn = list(samples.binary(Draw("float64", smooth=True)))
    arrays = [a for sample in drawn for a in sample.args if isinstance(a, np.ndarray)]
    assert all(a.size <= 24 and np.isfinite(a).all() for a in arrays)
    assert len(drawn) < len(list(samples.binary(Draw("float64"))))


def test_samples_say_what_they_are() -> None:
    sample = Sample(np.ones((2, 3), np.float32), [np.ones(1, bool)], dim=0)
    assert repr(sample) == "(float32[2, 3], [bool[1]], dim=0)"
    assert repr(ErrorCase(ValueError, "x", 1)) == "(1)"


def test_specifications_of_core_are_found_by_name() -> None:
    found = specs.find("core")
    assert {"add", "reshape", "sort"} <= found.keys()
    assert all(spec.ns == "core" for spec in found.values())


def test_an_unknown_namespace_has_none() -> None:
    assert specs.find("no_such_namespace") == {}


def test_two_specifications_of_one_op_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("doubled")
    spec = OpSpec(name="doubled::f", reference=np.negative, samples=samples.unary)
    module.SPECS = [spec, spec]  # type: ignore[attr-defined]
    monkeypatch.setattr(specs.importlib, "import_module", lambda name: module)
    with pytest.raises(ValueError, match="expected one specification of doubled::f"):
        specs.find.__wrapped__("doubled")
