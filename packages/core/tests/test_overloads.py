"""What has one name and several signatures: which op the arguments choose."""

import math
from typing import Any

import numpy as np
import pytest

import atled.core as at

X = np.random.default_rng(0).standard_normal((4, 6))


def test_median_of_everything_and_along_a_dimension() -> None:
    x = at.asarray(X)
    assert at.median(x).item() == np.sort(X.ravel())[11]
    values, indices = x.median(1)
    np.testing.assert_array_equal(values.numpy(), np.sort(X, 1)[:, 2])
    np.testing.assert_array_equal(indices.numpy(), np.argsort(X, 1)[:, 2])
    assert x.median(dim=0, keepdim=True).values.shape == (1, 6)
    assert at.tensor([3, 1, 2, 9]).median().item() == 2


def test_medians_and_nan() -> None:
    x = at.tensor([3.0, math.nan, 1.0, 2.0])
    assert math.isnan(x.median().item())
    assert x.nanmedian().item() == 2
    assert x.nanmedian(0).indices.item() == 3
    assert math.isnan(at.median(at.empty(0)).item())
    assert math.isnan(at.nanmedian(at.tensor([math.nan])).item())
    with pytest.raises(at.ShapeError, match="at least one element"):
        at.empty(0, dtype=at.int64).median()


