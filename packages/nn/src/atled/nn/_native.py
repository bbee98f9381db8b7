"""Where the plugin libraries lie: the registry loads the first for the ops, the other when a convolution first runs."""

import os
import sys
from pathlib import Path

_SUFFIX = ".dll" if sys.platform == "win32" else ".so"
LIBRARY = Path(__file__).with_name(f"libatled_nn{_SUFFIX}")
CONVOLUTION_LIBRARY = Path(__file__).with_name(f"libatled_nn_onednn{_SUFFIX}")
#: Where the wheel was built for CUDA.
CUDA_LIBRARY = Path(__file__).with_name(f"libatled_nn_cuda{_SUFFIX}")

# oneDNN's OpenMP threads spin for milliseconds after each convolution, on the processors that core's threads then want
# (ten times the time of a training step, on two busy cores). libgomp reads this when it is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
