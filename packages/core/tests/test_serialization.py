"""Saving and loading: round trips, the real safetensors package in both directions, hostile files, atomicity."""

import io
import json
import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributions import MakeDistribution

import atled.core as at
from atled.core import _serialization
from atled.testing import ALL, assert_close, from_numpy, numpy_dtype, to_numpy

SHAPES = ((), (3,), (2, 3), (0,), (2, 0, 3))


def array(dtype: str, shape: tuple[int, ...]) -> Any:
    values = np.random.default_rng(3).uniform(0, 9, shape)
    return (values + 1j * values if dtype.startswith("complex") else values).astype(numpy_dtype(dtype))


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("dtype", ALL)
def test_round_trip_of_every_dtype(dtype: str, mmap: bool, tmp_path: Path) -> None:
    arrays = {str(shape): array(dtype, shape) for shape in SHAPES}
    at.save({name: from_numpy(a) for name, a in arrays.items()}, tmp_path / "x.safetensors")
    loaded = at.load(tmp_path / "x.safetensors", mmap=mmap)
    assert list(loaded) == list(arrays)
    for name, a in arrays.items():
        assert str(loaded[name].dtype) == str(getattr(at, dtype))
        np.testing.assert_array_equal(to_numpy(loaded[name]), a)


def test_views_are_saved_by_value(tmp_path: Path) -> None:
    x = at.arange(24).reshape(4, 6)
    at.save({"t": x.T, "s": x[::2, 1::2], "e": at.ones(1).expand(3)}, tmp_path / "x.safetensors")
    loaded = at.load(tmp_path / "x.safetensors")
    assert loaded["t"].tolist() == x.T.tolist()
    assert loaded["s"].tolist() == x[::2, 1::2].tolist()
    assert loaded["e"].tolist() == [1.0, 1.0, 1.0]


def equal(a: Any, b: Any) -> bool:
    """Same types, values and order, all the way down; NaN equals NaN."""
    if isinstance(a, at.Tensor):
        return isinstance(b, at.Tensor) and a.dtype == b.dtype and np.array_equal(to_numpy(a), to_numpy(b))
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(map(repr, a)) == list(map(repr, b)) and all(
            equal(x, y) for x, y in zip(a.values(), b.values(), strict=True)
        )
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return repr(a) == repr(b)


STATES = [
    at.tensor([[1.0, 2.0]]),
    {},
    {"epoch": 3, "lr": 0.1, "name": "run 1", "none": None, "flag": True},
    {"model": {"0.weight": at.ones(2, 3), "0.bias": at.zeros(2)}, "epoch": 3},
    {
        "state": {0: {"step": 7, "exp_avg": at.ones(2)}, 1: {"step": 8}},
        "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999)}],
    },
    [at.ones(1), [at.zeros(2), "x"], (1, (2,))],
    {"a.b": at.ones(1), "a": {"b": at.zeros(1), "b#2": at.ones(2)}},
    {"__metadata__": at.ones(2), "x": 1},
    {"$tensor": 1, "b": {"$": {"$tuple": at.ones(1)}}},
    {"floats": [float("nan"), float("inf"), -0.0, 5e-324, 0.1 + 0.2], "big": 2**200, "c": complex(1, float("nan"))},
    {(1, "x"): at.ones(1), None: b"\x00\xff", True: "é\ud7ff\u2028"},
    {"dtype": at.bfloat16, "device": at.device("cpu")},
    {"z": at.tensor([1 + 2j], dtype=at.complex128), "n": 1},
]


@pytest.mark.parametrize("state", STATES, ids=range(len(STATES)))
@pytest.mark.parametrize("mmap", [False, True])
def test_nested_state_round_trips_exactly(state: Any, mmap: bool, tmp_path: Path) -> None:
    at.save(state, tmp_path / "x.safetensors")
    assert equal(state, at.load(tmp_path / "x.safetensors", mmap=mmap))


def test_scalars_of_numpy_come_back_as_pythons(tmp_path: Path) -> None:
    at.save([np.float64(0.1), np.float32("nan"), np.int8(-3), np.bool_(True), np.str_("a")], tmp_path / "x.safetensors")
    tenth, nan, *others = at.load(tmp_path / "x.safetensors")
    assert tenth == 0.1 and math.isnan(nan) and others == [-3, True, "a"]
    assert [type(value) for value in (tenth, nan, *others)] == [float, float, int, bool, str]


