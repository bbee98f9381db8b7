"""Tensor itself: properties, identity, views and versions, conversion to Python, copies, operators."""

import copy
import gc
import pickle
import weakref
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core import array_api
from atled.testing import ALL, to_numpy


@pytest.mark.parametrize("dtype", ALL)
def test_properties(dtype: str) -> None:
    kind = getattr(at, dtype)
    x = at.zeros(2, 3, 4, dtype=kind)
    assert (x.shape, x.ndim, x.dtype, x.numel()) == ((2, 3, 4), 3, kind, 24)
    assert x.dim() == 3 and x.nelement() == 24 and x.size() == (2, 3, 4) and x.size(-1) == 4
    assert x.stride() == (12, 4, 1) and x.stride(1) == 4 and x.storage_offset() == 0
    assert x.itemsize == x.element_size() == kind.itemsize and x.nbytes == 24 * kind.itemsize
    assert x.is_cpu and not x.is_cuda and not x.is_meta and x.is_contiguous() and not x.is_readonly
    assert x.is_floating_point() == (dtype in ("float16", "bfloat16", "float32", "float64"))
    assert x.is_complex() == dtype.startswith("complex")
    assert str(x.device) == "cpu"


def test_views_share_and_copies_do_not() -> None:
    x = at.arange(12).reshape(3, 4)
    for view in (x.T, x.mT, x[1:], x.reshape(4, 3), x.unsqueeze(0), x.expand(2, 3, 4), x.view(12), x.diagonal()):
        assert view.shares_storage(x)
    assert x[1:, 2].storage_offset() == 6 and x.T.stride() == (1, 4)
    for made in (x.clone(), x + 0, x.T.contiguous(), x.T.reshape(12), x.to(at.float32)):
        assert not made.shares_storage(x)
    assert x.contiguous() is x and x.to(at.int64) is x


def test_versions_count_changes_of_the_storage() -> None:
    x = at.zeros(4)
    view = x[1:]
    start = x._version
    view.add_(1)
    assert x._version == view._version == start + 1
    x[0] = 3
    at.exp(at.ones(4), out=x)
    x += 1
    assert view._version == start + 4
    x + 1
    assert x._version == start + 4
    assert x.clone()._version == 0


def test_one_python_object_per_tensor() -> None:
    x = at.ones(3)
    assert x.add_(1) is x and x.contiguous() is x
    assert x[:] is not x
    alive = weakref.ref(x)
    del x
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("dtype", ALL)
def test_items_and_lists(dtype: str) -> None:
    x = at.tensor([[0, 1], [1, 0]], dtype=getattr(at, dtype))
    kind: type = bool if dtype == "bool" else int if "int" in dtype else complex if "complex" in dtype else float
    assert type(x[0, 1].item()) is kind and x[0, 1].item() == 1
    assert x.tolist() == [[0, 1], [1, 0]] and type(x.tolist()[0][0]) is kind
    assert at.tensor(x.tolist(), dtype=x.dtype).tolist() == x.tolist()


def test_numbers_of_the_full_range() -> None:
    for value, dtype in ((2**64 - 1, at.uint64), (-(2**63), at.int64), (2**63 - 1, at.int64)):
        assert at.tensor(value, dtype=dtype).item() == value
        assert at.full((2,), value, dtype=dtype).tolist() == [value] * 2 if value < 2**63 else True
    assert at.tensor(5e-324, dtype=at.float64).item() == 5e-324


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (3, "int64", ()),
        (3.5, "float32", ()),
        (True, "bool", ()),
        (1j, "complex64", ()),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        ([1, 2.5], "float32", (2,)),
        ([True, 2], "int64", (2,)),
        ([[1], [2]], "int64", (2, 1)),
        ((1, 2), "int64", (2,)),
        (range(3), "int64", (3,)),
        (np.float64(1.5), "float64", ()),
        (np.arange(3, dtype=np.int8), "int8", (3,)),
        ([np.float32(1), 2], "float32", (2,)),
        ([np.float64(1), 2], "float64", (2,)),
        ([[np.float16(1)], [2.0]], "float32", (2, 1)),
        ([np.int8(1), np.int16(2)], "int16", (2,)),
        ([np.uint8(1), True], "uint8", (2,)),
        ([np.bool_(True)], "bool", (1,)),
        ([np.bool_(True), 2], "int64", (2,)),
        ([np.complex64(1), 2.0], "complex64", (2,)),
        ([at.tensor(1, dtype=at.int8)], "int8", (1,)),
        ([at.tensor(1.0, dtype=at.float64), 2], "float64", (2,)),
    ],
)
def test_what_tensor_makes_of_data(data: Any, dtype: str, shape: tuple[int, ...]) -> None:
    x = at.tensor(data)
    assert (x.dtype.name, x.shape) == (dtype, shape)


def test_numpys_numbers_keep_their_values() -> None:
    assert at.tensor([np.complex64(1 + 2j), 3.0]).tolist() == [1 + 2j, 3]
    assert at.tensor([np.float32(1.5), np.True_], dtype=at.int64).tolist() == [1, 1]
    assert (at.ones(1) * np.complex64(1 + 2j)).tolist() == [1 + 2j]
    with pytest.raises(at.DTypeError, match="uint64"):
        at.tensor([np.uint64(1), np.int64(1)])


