"""Tensors as arrays for MPI: memory that is shared where it can be, and what is put back."""

import numpy as np
import pytest

import atled.core as at
from atled.distributed._arrays import HostTensor, raw_bytes, reducible_numbers


@pytest.mark.parametrize("dtype", [at.uint8, at.int64, at.float32, at.complex128])
def test_contiguous_memory_is_not_copied(dtype):
    tensor = at.zeros((3, 4), dtype=dtype)
    reducible_numbers(HostTensor(tensor).widened())[5] = 7
    assert tensor[1, 1].item() == 7
    raw_bytes(HostTensor(tensor).contiguous())[:] = 0
    assert tensor[1, 1].item() == 0


@pytest.mark.parametrize("dtype", [at.bfloat16, at.float8_e4m3fn, at.float8_e5m2])
def test_bytes_of_what_no_buffer_has(dtype):
    tensor = at.zeros((3, 4), dtype=dtype)
    raw_bytes(tensor)[-1] = 0x40
    assert tensor.tolist()[2] == [0.0, 0.0, 0.0, 2.0]


@pytest.mark.parametrize("dtype", [at.bool, at.float8_e4m3fn, at.float16, at.bfloat16, at.float32, at.complex64])
@pytest.mark.parametrize("form", ["contiguous", "widened"])
def test_what_is_read_can_be_put_back(dtype, form):
    tensor = at.asarray(np.arange(12.0, dtype=np.float32).reshape(3, 4)).to(dtype).permute(1, 0)
    before = tensor.tolist()
    host = HostTensor(tensor)
    values = getattr(host, form)()
    tensor.zero_()
    host.store(values)
    assert tensor.tolist() == before


def test_halves_are_widened_and_rounded_once():
    tensor = at.full((2,), 1.0, dtype=at.bfloat16)
    host = HostTensor(tensor)
    values = host.widened()
    # 1 + 3/256 lies halfway between two bfloat16 numbers; the even one is 1 + 4/256.
    reducible_numbers(values)[:] = [1 + 3 / 256, np.nan]
    host.store(values)
    first, second = tensor.tolist()
    assert first == 1 + 4 / 256 and second != second


def test_a_change_is_counted_on_any_layout():
    for tensor in (at.zeros(()), at.zeros((2, 3)).permute(1, 0), at.zeros((0,))):
        before = tensor._version
        HostTensor(tensor).count_change()
        assert tensor._version == before + 1
