"""Zero-copy exchange with NumPy, the buffer protocol and DLPack, in both directions."""

import array
import gc
import io
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.testing import ALL, from_numpy, numpy_dtype, to_numpy

BUFFERED = [dtype for dtype in ALL if dtype != "bfloat16"]
# DLPack as NumPy speaks it has no bfloat16.
EXCHANGED = BUFFERED


def sample(dtype: str, *shape: int) -> Any:
    return (np.arange(np.prod(shape)).reshape(shape) % 2).astype(dtype)


# ---- NumPy ----


@pytest.mark.parametrize("dtype", BUFFERED)
def test_from_numpy_shares_memory(dtype: str) -> None:
    x = sample(dtype, 3, 4)
    t = at.from_numpy(x)
    assert t.dtype.name == dtype and t.shape == (3, 4) and t.data_ptr() == x.ctypes.data
    x[1, 2] = 1 - x[1, 2] if dtype != "bool" else not x[1, 2]
    np.testing.assert_array_equal(to_numpy(t), x)


@pytest.mark.parametrize("dtype", BUFFERED)
def test_numpy_shares_memory(dtype: str) -> None:
    t = from_numpy(sample(dtype, 3, 4))
    x = t.numpy()
    assert x.dtype.name == dtype and x.ctypes.data == t.data_ptr()
    x[0, 0] = 1
    assert t[0, 0].item() == 1


VIEWS: list[Callable[[Any], Any]] = [
    lambda x: x[::-1],
    lambda x: x[:, ::-2],
    lambda x: x.T,
    lambda x: x[1:3, 1],
    lambda x: x[2:2],
    lambda x: np.broadcast_to(x[0], (5, 6)),
    lambda x: x[1, 1, ...],
]


