"""Sequences of several lengths: padded to one, or packed step after step without padding.

>>> import atled.core as at
>>> packed = pack_sequence([at.tensor([1.0, 2.0, 3.0]), at.tensor([4.0])])
>>> packed.data.tolist(), packed.batch_sizes.tolist()
([1.0, 4.0, 2.0, 3.0], [2, 1, 1])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences, the longest first, of which all first steps are stored, then all second ones, and so on.

    data: ``(sum of the lengths, *)``. batch_sizes: int64 on the CPU, how many sequences have a first step, a second,
    and so on. sorted_indices: where each sequence stood before they were sorted, None if they were so already;
    unsorted_indices: the inverse, made of it if it is None. Make one with `pack_padded_sequence` or `pack_sequence`.

    >>> packed = pack_sequence([at.tensor([1]), at.tensor([2, 3])], enforce_sorted=False)
    >>> packed.data.tolist(), packed.batch_sizes.tolist(), packed.sorted_indices.tolist()
    ([2, 1, 3], [2, 1], [1, 0])
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> Self:
        """ArgumentError without ``batch_sizes``; InvalidValueError where those are not on the CPU."""
        if batch_sizes is None:
            raise at.ArgumentError("PackedSequence: expected batch_sizes, got None; pack_padded_sequence counts them")
        if batch_sizes.device.type != "cpu":
            raise at.InvalidValueError(
                f"PackedSequence: expected batch_sizes on the CPU, got {batch_sizes.device}; call batch_sizes.cpu()"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data converted, and the indices where the data is."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        order = (None if t is None else t.to(data.device) for t in (self.sorted_indices, self.unsorted_indices))
        return type(self)(data, self.batch_sizes, *order)

    def cpu(self) -> PackedSequence:
        """On the CPU."""
        return self.to("cpu")

    def cuda(self, device: int | None = None) -> PackedSequence:
        """On a CUDA device."""
        return self.to("cuda" if device is None else f"cuda:{device}")

    def float(self) -> PackedSequence:
        """With data of float32."""
        return self.to(at.float32)

    def double(self) -> PackedSequence:
        """With data of float64."""
        return self.to(at.float64)

    def half(self) -> PackedSequence:
        """With data of float16."""
        return self.to(at.float16)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.device.type == "cuda"


@explained
def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """``result[permutation[i]] == i``; None for None.

    >>> invert_permutation(at.tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    return None if permutation is None else permutation.argsort()


def _lengths(op: str, lengths: Tensor | Sequence[int], batch: int, longest: int, least: int) -> Tensor:
    counted = lengths.cpu() if isinstance(lengths, Tensor) else at.tensor(list(lengths), dtype=at.int64)
    if counted.dtype == at.bool or counted.is_floating_point() or counted.is_complex():
        raise at.DTypeError(f"{op}: expected lengths to be integers, got {counted.dtype.name}")
    counted = counted.to(at.int64)
    if tuple(counted.shape) != (batch,):
        raise at.ShapeError(f"{op}: expected {batch} lengths, one for each sequence, got {tuple(counted.shape)}")
    if batch and (int(counted.min()) < least or int(counted.max()) > longest):
        raise at.InvalidValueError(f"{op}: expected lengths from {least} to {longest}, got {counted.tolist()}")
    return counted


def _places(lengths: Tensor, steps: int) -> Tensor:
    """Where the elements of a packed sequence lie in a padded one (steps, batch, *), as one dimension."""
    inside: Tensor = at.arange(steps).unsqueeze(1) < lengths
    places: Tensor = inside.flatten().nonzero().squeeze(1)
    return places


@explained
def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs padded sequences ``(T, B, *)``, or ``(B, T, *)`` with ``batch_first``; ``lengths`` has B integers.

    ``enforce_sorted`` demands that the longest comes first, and so on; without it they are sorted here.
    ShapeError for another number of lengths, InvalidValueError for lengths below 1 or above T, or out of order.

    >>> pack_padded_sequence(at.tensor([[1, 2], [3, 0]]), [2, 1]).data.tolist()
    [1, 2, 3]
    """
    op = "pack_padded_sequence"
    if input.ndim < 2:
        raise at.ShapeError(f"{op}: expected input of at least 2 dimensions, got {tuple(input.shape)}")
    steps_first = input.transpose(0, 1) if batch_first else input
    steps, batch = steps_first.shape[:2]
    if batch == 0:
        raise at.ShapeError(f"{op}: expected at least one sequence, got {tuple(input.shape)}")
    if steps == 0:
        raise at.ShapeError(f"{op}: expected sequences of at least one step, got {tuple(input.shape)}")
    counted = _lengths(op, lengths, batch, steps, 1)
    order = None
    if enforce_sorted:
        if bool((counted[1:] > counted[:-1]).any()):
            raise at.InvalidValueError(
                f"{op}: expected lengths from the longest to the shortest, got {counted.tolist()}; "
                "sort them or give enforce_sorted=False"
            )
    else:
        counted, order = at.sort(counted, descending=True, stable=True)
        order = order.to(input.device)
        steps_first = steps_first.index_select(1, order)
    used = int(counted[0])
    places = _places(counted, used).to(input.device)
    data = steps_first[:used].flatten(0, 1).index_select(0, places)
    batch_sizes = (at.arange(used).unsqueeze(1) < counted).sum(1)
    return PackedSequence(data, batch_sizes, order)


def _lengths_of(batch_sizes: Tensor) -> Tensor:
    return (at.arange(int(batch_sizes[0])).unsqueeze(1) < batch_sizes).sum(1)


@explained
def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The padded sequences ``(T, B, *)``, or ``(B, T, *)`` with ``batch_first``, in their first order, and the lengths.

    T is the longest length, or ``total_length``, which must not be less (InvalidValueError). The lengths are int64 on
    the CPU.

    >>> padded, lengths = pad_packed_sequence(pack_sequence([at.tensor([1, 2]), at.tensor([3])]), True, -1)
    >>> padded.tolist(), lengths.tolist()
    ([[1, 2], [3, -1]], [2, 1])
    """
    data, batch_sizes, _, back = sequence
    if batch_sizes.numel() == 0:
        raise at.ShapeError("pad_packed_sequence: expected sequences of at least one step, got no batch_sizes")
    batch, longest = int(batch_sizes[0]), batch_sizes.shape[0]
    steps = longest if total_length is None else total_length
    if steps < longest:
        raise at.InvalidValueError(
            f"pad_packed_sequence: expected total_length of at least {longest}, the longest sequence's, got {steps}"
        )
    lengths = _lengths_of(batch_sizes)
    places = _places(lengths, longest).to(data.device)
    rest = data.shape[1:]
    room = at.full((steps * batch, *rest), padding_value, dtype=data.dtype, device=data.device)
    padded = room.index_copy(0, places, data).reshape(steps, batch, *rest)
    if back is not None:
        padded, lengths = padded.index_select(1, back), lengths[back.cpu()]
    return (padded.transpose(0, 1) if batch_first else padded), lengths


@explained
def pad_sequence(
    sequences: Tensor | Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stacks sequences ``(T_i, *)`` as ``(T, B, *)``, or ``(B, T, *)`` with ``batch_first``, for the longest length T.

    ``padding_side`` is ``"right"`` or ``"left"``. ShapeError where the sequences differ beyond their lengths.

    >>> pad_sequence([at.tensor([1, 2]), at.tensor([3])], batch_first=True, padding_side="left").tolist()
    [[1, 2], [0, 3]]
    """
    listed = list(sequences)
    if padding_side not in ("left", "right"):
        raise at.InvalidValueError(f"pad_sequence: expected padding_side 'left' or 'right', got {padding_side!r}")
    if not listed or any(t.ndim == 0 or t.shape[1:] != listed[0].shape[1:] for t in listed):
        shapes = [tuple(t.shape) for t in listed]
        raise at.ShapeError(f"pad_sequence: expected sequences (T, *) alike but for T, got {shapes}")
    longest = max(t.shape[0] for t in listed)
    rows = []
    for t in listed:
        if t.shape[0] < longest:
            room = at.full((longest - t.shape[0], *t.shape[1:]), padding_value, dtype=t.dtype, device=t.device)
            t = at.cat([t, room] if padding_side == "right" else [room, t])
        rows.append(t)
    return at.stack(rows, 0 if batch_first else 1)


@explained
def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences without what follows their lengths: the inverse of `pad_sequence`.

    >>> [t.tolist() for t in unpad_sequence(at.tensor([[1, 2], [3, 0]]), at.tensor([2, 1]), True)]
    [[1, 2], [3]]
    """
    batched = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    counted = _lengths("unpad_sequence", lengths, batched.shape[0], batched.shape[1], 0)
    return [sequence[:length] for sequence, length in zip(batched, counted.tolist(), strict=True)]


@explained
def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs sequences ``(T_i, *)``; ``enforce_sorted`` is that of `pack_padded_sequence`.

    >>> pack_sequence([at.tensor([1]), at.tensor([2, 3])], enforce_sorted=False).data.tolist()
    [2, 1, 3]
    """
    lengths = at.tensor([t.shape[0] for t in sequences], dtype=at.int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


@explained
def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed one, in their first order.

    >>> [t.tolist() for t in unpack_sequence(pack_sequence([at.tensor([1, 2]), at.tensor([3])]))]
    [[1, 2], [3]]
    """
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