def test_file_objects(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    at.save({"x": at.ones(3), "n": 1}, buffer)
    buffer.seek(0)
    assert at.load(buffer)["x"].tolist() == [1.0, 1.0, 1.0]


def test_metadata(tmp_path: Path) -> None:
    at.save([at.ones(2)], tmp_path / "x.safetensors", metadata={"author": "somebody"})
    assert _serialization.load_metadata(tmp_path / "x.safetensors") == {"author": "somebody"}
    with pytest.raises(at.ArgumentError, match="save: expected metadata of strings"):
        at.save({}, tmp_path / "x.safetensors", metadata={"n": 1})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("state", "where"),
    [
        ({"a": {"b": object()}}, "got object at 'a.b'"),
        (lambda: None, "got function"),
        ({"x": np.ones(1)}, "got ndarray at 'x'"),
        ({"x": np.longdouble(1)}, "got longdouble at 'x'"),
        ({"x": [1, {2}]}, "got set at 'x.1'"),
    ],
)
def test_what_cannot_be_saved(state: Any, where: str, tmp_path: Path) -> None:
    with pytest.raises(at.ArgumentError, match=f"save: expected tensors, dicts, .*{where}"):
        at.save(state, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_keys_that_no_file_may_have(tmp_path: Path) -> None:
    for state in ({2**64: 1}, {((((((1,),),),),),): 1}, {frozenset(): 1}):
        with pytest.raises(at.ArgumentError, match="save: expected keys that are strings, numbers below"):
            at.save(state, tmp_path / "x.safetensors")


def test_a_state_that_holds_itself(tmp_path: Path) -> None:
    state: dict[str, Any] = {}
    state["self"] = state
    with pytest.raises(at.ArgumentError, match="without cycles"):
        at.save(state, tmp_path / "x.safetensors")


def test_mapped_tensors_do_not_write_to_the_file(tmp_path: Path) -> None:
    at.save({"x": at.ones(4)}, tmp_path / "x.safetensors")
    before = (tmp_path / "x.safetensors").read_bytes()
    at.load(tmp_path / "x.safetensors", mmap=True)["x"].add_(1)
    assert (tmp_path / "x.safetensors").read_bytes() == before


def test_the_safetensors_package_reads_our_files(tmp_path: Path) -> None:
    reference = pytest.importorskip("safetensors.numpy")
    dtypes = [d for d in ALL if d not in ("bfloat16", "complex64", "complex128")]
    arrays = {f"{d}{s}": array(d, s) for d in dtypes for s in SHAPES}
    at.save({k: from_numpy(a) for k, a in arrays.items()}, tmp_path / "x.safetensors", metadata={"k": "v"})
    loaded = reference.load_file(tmp_path / "x.safetensors")
    assert loaded.keys() == arrays.keys()
    for name, a in arrays.items():
        assert loaded[name].dtype == a.dtype and loaded[name].shape == a.shape
        np.testing.assert_array_equal(loaded[name], a)
    # Also those with a structure of ours, and with bfloat16, are files of the format.
    at.save(
        {"n": 1, "x": at.ones(3, dtype=at.bfloat16), "c": at.ones(2, dtype=at.complex64)}, tmp_path / "y.safetensors"
    )
    import safetensors

    with safetensors.safe_open(tmp_path / "y.safetensors", framework="numpy") as file:
        assert sorted(file.keys()) == ["c", "x"]
        assert file.get_slice("x").get_dtype() == "BF16"


def test_we_read_files_of_the_safetensors_package(tmp_path: Path) -> None:
    reference = pytest.importorskip("safetensors.numpy")
    arrays = {d: array(d, (3, 5)) for d in ALL if d not in ("bfloat16", "complex128")}
    reference.save_file(arrays, tmp_path / "x.safetensors", metadata={"k": "v"})
    for mmap in (False, True):
        loaded = at.load(tmp_path / "x.safetensors", mmap=mmap)
        assert loaded.keys() == arrays.keys()
        for name, a in arrays.items():
            assert_close(loaded[name], a, rtol=0, atol=0)


# ---- files that are not what they say ----


def forge(header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: str = "F32", shape: Any = (1,), offsets: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


HOSTILE = {
    "empty": (b"", "truncated"),
    "short": (b"\x00\x00\x00", "truncated"),
    "header longer than the file": (forge(b"{}", length=1000), "expected a header of 1000 bytes.*truncated"),
    "header length 2^64 - 1": (forge(b"{}", length=2**64 - 1), "no safetensors file"),
    "a pickle": (b"\x80\x04\x95" + b"x" * 40, "no safetensors file"),
    "a zip": (b"PK\x03\x04" + b"\x00" * 40, "expected a header"),
    "no object": (forge(b"[1, 2]"), "JSON object"),
    "broken JSON": (forge(b'{"a": '), "valid JSON"),
    "not UTF-8": (forge(b'{"\xff\xfe": 1}'), "valid JSON"),
    "deep JSON": (forge(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), "valid JSON|expected the fields"),
    "NaN": (forge(b'{"a": NaN}'), "expected numbers"),
    "a number of many digits": (forge(b'{"a": ' + b"9" * 10_000 + b"}"), "valid JSON"),
    "duplicate names": (forge(b'{"a": 1, "a": 2}'), "each key of the header once, got 'a'"),
    "entry is no object": (forge({"a": 3}), "expected the fields"),
    "missing field": (forge({"a": {"dtype": "F32", "shape": [1]}}), "expected the fields"),
    "unknown field": (forge({"a": {**entry(), "code": "import os"}}, bytes(4)), "expected the fields"),
    "unknown dtype": (forge({"a": entry("F31")}, bytes(4)), "expected a dtype among"),
    "dtype is a list": (forge({"a": entry(["F32"])}, bytes(4)), "expected a dtype among"),
    "negative size": (forge({"a": entry(shape=[-1])}, bytes(4)), "expected a shape"),
    "float size": (forge({"a": entry(shape=[1.0])}, bytes(4)), "expected a shape"),
    "bool size": (forge({"a": entry(shape=[True])}, bytes(4)), "expected a shape"),
    "65 dimensions": (forge({"a": entry(shape=[1] * 65)}, bytes(4)), "at most 64"),
    "sizes that overflow": (forge({"a": entry(shape=[2**32, 2**32])}, bytes(4)), "larger than any memory"),
    "overflow beside a zero": (forge({"a": entry(shape=[0, 2**62, 2**62], offsets=[0, 0])}), "larger than any memory"),
    "shape larger than the data": (forge({"a": entry(shape=[10**15])}, bytes(4)), "expected 4000000000000000 bytes"),
    "begin after end": (forge({"a": entry(offsets=[4, 0])}, bytes(4)), "begin <= end"),
    "negative offsets": (forge({"a": entry(offsets=[-4, 0])}, bytes(4)), "begin <= end"),
    "three offsets": (forge({"a": entry(offsets=[0, 4, 8])}, bytes(8)), "begin <= end"),
    "past the end": (forge({"a": entry()}, bytes(3)), "truncated"),
    "far past the end": (forge({"a": entry(offsets=[2**62, 2**62 + 4])}, bytes(4)), "truncated"),
    "overlap": (forge({"a": entry(), "b": entry(offsets=[2, 6])}, bytes(6)), "'b': overlaps"),
    "the same bytes twice": (forge({"a": entry(), "b": entry()}, bytes(4)), "overlaps"),
    "gap": (forge({"a": entry(), "b": entry(offsets=[8, 12])}, bytes(12)), "'b': leaves a gap"),
    "bytes left over": (forge({"a": entry()}, bytes(9)), "expected the file to end"),
    "metadata of numbers": (forge({"__metadata__": {"a": 1}}), "map strings to strings"),
    "metadata is a list": (forge({"__metadata__": []}), "map strings to strings"),
    "a bool of 2": (forge({"a": entry("BOOL", (4,))}, b"\x00\x01\x02\x00"), "bytes 0 and 1"),
    "structure is no JSON": (forge({"__metadata__": {"atled.structure": "{"}}), "structure as save writes it"),
    "structure names no tensor": (forge({"__metadata__": {"atled.structure": '{"$tensor":"x"}'}}), "structure"),
    "structure of an unknown kind": (forge({"__metadata__": {"atled.structure": '{"$eval":"1"}'}}), "structure"),
    "structure with unhashable keys": (forge({"__metadata__": {"atled.structure": '{"$dict":[[[],1]]}'}}), "structure"),
    "structure with keys that collide": (
        forge({"__metadata__": {"atled.structure": json.dumps({"$dict": [[2**61 - 1, 1]]})}}),
        "expected keys that are strings, numbers below 2\\^61",
    ),
    "structure with many tuples as keys": (
        forge({"__metadata__": {"atled.structure": json.dumps({"$dict": [[{"$tuple": [1]}, 1]] * 10_001})}}),
        "at most 10000 keys",
    ),
    "structure too deep": (forge({"__metadata__": {"atled.structure": "[" * 99_999 + "]" * 99_999}}), "structure"),
    "structure with a forged dtype": (
        forge({"__metadata__": {"atled.structure": '{"$dtype":"load"}'}}),
        "name of a dtype",
    ),
    "complex stored as something else": (
        forge({"__metadata__": {"atled.complex128": '["a"]'}, "a": entry("F64", (1,), (0, 8))}, bytes(8)),
        "pairs of float64",
    ),
}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, mmap: bool, tmp_path: Path) -> None:
    content, message = HOSTILE[name]
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(at.FormatError, match=message) as caught:
        at.load(tmp_path / "x.safetensors", mmap=mmap)
    assert str(caught.value).startswith("load: ")
    assert "x.safetensors" in str(caught.value)


def test_every_truncation_and_every_flipped_byte(tmp_path: Path) -> None:
    at.save({"a": at.arange(5), "b": {"c": at.ones(2, 2), "n": [1, None]}}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    for n in range(len(whole)):
        with pytest.raises(at.FormatError):
            at.load(io.BytesIO(whole[:n]))
    rng = np.random.default_rng(0)
    for n in range(len(whole)):
        broken = bytearray(whole)
        broken[n] ^= int(rng.integers(1, 256))
        # It may still be a file, of something else; anything but a FormatError is a fault of ours.
        try:
            at.load(io.BytesIO(bytes(broken)))
        except (at.FormatError, at.DTypeError, at.DeviceError):
            continue


# ---- atomicity ----


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    at.save({"x": at.ones(3)}, path)
    old = path.read_bytes()

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        at.save({"x": at.zeros(3)}, path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_order_of_write_flush_and_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noting_fsync(fd: int) -> None:
        events.append("fsync folder" if os.path.isdir(f"/proc/self/fd/{fd}") else "fsync file")
        fsync(fd)

    def noting_replace(source: Any, target: Any) -> None:
        assert Path(source).parent == Path(target).parent
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "replace", noting_replace)
    at.save({"x": at.ones(3)}, tmp_path / "x.safetensors")
    assert events == ["fsync file", "rename", "fsync folder"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    at.save({"x": at.ones(1)}, tmp_path / "real.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "real.safetensors")
    at.save({"x": at.zeros(1)}, tmp_path / "link.safetensors")
    assert (tmp_path / "link.safetensors").is_symlink()
    assert at.load(tmp_path / "real.safetensors")["x"].tolist() == [0.0]


# ---- other formats ----


def test_other_suffixes_come_from_plugins(make_distribution: MakeDistribution, tmp_path: Path) -> None:
    source = (
        "import pickle\nsaved = []\n"
        "class format:\n"
        "    @staticmethod\n    def save(obj, file, metadata): saved.append((obj, metadata)); file.write(b'z')\n"
        "    @staticmethod\n    def load(file, device, mmap): return (file.read(), str(device), mmap)\n"
    )
    make_distribution("dist-a", {"atled.formats": {".xyz": "plugin_a:format"}}, {"plugin_a": source})
    at.save({"n": 1}, tmp_path / "a.xyz", metadata={"k": "v"})
    import plugin_a  # type: ignore[import-not-found]

    assert plugin_a.saved == [({"n": 1}, {"k": "v"})]
    assert at.load(tmp_path / "a.xyz") == (b"z", "cpu", False)
    with pytest.raises(at.FormatError, match=r"save: expected a file name ending in one of .*\.safetensors, \.xyz"):
        at.save({"n": 1}, tmp_path / "a.unknown")


def test_a_function_says_nowhere_to_load_to(tmp_path: Path) -> None:
    at.save(at.ones(1), tmp_path / "x")
    with pytest.raises(at.ArgumentError, match="load: expected map_location to be a device or its name, got function"):
        at.load(tmp_path / "x", map_location=lambda storage, place: storage)  # type: ignore[arg-type]
