"""Solving, decomposing and transforming: linear algebra and FFT."""

import numpy as np

from benchmarks.rows.peers import Compute, beside, everywhere
from benchmarks.rows.row import Row

_LINALG: list[tuple[str, Compute, str]] = [
    ("solve", lambda xp, a, s: xp.linalg.solve(a, s), "as"),
    ("cholesky", lambda xp, s: xp.linalg.cholesky(s), "s"),
    ("qr", lambda xp, a: xp.linalg.qr(a), "a"),
    ("svd", lambda xp, a: xp.linalg.svd(a, full_matrices=False), "a"),
    ("eigh", lambda xp, s: xp.linalg.eigh(s), "s"),
]
_SIZES: list[tuple[str, tuple[int, ...]]] = [
    ("4 × 4, batched 10 000", (10_000, 4, 4)),
    ("256", (256, 256)),
    ("1024", (1024, 1024)),
]


def linalg() -> list[Row]:
    """solve, cholesky, qr, svd and eigh, batched and large."""
    made = []
    for size, shape in _SIZES:
        a = np.random.default_rng(5).standard_normal(shape, dtype=np.float32)
        spd = a @ a.swapaxes(-1, -2) + shape[-1] * np.eye(shape[-1], dtype=np.float32)
        arrays = {"a": everywhere(a), "s": everywhere(spd)}
        made += [
            beside(f"{name} of {size}", call, [arrays[k] for k in kinds], 1.0, numpy=call)
            for name, call, kinds in _LINALG
        ]
    return made


def fft() -> list[Row]:
    """A batch of short transforms, and a long one."""
    rng = np.random.default_rng(6)
    made = []
    for name, shape, budget in (("1000 of 1024", (1000, 1024), 1.0), ("1M", (2**20,), 1.5)):
        real = rng.standard_normal(shape, dtype=np.float32)
        whole = everywhere((real + 1j * real[::-1]).astype(np.complex64))
        for kind, call, x in (
            ("fft", lambda xp, x: xp.fft.fft(x), whole),
            ("rfft", lambda xp, x: xp.fft.rfft(x), everywhere(real)),
        ):
            made.append(beside(f"{kind} of {name}", call, [x], budget, numpy=call, jax_=call))
    return made
