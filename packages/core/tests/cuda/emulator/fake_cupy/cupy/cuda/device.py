"""Handles of the libraries."""

from . import working

SOLVER, BLAS = 0x50, 0xB0


def get_cusolver_handle():
    assert working()
    return SOLVER


def get_cublas_handle():
    assert working()
    return BLAS
