"""Tensor's methods and attributes that are neither ops nor in C: PyTorch's, the array API's and NumPy's protocols."""

from __future__ import annotations

import builtins

from atled.core import _core
from atled.core._ops import ops

from ._explained import explained

# Not typing's own: importing that module takes longer than all of atled.core.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    import numpy as np
    import numpy.typing as npt

    from atled.core._storage import TypedStorage, UntypedStorage

    Device = _core.device | str


class layout:
    """How a tensor's elements lie in memory: ``at.strided``, the only one there is.

    >>> at.zeros(2).layout, at.zeros(2).layout is at.strided
    (atled.strided, True)
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"atled.{self._name}"

    def __reduce__(self) -> str:
        return self._name


strided = layout("strided")


class memory_format(str):
    """In which order a tensor's dimensions lie in memory: ``at.contiguous_format`` and its like, with PyTorch's names.

    ``contiguous_format`` is row-major order, ``preserve_format`` the order that an argument has; ``channels_last`` has
    the second of four dimensions innermost, ``channels_last_3d`` that of five.

    >>> at.zeros(2, 3, 4, 5).to(memory_format=at.channels_last).stride()
    (60, 1, 15, 3)
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"atled.{self.__reduce__()}"

    def __reduce__(self) -> str:
        return str(self) if self.startswith("channels") else f"{self}_format"


contiguous_format = memory_format("contiguous")
preserve_format = memory_format("preserve")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")
# The dimensions, the outermost in memory first.
_ORDERS = {channels_last: (0, 2, 3, 1), channels_last_3d: (0, 2, 3, 4, 1)}

# PyTorch's old names of tensor types.
_TYPES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "float16": "HalfTensor",
    "bfloat16": "BFloat16Tensor",
    "uint8": "ByteTensor",
    "int8": "CharTensor",
    "int16": "ShortTensor",
    "int32": "IntTensor",
    "int64": "LongTensor",
    "bool": "BoolTensor",
    "complex64": "ComplexFloatTensor",
    "complex128": "ComplexDoubleTensor",
    "float8_e4m3fn": "Float8_e4m3fnTensor",
    "float8_e5m2": "Float8_e5m2Tensor",
    "uint16": "UInt16Tensor",
    "uint32": "UInt32Tensor",
    "uint64": "UInt64Tensor",
}


# ---- attributes ----


def _H(self: _core.Tensor) -> _core.Tensor:
    """A matrix transposed and conjugated; ShapeError for other than 2-d.

    >>> at.tensor([[1 + 2j, 3]]).H
    tensor([[1.-2.j],
            [3.-0.j]])
    """
    if self.ndim not in (0, 2):
        mend = "; for a batch of matrices use mH" if self.ndim > 2 else ""
        raise _core.ShapeError(f"H: expected a matrix, got shape {self.shape}{mend}")
    return ops.core.adjoint(self) if self.ndim else ops.core.conj(self)  # type: ignore[no-any-return]


def _mH(self: _core.Tensor) -> _core.Tensor:
    """Each matrix transposed and conjugated; ShapeError below 2-d.

    >>> at.tensor([[[1 + 2j, 3]]]).mH
    tensor([[[1.-2.j],
             [3.-0.j]]])
    """
    if self.ndim < 2:
        raise _core.ShapeError(f"mH: expected at least 2 dimensions, got shape {self.shape}")
    return ops.core.adjoint(self)  # type: ignore[no-any-return]


def _real(self: _core.Tensor) -> _core.Tensor:
    """The real part: a view; of real numbers the tensor itself.

    >>> x = at.tensor([1 + 2j])
    >>> x.real = 5
    >>> x, x.real
    (tensor([5.+2.j]), tensor([5.]))
    """
    return ops.core.real(self)  # type: ignore[no-any-return]


def _imag(self: _core.Tensor) -> _core.Tensor:
    """The imaginary part of complex numbers: a view; DTypeError for real ones.

    >>> at.tensor([1 + 2j]).imag
    tensor([2.])
    """
    return ops.core.imag(self)  # type: ignore[no-any-return]


def _set_real(self: _core.Tensor, value: Any) -> None:
    _write(_real(self), value)


def _set_imag(self: _core.Tensor, value: Any) -> None:
    _write(_imag(self), value)


def _write(part: _core.Tensor, value: Any) -> None:
    (part.copy_ if isinstance(value, _core.Tensor) else part.fill_)(value)


def _layout(self: _core.Tensor) -> layout:
    """``at.strided``.

    >>> at.zeros(2).layout
    atled.strided
    """
    return strided


