"""atled.core.profiler: what is recorded, its sums, and the files."""

import gzip
import json
import os
import re
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import atled.core as at
from atled.core.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule
from atled.core.profiler._flops import flops_of


def recorded(**options: Any) -> profile:
    """A profile of the host alone, whatever the machine has."""
    return profile(activities=[ProfilerActivity.CPU], **options)


@at.profiler.record_function("decorated")
def work() -> None:
    at.ones(2, 3).mm(at.ones(3, 4))


@pytest.fixture(scope="module")
def prof() -> profile:
    """A little of everything, of two threads."""
    with recorded(record_shapes=True, profile_memory=True, with_stack=True, with_flops=True) as prof:
        with record_function("outer", "1"):
            work()
            with pytest.raises(at.ShapeError):
                at.ones(2).add(at.ones(3))
            at.cat([at.ones(2, 2), at.zeros(1, 2)])
        thread = threading.Thread(target=work, name="second")
        thread.start()
        thread.join()
    return prof


def test_calls_lie_in_ranges_of_their_thread(prof: profile) -> None:
    outer, second = (event for event in prof.events() if event.cpu_parent is None and event.is_user_annotation)
    assert [child.name for child in outer.cpu_children] == ["decorated", "ones", "ones", "add", "ones", "zeros", "cat"]
    assert [child.name for child in outer.cpu_children[0].cpu_children] == ["ones", "ones", "mm"]
    assert [outer.name, second.name, [event.name for event in second.cpu_children]] == [
        *("outer(1)", "decorated"),
        ["ones", "ones", "mm"],
    ]
    assert outer.thread != second.thread
    assert [event.name for event in prof.events() if event.failed] == ["add"]
    inside = sum(child.cpu_time_total for child in outer.cpu_children)
    assert 0 < inside < outer.cpu_time_total
    assert outer.self_cpu_time_total == pytest.approx(outer.cpu_time_total - inside)


def test_what_is_noted_of_a_call(prof: profile) -> None:
    cat = next(event for event in prof.events() if event.name == "cat")
    assert cat.input_shapes == [[[2, 2], [1, 2]], []] and cat.input_dtypes == [["float32", "float32"], ""]
    line = next(n for n, text in enumerate(Path(__file__).read_text().splitlines(), 1) if "at.cat([" in text)
    assert cat.stack == [f"{__file__}:{line}"]
    assert cat.self_cpu_memory_usage == 3 * 2 * 4
    mm = next(event for event in prof.events() if event.name == "mm")
    assert mm.flops == 2 * 2 * 3 * 4
    # Each of work()'s tensors is gone when it returns.
    assert [e.cpu_memory_usage for e in prof.events() if e.name == "decorated"] == [0, 0]


def test_averages_and_table(prof: profile) -> None:
    sums = {row.key: row for row in prof.key_averages()}
    assert sums["mm"].count == 2 and sums["mm"].flops == 2 * 48
    assert sums["ones"].cpu_time_total == pytest.approx(
        sum(event.cpu_time_total for event in prof.events() if event.name == "ones")
    )
    by_shape = prof.key_averages(group_by_input_shape=True)
    assert [(row.input_shapes, row.count) for row in by_shape if row.key == "mm"] == [([[2, 3], [3, 4], []], 2)]
    text = prof.key_averages().table(sort_by="count", row_limit=2)
    header, *rows = [re.split(r"  +", line.strip()) for line in text.splitlines() if line.strip("- ")][:3]
    assert header[:2] == ["Name", "Self CPU %"] and rows[0][0] == "ones"
    assert rows[0][header.index("# of Calls")] == str(sums["ones"].count)
    with pytest.raises(at.InvalidValueError, match="expected sort_by to be count or one of cpu_time_total"):
        prof.key_averages().table(sort_by="nonsense")


def test_trace_is_well_formed(prof: profile, tmp_path: Path) -> None:
    prof.export_chrome_trace(tmp_path / "trace.json.gz")
    with gzip.open(tmp_path / "trace.json.gz", "rt") as file:
        trace = json.load(file)
    spans = defaultdict(list)
    for entry in trace["traceEvents"]:
        assert {"ph", "name", "pid", "tid", "ts"} <= set(entry)
        if entry["ph"] == "X":
            assert entry["dur"] >= 0
            spans[entry["pid"], entry["tid"]].append((entry["ts"], entry["ts"] + entry["dur"]))
    names = {entry["args"]["name"] for entry in trace["traceEvents"] if entry["ph"] == "M"}
    assert len(spans) == 2 and "MainThread" in names
    for times in spans.values():
        open_until: list[float] = []
        for begin, end in sorted(times, key=lambda span: (span[0], -span[1])):
            while open_until and open_until[-1] <= begin:
                open_until.pop()
            assert not open_until or end <= open_until[-1] + 1e-6
            open_until.append(end)
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json.gz"]

    prof.export_stacks(tmp_path / "stacks")
    for line in (tmp_path / "stacks").read_text().splitlines():
        assert re.fullmatch(r"[^;]+(;[^;]+)* \d+", line)


