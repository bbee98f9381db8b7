"""How atled's packages test their operators: specifications, samples, references and tolerances."""

from . import samples, specs
from ._check import check_errors, check_op
from ._compare import assert_close, assert_ulps
from ._convert import (
    ALL,
    BOOL,
    COMPLEX,
    FLOAT8,
    FLOATS,
    INTEGERS,
    NUMBERS,
    REALS,
    SIGNED,
    UNSIGNED,
    at_dtype,
    dtype_name,
    from_numpy,
    numpy_dtype,
    promote,
    result_dtype,
    to_numpy,
)
from ._errors import raw_errors
from ._examples import without_examples
from ._spec import FUNCTION, ROUNDED, Draw, ErrorCase, HostErrorCase, OpSpec, Sample, Samples

__all__ = [
    "ALL",
    "BOOL",
    "COMPLEX",
    "FLOAT8",
    "FLOATS",
    "FUNCTION",
    "INTEGERS",
    "NUMBERS",
    "REALS",
    "ROUNDED",
    "SIGNED",
    "UNSIGNED",
    "Draw",
    "ErrorCase",
    "HostErrorCase",
    "OpSpec",
    "Sample",
    "Samples",
    "assert_close",
    "assert_ulps",
    "at_dtype",
    "check_errors",
    "check_op",
    "dtype_name",
    "from_numpy",
    "numpy_dtype",
    "promote",
    "raw_errors",
    "result_dtype",
    "samples",
    "specs",
    "to_numpy",
    "without_examples",
]
