"""Tensors between processes: what arrives, what is shared, what is left behind when a process is killed."""

from __future__ import annotations

import errno
import gc
import multiprocessing as standard
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atled.core as at
import atled.core.multiprocessing as mp
from atled.core.multiprocessing import _segments, connection
from atled.testing import ALL, from_numpy, numpy_dtype, to_numpy

METHODS = ["fork", "spawn"]
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def large(dtype: str = "float32") -> Any:
    return (np.arange(100_000) % 50_000).astype(numpy_dtype(dtype)).reshape(100, 1000)


class Route:
    """Both ends of a connection, in one process."""

    def __init__(self) -> None:
        self.left, self.right = mp.Pipe()

    def through(self, value: Any) -> Any:
        sender = threading.Thread(target=self.left.send, args=(value,))
        sender.start()
        received = self.right.recv()
        sender.join()
        return received

    def close(self) -> None:
        self.left.close()
        self.right.close()


@pytest.fixture
def route() -> Iterator[Route]:
    both = Route()
    yield both
    both.close()


def files() -> list[str]:
    """The files in memory that this process has open or mapped."""
    gc.collect()
    opened = [
        os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}")
    ]
    mapped = Path("/proc/self/maps").read_text().splitlines()
    return [name for name in (*opened, *mapped) if "memfd:atled" in name]


# ---- values ----


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("rows", [0, 1, 100])
def test_values_survive(route: Route, dtype: str, rows: int) -> None:
    array = large(dtype)[:rows]
    for value in (array, array.T, array[:, ::3]):
        name, tensor, copy = route.through(("name", from_numpy(value), value if dtype != "bfloat16" else 0))
        assert name == "name"
        assert tensor.dtype.name == dtype
        np.testing.assert_array_equal(to_numpy(tensor), value)
        if dtype != "bfloat16":
            np.testing.assert_array_equal(copy, value)


def test_scalars_and_other_objects_survive(route: Route) -> None:
    value = {"scalar": at.tensor(3), "nested": [(1, "a"), None], "array": np.array(["x", "y"])}
    result = route.through(value)
    assert result["scalar"].shape == ()
    assert result["scalar"].item() == 3
    assert result["nested"] == [(1, "a"), None]
    assert result["array"].tolist() == ["x", "y"]


@pytest.mark.parametrize("n", [4, 100_000])
def test_views_that_overlap_stay_views_of_one_storage(route: Route, n: int) -> None:
    x = at.arange(4 * n).reshape(4, n)
    row, base, column, again, flipped = route.through((x[1], x, x[:, :2], x, x[3, ::-1]))
    assert again is base
    for view, expected in ((row, x[1]), (column, x[:, :2]), (flipped, x[3, ::-1])):
        assert view.tolist() == expected.tolist() and view.stride() == expected.stride()
        assert view.shares_storage(base)
    base.fill_(-1)
    assert row[0].item() == column[3, 1].item() == flipped[0].item() == -1
    assert x[1, 0].item() == n
    apart = route.through((x[0], x[2]))
    assert [t.tolist() for t in apart] == [x[0].tolist(), x[2].tolist()]


def test_a_small_view_does_not_bring_all_of_its_storage(route: Route) -> None:
    assert connection.pack(at.zeros(10_000_000)[5:6]).sizes == (4,)
    assert connection.pack(at.zeros(1000, 1000)[:, 5]).sizes == (4000,)


def test_subclasses_and_attributes_survive(route: Route) -> None:
    weight = Weight(at.ones(3))
    weight.note = "first"
    received = route.through(weight)
    assert type(received) is Weight and received.note == "first" and received.tolist() == [1.0] * 3


class Weight(at.Tensor):
    note: str


@pytest.mark.parametrize("array", [np.zeros(3), large()], ids=["inline", "in memory"])
def test_received_tensors_can_be_written(route: Route, array: Any) -> None:
    tensor = route.through(at.from_numpy(array))
    tensor.fill_(7)
    assert tensor.tolist() != array.tolist()


