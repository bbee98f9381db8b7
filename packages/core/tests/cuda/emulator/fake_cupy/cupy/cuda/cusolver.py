"""cuSOLVER's routines, argument for argument."""

import numpy as np

from . import device, kernel
from ._lapack import DTYPES, back_substitute, eliminate, lapack, matrix, sizes, spend, vector


def _define(prefix, dtype):
    complex_ = np.dtype(dtype).kind == "c"
    names = {"orgqr": "ungqr", "ormqr": "unmqr"} if complex_ else {}

    def put(function):
        name = function.__name__.strip("_")
        for real, unitary in names.items():
            name = name.replace(real, unitary)

        def checked(handle, *args):
            assert handle == device.SOLVER
            with kernel():
                return function(*args)

        globals()[prefix + name] = checked

    def work_size(*numbers):
        return 3 + sum(numbers)

    @put
    def potrf_bufferSize(uplo, n, A, lda):
        sizes(n, lda)
        return work_size(n)

    @put
    def potrf(uplo, n, A, lda, work, lwork, devInfo):
        assert lwork >= work_size(n)
        spend(work, lwork, dtype)
        a = matrix(A, n, n, lda, dtype)
        factor, info = lapack("potrf", dtype)(a, lower=uplo == 0, clean=0)
        a[...] = factor
        vector(devInfo, 1, np.int32)[0] = info

    @put
    def potrfBatched(uplo, n, Aarray, lda, infoArray, batchSize):
        sizes(n, lda, batchSize)
        for i, address in enumerate(vector(Aarray, batchSize, np.int64).tolist()):
            a = matrix(address, n, n, lda, dtype)
            factor, info = lapack("potrf", dtype)(a, lower=uplo == 0, clean=0)
            a[...] = factor
            vector(infoArray, batchSize, np.int32)[i] = info

    @put
    def getrf_bufferSize(m, n, A, lda):
        sizes(m, n, lda)
        return work_size(m, n)

    @put
    def getrf(m, n, A, lda, work, devIpiv, devInfo):
        spend(work, work_size(m, n), dtype)
        pivots = vector(devIpiv, min(m, n), np.int32) if devIpiv else None
        vector(devInfo, 1, np.int32)[0] = eliminate(matrix(A, m, n, lda, dtype), pivots)

    @put
    def getrs(trans, n, nrhs, A, lda, devIpiv, B, ldb, devInfo):
        sizes(n, nrhs, lda, ldb)
        back_substitute(
            trans, matrix(A, n, n, lda, dtype), vector(devIpiv, n, np.int32), matrix(B, n, nrhs, ldb, dtype)
        )
        vector(devInfo, 1, np.int32)[0] = 0

    @put
    def geqrf_bufferSize(m, n, A, lda):
        sizes(m, n, lda)
        return work_size(m, n)

    @put
    def geqrf(m, n, A, lda, tau, work, lwork, devInfo):
        assert lwork >= work_size(m, n)
        spend(work, lwork, dtype)
        a = matrix(A, m, n, lda, dtype)
        a[...], vector(tau, min(m, n), dtype)[:], _, info = lapack("geqrf", dtype)(a)
        vector(devInfo, 1, np.int32)[0] = info

    @put
    def orgqr_bufferSize(m, n, k, A, lda, tau):
        sizes(m, n, k, lda)
        assert m >= n >= k
        return work_size(m, n, k)

    @put
    def orgqr(m, n, k, A, lda, tau, work, lwork, devInfo):
        assert lwork >= work_size(m, n, k)
        spend(work, lwork, dtype)
        a = matrix(A, m, n, lda, dtype)
        a[...], _, info = lapack("ungqr" if complex_ else "orgqr", dtype)(a, vector(tau, k, dtype))
        vector(devInfo, 1, np.int32)[0] = info

    @put
    def ormqr_bufferSize(side, trans, m, n, k, A, lda, tau, C, ldc):
        sizes(m, n, k, lda, ldc)
        assert k <= (n if side else m)
        return work_size(m, n, k)

    @put
    def ormqr(side, trans, m, n, k, A, lda, tau, C, ldc, work, lwork, devInfo):
        assert lwork >= work_size(m, n, k)
        assert trans in ((0, 2) if complex_ else (0, 1)), "expected N, T of real or C of complex matrices"
        spend(work, lwork, dtype)
        a, c = matrix(A, n if side else m, k, lda, dtype), matrix(C, m, n, ldc, dtype)
        multiply = lapack("unmqr" if complex_ else "ormqr", dtype)
        made, _, info = multiply("LR"[side], "NTC"[trans], a, vector(tau, k, dtype), c, 64 * (m + n))
        c[...] = made
        vector(devInfo, 1, np.int32)[0] = info


for _prefix, _dtype in DTYPES.items():
    _define(_prefix, _dtype)
