"""Indices out of bounds on a device: told later, but told, and nothing is touched that no index names."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core import _cuda
from atled.core.cuda import _native

pytestmark = pytest.mark.skipif(
    "1" in (os.environ.get("ATLED_CUDA_LAUNCH_BLOCKING"), os.environ.get("CUDA_LAUNCH_BLOCKING")),
    reason="calls wait for their own errors",
)


def on(device: str, values: Any, dtype: Any = None) -> at.Tensor:
    return at.tensor(values, dtype=dtype).to(device)


CALLS: list[tuple[str, Callable[[at.Tensor, at.Tensor], Any]]] = [
    ("index", lambda x, i: x[i]),
    ("index", lambda x, i: x[:, i]),
    ("index_select", lambda x, i: x.index_select(0, i)),
    ("embedding", lambda x, i: at.embedding(x, i)),
    ("gather", lambda x, i: x.gather(0, i.reshape(-1, 1))),
    ("index_put", lambda x, i: x.index_put((i,), at.ones(1, device=x.device))),
    ("index_put", lambda x, i: x.index_put((i,), at.ones(1, device=x.device), accumulate=True)),
    ("index_add", lambda x, i: x.index_add(0, i, x)),
    ("index_put", lambda x, i: x[0].index_put((i,), x[0], accumulate=True)),
    ("index_add", lambda x, i: x[0].index_add(0, i, x[0])),
    ("index_add", lambda x, i: x.long().index_add(0, i, x.long())),
    ("index_copy", lambda x, i: x.index_copy(0, i, x)),
    ("index_fill", lambda x, i: x.index_fill(0, i, 2)),
    ("scatter", lambda x, i: x.scatter(0, i.reshape(-1, 1), x)),
    ("scatter_add", lambda x, i: x.scatter_add(0, i.reshape(-1, 1), x)),
    ("scatter_reduce", lambda x, i: x.scatter_reduce(0, i.reshape(-1, 1), x, "amax")),
]


@pytest.mark.parametrize("bad", [3, -4, 2**40])
@pytest.mark.parametrize(("name", "call"), CALLS)
def test_reading_raises_what_a_call_met(gpu: str, name: str, call: Callable[..., Any], bad: int) -> None:
    x = at.ones(3, 3, device=gpu)
    call(x, on(gpu, [0, bad, 1]))
    with pytest.raises(IndexError, match=rf"{name}: expected indices for dim \d in \[-3, 3\), got {bad}; .*BLOCKING=1"):
        x.to("cpu")
    # It was told once, and the device goes on.
    assert x.sum().item() == 9
    assert call(x, on(gpu, [0, 2, 1])).to("cpu") is not None


def test_the_next_call_that_indexes_raises_too(gpu: str) -> None:
    x, bad, good = at.ones(3, device=gpu), on(gpu, [7]), on(gpu, [1])
    x[bad]
    with pytest.raises(at.BoundsError, match=r"index: expected .* got 7"):
        good // good  # which waits for the device, to see its divisors
        x[good]
    assert x[good].item() == 1


def test_the_first_error_stays_and_its_call_is_numbered(gpu: str) -> None:
    x, good = at.ones(3, device=gpu), on(gpu, [1])
    x[on(gpu, [5])]
    with pytest.raises(IndexError) as first:
        x.to("cpu")
    x[good]
    x.index_select(0, on(gpu, [-9]))
    with pytest.raises(IndexError) as second:
        x.to("cpu")
    numbers = [int(str(e.value).split("this was call ")[1].split()[0]) for e in (first, second)]
    assert numbers[1] == numbers[0] + 2


@pytest.mark.parametrize("dtype", [at.float32, at.int32, at.uint8])
def test_what_no_index_names_is_left_alone(gpu: str, dtype: Any) -> None:
    memory = at.zeros(300, dtype=dtype, device=gpu)
    x, index, ones = memory[100:104], on(gpu, [0, 4, -5, 3]), at.ones(4, dtype=dtype, device=gpu)
    for write in (
        lambda: x.index_put_((index,), ones),
        lambda: x.index_put_((index,), ones, accumulate=True),
        lambda: x.scatter_(0, index, ones),
        lambda: x.index_fill_(0, index, 1),
    ):
        memory.zero_()
        write()
        with pytest.raises(IndexError, match="got (4|-5)"):
            memory.to("cpu")
        written = np.flatnonzero(memory.to("cpu").numpy())
        assert written.tolist() == [100, 103]


def test_there_are_no_indices_into_nothing(gpu: str) -> None:
    for x in (at.ones(0, 3, device=gpu), at.ones(0, 0, device=gpu)):
        x[on(gpu, [0])]
        with pytest.raises(IndexError, match=r"in \[0, 0\), got 0"):
            at.ones(1, device=gpu).to("cpu")
    assert at.ones(0, 3, device=gpu)[at.zeros(0, dtype=at.int64, device=gpu)].shape == (0, 3)


@pytest.mark.parametrize("variable", ["ATLED_CUDA_LAUNCH_BLOCKING", "CUDA_LAUNCH_BLOCKING"])
def test_calls_can_wait_and_raise_their_own(gpu: str, variable: str) -> None:
    script = f"""
