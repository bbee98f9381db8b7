"""Python objects as a pickle and the memory of their tensors and NumPy arrays, which is left out of the pickle.

A shared tensor is sent as its place in shared memory. Of all others the elements are sent: those that overlap in memory
as one piece, so that they are views of one storage on the other side, too.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import atled.core as at
from atled.core import _core
from atled.core._formats.memory import to_bytes
from atled.core._tensor import wants_grad

from ._sharing import restore

_ALIGNMENT = 64


class Place(NamedTuple):
    """Where a tensor or buffer is: in a piece of the message (or, if shared, in that one of its descriptors)."""

    piece: int
    offset: int  # in bytes
    dtype: str | None = None  # of a tensor
    shape: tuple[int, ...] = ()
    strides: tuple[int, ...] | None = None
    shared_bytes: int = 0  # of the whole shared memory


@dataclass
class Packet:
    """An object that is to be sent: `payload` is the pickle, `pieces` are laid out one after the other."""

    payload: bytes
    places: list[Place]
    pieces: list[memoryview]
    shared: list[int] = field(default_factory=list)  # descriptors, which `keep` keeps open
    label: Any = None
    keep: Any = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the pieces, in bytes."""
        return tuple(piece.nbytes for piece in self.pieces)


def layout(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where each piece starts, and the total size."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(-(-end // _ALIGNMENT) * _ALIGNMENT)
        end = offsets[-1] + size
    return offsets, end


def pack(value: Any, label: Any = None) -> Packet:
    """Pickles an object; `label` is small and can be read before the object is opened."""
    found: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    pickler = _Pickler(stream, found.append)
    pickler.dump(value)
    places: list[Place | None] = [None] * len(found)
    packet = Packet(stream.getvalue(), [], [], label=label, keep=pickler.tensors)
    private: list[tuple[int, at.Tensor]] = []
    for slot, buffer in enumerate(found):
        tensor = pickler.tensors.get(id(buffer))
        if tensor is None:
            places[slot] = Place(len(packet.pieces), 0)
            packet.pieces.append(buffer.raw())
        elif tensor.is_shared():
            places[slot] = _shared_place(packet, tensor)
        else:
            private.append((slot, tensor))
    for group in _overlapping(private):
        if len(group) == 1:
            slot, tensor = group[0]
            places[slot] = Place(len(packet.pieces), 0, tensor.dtype.name, tensor.shape)
            packet.pieces.append(pickle.PickleBuffer(to_bytes(tensor)).raw() if tensor.numel() else memoryview(b""))
            continue
        begin = _begin(group)
        for slot, tensor in group:
            offset = tensor.data_ptr() - begin
            places[slot] = Place(len(packet.pieces), offset, tensor.dtype.name, tensor.shape, tensor.stride())
        packet.pieces.append(_memory(begin, max(_span(tensor)[1] for _, tensor in group)))
    packet.places = [place for place in places if place is not None]
    return packet


def unpack(
    payload: Any, places: Sequence[Place], memory: memoryview, sizes: Sequence[int], shared: Sequence[int]
) -> Any:
    """The object that `pack` was given; `shared` are the descriptors of shared memory, which stay the caller's."""
    offsets, _ = layout(sizes)
    found: list[Any] = []
    bases: dict[tuple[bool, int, str], at.Tensor] = {}

    def base_of(place: Place, kind: at.dtype) -> at.Tensor:
        if place.shared_bytes:
            return _core._attach_shared(shared[place.piece], place.shared_bytes, kind)
        count = sizes[place.piece] // kind.itemsize
        return at.frombuffer(memory, kind, count, offsets[place.piece]) if count else at.empty(0, dtype=kind)

    for place in places:
        if place.dtype is None:
            begin = offsets[place.piece]
            found.append(memory[begin : begin + sizes[place.piece]])
            continue
        kind = getattr(at, place.dtype)
        key = (place.shared_bytes > 0, place.piece, place.dtype)
        base = bases.get(key)
        if base is None:
            base = bases[key] = base_of(place, kind)
        if place.strides is None:
            found.append(base.reshape(place.shape))
        else:
            found.append(base.as_strided(place.shape, place.strides, place.offset // kind.itemsize))
    # What the pickle left out is handed over in order, as it is: tensors need not be made again from buffers.
    return pickle.loads(payload, buffers=found)


class _Pickler(ForkingPickler):
    def __init__(self, stream: io.BytesIO, note: Any) -> None:
        super().__init__(stream, 5, True, note)
        self.tensors: dict[int, at.Tensor] = {}
        self._keep: list[pickle.PickleBuffer] = []

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, at.Tensor):
            return NotImplemented
        wanted = wants_grad(value)
        stand_in = pickle.PickleBuffer(bytearray())  # of read-only ones, memoryviews would come out
        self._keep.append(stand_in)
        self.tensors[id(stand_in)] = value if value.is_cpu else value.to(device="cpu")
        attributes = getattr(value, "__dict__", None) or None
        return _restore, (stand_in, type(value), str(value.device), wanted), attributes


def _restore(tensor: at.Tensor, cls: type[at.Tensor], device: str, requires_grad: bool) -> at.Tensor:
    return restore(tensor.to(device=device), cls, requires_grad)


def _shared_place(packet: Packet, tensor: at.Tensor) -> Place:
    place = _core._shared_place(tensor)
    assert place is not None
    descriptor, size, offset = place
    if descriptor not in packet.shared:
        packet.shared.append(descriptor)
    return Place(packet.shared.index(descriptor), offset, tensor.dtype.name, tensor.shape, tensor.stride(), size)


def _span(tensor: at.Tensor) -> tuple[int, int]:
    """The addresses between which the elements lie."""
    low = high = tensor.data_ptr()
    for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
        reach = (size - 1) * stride * tensor.itemsize
        low, high = low + min(reach, 0), high + max(reach, 0)
    return low, high + tensor.itemsize


_Group = list[tuple[int, at.Tensor]]  # with their slots


def _begin(group: _Group) -> int:
    return min(_span(tensor)[0] for _, tensor in group)


def _overlapping(tensors: _Group) -> list[_Group]:
    """Groups of tensors whose memory overlaps; those of several dtypes that one beginning does not align stay apart."""
    alone = [[item] for item in tensors if not item[1].numel()]
    groups: list[_Group] = []
    end = 0
    for item in sorted((item for item in tensors if item[1].numel()), key=lambda item: _span(item[1])[0]):
        low, high = _span(item[1])
        if low < end:
            groups[-1].append(item)
        else:
            groups.append([item])
        end = max(end, high)
    for group in groups:
        if any((tensor.data_ptr() - _begin(group)) % tensor.itemsize for _, tensor in group):
            alone += [[item] for item in group]
        else:
            alone.append(group)
    return alone


def _memory(begin: int, end: int) -> memoryview:
    """Bytes at an address, which the tensors of a packet keep alive."""
    import ctypes

    return memoryview((ctypes.c_ubyte * (end - begin)).from_address(begin)).cast("B")