# ---- memory ----


@linux
def test_a_received_tensor_lies_in_the_file_and_owns_it(route: Route) -> None:
    tensor = route.through(at.from_numpy(large()))
    lines = [line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:atled" in line]
    assert any(tensor.data_ptr() in range(*(int(end, 16) for end in line.split("-"))) for line in lines)
    row = tensor[99]
    del tensor
    route.close()
    assert row.tolist()[-1] == 49_999
    assert files()
    del row
    assert not files()


def test_memory_is_used_again_once_its_last_tensor_is_gone(route: Route) -> None:
    def place(tensor: Any) -> int:
        return tensor.data_ptr() if isinstance(tensor, at.Tensor) else tensor.__array_interface__["data"][0]

    array = route.through(large())
    first, row = place(array), array[3]
    del array
    other = route.through(large() + 1)
    assert place(other) != first
    np.testing.assert_array_equal(row, large()[3])
    del row
    again = route.through(at.from_numpy(large() + 2))
    assert place(again) == first
    np.testing.assert_array_equal(again, large() + 2)
    np.testing.assert_array_equal(other, large() + 1)


def test_memory_that_a_child_process_inherited_is_not_used_again(route: Route) -> None:
    array = route.through(large())
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os._exit(0 if np.array_equal(array, large()) else 1)
    os.read(ready[0], 1)
    (first,) = route.left._writer._kept
    del array
    second = route.through(large() + 1)
    os.write(go[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    assert first not in route.left._writer._kept
    np.testing.assert_array_equal(second, large() + 1)
    for descriptor in (*ready, *go):
        os.close(descriptor)


def test_sizes_may_change(route: Route) -> None:
    generator = np.random.default_rng(0)
    kept: list[Any] = []
    for number in range(60):
        array = generator.standard_normal(int(generator.integers(5000, 200_000)))
        kept.append((array, route.through(array)))
        if number % 4:
            kept.pop(int(generator.integers(len(kept))))
        for sent, received in kept:
            np.testing.assert_array_equal(sent, received)


def shared_files() -> list[str]:
    """But for MPI's: tests of atled.distributed may run at the same time."""
    return [name for name in os.listdir("/dev/shm") if not name.startswith("mpich_")]


@linux
def test_nothing_is_left_behind() -> None:
    names, before = shared_files(), len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        route = Route()
        route.through(large())
        route.left.send_packet(connection.pack(at.zeros(9).share_memory_()))
        route.right.recv_packet()  # and never opened
        route.left.send(large())  # and never received
        route.close()
    assert shared_files() == names
    assert len(os.listdir("/proc/self/fd")) == before
    assert not files()


@linux
def test_many_kept_messages_do_not_use_up_descriptors(route: Route) -> None:
    before = len(os.listdir("/proc/self/fd"))
    kept = [route.through(large()) for _ in range(200)]
    assert len(os.listdir("/proc/self/fd")) - before <= 160
    for array in kept:
        np.testing.assert_array_equal(array, large())


def test_without_room_there_is_a_warning_and_a_copy(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, buffer: Any, offset: int) -> int:
        if offset >= 65536:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, buffer[:65536], offset)

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", full)
    array = np.arange(20_000.0)  # what a socket holds at once
    with pytest.warns(mp.SharedMemoryWarning, match="160000 bytes: No space left on device") as caught:
        route.left.send(array)
    assert caught[0].filename == __file__
    received = route.right.recv_packet()
    assert received.fallback is not None and received.fallback.endswith("No space left on device")
    np.testing.assert_array_equal(received.open(), array)


def test_partial_writes_are_continued(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, buffer, offset: real(descriptor, buffer[:777], offset))
    np.testing.assert_array_equal(route.through(large()), large())


def test_a_closed_connection_is_an_error(route: Route) -> None:
    route.left.close()
    with pytest.raises(EOFError):
        route.right.recv()
    with pytest.raises(OSError, match=r"."):
        route.right.send(large())
    with pytest.raises(OSError, match="closed"):
        route.left.send(1)


# ---- shared tensors ----


def test_share_memory_moves_a_tensor_in_place() -> None:
    for x in (
        at.arange(5),
        at.arange(1000.0).reshape(10, 100),
        at.tensor(3),
        at.empty(0, 2),
        at.arange(6).reshape(2, 3),
    ):
        expected, same = x.tolist(), x
        assert not x.is_shared()
        assert x.share_memory_() is same
        assert x.is_shared() and x.tolist() == expected
        assert x.share_memory_() is x
        assert x.reshape(-1)[:0].is_shared()
    view = at.arange(10)[2:8:2]
    assert view.share_memory_().tolist() == [2, 4, 6] and view.stride() == (2,)


def test_share_memory_leaves_nobody_behind() -> None:
    x = at.arange(5)
    for holder in (x[1:], x.numpy(), memoryview(x), at.from_dlpack(x)):
        with pytest.raises(at.OperationError, match="share_memory_: expected a tensor that nothing else refers to"):
            x.share_memory_()
        del holder
    assert not x.is_shared() and x.share_memory_().tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(at.DeviceError, match="expected a tensor on cpu"):
        at.empty(3, device="meta").share_memory_()


@linux
def test_a_shared_tensor_frees_its_memory() -> None:
    x = at.ones(1000).share_memory_()
    assert files()
    row = x[3:]
    del x
    assert files() and row.is_shared()
    del row
    assert not files()


def test_shared_tensors_are_sent_as_they_are(route: Route) -> None:
    x = at.zeros(4, 5).share_memory_()
    whole, row, bits, again = route.through([x, x[2], x.view(at.int32), x])
    assert again is whole and whole.is_shared() and row.is_shared() and row.shares_storage(whole)
    row += 1
    assert x[2].tolist() == whole[2].tolist() == [1.0] * 5 and x[1].tolist() == [0.0] * 5
    assert bits[2, 0].item() == 0x3F800000
    x.fill_(2)
    assert row.tolist() == [2.0] * 5


@pytest.mark.parametrize("count", [3, 600])
def test_many_shared_tensors_in_a_message(route: Route, count: int) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4 * count:
        if hard != resource.RLIM_INFINITY and hard < 4 * count:
            pytest.skip("too few descriptors")
        resource.setrlimit(resource.RLIMIT_NOFILE, (4 * count, hard))
    try:
        tensors = [at.tensor(i).share_memory_() for i in range(count)]
        assert [t.item() for t in route.through(tensors)] == list(range(count))
    finally:
        del tensors
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@linux
def test_a_receiver_without_descriptors_loses_one_message_only(route: Route) -> None:
    import resource

    tensors = [at.tensor(i).share_memory_() for i in range(3)]
    for _ in range(2):
        route.left.send(tensors)
    route.left.send("next")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Descriptors are given out from the lowest: the first free one is all that is left.
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, limits[1]))
    try:
        with pytest.raises(OSError, match="too many open files"):
            route.right.recv()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert [t.item() for t in route.right.recv()] == [0, 1, 2]
    assert route.right.recv() == "next"


