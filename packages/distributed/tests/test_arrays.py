"""Tensors as arrays for MPI: memory that is shared, and rounding to bfloat16."""

import struct

import numpy as np
import pytest

import atled.core as at
from atled.distributed._arrays import HostArray, _to_bfloat16_bits


def nearest_bfloat16(value):
    """The bits of the bfloat16 nearest to a float32, ties to even, by comparing the two candidates as exact floats."""
    (bits,) = struct.unpack("<I", struct.pack("<f", value))
    below = bits >> 16

    def of(candidate):
        # One past the largest finite value stands for the next power of two, as in IEEE 754 rounding.
        return struct.unpack("<f", struct.pack("<I", candidate << 16))[0] if candidate & 0x7FFF != 0x7F80 else 2.0**128

    down, up = abs(abs(of(below)) - abs(value)), abs(abs(of(below + 1)) - abs(value))
    return below if down < up or (down == up and below % 2 == 0) else below + 1


def test_rounding_to_bfloat16_is_to_nearest_even():
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 2**32, 20_000, dtype=np.uint32)
    ties = (rng.integers(0, 2**16, 5_000, dtype=np.uint32) << 16) | 0x8000
    values = np.concatenate([patterns, ties, [0, 0x80000000, 1, 0x7F7FFFFF]]).astype(np.uint32).view(np.float32)
    values = values[np.isfinite(values)]
    expected = [nearest_bfloat16(float(value)) for value in values]
    np.testing.assert_array_equal(_to_bfloat16_bits(values), expected)


def test_infinity_and_nan_survive_rounding():
    bits = _to_bfloat16_bits(np.array([np.inf, -np.inf, np.nan], np.float32))
    back = (bits.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(back, [np.inf, -np.inf, np.nan])


def test_contiguous_memory_is_not_copied():
    tensor = at.zeros((3, 4))
    array = HostArray(tensor)
    array.numbers()[0] = 7.0
    assert tensor[0, 0].item() == 7.0
    assert np.shares_memory(array.bytes(), array.view)


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16, at.float32, at.complex64, at.bool])
def test_what_is_read_can_be_put_back(dtype):
    tensor = at.asarray(np.arange(12.0, dtype=np.float32).reshape(3, 4)).to(dtype).permute(1, 0)
    before = tensor.tolist()
    array = HostArray(tensor)
    numbers, data = array.numbers(), array.bytes()
    tensor.zero_()
    array.put_numbers(numbers)
    assert tensor.tolist() == before
    tensor.zero_()
    array.put_bytes(data)
    assert tensor.tolist() == before
