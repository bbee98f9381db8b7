"""Padding, packing and their inverses against lists of arrays."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.nn.utils import rnn

RNG = np.random.default_rng(17)
LENGTHS = [3, 5, 1, 3]


def sequences(*rest: int) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    return [RNG.standard_normal((n, *rest)) for n in LENGTHS]


def padded(arrays: Any, steps: int, value: float) -> Any:
    """(B, T, *)."""
    room = np.full((len(arrays), steps, *arrays[0].shape[1:]), value)
    for row, array in zip(room, arrays, strict=True):
        row[: len(array)] = array
    return room


@pytest.mark.parametrize("rest", [(), (2,), (2, 3)])
@pytest.mark.parametrize("batch_first", [False, True])
def test_padding(rest: tuple[int, ...], batch_first: bool) -> None:
    arrays = sequences(*rest)
    tensors = [at.from_numpy(a) for a in arrays]
    right = rnn.pad_sequence(tensors, batch_first, -1.5)
    expected = padded(arrays, 5, -1.5)
    np.testing.assert_array_equal(right.numpy(), expected if batch_first else expected.swapaxes(0, 1))
    left = rnn.pad_sequence(tensors, batch_first, -1.5, "left").numpy()
    turned = padded([a[::-1] for a in arrays], 5, -1.5)[:, ::-1]
    np.testing.assert_array_equal(left, turned if batch_first else turned.swapaxes(0, 1))
    back = rnn.unpad_sequence(right, at.tensor(LENGTHS), batch_first)
    for tensor, array in zip(back, arrays, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("rest", [(), (2,), (2, 3)])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("in_order", [False, True])
def test_packing(rest: tuple[int, ...], batch_first: bool, in_order: bool) -> None:
    arrays = sequences(*rest)
    if in_order:
        arrays.sort(key=len, reverse=True)
    lengths = [len(a) for a in arrays]
    room = padded(arrays, 6, 9.0)
    input = at.from_numpy(room if batch_first else np.ascontiguousarray(room.swapaxes(0, 1)))
    packed = rnn.pack_padded_sequence(input, lengths, batch_first, in_order)
    order = sorted(range(4), key=lambda i: -lengths[i])
    steps = [np.stack([arrays[i][t] for i in order if t < lengths[i]]) for t in range(5)]
    assert packed.batch_sizes.tolist() == [len(step) for step in steps]
    np.testing.assert_array_equal(packed.data.numpy(), np.concatenate(steps))
    if in_order:
        assert packed.sorted_indices is None and packed.unsorted_indices is None
    else:
        assert packed.sorted_indices is not None and packed.unsorted_indices is not None
        assert packed.sorted_indices.tolist() == order
        assert [packed.unsorted_indices.tolist()[i] for i in order] == [0, 1, 2, 3]
    output, found = rnn.pad_packed_sequence(packed, batch_first, -2.0, 7)
    expected = padded(arrays, 7, -2.0)
    np.testing.assert_array_equal(output.numpy(), expected if batch_first else expected.swapaxes(0, 1))
    assert found.tolist() == lengths and found.dtype == at.int64
    assert rnn.pad_packed_sequence(packed)[0].shape[0] == 5
    again = rnn.pack_sequence([at.from_numpy(a) for a in arrays], enforce_sorted=in_order)
    np.testing.assert_array_equal(again.data.numpy(), packed.data.numpy())
    for tensor, array in zip(rnn.unpack_sequence(packed), arrays, strict=True):
        np.testing.assert_array_equal(tensor.numpy(), array)


def test_gradients_go_through() -> None:
    autograd = pytest.importorskip("atled.autograd")
    x = at.from_numpy(RNG.standard_normal((5, 4, 2))).requires_grad_()

    def call(x: at.Tensor) -> at.Tensor:
        packed = rnn.pack_padded_sequence(x, LENGTHS, enforce_sorted=False)
        return rnn.pad_packed_sequence(packed._replace(data=packed.data * packed.data))[0]

    assert autograd.gradcheck(call, (x,))


def test_packed_sequences_convert_copy_and_pickle() -> None:
    packed = rnn.pack_sequence([at.tensor([1.0]), at.tensor([2.0, 3.0])], enforce_sorted=False)
    assert packed.to(at.float64).data.dtype == packed.double().data.dtype == at.float64
    assert packed.half().float().data.tolist() == [2, 1, 3] and packed.cpu() is packed and not packed.is_cuda
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        assert type(other) is rnn.PackedSequence
        assert [part.tolist() for part in other] == [part.tolist() for part in packed]
    made = rnn.PackedSequence(packed.data, packed.batch_sizes, packed.sorted_indices)
    assert made.unsorted_indices is not None and made.unsorted_indices.tolist() == [1, 0]


def test_lengths_of_int32() -> None:
    packed = rnn.pack_padded_sequence(at.tensor([[1, 2], [3, 4]]), at.tensor([2, 1], dtype=at.int32))
    assert packed.data.tolist() == [1, 2, 3] and packed.batch_sizes.tolist() == [2, 1]


def test_bad_arguments() -> None:
    x = at.ones(5, 4, 2)
    cases: list[tuple[type[Exception], str, Any]] = [
        (at.InvalidValueError, "longest to the shortest", lambda: rnn.pack_padded_sequence(x, [1, 2, 3, 4])),
        (at.InvalidValueError, "from 1 to 5, got", lambda: rnn.pack_padded_sequence(x, [5, 3, 2, 0])),
        (at.InvalidValueError, "from 1 to 5, got", lambda: rnn.pack_padded_sequence(x, [6, 3, 2, 1])),
        (at.ShapeError, "4 lengths", lambda: rnn.pack_padded_sequence(x, [5, 3])),
        (at.ShapeError, "at least 2 dimensions", lambda: rnn.pack_padded_sequence(x[0, 0], [2])),
        (at.ShapeError, "at least one sequence", lambda: rnn.pack_padded_sequence(at.ones(5, 0), [])),
        (at.ShapeError, r"at least one step, got \(0, 1, 2\)", lambda: rnn.pack_sequence([at.zeros(0, 2)])),
        (
            at.ShapeError,
            "at least one step, got no batch_sizes",
            lambda: rnn.pad_packed_sequence(rnn.PackedSequence(x[0], at.zeros(0, dtype=at.int64))),
        ),
        (at.DTypeError, "lengths to be integers, got float32", lambda: rnn.pack_padded_sequence(x, at.ones(4))),
        (
            at.ShapeError,
            r"alike but for T, got \[\(2, 1\), \(2, 3\)\]",
            lambda: rnn.pad_sequence([x[0, :2, :1], at.ones(2, 3)]),
        ),
        (at.InvalidValueError, "padding_side", lambda: rnn.pad_sequence([x], padding_side="top")),
        (at.ArgumentError, "expected batch_sizes", lambda: rnn.PackedSequence(x)),
        (
            at.InvalidValueError,
            "total_length of at least 2",
            lambda: rnn.pad_packed_sequence(rnn.pack_sequence([at.ones(2)]), total_length=1),
        ),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()
