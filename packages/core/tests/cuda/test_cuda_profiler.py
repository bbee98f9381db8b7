"""What a profiler measures on a device: between two events around each call, on the call's stream."""

import json
from pathlib import Path

import atled.core as at
from atled.core.profiler import ProfilerActivity, profile


def test_calls_are_timed_on_their_streams(gpu: str, tmp_path: Path) -> None:
    side = at.cuda.Stream()
    with profile(profile_memory=True) as prof:
        x = at.ones(256, 64, device=gpu)
        y = x @ x.T
        with at.cuda.stream(side):
            at.exp(x)
        at.ones(3)
    times = {event.name: event.device for event in prof.events() if event.device}
    assert sorted(times) == ["exp", "matmul", "ones"]
    assert times["exp"].stream != times["matmul"].stream and times["matmul"].device == "cuda:0"
    assert 0 < times["ones"].time_range.start <= times["ones"].time_range.end <= times["matmul"].time_range.start
    sums = {row.key: row for row in prof.key_averages()}
    assert sums["matmul"].self_device_time_total > 0 and sums["matmul"].device_memory_usage == y.nbytes
    assert "Self CUDA" in prof.key_averages().table(sort_by="self_cuda_time_total")
    prof.export_chrome_trace(tmp_path / "trace.json")
    entries = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert sorted(entry["name"] for entry in entries if entry.get("cat") == "device") == ["exp", "matmul", "ones"]
    assert {"name": "cuda:0"} in [entry["args"] for entry in entries if entry["ph"] == "M"]


def test_without_the_activity_nothing_is_timed_there(gpu: str) -> None:
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        at.ones(3, device=gpu)
    assert [event.device for event in prof.events()] == [None]


def test_a_capture_stays_undisturbed(gpu: str) -> None:
    x = at.ones(3, device=gpu)
    graph = at.cuda.CUDAGraph()
    with profile() as prof:
        with at.cuda.graph(graph):
            y = x + 1
        graph.replay()
        at.exp(x)
    assert y.tolist() == [2.0, 2.0, 2.0]
    assert [(event.name, event.device is None) for event in prof.events() if event.kind == 0][-2:] == [
        ("add", True),
        ("exp", False),
    ]