def test_a_writer_keeps_a_limited_number_of_bytes(route: Route, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_segments, "_MAX_KEPT_BYTES", 1_000_000)
    for n in (200_000, 50_000, 90_000, 300_000):
        assert route.through(at.arange(n, dtype=at.int32)).tolist() == list(range(n))
        assert sum(kept.size for kept in route.left._writer._kept.values()) <= 1_000_000


def test_pickle_takes_a_copy_of_a_shared_tensor() -> None:
    import pickle

    x = at.zeros(3).share_memory_()
    copy = pickle.loads(pickle.dumps(x))
    copy += 1
    assert x.tolist() == [0.0] * 3 and not copy.is_shared()


# ---- processes ----


def answer(inbox: Any, outbox: Any, shared: Any) -> None:
    while (value := inbox.get()) is not None:
        shared += 1
        outbox.put((value * 2, value.shape))


def total(x: Any) -> Any:
    return x.sum()


@pytest.mark.parametrize("method", METHODS)
def test_queues(method: str) -> None:
    context = mp.get_context(method)
    shared = at.zeros(3).share_memory_()
    for make in (context.Queue, context.SimpleQueue, context.JoinableQueue):
        inbox, outbox = make(), make()
        process = context.Process(target=answer, args=(inbox, outbox, shared))
        process.start()
        for n in (3, 100_000, 100_000, 100_000):
            inbox.put(at.arange(n))
            result, shape = outbox.get()
            assert result.tolist() == list(range(0, 2 * n, 2)) and shape == (n,)
        inbox.put(None)
        process.join(20)
        assert process.exitcode == 0
        if hasattr(inbox, "join_thread"):
            inbox.close()
            inbox.join_thread()
    assert shared.tolist() == [12.0] * 3


