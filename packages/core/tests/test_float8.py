"""float8: conversions against ml_dtypes and by the format's own definition, what takes it, and what refuses it."""

import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import atled.core as at
from atled.core import _core
from atled.testing import ALL, FLOAT8, at_dtype, from_numpy, numpy_dtype, to_numpy

DEVICE = os.environ.get("ATLED_TEST_DEVICE", "cpu")
MANTISSA, BIAS = {"float8_e4m3fn": 3, "float8_e5m2": 2}, {"float8_e4m3fn": 7, "float8_e5m2": 15}
kinds = pytest.mark.parametrize("kind", FLOAT8)


def bits(tensor: at.Tensor) -> Any:
    return to_numpy(tensor.view(at.uint8))


def every(kind: str, device: str = DEVICE) -> at.Tensor:
    """All 256 numbers."""
    return at.arange(256, dtype=at.uint8).to(device).view(at_dtype(kind))


def values(kind: str) -> Any:
    """What the 256 bytes stand for, by the definition of the format."""
    byte = np.arange(256)
    m, exponent = byte % (1 << MANTISSA[kind]), byte % 128 >> MANTISSA[kind]
    normal = (1 + m * 2.0 ** -MANTISSA[kind]) * np.exp2(exponent - BIAS[kind])
    digits = np.where(exponent == 0, m * 2.0 ** (1 - BIAS[kind] - MANTISSA[kind]), normal)
    if kind == "float8_e5m2":
        digits = np.where(exponent == 31, np.where(m == 0, np.inf, np.nan), digits)
    else:
        digits = np.where(byte % 128 == 127, np.nan, digits)
    return np.where(byte < 128, digits, -digits)


def rounded(x: Any, kind: str) -> Any:
    """x, in float64, as bytes: to nearest even, by the definition of the format."""
    with np.errstate(all="ignore"):
        exponent = np.maximum(np.floor(np.log2(np.abs(x))), 1 - BIAS[kind])
        step = np.exp2(np.where(np.isfinite(exponent), exponent, 0) - MANTISSA[kind])
        nearest = np.where(np.isfinite(x), np.rint(x / step) * step, x)
        if kind == "float8_e4m3fn":
            nearest = np.clip(nearest, -448, 448)
        else:
            nearest = np.where(np.abs(nearest) > 57344, np.copysign(np.inf, x), nearest)
        return nearest.astype(numpy_dtype(kind)).view(np.uint8)  # exact


def assert_bytes(got: Any, expected: Any, kind: str) -> None:
    """The same numbers; any NaN for another, but of the same sign."""
    nan = np.isnan(values(kind))
    same = (got == expected) | (nan[got] & nan[expected])
    assert np.all(same), (np.argwhere(~same)[:5], got[~same][:5], expected[~same][:5])


def floats(kind: str) -> Any:
    """Every float32 around those of the format: its numbers, all ties between them, their neighbours, and specials."""
    exact = np.unique(values(kind)[np.isfinite(values(kind))]).astype(np.float32)
    ties = (exact[1:] + exact[:-1]) / 2
    beyond = np.float32([464, 480, 61440, 65536, 1e9, 3e38, 1e-9, 1e-40, 0, -0.0, np.inf, np.nan])
    middle = np.concatenate([exact, ties, beyond])
    with np.errstate(all="ignore"):
        around = np.concatenate(
            [middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf))]
        )
    patterns = np.random.default_rng(0).integers(0, 1 << 32, 20000, dtype=np.uint32).view(np.float32)
    every_second_byte = (np.arange(1 << 16, dtype=np.uint32) << 16).view(np.float32)
    return np.concatenate([around, -around, patterns, every_second_byte])


# ---- conversions ----


@kinds
def test_every_number(kind: str) -> None:
    expected = values(kind)
    np.testing.assert_array_equal(to_numpy(every(kind).to(at.float32)), expected.astype(np.float32))
    np.testing.assert_array_equal(to_numpy(every(kind).to(at.float64)), expected)
    np.testing.assert_array_equal(np.array(every(kind).tolist()), expected)
    np.testing.assert_array_equal(expected, np.arange(256, dtype=np.uint8).view(numpy_dtype(kind)).astype(np.float64))
    nan = to_numpy(every(kind).to(at.float32))[np.isnan(expected)]
    np.testing.assert_array_equal(np.signbit(nan), np.signbit(expected[np.isnan(expected)]))


