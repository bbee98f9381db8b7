"""Loading the backend: with it built or not, with a GPU or without one."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path

import pytest

import atled.core as at
from atled.core import _core, _cuda, _registry

BUILT = _cuda.LIBRARY.exists()
built = pytest.mark.skipif(not BUILT, reason="this build has no CUDA backend (ATLED_CUDA)")


def _reason() -> str | None:
    try:
        at.device("cuda")
    except at.DeviceError as error:
        return str(error)
    return None


without_gpu = pytest.mark.skipif(BUILT and _reason() is None, reason="there is a GPU")


@without_gpu
def test_the_error_says_what_was_looked_for_and_found_and_what_to_do() -> None:
    for _ in range(2):  # the second time is no other than the first
        with pytest.raises(at.DeviceError) as raised:
            at.ones((2,), device="cuda")
        text = str(raised.value)
        assert "looked for" in text
        if BUILT:
            assert "device cuda cannot be used: looked for the NVIDIA driver (libcuda.so.1) and a GPU, found" in text
            assert "install a driver" in text or "update the driver" in text or "nvidia-smi" in text
        else:
            assert "not part of this build" in text and "-DATLED_CUDA=ON" in text


@without_gpu
def test_tensors_do_not_move_there() -> None:
    with pytest.raises(at.DeviceError):
        at.ones((2,)).to("cuda")
    with pytest.raises(at.DeviceError):
        at.device("cuda:3")
    assert at.ones((2,)).sum().item() == 2


def test_importing_loads_no_cuda() -> None:
    script = "import atled.core, sys; print(open('/proc/self/maps').read().count('libatled_cuda'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@built
def test_the_library_asks_the_system_for_no_cuda() -> None:
    ctypes.CDLL(str(_cuda.LIBRARY))  # every symbol and library that it needs is there
    needed = subprocess.run(["readelf", "-d", str(_cuda.LIBRARY)], capture_output=True, text=True)
    if needed.returncode == 0:
        libraries = [line for line in needed.stdout.splitlines() if "NEEDED" in line]
        assert libraries and not any("cuda" in line or "nvidia" in line for line in libraries)


@built
def test_the_library_shows_its_entry_and_settings_alone() -> None:
    shown = subprocess.run(["nm", "-D", "--defined-only", str(_cuda.LIBRARY)], capture_output=True, text=True)
    if shown.returncode == 0:
        names = {line.split()[-1] for line in shown.stdout.splitlines()}
        assert "atled_plugin_init" in names
        assert all(name.startswith(("atled_cuda_", "atled_emulator_")) for name in names - {"atled_plugin_init"})


def test_doctor_and_plugins_tell() -> None:
    command = [sys.executable, "-m", "atled.core"]
    done = subprocess.run([*command, "doctor", "--json"], capture_output=True, text=True)
    said = json.loads(done.stdout)["devices"]["cuda"]
    assert said == _reason() or said.startswith(f"usable: {at.cuda.get_device_name(0)} (")
    done = subprocess.run([*command, "plugins"], capture_output=True, text=True)
    assert "atled.devices" in done.stdout and "cuda" in done.stdout


@built
def test_a_fallback_for_a_device_that_is_not_there_is_the_devices_error() -> None:
    if _reason() is None:
        pytest.skip("there is a GPU")
    with pytest.raises(at.DeviceError, match="cannot be used"):
        at.fallback_to_cpu("cuda")


def test_a_build_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_cuda, "LIBRARY", tmp_path / "libatled_cuda.so")
    with pytest.raises(_core.DeviceError, match=r"not part of this build of atled-core: looked for .*, which is not"):
        _cuda.register()
    assert "cuda" in _registry.names("atled.devices")