@pytest.mark.parametrize("method", METHODS)
def test_pools(method: str) -> None:
    with mp.get_context(method).Pool(2) as pool:
        assert [x.item() for x in pool.map(total, [at.ones(n) for n in (1, 100_000)])] == [1.0, 100_000.0]
        assert pool.apply(total, (at.ones(5),)).item() == 5.0


def echo(end: Any) -> None:
    # A connection sent through a connection.
    further = end.recv()
    further.send(at.full((100_000,), 3))


def test_pipes_through_pipes_between_spawned_processes() -> None:
    ours, theirs = mp.Pipe()
    process = mp.get_context("spawn").Process(target=echo, args=(theirs,))
    process.start()
    theirs.close()
    reader, writer = mp.Pipe(duplex=False)
    assert (reader.writable, writer.readable) == (False, False)
    ours.send(writer)
    assert reader.recv().tolist() == [3] * 100_000
    process.join(20)


def test_a_queue_refuses_what_cannot_be_pickled_and_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    queue = mp.Queue(2)
    for _ in range(4):
        queue.put([at.ones(3), lambda: None], timeout=10)
    queue.put(at.ones(3))
    assert queue.get(timeout=10).tolist() == [1.0] * 3
    queue.close()
    queue.join_thread()
    assert "<lambda>" in capfd.readouterr().err  # in words that differ between versions of Python


def hold_forever(inbox: Any, outbox: Any) -> None:
    held = inbox.get()
    outbox.put(held[0].item())
    time.sleep(600)


@linux
@pytest.mark.parametrize("method", METHODS)
def test_memory_of_killed_processes_is_freed(method: str) -> None:
    assert not files()
    context = mp.get_context(method)
    inbox, outbox = context.SimpleQueue(), context.SimpleQueue()
    process = context.Process(target=hold_forever, args=(inbox, outbox))
    process.start()
    inbox.put(at.arange(100_000))
    assert outbox.get() == 0
    inbox.put(at.arange(100_000))  # it will never receive this one
    kept = len(files())
    process.kill()
    process.join(20)
    # The file that it held is given up, not kept for its return.
    inbox._writer._writer._free()
    assert len(files()) < kept
    inbox.close()
    outbox.close()
    assert not files()


def dies_while_sending(outbox: Any) -> None:
    outbox.put(at.arange(100_000))
    outbox.put(at.arange(100_000))
    os.kill(os.getpid(), signal.SIGKILL)


@linux
def test_what_a_killed_process_sent_is_there_and_then_gone() -> None:
    context = mp.get_context("fork")
    outbox = context.SimpleQueue()
    process = context.Process(target=dies_while_sending, args=(outbox,))
    process.start()
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    received = outbox.get()
    assert received[-1].item() == 99_999
    outbox.close()
    del received
    assert not files()