@pytest.mark.parametrize(
    ("name", "given", "out", "products"),
    [
        ("mv", [(2, 3), (3,)], (2,), 2 * 3),
        ("addbmm", [(2, 4), (5, 2, 3), (5, 3, 4)], (2, 4), 5 * 2 * 3 * 4),
        ("linear", [(7, 3), (4, 3), None], (7, 4), 7 * 3 * 4),
        # Two groups: each of 2 * 4 * 6 * 6 results sums over 3 channels of 3 x 3.
        ("conv2d", [(2, 6, 8, 8), (4, 3, 3, 3), None], (2, 4, 6, 6), 2 * 4 * 6 * 6 * 27),
        ("conv2d_backward_weight", [(2, 4, 6, 6), (2, 6, 8, 8)], (4, 3, 3, 3), 2 * 4 * 6 * 6 * 27),
        ("conv2d_backward_input", [(2, 4, 6, 6), (4, 3, 3, 3)], (2, 6, 8, 8), 2 * 4 * 6 * 6 * 27),
        ("attention", [(2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 9)], (2, 3, 5, 9), 6 * 5 * 7 * (8 + 9)),
        ("inner", [(), ()], (), 1),
        ("addmm_", [(2, 4), (2, 3), (3, 4)], (2, 4), 2 * 3 * 4),
        ("exp", [(3,)], (3,), 0),
    ],
)
def test_flops(name: str, given: list[Any], out: tuple[int, ...], products: int) -> None:
    arguments = [shape and ("float32", *shape) for shape in given]
    assert flops_of(name, arguments, [("float32", *out)]) == 2 * products


def test_one_profile_at_a_time() -> None:
    with recorded() as outer, pytest.raises(RuntimeError, match="one is recording already; end that one first"):
        recorded().start()
    assert outer.events() == []
    with pytest.raises(RuntimeError, match="nothing has been recorded yet"):
        recorded().events()
    with pytest.raises(KeyError), recorded():
        raise KeyError
    assert not at._core._recording()


def test_ranges_that_cross_the_end_of_a_recording() -> None:
    with recorded() as prof:
        range = record_function("open")
        range.__enter__()
        at.ones(1)
    with recorded() as later:
        range.__exit__()
        at.ones(1)
    assert [event.name for event in prof.events()] == ["open", "ones"]
    assert prof.events()[0].time_range.end >= prof.events()[1].time_range.end
    assert [(event.name, event.cpu_parent) for event in later.events()] == [("ones", None)]


def test_schedule() -> None:
    plan = schedule(wait=1, warmup=1, active=2, repeat=1, skip_first=1)
    expected = ["NONE", "NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE", "NONE", "NONE"]
    assert [plan(step).name for step in range(7)] == expected
    seen: list[profile] = []
    with recorded(schedule=plan, on_trace_ready=seen.append) as prof:
        for step in range(7):
            at.full((1,), float(step))
            prof.step()
    assert seen == [prof] and prof.current_action is ProfilerAction.NONE
    with recorded(schedule=schedule(wait=0, warmup=0, active=1)) as ended:
        pass
    ended.step()  # behind the end, nothing begins again
    assert not at._core._recording()
    steps = [event for event in prof.events() if event.name.startswith("ProfilerStep")]
    assert [(step.name, len(step.cpu_children)) for step in steps] == [("ProfilerStep#3", 1), ("ProfilerStep#4", 1)]
    with pytest.raises(at.InvalidValueError, match="expected active of at least 1, got 0"):
        schedule(wait=0, warmup=0, active=0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_the_child_of_a_fork_records_nothing() -> None:
    with recorded() as prof:
        at.ones(1)
        pid = os.fork()
        if pid == 0:
            at.ones(1)
            prof.stop()
            fine = not at._core._recording() and not prof.events()
            with recorded() as own:
                at.zeros(1)
            os._exit(0 if fine and [event.name for event in own.events()] == ["zeros"] else 1)
        assert os.waitpid(pid, 0)[1] == 0
        at.ones(1)
    assert [event.name for event in prof.events()] == ["ones", "ones"]
