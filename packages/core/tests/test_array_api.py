"""The Python array API standard 2025.12, section by section, beside array-api-strict, whose code is not ours.

Where the two may differ, the expected values are those of the standard's own text.
"""

import inspect
import itertools
import operator
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at

strict = pytest.importorskip("array_api_strict")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    strict.set_array_api_strict_flags(api_version="2025.12")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")

xp: Any = at.ones(1).__array_namespace__()

BOOL = ("bool",)
SIGNED = ("int8", "int16", "int32", "int64")
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
INTEGERS = SIGNED + UNSIGNED
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
DTYPES = BOOL + INTEGERS + FLOATS + COMPLEX

# Where PyTorch and the standard give one name two meanings, atled.core has PyTorch's (see docs/array-api.md).
PYTORCHS = {
    *("equal", "nonzero", "sort", "argsort", "std", "var", "sum", "prod", "squeeze", "meshgrid", "can_cast", "clip"),
    *("max", "min"),
}
# Where an argument that may be given by position has another name there; full_like for its wide integers, as full.
RENAMED = {"arange", "broadcast_to", "empty", "expand_dims", "full", "full_like", "linspace", "ones", "permute_dims"}
RENAMED |= {"roll", "zeros"}


def functions() -> list[str]:
    """The standard's functions."""
    names = (n for n in dir(strict) if not n.startswith("_") and "flags" not in n)
    return [n for n in names if callable(getattr(strict, n)) and not isinstance(getattr(strict, n), type)]


def to(namespace: Any, value: Any) -> Any:
    """An argument as the namespace has it: NumPy arrays are its arrays, NumPy dtypes its dtypes."""
    if isinstance(value, np.dtype):
        return getattr(namespace, value.name)
    if isinstance(value, np.ndarray):
        return namespace.asarray(value.copy())
    if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
        return [to(namespace, item) for item in value]
    return value


def to_numpy(result: Any) -> Any:
    if isinstance(result, at.Tensor):
        return result.numpy()
    return np.asarray(result._array) if hasattr(result, "_array") else result


def outputs(result: Any) -> list[Any]:
    return list(result) if isinstance(result, (tuple, list)) else [result]


def same(expected: Any, got: Any, where: object, ulps: float = 4, signs: bool = True) -> None:
    """Asserts equal dtype, shape and values; signs of zeros count, but where the standard leaves them open."""
    if not isinstance(expected, np.ndarray):
        return
    assert isinstance(got, np.ndarray), f"{where}: got {type(got).__name__}"
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape), where
    if expected.dtype.kind not in "fc":
        np.testing.assert_array_equal(got, expected, str(where))
        return
    with np.errstate(all="ignore"):
        size = np.maximum(np.abs(expected), np.finfo(expected.dtype).tiny)
        parts = (
            ((expected.real, got.real), (expected.imag, got.imag)) if expected.dtype.kind == "c" else ((expected, got),)
        )
        for e, g in parts:
            unit = len(parts) * np.spacing(np.where(np.isfinite(size), size, np.abs(e))).astype(np.float64)
            agree = (np.isnan(e) & np.isnan(g)) | (e == g) | (np.abs(e.astype(np.float64) - g) <= ulps * unit)
            if signs:
                agree &= np.isnan(e) | (np.signbit(e) == np.signbit(g))
            assert agree.all(), f"{where}: expected {expected[~agree]}, got {got[~agree]}"


def call(namespace: Any, name: str, args: Any, kwargs: Any) -> list[Any]:
    function = getattr(namespace, name)
    result = function(*[to(namespace, a) for a in args], **{k: to(namespace, v) for k, v in kwargs.items()})
    return [to_numpy(r) for r in outputs(result)]


def compare(name: str, *args: Any, **kwargs: Any) -> None:
    expected, got = call(strict, name, args, kwargs), call(xp, name, args, kwargs)
    assert len(expected) == len(got), name
    for e, g in zip(expected, got, strict=True):
        same(e, g, (name, args, kwargs))


# ---- signatures: every function, with every argument by the standard's name ----

F = np.array([[3.0, 1.0, 2.0], [1.5, -1.0, 0.5]], dtype=np.float32)
I = np.array([[3, 1, 2], [1, 0, 2]], dtype=np.int64)  # noqa: E741
V = np.array([3.0, 1.0, 2.0, 1.0], dtype=np.float32)
SMALL = np.array([0.5, 0.25], dtype=np.float32)
B = np.array([True, False, True])
Z = np.array([1 + 2j, -3j], dtype=np.complex64)
F32, F64, I8, I16, I32, I64, U8 = map(np.dtype, ("f4", "f8", "i1", "i2", "i4", "i8", "u1"))

Call = tuple[tuple[Any, ...], dict[str, Any]]


def each(names: str, *args: Any, **kwargs: Any) -> dict[str, Call]:
    return dict.fromkeys(names.split(), (args, kwargs))


