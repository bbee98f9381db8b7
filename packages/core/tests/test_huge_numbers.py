"""Sizes, steps and offsets up to the ends of int64: an answer or an error that says so, never arithmetic that wraps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at

LARGEST, SMALLEST = 2**63 - 1, -(2**63)


def x() -> at.Tensor:
    return at.arange(12).reshape(3, 4)


ERRORS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "an empty tensor of too many elements beside": (lambda: at.rand(3, 2**62, 0), MemoryError, "less than 2"),
    "a view of too many elements": (lambda: at.ones(1).expand(2**62, 3), at.ShapeError, "at most 2.56 elements"),
    "an empty view of too many": (lambda: at.ones(0, 1).expand(0, LARGEST), at.ShapeError, "at most 2.56 elements"),
    "an array of too many elements": (
        lambda: at.from_dlpack(np.lib.stride_tricks.as_strided(np.ones(1, np.uint8), (2**31, 2**31), (0, 0))),
        at.ShapeError,
        "at most 2.56 elements",
    ),
    "as_strided": (lambda: x().as_strided((2,), (1,), LARGEST), at.BoundsError, "inside the storage"),
    "as_strided before": (lambda: x().as_strided((2,), (1,), SMALLEST), at.InvalidValueError, "storage_offset >= 0"),
    "a slice": (lambda: at.ops.core.slice(x(), (0, 0, LARGEST, 1)), at.BoundsError, "inside dim 0"),
    "a slice from the far end": (lambda: at.ops.core.slice(x(), (0, LARGEST, -1, -1)), at.BoundsError, "inside dim 0"),
    "a slice by the smallest step": (lambda: at.ops.core.slice(x(), (0, 2, 0, SMALLEST)), at.InvalidValueError, "step"),
    "diag_embed": (lambda: at.diag_embed(x(), LARGEST), at.InvalidValueError, "expected offset in"),
    "diag_embed below": (lambda: at.diag_embed(x(), SMALLEST), at.InvalidValueError, "expected offset in"),
    "fftfreq": (lambda: at.fft.fftfreq(LARGEST), MemoryError, "less than 2"),
    "histc": (lambda: at.histc(at.ones(3), LARGEST), MemoryError, "at most 2.46 bins"),
    "histogram": (lambda: at.histogram(at.ones(3), LARGEST), MemoryError, "at most 2.46 bins"),
    "repeat_interleave": (lambda: at.repeat_interleave(x(), 2**62), at.ShapeError, "at most 2.56 elements"),
    "repeat_interleave by a tensor": (
        lambda: at.repeat_interleave(at.ones(2), at.tensor([LARGEST, LARGEST])),
        MemoryError,
        "fewer than 2.63 repeats",
    ),
    "an empty view": (lambda: at.ones(0).reshape(0, 2**62, 3), at.ShapeError, "at most 2.56 elements"),
    "chunks of nothing": (lambda: at.ones(0).chunk(2**40), MemoryError, "fewer than 2.31 tensors"),
    "pieces of a view": (lambda: at.ones(1).expand(2**40).unbind(), MemoryError, "fewer than 2.31 tensors"),
    "pivots": (
        lambda: at.lu_unpack(at.eye(2), at.tensor([SMALLEST, 1])),
        at.BoundsError,
        "expected pivots in",
    ),
    "a triangle without columns": (lambda: at.tril_indices(LARGEST, 0), at.ShapeError, "fewer elements"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_refused(name: str) -> None:
    provoke, error, message = ERRORS[name]
    with pytest.raises(error, match=message):
        provoke()


ANSWERS: dict[str, tuple[Callable[[], at.Tensor], Callable[[Any], Any]]] = {
    "unfold by the largest step": (lambda: x().unfold(1, 2, LARGEST), lambda a: a[:, None, :2]),
    "unfold twice": (lambda: x().unfold(1, 2, LARGEST).unfold(1, 1, LARGEST), lambda a: a[:, None, :2, None]),
    "slices": (lambda: x()[1::LARGEST, ::-LARGEST], lambda a: a[1::LARGEST, ::-LARGEST]),
    "a slice of a slice": (lambda: x()[:: LARGEST - 1][:: LARGEST - 1], lambda a: a[:1]),
    "strides that lead nowhere": (
        lambda: x().as_strided((1, 4, 1), (LARGEST, 1, SMALLEST)).transpose(0, 2) + 1,
        lambda a: a[0].reshape(1, 4, 1) + 1,
    ),
    "split": (lambda: x().split(LARGEST)[0], lambda a: a),
    "round": (lambda: at.round(x() * 1.5, decimals=SMALLEST), lambda a: np.zeros((3, 4), np.float32)),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_answered(name: str) -> None:
    answer, expected = ANSWERS[name]
    np.testing.assert_array_equal(answer().numpy(), expected(np.arange(12).reshape(3, 4)))


def test_the_largest_view_there_is() -> None:
    view = at.ones(1).expand(2**28, 2**28)
    assert view.shape == (2**28, 2**28) and view[0, 5].item() == 1
