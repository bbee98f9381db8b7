"""The memory part of the CUDA backend on the host: C++ programs against a simulated device, test by test.

They need a C++ compiler and nothing of CUDA. ``-s`` shows what the trace and the benchmark print.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "csrc"
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{SOURCES}", f"-I{HERE}"]
ALLOCATOR = ["caching_allocator.cpp", "caching_growth.cpp", "caching_inspect.cpp"]
ALLOCATOR += ["memory_blocks.cpp", "memory_events.cpp", "memory_report.cpp", "pinned_cache.cpp"]
# Programs and how they are built.
SANITIZED = ["-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FAST = ["-O2"]
PROGRAMS = {
    "test_allocator_cases": SANITIZED,
    "test_allocator_model": SANITIZED,
    "test_allocator_speed": FAST,
    "test_allocator_threads": ["-O1", "-fsanitize=thread"],
    "test_allocator_trace": FAST,
    "test_memory_pinned": SANITIZED,
}
Build = Callable[[str], Path]


def names_in(program: str) -> list[str]:
    """The names that a program's source gives its tests."""
    return re.findall(r"^TEST\((\w+)\)", (HERE / f"{program}.cpp").read_text(), re.MULTILINE)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build(program)` gives the path of the program, built once."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        pytest.skip("no C++ compiler on the path")
    folder = tmp_path_factory.mktemp("programs")

    def has(flags: list[str]) -> bool:
        probe = folder / "probe.cpp"
        probe.write_text("int main() { return 0; }")
        done = subprocess.run([compiler, *flags, str(probe), "-o", str(folder / "probe")], capture_output=True)
        return done.returncode == 0 and subprocess.run([folder / "probe"], capture_output=True).returncode == 0

    def objects(flags: list[str]) -> list[str]:
        built = folder / str(abs(hash(tuple(flags))))
        if not built.exists():
            built.mkdir()
            sources = [str(SOURCES / "cuda" / name) for name in ALLOCATOR]
            subprocess.run([compiler, *FLAGS, *flags, "-c", *sources], check=True, cwd=built)
        return [str(path) for path in sorted(built.glob("*.o"))]

    def build_one(program: str) -> Path:
        built = folder / program
        if not built.exists():
            flags = PROGRAMS[program]
            if flags is not FAST and not has(flags):
                flags = ["-O1"]
            source = str(HERE / f"{program}.cpp")
            subprocess.run([compiler, *FLAGS, *flags, source, *objects(flags), "-o", str(built)], check=True)
        return built

    return build_one


def run(program: Path, *names: str) -> str:
    """What the program prints; its failure is the test's, and the reason that it skips for as well."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run([program, *names], capture_output=True, text=True, env=environment)
    if done.returncode == 77:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.parametrize(("program", "name"), [(program, name) for program in PROGRAMS for name in names_in(program)])
def test_program(build: Build, program: str, name: str) -> None:
    print(run(build(program), name), end="")


@pytest.fixture(scope="session")
def device_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program over the real driver."""
    nvcc = os.environ.get("CUDACXX") or shutil.which("nvcc")
    if not nvcc:
        pytest.skip("no nvcc on the path")
    built = tmp_path_factory.mktemp("device") / "program"
    sources = [str(SOURCES / "cuda" / name) for name in [*ALLOCATOR, "cuda_driver.cpp", "contexts.cpp"]]
    flags = ["-std=c++17", "-O1", f"-I{SOURCES}", f"-I{HERE}", "-Xcompiler", "-Wall,-Wextra,-Werror,-pthread"]
    subprocess.run([nvcc, *flags, str(HERE / "test_memory_device.cpp"), *sources, "-o", str(built)], check=True)
    return built


@pytest.mark.parametrize("name", names_in("test_memory_device"))
def test_on_a_device(device_program: Path, name: str) -> None:
    print(run(device_program, name), end="")


def test_reports_are_json_with_the_names_of_pytorch(build: Build) -> None:
    first, second = run(build("test_allocator_cases"), "json").splitlines()
    stats = json.loads(first)
    assert stats["allocation.all.current"] == 1
    assert stats["allocated_bytes.small_pool.current"] == 1024
    assert stats["active_bytes.large_pool.current"] == 5 << 20
    assert stats["reserved_bytes.all.peak"] == 8 << 20
    assert stats["num_device_alloc"] == 2 and stats["num_ooms"] == 0

    snapshot = json.loads(second)
    small, large = snapshot["segments"]
    assert (small["segment_type"], large["segment_type"]) == ("small", "large")
    assert small["blocks"][0] == {
        "address": small["address"],
        "size": 1024,
        "requested_size": 1000,
        "state": "active_allocated",
        "site": "train.py:5",
    }
    assert [block["state"] for block in large["blocks"]] == ["active_awaiting_free", "inactive"]
    assert large["total_size"] == 6 << 20 and large["is_expandable"] and large["stream"] == 1
    actions = [event["action"] for event in snapshot["device_traces"][0]]
    assert actions == ["segment_map", "alloc", "segment_map", "alloc", "free_requested"]
