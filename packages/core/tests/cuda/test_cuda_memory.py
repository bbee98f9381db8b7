"""Memory seen from Python: statistics, limits, errors that name lines, snapshots and their pages, pinned memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import atled.core as at
from atled.core.cuda import Stream, memory, snapshot

HERE = Path(__file__).name
MIB = 1 << 20


def _line() -> int:
    return sys._getframe(1).f_lineno


def test_statistics(gpu: str) -> None:
    before = at.cuda.memory_allocated()
    at.cuda.reset_peak_memory_stats()
    x = at.empty(MIB, dtype=at.uint8, device=gpu)
    y = at.empty(MIB, dtype=at.uint8, device=gpu)
    assert at.cuda.memory_allocated() == before + 2 * MIB
    del y
    assert at.cuda.memory_allocated("cuda:0") == before + MIB
    assert at.cuda.max_memory_allocated() == before + 2 * MIB
    at.cuda.reset_peak_memory_stats()
    assert at.cuda.max_memory_allocated() == before + MIB
    assert at.cuda.memory_reserved() >= at.cuda.memory_allocated()
    assert at.cuda.max_memory_reserved() >= at.cuda.memory_reserved()
    stats = at.cuda.memory_stats()
    assert stats["allocated_bytes.all.current"] == before + MIB and list(stats) == sorted(stats)
    at.cuda.reset_accumulated_memory_stats()
    assert at.cuda.memory_stats()["allocation.all.allocated"] == 0
    del x
    table = at.cuda.memory_summary()
    assert "Allocated memory" in table and "from large pool" in table
    assert "from large pool" not in at.cuda.memory_summary(abbreviated=True)


def test_to_ask_does_not_begin_to_use_a_device(gpu: str) -> None:
    if at.cuda.device_count() < 2:
        pytest.skip("one GPU")
    script = """if True:
        import atled.core as at
        at.cuda.empty_cache(1)
        at.cuda.reset_peak_memory_stats(1)
        assert at.cuda.memory_allocated(1) == 0 and at.cuda.memory_snapshot(1) == []
        x = at.ones(3, device="cuda:1")
        assert at.cuda.memory_allocated(1) == 512 and at.cuda.memory_allocated(0) == 0
    """
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_unused_is_given_back(gpu: str) -> None:
    x = at.empty(64 * MIB, dtype=at.uint8, device=gpu)
    held = at.cuda.memory_reserved()
    del x
    assert at.cuda.memory_reserved() == held
    at.cuda.empty_cache()
    assert at.cuda.memory_reserved() <= held - 64 * MIB


def test_training_neither_wastes_memory_nor_asks_for_more(gpu: str) -> None:
    """Weights that stay, activations until the backward pass, gradients, scratch; lengths that change."""
    script = f"""if True:
        import random
        import atled.core as at

        def get(elements):
            return at.empty((elements,), dtype=at.float16, device="cuda")

        width, layers, scale = 1024, 8, {1 if os.path.exists("/proc/driver/nvidia/version") else 4}
        lengths = random.Random(0)
        kept = [get(12 * width * width * copies // scale) for _ in range(layers) for copies in (1, 2, 2, 2)]
        for step in range(120):
            rows = 8 * (lengths.choice([384, 512, 640, 768, 896, 1024]) + 8 * lengths.randrange(3))
            x, saved = get(rows * width // scale), []
            for _ in range(layers):
                saved.append([x, *(get(rows * n // scale) for n in (2, 2, width, 3 * width, 32, width, 4 * width))])
                scratch = get(16 * 2**20 // scale)
                small = [get(128 + lengths.randrange(2048)) for _ in range(12)]
                x = get(rows * width // scale)
                del scratch, small
            loss = get(rows * 16384 // scale)
            del x, loss
            gradients = []
            while saved:
                scratch, gradient = get(rows * 4 * width // scale), get(12 * width * width * 2 // scale)
                gradients.append(gradient)
                saved.pop()
                del scratch, gradient
            del gradients
            if step == 60:
                before = at.cuda.memory_stats()
        after = at.cuda.memory_stats()
        print(at.cuda.max_memory_reserved() / at.cuda.max_memory_allocated())
        print(*(after[k] - before[k] for k in ("num_device_alloc", "num_device_free", "num_sync_all_streams")))
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    overhead, changes = done.stdout.splitlines()
    assert float(overhead) <= 1.1 and changes == "0 0 0", done.stdout


def test_out_of_memory_names_the_lines_that_hold_it(gpu: str) -> None:
    keep = [at.empty(8 * MIB, dtype=at.uint8, device=gpu) for _ in range(3)]
    line = _line() - 1
    other = at.empty((5, MIB), dtype=at.uint8, device=gpu)
    other_line = _line() - 1
    total = at.cuda.mem_get_info()[1]
    try:
        at.cuda.set_per_process_memory_fraction(128 * MIB / total)
        with pytest.raises(at.OutOfMemoryError) as raised:
            at.empty(256 * MIB, dtype=at.uint8, device=gpu)
    finally:
        at.cuda.set_per_process_memory_fraction(1.0)
    text = str(raised.value)
    assert at.cuda.OutOfMemoryError is at.OutOfMemoryError
    assert re.search(rf"24\.00 MiB in 3 of up to 8\.00 MiB, made at .*{HERE}:{line}\n", text), text
    assert re.search(rf"5\.00 MiB, made at .*{HERE}:{other_line}\n", text), text
    del keep, other
    assert at.ones(3, device=gpu).sum().item() == 3


def test_a_fraction_of_the_memory(gpu: str) -> None:
    at.cuda.empty_cache()
    total = at.cuda.mem_get_info()[1]
    try:
        at.cuda.set_per_process_memory_fraction(0.25)
        with pytest.raises(at.OutOfMemoryError, match="memory limit of this process"):
            at.empty(total // 3, dtype=at.uint8, device=gpu)
    finally:
        at.cuda.set_per_process_memory_fraction(1.0)
    with pytest.raises(at.InvalidValueError, match=r"expected a fraction in \(0, 1\], got 2"):
        at.cuda.set_per_process_memory_fraction(2)


def _blocks(state: str = "active_allocated") -> list[dict[str, Any]]:
    return [b for s in at.cuda.memory_snapshot() for b in s["blocks"] if b["state"] == state]


def test_a_snapshot_knows_the_lines(gpu: str) -> None:
    x = at.empty(3 * MIB, dtype=at.uint8, device=gpu)
    line = _line() - 1
    found = [b for b in _blocks() if b["address"] == x.data_ptr()]
    assert len(found) == 1 and found[0]["site"].endswith(f"{HERE}:{line}") and found[0]["requested_size"] == 3 * MIB


def test_the_line_is_known_without_the_gil_too(gpu: str) -> None:
    x = at.ones((400, 400), device=gpu)
    y = x.T.contiguous()
    line = _line() - 1
    assert [b["site"] for b in _blocks() if b["address"] == y.data_ptr()] == [f"{__file__}:{line}"]


def test_lines_can_be_left_out(gpu: str) -> None:
    script = "import atled.core as at; x = at.ones(3, device='cuda'); print(at.cuda.memory_snapshot())"
    environment = os.environ | {"ATLED_CUDA_SITES": "0"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "active_allocated" in done.stdout and "site" not in done.stdout


def test_the_page_of_a_snapshot(gpu: str, tmp_path: Path) -> None:
    memory._record_memory_history(max_entries=1000)
    x = at.empty(3 * MIB, dtype=at.uint8, device=gpu)
    at.empty(MIB, dtype=at.uint8, device=gpu).zero_()
    memory._dump_snapshot(tmp_path / "file.json")
    memory._record_memory_history(None)
    command = [sys.executable, "-W", "error", "-m", "atled.core.cuda.snapshot"]
    done = subprocess.run([*command, str(tmp_path / "file.json")], capture_output=True, text=True, check=True)
    page = done.stdout
    assert page.startswith("<!DOCTYPE html>") and "http" not in page and HERE in page and "3.0 MiB" in page
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert data and json.loads(data[1])["device_traces"][0]
    assert subprocess.run(command, capture_output=True).returncode == 2
    assert x.numel() == 3 * MIB


def test_the_page_needs_no_gpu() -> None:
    block = {"address": 4096, "size": 512, "requested_size": 4, "state": "active_allocated", "site": "</script>a.py:1"}
    segment = {"address": 4096, "total_size": 512, "allocated_size": 512, "stream": 0, "segment_type": "small"}
    segment |= {"segment_pool_id": [0, 0], "is_expandable": False, "blocks": [block]}
    page = snapshot.html({"segments": [segment], "device_traces": []})
    assert page.count("</script>") == 2 and "&lt;/script&gt;a.py:1" in page
    assert memory.readable(1536) == "1.5 KiB"


# ---- pinned memory ----


def test_pinned_memory(gpu: str) -> None:
    x = at.arange(6.0).reshape(2, 3)
    pinned = x.pin_memory()
    assert pinned.is_pinned() and not x.is_pinned() and pinned.device == at.device("cpu")
    assert pinned.tolist() == x.tolist() and pinned.pin_memory() is pinned and pinned[1:].is_pinned()
    assert x.T.pin_memory().stride() == x.T.stride()
    for made in (
        at.empty((2, 3), pin_memory=True),
        at.zeros(3, dtype=at.int64, pin_memory=True),
        at.tensor([1.0, 2.0], pin_memory=True),
        at.rand(3, pin_memory=True),
        at.empty((0, 3)).pin_memory(),
    ):
        assert made.is_pinned() or made.numel() == 0
    assert not at.empty(3, pin_memory=False).is_pinned()
    assert pinned.numpy().tolist() == x.tolist()
    with pytest.raises(at.DeviceError, match="expected a tensor on cpu"):
        x.to(gpu).pin_memory()
    with pytest.raises(at.DeviceError, match="expected a tensor on cpu"):
        at.zeros(3, device=gpu, pin_memory=True)
    assert not x.to(gpu).is_pinned()


def test_pinned_memory_is_cached(gpu: str) -> None:
    at.empty(5000).pin_memory()
    before = at.cuda.host_memory_stats()
    for _ in range(3):
        at.empty(5000).pin_memory()
    after = at.cuda.host_memory_stats()
    assert after["num_host_alloc"] == before["num_host_alloc"] and after["allocations"] == before["allocations"]
    at.cuda.host_empty_cache()
    assert at.cuda.host_memory_stats()["reserved_bytes"] < after["reserved_bytes"]


def test_copies_in_the_background(gpu: str) -> None:
    side = Stream()
    source = at.full((1 << 18,), 3.0).pin_memory()
    with at.cuda.stream(side):
        there = source.to(gpu, non_blocking=True)
        doubled = there * 2
        back = doubled.to("cpu", non_blocking=True)
        kept = at.zeros(1 << 18).pin_memory()
        kept.copy_(doubled, non_blocking=True)
        side.synchronize()
    assert back.is_pinned() and back.device == at.device("cpu")
    assert back[-1].item() == kept[0].item() == 6.0
    # Without the flag, what is given may be changed at once, pinned or not.
    now = source.to(gpu)
    source.fill_(9)
    assert now[0].item() == 3.0
    plain = at.full((1000,), 4.0)
    sent = plain.to(gpu, non_blocking=True)
    plain.fill_(0)
    assert sent[0].item() == 4.0
    assert at.ones(3, device=gpu).to("cpu", at.int64, non_blocking=True).dtype == at.int64
    assert at.ones(3).to(at.float64, non_blocking=True).dtype == at.float64


def test_pinned_memory_outlives_the_copies_that_use_it(gpu: str) -> None:
    side = Stream()
    total = at.zeros(1000, device=gpu)
    side.wait_stream(at.cuda.current_stream())
    with at.cuda.stream(side):
        for i in range(10):  # freed at once, and reused only after its copy
            total += at.full((1000,), float(i)).pin_memory().to(gpu, non_blocking=True)
        side.synchronize()
    assert total.tolist() == [45.0] * 1000
