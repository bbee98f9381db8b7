"""The compositions that run nn's ops where a device has no kernel of its own, against the CPU's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.nn import _composed
from atled.testing import OpSpec, Sample, from_numpy, specs, to_numpy

SPECS = {name: spec for name, spec in specs.find("nn").items() if spec.op.name in _composed.KERNELS}
# A few roundings of the largest element: the order of additions is another.
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 1e-5, "float64": 1e-12}


def arguments(spec: OpSpec, sample: Sample) -> list[Any]:
    """All of the op's arguments by position, tensors anew."""
    names = [name for name, *_ in spec.op.args]
    given = dict(zip(names, sample.args, strict=False)) | dict(sample.kwargs)
    values = [given.get(name, default) for name, _, default, *_ in spec.op.args]
    return [from_numpy(v.copy(), "cpu") if isinstance(v, np.ndarray) else v for v in values]


@pytest.mark.parametrize(
    ("spec", "dtype"), [pytest.param(s, d, id=f"{s}-{d}") for s in SPECS.values() for d in s.dtypes if d in TOLERANCE]
)
def test_the_composition_gives_what_the_kernel_gives(spec: OpSpec, dtype: str) -> None:
    for sample in spec.draw(dtype):
        at.manual_seed(0)
        wanted = spec.op(*arguments(spec, sample)[: len(sample.args)], **_tensors(sample.kwargs))
        at.manual_seed(0)
        got = _composed.KERNELS[spec.op.name](*arguments(spec, sample))
        for a, b in zip(_several(got), _several(wanted), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{spec.name}{sample}"
            x, y = (to_numpy(t).astype(np.float64) for t in (a, b))
            size = np.max(np.abs(y), initial=1.0, where=np.isfinite(y))
            tolerance = TOLERANCE.get(b.dtype.name, 0) * size
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance, err_msg=f"{spec.name}{sample}")


def _several(results: Any) -> list[at.Tensor]:
    return list(results) if isinstance(results, tuple) else [results]


def _tensors(kwargs: Any) -> dict[str, Any]:
    return {k: from_numpy(v, "cpu") if isinstance(v, np.ndarray) else v for k, v in kwargs.items()}
