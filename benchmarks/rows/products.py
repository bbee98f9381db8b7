"""Matrix products of all sizes, forms and dtypes; einsum and tensordot."""

from collections.abc import Callable

import numpy as np

from benchmarks.rows.peers import Array, Compute, beside, everywhere
from benchmarks.rows.row import Row

Shape = tuple[int, ...]

# Name, shapes of the operands; transposed ones are turned by the call.
_FORMS: list[tuple[str, Shape, Shape, Compute]] = [
    *((f"matmul {n}", (n, n), (n, n), lambda xp, a, b: a @ b) for n in (16, 32, 64, 128, 256, 512, 1024, 2048)),
    ("matmul, 512 of 64", (512, 64, 64), (512, 64, 64), lambda xp, a, b: a @ b),
    ("matmul, 32 of 256", (32, 256, 256), (32, 256, 256), lambda xp, a, b: a @ b),
    ("matmul, 10 000 of 4", (10_000, 4, 4), (10_000, 4, 4), lambda xp, a, b: a @ b),
    ("matmul, 10 000 of 4 by a vector", (10_000, 4, 4), (10_000, 4, 1), lambda xp, a, b: a @ b),
    ("matrix 4096 by vector", (4096, 4096), (4096,), lambda xp, a, b: a @ b),
    ("vector by matrix 4096", (4096,), (4096, 4096), lambda xp, a, b: a @ b),
    ("dot of 1M", (2**20,), (2**20,), lambda xp, a, b: a @ b),
    ("skinny 4096 × 4096 × 8", (4096, 4096), (4096, 8), lambda xp, a, b: a @ b),
    ("skinny 8 × 4096 × 4096", (8, 4096), (4096, 4096), lambda xp, a, b: a @ b),
    ("skinny 4096 × 16 × 4096", (4096, 16), (16, 4096), lambda xp, a, b: a @ b),
    ("skinny 32 × 16384 × 32", (32, 16384), (16384, 32), lambda xp, a, b: a @ b),
    ("matmul 1024, first transposed", (1024, 1024), (1024, 1024), lambda xp, a, b: a.T @ b),
    ("matmul 1024, second transposed", (1024, 1024), (1024, 1024), lambda xp, a, b: a @ b.T),
    ("matmul 1024, both transposed", (1024, 1024), (1024, 1024), lambda xp, a, b: a.T @ b.T),
]
_DTYPES: list[tuple[str, int, float]] = [
    ("float64", 256, 1.0),
    ("float64", 1024, 1.0),
    ("complex64", 512, 1.0),
    ("complex128", 512, 1.0),
    ("int32", 256, 1.0),
    ("int64", 256, 1.0),
]
_HALVES: list[tuple[str, int]] = [
    (dtype, n) for dtype, sizes in (("bfloat16", (128, 512, 1024)), ("float16", (128, 512))) for n in sizes
]

_SUMS: list[tuple[str, list[Shape]]] = [
    ("ij,jk->ik", [(512, 512), (512, 512)]),
    ("bij,bjk->bik", [(64, 128, 128), (64, 128, 128)]),
    ("bqhd,bkhd->bhqk", [(8, 128, 8, 64), (8, 128, 8, 64)]),
    ("i,j->ij", [(2048,), (2048,)]),
    ("ij,ij->i", [(2048, 2048), (2048, 2048)]),
    ("ij,j->i", [(2048, 2048), (2048,)]),
    ("bij->bji", [(64, 256, 256)]),
    ("ij,jk,kl->il", [(256, 256), (256, 256), (256, 256)]),
    ("bhij,hij->bh", [(64, 8, 64, 64), (8, 64, 64)]),
]


def _normal(seed: int, shape: Shape, dtype: str = "float32") -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.startswith("int"):
        return rng.integers(-9, 10, shape).astype(dtype)
    x = rng.standard_normal(shape, dtype=np.float32)
    return (x + 1j * x[::-1]).astype(dtype) if dtype.startswith("complex") else x.astype(dtype)


def _square(name: str, n: int, budget: float, make: Callable[[np.ndarray], Array], dtype: str = "float32") -> Row:
    arrays = [make(_normal(seed, (n, n), dtype)) for seed in (0, 1)]
    numpy = (lambda xp, a, b: a @ b) if "numpy" in arrays[0] else None
    return beside(name, lambda xp, a, b: a @ b, arrays, budget, numpy=numpy, jax_=lambda xp, a, b: a @ b)


def matmul() -> list[Row]:
    """Square, batched, skinny and transposed operands; every kind of dtype."""
    made = [
        beside(name, call, [everywhere(_normal(i, s)) for i, s in enumerate((a, b))], 1.0, numpy=call, jax_=call)
        for name, a, b, call in _FORMS
    ]
    made += [_square(f"matmul {n}, {dtype}", n, budget, everywhere, dtype) for dtype, n, budget in _DTYPES]
    for dtype, n in _HALVES:
        made.append(_square(f"matmul {n}, {dtype}", n, 0.4, lambda x, dtype=dtype: everywhere(x, dtype)))
    return made


def einsum() -> list[Row]:
    """Common patterns of einsum, and tensordot."""
    made = []
    for pattern, shapes in _SUMS:
        arrays = [everywhere(_normal(i, shape)) for i, shape in enumerate(shapes)]
        made.append(
            beside(
                f"einsum {pattern}",
                lambda xp, *x, pattern=pattern: (
                    xp.einsum(pattern, *x).clone() if len(x) == 1 else xp.einsum(pattern, *x)
                ),
                arrays,
                0.9,
                numpy=lambda xp, *x, pattern=pattern: xp.array(xp.einsum(pattern, *x, optimize=True)),
                jax_=lambda xp, *x, pattern=pattern: xp.einsum(pattern, *x),
            )
        )
    cubes = [everywhere(_normal(i, (64, 64, 64))) for i in range(2)]
    made.append(
        beside(
            "tensordot of cubes, two axes",
            lambda xp, a, b: xp.tensordot(a, b, 2),
            cubes,
            0.9,
            numpy=lambda xp, a, b: xp.tensordot(a, b, 2),
            jax_=lambda xp, a, b: xp.tensordot(a, b, 2),
        )
    )
    return made