CALLS: dict[str, Call] = {
    **each("abs ceil cos cosh exp expm1 floor isfinite isinf isnan negative positive reciprocal round sign", F),
    **each("signbit sin sinh square tan tanh trunc atan asinh", F),
    **each("acos asin atanh log log10 log1p log2 sqrt", SMALL),
    **each("acosh", V),
    **each("add atan2 copysign divide equal floor_divide greater greater_equal hypot less less_equal logaddexp", F, F),
    **each("maximum minimum multiply nextafter not_equal pow remainder subtract", F, F),
    **each("bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift", I, I),
    **each("bitwise_invert", I),
    **each("logical_and logical_or logical_xor", B, B),
    **each("logical_not", B),
    **each("conj real imag", Z),
    **each("clip", F, min=0.0, max=1.5),
    **each("arange", 1, stop=7, step=2, dtype=F32, device=None),
    **each("asarray", [1, 2], dtype=F32, device=None, copy=True),
    **each("empty", shape=(2, 3), dtype=F32, device=None),
    **each("empty_like", F, dtype=F64, device=None),
    **each("zeros ones", shape=2, dtype=I8, device=None),
    **each("zeros_like ones_like", F, dtype=I8, device=None),
    **each("full", shape=(2,), fill_value=3, dtype=I8, device=None),
    **each("full_like", F, fill_value=3, dtype=I8, device=None),
    **each("eye", 2, 3, k=1, dtype=I64, device=None),
    **each("linspace", 0.0, 1.0, num=5, dtype=F64, device=None, endpoint=False),
    **each("meshgrid", V, V[:2], indexing="ij"),
    **each("tril triu", F, k=1),
    **each("from_dlpack", F, device=None, copy=True),
    **each("astype", F, I32, copy=True, device=None),
    **each("broadcast_arrays", V[:3], F),
    **each("broadcast_shapes", (2, 1), (3,)),
    **each("broadcast_to", V[:3], shape=(2, 3)),
    **each("can_cast", I8, I16),
    **each("result_type", I8, U8),
    **each("isdtype", dtype=I8, kind="integral"),
    **each("finfo", F32),
    **each("iinfo", I8),
    **each("matmul", F, F.T),
    **each("matrix_transpose", F),
    **each("vecdot", F, F, axis=-2),
    **each("tensordot", F, F.T, axes=1),
    **each("concat stack", [F, F], axis=1),
    **each("expand_dims", F, axis=1),
    **each("flip", F, axis=(0, 1)),
    **each("moveaxis", F, 0, 1),
    **each("permute_dims", F, axes=(1, 0)),
    **each("repeat", F, 2, axis=0),
    **each("reshape", F, shape=(3, 2), copy=True),
    **each("roll", F, shift=(1, 1), axis=(0, 1)),
    **each("squeeze", F[:1], axis=0),
    **each("tile", F, (2, 1)),
    **each("unstack", F, axis=1),
    **each("argmax argmin", F, axis=1, keepdims=True),
    **each("count_nonzero", I, axis=1, keepdims=True),
    **each("nonzero", I),
    **each("searchsorted", V, F, side="right", sorter=np.array([1, 3, 2, 0])),
    **each("where", F > 1, F, -F),
    **each("unique_all unique_counts unique_inverse unique_values", V),
    **each("isin", I, I[0], invert=True),
    **each("argsort", V, axis=0, descending=True, stable=True),
    **each("sort", F, axis=0, descending=True, stable=False),
    **each("cumulative_sum cumulative_prod", F, axis=1, dtype=F64, include_initial=True),
    **each("max min mean", F, axis=(0, 1), keepdims=True),
    **each("sum prod", F, axis=1, dtype=F64, keepdims=True),
    **each("std var", F, axis=1, correction=1.0, keepdims=True),
    **each("all any", F, axis=1, keepdims=True),
    **each("diff", F, axis=0, n=1, prepend=F[:1], append=F[:1]),
    **each("take", F, np.array([1, 0]), axis=1),
    **each("take_along_axis", F, np.array([[1], [0]]), axis=1),
}