@pytest.mark.parametrize("view", VIEWS, ids=range(len(VIEWS)))
def test_strided_arrays_are_shared(view: Callable[[Any], Any]) -> None:
    base = np.arange(30, dtype=np.int32).reshape(5, 6)
    x = view(base)
    t = at.from_numpy(x)
    np.testing.assert_array_equal(to_numpy(t), x)
    assert t.stride() == tuple(s // 4 for s in x.strides) or x.size == 0
    base += 100
    np.testing.assert_array_equal(to_numpy(t), x)
    np.testing.assert_array_equal(t.numpy(), x)


def test_negative_strides_go_through_ops() -> None:
    x = np.arange(12.0).reshape(3, 4)[::-1, ::-2]
    t = at.from_numpy(x)
    np.testing.assert_array_equal(to_numpy(t + 1), x + 1)
    np.testing.assert_array_equal(to_numpy(t[1:]), x[1:])
    np.testing.assert_array_equal(to_numpy(t.contiguous()), x)
    t.add_(1)
    np.testing.assert_array_equal(x, np.arange(1.0, 13).reshape(3, 4)[::-1, ::-2])


def test_read_only_arrays_stay_read_only() -> None:
    x = np.arange(4.0)
    x.flags.writeable = False
    t = at.from_numpy(x)
    assert t.is_readonly and t[1:].is_readonly
    for change in (lambda: t.add_(1), lambda: t.fill_(0), lambda: t.__setitem__(0, 1.0), lambda: at.exp(t, out=t)):
        with pytest.raises(at.InvalidValueError, match="read-only; write into a copy"):
            change()
    assert not t.clone().is_readonly
    assert not t.numpy().flags.writeable


def test_memory_lives_as_long_as_any_side() -> None:
    x = np.arange(1000.0)
    alive = weakref.ref(x)
    t = at.from_numpy(x)[10:20]
    del x
    gc.collect()
    assert alive() is not None and t[0].item() == 10.0
    del t
    gc.collect()
    assert alive() is None
    back = at.arange(1000).numpy()
    gc.collect()
    assert back[999] == 999


def test_asarray_copies_only_when_it_must() -> None:
    x = np.arange(4.0)
    assert at.asarray(x).data_ptr() == x.ctypes.data
    assert at.asarray(x, copy=True).data_ptr() != x.ctypes.data
    assert at.asarray(x, dtype=at.float32).dtype == at.float32
    with pytest.raises(at.InvalidValueError, match="copy=False"):
        at.asarray(x, dtype=at.float32, copy=False)
    assert at.tensor(x).data_ptr() != x.ctypes.data
    t = at.ones(3)
    assert at.asarray(t) is t


def test_numpy_functions_take_tensors() -> None:
    t = at.arange(4)
    np.testing.assert_array_equal(np.asarray(t), [0, 1, 2, 3])
    assert np.sum(np.asarray(t)) == 6
    assert np.shares_memory(np.asarray(t), np.asarray(t))


@pytest.mark.parametrize(
    "foreign",
    [
        np.arange(3, dtype=">i4"),
        np.array(["a", "b"]),
        np.array([object()]),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f4")]),
        np.array(["2020-01-01"], "M8[D]"),
        np.zeros(2, np.longdouble),
        "text",
        3,
        None,
    ],
    ids=lambda value: str(getattr(value, "dtype", value)),
)
def test_what_from_numpy_refuses(foreign: Any) -> None:
    with pytest.raises((at.DTypeError, at.ArgumentError), match="from_numpy: expected"):
        at.from_numpy(foreign)


def test_bfloat16_crosses_by_its_bits() -> None:
    t = at.tensor([1.5, -2.0, float("inf")], dtype=at.bfloat16)
    x = t.numpy()
    assert x.dtype == numpy_dtype("bfloat16")
    np.testing.assert_array_equal(x.astype(np.float32), [1.5, -2.0, np.inf])


def test_a_scalar_index_from_numpy() -> None:
    t = at.arange(5)
    assert t[np.int64(3)].item() == 3
    assert t[np.array([4, 0])].tolist() == [4, 0]


# ---- the buffer protocol ----


@pytest.mark.parametrize("dtype", BUFFERED)
def test_memoryview_of_a_tensor(dtype: str) -> None:
    t = from_numpy(sample(dtype, 2, 3))
    view = memoryview(t)
    assert view.shape == (2, 3) and view.itemsize == t.itemsize and not view.readonly
    assert view.nbytes == t.nbytes and view.contiguous


def test_memoryview_of_strided_tensors() -> None:
    t = at.arange(12).reshape(3, 4).T
    view = memoryview(t)
    assert view.shape == (4, 3) and view.strides == (8, 32) and view.f_contiguous
    with pytest.raises(BufferError, match="not contiguous"):
        io.BytesIO().write(t)  # asks for a contiguous buffer


def test_frombuffer() -> None:
    raw = bytearray(np.arange(6, dtype=np.int16).tobytes())
    t = at.frombuffer(raw, at.int16)
    assert t.tolist() == [0, 1, 2, 3, 4, 5]
    t[0] = 7
    assert raw[0] == 7
    assert at.frombuffer(raw, at.int16, 2, 4).tolist() == [2, 3]
    assert at.frombuffer(raw, at.int32).tolist() == [7 + (1 << 16), 2 + (3 << 16), 4 + (5 << 16)]
    assert at.frombuffer(bytes(raw), at.uint8).is_readonly
    assert at.from_numpy(array.array("d", [1.0, 2.0])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "arguments",
    [
        (b"abc", at.int16),
        (b"abcd", at.int16, 3),
        (b"abcd", at.int16, 1, 5),
        (b"abcd", at.int16, -1, -2),
        (b"abcd", at.int16, 2**62),
    ],
)
def test_frombuffer_checks_its_bounds(arguments: Any) -> None:
    with pytest.raises(at.InvalidValueError, match="frombuffer: expected"):
        at.frombuffer(*arguments)


def test_a_buffer_keeps_the_tensor_alive() -> None:
    view = memoryview(at.arange(100))
    gc.collect()
    assert view[99] == 99


# ---- DLPack ----


@pytest.mark.parametrize("dtype", EXCHANGED)
def test_dlpack_to_numpy(dtype: str) -> None:
    t = from_numpy(sample(dtype, 3, 4))
    x = np.from_dlpack(t)
    assert x.dtype.name == dtype and x.ctypes.data == t.data_ptr()
    np.testing.assert_array_equal(x, to_numpy(t))


@pytest.mark.parametrize("dtype", EXCHANGED)
@pytest.mark.parametrize("view", VIEWS[:5], ids=range(5))
def test_dlpack_from_numpy(dtype: str, view: Callable[[Any], Any]) -> None:
    x = view(sample(dtype, 5, 6))
    t = at.from_dlpack(x)
    np.testing.assert_array_equal(to_numpy(t), x)
    assert t.data_ptr() == x.ctypes.data or x.size == 0


def test_dlpack_of_ourselves_shares_memory() -> None:
    for dtype in ALL:
        t = at.ones(3, dtype=getattr(at, dtype))
        assert at.from_dlpack(t).data_ptr() == t.data_ptr()
        assert at.from_dlpack(t, copy=True).data_ptr() != t.data_ptr()


def test_dlpack_keeps_read_only() -> None:
    x = np.arange(3.0)
    x.flags.writeable = False
    t = at.from_dlpack(x)
    assert t.is_readonly
    assert not np.from_dlpack(t).flags.writeable


def test_capsules_old_and_versioned() -> None:
    t = at.arange(3)
    old, new = t.__dlpack__(), t.__dlpack__(max_version=(1, 0))
    assert '"dltensor"' in repr(old) and '"dltensor_versioned"' in repr(new)
    for capsule in (old, new):
        assert at.from_dlpack(capsule).tolist() == [0, 1, 2]
        with pytest.raises(at.ArgumentError, match="expected an unused DLPack capsule"):
            at.from_dlpack(capsule)


def test_an_unused_capsule_frees_what_it_holds() -> None:
    x = np.arange(10.0)
    alive = weakref.ref(x)
    capsules = [at.from_numpy(x).__dlpack__(), at.from_numpy(x).__dlpack__(max_version=(1, 1))]
    del x
    gc.collect()
    assert alive() is not None
    del capsules
    gc.collect()
    assert alive() is None


def test_an_exporter_from_before_versions() -> None:
    class Old:
        def __dlpack__(self, stream: Any = None) -> Any:
            return at.arange(3).__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    assert at.from_dlpack(Old()).tolist() == [0, 1, 2]


def test_dlpack_arguments() -> None:
    t = at.arange(3)
    assert t.__dlpack_device__() == (1, 0)
    copied = at.from_dlpack(t.__dlpack__(copy=True, max_version=(1, 0)))
    assert copied.data_ptr() != t.data_ptr()
    with pytest.raises(at.ArgumentError, match="from_dlpack: expected an object with __dlpack__"):
        at.from_dlpack([1, 2])
    with pytest.raises((BufferError, at.AtledError)):
        t.__dlpack__(dl_device=(2, 0), copy=False)


def test_the_exchange_api_is_on_the_type() -> None:
    assert "dlpack_exchange_api" in repr(at.Tensor.__dlpack_c_exchange_api__)


def test_lent_memory_outlives_what_its_tensor_becomes() -> None:
    x = at.full((1 << 18,), 7.0)
    shared = [np.asarray(x), np.from_dlpack(x), np.asarray(memoryview(x)), at.from_dlpack(x).numpy()]
    x.data = at.zeros(2)
    others = [at.full((1 << 18,), float(i)) for i in range(3)]
    assert all((array == 7).all() for array in shared) and len(others) == 3
    y = at.arange(6).reshape(2, 3)
    view, capsule = memoryview(y), y.__dlpack__()
    y.t_()
    assert view.tolist() == at.from_dlpack(capsule).tolist() == [[0, 1, 2], [3, 4, 5]]
    z = at.arange(4)
    array = z.numpy()
    z.resize_(1000)
    assert array.tolist() == [0, 1, 2, 3]
