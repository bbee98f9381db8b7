"""Sample generators that many operators share: shapes, broadcasting, dimensions, special values."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._convert import category
from ._spec import Draw, Sample, Samples

#: 0-d, vectors, matrices, zero sizes and more dimensions; the last ones reach vector tails and several threads.
SHAPES = ((), (5,), (3, 4), (2, 3, 4), (0,), (2, 0, 3), (1, 1), (1037,))
SMOOTH_SHAPES = ((), (4,), (2, 3))
LARGE = (3, 16411)


def shapes(draw: Draw) -> tuple[tuple[int, ...], ...]:
    """The shapes to sample: few and small where finite differences will be taken."""
    return SMOOTH_SHAPES if draw.smooth else SHAPES


def unary(draw: Draw) -> Iterator[Sample]:
    """One tensor: all shapes, one large, and the dtype's special values."""
    for shape in shapes(draw):
        yield Sample(draw(*shape))
    if not draw.smooth:
        yield Sample(draw(*LARGE))
        yield Sample(draw.specials())


def unary_finite(draw: Draw) -> Iterator[Sample]:
    """As `unary`, without the special values."""
    for shape in shapes(draw):
        yield Sample(draw(*shape))
    if not draw.smooth:
        yield Sample(draw(*LARGE))


BROADCASTS = (
    ((), ()),
    ((5,), (5,)),
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((2, 1, 4), (3, 1)),
    ((5,), ()),
    ((2, 0, 3), (3,)),
    ((0,), (1,)),
    (LARGE, LARGE),
    (LARGE, (3, 1)),
)


def _other_dtypes(dtype: str) -> tuple[str, ...]:
    """Dtypes to mix with: one of each kind that has a common dtype with it."""
    return ("bool", "float32", "float16") if dtype == "uint64" else ("bool", "uint8", "int32", "float16", "float64")


def binary(draw: Draw) -> Iterator[Sample]:
    """Two tensors: broadcasting and special values; a tensor and a Python number; two dtypes."""
    for a, b in BROADCASTS[:4] if draw.smooth else BROADCASTS:
        yield Sample(draw(*a), draw(*b))
    yield Sample(draw(3, 4), draw.scalar())
    if not draw.smooth:
        special = draw.specials()
        yield Sample(special[:, None], special)
        yield from mixed_dtypes(draw)


def binary_finite(draw: Draw) -> Iterator[Sample]:
    """As `binary`, without special values and mixed dtypes."""
    for a, b in BROADCASTS[:4] if draw.smooth else BROADCASTS:
        yield Sample(draw(*a), draw(*b))
    yield Sample(draw(3, 4), draw.scalar())


def mixed_dtypes(draw: Draw) -> Iterator[Sample]:
    """The dtype under test on the left, another one or a Python number of another kind on the right."""
    for other in _other_dtypes(draw.dtype):
        yield Sample(draw(3, 4), draw(4, dtype=other))
    if category(draw.dtype) > 0:
        yield Sample(draw(3), True)
    yield Sample(draw(3), 2)
    if category(draw.dtype) > 1:
        yield Sample(draw(3), 1.5)


def reductions(*, several: bool = True, empty: bool = True, whole: bool = True) -> Samples:
    """One tensor and the dimensions to reduce: none, one, negative, several (where allowed), with and without keepdim.

    `empty` says whether reducing no elements has a value; `whole` whether dim=None is allowed.
    """

    def generate(draw: Draw) -> Iterator[Sample]:
        if whole:
            for shape in shapes(draw):
                if empty or 0 not in shape:
                    yield Sample(draw(*shape))
        x = draw(2, 3, 4)
        yield Sample(x, 1)
        yield Sample(x, dim=-1, keepdim=True)
        yield Sample(x, 0, True)
        if several:
            yield Sample(x, dim=(0, 2))
            yield Sample(x, dim=[1, 0], keepdim=True)
        if not draw.smooth:
            yield Sample(draw(2, 0, 3), dim=0)
            if empty:
                yield Sample(draw(2, 0, 3), dim=1)
            yield Sample(draw(), dim=0)
            yield Sample(draw(), dim=-1)
            yield Sample(draw(3, 1031), dim=1)
            yield Sample(draw(1031, 3), dim=0)
            yield Sample(draw(5, 64, 67), dim=1)

    return generate


def along_dim(draw: Draw) -> Iterator[Sample]:
    """One tensor and one dimension to run along."""
    for shape, dim in (((5,), 0), ((3, 4), 1), ((3, 4), -2), ((2, 3, 4), 1), ((), 0)):
        yield Sample(draw(*shape), dim)
    if not draw.smooth:
        yield Sample(draw(2, 0, 3), dim=1)
        yield Sample(draw(0, 3), dim=1)
        yield Sample(draw(7, 1031), dim=1)
        yield Sample(draw(1031, 7), dim=0)


def nonzero_divisors(samples: Samples) -> Samples:
    """Takes zeros out of the second argument of integer samples."""

    def generate(draw: Draw) -> Iterator[Sample]:
        for sample in samples(draw):
            first, second, *rest = sample.args
            if category(draw.dtype) < 2 and isinstance(second, np.ndarray) and second.dtype.kind in "biu":
                second = np.where(second == 0, np.asarray(3, second.dtype), second)
            elif isinstance(second, int):
                second = max(int(second), 2)
            yield Sample(first, second, *rest, **sample.kwargs)

    return generate


def ternary(draw: Draw) -> Iterator[Sample]:
    """Three tensors that broadcast."""
    for shape in ((), (5,), (3, 4), (2, 0, 3), (1037,)):
        yield Sample(draw(*shape), draw(*shape), draw(*shape))
    yield Sample(draw(2, 3, 4), draw(3, 1), draw(4))