@pytest.mark.parametrize("name", functions())
def test_every_function_takes_the_standards_arguments(name: str) -> None:
    args, kwargs = CALLS[name]
    parameters = list(inspect.signature(getattr(strict, name)).parameters.values())
    named = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    assert set(kwargs) == named, "the table leaves arguments out"
    if name.startswith("empty"):
        (got,) = call(xp, name, args, kwargs)
        assert got.shape == (2, 3)
        return
    if name == "isin":  # array-api-strict 2.6 forgets to invert
        assert xp.isin(to(xp, I), to(xp, I[0]), invert=True).tolist() == [[False] * 3, [False, True, False]]
        kwargs = {"invert": False}
    if name == "from_dlpack":  # array-api-strict's device is another
        kwargs = {"copy": True}
    if name == "astype":
        kwargs = {"copy": True}
        assert xp.astype(to(xp, F), at.int32, copy=True, device=at.device("cpu")).dtype == at.int32
    compare(name, *args, **kwargs)
    # What has a name may also stand in its place.
    loose = [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
    rest = {k: v for k, v in kwargs.items() if k not in loose}
    compare(name, *args, *(kwargs[k] for k in loose), **rest)


def test_the_main_namespace_has_all_names() -> None:
    constants = ("e", "inf", "nan", "newaxis", "pi")
    for name in (*functions(), *constants, *DTYPES, "__array_namespace_info__", "__array_api_version__"):
        assert hasattr(at, name), name
        if name not in PYTORCHS | RENAMED:
            assert getattr(at, name) is getattr(xp, name), name
        else:
            assert getattr(at, name) is not getattr(xp, name), f"{name} need not be listed"
    assert (at.e, at.pi, at.inf, at.newaxis) == (np.e, np.pi, np.inf, None) and at.nan != at.nan
    assert at.__array_api_version__ == "2025.12"


def test_array_namespace() -> None:
    x = at.ones(1)
    for version in (None, "2021.12", "2022.12", "2023.12", "2024.12", "2025.12"):
        assert x.__array_namespace__(api_version=version) is xp
    with pytest.raises(ValueError, match="expected a version of the standard, got '2019.01'"):
        x.__array_namespace__(api_version="2019.01")


# ---- data types and promotion ----


def test_promotion_of_dtypes() -> None:
    for a, b in itertools.product(DTYPES, DTYPES):
        try:
            expected = strict.result_type(getattr(strict, a), getattr(strict, b))
        except TypeError:
            continue  # mixed kinds: ours, as PyTorch's, promotes more
        assert at.result_type(getattr(at, a), getattr(at, b)).name == str(expected).rpartition(".")[2], (a, b)
        assert xp.can_cast(getattr(at, a), getattr(at, b)) == strict.can_cast(getattr(strict, a), getattr(strict, b))


def test_no_result_for_uint64_with_signed() -> None:
    with pytest.raises(TypeError):
        at.result_type(at.uint64, at.int64)
    assert not xp.can_cast(at.uint64, at.int64) and not xp.can_cast(at.float64, at.float32)


@pytest.mark.parametrize("name", FLOATS + COMPLEX)
def test_finfo(name: str) -> None:
    ours, theirs = xp.finfo(getattr(at, name)), strict.finfo(getattr(strict, name))
    for field in ("bits", "eps", "max", "min", "smallest_normal"):
        assert getattr(ours, field) == getattr(theirs, field) and type(getattr(ours, field)) in (int, float), field
    assert ours.dtype.name == str(theirs.dtype).rpartition(".")[2]


@pytest.mark.parametrize("dtype", DTYPES)
def test_isdtype(dtype: str) -> None:
    kinds = ("bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric")
    for kind in (*kinds, ("integral", "bool"), ("real floating", "complex floating")):
        assert xp.isdtype(getattr(at, dtype), kind) == strict.isdtype(getattr(strict, dtype), kind)


def test_astype() -> None:
    x = at.asarray([1.0, 0.0])
    assert xp.astype(x, at.float32, copy=False) is x and xp.astype(x, at.float32) is not x
    assert xp.astype(at.asarray([2.7, -2.7, at.nan]), at.bool).tolist() == [True, True, True]
    assert xp.astype(at.asarray([2.7, -2.7]), at.int8).tolist() == [2, -2]
    assert xp.astype(at.asarray([True, False]), at.complex64).tolist() == [1, 0]
    with pytest.raises(TypeError, match="take the real part first"):
        xp.astype(at.asarray([1j]), at.float32)


# ---- element-wise functions: all dtypes, special values ----

UNARY = [n for n, (args, kwargs) in CALLS.items() if len(args) == 1 and not kwargs]
UNARY = [n for n in UNARY if isinstance(CALLS[n][0][0], np.ndarray)]
UNARY = [n for n in UNARY if not n.startswith("unique") and n not in ("nonzero", "matrix_transpose")]
BINARY = [
    n for n, (args, kwargs) in CALLS.items() if len(args) == 2 and not kwargs and args[0] is args[1] and hasattr(at, n)
]
SPECIALS = (0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, -1.5, 2.5, 3.0, -3.0, np.inf, -np.inf, np.nan, np.pi / 4, 1e-40, 1e30)
PARTS = (0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, -3.5)
# Of which the standard leaves open what complex values at infinity and zero give, and signs of zeros.
UNSPECIFIED = {"reciprocal", "sign", "divide", "pow", "multiply"}
# Of which the standard says what NumPy does not do; test_array_api_special_values.py has them.
UNLIKE_NUMPY = {"expm1"}


def values(dtype: str, name: str) -> Any:
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([True, False])
    if kind in "iu":
        limits = np.iinfo(dtype)
        numbers = [0, 1, 2, 3, 7, limits.max, limits.max - 1, limits.min, limits.min + 1]
        return np.array(numbers + ([-1, -2, -7] if kind == "i" else []), dtype=dtype)
    if kind == "f":
        return np.array(SPECIALS, dtype=dtype)
    finite = name in UNSPECIFIED | UNLIKE_NUMPY
    parts = [p for p in PARTS if not finite or (np.isfinite(p) and p != 0)]
    return np.array([complex(a, b) for a in parts for b in parts], dtype=dtype)


def compare_where_defined(name: str, *args: Any) -> bool:
    """False where array-api-strict refuses the dtypes."""
    try:
        expected = call(strict, name, args, {})
    except (TypeError, ValueError):
        return False
    got = call(xp, name, args, {})
    same(expected[0], got[0], (name, args[0].dtype), signs=name not in UNSPECIFIED or args[0].dtype.kind == "f")
    return True


@pytest.mark.parametrize("name", UNARY)
def test_unary_functions(name: str) -> None:
    tried = [compare_where_defined(name, values(dtype, name)) for dtype in DTYPES]
    assert any(tried)


@pytest.mark.parametrize("name", BINARY)
def test_binary_functions(name: str) -> None:
    tried = []
    for dtype in DTYPES:
        x = values(dtype, name)
        y = x
        if "shift" in name and dtype in INTEGERS:
            y = y[(y >= 0) & (y < 8 * x.itemsize)]
        if name in ("floor_divide", "remainder") and dtype in INTEGERS:
            y = y[y != 0]
        if name == "pow" and dtype in SIGNED:
            y = y[y >= 0]
        x = x[::5] if dtype in COMPLEX and len(x) > 40 else x
        tried.append(compare_where_defined(name, x[:, None], y[None, :40]))
    assert any(tried)


def test_functions_of_arrays_and_numbers() -> None:
    x = at.asarray([1, 5], dtype=at.uint8)
    assert xp.add(x, 2).dtype == at.uint8 and xp.add(2, x).tolist() == [3, 7]
    assert xp.where(at.asarray([True, False]), x, 3).dtype == at.uint8
    assert xp.maximum(at.asarray([1.0], dtype=at.float64), 2).dtype == at.float64
    assert xp.atan2(at.asarray([1.0]), 2).dtype == at.float32


def test_clip() -> None:
    x = at.asarray([1.0, 5.0, at.nan])
    low = at.asarray([2.0, 2.0, 2.0], dtype=at.float64)
    assert xp.clip(x, low).dtype == at.float32 and xp.clip(x, low, 4).tolist()[:2] == [2, 4]
    assert xp.clip(x, max=2).tolist()[:2] == [1, 2] and np.isnan(xp.clip(x, 0, 1).tolist()[2])
    assert xp.clip(x).tolist()[:2] == [1, 5] and xp.clip(x).data_ptr() != x.data_ptr()
    assert xp.clip(x, min=None, max=at.asarray(2.0)).tolist()[:2] == [1, 2]
    assert xp.clip(at.ones(2, 1), at.zeros(3), None).shape == (2, 3)


# ---- operators ----

COMPARISONS = ["lt", "le", "gt", "ge", "eq", "ne"]
INPLACE = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift"]
OPERATORS = INPLACE + COMPARISONS


def outcome(f: Callable[[Any], Any], namespace: Any) -> Any:
    try:
        return to_numpy(f(namespace))
    except (TypeError, OverflowError, ValueError):
        return None


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    function = getattr(operator, name)
    for a, b in itertools.product(DTYPES, DTYPES):
        x, y = np.array([1, 0, 3], dtype=a), np.array([1, 2, 3], dtype=b)
        expected = outcome(lambda ns, x=x, y=y: function(ns.asarray(x), ns.asarray(y)), strict)
        if expected is not None:
            got = to_numpy(function(at.asarray(x), at.asarray(y)))
            same(expected, got, (name, a, b), signs=expected.dtype.kind != "c")
    for a, number in itertools.product(DTYPES, (True, 2, -1, 2.5, 1j)):
        if number == 1j and name in COMPARISONS[:4]:
            continue  # complex numbers have no order, which array-api-strict lets pass
        x = np.array([1, 2, 3], dtype=a)
        for turned in (False, True):

            def run(ns: Any, x: Any = x, number: Any = number, turned: bool = turned) -> Any:
                return function(number, ns.asarray(x)) if turned else function(ns.asarray(x), number)

            expected = outcome(run, strict)
            if expected is not None:
                where = (name, a, number, turned)
                same(expected, to_numpy(run(xp)), where, signs=expected.dtype.kind != "c")


@pytest.mark.parametrize("name", INPLACE)
def test_operators_in_place(name: str) -> None:
    function = getattr(operator, "i" + name.rstrip("_"))
    for a, b in itertools.product(DTYPES, DTYPES):
        x, y = np.array([1, 0, 3], dtype=a), np.array([1, 2, 3], dtype=b)
        expected = outcome(lambda ns, x=x, y=y: function(ns.asarray(x.copy()), ns.asarray(y)), strict)
        target = at.asarray(x.copy())
        if expected is not None:
            assert function(target, at.asarray(y)) is target
            same(expected, to_numpy(target), (name, a, b), signs=expected.dtype.kind != "c")
        else:
            # More than the standard asks, but never another dtype.
            got = outcome(lambda ns, t=target, y=y: function(t, ns.asarray(y)), xp)
            assert got is None or got.dtype == x.dtype, (name, a, b)


def test_operators_in_place_do_not_change_the_dtype() -> None:
    for target, other in ((at.int8, 1.5), (at.float32, 1j), (at.bool, 2)):
        x = at.ones(2, dtype=target)
        with pytest.raises(TypeError):
            x += other
        assert x.dtype == target
    x = at.asarray([1, 2])
    with pytest.raises(TypeError):
        x /= 2
    with pytest.raises(ValueError, match="shape"):
        x += at.ones(3, 2, dtype=at.int64)


def test_products_in_place() -> None:
    x = at.asarray([[1.0, 2.0], [3.0, 4.0]])
    y, known = x.clone(), x
    x @= y
    assert x is known and x.tolist() == [[7, 10], [15, 22]]
    with pytest.raises(ValueError, match=r"matmul_: expected a product of input's shape \(2, 2\), got \(2,\)"):
        x @= at.ones(2)


def test_arrays_have_the_standards_attributes() -> None:
    names = [n for n in dir(type(strict.ones(1))) if n[:2] != "__" or n not in dir(object)]
    own = ("__slots__", "__weakref__", "__module__", "__dict__", "__buffer__", "__annotations__")
    own += ("__firstlineno__", "__static_attributes__")  # of classes since Python 3.13
    assert [n for n in names if n[:1] != "_" or n[:2] == "__" if n not in own and not hasattr(at.Tensor, n)] == []


def test_comparisons_with_numbers_outside_of_the_dtype() -> None:
    x = at.asarray([1, 255], dtype=at.uint8)
    for number in (300, -1, 2**40, -(2**40)):
        wide = x.to(at.int64)
        for compare_ in (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge):
            assert compare_(x, number).tolist() == compare_(wide, number).tolist(), number
            assert compare_(number, x).tolist() == compare_(number, wide).tolist(), number
    y = at.asarray([1, 2**64 - 1], dtype=at.uint64)
    assert (y > -1).tolist() == [True, True] and (y == 2**64 - 1).tolist() == [False, True]
    assert (y >= 2**63).tolist() == [False, True] and (y - (2**64 - 2)).tolist() == [3, 1]
    assert (at.ones(1) * 2**70).item() == 2**70 and (at.ones(1) > 2**70).tolist() == [False]
    for number in (2**70, -(2**70)):
        with pytest.raises(ValueError, match="eq: expected an integer that fits 64 bits"):
            x == number  # noqa: B015
    with pytest.raises(OverflowError):
        at.ones(1) * 10**400


def test_signs_of_zeros() -> None:
    zero = at.asarray([-0.0])
    for result, negative in (
        (zero + 0.0, False),
        (zero - 0.0, True),
        (zero * 1.0, True),
        (zero / 1.0, True),
        (-zero, False),
        (+zero, True),
        (abs(zero), False),
        (zero // 1.0, True),
        (zero % 1.0, False),
        (zero**3.0, True),
        (zero**2.0, False),
        (xp.tanh(zero), True),
        (xp.round(at.asarray([-0.3])), True),
        (xp.ceil(at.asarray([-0.3])), True),
        (xp.trunc(at.asarray([-0.3])), True),
        (xp.remainder(at.asarray([2.0]), at.asarray([-1.0])), True),
    ):
        assert np.signbit(result.numpy())[0] == negative, result


def test_python_numbers_of_arrays() -> None:
    for value in (3, 2.5, True, 1 + 2j):
        x = at.asarray(value)
        assert complex(x) == complex(value)
        if not isinstance(value, complex):
            assert (int(x), float(x), bool(x)) == (int(value), float(value), bool(value))
    assert operator.index(at.asarray(3)) == 3 and [10, 20][at.asarray(1)] == 20
    for value in (2.5, 1j):
        with pytest.raises(TypeError):
            operator.index(at.asarray(value))
    with pytest.raises(TypeError):
        float(at.asarray(1j))
    with pytest.raises(ValueError, match="one element"):
        bool(at.ones(2))


# ---- creation ----


def test_asarray_copies_as_asked() -> None:
    x = at.asarray([1, 2])
    assert xp.asarray(x) is x and xp.asarray(x, copy=False) is x
    assert xp.asarray(x, copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(ValueError, match="copy=False forbids"):
        xp.asarray(x, dtype=at.float64, copy=False)
    with pytest.raises(ValueError, match="copy=False forbids"):
        xp.asarray([1, 2], copy=False)
    n = np.ones(3)
    assert xp.asarray(n).data_ptr() == n.ctypes.data != xp.asarray(n, copy=True).data_ptr()
    assert xp.asarray([True, 1]).dtype == at.int64 and xp.asarray([1, 2.0]).dtype == at.float32
    assert xp.asarray([1, 2j]).dtype == at.complex64 and xp.asarray(True).dtype == at.bool
    assert xp.asarray([x, x]).shape == (2, 2) and xp.asarray(memoryview(b"ab")).tolist() == [97, 98]


def test_default_dtypes_of_creation() -> None:
    assert xp.arange(3).dtype == at.int64 and xp.arange(3.0).dtype == at.float32
    assert xp.full((2,), 1).dtype == at.int64 and xp.full((2,), 1.0).dtype == at.float32
    assert xp.full((2,), True).dtype == at.bool and xp.full((2,), 1j).dtype == at.complex64
    assert {xp.zeros(2).dtype, xp.ones(2).dtype, xp.empty(2).dtype, xp.eye(2).dtype} == {at.float32}
    assert xp.linspace(0, 1, 5).dtype == at.float32 and xp.linspace(0, 1j, 5).dtype == at.complex64


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((5,), {}), ((2, 10, 3), {}), ((10, 2, -3), {}), ((0, 1, 0.1), {}), ((5, 2), {}), ((3,), {"step": 2})],
)
def test_arange(args: Any, kwargs: Any) -> None:
    np.testing.assert_allclose(xp.arange(*args, **kwargs).numpy(), np.arange(*args, **kwargs), rtol=1e-6)


def test_shapes_of_creation() -> None:
    assert xp.zeros(3).shape == (3,) and xp.zeros(()).shape == () and xp.ones((0, 2)).shape == (0, 2)
    assert [g.shape for g in xp.meshgrid(at.ones(2), at.ones(3))] == [(3, 2), (3, 2)]
    assert xp.eye(2, 3, k=-1).tolist() == [[0, 0, 0], [1, 0, 0]]
    with pytest.raises(ValueError, match="sizes >= 0"):
        xp.ones(-1)


# ---- indexing ----

A = np.arange(24).reshape(2, 3, 4)
KEYS: list[Any] = [
    *(0, -1, (0, 1), (0, 1, 2), slice(None), (slice(None), 1), ..., (..., 0), (None, 0), (0, None, ...), ()),
    *((slice(0, 2), slice(None, None, -1)), (slice(5, 10),), (slice(-1, -5, -1),), (slice(0, 0),)),
    *((slice(2, 0, -1), ..., slice(None, None, 2)), A > 5, np.array([True, False]), np.ones((2, 3), bool)),
    *(np.array([1, 0]), (np.array([1, 0]), 0), (np.array([1, 0]), np.array([0, 2]), np.array([1, 1])), np.array(1)),
]


@pytest.mark.parametrize("i", range(len(KEYS)))
def test_indexing(i: int) -> None:
    key = KEYS[i]
    ours = tuple(to(xp, k) for k in key) if isinstance(key, tuple) else to(xp, key)
    same(np.asarray(A[key]), at.asarray(A.copy())[ours].numpy(), key)
    written, expected = at.asarray(A.copy()), A.copy()
    written[ours] = 7
    expected[key] = 7
    same(expected, written.numpy(), key)


def test_indexing_out_of_bounds() -> None:
    x = at.asarray(A)
    for key in (5, -3, (0, 3), (0, 0, 4), (0, 0, 0, 0), at.asarray([0, 2])):
        with pytest.raises(IndexError):
            x[key]
    with pytest.raises(IndexError):
        x[at.asarray([True, False, True])]
    assert at.asarray(5)[()].item() == 5 and at.asarray(5)[...].shape == () and at.asarray(5)[None].shape == (1,)


def test_take() -> None:
    compare("take", V, np.array([1, -1]), axis=0)
    compare("take_along_axis", F, np.array([[0, 2], [1, 1]]))
    assert xp.take(at.asarray(V), at.asarray([0])).tolist() == [3]


# ---- linear algebra, manipulation ----


def test_products() -> None:
    rng = np.random.default_rng(0)
    for a, b in (
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 2)),
        ((5, 1, 2, 3), (4, 3, 2)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 2)),
    ):
        compare("matmul", rng.integers(-4, 4, a), rng.integers(-4, 4, b))
    z = rng.integers(-4, 4, (2, 3)) + 1j
    compare("vecdot", z, z[0])
    compare("tensordot", F, F.T, axes=([0], [1]))
    compare("tensordot", V, V, axes=0)
    compare("matrix_transpose", A)
    np.testing.assert_array_equal(at.asarray(A).mT.numpy(), A.swapaxes(1, 2))
    with pytest.raises(ValueError, match="at least one dimension"):
        xp.matmul(at.asarray(1.0), at.ones(1))
    with pytest.raises(ValueError, match="at least 2"):
        xp.matrix_transpose(at.ones(2))


