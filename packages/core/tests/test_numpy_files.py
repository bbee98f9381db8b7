"""NumPy's files beside NumPy's own reader and writer, ``from_file``, and files that are not what they say."""

import io
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.testing import ALL, from_numpy, numpy_dtype, to_numpy

SHAPES = ((), (3,), (2, 3), (0,), (2, 0, 3))
NUMPY = [name for name in ALL if name != "bfloat16"]


def array(dtype: str, shape: tuple[int, ...]) -> Any:
    values = np.random.default_rng(3).uniform(0, 9, shape)
    return (values + 1j * values if dtype.startswith("complex") else values).astype(numpy_dtype(dtype))


def read(content: bytes, suffix: str = ".npy") -> Any:
    return at.load(io.BytesIO(content), format=suffix)


def npy(value: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, value, **options)
    return file.getvalue()


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("dtype", NUMPY)
def test_numpy_reads_what_we_write_and_we_what_it_writes(dtype: str, mmap: bool, tmp_path: Path) -> None:
    arrays = {f"a{i}": array(dtype, shape) for i, shape in enumerate(SHAPES)}
    at.save({name: from_numpy(a) for name, a in arrays.items()}, tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", **arrays)  # type: ignore[arg-type]
    with np.load(tmp_path / "x.npz") as theirs:
        assert list(theirs) == list(arrays)
        for name, a in arrays.items():
            assert theirs[name].dtype == a.dtype
            np.testing.assert_array_equal(theirs[name], a)
    for file in ("x.npz", "y.npz"):
        ours = at.load(tmp_path / file, mmap=mmap)
        assert list(ours) == list(arrays)
        for name, a in arrays.items():
            assert ours[name].dtype.name == dtype
            np.testing.assert_array_equal(to_numpy(ours[name]), a)
    at.save(from_numpy(arrays["a2"]), tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), arrays["a2"])
    assert (tmp_path / "x.npy").read_bytes() == npy(arrays["a2"])
    np.testing.assert_array_equal(to_numpy(at.load(tmp_path / "x.npy", mmap=mmap)), arrays["a2"])


@pytest.mark.parametrize("mmap", [False, True])
def test_bfloat16_goes_as_two_opaque_bytes(mmap: bool, tmp_path: Path) -> None:
    x = at.arange(6, dtype=at.bfloat16).reshape(2, 3)
    at.save(x, tmp_path / "x.npy")
    back = at.load(tmp_path / "x.npy", mmap=mmap)
    assert back.dtype == at.bfloat16 and back.tolist() == x.tolist()
    opaque = np.load(tmp_path / "x.npy")
    assert opaque.dtype == "V2"
    np.testing.assert_array_equal(
        opaque.view(np.uint16).astype(np.uint32) << 16, np.arange(6.0, dtype="f4").view("u4").reshape(2, 3)
    )


