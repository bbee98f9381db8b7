"""Tensors, dtypes, devices and operators: an array library that other wheels plug into.

Every registered operator of the namespace ``core`` is a function here and, where that makes sense, a method of
``Tensor``; ``help(at.log1p)`` shows its schema.

>>> import atled.core as at
>>> at.tensor([1.0, 2.0]).log1p().shape
(2,)
"""

from __future__ import annotations

from atled.core import _core, _explained, _methods, _ops, _overloads, _tensor
from atled.core._core import *  # noqa: F403
from atled.core._core import __version__ as __version__
from atled.core._core import default_generator as default_generator
from atled.core._methods import channels_last as channels_last
from atled.core._methods import channels_last_3d as channels_last_3d
from atled.core._methods import contiguous_format as contiguous_format
from atled.core._methods import layout as layout
from atled.core._methods import memory_format as memory_format
from atled.core._methods import preserve_format as preserve_format
from atled.core._methods import strided as strided
from atled.core._ops import ops as ops
from atled.core._overloads import atleast_1d as atleast_1d
from atled.core._overloads import atleast_2d as atleast_2d
from atled.core._overloads import atleast_3d as atleast_3d
from atled.core._overloads import dsplit as dsplit
from atled.core._overloads import einsum as einsum
from atled.core._overloads import hsplit as hsplit
from atled.core._overloads import max as max
from atled.core._overloads import median as median
from atled.core._overloads import min as min
from atled.core._overloads import nanmedian as nanmedian
from atled.core._overloads import nonzero as nonzero
from atled.core._overloads import norm as norm
from atled.core._overloads import repeat as repeat
from atled.core._overloads import repeat_interleave as repeat_interleave
from atled.core._overloads import split as split
from atled.core._overloads import tensor_split as tensor_split
from atled.core._overloads import tensordot as tensordot
from atled.core._overloads import unique as unique
from atled.core._overloads import unique_consecutive as unique_consecutive
from atled.core._overloads import vsplit as vsplit
from atled.core._overloads import where as where

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
__array_api_version__ = "2025.12"

_explained.explain_bindings(globals())
_ops.describe_ops()
_ops.publish(globals())
_tensor.install()
_overloads.install()
_methods.install()

# Loaded when first asked for: module -> names.
_LAZY = {
    "_serialization": ("save", "load", "load_metadata", "from_file"),
    "_printing": ("set_printoptions", "get_printoptions", "printoptions"),
    "_paths": ("get_include", "get_cmake_dir"),
    "_dtypes": ("finfo", "iinfo", "isdtype", "promote_types", "result_type", "can_cast"),
    "_functions": (
        *("is_tensor", "is_complex", "is_floating_point", "is_signed", "is_nonzero", "numel", "get_device"),
        *("get_device_module", "broadcast_shapes", "as_tensor", "to_dlpack", "empty_permuted", "detach"),
    ),
    "_settings": (
        *("get_float32_matmul_precision", "set_float32_matmul_precision", "use_deterministic_algorithms"),
        *("are_deterministic_algorithms_enabled", "is_deterministic_algorithms_warn_only_enabled"),
        *("seed", "initial_seed", "get_rng_state", "set_rng_state"),
    ),
    "_fusion": ("fuse", "compile"),
    "_lowrank": ("pca_lowrank", "svd_lowrank"),
    "_numerical": ("gradient", "histogramdd"),
    "_namespace": ("__array_namespace_info__",),
    "_storage": ("UntypedStorage", "TypedStorage"),
    "_tensor_types": (
        *("FloatTensor", "DoubleTensor", "HalfTensor", "BFloat16Tensor", "BoolTensor"),
        *("ByteTensor", "CharTensor", "ShortTensor", "IntTensor", "LongTensor"),
    ),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

# Likewise, whole.
_MODULES = (
    "accelerator",
    "amp",
    "array_api",
    "backends",
    "cuda",
    "fft",
    "linalg",
    "multiprocessing",
    "profiler",
    "random",
    "signal",
    "special",
    "utils",
)


def __getattr__(name: str) -> object:
    import importlib

    if name in _MODULES:
        return importlib.import_module(f"atled.core.{name}")
    if name in _MODULE_OF:
        found = getattr(importlib.import_module(f"atled.core.{_MODULE_OF[name]}"), name)
    elif name.startswith("_"):  # also a module that is about to be imported
        raise AttributeError(f"module 'atled.core' has no attribute {name!r}")
    else:  # what other wheels put here, such as no_grad
        found = importlib.import_module("atled.core._registry").module_function(name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(name for name in {*globals(), *_MODULE_OF, *_MODULES} if not name.startswith("_"))
