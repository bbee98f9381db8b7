"""Decompositions of arrays."""

import numpy as np

import cupy


def _check(a, square=False):
    cupy.expect_arrays(a)
    assert a.dtype.char in "fdFD" and a.ndim >= 2 and a.size
    assert not square or a.shape[-1] == a.shape[-2]
    return np.asarray(a)


def _results(*arrays):
    return tuple(map(cupy.result, arrays))


def svd(a, full_matrices=True, compute_uv=True):
    made = np.linalg.svd(_check(a), full_matrices=full_matrices, compute_uv=compute_uv)
    return _results(*made) if compute_uv else cupy.result(made)


def eigh(a, UPLO="L"):
    assert UPLO in ("L", "U"), "UPLO argument must be 'L' or 'U'"
    return _results(*np.linalg.eigh(_check(a, square=True), UPLO=UPLO))


def eigvalsh(a, UPLO="L"):
    assert UPLO in ("L", "U"), "UPLO argument must be 'L' or 'U'"
    return cupy.result(np.linalg.eigvalsh(_check(a, square=True), UPLO=UPLO))


def _complex(a):
    return np.complex64 if a.dtype.char in "fF" else np.complex128


def eig(a):
    values, vectors = np.linalg.eig(_check(a, square=True))
    return cupy.result(values, _complex(a)), cupy.result(vectors, _complex(a))


def eigvals(a):
    return cupy.result(np.linalg.eigvals(_check(a, square=True)), _complex(a))
