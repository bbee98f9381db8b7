"""Module at.cuda: what it says without a GPU, its table, devices, random numbers, marks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import atled.core as at
from atled.core import _cuda
from atled.core.cuda import _native, nvtx

HEADER = Path(at.get_include()) / "atled" / "cuda.h"


def test_importing_core_does_not_import_it() -> None:
    script = "import atled.core, sys; print('atled.core.cuda' in sys.modules, 'ctypes' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == "False"


def test_without_a_gpu_it_answers_no() -> None:
    if at.cuda.is_available():
        pytest.skip("there is a GPU")
    assert at.cuda.device_count() == 0
    assert at.cuda.memory_allocated() == at.cuda.max_memory_reserved() == 0
    at.cuda.empty_cache()
    assert nvtx.range_push("x") < 0 and nvtx.range_pop() < 0
    assert not at.ones(3).is_pinned()
    for call in (at.cuda.current_device, at.cuda.Stream, at.cuda.synchronize, at.cuda.get_device_name):
        with pytest.raises(at.DeviceError, match="looked for"):
            call()


def test_the_table_is_the_headers() -> None:
    header = HEADER.read_text()
    table = header[header.rindex("typedef struct {") : header.index("} atled_cuda_group")]
    assert re.findall(r"int \(\*(\w+)\)", table) == list(_native.FUNCTIONS)
    properties = header[header.index("typedef struct {") : header.index("} atled_cuda_properties")]
    names = re.findall(r"(\w+)(?:\[\d+\])?[,;]", re.sub(r"/\*.*?\*/", "", properties))
    assert names == [name for name, *_ in _native.Properties._fields_]


def test_the_header_is_c11(tmp_path: Path) -> None:
    import shutil

    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler on the path")
    source = tmp_path / "header.c"
    source.write_text('#include "atled/cuda.h"\nint main(void) { return sizeof(atled_cuda_group) == 0; }\n')
    flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{at.get_include()}"]
    subprocess.run([compiler, *flags, "-c", str(source), "-o", str(tmp_path / "header.o")], check=True)


def test_devices(gpu: str) -> None:
    count = at.cuda.device_count()
    assert at.cuda.is_available() and at.cuda.is_initialized() and count >= 1
    assert at.cuda.current_device() == 0
    properties = at.cuda.get_device_properties()
    assert properties.name == at.cuda.get_device_name("cuda:0") == at.cuda.get_device_name(at.device("cuda", 0))
    assert at.cuda.get_device_capability() == (properties.major, properties.minor)
    assert properties.multi_processor_count > 0 and properties.warp_size == 32
    free, total = at.cuda.mem_get_info()
    assert 0 < free <= total
    at.cuda.synchronize()
    with pytest.raises(at.DeviceError, match=rf"expected cuda index in \[0, {count}\), got {count}"):
        at.cuda.get_device_name(count)
    with pytest.raises(at.InvalidValueError, match="expected a device of type cuda, got cpu"):
        at.cuda.synchronize("cpu")


def test_a_name_without_an_index_is_the_current_device(gpu: str) -> None:
    if at.cuda.device_count() < 2:
        pytest.skip("one GPU")
    assert at.device("cuda") == at.device("cuda:0") == at.device("cuda", 0)
    with at.cuda.device(1):
        assert at.cuda.current_device() == 1
        assert at.ones(2, device="cuda").device == at.device("cuda:1")
        assert at.device("cuda", 0).index == 0 and at.device("cuda").index == 1
        assert at.ones(2).cuda().get_device() == 1
        with at.cuda.device(-1), at.cuda.device(None):
            assert at.cuda.current_device() == 1
    assert at.cuda.current_device() == 0
    with at.cuda.device_of(at.ones(1, device="cuda:1")):
        assert at.cuda.current_device() == 1
    at.cuda.set_device("cuda:1")
    assert at.cuda.current_device() == 1
    at.cuda.set_device(0)
    assert at.cuda.current_device() == 0
    x = at.arange(6, device="cuda:1").reshape(2, 3)
    assert x.to("cuda:0").tolist() == x.tolist()


def test_work_on_one_device_makes_no_context_of_another(gpu: str) -> None:
    """It would take hundreds of megabytes there."""
    emulator = _cuda.LIBRARY.with_name("libatled_emulator.so")
    if not emulator.exists() or at.cuda.device_count() < 2:
        pytest.skip("expected two emulated devices, which know what has made a context")
    script = f"""
import ctypes
import atled.core as at
has_context = ctypes.CDLL({str(emulator)!r}).atled_emulator_has_context
x = at.arange(6.0, device="cuda:1").reshape(2, 3)
x[at.tensor([0, 1]).to("cuda:1")].sort()
y = x @ x.mT + at.rand(2, 2, device="cuda:1")
y.copy_(at.ones(2, 2).pin_memory(), non_blocking=True)
graph = at.cuda.CUDAGraph()
with at.cuda.device(1), at.cuda.stream(at.cuda.Stream()) as stream, at.cuda.graph(graph):
    z = y * 2
graph.replay()
event = at.cuda.Event()
event.record(at.cuda.current_stream("cuda:1"))
at.cuda.synchronize("cuda:1")
assert event.query() and z.tolist() == [[2, 2], [2, 2]]
del x, y, z, graph, event
at.cuda.empty_cache()
print(has_context(0), has_context(1), at.cuda.current_device())
at.ones(1, device="cuda")
print(has_context(0))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1", "0", "1"]


def test_devices_are_entered_one_inside_another(gpu: str) -> None:
    if at.cuda.device_count() < 2:
        pytest.skip("one GPU")
    with at.cuda.device(1):
        at.cuda.set_device(0)
        with at.cuda.stream(at.cuda.Stream("cuda:1")):
            assert at.cuda.current_device() == 1
        assert at.cuda.current_device() == 0
    assert at.cuda.current_device() == 0
    at.cuda.set_device(1)
    with at.cuda.device(0):
        assert at.cuda.current_device() == 0
    assert at.cuda.current_device() == 1
    at.cuda.set_device(0)
    with pytest.raises(at.DeviceError, match="go back to the former device"):
        _native.native().leave_device()


def test_random_numbers(gpu: str) -> None:
    at.cuda.manual_seed(5)
    state = at.cuda.get_rng_state()
    first = at.rand(8, device=gpu)
    at.cuda.set_rng_state(state)
    assert at.rand(8).tolist() == first.tolist()
    at.cuda.manual_seed_all(5)
    assert at.cuda.initial_seed() == 5 and at.rand(8, device=gpu).tolist() == first.tolist()
    states = at.cuda.get_rng_state_all()
    assert len(states) == at.cuda.device_count()
    at.cuda.set_rng_state_all(states)


def test_marks(gpu: str) -> None:
    with nvtx.range("outer {}", 1):
        nvtx.mark("here")
        number = nvtx.range_start("other {")
        nvtx.range_push("inner")
        nvtx.range_pop()
        nvtx.range_end(number)

    @nvtx.range("f")
    def f() -> int:
        return 3

    assert f() == f() == 3
