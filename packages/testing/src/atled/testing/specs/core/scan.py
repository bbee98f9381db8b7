"""Running sums and products."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import COMPLEX, Draw, ErrorCase, OpSpec, Sample
from atled.testing.samples import along_dim

X = np.ones((2, 3), np.float32)
ERRORS = (ErrorCase(at.BoundsError, "dim", X, 2), ErrorCase(at.ArgumentError, "missing argument dim", X))


def with_dtype(draw: Draw) -> Iterator[Sample]:
    for sample in along_dim(draw):
        x, *rest = sample.args
        # The modulus of complex numbers of the domain is larger than their parts: long products would overflow.
        yield Sample((x * 0.66).astype(x.dtype) if draw.dtype in COMPLEX else x, *rest, **sample.kwargs)
    if not draw.smooth:
        yield Sample(draw(3, 4), 1, dtype="complex128" if draw.dtype in COMPLEX else "float64")
        if draw.dtype not in COMPLEX:
            yield Sample(draw(70, 9), 1)


def scan(function: Callable[..., Any]) -> Callable[..., Any]:
    def reference(x: Any, dim: int, dtype: Any = None) -> Any:
        # In float64 also where NumPy would go on in the integers' own dtype.
        x = x.astype(np.float64) if dtype == "float64" else x
        return function(x, dim) if x.ndim else x.astype(function(x.reshape(1)).dtype)

    return reference


SPECS = [
    OpSpec(
        name="cumsum",
        reference=scan(np.cumsum),
        scale=scan(np.cumsum),
        samples=with_dtype,
        result="sum",
        ulps={"default": 64, "float16": 1, "bfloat16": 1},
        errors=ERRORS,
    ),
    OpSpec(
        name="cumprod",
        reference=scan(np.cumprod),
        samples=with_dtype,
        domain=(0.6, 1.5),
        result="sum",
        ulps={"default": 256, "float16": 2, "bfloat16": 2, "complex64": 1024, "complex128": 1024},
        errors=ERRORS,
    ),
]