def send_one(outbox: Any, n: int) -> None:
    outbox.put(at.full((100_000,), n))


@linux
def test_a_reader_lets_go_of_what_ended_writers_leave() -> None:
    context = mp.get_context("fork")
    outbox = context.SimpleQueue()
    counts = []
    for n in range(5):
        process = context.Process(target=send_one, args=(outbox, n))
        process.start()
        process.join(20)
        assert outbox.get()[-1].item() == n
        counts.append(len(files()))
    assert max(counts) == counts[0]
    outbox.close()
    assert not files()


# ---- spawn ----


def write_rank(rank: int, out: Any) -> None:
    out[rank] = rank + 1


def fail_second(rank: int) -> None:
    if rank == 1:
        raise ValueError("no such thing")
    time.sleep(600)


def die_first(rank: int) -> None:
    if rank == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def test_spawn_passes_shared_tensors_and_the_rank() -> None:
    out = at.zeros(3, dtype=at.int64).share_memory_()
    assert mp.spawn(write_rank, (out,), nprocs=3, start_method="fork") is None
    assert out.tolist() == [1, 2, 3]
    started = mp.spawn(write_rank, (out.zero_(),), nprocs=2, join=False)
    assert started is not None and len(started.pids()) == 2
    assert started.join(timeout=60) and out.tolist() == [1, 2, 0]


def test_spawn_raises_what_a_process_raised() -> None:
    with pytest.raises(
        mp.ProcessRaisedException, match=r"process 1 \(pid \d+\) raised:[^$]*ValueError: no such thing"
    ) as e:
        mp.spawn(fail_second, nprocs=2, start_method="fork")
    assert e.value.error_index == 1
    with pytest.raises(mp.ProcessExitedException, match="process 0 .* was killed by SIGKILL") as died:
        mp.spawn(die_first, nprocs=2, start_method="fork")
    assert died.value.exit_code == -signal.SIGKILL


def test_join_times_out() -> None:
    started = mp.start_processes(time.sleep, nprocs=1, join=False, start_method="fork")
    assert started is not None and started.join(timeout=60)
    slow = mp.start_processes(fail_second, nprocs=1, join=False, start_method="fork")
    assert slow is not None and not slow.join(timeout=0.05)
    slow.processes[0].kill()
    with pytest.raises(mp.ProcessExitedException):
        slow.join(timeout=60)


# ---- names ----


def test_every_standard_name_is_here() -> None:
    assert not [name for name in standard.__all__ if not hasattr(mp, name)]
    assert set(standard.__all__) <= set(mp.__all__)
    assert mp.Process is standard.Process
    assert mp.get_start_method() == standard.get_start_method()
    with pytest.raises(ValueError, match="nonsense"):
        mp.get_context("nonsense")


def test_strategies(route: Route) -> None:
    assert mp.get_all_sharing_strategies() == {"file_descriptor", "copy"}
    assert mp.get_sharing_strategy() == "file_descriptor"
    mp.set_sharing_strategy("copy")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            route.left.send(at.arange(10_000))
        assert not route.left._writer._kept
        assert route.right.recv().tolist() == list(range(10_000))
    finally:
        mp.set_sharing_strategy("file_descriptor")
    with pytest.raises(at.InvalidValueError, match="expected one of copy, file_descriptor, got 'file_system'"):
        mp.set_sharing_strategy("file_system")


def test_files_without_memfd(monkeypatch: pytest.MonkeyPatch, route: Route) -> None:
    monkeypatch.delattr(os, "memfd_create", raising=False)
    names = os.listdir(_segments.directory())
    np.testing.assert_array_equal(route.through(large()), large())
    x = at.ones(3).share_memory_()
    assert route.through(x).is_shared()
    assert set(os.listdir(_segments.directory())) <= set(names)
