"""Captured graphs: replay, memory, random numbers, what cannot be captured, and that the device goes on after it."""

import contextlib
import gc

import pytest

import atled.core as at
from atled.core.cuda import CUDAGraph, Stream


def test_replay_reads_the_inputs_anew(gpu: str) -> None:
    x = at.ones(8, device=gpu)
    graph = CUDAGraph()
    with at.cuda.graph(graph):
        assert at.cuda.is_current_stream_capturing()
        y = (x * 2 + 1).sum()
    assert not at.cuda.is_current_stream_capturing()
    graph.replay()
    assert y.item() == 24
    x.fill_(5)
    graph.replay()
    assert y.item() == 88


def test_on_a_stream_of_ones_own_with_begin_and_end(gpu: str) -> None:
    side, graph = Stream(), CUDAGraph()
    x = at.zeros(4, device=gpu)
    side.wait_stream(at.cuda.current_stream())
    at.cuda.synchronize()
    with at.cuda.stream(side):
        graph.capture_begin()
        x += 1
        graph.capture_end()
        for _ in range(3):
            graph.replay()
    side.synchronize()
    assert x.tolist() == [3] * 4
    with pytest.raises(RuntimeError, match="call reset"):
        graph.capture_begin()
    graph.reset()
    with pytest.raises(RuntimeError, match="expected a graph that was captured"):
        graph.replay()
    with at.cuda.graph(graph):
        x += 1
    graph.replay()
    assert x.tolist() == [4] * 4


def test_other_streams_join(gpu: str) -> None:
    side, graph = Stream(), CUDAGraph()
    x = at.ones(4, device=gpu)
    with at.cuda.graph(graph):
        main = at.cuda.current_stream()
        side.wait_stream(main)
        with at.cuda.stream(side):
            y = x + 1
        z = x * 3
        main.wait_stream(side)
        total = y + z
    graph.replay()
    assert total.tolist() == [5] * 4


def test_memory_stays_the_graphs(gpu: str) -> None:
    x = at.ones(1 << 20, device=gpu)
    graph = CUDAGraph()
    with at.cuda.graph(graph):
        y = x + 1
        z = y * 2
        del y
    address = z.data_ptr()
    pools = {tuple(s["segment_pool_id"]) for s in at.cuda.memory_snapshot()}
    assert len(pools) > 1
    others = [at.full((1 << 20,), 7.0, device=gpu) for _ in range(4)]
    graph.replay()
    assert z.data_ptr() == address and z[:2].tolist() == [4, 4] and others[0][:2].tolist() == [7, 7]
    held = at.cuda.memory_reserved()
    del z, graph, others
    gc.collect()
    at.cuda.synchronize()
    at.cuda.empty_cache()
    assert at.cuda.memory_reserved() < held


def test_graphs_share_a_pool(gpu: str) -> None:
    x = at.ones(4, device=gpu)
    first, second, third = CUDAGraph(), CUDAGraph(), CUDAGraph()
    with at.cuda.graph(first):
        y = x + 1
    with at.cuda.graph(second, pool=first.pool()):
        z = y * 2
    assert second.pool() == first.pool()
    handle = at.cuda.graph_pool_handle()
    assert handle != first.pool()
    with at.cuda.graph(third, pool=handle):
        w = z + 1
    for graph in (first, second, third):
        graph.replay()
    assert w.tolist() == [5] * 4
    with pytest.raises(RuntimeError, match="expected a graph that was captured"):
        CUDAGraph().pool()
    for graph in (first, second):  # the pool ends, its handle does not
        graph.reset()
    with at.cuda.graph(first, pool=second.pool()):
        y = x + 2
    first.replay()
    assert y.tolist() == [3] * 4


