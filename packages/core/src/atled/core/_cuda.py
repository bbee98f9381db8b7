"""The entry point of device "cuda": loads the backend's library, which lies beside this file where it was built."""

import ctypes
import sys
from pathlib import Path

from atled.core import _core, _cupy, _settings

LIBRARY = Path(__file__).with_name("libatled_cuda.so")


def register() -> None:
    """Adds the device and its kernels; DeviceError when this build of atled-core has none."""
    if not LIBRARY.exists():
        raise _core.DeviceError(
            f"device cuda is not part of this build of atled-core: looked for {LIBRARY}, which is not there; install a "
            "wheel that was built with CUDA, or build one with nvcc and -DATLED_CUDA=ON"
        )
    _core.load_plugin(str(LIBRARY))
    library = ctypes.CDLL(str(LIBRARY))
    library.atled_cuda_set_library_folders(":".join(library_folders()).encode())
    _settings.follow_float32_matmul_precision(lambda precision: library.atled_cuda_allow_tf32(precision != "highest"))
    _cupy.register()


def library_folders() -> list[str]:
    """Where pip puts NVIDIA's libraries, of all folders that this interpreter finds packages in."""
    return [str(folder) for entry in sys.path if entry for folder in sorted(Path(entry).glob("nvidia/*/lib"))]