MANIPULATIONS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("concat", ([F, F],), {}),
    ("concat", ([F, V],), {"axis": None}),
    ("concat", ([I, I.astype(np.int8)],), {"axis": -1}),
    ("expand_dims", (F, -1), {}),
    ("expand_dims", (F,), {"axis": (0, -2)}),
    ("flip", (A,), {}),
    ("flip", (A,), {"axis": -2}),
    ("moveaxis", (A, (0, 1), (-1, 0)), {}),
    ("permute_dims", (A, (2, 0, 1)), {}),
    ("repeat", (F, 2), {}),
    ("repeat", (F, np.array([1, 0, 2])), {"axis": 1}),
    ("reshape", (A, (-1, 4)), {}),
    ("reshape", (A, (24,)), {"copy": False}),
    ("roll", (A, 5), {}),
    ("roll", (A, -1), {"axis": 1}),
    ("squeeze", (A[:1, :, :1], (0, 2)), {}),
    ("stack", ([V, V],), {"axis": -1}),
    ("tile", (V, (2, 3)), {}),
    ("tile", (A, (2,)), {}),
    ("unstack", (A,), {}),
    ("broadcast_to", (np.array(1), (2, 0)), {}),
]


@pytest.mark.parametrize("i", range(len(MANIPULATIONS)))
def test_manipulation(i: int) -> None:
    name, args, kwargs = MANIPULATIONS[i]
    compare(name, *args, **kwargs)