@kinds
@pytest.mark.parametrize("source", ["float32", "float64", "float16", "bfloat16"])
def test_rounding(kind: str, source: str) -> None:
    with np.errstate(all="ignore"):
        x = floats(kind).astype(numpy_dtype(source))
    if source == "float64":  # a tie but for digits that float32 does not have
        x = np.concatenate([x, x * (1 + 2.0**-40), x * (1 - 2.0**-40)])
    got = bits(from_numpy(x, DEVICE).to(at_dtype(kind)))
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
    assert_bytes(got, rounded(wide, kind), kind)
    assert np.array_equal(got >= 128, np.signbit(wide))


@kinds
@pytest.mark.parametrize("other", [name for name in ALL if "float" not in name or name == "float16"])
def test_other_dtypes_both_ways(kind: str, other: str) -> None:
    low = -9 if not other.startswith(("u", "bool")) else 0
    x = np.arange(low, 100).astype(numpy_dtype(other))
    stored = from_numpy(x, DEVICE).to(at_dtype(kind))
    assert_bytes(bits(stored), rounded(x.real.astype(np.float64), kind), kind)
    back = to_numpy(stored.to(at_dtype(other)))
    np.testing.assert_array_equal(
        back, bits(stored).view(numpy_dtype(kind)).astype(np.float32).astype(numpy_dtype(other))
    )


def test_between_the_two() -> None:
    for kind, other in (FLOAT8, FLOAT8[::-1]):
        assert_bytes(bits(every(kind).to(at_dtype(other))), rounded(values(kind), other), other)


@kinds
def test_strided_and_broadcast_copies(kind: str) -> None:
    x = at.arange(24, dtype=at.float32, device=DEVICE).reshape(4, 6)
    expected = to_numpy(x)
    for view in (x.t(), x[::2, 1::2], x[:1].expand(5, 6), x.flip(0)):
        np.testing.assert_array_equal(
            to_numpy(view.to(at_dtype(kind)).to(at.float32)),
            to_numpy(view.contiguous().to(at_dtype(kind)).to(at.float32)),
        )
    target = at.zeros(6, 4, dtype=at_dtype(kind), device=DEVICE).t()
    target.copy_(x)
    assert to_numpy(target.to(at.float32)).shape == expected.shape
    np.testing.assert_array_equal(to_numpy(target.to(at.float32)), to_numpy(x.to(at_dtype(kind)).to(at.float32)))
    wide = at.zeros(4, 6, device=DEVICE)
    wide[1:3, ::3] = target[1:3, ::3]
    assert wide[2, 3].item() == (15 if kind == "float8_e4m3fn" else 16)


# ---- what takes it ----


@kinds
def test_making(kind: str) -> None:
    dtype = at_dtype(kind)
    for made, number in (
        (at.zeros(2, 3, dtype=dtype, device=DEVICE), 0),
        (at.ones(2, 3, dtype=dtype, device=DEVICE), 1),
        (at.full((2, 3), 2.5, dtype=dtype, device=DEVICE), 2.5),
        (at.full((2, 3), 3, dtype=dtype, device=DEVICE), 3),
        (at.tensor([[0.5] * 3] * 2, dtype=dtype, device=DEVICE), 0.5),
        (at.empty(2, 3, dtype=dtype, device=DEVICE).fill_(-1.5), -1.5),
        (at.empty(2, 3, dtype=dtype, device=DEVICE).zero_(), 0),
        (at.scalar_tensor(7, dtype=dtype, device=DEVICE).expand(2, 3), 7),
        (at.zeros(2, 3, device=DEVICE).new_full((2, 3), 4.0, dtype=dtype), 4),
        (at.ones_like(at.zeros(2, 3, dtype=dtype, device=DEVICE)), 1),
    ):
        assert made.dtype is dtype and made.itemsize == 1 and made.shape == (2, 3)
        assert made.tolist() == [[number] * 3] * 2
    assert at.tensor([1e9], dtype=dtype).item() == (448 if kind == "float8_e4m3fn" else np.inf)
    assert at.tensor(every(kind)[:3]).dtype is dtype
    with pytest.raises(at.DTypeError, match="complex"):
        at.full((2,), 1j, dtype=dtype)