def _never(self: _core.Tensor) -> bool:
    """False: tensors are dense and strided, of plain numbers. Programs written for PyTorch ask.

    >>> at.zeros(2).is_sparse
    False
    """
    return False


def _cuda_array_interface(self: _core.Tensor) -> dict[str, Any]:
    """How CUDA libraries of Python see the tensor."""
    from atled.core.cuda._interop import interface

    return interface(self)


# ---- questions ----


def is_signed(self: _core.Tensor) -> bool:
    """Whether the dtype has negative numbers.

    >>> at.tensor([1]).is_signed(), at.tensor([True]).is_signed()
    (True, False)
    """
    return self.dtype.is_signed


def is_nonzero(self: _core.Tensor) -> bool:
    """Whether the single element is not zero; InvalidValueError when there is not just one.

    >>> at.tensor([0.5]).is_nonzero()
    True
    """
    if self.numel() != 1:
        raise _core.InvalidValueError(f"is_nonzero: expected a tensor of one element, got shape {self.shape}")
    return bool(self)


def is_pinned(self: _core.Tensor, device: Device | None = None) -> bool:
    """Whether the memory is page-locked for a GPU.

    >>> at.zeros(2).is_pinned()
    False
    """
    if self.device.type != "cpu":
        return False
    from atled.core.cuda._interop import is_pinned

    return is_pinned(self)


def is_set_to(self: _core.Tensor, tensor: _core.Tensor) -> bool:
    """Whether both see the same elements of one storage, with the same shape and strides.

    >>> x = at.zeros(2, 3)
    >>> x.is_set_to(x.view(2, 3)), x.is_set_to(x.clone()), x.is_set_to(x.t())
    (True, False, False)
    """
    mine = (self.data_ptr(), self.shape, self.stride())
    return self.shares_storage(tensor) and mine == (tensor.data_ptr(), tensor.shape, tensor.stride())


def ndimension(self: _core.Tensor) -> int:
    """Number of dimensions.

    >>> at.zeros(2, 3).ndimension()
    2
    """
    return self.ndim


def get_device(self: _core.Tensor) -> int:
    """The number of the GPU that the tensor is on; -1 for the CPU.

    >>> at.zeros(2, device="cpu").get_device()
    -1
    """
    return -1 if self.device.type in ("cpu", "meta") else self.device.index


def type(self: _core.Tensor, dtype: _core.dtype | str | builtins.type | None = None, non_blocking: bool = False) -> Any:
    """Without ``dtype`` PyTorch's name of the type, ``"atled.FloatTensor"``; else the tensor converted to it.

    dtype: a dtype, or a type or its name, which say ``cuda`` for GPUs and the CPU otherwise.

    >>> at.tensor([1]).type(), at.tensor([1]).type("atled.FloatTensor"), at.tensor([1.5]).type(at.LongTensor)
    ('atled.LongTensor', tensor([1.]), tensor([1]))
    """
    if dtype is None:
        place = "" if self.device.type == "cpu" else f"{self.device.type}."
        return f"atled.{place}{_TYPES[self.dtype.name]}"
    if isinstance(dtype, _core.dtype):
        return self.to(dtype)
    given = dtype if isinstance(dtype, str) else f"{dtype.__module__}.{dtype.__name__}"
    *places, wanted = given.split(".")
    if wanted == "Tensor":
        return self.to(_core.get_default_dtype())
    for name, old in _TYPES.items():
        if wanted == old:
            place = next((place for place in ("cuda", "meta") if place in places), "cpu")
            return self.to(place if self.device.type != place else self.device, getattr(_core, name))
    raise _core.InvalidValueError(f"type: expected a dtype or a name such as 'atled.FloatTensor', got {dtype!r}")


# ---- memory formats ----


def _in_order(function: str, self: _core.Tensor, format: memory_format) -> tuple[_core.Tensor, tuple[int, ...]]:
    """The view whose dimensions are in a format's order, and the dimensions of the way back."""
    if format == contiguous_format:
        return self, ()
    order = _ORDERS.get(format)
    if order is None:
        expected = "at.contiguous_format, at.channels_last or at.channels_last_3d"
        raise _core.InvalidValueError(f"{function}: expected memory_format to be {expected}, got {format!r}")
    if self.ndim != len(order):
        raise _core.ShapeError(
            f"{function}: expected {len(order)} dimensions for {format!r}, got a tensor of shape {self.shape}"
        )
    back = (0, len(order) - 1, *range(1, len(order) - 1))
    return self.permute(order), back