def test_manipulation_refuses() -> None:
    x = at.asarray(A)
    with pytest.raises(ValueError, match="axis 1 of shape"):
        xp.squeeze(x, axis=1)
    with pytest.raises(IndexError):
        xp.expand_dims(x, axis=5)
    with pytest.raises(ValueError, match="dim 1 twice"):
        xp.expand_dims(x, axis=(1, -4))
    with pytest.raises(ValueError, match="copy=False asks"):
        xp.reshape(x.mT, (24,), copy=False)
    assert xp.reshape(x, (24,), copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(ValueError, match="broadcast"):
        xp.broadcast_arrays(at.ones(2), at.ones(3))


# ---- searching, sets, sorting, statistics, utilities ----


def test_searching() -> None:
    for side in ("left", "right"):
        compare("searchsorted", np.sort(V), F, side=side)
    for name in ("argmax", "argmin"):
        compare(name, F)
        compare(name, I, axis=0)
    compare("count_nonzero", F)
    compare("count_nonzero", I, axis=(0, 1), keepdims=True)
    compare("nonzero", A % 5)
    compare("where", F > 1, F, np.float32(2) * F)
    with pytest.raises(ValueError, match="0-d"):
        xp.nonzero(at.asarray(1))


def test_sets() -> None:
    nan = at.asarray([at.nan, 1.0, at.nan, 0.0, -0.0])
    found = xp.unique_all(nan)
    assert found._fields if hasattr(found, "_fields") else True
    assert found.values.shape == (4,) and sorted(found.counts.tolist()) == [1, 1, 1, 2]
    assert found.inverse_indices.shape == nan.shape and (found.values, found.indices) == (found[0], found[1])
    assert xp.unique_counts(nan).counts.sum().item() == 5
    assert xp.unique_inverse(at.asarray(A)).inverse_indices.shape == A.shape
    assert xp.unique_values(nan).shape == (4,)


@pytest.mark.parametrize("dtype", BOOL + INTEGERS + FLOATS)
def test_sorting(dtype: str) -> None:
    x = np.random.default_rng(1).permutation(np.arange(30) % 7).reshape(5, 6).astype(dtype)
    for descending, axis in itertools.product((False, True), (0, -1)):
        got = xp.sort(at.asarray(x), axis=axis, descending=descending).numpy()
        expected = np.sort(x, axis)
        same(np.flip(expected, axis) if descending else expected, got, dtype)
        order = xp.argsort(at.asarray(x), axis=axis, descending=descending).numpy()
        # Stable: equal elements keep their order.
        key = -x.astype(np.int64) if descending else x
        np.testing.assert_array_equal(order, np.argsort(key, axis, kind="stable"))


@pytest.mark.parametrize("name", ["sum", "prod", "cumulative_sum", "cumulative_prod"])
def test_sums_are_accumulated_in_the_standards_dtype(name: str) -> None:
    for dtype in INTEGERS + FLOATS + COMPLEX:
        x = np.array([1, 2, 3], dtype=dtype)
        compare(name, x)
        compare(name, x, dtype=F64 if dtype in FLOATS else np.dtype(dtype))
    assert xp.sum(at.ones(0)).item() == 0 and xp.prod(at.ones(0)).item() == 1
    assert xp.cumulative_sum(at.asarray([1, 2]), include_initial=True).tolist() == [0, 1, 3]


@pytest.mark.parametrize("name", ["max", "min", "mean", "std", "var", "all", "any"])
def test_statistics(name: str) -> None:
    for axis in (None, 0, -1, (0, 1)):
        for keepdims in (False, True):
            compare(name, F, axis=axis, keepdims=keepdims)
    x = at.asarray([[1.0, at.nan], [2.0, 3.0]])
    if name in ("max", "min", "mean", "std", "var"):
        got = getattr(xp, name)(x, axis=1).tolist()
        assert np.isnan(got[0]) and not np.isnan(got[1])
    if name in ("std", "var"):
        compare(name, F)
        compare(name, F, correction=1.5)


def test_diff() -> None:
    compare("diff", A, axis=1, n=2)
    compare("diff", F)


# ---- inspection, data interchange, the array object ----


def test_namespace_info() -> None:
    info, theirs = at.__array_namespace_info__(), strict.__array_namespace_info__()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}
    assert info.default_device() == at.device("cpu") and at.device("cpu") in info.devices()
    assert info.default_dtypes() == {
        "real floating": at.float32,
        "complex floating": at.complex64,
        "integral": at.int64,
        "indexing": at.int64,
    }
    kinds = ("bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric")
    for kind in (None, *kinds, ("integral", "bool")):
        names = {name: dtype.name for name, dtype in info.dtypes(kind=kind).items()}
        assert names == {name: name for name in theirs.dtypes(kind=kind)}
    assert info.dtypes(device=at.device("cpu"), kind="bool") == {"bool": at.bool}
    assert info.default_dtypes(device=info.default_device())["integral"] == at.int64


