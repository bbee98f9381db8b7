"""What a profiler sees of the tape: nodes as ranges, with the numbers of the calls that made them."""

import json
from pathlib import Path
from typing import Any

import atled.core as at
from atled.core.profiler import ProfilerActivity, profile


def test_backward_nodes_are_ranges_that_know_their_calls(tmp_path: Path) -> None:
    x = at.ones(3).requires_grad_()
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        y = (x * 2).exp().sum()
        y.backward()
    events = prof.events()
    nodes = [event for event in events if event.name.endswith("Backward")]
    assert [node.name for node in nodes] == ["SumBackward", "ExpBackward", "MulBackward"]
    calls = {event.sequence_nr: event.name for event in events if event.sequence_nr >= 0 and event not in nodes}
    assert [calls[node.sequence_nr] for node in nodes] == ["sum", "exp", "mul"]
    assert [child.name for child in nodes[1].cpu_children] == ["mul"]
    prof.export_chrome_trace(tmp_path / "trace.json")
    arrows = [e for e in json.loads((tmp_path / "trace.json").read_text())["traceEvents"] if e["ph"] in "sf"]
    assert [(arrow["ph"], arrow["id"]) for arrow in arrows] == [
        (phase, node.sequence_nr) for node in nodes for phase in "sf"
    ]
    # Without a profiler nothing is left behind.
    x.exp().sum().backward()
    assert len(prof.events()) == len(events)


def test_nodes_of_functions_and_those_that_fail() -> None:
    class Fails(at.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
            raise KeyError

    x = at.ones(3).requires_grad_()
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        try:
            Fails.apply(x).sum().backward()
        except KeyError:
            at.zeros(1)
    tops = [event.name for event in prof.events() if event.cpu_parent is None]
    assert tops == ["clone", "sum", "ones_like", "SumBackward", "FailsBackward", "zeros"]