import atled.core as at
for device in ("cpu", "{gpu}"):
    x = at.ones(3, 3, device=device)
    try:
        x.index_select(1, at.tensor([1, -4]).to(device))
    except IndexError as error:
        print(error)
    assert x.sum().item() == 9
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, variable: "1"}, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines == ["index_select: expected indices for dim 1 in [-3, 3), got -4"] * 2


def test_waiting_raises(gpu: str) -> None:
    x, bad = at.ones(3, device=gpu), on(gpu, [4])
    x[bad]
    with pytest.raises(IndexError, match=r"^index: expected indices for dim 0 in \[-3, 3\), got 4; this was call \d+"):
        at.cuda.synchronize()
    at.cuda.synchronize()
    x[bad]
    event = at.cuda.Event()
    event.record()
    with pytest.raises(IndexError, match="got 4"):
        event.synchronize()


def test_a_replayed_graph_tells_of_its_indices(gpu: str) -> None:
    x, index, source = at.zeros(5, device=gpu), on(gpu, [1, 2, 2]), at.ones(3, device=gpu)
    graph = at.cuda.CUDAGraph()
    x.scatter_add(0, index, source)
    with at.cuda.graph(graph):
        summed, read = x.scatter_add(0, index, source), x.index_select(0, index)
    graph.replay()
    assert summed.tolist() == [0, 1, 2, 0, 0]
    index.copy_(on(gpu, [1, 5, 0]))
    for _ in range(2):
        graph.replay()
        with pytest.raises(IndexError, match="scatter_add: .* got 5"):
            at.cuda.synchronize()
    index.copy_(on(gpu, [0, 0, -1]))
    graph.replay()
    assert summed.tolist() == [2, 0, 0, 0, 1]
    assert read.tolist() == [0, 0, 0]


def test_a_kernel_that_still_runs_tells_once(gpu: str) -> None:
    emulator = _cuda.LIBRARY.with_name("libatled_emulator.so")
    if not emulator.exists():
        pytest.skip("expected the emulated device, whose kernels can be stopped halfway")
    enqueue = ctypes.CDLL(str(emulator)).atled_emulator_enqueue

    class Record(ctypes.Structure):
        _fields_ = [("found", ctypes.c_int32), ("dim", ctypes.c_int32), ("value", ctypes.c_int64)]
        _fields_ += [("bound", ctypes.c_int64), ("position", ctypes.c_int64)]
        _fields_ += [("op", ctypes.c_char_p), ("name", ctypes.c_char_p), ("call", ctypes.c_uint64)]

    class Site(ctypes.Structure):
        _fields_ = [("error", ctypes.POINTER(Record)), ("claimed", ctypes.POINTER(ctypes.c_uint32))]
        _fields_ += [("op", ctypes.c_char_p), ("name", ctypes.c_char_p), ("call", ctypes.c_uint64)]

    site, stream = Site(), at.cuda.Stream()
    _native.native().index_begin(0, b"half", None, ctypes.byref(site))

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    def half(_: Any) -> None:  # report_index() of atled/cuda.hpp
        if site.claimed[0] == 0:
            site.claimed[0] = 1
            site.error[0] = Record(1, 0, 9, 3, -1, site.op, None, site.call)

    x, good = at.ones(3, device=gpu), on(gpu, [1])
    for _ in range(2):
        enqueue(ctypes.c_void_p(stream.cuda_stream), half, None)
    assert not stream.query()  # the first half has run
    with pytest.raises(IndexError, match=r"half: expected indices for dim 0 in \[-3, 3\), got 9"):
        x[good]
    stream.synchronize()
    assert x[good].item() == 1