def test_interchange() -> None:
    x = at.asarray(F.copy())
    assert x.__dlpack_device__() == (1, 0)
    assert xp.from_dlpack(x).data_ptr() == x.data_ptr() != xp.from_dlpack(x, copy=True).data_ptr()
    assert xp.from_dlpack(x, device=at.device("cpu"), copy=False).data_ptr() == x.data_ptr()
    assert "dltensor_versioned" in repr(x.__dlpack__(max_version=(1, 0))) and '"dltensor"' in repr(x.__dlpack__())
    shared = np.from_dlpack(x)
    assert shared.ctypes.data == x.data_ptr()
    assert np.from_dlpack(x, copy=True).ctypes.data != x.data_ptr()
    with pytest.raises(BufferError, match="copy=False forbids"):
        xp.from_dlpack(x, device="meta", copy=False)
    with pytest.raises(BufferError, match="copy=False forbids"):
        x.__dlpack__(dl_device=(2, 0), copy=False)
    with pytest.raises(ValueError, match="expected stream to be None for a tensor on cpu"):
        x.__dlpack__(stream=1)
    assert x.to_device(x.device) is x and x.to_device("cpu", stream=None) is x


def test_attributes_of_arrays() -> None:
    x = at.asarray(A)
    assert (x.ndim, x.shape, x.dtype, x.device) == (3, (2, 3, 4), at.int64, at.device("cpu"))
    assert x.mT.shape == (2, 4, 3) and at.asarray(F).T.shape == (3, 2)
    assert x.size() == (2, 3, 4)  # PyTorch's method; the standard's attribute would be the number of elements
    assert at.float32 == getattr(at, "float32") and hash(at.float32) and at.float32 != at.float64  # noqa: B009
    assert x.device == at.device("cpu") and hash(x.device) == hash(at.device("cpu"))


