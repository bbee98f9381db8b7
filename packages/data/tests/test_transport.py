"""Objects through a connection: shared memory, its fallback, and what they leave behind."""

from __future__ import annotations

import errno
import gc
import os
import sys
import threading
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.data import _transport

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Route:
    """Both ends of a connection."""

    def __init__(self, left: Connection, right: Connection) -> None:
        self.sender = _transport.Sender(left)
        self.receiver = _transport.Receiver(right)

    def through(self, value: Any) -> tuple[_transport.Parcel, Any]:
        packed = _transport.pack(value)
        thread = threading.Thread(target=self.sender.send, args=("label", *packed))
        thread.start()
        parcel, unpack = self.receiver.receive()
        thread.join()
        assert parcel.label == "label"
        self.sender.release(self.receiver.take_released())
        return parcel, unpack()


def through(value: Any) -> tuple[_transport.Parcel, Any]:
    left, right = Pipe()
    route = Route(left, right)
    try:
        return route.through(value)
    finally:
        route.sender.close()
        left.close()
        right.close()


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


@pytest.mark.parametrize("length", [0, 3, 100_000])
def test_bfloat16_survives(length: int) -> None:
    _, tensor = through(at.arange(length).to(at.bfloat16))
    assert tensor.dtype == at.bfloat16
    assert tensor.tolist() == at.arange(length).to(at.bfloat16).tolist()


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


@pytest.fixture
def route() -> Iterator[Route]:
    left, right = Pipe()
    both = Route(left, right)
    yield both
    both.sender.close()
    left.close()
    right.close()


def test_memory_is_used_again_once_its_last_tensor_is_gone(route: Route) -> None:
    first, array = route.through(large())
    row = array[3]
    del array
    second, other = route.through(large() + 1)
    assert (first.is_new, second.is_new) == (True, True)
    np.testing.assert_array_equal(row, large()[3])
    del row
    route.through(None)
    third, again = route.through(large() + 2)
    assert (third.file, third.is_new) == (first.file, False)
    np.testing.assert_array_equal(again, large() + 2)
    np.testing.assert_array_equal(other, large() + 1)


def test_memory_that_a_child_process_inherited_is_not_used_again(route: Route) -> None:
    first, array = route.through(large())
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0 if np.array_equal(array, large()) else 1)
    os.read(ready[0], 1)
    del array
    route.through(None)
    second, _ = route.through(large() + 1)
    os.write(go[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    assert second.file != first.file
    for descriptor in (*ready, *go):
        os.close(descriptor)


def test_sizes_may_change(route: Route) -> None:
    generator = np.random.default_rng(0)
    kept: list[Any] = []
    for number in range(60):
        array = generator.standard_normal(int(generator.integers(0, 200_000)))
        kept.append((array, route.through(array)[1]))
        if number % 4:
            kept.pop(int(generator.integers(len(kept))))
        for sent, received in kept:
            np.testing.assert_array_equal(sent, received)


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
        _transport.Receiver(right).receive()
    with pytest.raises(OSError, match=r"."):
        _transport.Sender(right).send(None, *_transport.pack(large()))
