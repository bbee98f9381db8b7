"""cuBLAS's routines, argument for argument."""

import ctypes

import numpy as np

from . import device, kernel
from ._lapack import DTYPES, back_substitute, blas, eliminate, matrix, sizes, vector

CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C = 0, 1, 2
CUBLAS_FILL_MODE_LOWER, CUBLAS_FILL_MODE_UPPER = 0, 1
CUBLAS_DIAG_NON_UNIT, CUBLAS_DIAG_UNIT = 0, 1
CUBLAS_SIDE_LEFT, CUBLAS_SIDE_RIGHT = 0, 1


def _define(prefix, dtype):
    def put(function):
        def checked(handle, *args):
            assert handle == device.BLAS
            with kernel():
                return function(*args)

        globals()[prefix + function.__name__] = checked
        return function

    @put
    def getrfBatched(n, Aarray, lda, PivotArray, infoArray, batchSize):
        sizes(n, lda, batchSize)
        for i, address in enumerate(vector(Aarray, batchSize, np.int64).tolist()):
            pivots = vector(PivotArray, batchSize * n, np.int32)[i * n : (i + 1) * n] if PivotArray else None
            vector(infoArray, batchSize, np.int32)[i] = eliminate(matrix(address, n, n, lda, dtype), pivots)

    @put
    def getrsBatched(trans, n, nrhs, Aarray, lda, devIpiv, Barray, ldb, info, batchSize):
        sizes(n, nrhs, lda, ldb, batchSize)
        places, targets = (vector(a, batchSize, np.int64).tolist() for a in (Aarray, Barray))
        for i in range(batchSize):
            pivots = vector(devIpiv, batchSize * n, np.int32)[i * n : (i + 1) * n]
            back_substitute(trans, matrix(places[i], n, n, lda, dtype), pivots, matrix(targets[i], n, nrhs, ldb, dtype))
        ctypes.c_int.from_address(info).value = 0
        return 0

    @put
    def trsm(side, uplo, trans, diag, m, n, alpha, Aarray, lda, Barray, ldb):
        sizes(m, n, lda, ldb)
        order = n if side else m
        scale = np.frombuffer((ctypes.c_char * np.dtype(dtype).itemsize).from_address(alpha), dtype)[0]
        a, b = matrix(Aarray, order, order, lda, dtype), matrix(Barray, m, n, ldb, dtype)
        with np.errstate(all="ignore"):
            b[...] = blas("trsm", dtype)(scale, a, b, side=side, lower=uplo == 0, trans_a=trans, diag=diag)

    @put
    def trsmBatched(side, uplo, trans, diag, m, n, alpha, Aarray, lda, Barray, ldb, batchCount):
        sizes(batchCount)
        places, targets = (vector(a, batchCount, np.int64).tolist() for a in (Aarray, Barray))
        for place, target in zip(places, targets, strict=True):
            trsm(side, uplo, trans, diag, m, n, alpha, place, lda, target, ldb)


for _prefix, _dtype in DTYPES.items():
    _define(_prefix, _dtype)
