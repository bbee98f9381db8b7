"""Objects through a connection: shared memory, its fallback, and what they leave behind."""

from __future__ import annotations

import errno
import gc
import os
import sys
import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.data import _transport

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def through(value: Any) -> tuple[_transport.Parcel, Any]:
    left, right = Pipe()
    sender = threading.Thread(target=_transport.send, args=(left, "label", *_transport.pack(value)))
    sender.start()
    parcel, unpack = _transport.receive(right)
    sender.join()
    assert parcel.label == "label"
    left.close()
    right.close()
    return parcel, unpack()


def large(dtype: str = "float32") -> Any:
    return (np.arange(100_000) % 50_000).astype(dtype).reshape(100, 1000)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "complex128"])
@pytest.mark.parametrize("rows", [0, 1, 100])
def test_values_survive(dtype: str, rows: int) -> None:
    array = large(dtype)[:rows]
    for value in (array, array.T, array[:, ::3]):
        parcel, (name, tensor, copy) = through(("name", at.from_numpy(value), value))
        assert parcel.in_file == (2 * value.nbytes > 32 * 1024)
        assert name == "name"
        assert str(tensor.dtype).endswith(dtype)
        np.testing.assert_array_equal(tensor.numpy(), value)
        np.testing.assert_array_equal(copy, value)


def test_scalars_and_other_objects_survive() -> None:
    value = {"scalar": at.tensor(3), "nested": [(1, "a"), None], "array": np.array(["x", "y"])}
    _, result = through(value)
    assert result["scalar"].shape == ()
    assert result["scalar"].item() == 3
    assert result["nested"] == [(1, "a"), None]
    assert result["array"].tolist() == ["x", "y"]


@pytest.mark.parametrize("array", [np.zeros(3), large()], ids=["inline", "shared"])
def test_received_tensors_can_be_written(array: Any) -> None:
    _, tensor = through(at.from_numpy(array))
    view = tensor.numpy()
    view[...] = 7
    assert tensor.tolist()[-1] == view.tolist()[-1] != array.tolist()[-1]


@linux
def test_a_received_tensor_lies_in_the_shared_file_and_owns_it() -> None:
    def mappings() -> list[str]:
        return [line for line in Path("/proc/self/maps").read_text().splitlines() if "(deleted)" in line]

    gc.collect()
    before = len(mappings())
    parcel, tensor = through(at.from_numpy(large()))
    assert parcel.in_file
    address = tensor.numpy().__array_interface__["data"][0]
    spans = [[int(end, 16) for end in line.split()[0].split("-")] for line in mappings()]
    assert any(start <= address < end for start, end in spans)
    row = tensor[99]
    del tensor
    assert row.tolist()[-1] == 49_999
    del row
    gc.collect()
    assert len(mappings()) == before


@linux
def test_nothing_is_left_behind() -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    names, before = os.listdir("/dev/shm"), descriptors()
    for _ in range(20):
        through(large())
    gc.collect()
    assert os.listdir("/dev/shm") == names
    assert descriptors() == before


@linux
def test_many_kept_batches_do_not_use_up_descriptors() -> None:
    before = len(os.listdir("/proc/self/fd"))
    kept = [through(large())[1] for _ in range(200)]
    assert len(os.listdir("/proc/self/fd")) - before <= 128
    for array in kept:
        np.testing.assert_array_equal(array, large())


def test_a_full_file_system_falls_back_to_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, buffer: Any, offset: int) -> int:
        if offset >= 65536:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, buffer[:65536], offset)

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", full)
    before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    parcel, array = through(large())
    assert not parcel.in_file
    assert parcel.fallback is not None
    assert parcel.fallback.endswith(": No space left on device")
    np.testing.assert_array_equal(array, large())
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == before


def test_partial_writes_are_continued(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, buffer, offset: real(descriptor, buffer[:777], offset))
    parcel, array = through(large())
    assert parcel.in_file
    np.testing.assert_array_equal(array, large())


def test_a_closed_connection_is_an_error() -> None:
    left, right = Pipe()
    left.close()
    with pytest.raises(EOFError):
        _transport.receive(right)
    with pytest.raises(OSError, match=r"."):
        _transport.send(right, None, *_transport.pack(large()))
