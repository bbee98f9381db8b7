"""Windows of signal processing, against SciPy's, whose fftbins is periodic."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import signal

import atled.core as at
from atled.testing import FLOATS, Draw, ErrorCase, OpSpec, Sample


def lengths(*parameters: float) -> Callable[[Draw], Iterator[Sample]]:
    def samples(draw: Draw) -> Iterator[Sample]:
        for n in (0, 1, 2, 5, 64):
            yield Sample(n, dtype=draw.dtype)
            yield Sample(n, False, dtype=draw.dtype)
        if parameters:
            yield Sample(33, False, *parameters, dtype=draw.dtype)

    return samples


def window(name: str, *defaults: float, parameters: tuple[float, ...] = (), ulps: float = 4) -> OpSpec:
    def reference(n: int, periodic: bool = True, *given: float, dtype: str) -> Any:
        if n == 0:
            return np.zeros(0)
        values = given or defaults
        if name == "hamming":
            return signal.windows.general_cosine(n, list(values), sym=not periodic)
        return signal.get_window((name, *values) if values else name, n, fftbins=periodic)

    return OpSpec(
        name=f"{name}_window",
        samples=lengths(*parameters),
        reference=reference,
        scale=lambda n, periodic=True, *given, dtype: 1.0,  # cosines that cancel
        dtypes=FLOATS,
        result=lambda sample: sample.kwargs["dtype"],
        ulps={"default": 1, "float64": ulps},
        errors=(
            ErrorCase(at.InvalidValueError, "window_length >= 0, got -1", -1),
            ErrorCase(at.DTypeError, "floating-point dtype, got int64", 4, dtype="int64"),
        ),
        differentiable=False,
    )


SPECS = [
    window("bartlett"),
    window("hann"),
    window("blackman"),
    window("hamming", 0.54, 0.46, parameters=(0.6, 0.3)),
    window("kaiser", 12.0, parameters=(3.5,), ulps=16),  # both sides round what i0 multiplies by beta
]
