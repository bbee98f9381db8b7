"""The compositions that run nn's ops on other devices, against nn's own kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core import _core
from atled.nn import _composed
from atled.testing import OpSpec, Sample, from_numpy, specs, to_numpy

SPECS = specs.find("nn")
# A few roundings of the largest element: the order of additions is another.
TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 1e-5, "float64": 1e-12}


def test_each_op_has_one() -> None:
    _ = at.ops.nn.linear
    assert set(_composed.KERNELS) == {op.name for op in _core.ops() if op.ns == "nn"}


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


def test_training_on_cuda_is_as_on_the_cpu() -> None:
    pytest.importorskip("atled.autograd")
    from atled import nn

    try:
        at.device("cuda")
    except at.DeviceError as error:
        pytest.skip(str(error))

    def losses(device: str) -> list[float]:
        at.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.GELU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 6, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(0.25),
            nn.LayerNorm(6),
            nn.Linear(6, 3),
        ).to(device)
        x, y = at.randn(8, 2, 8, 8).to(device), (at.arange(8) % 3).to(device)
        found = []
        for _ in range(3):
            loss = nn.functional.cross_entropy(model(x), y, label_smoothing=0.1)
            model.zero_grad()
            loss.backward()
            for parameter in model.parameters():
                at.Tensor(parameter).sub_(parameter.grad, alpha=0.1)
            found.append(loss.item())
        return found

    with nn.backends.cudnn.flags(allow_tf32=False):
        assert losses("cuda") == pytest.approx(losses("cpu"), rel=1e-4)