@kinds
def test_moving(kind: str) -> None:
    x, byte = every(kind), np.arange(256, dtype=np.uint8)
    index = at.tensor([5, 250, 5], device=DEVICE)
    grid = byte.reshape(16, 16)
    g = x.reshape(16, 16)
    cases: list[tuple[at.Tensor, Any]] = [
        (x[3:9:2], byte[3:9:2]),
        (x[index], byte[[5, 250, 5]]),
        (x[x.isnan()], byte[np.isnan(values(kind))]),
        (g[:, None, 3], grid[:, None, 3]),
        (g.t().contiguous(), grid.T),
        (g.unfold(0, 4, 4), np.moveaxis(grid.reshape(4, 4, 16), 1, 2)),
        (x.index_select(0, index), byte[[5, 250, 5]]),
        (x.gather(0, index), byte[[5, 250, 5]]),
        (x.take(index), byte[[5, 250, 5]]),
        (at.cat([x, x]), np.concatenate([byte, byte])),
        (at.stack([x, x], 1), np.stack([byte, byte], 1)),
        (x.flip(0), byte[::-1]),
        (x.roll(3), np.roll(byte, 3)),
        (x.repeat(2), np.tile(byte, 2)),
        (at.where(x.isnan(), at.zeros_like(x), x), np.where(np.isnan(values(kind)), 0, byte)),
        (x.clone(), byte),
        (at.concat([g.chunk(2)[1], g.split(8)[0]]), np.concatenate([grid[8:], grid[:8]])),
    ]
    for got, expected in cases:
        assert got.dtype is at_dtype(kind)
        np.testing.assert_array_equal(bits(got.contiguous()), expected)
    x = x.clone()
    x[index] = at.ones(3, dtype=at_dtype(kind), device=DEVICE)
    x[1:3] = 2.0
    x[x.isnan()] = 4
    x.index_fill_(0, at.tensor([7], device=DEVICE), 0.5)
    got = x.tolist()
    assert got[5] == got[250] == 1 and got[1] == got[2] == 2 and got[7] == 0.5 and got[127] == 4
    for other in (at.int8, at.bool):
        assert x.view(other).dtype is other
    assert x.view(at.int32).shape == (64,) and x.view(at.int32).view(at_dtype(kind)).tolist() == got
    there = x.to("cpu").to(DEVICE)
    assert there.tolist() == got and (x == there).all() and not (x != there).any()
    assert (x == 4).sum() > 0 and x.to(device="meta").dtype is x.dtype


@kinds
def test_finfo(kind: str) -> None:
    ours, theirs = at.finfo(at_dtype(kind)), ml_dtypes.finfo(kind)
    for name in ("bits", "eps", "max", "min", "smallest_normal", "tiny"):
        assert getattr(ours, name) == float(getattr(theirs, name)), name
    assert ours.resolution == 1 and ours.dtype is at_dtype(kind)
    dtype = at_dtype(kind)
    assert dtype.is_floating_point and dtype.is_signed and not dtype.is_complex and repr(dtype) == f"atled.{kind}"
    assert at.isdtype(dtype, "real floating") and at.can_cast(dtype, at.float16)


@kinds
def test_printing(kind: str) -> None:
    x = at.tensor([1.5, -2.0, float("nan")], dtype=at_dtype(kind))
    assert repr(x) == f"tensor([ 1.5000, -2.0000,     nan], dtype={kind})"
    assert "..." in repr(at.zeros(2000, dtype=at_dtype(kind)))
    assert x.type() == f"atled.F{kind[1:]}Tensor" or x.type().endswith(f"F{kind[1:]}Tensor")


