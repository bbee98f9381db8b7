"""Column-major matrices at addresses, and SciPy's LAPACK on them."""

import ctypes

import numpy as np
from scipy.linalg import get_blas_funcs, get_lapack_funcs

DTYPES = {"s": np.float32, "d": np.float64, "c": np.complex64, "z": np.complex128}
GARBAGE = -7  # what work space holds, as integers


def lapack(name, dtype):
    return get_lapack_funcs((name,), dtype=dtype)[0]


def blas(name, dtype):
    return get_blas_funcs((name,), dtype=dtype)[0]


def vector(address, n, dtype):
    assert isinstance(address, int) and address, "expected an address"
    dtype = np.dtype(dtype)
    assert address % dtype.itemsize == 0
    return np.frombuffer((ctypes.c_char * (n * dtype.itemsize)).from_address(address), dtype)


def matrix(address, rows, columns, ld, dtype):
    assert ld >= max(rows, 1), f"expected a leading dimension of at least {rows}, got {ld}"
    flat = vector(address, ld * (columns - 1) + rows, dtype)
    item = flat.itemsize
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), (item, ld * item))


def sizes(*numbers):
    for n in numbers:
        assert isinstance(n, int) and 0 < n < 2**31, f"expected a size, got {n!r}"


def spend(address, size, dtype):
    """Work space of the size asked for."""
    vector(address, max(size, 1), dtype)[:] = GARBAGE


def eliminate(a, pivots):
    """LU in place; without pivots no rows are exchanged. Returns info."""
    m, n = a.shape
    if pivots is not None:
        lu, order, info = lapack("getrf", a.dtype)(a)
        a[...] = lu
        pivots[:] = order + 1
        return info
    info = 0
    with np.errstate(all="ignore"):
        for k in range(min(m, n)):
            if a[k, k] == 0:
                info = info or k + 1
                continue
            a[k + 1 :, k] /= a[k, k]
            a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])
    return info


def back_substitute(trans, lu, pivots, b):
    x, info = lapack("getrs", lu.dtype)(lu, pivots - 1, b, trans=trans)
    assert info == 0
    b[...] = x