def test_orders_of_elements_and_bytes() -> None:
    a = np.arange(24.0).reshape(2, 3, 4)
    loaded = read(npy(np.asfortranarray(a)))
    assert loaded.stride() == (1, 2, 6)
    np.testing.assert_array_equal(loaded.numpy(), a)
    for dtype in (">f8", ">i2", ">c8", ">u4"):
        np.testing.assert_array_equal(read(npy(a.astype(dtype))).numpy(), a.astype(dtype))


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format(version: tuple[int, int]) -> None:
    assert read(npy(np.arange(3), version=version)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("mmap", [False, True])
def test_compressed_members(mmap: bool, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", a=np.arange(1000), b=np.eye(3))
    loaded = at.load(tmp_path / "x.npz", mmap=mmap)
    assert loaded["a"].tolist() == list(range(1000))
    np.testing.assert_array_equal(loaded["b"].numpy(), np.eye(3))


def mapped_ranges(path: Path) -> list[range]:
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(path.name)]
    return [range(*(int(end, 16) for end in line[0].split("-"))) for line in lines]


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="reads /proc")
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_mapped_tensors_lie_in_the_file_and_keep_it_mapped(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"mapped{suffix}"
    x = at.arange(1000, dtype=at.float64)
    at.save(x if suffix == ".npy" else {"first": at.ones(3, dtype=at.uint8), "x": x}, path)
    before = path.read_bytes()
    loaded = at.load(path, mmap=True)
    tensor = loaded if suffix == ".npy" else loaded["x"]
    assert any(tensor.data_ptr() in mapped for mapped in mapped_ranges(path))
    row = tensor[5:6]
    row += 1
    del loaded, tensor
    assert row.item() == 6.0 and mapped_ranges(path)
    assert path.read_bytes() == before
    del row
    assert not mapped_ranges(path)


def test_a_mapped_file_needs_a_path() -> None:
    with pytest.raises(at.ArgumentError, match="expected a path for mmap=True, got BytesIO"):
        at.load(io.BytesIO(npy(np.ones(1))), mmap=True, format=".npy")


@pytest.mark.parametrize(
    ("obj", "name", "message"),
    [
        ({"x": 1}, "x.npy", "expected a tensor for a .npy file, got dict"),
        ({"x": 1}, "x.npz", "expected a dict of names and tensors"),
        ([1], "x.npz", "got list"),
    ],
)
def test_what_cannot_be_saved(obj: Any, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(at.ArgumentError, match=message):
        at.save(obj, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(at.ArgumentError, match="hold no metadata"):
        at.save({"x": at.ones(1)}, tmp_path / "x.npz", metadata={"a": "b"})


def test_a_format_by_name(tmp_path: Path) -> None:
    at.save(at.ones(2), tmp_path / "weights.bin", format=".npy")
    assert np.load(tmp_path / "weights.bin").tolist() == [1.0, 1.0]
    assert at.load(tmp_path / "weights.bin", format=".npy").tolist() == [1.0, 1.0]
    with pytest.raises(at.FormatError, match=r"load: expected a file name ending in one of .*, got 'weights.bin'"):
        at.load(tmp_path / "weights.bin")
    with pytest.raises(at.FormatError, match=r"no safetensors file.*; for another format .* pass its suffix"):
        at.load(io.BytesIO(npy(np.ones(3))))


# ---- files that are not what they say ----


def forge(header: str | bytes, data: bytes = b"", version: int = 1, length: int | None = None) -> bytes:
    text = header.encode() if isinstance(header, str) else header
    size = struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data


def fields(descr: str = "'<f4'", order: str = "False", shape: str = "(1,)", more: str = "") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, {more}}}"


HOSTILE = {
    "empty": (b"", "no .npy file"),
    "short": (b"\x93NUMPY\x01", "truncated"),
    "another file": (b"PK\x03\x04" + bytes(20), "no .npy file"),
    "an unknown version": (forge(fields(), bytes(4), version=9), "version 1 to 3, got 9.0"),
    "a header longer than the file": (forge(fields(), length=5000), "truncated"),
    "a header of 2^32 - 1 bytes": (forge(fields(), bytes(4), version=2, length=2**32 - 1), "at most 10000 bytes"),
    "objects": (npy(np.array([{}], dtype=object)), "arrays of objects are pickles, which are never read"),
    "fields": (npy(np.zeros(2, "i4,f4")), "got .*i4"),
    "text": (npy(np.array(["ab"])), "got '<U2'"),
    "dates": (npy(np.zeros(1, "M8[s]")), "expected a dtype that atled has"),
    "long doubles": (npy(np.zeros(1, np.longdouble)), "expected a dtype that atled has"),
    "no dict": (forge("[1, 2]", bytes(4)), "expected a header with"),
    "code": (forge(fields(shape="__import__('os')"), bytes(4)), "expected a header with"),
    "an unknown field": (forge(fields(more="'x': True,"), bytes(4)), "expected a header with"),
    "a missing field": (forge("{'descr': '<f4', 'shape': (1,), }", bytes(4)), "expected a header with"),
    "deep parentheses": (forge("(" * 9000, bytes(4)), "expected a header with"),
    "spaces": (forge("{" + " " * 9900, bytes(4)), "expected a header with"),
    "a negative size": (forge(fields(shape="(-1,)"), bytes(4)), "expected a header with"),
    "65 dimensions": (forge(fields(shape="(" + "1," * 65 + ")"), bytes(4)), "at most 64"),
    "sizes that overflow": (forge(fields(shape=f"({2**40}, {2**40})"), bytes(4)), "that memory can hold"),
    "overflow beside a zero": (forge(fields(shape=f"(0, {2**62})")), "that memory can hold"),
    "a size of many digits": (forge(fields(shape="(" + "9" * 5000 + ",)"), bytes(4)), "shape"),
    "more elements than bytes": (forge(fields(shape="(1000000000000,)"), bytes(4)), "truncated"),
    "bytes left over": (forge(fields(), bytes(5)), "expected 4 bytes for shape"),
    "a bool of two": (forge(fields("'|b1'"), b"\x02"), "bytes 0 and 1"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files(name: str, tmp_path: Path) -> None:
    content, message = HOSTILE[name]
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x.npy", content)
    for suffix in (".npy", ".npz"):
        for mmap in (False, True):
            with pytest.raises(at.FormatError, match=message):
                at.load(tmp_path / f"x{suffix}", mmap=mmap)


def test_truncations_and_flipped_bytes() -> None:
    rng = np.random.default_rng(0)
    for whole, suffix in ((npy(np.arange(5)), ".npy"), (HOSTILE_ARCHIVE, ".npz")):
        for n in range(0, len(whole), 3):
            with pytest.raises(at.FormatError):
                read(whole[:n], suffix)
            broken = bytearray(whole)
            broken[n] ^= int(rng.integers(1, 256))
            try:
                read(bytes(broken), suffix)
            except at.FormatError:
                continue


def _archive() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, a=np.arange(5), b=np.ones((2, 2)))
    return file.getvalue()


HOSTILE_ARCHIVE = _archive()


def test_other_members() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "text")
    with pytest.raises(at.FormatError, match="end in .npy, got 'readme.txt'"):
        read(file.getvalue(), ".npz")


# ---- from_file ----


def test_from_file_shares_with_the_file_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "numbers.bin"
    np.arange(6, dtype="i4").tofile(path)
    private = at.from_file(path, size=4, dtype=at.int32)
    private += 1
    assert np.fromfile(path, "i4").tolist() == [0, 1, 2, 3, 4, 5]
    shared = at.from_file(str(path), True, 4, dtype=at.int32)
    shared += 10
    assert shared.tolist() == [10, 11, 12, 13]
    assert np.fromfile(path, "i4").tolist() == [10, 11, 12, 13, 4, 5]


def test_from_file_makes_and_extends_shared_files_only(tmp_path: Path) -> None:
    path = tmp_path / "new.bin"
    assert at.from_file(path, shared=True, size=3).tolist() == [0.0, 0.0, 0.0]
    assert path.stat().st_size == 12
    with pytest.raises(at.InvalidValueError, match="at least 16 bytes, got 12"):
        at.from_file(path, size=4)
    with pytest.raises(FileNotFoundError):
        at.from_file(tmp_path / "missing", size=1)
    for size in (-1, 2**61, 2**80):
        with pytest.raises(at.InvalidValueError, match=r"expected a size of 0 to 2\^46 bytes"):
            at.from_file(path, shared=True, size=size)
    assert path.stat().st_size == 12
    assert at.from_file(path).shape == (0,)