@kinds
def test_numpy(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x = every(kind, "cpu")
    array = x.numpy()
    assert array.dtype == numpy_dtype(kind) and array.ctypes.data == x.data_ptr()
    np.testing.assert_array_equal(array.view(np.uint8), np.arange(256))
    with pytest.raises(BufferError, match="float8"):
        memoryview(x)  # type: ignore[arg-type]
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(
        at.DTypeError, match=rf"NumPy has no {kind}; use .to\(at.float32\).numpy\(\), or pip install ml_dtypes"
    ):
        x.numpy()


@kinds
def test_dlpack(kind: str) -> None:
    x = every(kind)
    y = at.from_dlpack(x)
    assert y.dtype is x.dtype and y.data_ptr() == x.data_ptr() and y.device == x.device


@kinds
@pytest.mark.parametrize("mmap", [False, True])
def test_safetensors(kind: str, mmap: bool, tmp_path: Path) -> None:
    x = every(kind)
    at.save({"x": x, "t": x.reshape(16, 16).t(), "n": x[3]}, tmp_path / "x.safetensors")
    loaded = at.load(tmp_path / "x.safetensors", mmap=mmap)
    np.testing.assert_array_equal(bits(loaded["x"]), np.arange(256))
    np.testing.assert_array_equal(bits(loaded["t"]), np.arange(256).reshape(16, 16).T)
    assert loaded["x"].dtype is x.dtype and loaded["n"].shape == ()
    header = (tmp_path / "x.safetensors").read_bytes()[8:400]
    assert (b'"F8_E4M3"' if kind == "float8_e4m3fn" else b'"F8_E5M2"') in header
    for name in ("x.npy", "x.npz"):
        with pytest.raises(at.DTypeError, match=rf"got {kind}; save tensor.view\(at.uint8\), or use .safetensors"):
            at.save({"x": x} if name == "x.npz" else x, tmp_path / name)


def test_pickle() -> None:
    import pickle

    for kind in FLOAT8:
        x = pickle.loads(pickle.dumps(every(kind, "cpu")))
        assert x.dtype is at_dtype(kind) and np.array_equal(bits(x), np.arange(256))


# ---- what refuses it ----


@kinds
@pytest.mark.parametrize(
    "name, args",
    [
        ("add", "xx"), ("mul", "x2"), ("neg", "x"), ("exp", "x"), ("sum", "x"), ("amax", "x"), ("lt", "xx"),
        ("sort", "x"), ("matmul", "mm"), ("cumsum", "x0"), ("softmax", "x0"), ("abs", "x"), ("sqrt_", "x"),
        ("nonzero", "x"), ("tril", "m"), ("topk", "x2"), ("equal", "xx"), ("isfinite", "x"), ("std", "x"),
        ("normal_", "x"), ("add_", "xx"),
    ],
)  # fmt: skip
def test_arithmetic_is_refused(kind: str, name: str, args: str) -> None:
    x = at.ones(4, dtype=at_dtype(kind), device=DEVICE)
    given = [{"x": x, "m": x.reshape(2, 2), "2": 2, "0": 0}[letter] for letter in args]
    with pytest.raises(at.DTypeError, match=kind) as raised:
        getattr(given[0], name)(*given[1:])
    if name == "add":
        message = f"add: expected input of a dtype to compute in, got {kind}, which is for storage; "
        assert str(raised.value) == message + "convert it, for example input.to(float32)"


@kinds
def test_results_of_it_are_refused(kind: str) -> None:
    dtype = at_dtype(kind)
    x, out = at.ones(4, device=DEVICE), at.empty(4, dtype=dtype, device=DEVICE)
    for call in (
        lambda: at.add(x, x, out=out),
        lambda: x.sum(dtype=dtype),
        lambda: at.arange(3, dtype=dtype, device=DEVICE),
        lambda: at.rand(3, dtype=dtype, device=DEVICE),
        lambda: at.set_default_dtype(dtype),
        lambda: out.index_put((at.tensor([1], device=DEVICE),), out[:1], accumulate=True),
    ):
        with pytest.raises(at.DTypeError, match=kind):
            call()


@kinds
def test_no_promotion(kind: str) -> None:
    dtype = at_dtype(kind)
    x = at.ones(4, dtype=dtype, device=DEVICE)
    for call in (
        lambda: at.promote_types(dtype, at.float32),
        lambda: at.result_type(x, at.ones(1)),
        lambda: at.cat([x, x.float()]),
        lambda: at.where(x == x, x, x.float()),
        lambda: x == x.float(),
    ):
        with pytest.raises(at.DTypeError, match="common dtype.*float8"):
            call()
    assert at.promote_types(dtype, dtype) is dtype and at.result_type(x, 1.0) is dtype


def test_no_op_computes_by_chance() -> None:
    # What takes float8 says so: views, composites of such, and these.
    taking = {op.qualified_name for op in _core.ops() if "float8" in op.traits and op.ns == "core"}
    assert not taking & {
        "core::add",
        "core::sum",
        "core::matmul",
        "core::arange",
        "core::scatter_add",
        "core::index_add",
    }
    assert {"core::cat", "core::to_copy", "core::index", "core::scaled_mm"} <= taking
