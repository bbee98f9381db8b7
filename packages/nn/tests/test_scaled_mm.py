"""scaled_mm by its definition in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.nn.functional import ScalingType, SwizzleType, scaled_mm

RNG = np.random.default_rng(2)
TENSOR, ROW, LINE, BLOCK = (ScalingType[n] for n in ("TensorWise", "RowWise", "BlockWise1x128", "BlockWise128x128"))
Array = np.ndarray[Any, np.dtype[Any]]


def scale_of(rows: int, k: int, recipe: ScalingType, turned: bool) -> tuple[at.Tensor, Array]:
    """A matrix's scales, and the number for each of its elements, with rows along k."""
    down, along = -(-rows // 128), -(-k // 128)
    if recipe is TENSOR:
        one = np.float32(0.75)
        return at.tensor(0.75), np.full((rows, k), one)
    if recipe is ROW:
        each = RNG.random((rows, 1), dtype=np.float32)
        return at.from_numpy(each.T.copy() if turned else each), np.repeat(each, k, 1)
    if recipe is LINE:
        lines = RNG.random((rows, along), dtype=np.float32)
        return at.from_numpy(lines), np.repeat(lines, 128, 1)[:, :k]
    padded = RNG.random((-(-along // 4) * 4, down), dtype=np.float32)
    blocks = padded[:along].T
    return at.from_numpy(padded), np.repeat(np.repeat(blocks, 128, 0)[:rows], 128, 1)[:, :k]


@pytest.mark.parametrize(
    "recipes", [(TENSOR, TENSOR), (ROW, ROW), (ROW, TENSOR), (LINE, LINE), (LINE, BLOCK), (BLOCK, LINE), (BLOCK, BLOCK)]
)
@pytest.mark.parametrize("biased", [False, True])
def test_products(recipes: tuple[ScalingType, ScalingType], biased: bool) -> None:
    m, k, n = 130, 300, 160
    a, b = (at.from_numpy(RNG.standard_normal(s, dtype=np.float32)).to(at.float8_e4m3fn) for s in ((m, k), (n, k)))
    (scale_a, each_a), (scale_b, each_b) = scale_of(m, k, recipes[0], False), scale_of(n, k, recipes[1], True)
    bias = RNG.standard_normal(n).astype(np.float32) if biased else None
    wide_a, wide_b = (t.to(at.float64).numpy() * each for t, each in ((a, each_a), (b, each_b)))
    expected = wide_a @ wide_b.T + (0 if bias is None else bias)
    for dtype, tolerance in ((at.float32, 2e-5), (at.bfloat16, 2**-8)):
        added = None if bias is None else at.from_numpy(bias).to(dtype)
        found = scaled_mm(a, b.t(), scale_a, recipes[0], scale_b, [recipes[1]], None, None, added, dtype)
        assert found.dtype is dtype
        assert np.abs(found.to(at.float64).numpy() - expected).max() < tolerance * np.abs(expected).max()


def test_results_in_float8() -> None:
    a = at.tensor([[1.0, 2.0, 448.0]]).to(at.float8_e4m3fn)
    one, none = at.tensor(1.0), SwizzleType.NO_SWIZZLE
    found = scaled_mm(a, a.t(), one, TENSOR, one, TENSOR, none, none, at.tensor([1.0]), None, (-1, 0), True)
    assert found.dtype is at.float8_e4m3fn
    assert found.tolist() == [[448.0]]


ONE = at.tensor(1.0)


@pytest.mark.parametrize(
    ("error", "match", "change"),
    [
        (at.ShapeError, "mat_b of 2 dimensions", {"mat_b": at.ones(3).to(at.float8_e4m3fn)}),
        (at.ShapeError, "scale_a of one number for TensorWise", {"scale_a": at.ones(2, 1)}),
        (at.ShapeError, r"scale_a of .2, 1. for RowWise", {"scale_recipe_a": ROW}),
        (at.ShapeError, r"scale_b of .1, 2. for RowWise", {"scale_recipe_b": ROW}),
        (at.DTypeError, "scale_b of float32", {"scale_b": ONE.to(at.float64)}),
        (at.DTypeError, "for other dtypes there is mm", {"mat_a": at.ones(2, 3)}),
        (at.ArgumentError, "scale_recipe_a of ScalingType", {"scale_recipe_a": 0}),
        (at.NotImplementedOpError, "got BlockWise1x32", {"scale_recipe_a": ScalingType.BlockWise1x32}),
        (at.NotImplementedOpError, "scales of blocks or neither", {"scale_recipe_a": LINE}),
        (at.NotImplementedOpError, "swizzle_a None or NO_SWIZZLE", {"swizzle_a": SwizzleType.SWIZZLE_32_4_4}),
        (at.NotImplementedOpError, "one scale_a, got 2", {"scale_a": [ONE, ONE]}),
        (at.NotImplementedOpError, "contraction_dim", {"contraction_dim": (0, 1)}),
        (
            at.DTypeError,
            "bias of the result's dtype",
            {
                **dict.fromkeys(("scale_recipe_a", "scale_recipe_b"), LINE),
                **dict.fromkeys(("scale_a", "scale_b"), at.ones(2, 1)),
                "bias": at.ones(2),
            },
        ),
    ],
)
def test_errors(error: type[Exception], match: str, change: dict[str, Any]) -> None:
    a = at.ones(2, 3).to(at.float8_e4m3fn)
    given = {"mat_a": a, "mat_b": a.t(), **dict.fromkeys(("scale_a", "scale_b"), ONE)}
    given |= dict.fromkeys(("scale_recipe_a", "scale_recipe_b"), TENSOR)
    with pytest.raises(error, match=match):
        scaled_mm(**{**given, **change})
