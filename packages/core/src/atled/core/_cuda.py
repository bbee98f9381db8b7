"""The entry point of device "cuda": loads the backend's library, which lies beside this file where it was built."""

from pathlib import Path

from atled.core import _core, _cupy

LIBRARY = Path(__file__).with_name("libatled_cuda.so")


def register() -> None:
    """Adds the device and its kernels; DeviceError when this build of atled-core has none."""
    if not LIBRARY.exists():
        raise _core.DeviceError(
            f"device cuda is not part of this build of atled-core: looked for {LIBRARY}, which is not there; install a "
            "wheel that was built with CUDA, or build one with nvcc and -DATLED_CUDA=ON"
        )
    _core.load_plugin(str(LIBRARY))
    _cupy.register()
