"""Methods and attributes of Tensor that are no ops, and views taken in place."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at


def matrix() -> at.Tensor:
    return at.arange(6.0).reshape(2, 3).clone()


# ---- attributes ----


def test_transposed_attributes() -> None:
    z = at.tensor([[1 + 2j, 3.0], [0, 1j]])
    expected = z.numpy().conj().T
    np.testing.assert_array_equal(z.H.numpy(), expected)
    np.testing.assert_array_equal(z.reshape(1, 2, 2).mH.numpy()[0], expected)
    assert at.tensor(1j).H.item() == -1j
    with pytest.raises(at.ShapeError, match=r"H: expected a matrix, got shape \(2, 3, 4\); for a batch .* use mH"):
        at.ones(2, 3, 4).H  # noqa: B018
    with pytest.raises(at.ShapeError, match=r"mH: expected at least 2 dimensions, got shape \(3,\)"):
        at.ones(3).mH  # noqa: B018


def test_size_and_stride_by_name() -> None:
    x = at.ones(2, 3)
    assert x.size(dim=1) == x.size(-1) == 3 and x.size(dim=None) == (2, 3) and x.stride(dim=0) == 3
    with pytest.raises(TypeError):
        x.size(axis=0)


def test_a_size_is_a_tuple_that_counts() -> None:
    size = at.ones(2, 3, 4).shape
    assert isinstance(size, at.Size) and size == (2, 3, 4) and hash(size) == hash((2, 3, 4)) and size.numel() == 24
    longer, further = size + (5,), (5,) + size  # noqa: RUF005
    for made in (size[1:], size[::-1], longer, further, at.Size([2, np.int64(3)]), at.Size(), at.ones(2).size()):
        assert type(made) is at.Size and made.numel() == np.prod(made, dtype=int)
    assert size[::-2] == (4, 2) and further == (5, 2, 3, 4) and size[-1] == 4 and repr(size) == "(2, 3, 4)"
    copied = pickle.loads(pickle.dumps(size))
    assert type(copied) is at.Size and copied == size
    assert at.Tensor(size).shape == size and at.Tensor((2, 3)).tolist() == [2, 3]
    for wrong, message in (([1.5], "Size: expected ints, got float at position 0"), (3, "not iterable")):
        with pytest.raises(TypeError, match=message):
            at.Size(wrong)


def test_memory_formats() -> None:
    x = at.arange(120.0).reshape(2, 3, 4, 5)
    last = x.contiguous(memory_format=at.channels_last)
    assert last.stride() == (60, 1, 15, 3) and bool((last == x).all())
    assert last.is_contiguous(memory_format=at.channels_last) and not last.is_contiguous()
    assert not x.is_contiguous(memory_format=at.channels_last) and x.is_contiguous(memory_format=at.contiguous_format)
    assert last.contiguous(memory_format=at.channels_last) is last and last.contiguous().stride() == x.stride()
    volume = x.unsqueeze(0)
    for name in (
        "bool",
        "byte",
        "char",
        "short",
        "int",
        "long",
        "half",
        "bfloat16",
        "float",
        "double",
        "cfloat",
        "cpu",
    ):
        convert = getattr(x, name)
        assert convert(memory_format=at.channels_last).stride() == last.stride(), name
        assert convert(memory_format=None).stride() == convert(memory_format=at.preserve_format).stride() == x.stride()
        for args, given in (((at.channels_last,), {}), ((), {"dtype": at.float32})):
            with pytest.raises(at.ArgumentError, match=f"^{name}: expected no argument but memory_format, by name"):
                convert(*args, **given)
    for made in (x.to(at.float64, memory_format=at.channels_last), x.clone(memory_format=at.channels_last), last + 1):
        assert made.stride() == last.stride()
    for made in (volume.clone(memory_format=at.channels_last_3d), volume.to(memory_format=at.channels_last_3d)):
        assert made.stride() == np.moveaxis(np.empty((1, 3, 4, 5, 2), "b"), -1, 1).strides
    for format, stride in (
        (None, last.stride()),
        (at.preserve_format, last.stride()),
        (at.contiguous_format, x.stride()),
    ):
        assert at.zeros_like(last, memory_format=format).stride() == stride
    assert at.empty(2, 3, 4, 5, memory_format=at.channels_last).stride() == last.stride()
    assert repr(at.channels_last) == "atled.channels_last" and isinstance(at.preserve_format, at.memory_format)
    assert all(pickle.loads(pickle.dumps(f)) is f for f in (at.contiguous_format, at.channels_last_3d))
    with pytest.raises(
        at.ShapeError, match=r"contiguous: expected 4 dimensions for atled.channels_last, got .* \(2,\)"
    ):
        at.ones(2).contiguous(memory_format=at.channels_last)
    with pytest.raises(at.InvalidValueError, match="expected memory_format to be at.contiguous_format, .* got 'rows'"):
        x.is_contiguous(memory_format="rows")


def test_pytorchs_ways_to_make_and_fill() -> None:
    x = at.ones(2, 3, dtype=at.float64)
    for made, shape in ((x.new(), (0,)), (x.new(4, 5), (4, 5)), (x.new(x.size()), (2, 3)), (x.new((2, 3)), (2,))):
        assert made.shape == shape and made.dtype == at.float64
    assert x.new([7]).tolist() == [7] and x.copy_(3).tolist() == [[3] * 3] * 2 and x.copy_(True).sum().item() == 6


def test_plain_attributes() -> None:
    x = matrix()
    assert x.layout is at.strided and repr(x.layout) == "atled.strided"
    assert pickle.loads(pickle.dumps(at.strided)) is at.strided
    assert x.nbytes == 24 and x.ndimension() == 2 and x.is_signed() and not x.is_pinned() and x.get_device() == -1
    assert at.tensor(1 + 2j).real.item() == 1 and at.tensor(1 + 2j).imag.item() == 2
    assert [row.tolist() for row in reversed(x)] == [[3, 4, 5], [0, 1, 2]]
    with pytest.raises(AttributeError, match="expected a tensor on cuda"):
        x.__cuda_array_interface__  # noqa: B018


def test_types_by_their_old_names() -> None:
    x = matrix()
    assert x.type() == "atled.FloatTensor" and x.to(device="meta").type() == "atled.meta.FloatTensor"
    assert x.type("torch.DoubleTensor").dtype == at.float64 and x.type(at.int8).dtype == at.int8
    assert x.type_as(at.ones(1, dtype=at.float16)).dtype == at.float16
    with pytest.raises(at.InvalidValueError, match="a name such as 'atled.FloatTensor', got 'Floating'"):
        x.type("Floating")


def test_types_make_convert_and_tell_apart() -> None:
    x = matrix()
    assert at.LongTensor([2**40]).tolist() == [2**40] and at.LongTensor(range(3)).tolist() == [0, 1, 2]
    assert at.FloatTensor(np.arange(2)).dtype == at.float32 and at.ByteTensor().shape == (0,)
    assert at.HalfTensor(2, 3).shape == at.BFloat16Tensor(x.size()).shape == (2, 3)
    assert at.FloatTensor(x).data_ptr() == x.data_ptr() and at.DoubleTensor(x).tolist() == x.tolist()
    assert isinstance(x, at.FloatTensor) and not isinstance(x, (at.DoubleTensor, at.cuda.FloatTensor))
    assert not isinstance(x.to(device="meta"), at.FloatTensor) and type(at.IntTensor([1])) is at.Tensor
    assert x.type(at.ShortTensor).dtype == at.ShortTensor.dtype == at.int16
    assert x.long().type(at.Tensor).dtype == x.long().type("torch.Tensor").dtype == at.float32
    assert x.type("torch.meta.IntTensor").is_meta and repr(at.CharTensor) == "<class 'atled.core.CharTensor'>"
    with pytest.raises(at.InvalidValueError, match="got <class 'int'>"):
        x.type(int)


def test_what_needs_a_gpu_says_so() -> None:
    if at.cuda.is_available():
        pytest.skip("there is a GPU")
    x = matrix()
    calls: list[Callable[[], Any]] = [x.cuda, lambda: x.cuda(1), x.pin_memory, lambda: x.record_stream(None)]
    calls += [lambda: x.type("torch.cuda.FloatTensor"), lambda: at.cuda.LongTensor([1])]
    calls += [lambda: at.zeros(3, pin_memory=True), lambda: at.tensor([1.0], pin_memory=True)]
    for call in calls:
        with pytest.raises(at.DeviceError, match="cuda"):
            call()


def test_new_tensors_like_one() -> None:
    x = at.ones(2, dtype=at.float64)
    assert x.new_tensor([1, 2]).dtype == at.float64 and x.new_tensor([1], dtype=at.int8).dtype == at.int8
    made = x.new_empty_strided((2, 3), (1, 2))
    assert made.stride() == (1, 2) and made.dtype == at.float64
    assert at.arange(6).reshape(2, 3).index([None, at.tensor([2, 0])]).tolist() == [[2, 0], [5, 3]]
    assert x.to_dense() is x and x.to_device("meta").is_meta
    with pytest.raises(at.InvalidValueError, match="expected no stream for the CPU"):
        x.to_device("cpu", stream=1)


# ---- memory ----


def test_storages_see_all_of_the_memory() -> None:
    x = matrix()
    whole = x[1:, 1:].storage()
    assert whole.tolist() == [0, 1, 2, 3, 4, 5] and whole.dtype == at.float32 and len(whole) == 6
    assert whole.untyped().nbytes() == 24 == len(x.untyped_storage()) and whole.data_ptr() == x.data_ptr()
    assert whole == x.T.storage() and whole != x.clone().storage() and whole[1:3].tolist() == [1, 2]
    whole[0] = 7
    assert x[0, 0].item() == 7
    assert whole.clone().fill_(1).tolist() == [1] * 6 and x[1, 2].item() == 5
    assert "size=6" in repr(whole) and "nbytes=24" in repr(x.untyped_storage())


def test_set() -> None:
    x, y = matrix(), at.empty(0)
    assert y.set_(x) is y and y.is_set_to(x) and not y.is_set_to(x.T)
    y.set_(x.T)
    assert y.shape == (3, 2) and y.is_set_to(x.T)
    y.set_(x.untyped_storage(), 1, (2, 2), (3, 1))
    assert y.tolist() == [[1, 2], [4, 5]]
    assert y.set_(x.storage()).tolist() == [0, 1, 2, 3, 4, 5]
    assert y.set_().shape == (0,)
    with pytest.raises(at.BoundsError, match="inside the storage"):
        y.set_(x, 4, (3,), (1,))
    with pytest.raises(at.DTypeError, match="expected a source of dtype float32, got int64"):
        y.set_(at.arange(3))


def test_resize() -> None:
    x = matrix()
    address = x.data_ptr()
    assert x.resize_(2, 2) is x and x.tolist() == [[0, 1], [2, 3]] and x.data_ptr() == address
    x.resize_((3, 3))
    assert x.reshape(-1)[:6].tolist() == [0, 1, 2, 3, 4, 5] and x.data_ptr() != address
    y = at.arange(4)[2:]
    assert y.resize_(1).tolist() == [2]
    with pytest.raises(at.ShapeError, match="expected sizes >= 0"):
        x.resize_(-1)


def test_data_takes_another_tensor_over() -> None:
    x, y = at.zeros(3), at.arange(4).reshape(2, 2)
    known = x
    x.data = y
    assert known.shape == (2, 2) and known.dtype == at.int64 and known.data_ptr() == y.data_ptr()
    assert x.data is not x and x.data.data_ptr() == x.data_ptr()
    x.data = at.ones(1, 2, 1, 2, 1, 2, 1, 2)  # more dimensions than fit inside
    assert x.sum().item() == 16
    x.data = y.T
    assert not x.is_contiguous() and x.tolist() == [[0, 2], [1, 3]]
    with pytest.raises(at.ArgumentError, match="data: expected a Tensor, got int"):
        x.data = 3  # type: ignore[assignment]


def test_views_of_other_item_sizes() -> None:
    x = at.arange(8, dtype=at.int32).reshape(2, 4)
    for other in ("uint8", "int16", "int64", "float64"):
        np.testing.assert_array_equal(x.view(getattr(at, other)).numpy(), x.numpy().view(other))
        part = x[1:, 2:]
        np.testing.assert_array_equal(part.view(getattr(at, other)).numpy(), x.numpy()[1:, 2:].view(other))
    assert x.view(at.complex64).view(at.float32).shape == (2, 4)
    z = at.tensor([1 + 2j])
    z.view(at.float32)[1] = 5
    assert z.tolist() == [1 + 5j]
    with pytest.raises(at.ShapeError, match="view_dtype: expected a last dimension of stride 1"):
        x.T.view(at.uint8)
    with pytest.raises(at.ShapeError, match="view_dtype: expected a last dimension, strides and an offset"):
        x[:, 1:3].view(at.int64)


# ---- a function for each element ----


def test_python_functions_of_elements() -> None:
    x = matrix()
    assert x.apply_(lambda v: v * 2) is x and x.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert x.map_(at.tensor([1, 2, 3]), lambda a, b: a + b).tolist() == [[1, 4, 7], [7, 10, 13]]
    assert x.map2_(at.tensor(1), at.ones(2, 1), lambda a, b, c: a - b - c).tolist() == [[-1, 2, 5], [5, 8, 11]]
    with pytest.raises(at.DeviceError, match="apply_: expected a tensor on cpu, got one on meta"):
        at.ones(2, device="meta").apply_(abs)


# ---- views in place ----

VIEWS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "t_": (lambda x: x.t_(), lambda a: a.T),
    "transpose_": (lambda x: x.transpose_(0, 1), lambda a: a.T),
    "swapaxes_": (lambda x: x.swapaxes_(0, -1), lambda a: a.T),
    "swapdims_": (lambda x: x.swapdims_(0, 0), lambda a: a),
    "unsqueeze_": (lambda x: x.unsqueeze_(1), lambda a: a[:, None]),
    "squeeze_": (lambda x: x.squeeze_(), lambda a: a),
    "squeeze_ of one": (lambda x: x.unsqueeze_(0).squeeze_(0), lambda a: a),
    "as_strided_": (lambda x: x.as_strided_((2, 2), (1, 2), 1), lambda a: np.array([[1, 3], [2, 4]])),
    "several": (lambda x: x.t_().unsqueeze_(0).unsqueeze_(0).unsqueeze_(0).unsqueeze_(0).unsqueeze_(-1), None),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_in_place(name: str) -> None:
    change, expected = VIEWS[name]
    x = matrix()
    address, alias = x.data_ptr(), x[0]
    assert change(x) is x and x._version > 0
    if expected is None:
        assert x.shape == (1, 1, 1, 1, 3, 2, 1)
        np.testing.assert_array_equal(x.reshape(3, 2).numpy(), matrix().numpy().T)
    else:
        np.testing.assert_array_equal(x.numpy(), expected(matrix().numpy()))
    assert x.untyped_storage().data_ptr() == address and x.shares_storage(alias)
    x.fill_(9)
    if name != "as_strided_":
        assert alias.tolist() == [9, 9, 9]


def test_views_in_place_check_as_the_views_do() -> None:
    x = matrix()
    with pytest.raises(at.BoundsError, match="transpose: expected dim1 in"):
        x.transpose_(0, 2)
    with pytest.raises(at.BoundsError, match="as_strided: expected a view inside the storage"):
        x.as_strided_((7,), (1,))
    assert x.shape == (2, 3)
    assert at.empty(2, 3, device="meta").t_().shape == (3, 2)


def test_questions_that_programs_for_pytorch_ask() -> None:
    x = at.ones(2)
    names = ("sparse", "sparse_csr", "quantized", "mkldnn", "nested", "mps", "xpu")
    assert not any(getattr(x, "is_" + name) for name in names)
