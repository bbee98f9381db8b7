"""The memory behind tensors, seen as a sequence of bytes or of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

from ._core import Tensor, device, dtype


class _Storage:
    """A one-dimensional view of all of a storage."""

    def __init__(self, flat: Tensor) -> None:
        self._flat = flat

    @property
    def device(self) -> device:
        """Where the memory is."""
        return self._flat.device

    def data_ptr(self) -> int:
        """Its address."""
        return self._flat.data_ptr()

    def nbytes(self) -> int:
        """Its size in bytes."""
        return self._flat.nbytes

    def size(self) -> int:
        """Number of entries."""
        return self._flat.numel()

    def element_size(self) -> int:
        """Bytes per entry."""
        return self._flat.itemsize

    def tolist(self) -> list[Any]:
        """The entries as Python numbers."""
        values: list[Any] = self._flat.tolist()
        return values

    def fill_(self, value: Any) -> Self:
        """Writes value into every entry."""
        self._flat.fill_(value)
        return self

    def copy_(self, source: _Storage) -> Self:
        """Copies another storage of the same size."""
        self._flat.copy_(source._flat)
        return self

    def clone(self) -> Self:
        """A copy."""
        return type(self)(self._flat.clone())

    def __len__(self) -> int:
        return self._flat.numel()

    def __getitem__(self, index: int | slice) -> Any:
        found = self._flat[index]
        return type(self)(found) if isinstance(index, slice) else found.item()

    def __setitem__(self, index: int | slice, value: Any) -> None:
        self._flat[index] = value

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Storage) and self._flat.shares_storage(other._flat)

    def __hash__(self) -> int:
        return hash((self.data_ptr(), self.nbytes()))


class UntypedStorage(_Storage):
    """A storage as bytes: what ``Tensor.untyped_storage`` answers.

    It is all of the memory behind a tensor, whatever view of it the tensor is; indexing reads and writes bytes.

    >>> x = at.tensor([1, 2], dtype=at.int16)
    >>> x[1:].untyped_storage().tolist()
    [1, 0, 2, 0]
    """

    def __repr__(self) -> str:
        return f"UntypedStorage(device={self.device}, nbytes={self.nbytes()})"


class TypedStorage(_Storage):
    """A storage as numbers of one dtype: what ``Tensor.storage`` answers.

    It is all of the memory behind a tensor, whatever view of it the tensor is; indexing reads and writes numbers.

    >>> x = at.arange(4)
    >>> storage = x[2:].storage()
    >>> storage[0] = 9
    >>> x
    tensor([9, 1, 2, 3])
    """

    @property
    def dtype(self) -> dtype:
        """The numbers' dtype."""
        return self._flat.dtype

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return self._flat.untyped_storage()

    def __repr__(self) -> str:
        return f"TypedStorage(dtype={self.dtype}, device={self.device}, size={self.size()})"
