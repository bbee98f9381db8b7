"""Streams and events: order, what belongs to whom, memory that other streams use."""

import threading

import pytest

import atled.core as at
from atled.core.cuda import Event, ExternalStream, Stream


def test_the_current_stream(gpu: str) -> None:
    default = at.cuda.default_stream()
    assert at.cuda.current_stream() == default and default.cuda_stream == 0
    side = Stream()
    assert side != default and side.cuda_stream != 0 and side.device == at.device("cuda:0")
    with at.cuda.stream(side):
        assert at.cuda.current_stream() == side
        with at.cuda.stream(None):
            assert at.cuda.current_stream() == side
    assert at.cuda.current_stream() == default
    at.cuda.set_stream(side)
    assert at.cuda.current_stream() == side
    at.cuda.set_stream(default)
    assert hash(ExternalStream(side.cuda_stream)) == hash(side) and ExternalStream(side.cuda_stream) == side
    assert side.__cuda_stream__() == (0, side.cuda_stream)
    assert f"{side.cuda_stream:#x}" in repr(side)


def test_each_thread_has_its_own(gpu: str) -> None:
    side, seen = Stream(), []
    with at.cuda.stream(side):
        thread = threading.Thread(target=lambda: seen.append(at.cuda.current_stream()))
        thread.start()
        thread.join()
    assert seen == [at.cuda.default_stream()]


def test_streams_are_reused(gpu: str) -> None:
    made = [Stream() for _ in range(33)]
    assert len(set(made)) == 32 and made[0] == made[32]
    least, greatest = Stream.priority_range()
    assert greatest <= least
    assert Stream(priority=greatest - 10).priority == greatest
    assert Stream(priority=greatest) not in made or greatest == least


def test_on_another_device(gpu: str) -> None:
    if at.cuda.device_count() < 2:
        pytest.skip("one GPU")
    there = Stream("cuda:1")
    with at.cuda.stream(there):
        assert at.cuda.current_device() == 1 and at.cuda.current_stream() == there
        assert at.cuda.current_stream(0) == at.cuda.default_stream(0)
        x = at.ones(4, device="cuda") * 2
    assert at.cuda.current_device() == 0
    there.synchronize()
    assert x.tolist() == [2] * 4
    event = there.record_event()
    with pytest.raises(at.DeviceError, match="expected a stream of the event's device cuda:1"):
        event.record(Stream(0))
    at.cuda.current_stream().wait_event(event)


def test_one_stream_waits_for_another(gpu: str) -> None:
    side, main = Stream(), at.cuda.current_stream()
    x = at.zeros(1000, device=gpu)
    side.wait_stream(main)
    with at.cuda.stream(side):
        y = x + 1
        for _ in range(20):
            y += 1
    main.wait_stream(side)
    z = y * 2
    assert z.tolist() == [42] * 1000
    side.synchronize()
    assert side.query()


def test_events(gpu: str) -> None:
    begin, end, plain = Event(enable_timing=True), Event(enable_timing=True, blocking=True), Event()
    assert plain.query() and plain.device is None
    plain.synchronize()
    plain.wait()
    begin.record()
    x = at.ones((100, 100), device=gpu).exp()
    end.record()
    end.synchronize()
    assert begin.query() and end.query()
    assert begin.elapsed_time(end) >= 0
    assert begin.device == at.device("cuda:0")
    plain.record()
    with pytest.raises(at.InvalidValueError, match="enable_timing"):
        begin.elapsed_time(plain)
    with pytest.raises(at.InvalidValueError, match="recorded"):
        begin.elapsed_time(Event(enable_timing=True))
    with pytest.raises(at.NotImplementedOpError):
        Event(interprocess=True)
    assert x.sum().item() > 0


def test_memory_that_another_stream_uses_is_not_handed_out(gpu: str) -> None:
    side = Stream()
    at.cuda.empty_cache()
    x = at.ones(1 << 20, device=gpu)
    side.wait_stream(at.cuda.current_stream())
    with at.cuda.stream(side):
        y = x * 3
    x.record_stream(side)
    address = x.data_ptr()
    del x
    z = at.empty(1 << 20, device=gpu)
    assert z.data_ptr() != address  # in use by the side stream still
    z.fill_(0)
    side.synchronize()
    assert y[:3].tolist() == [3, 3, 3]
    with pytest.raises(at.DeviceError, match="expected a tensor on cuda"):
        at.ones(3).record_stream(side)
