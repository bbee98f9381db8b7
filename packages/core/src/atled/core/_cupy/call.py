"""What a kernel calls CuPy's libraries with: on the current stream, in atled's memory, with errors as atled's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cache
from types import TracebackType
from typing import Any, Self

import atled.core as at
from atled.core import _core

Tensor = _core.Tensor
Kernel = Callable[..., Any]

# How the libraries' names begin, by dtype.
_PREFIX = {at.float32: "s", at.float64: "d", at.complex64: "c", at.complex128: "z"}
# Real names whose complex counterparts are called otherwise.
_UNITARY = {"orgqr": "ungqr", "ormqr": "unmqr"}


@cache
def _cupy() -> Any:
    try:
        import cupy
    except ImportError as error:
        raise _core.NotImplementedOpError(
            f'on device cuda it needs CuPy ({error}): pip install "atled-core[cuda]"; or move the arguments to "cpu"'
        ) from error
    return cupy


class _Handle:
    """A stream in CUDA's stream protocol."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self.handle


class Call:
    """One call of an op: a context in which CuPy works on the device's current stream and allocates where atled does.

    In it, what CuPy raises becomes an OperationError (NotImplementedOpError where a library is missing), and messages
    begin with the op's name.
    """

    def __init__(self, op: str, device: _core.device) -> None:
        self.op, self.device = op, device
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.cupy = cupy = _cupy()
        except _core.NotImplementedOpError as error:
            raise self.error(_core.NotImplementedOpError, str(error)) from error.__cause__
        index = self.device.index or 0
        self.stream = _core._current_stream(self.device)
        self._stack.enter_context(cupy.cuda.Device(index))
        streams = cupy.cuda.Stream
        self._stack.enter_context(streams.from_external(_Handle(self.stream)) if self.stream else streams.null)
        self._stack.enter_context(cupy.cuda.using_allocator(self._allocate))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if isinstance(error, ImportError) and not isinstance(error, _core.AtledError):
            text = f'on device cuda it needs libraries of CUDA ({error}): pip install "cupy-cuda13x[ctk]"'
            raise self.error(_core.NotImplementedOpError, text) from error
        if isinstance(error, Exception) and not isinstance(error, _core.AtledError):
            raise self.error(_core.OperationError, f"{type(error).__name__}: {error}") from error

    def _allocate(self, nbytes: int) -> Any:
        memory = at.empty(nbytes, dtype=at.uint8, device=self.device)
        owner = self.cupy.cuda.UnownedMemory(memory.data_ptr(), nbytes, memory, self.device.index or 0)
        return self.cupy.cuda.MemoryPointer(owner, 0)

    def error(self, kind: type[_core.AtledError], text: str) -> _core.AtledError:
        """What to raise: `text` behind the op's name."""
        return kind(f"{self.op}: {text}")

    # ---- arrays ----

    def array(self, tensor: Tensor) -> Any:
        """The tensor's memory as an array of CuPy's, for which nothing is waited."""
        item = tensor.itemsize
        length = 1 + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
        owner = self.cupy.cuda.UnownedMemory(tensor.data_ptr(), length * item, tensor, self.device.index or 0)
        memory = self.cupy.cuda.MemoryPointer(owner, 0)
        strides = tuple(step * item for step in tensor.stride())
        return self.cupy.ndarray(tuple(tensor.shape), tensor.dtype.name, memory, strides)

    def tensor(self, array: Any) -> Tensor:
        """The array's memory as a tensor. Both are on the current stream, so neither waits for the other."""
        return _core.from_dlpack(array.__dlpack__(stream=-1))

    def empty(self, shape: Sequence[int], dtype: _core.dtype) -> Tensor:
        """Memory on the call's device."""
        return at.empty(tuple(shape), dtype=dtype, device=self.device)

    def copied(self, tensor: Tensor, dtype: _core.dtype, shape: Sequence[int] | None = None) -> Tensor:
        """Contiguous memory of its own, to which the tensor broadcasts."""
        shape = tensor.shape if shape is None else shape
        return self.empty(shape, dtype).copy_(tensor.expand(tuple(shape)))

    def info(self, shape: Sequence[int]) -> Tensor:
        """Zeros for what a routine says of each matrix."""
        return at.zeros(tuple(shape), dtype=at.int32, device=self.device)

    def addresses(self, matrices: Tensor, shape: Sequence[int] | None = None) -> Tensor:
        """Where each matrix of a contiguous tensor begins, as the batched routines read it; broadcast to `shape`."""
        own = matrices.shape[:-2]
        step = matrices.shape[-1] * matrices.shape[-2] * matrices.itemsize
        start = matrices.data_ptr()
        places = at.arange(start, start + math.prod(own) * step, step, dtype=at.int64, device=self.device)
        return places if shape is None else places.reshape(own).expand(tuple(shape)).contiguous()

    # ---- libraries ----

    def solver(self, name: str, dtype: _core.dtype) -> Callable[..., Any]:
        """cuSOLVER's routine, whose first argument is given."""
        from cupy.cuda import cusolver, device

        if dtype.is_complex:
            for real, unitary in _UNITARY.items():
                name = name.replace(real, unitary)
        routine, handle = getattr(cusolver, _PREFIX[dtype] + name), device.get_cusolver_handle()
        return lambda *args: routine(handle, *args)

    def blas(self, name: str, dtype: _core.dtype) -> Callable[..., Any]:
        """cuBLAS's routine, whose first argument is given."""
        from cupy.cuda import cublas, device

        routine, handle = getattr(cublas, _PREFIX[dtype] + name), device.get_cublas_handle()
        return lambda *args: routine(handle, *args)

    def work(self, size: int, dtype: _core.dtype) -> Tensor:
        """A routine's work space."""
        return self.empty((max(size, 1),), dtype)

    # ---- checks, each of which waits for the device ----

    def expect_success(self, info: Tensor, text: str) -> None:
        """LinAlgError naming the first matrix whose info is not 0; `text` has a {} for info, or none."""
        codes = info.to("cpu").flatten().tolist()
        for i, code in enumerate(codes):
            if code == 0:
                continue
            where = f" at batch index {_index(i, tuple(info.shape))}" if info.ndim else ""
            raise self.error(_core.LinAlgError, text.format(code) + where)

    def expect_finite(self, matrices: Tensor, what: str = "the matrix") -> None:
        """LinAlgError naming the first matrix that holds NaN or an infinity, which no iteration bears."""
        parts = at.view_as_real(matrices).flatten(-2) if matrices.is_complex() else matrices
        bad = at.logical_not(at.isfinite(parts)).to(at.int32)
        self.expect_success(bad.sum((-2, -1)), f"expected finite elements, got NaN or infinity in {what}")


def _index(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    index: list[int] = []
    for n in reversed(shape):
        i, last = divmod(i, n)
        index.insert(0, last)
    return tuple(index)


def each(matrices: Tensor) -> range:
    """The address of each matrix of a contiguous tensor."""
    step = max(matrices.shape[-1] * matrices.shape[-2] * matrices.itemsize, 1)
    start = matrices.data_ptr()
    return range(start, start + math.prod(matrices.shape[:-2]) * step, step)


def each_row(vectors: Tensor) -> range:
    """The address of each last dimension of a contiguous tensor."""
    step = max(vectors.shape[-1] * vectors.itemsize, 1)
    start = vectors.data_ptr()
    return range(start, start + math.prod(vectors.shape[:-1]) * step, step)


def pays_batched(count: int, n: int) -> bool:
    """Whether so many n x n matrices are done sooner by a batched routine than by one call each (CuPy's rule)."""
    return count > 1 and count * 65536 >= n * n


def real(dtype: _core.dtype) -> _core.dtype:
    """The dtype of a complex one's parts; another is its own."""
    return {at.complex64: at.float32, at.complex128: at.float64}.get(dtype, dtype)