def test_unique() -> None:
    x = np.array([[3, 1], [1, 3], [3, 1]])
    t = at.asarray(x)
    assert at.unique(t).tolist() == [1, 3]
    values, inverse, counts = t.unique(return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(values.numpy()[inverse.numpy()], x)
    assert counts.tolist() == [3, 3]
    assert [part.tolist() for part in at.unique(t, return_counts=True)] == [[1, 3], [3, 3]]
    rows, inverse = at.unique(t, return_inverse=True, dim=0)
    assert rows.tolist() == [[1, 3], [3, 1]] and inverse.tolist() == [1, 0, 1]


def test_unique_consecutive() -> None:
    t = at.tensor([[1, 1], [1, 1], [2, 1]])
    assert t.unique_consecutive().tolist() == [1, 2, 1]
    values, inverse, counts = at.unique_consecutive(t, True, True, 0)
    assert values.tolist() == [[1, 1], [2, 1]] and inverse.tolist() == [0, 0, 1] and counts.tolist() == [2, 1]


def test_where_of_a_condition_alone_are_its_indices() -> None:
    rows, columns = at.where(at.asarray(X > 0))
    np.testing.assert_array_equal(rows.numpy(), np.where(X > 0)[0])
    np.testing.assert_array_equal(columns.numpy(), np.where(X > 0)[1])
    with pytest.raises(at.ArgumentError, match="where: expected both input and other, or neither"):
        at.where(at.asarray(X > 0), 1.0)


def test_the_method_where_takes_the_condition_first() -> None:
    x, condition = at.asarray(X), at.asarray(X > 0)
    np.testing.assert_array_equal(x.where(condition, 0.0).numpy(), np.where(X > 0, X, 0))
    flags = at.tensor([True, True, False])
    assert flags.where(at.tensor([True, False, False]), ~flags).tolist() == [True, False, True]


def test_repeat_interleave_of_counts_alone() -> None:
    assert at.repeat_interleave(at.tensor([2, 0, 1])).tolist() == [0, 0, 2]
    assert at.tensor([1, 2]).repeat_interleave(at.tensor([1, 2]), output_size=3).tolist() == [1, 2, 2]
    for repeats in (2, at.tensor([1, 3])):
        with pytest.raises(at.InvalidValueError, match="expected output_size to be 4, .* got 5"):
            at.repeat_interleave(at.tensor([1, 2]), repeats, output_size=5)


def test_several_tensors_get_dimensions() -> None:
    for function in (at.atleast_1d, at.atleast_2d, at.atleast_3d):
        reference = getattr(np, function.__name__)(X[0])
        assert function(at.asarray(X[0])).shape == reference.shape
        both = function(at.tensor(1), at.asarray(X[0]))
        assert isinstance(both, tuple) and both[1].shape == reference.shape
        assert [t.shape for t in function([at.tensor(1), at.asarray(X[0])])] == [t.shape for t in both]


@pytest.mark.parametrize("cuts", [2, [1], (3,), [1, 3], [0], [-1], [9]], ids=str)
def test_pieces_at_indices_or_so_many(cuts: object) -> None:
    x = at.asarray(X)
    cases = [
        (at.tensor_split(x, cuts, 1), np.array_split(X, cuts, 1)),  # type: ignore[call-overload]
        (x.hsplit(cuts), np.array_split(X, cuts, 1)),  # type: ignore[call-overload]
        (x.vsplit(cuts), np.array_split(X, cuts, 0)),  # type: ignore[call-overload]
        (x[None].dsplit(cuts), np.array_split(X[None], cuts, 2)),  # type: ignore[call-overload]
    ]
    for got, expected in cases:
        assert [t.tolist() for t in got] == [a.tolist() for a in expected]


def test_pieces_at_indices_in_a_tensor() -> None:
    x = at.arange(5)
    assert [t.tolist() for t in x.tensor_split(at.tensor([1]))] == [[0], [1, 2, 3, 4]]
    assert [t.tolist() for t in x.tensor_split(at.tensor(2))] == [[0, 1, 2], [3, 4]]


def test_split() -> None:
    x = at.arange(5)
    assert [t.tolist() for t in x.split(split_size=2)] == [[0, 1], [2, 3], [4]]
    assert [t.tolist() for t in at.split(x, [5])] == [[0, 1, 2, 3, 4]]
    with pytest.raises(at.ShapeError):
        x.split([2])


def test_norm_by_name() -> None:
    x = at.asarray(X)
    for p, order in (("fro", None), ("nuc", "nuc")):
        np.testing.assert_allclose(x.norm(p).item(), np.linalg.norm(X, order), rtol=1e-12)  # type: ignore[call-overload]
        np.testing.assert_allclose(at.norm(x[None], p, (1, 2)).numpy(), [np.linalg.norm(X, order)], rtol=1e-12)  # type: ignore[call-overload]
    np.testing.assert_allclose(x.norm("fro", dim=1, keepdim=True).numpy(), np.linalg.norm(X, axis=1, keepdims=True))
    assert x.norm(None).item() == x.norm().item()
    with pytest.raises(at.InvalidValueError, match="'fro' or 'nuc', got 'foo'"):
        x.norm("foo")


def test_axis_is_dim() -> None:
    x = at.asarray(X)
    for function, reference, place in ((at.max, np.max, np.argmax), (at.min, np.min, np.argmin)):
        values, indices = function(x, axis=1, keepdims=True)
        np.testing.assert_array_equal(values.numpy(), reference(X, axis=1, keepdims=True))
        np.testing.assert_array_equal(indices.numpy(), place(X, axis=1, keepdims=True))


def test_einsum_of_lists_of_ints() -> None:
    x, y = at.asarray(X), at.asarray(X[0])
    np.testing.assert_allclose(at.einsum(x, [0, 1], y, [1], [0]).numpy(), X @ X[0])
    np.testing.assert_allclose(at.einsum(x, [30, 2]).numpy(), X.T)  # 2 before 30
    np.testing.assert_allclose(at.einsum(x, [..., 1], x, [..., 1], [...]).numpy(), (X * X).sum(1))
    for wrong in ((x, [0, 60]), (x, y), (x,), (1, [0])):
        with pytest.raises(TypeError):
            at.einsum(*wrong)


@pytest.mark.parametrize(("function", "arg"), [(at.max, np.argmax), (at.min, np.argmin)])
def test_extremes_go_where_they_are_asked_to(function: Any, arg: Any) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    values, indices = at.zeros(3, dtype=at.float64), at.zeros(3, dtype=at.int64)
    result = function(at.asarray(x), 1, out=(values, indices))
    assert result.values is values and result.indices is indices
    np.testing.assert_array_equal(indices.numpy(), arg(x, axis=1))
    np.testing.assert_array_equal(values.numpy(), x[range(3), arg(x, axis=1)])
    whole, each = at.zeros((), dtype=at.float64), at.zeros(3, 4, dtype=at.float64)
    assert function(at.asarray(x), out=whole) is whole and whole.item() == x.flat[arg(x)]
    assert function(at.asarray(x), at.zeros(4, dtype=at.float64), out=each) is each
    np.testing.assert_array_equal(each.numpy(), np.where(arg(np.stack([x, 0 * x]), axis=0) == 0, x, 0))


def test_a_tensordot_goes_where_it_is_asked_to() -> None:
    x, out = np.arange(6.0).reshape(2, 3), at.zeros(3, 3, dtype=at.float64)
    assert at.tensordot(at.asarray(x), at.asarray(x), ([0], [0]), out=out) is out
    np.testing.assert_array_equal(out.numpy(), np.tensordot(x, x, ([0], [0])))
