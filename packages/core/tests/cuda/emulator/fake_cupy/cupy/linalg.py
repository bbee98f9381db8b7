"""Decompositions of arrays."""

import numpy as np

from cupy import computed


def _check(a, square=False):
    assert a.dtype.char in "fdFD" and a.ndim >= 2 and a.size
    assert not square or a.shape[-1] == a.shape[-2]
    return np.asarray(a)


@computed
def svd(a, full_matrices=True, compute_uv=True):
    made = np.linalg.svd(_check(a), full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(made) if compute_uv else made


@computed
def eigh(a, UPLO="L"):
    assert UPLO in ("L", "U"), "UPLO argument must be 'L' or 'U'"
    return tuple(np.linalg.eigh(_check(a, square=True), UPLO=UPLO))


@computed
def eigvalsh(a, UPLO="L"):
    assert UPLO in ("L", "U"), "UPLO argument must be 'L' or 'U'"
    return np.linalg.eigvalsh(_check(a, square=True), UPLO=UPLO)


def _complex(a, made):
    return made.astype(np.complex64 if a.dtype.char in "fF" else np.complex128)


@computed
def eig(a):
    return tuple(_complex(a, made) for made in np.linalg.eig(_check(a, square=True)))


@computed
def eigvals(a):
    return _complex(a, np.linalg.eigvals(_check(a, square=True)))