def test_random_numbers_go_on_at_each_replay(gpu: str) -> None:
    graph = CUDAGraph()
    at.manual_seed(11)
    state = at.get_rng_state()
    with at.cuda.graph(graph):
        a = at.rand(10, device=gpu)
        b = at.randn(7, device=gpu)
    assert at.get_rng_state().tolist() == state.tolist()  # a capture draws nothing
    replayed = []
    for _ in range(3):
        graph.replay()
        replayed.append((a.tolist(), b.tolist()))
    at.manual_seed(11)
    eager = [(at.rand(10).tolist(), at.randn(7, device=gpu).tolist()) for _ in range(3)]
    assert replayed == eager
    at.manual_seed(11)
    graph.replay()
    assert a.tolist() == eager[0][0]


def test_other_generators_are_refused(gpu: str) -> None:
    graph = CUDAGraph()
    with pytest.raises(at.NotImplementedOpError, match="default generator alone"), at.cuda.graph(graph):
        at.rand(3, device=gpu, generator=at.Generator())
    assert at.rand(3, device=gpu).shape == (3,)


def test_a_capture_that_fails_leaves_the_device_usable(gpu: str) -> None:
    x = at.ones(4, device=gpu)
    for spoil in (lambda: x.sum().item(), lambda: at.ones(4).to(gpu), at.cuda.synchronize):
        graph = CUDAGraph()
        with pytest.raises(at.AtledError), at.cuda.graph(graph):
            y = x + 1
            spoil()
        del y
        assert not at.cuda.is_current_stream_capturing()
        assert at.cuda.current_stream() == at.cuda.default_stream()
        at.cuda.empty_cache()
        assert (x + 1).tolist() == [2] * 4
        with at.cuda.graph(graph):
            y = x * 3
        graph.replay()
        assert y.tolist() == [3] * 4


def test_an_error_that_was_caught_inside_ends_the_capture(gpu: str) -> None:
    x = at.ones(4, device=gpu)
    graph = CUDAGraph()
    with pytest.raises(RuntimeError, match="something was done that a graph cannot hold"), at.cuda.graph(graph):  # noqa: SIM117
        with contextlib.suppress(at.AtledError):
            at.cuda.synchronize()
    assert x.tolist() == [1] * 4


def test_errors_of_the_program_pass(gpu: str) -> None:
    x = at.ones(4, device=gpu)
    graph = CUDAGraph()
    with pytest.raises(at.ShapeError), at.cuda.graph(graph):
        x + at.ones(3, device=gpu)
    with pytest.raises(RuntimeError, match="expected a graph that was captured"):
        graph.replay()
    assert (x + 1).tolist() == [2] * 4


def test_what_is_asked_for_wrongly(gpu: str) -> None:
    graph = CUDAGraph()
    with pytest.raises(at.InvalidValueError, match="default one"):
        graph.capture_begin()
    with pytest.raises(at.InvalidValueError, match="capture_error_mode"), at.cuda.graph(graph, capture_error_mode="x"):
        pass
    with pytest.raises(RuntimeError, match="expected a capture that has begun"):
        graph.capture_end()
    assert at.ones(3, device=gpu).tolist() == [1] * 3


def test_streams_that_joined_must_be_waited_for(gpu: str) -> None:
    if at.cuda.get_device_name().startswith("emulated"):
        pytest.skip("the emulator does not mind")
    side, graph = Stream(), CUDAGraph()
    x = at.ones(4, device=gpu)
    with pytest.raises(RuntimeError, match="wait_stream"), at.cuda.graph(graph):
        side.wait_stream(at.cuda.current_stream())
        with at.cuda.stream(side):
            y = x + 1
    del y
    assert (x + 1).tolist() == [2] * 4


def test_memory_freed_during_a_capture(gpu: str) -> None:
    """What other streams use as well is taken back once the capture has ended."""
    side, graph = Stream(), CUDAGraph()
    x = at.ones(1 << 16, device=gpu)
    x.record_stream(side)
    y = at.zeros(4, device=gpu)
    before = at.cuda.memory_allocated()
    with at.cuda.graph(graph):
        y += 1
        del x
    graph.replay()
    at.cuda.synchronize()
    assert y.tolist() == [1] * 4 and at.cuda.memory_allocated() < before
