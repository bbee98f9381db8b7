"""The printed form of tensors, word for word, and against NumPy's."""

import re

import numpy as np
import pytest

import atled.core as at


@pytest.fixture(autouse=True)
def default_options() -> None:
    at.set_printoptions(profile="default")


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1.0, 2.0], "float32", "tensor([1., 2.])"),
        ([0.1, 0.25, 1 / 3], "float32", "tensor([0.1000, 0.2500, 0.3333])"),
        (3.5, "float32", "tensor(3.5000)"),
        ([1, -20, 300], "int64", "tensor([  1, -20, 300])"),
        ([1, 2], "int32", "tensor([1, 2], dtype=int32)"),
        ([True, False], "bool", "tensor([ True, False])"),
        ([1.5, -2.0], "float64", "tensor([ 1.5000, -2.0000], dtype=float64)"),
        ([1.5, 2.0], "bfloat16", "tensor([1.5000, 2.0000], dtype=bfloat16)"),
        ([1.5, 2.0], "float16", "tensor([1.5000, 2.0000], dtype=float16)"),
        ([float("nan"), float("inf"), 1.0], "float32", "tensor([nan, inf,  1.])"),
        ([1e-8, 1.0], "float32", "tensor([1.0000e-08, 1.0000e+00])"),
        ([1e10, 1.0], "float32", "tensor([1.e+10, 1.e+00])"),
        ([1 + 2j, -0.5j], "complex64", "tensor([ 1.0000+2.0000j, -0.0000-0.5000j])"),
        ([], "float32", "tensor([])"),
        ([], "int64", "tensor([], dtype=int64)"),
        ([[], []], "float32", "tensor([], size=(2, 0))"),
        (7, "uint8", "tensor(7, dtype=uint8)"),
    ],
)
def test_exact(values: object, dtype: str, expected: str) -> None:
    tensor = at.tensor(values, dtype=getattr(at, dtype))
    assert repr(tensor) == expected
    assert str(tensor) == expected


def test_rows_are_aligned() -> None:
    assert repr(at.tensor([[1.0, -2.5], [100.0, 0.25]])) == (
        "tensor([[  1.0000,  -2.5000],\n        [100.0000,   0.2500]])"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "complex64", "bfloat16"])
@pytest.mark.parametrize("shape", [(2000,), (100, 7), (7, 1000), (3, 40, 50), (1001, 1, 2)])
def test_large_tensors_are_cut_as_numpy_cuts_them(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape)).reshape(shape) % 97
    tensor = at.tensor(values).to(getattr(at, dtype))
    array = values.astype("float32" if dtype == "bfloat16" else dtype)
    expected = np.array2string(
        array, separator=", ", prefix="tensor(", precision=4, floatmode="maxprec_equal", max_line_width=80
    )
    assert re.sub(r"(, |,\n +)dtype=\w+", "", repr(tensor)) == f"tensor({expected})"


def test_notes_go_to_a_line_of_their_own_where_they_do_not_fit() -> None:
    with at.printoptions(linewidth=40):
        text = repr(at.arange(10, dtype=at.int16))
    assert text == "tensor([0, 1, 2, 3, 4, 5, 6, 7, 8, 9],\n       dtype=int16)"


def test_views_print_what_they_show() -> None:
    base = at.arange(12).reshape(3, 4)
    assert repr(base.T[::2, 1:]) == "tensor([[ 4,  8],\n        [ 6, 10]])"
    assert repr(at.ones(1).expand(3)) == "tensor([1., 1., 1.])"


def test_options() -> None:
    x = at.tensor([0.123456, 1000.5])
    with at.printoptions(precision=2):
        assert repr(x) == "tensor([1.23e-01, 1.00e+03])"
        with at.printoptions(sci_mode=False):
            assert repr(x) == "tensor([   0.12, 1000.50])"
    with at.printoptions(sci_mode=True, precision=1):
        assert repr(x) == "tensor([1.2e-01, 1.0e+03])"
    with at.printoptions(threshold=3, edgeitems=1):
        assert repr(at.arange(5)) == "tensor([0, ..., 4])"
    with at.printoptions(linewidth=20):
        assert repr(at.arange(6)) == "tensor([0, 1, 2, 3,\n        4, 5])"
    assert repr(x) == "tensor([1.2346e-01, 1.0005e+03])"


def test_set_printoptions_lasts_and_profiles_reset() -> None:
    at.set_printoptions(precision=1)
    assert repr(at.tensor(0.25)) == "tensor(0.2)"
    at.set_printoptions(profile="full")
    assert "..." not in repr(at.arange(3000))
    at.set_printoptions(profile="short")
    assert repr(at.tensor(1 / 3)) == "tensor(0.33)"


@pytest.mark.parametrize("options", [{"profile": "tall"}, {"precision": -1}, {"linewidth": -3}])
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(at.InvalidValueError, match="set_printoptions: expected"):
        at.set_printoptions(**options)  # type: ignore[arg-type]


def test_printing_changes_nothing() -> None:
    x = at.ones(3, 4)
    version = x._version
    repr(x)
    assert x._version == version


def test_format() -> None:
    assert f"{at.tensor(3.14159):.2f}" == "3.14"
    assert f"{at.tensor([1.0])}" == "tensor([1.])"
    assert f"{at.tensor(2.5)} {at.tensor(True)} {at.tensor(7):03d} {at.tensor(1j)}" == "2.5 True 007 1j"
    assert f"{at.ones(2):>12}" == "tensor([1., 1.])"
    with pytest.raises(at.ArgumentError, match=r"format: expected a single number for '.2f', got .* shape \(1,\)"):
        f"{at.ones(1):.2f}"
    assert f"{at.empty((), device='meta')}" == repr(at.empty((), device="meta"))


def test_meta_tensors_have_no_values() -> None:
    x = at.empty(2, 3, device="meta")
    assert repr(x) == "tensor(..., size=(2, 3), device='meta')"


def test_notebooks_get_a_table() -> None:
    html = at.arange(3000.0).reshape(2, 1500)._repr_html_()
    for part in ("<b>shape</b> 2 × 1500", "<b>dtype</b> float32", "<b>device</b> cpu", "<b>bytes</b> 12,000", "..."):
        assert part in html
    assert len(html) < 1000
    assert "<b>shape</b> ()" in at.tensor(1)._repr_html_() and "<pre" in at.empty(0)._repr_html_()
    assert "..." in at.empty(2, device="meta")._repr_html_()


def test_notebooks_get_escaped_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from atled.core import _html

    monkeypatch.setattr(_html, "values_text", lambda tensor: "<script>")
    assert "&lt;script&gt;" in at.ones(1)._repr_html_() and "<script>" not in at.ones(1)._repr_html_()
