"""Tensors, dtypes, devices and operators: an array library that other wheels plug into.

Every registered operator of the namespace ``core`` is a function here and, where that makes sense, a method of
``Tensor``; ``help(at.log1p)`` shows its schema.

>>> import atled.core as at
>>> at.tensor([1.0, 2.0]).log1p().shape
(2,)
"""

from __future__ import annotations

from atled.core import _core, _ops, _overloads, _tensor
from atled.core._core import *  # noqa: F403
from atled.core._core import __version__ as __version__
from atled.core._core import default_generator as default_generator
from atled.core._ops import ops as ops
from atled.core._overloads import max as max
from atled.core._overloads import median as median
from atled.core._overloads import min as min
from atled.core._overloads import nanmedian as nanmedian

half = _core.float16
float = _core.float32
double = _core.float64
short = _core.int16
int = _core.int32
long = _core.int64
cfloat = _core.complex64
cdouble = _core.complex128

e = 2.718281828459045
pi = 3.141592653589793
inf = 1e999
nan = inf - inf
newaxis = None

_ops.publish(globals())
_tensor.install()
_overloads.install()

# Loaded when first asked for: name -> module.
_LAZY = {
    "save": "_serialization",
    "load": "_serialization",
    "load_metadata": "_serialization",
    "from_file": "_serialization",
    "set_printoptions": "_printing",
    "get_printoptions": "_printing",
    "printoptions": "_printing",
    "get_include": "_paths",
    "get_cmake_dir": "_paths",
}

# Likewise, whole.
_MODULES = ("fft", "linalg", "special")


def __getattr__(name: str) -> object:
    if name not in _LAZY and name not in _MODULES:
        raise AttributeError(f"module 'atled.core' has no attribute {name!r}")
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"atled.core.{name}")
    found = getattr(importlib.import_module(f"atled.core.{_LAZY[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(name for name in {*globals(), *_LAZY, *_MODULES} if not name.startswith("_"))
