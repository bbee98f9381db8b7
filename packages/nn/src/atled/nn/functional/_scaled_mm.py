"""Products of float8 matrices that were divided by scales, with PyTorch's names for how the scales lie."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, TypeVar

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

T = TypeVar("T")


class ScalingType(Enum):
    """What one scale is for: the matrix, a row of ``mat_a`` or column of ``mat_b``, or a block of numbers.

    Names and values are PyTorch's; `scaled_mm` says which it takes, and of which shapes.

    >>> [kind.name for kind in ScalingType][:3]
    ['TensorWise', 'RowWise', 'BlockWise1x16']
    """

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(Enum):
    """The order of a block's scales in memory: that of their dimensions, or one that tensor cores read them in.

    >>> [kind.name for kind in SwizzleType]
    ['NO_SWIZZLE', 'SWIZZLE_32_4_4']
    """

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


_WHOLE = (ScalingType.TensorWise, ScalingType.RowWise)
_BLOCKS = (ScalingType.BlockWise1x128, ScalingType.BlockWise128x128)
_SIZE = 128
_FLOAT8 = (at.float8_e4m3fn, at.float8_e5m2)


@explained
def scaled_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Tensor | list[Tensor],
    scale_recipe_a: ScalingType | list[ScalingType],
    scale_b: Tensor | list[Tensor],
    scale_recipe_b: ScalingType | list[ScalingType],
    swizzle_a: SwizzleType | list[SwizzleType] | None = None,
    swizzle_b: SwizzleType | list[SwizzleType] | None = None,
    bias: Tensor | None = None,
    output_dtype: at.dtype | None = at.bfloat16,
    contraction_dim: list[int] | tuple[int, ...] = (),
    use_fast_accum: bool = False,
) -> Tensor:
    """``mat_a @ mat_b + bias`` for float8 ``(m, k)`` and ``(k, n)`` times the scales that they were divided by.

    By recipe, the scales, of float32, are for

    - TensorWise: one number;
    - RowWise: ``(m, 1)`` for mat_a, ``(1, n)`` for mat_b;
    - BlockWise1x128, 128 numbers along k: ``(m, k / 128)`` and ``(n, k / 128)``, rounded up;
    - BlockWise128x128: ``(k / 128, m / 128)`` and ``(k / 128, n / 128)``; what the first has more, to be a multiple of
      4, does not count.

    The first two go with each other, and are `at.scaled_mm`; so do the others, which multiply in float32. bias
    ``(n,)`` is of the result's dtype. output_dtype: bfloat16, float16, float32, or float8, that of mat_a for None, with
    a bias of float32 then. ``use_fast_accum`` is PyTorch's and changes nothing. There is no gradient.

    NotImplementedOpError for smaller blocks, whose scales are of dtypes that atled lacks, for swizzles, for several
    scales of a matrix and for a contraction of other dimensions; ShapeError and DTypeError for what does not fit.

    >>> from atled.nn.functional import ScalingType, scaled_mm
    >>> a, one = at.ones(2, 3).to(at.float8_e4m3fn), at.tensor(1.0)
    >>> scaled_mm(a, a.t(), 2 * one, ScalingType.TensorWise, one, ScalingType.TensorWise, output_dtype=at.float32)
    tensor([[6., 6.],
            [6., 6.]])
    """
    scales = (_single("scale_a", scale_a), _single("scale_b", scale_b))
    recipes = (_recipe("scale_recipe_a", scale_recipe_a), _recipe("scale_recipe_b", scale_recipe_b))
    for name, swizzle in (("swizzle_a", swizzle_a), ("swizzle_b", swizzle_b)):
        if swizzle is not None and _single(name, swizzle) is not SwizzleType.NO_SWIZZLE:
            raise at.NotImplementedOpError(f"scaled_mm: expected {name} None or NO_SWIZZLE, got {swizzle}")
    if tuple(contraction_dim) not in ((), (1, 0), (-1, 0), (1, -2), (-1, -2)):
        raise at.NotImplementedOpError(
            f"scaled_mm: expected contraction_dim () or (1, 0), got {tuple(contraction_dim)}"
        )
    if (recipes[0] in _WHOLE) != (recipes[1] in _WHOLE):
        names = " and ".join(recipe.name for recipe in recipes)
        raise at.NotImplementedOpError(
            f"scaled_mm: expected both matrices with scales of blocks or neither, got {names}"
        )
    matrices = (mat_a, mat_b)
    for name, matrix in zip(("mat_a", "mat_b"), matrices, strict=True):
        if matrix.ndim != 2:
            raise at.ShapeError(f"scaled_mm: expected {name} of 2 dimensions, got {tuple(matrix.shape)}")
    if mat_a.shape[1] != mat_b.shape[0]:
        raise at.ShapeError(
            f"scaled_mm: expected mat_a (m, k) and mat_b (k, n), got {tuple(mat_a.shape)} and {tuple(mat_b.shape)}"
        )
    for turned, (matrix, scale, recipe) in enumerate(zip(matrices, scales, recipes, strict=True)):
        _check_scale("ab"[turned], matrix.t() if turned else matrix, scale, recipe, bool(turned))
    dtype = mat_a.dtype if output_dtype is None else output_dtype
    result_dtype = at.float32 if dtype in _FLOAT8 else dtype
    if recipes[0] in _WHOLE:
        return at.scaled_mm(mat_a, mat_b, *scales, bias, result_dtype).to(dtype)
    # Scales of ones have the product's checks, of dtypes and of the bias, on an empty one.
    one = at.ones((), device=mat_a.device)
    at.scaled_mm(mat_a[:0], mat_b, one, one, bias, result_dtype)
    left = _widened(mat_a, scales[0], recipes[0])
    product = at.matmul(left, _widened(mat_b.t(), scales[1], recipes[1]).t())
    return (product if bias is None else product + bias.to(at.float32)).to(dtype)


def _single(name: str, given: T | Sequence[T]) -> T:
    if not isinstance(given, (list, tuple)):
        return given  # type: ignore[return-value]
    if len(given) != 1:
        raise at.NotImplementedOpError(f"scaled_mm: expected one {name}, got {len(given)}")
    found: T = given[0]
    return found


def _recipe(name: str, given: Any) -> ScalingType:
    recipe = _single(name, given)
    if not isinstance(recipe, ScalingType):
        raise at.ArgumentError(f"scaled_mm: expected {name} of ScalingType, got {recipe!r}")
    if recipe not in (*_WHOLE, *_BLOCKS):
        known = ", ".join(each.name for each in (*_WHOLE, *_BLOCKS))
        raise at.NotImplementedOpError(f"scaled_mm: expected {name} among {known}, got {recipe.name}")
    return recipe


def _check_scale(name: str, matrix: Tensor, scale: Tensor, recipe: ScalingType, turned: bool) -> None:
    """``matrix`` has rows along k, so that mat_b is ``turned``."""
    rows, (down, along) = matrix.shape[0], (-(-size // _SIZE) for size in matrix.shape)
    expected: tuple[int, ...] = {
        ScalingType.TensorWise: (),
        ScalingType.RowWise: (1, rows) if turned else (rows, 1),
        ScalingType.BlockWise1x128: (rows, along),
        ScalingType.BlockWise128x128: (along, down),
    }[recipe]
    if not isinstance(scale, Tensor):
        raise at.ArgumentError(f"scaled_mm: expected scale_{name} to be a tensor, got {scale!r}")
    given = tuple(scale.shape)
    padded = recipe is ScalingType.BlockWise128x128 and given == (-(-along // 4) * 4, down)
    if not (scale.numel() == 1 if recipe is ScalingType.TensorWise else given == expected or padded):
        what = "one number" if recipe is ScalingType.TensorWise else str(expected)
        raise at.ShapeError(f"scaled_mm: expected scale_{name} of {what} for {recipe.name}, got {given}")
    if scale.dtype != at.float32:
        raise at.DTypeError(f"scaled_mm: expected scale_{name} of float32, got {scale.dtype.name}")


def _widened(matrix: Tensor, scale: Tensor, recipe: ScalingType) -> Tensor:
    """The matrix, with rows along k, times its blocks' scales, in float32."""
    rows, k = matrix.shape
    if recipe is ScalingType.BlockWise128x128:
        scale = scale.t()[:, : -(-k // _SIZE)].repeat_interleave(_SIZE, 0)[:rows]
    return matrix.to(at.float32) * scale.repeat_interleave(_SIZE, 1)[:, :k]
