"""Where the plugin libraries lie: the registry loads the first for the ops, the other when a convolution first runs."""

import sys
from pathlib import Path

_SUFFIX = ".dll" if sys.platform == "win32" else ".so"
LIBRARY = Path(__file__).with_name(f"libatled_nn{_SUFFIX}")
CONVOLUTION_LIBRARY = Path(__file__).with_name(f"libatled_nn_onednn{_SUFFIX}")