def test_the_class_called_as_in_pytorch() -> None:
    assert at.Tensor([1, 2]).dtype == at.float32 and at.Tensor(np.arange(2)).tolist() == [0.0, 1.0]
    assert at.Tensor(2, 3).shape == (2, 3) and at.Tensor(4).shape == (4,) and at.Tensor().shape == (0,)
    x = at.arange(3)
    assert at.Tensor(x).shares_storage(x) and at.Tensor(data=x).dtype == at.int64
    for wrong in ((2, "a"), ([1.0], 2), (True, 2), ("a",), (None,)):
        with pytest.raises(TypeError):
            at.Tensor(*wrong)


def test_tensors_of_tensors() -> None:
    x = at.tensor([at.ones(()), 2.0])
    assert x.tolist() == [1.0, 2.0]
    y = at.ones(2)
    assert at.tensor(y) is not y and not at.tensor(y).shares_storage(y)


OPERATORS = [
    ("+", lambda a, b: a + b),
    ("-", lambda a, b: a - b),
    ("*", lambda a, b: a * b),
    ("/", lambda a, b: a / b),
    ("//", lambda a, b: a // b),
    ("%", lambda a, b: a % b),
    ("**", lambda a, b: a**b),
    ("<", lambda a, b: a < b),
    (">=", lambda a, b: a >= b),
    ("==", lambda a, b: a == b),
    ("!=", lambda a, b: a != b),
]
INTEGER_OPERATORS = [
    ("&", lambda a, b: a & b),
    ("|", lambda a, b: a | b),
    ("^", lambda a, b: a ^ b),
    ("<<", lambda a, b: a << b),
    (">>", lambda a, b: a >> b),
]


@pytest.mark.parametrize(
    ("name", "operator"), OPERATORS + INTEGER_OPERATORS, ids=lambda v: v if isinstance(v, str) else ""
)
def test_operators_and_their_reflections(name: str, operator: Any) -> None:
    dtype = np.int64 if (name, operator) in INTEGER_OPERATORS else np.float64
    a, b = np.array([1, 2, 3], dtype), np.array([3, 2, 1], dtype)
    np.testing.assert_array_equal(to_numpy(operator(at.tensor(a), at.tensor(b))), operator(a, b))
    np.testing.assert_array_equal(to_numpy(operator(at.tensor(a), 2)), operator(a, 2))
    np.testing.assert_array_equal(to_numpy(operator(2, at.tensor(b))), operator(2, b))


def test_operators_refuse_what_is_no_operand() -> None:
    x = at.tensor([3])
    for wrong in (lambda: 2 @ x, lambda: x @ 2, lambda: 2.0 @ x, lambda: x @ None, lambda: pow(x, 2, 5)):
        with pytest.raises(TypeError):
            wrong()


def test_unary_operators() -> None:
    x = at.tensor([1.5, -2.0])
    assert (-x).tolist() == [-1.5, 2.0] and (+x).tolist() == [1.5, -2.0] and abs(x).tolist() == [1.5, 2.0]
    assert (~at.tensor([True, False])).tolist() == [False, True]
    assert bool(at.tensor(1.0)) and not bool(at.tensor([0])) and int(at.tensor(2.7)) == 2 and float(at.tensor(3)) == 3.0


def test_augmented_assignment_is_in_place() -> None:
    x = y = at.ones(3)
    x += 1
    x *= 3
    x -= at.ones(3)
    x /= 2
    assert x is y and y.tolist() == [2.5] * 3


def test_tensors_are_hashed_by_identity() -> None:
    a, b = at.ones(2), at.ones(2)
    assert len({a, b}) == 2 and {a: 1}[a] == 1


def test_copy_deepcopy_and_pickle() -> None:
    x = at.arange(6).reshape(2, 3)[:, 1:]
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert made.tolist() == x.tolist() and made.dtype == x.dtype and not made.shares_storage(x)
    assert copy.copy(x).tolist() == x.tolist()
    shared = copy.deepcopy([x, x])
    assert shared[0] is shared[1]
    assert copy.deepcopy(x.T).stride() == at.clone(x.T).stride()


def test_deepcopy_of_a_subclass() -> None:
    x = Named(at.ones(3))
    x.name = ["x"]
    copied = copy.deepcopy(x)
    assert type(copied) is Named and copied.tolist() == [1.0] * 3
    assert copied.name == ["x"] and copied.name is not x.name


class Named(at.Tensor):
    """A tensor with a name."""

    name: Any


def test_subclasses() -> None:
    x = Named(at.ones(3))
    x.name = "x"
    assert isinstance(x, at.Tensor) and x.name == "x" and type(x + 1) is at.Tensor
    assert x.add_(1) is x


def test_the_array_api_namespace() -> None:
    x = at.ones(2)
    assert x.__array_namespace__() is array_api
    for name in (
        "permute_dims",
        "concat",
        "astype",
        "expand_dims",
        "bitwise_invert",
        "unique_all",
        "e",
        "pi",
        "newaxis",
    ):
        assert hasattr(at, name), name
    assert at.sum(at.ones(2, 3), axis=0, keepdims=True).shape == (1, 3)


def test_dtypes_devices_and_ops_are_pickled_by_name() -> None:
    for value in (at.float32, at.bfloat16, at.device("cpu"), at.exp, at.add_):
        again = pickle.loads(pickle.dumps(value))
        assert again == value and copy.deepcopy(value) == value
    assert pickle.loads(pickle.dumps(at.float32)) is at.float32
