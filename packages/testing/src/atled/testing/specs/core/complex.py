"""Complex numbers, their parts, views and angles."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import atled.core as at
from atled.testing import ALL, COMPLEX, FUNCTION, Draw, ErrorCase, OpSpec, Sample, assert_ulps
from atled.testing.samples import BROADCASTS, shapes, unary

PARTS = ("float32", "float64")
NOT_A_PART = ErrorCase(at.DTypeError, "float32 or float64", np.ones(2, np.float16), np.ones(2, np.float16))


def parts(draw: Draw) -> Iterator[Sample]:
    for a, b in BROADCASTS[:4] if draw.smooth else BROADCASTS:
        yield Sample(draw(*a), draw(*b))
    if not draw.smooth:
        yield Sample(draw.specials()[:, None], draw.specials()[:6])


def magnitudes(draw: Draw) -> Iterator[Sample]:
    for a, b in BROADCASTS[:4] if draw.smooth else BROADCASTS:
        yield Sample(draw(*a, low=0.1), draw(*b))


def pairs(draw: Draw) -> Iterator[Sample]:
    for shape in shapes(draw):
        yield Sample(draw(*shape, 2))


def check_pairs(outputs: list[Any], x: Any) -> None:
    assert_ulps(outputs[0], (x[..., 0] + 1j * x[..., 1]).astype(complex_dtype(Sample(x))), 0)


def complex_dtype(sample: Sample) -> str:
    return "complex128" if any(arg.dtype == np.float64 for arg in sample.args) else "complex64"


def never(x: Any) -> Any:
    return np.asarray(False)


def same(x: Any) -> Any:
    return x


SPECS = [
    OpSpec(name="conj", reference=np.conj, samples=unary, dtypes=ALL, ulps=0),
    OpSpec(
        name="angle",
        # NumPy gives the real number -0.0 the angle pi, PyTorch 0.
        reference=lambda x: np.angle(x if np.iscomplexobj(x) else x + 0.0),
        samples=unary,
        dtypes=ALL,
        result=lambda sample: {"complex64": "float32", "complex128": "float64"}.get(sample.args[0].dtype.name, "float"),
        ulps=FUNCTION,
    ),
    OpSpec(
        name="complex",
        reference=lambda real, imag: np.stack(np.broadcast_arrays(real, imag), -1).view(np.complex128)[..., 0],
        samples=parts,
        dtypes=PARTS,
        result=complex_dtype,
        ulps=0,
        errors=(NOT_A_PART,),
    ),
    OpSpec(
        name="polar",
        reference=lambda abs, angle: abs * np.cos(angle) + 1j * (abs * np.sin(angle)),
        samples=magnitudes,
        dtypes=PARTS,
        result=complex_dtype,
        ulps=2,
        errors=(NOT_A_PART,),
    ),
    OpSpec(
        name="view_as_real",
        reference=lambda x: np.stack([x.real, x.imag], -1),
        samples=unary,
        dtypes=COMPLEX,
        result="real",
        ulps=0,
        errors=(ErrorCase(at.DTypeError, "expected complex numbers, got float32", np.ones(2, np.float32)),),
    ),
    OpSpec(
        name="view_as_complex",
        check=check_pairs,  # no reference: not every layout has such a view
        samples=pairs,
        dtypes=PARTS,
        errors=(
            ErrorCase(at.DTypeError, "float32 or float64", np.ones(2, np.float16)),
            ErrorCase(at.ShapeError, r"last dimension of size 2, got shape \(3,\)", np.ones(3)),
        ),
    ),
    OpSpec(name="is_conj", reference=never, samples=unary, dtypes=ALL, result="bool", differentiable=False),
    OpSpec(name="is_neg", reference=never, samples=unary, dtypes=ALL, result="bool", differentiable=False),
    OpSpec(name="resolve_conj", reference=same, samples=unary, dtypes=ALL, ulps=0),
    OpSpec(name="resolve_neg", reference=same, samples=unary, dtypes=ALL, ulps=0),
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