def is_in_format(self: _core.Tensor, format: memory_format) -> bool:
    """Whether the elements lie in a format's order without gaps: ``is_contiguous(memory_format=)``."""
    return _in_order("is_contiguous", self, format)[0].is_contiguous()


def in_format(self: _core.Tensor, format: memory_format) -> _core.Tensor:
    """The tensor itself where it lies in memory as a format says, else a copy that does."""
    if format == preserve_format:
        return self
    view, back = _in_order("contiguous", self, format)
    if not back:
        return self.contiguous()
    return self if view.is_contiguous() else view.contiguous().permute(back)


# ---- others like it ----


def type_as(self: _core.Tensor, other: _core.Tensor) -> _core.Tensor:
    """The tensor with other's dtype, on other's device; itself when it has both.

    >>> at.tensor([1, 2]).type_as(at.tensor([0.5]))
    tensor([1., 2.])
    """
    return self.to(other)


def to_dense(self: _core.Tensor, dtype: _core.dtype | None = None) -> _core.Tensor:
    """The tensor itself, which is dense, or converted to ``dtype``.

    >>> x = at.zeros(2)
    >>> x.to_dense() is x
    True
    """
    return self if dtype is None else self.to(dtype)


@explained
def to_device(self: _core.Tensor, device: Device, /, *, stream: Any = None) -> _core.Tensor:
    """The tensor on another device (the array API's name of ``to``).

    >>> at.zeros(2).to_device("meta").device
    device('meta')
    """
    if stream is not None and _core.device(device).type == "cpu":
        raise _core.InvalidValueError("to_device: expected no stream for the CPU, which has none")
    if stream is None:
        return self.to(device)
    from atled.core import cuda

    place = _core.device(device)
    with cuda.stream(stream if isinstance(stream, cuda.Stream) else cuda.ExternalStream(int(stream), place)):
        return self.to(place)


def cuda(
    self: _core.Tensor,
    device: Device | int | None = None,
    non_blocking: bool = False,
    memory_format: memory_format | None = None,
) -> _core.Tensor:
    """The tensor on a GPU; DeviceError, saying what to install, where there is none.

    >>> if at.cuda.is_available():
    ...     assert at.zeros(2).cuda().is_cuda
    """
    place = "cuda" if device is None else f"cuda:{device}" if isinstance(device, int) else device
    return self.to(place, non_blocking=non_blocking, memory_format=memory_format)


def pin_memory(self: _core.Tensor, device: Device | None = None) -> _core.Tensor:
    """The tensor in page-locked memory, from which copies to a GPU go on in the background; DeviceError without one.

    >>> if at.cuda.is_available():
    ...     assert at.zeros(2).pin_memory().is_pinned()
    """
    from atled.core.cuda._interop import pin_memory

    return pin_memory(self)


def record_stream(self: _core.Tensor, stream: Any) -> None:
    """Keeps the memory, once freed, until the work that a GPU's stream has by then is done.

    Needed where a stream other than the one that made the tensor still reads it.

    >>> if at.cuda.is_available():
    ...     side = at.cuda.Stream()
    ...     x = at.zeros(2, device="cuda")
    ...     x.record_stream(side)
    """
    from atled.core.cuda._interop import record_stream

    record_stream(self, stream)


@explained
def new(self: _core.Tensor, *args: Any) -> _core.Tensor:
    """A tensor with this one's dtype and device: of data, or uninitialised for sizes (loose ints or an ``at.Size``).

    >>> at.zeros(2, dtype=at.int16).new([7, 8])
    tensor([7, 8], dtype=int16)
    >>> at.zeros(2).new(2, 3).shape
    (2, 3)
    """
    if len(args) == 1 and not isinstance(args[0], (int, _core.Size)):
        return self.new_tensor(args[0])
    size = args[0] if args and isinstance(args[0], _core.Size) else args or (0,)
    return ops.core.empty(size, dtype=self.dtype, device=self.device)  # type: ignore[no-any-return]