# ---- extensions ----


def test_fft() -> None:
    rng = np.random.default_rng(2)
    x, z = rng.standard_normal((4, 6)), rng.standard_normal((4, 6)) + 1j
    for name in ("fft", "ifft", "hfft"):
        same_fft(name, z, n=8, axis=0, norm="ortho")
    for name in ("rfft", "ihfft"):
        same_fft(name, x, n=5, axis=-1, norm="forward")
    same_fft("irfft", z, n=9, axis=1, norm="backward")
    for name in ("fftn", "ifftn", "irfftn"):
        same_fft(name, z, s=(4, 8), axes=(0, 1), norm="ortho")
    same_fft("rfftn", x, s=(4, 8), axes=(0, 1), norm="ortho")
    for name in ("fftshift", "ifftshift"):
        same_fft(name, x, axes=(1,))
    for name in ("fftfreq", "rfftfreq"):
        got = getattr(at.fft, name)(7, d=0.5, dtype=at.float64, device=None)
        np.testing.assert_allclose(got.numpy(), getattr(np.fft, name)(7, 0.5), rtol=1e-15)


def same_fft(name: str, x: Any, **kwargs: Any) -> None:
    got = getattr(at.fft, name)(at.asarray(x), **kwargs).numpy()
    expected = getattr(np.fft, name)(x, **kwargs)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
