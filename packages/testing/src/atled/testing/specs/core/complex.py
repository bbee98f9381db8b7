"""Complex numbers and their parts."""

import numpy as np

import atled.core as at
from atled.testing import ALL, COMPLEX, ErrorCase, OpSpec
from atled.testing.samples import unary

SPECS = [
    OpSpec(name="conj", reference=np.conj, samples=unary, dtypes=ALL, ulps=0),
    OpSpec(name="real", reference=np.real, samples=unary, dtypes=ALL, result="real", ulps=0),
    OpSpec(
        name="imag",
        reference=np.imag,
        samples=unary,
        dtypes=COMPLEX,
        result="real",
        ulps=0,
        errors=(ErrorCase(at.DTypeError, "expected complex numbers, got float32", np.ones(2, np.float32)),),
    ),
]