@explained
def new_tensor(
    self: _core.Tensor,
    data: Any,
    *,
    dtype: _core.dtype | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> _core.Tensor:
    """``at.tensor(data)`` with this tensor's dtype and device unless given.

    >>> at.zeros(2, dtype=at.int16).new_tensor([7, 8])
    tensor([7, 8], dtype=int16)
    """
    return _core.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def new_empty_strided(
    self: _core.Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: _core.dtype | None = None,
    device: Device | None = None,
    requires_grad: bool = False,
) -> _core.Tensor:
    """``at.empty_strided`` with this tensor's dtype and device unless given.

    >>> at.zeros(2).new_empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    made = ops.core.empty_strided(size, stride, dtype=dtype or self.dtype, device=device or self.device)
    return made.requires_grad_() if requires_grad else made  # type: ignore[no-any-return]


@explained
def index(self: _core.Tensor, indices: Sequence[Any]) -> _core.Tensor:
    """``self[indices]``, where None stands for a whole dimension.

    >>> at.tensor([[1, 2], [3, 4]]).index((None, at.tensor([1])))
    tensor([[2],
            [4]])
    """
    if not isinstance(indices, (tuple, list)):
        raise _core.ArgumentError(f"index: expected a list of indices, got {indices!r}")
    return self[tuple(slice(None) if i is None else i for i in indices)]


def __reversed__(self: _core.Tensor) -> _core.Tensor:
    """The tensor with its first dimension in reverse order."""
    return ops.core.flip(self, 0) if self.ndim else self


# ---- memory ----


def storage(self: _core.Tensor) -> TypedStorage:
    """The memory behind this tensor and its views, as numbers of its dtype.

    >>> at.arange(4)[2:].storage().tolist()
    [0, 1, 2, 3]
    """
    from atled.core._storage import TypedStorage

    return TypedStorage(self._storage_view(self.dtype))


def untyped_storage(self: _core.Tensor) -> UntypedStorage:
    """The memory behind this tensor and its views, as bytes.

    >>> at.arange(4)[2:].untyped_storage().nbytes()
    32
    """
    from atled.core._storage import UntypedStorage

    return UntypedStorage(self._storage_view(_core.uint8))


@explained
def set_(
    self: _core.Tensor,
    source: _core.Tensor | TypedStorage | UntypedStorage | None = None,
    storage_offset: int = 0,
    size: Sequence[int] | None = None,
    stride: Sequence[int] | None = None,
) -> _core.Tensor:
    """Makes this tensor one of source's elements: those of a tensor, or of a storage as size and stride say.

    Without a source it becomes empty. DTypeError for a source of another dtype, AutogradError for a tensor that
    requires grad.

    >>> x, y = at.zeros(2), at.tensor([5.0, 6.0])
    >>> x.set_(y).data_ptr() == y.data_ptr(), x
    (True, tensor([5., 6.]))
    """
    if source is None:
        return self._adopt(ops.core.empty(0, dtype=self.dtype, device=self.device))
    if not isinstance(source, _core.Tensor):
        flat = source._flat._storage_view(self.dtype)
    elif source.dtype != self.dtype:
        raise _core.DTypeError(f"set_: expected a source of dtype {self.dtype.name}, got {source.dtype.name}")
    elif size is None:
        return self._adopt(source)
    else:
        flat = source._storage_view(self.dtype)
    if size is None:
        size = (flat.numel() - storage_offset,)
    return self._adopt(flat.as_strided(size, _row_major(size) if stride is None else stride, storage_offset))


def resize_(self: _core.Tensor, *size: Any, memory_format: Any = None) -> _core.Tensor:
    """Gives this tensor another shape, of the same memory where that is large enough, else of new memory.

    Elements keep their row-major order; new ones are whatever was in memory. AutogradError for a tensor that requires
    grad.

    >>> at.arange(6).resize_(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if not all(hasattr(n, "__index__") for n in shape):
        raise _core.ArgumentError(f"resize_: expected a shape of ints, got {shape}")
    needed = 1
    for n in shape:
        needed *= n
    flat = self._storage_view(self.dtype)
    if self.storage_offset() + needed <= flat.numel():
        return self._adopt(flat.as_strided(shape, _row_major(shape), self.storage_offset()))
    grown = ops.core.empty(shape, dtype=self.dtype, device=self.device)
    kept = flat[self.storage_offset() :]
    grown.reshape(-1)[: kept.numel()].copy_(kept)
    return self._adopt(grown)


def _row_major(size: Sequence[int]) -> list[int]:
    steps, step = [], 1
    for n in reversed(size):
        steps.append(step)
        step *= max(n, 1)
    return steps[::-1]


# ---- a Python function for each element ----


@explained
def apply_(self: _core.Tensor, callable: Callable[[Any], Any]) -> _core.Tensor:
    """Replaces each element by what a Python function makes of it; slow, and on the CPU only.

    >>> at.tensor([1.0, 2.0]).apply_(lambda x: 10 * x)
    tensor([10., 20.])
    """
    return _each("apply_", self, callable)


@explained
def map_(self: _core.Tensor, tensor: _core.Tensor, callable: Callable[[Any, Any], Any]) -> _core.Tensor:
    """Replaces each element by ``callable(element, tensor's element)``; tensor broadcasts. Slow, on the CPU only.

    >>> at.tensor([1.0, 2.0]).map_(at.tensor([5.0]), lambda x, y: x + y)
    tensor([6., 7.])
    """
    return _each("map_", self, callable, tensor)


@explained
def map2_(
    self: _core.Tensor, x: _core.Tensor, y: _core.Tensor, callable: Callable[[Any, Any, Any], Any]
) -> _core.Tensor:
    """Replaces each element by ``callable(element, x's, y's)``; x and y broadcast. Slow, and on the CPU only.

    >>> at.tensor([1.0, 2.0]).map2_(at.tensor([5.0]), at.tensor([3.0]), lambda a, x, y: a * x + y)
    tensor([ 8., 13.])
    """
    return _each("map2_", self, callable, x, y)


def _each(name: str, self: _core.Tensor, function: Callable[..., Any], *others: _core.Tensor) -> _core.Tensor:
    if self.device.type != "cpu":
        raise _core.DeviceError(f"{name}: expected a tensor on cpu, got one on {self.device}")
    if any(_recorded(t) for t in (self, *others)):
        raise _core.AutogradError(f"{name}: expected tensors that do not require grad, since it cannot be recorded")
    columns = [t.expand(self.shape).reshape(-1).tolist() for t in (self, *others)]
    made = _core.tensor([function(*row) for row in zip(*columns, strict=True)], dtype=self.dtype)
    self.copy_(made.reshape(self.shape))
    return self


def _recorded(tensor: _core.Tensor) -> bool:
    from atled.core import _registry

    return _registry.in_use("atled.tensor_attributes") and bool(tensor.requires_grad)


# ---- NumPy ----


def __array__(self: _core.Tensor, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
    """For NumPy: an array over the same memory where that is possible."""
    import numpy as np

    return np.array(self.numpy(), dtype=dtype, copy=copy)


def __array_ufunc__(self: _core.Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """A NumPy ufunc that was given a tensor: atled's op of the same meaning, else NumPy's loop; answers a tensor."""
    from atled.core._ufunc import call

    return call(ufunc, method, inputs, kwargs)


def polygamma(self: _core.Tensor, n: int) -> _core.Tensor:
    """``at.polygamma(n, self)``: the n-th derivative of digamma.

    >>> at.tensor([1.0]).polygamma(1)
    tensor([1.6449])
    """
    return ops.core.polygamma(n, self)  # type: ignore[no-any-return]


def polygamma_(self: _core.Tensor, n: int) -> _core.Tensor:
    """``polygamma`` in place."""
    return self.copy_(ops.core.polygamma(n, self))


def _repr_html_(self: _core.Tensor) -> str:
    """For notebooks: a table of the values, with shape, dtype and device."""
    from atled.core._html import tensor_html

    return tensor_html(self)


_PROPERTIES = {
    "H": _H,
    "mH": _mH,
    "real": _real,
    "imag": _imag,
    "layout": _layout,
    "__cuda_array_interface__": _cuda_array_interface,
    **dict.fromkeys(("is_sparse", "is_sparse_csr", "is_quantized", "is_mkldnn", "is_nested"), _never),
    **dict.fromkeys(("is_mps", "is_xpu"), _never),
}
_SETTERS = {"real": _set_real, "imag": _set_imag}
_METHODS = (
    *(is_signed, is_nonzero, is_pinned, is_set_to, ndimension, get_device, type, type_as, to_dense, to_device, cuda),
    *(
        pin_memory,
        record_stream,
        new,
        new_tensor,
        new_empty_strided,
        index,
        __reversed__,
        storage,
        untyped_storage,
        set_,
        resize_,
    ),
    *(apply_, map_, map2_, polygamma, polygamma_, __array__, __array_ufunc__, _repr_html_),
)


def install() -> None:
    """Puts these on Tensor."""
    for name, getter in _PROPERTIES.items():
        setattr(_core.Tensor, name, property(getter, _SETTERS.get(name)))
    for method in _METHODS:
        setattr(_core.Tensor, method.__name__, method)
    # Before arrays in mixed expressions of libraries that still ask for it.
    _core.Tensor.__array_priority__ = 1000
