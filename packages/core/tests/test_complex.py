"""Complex tensors seen through their parts: views that share memory, attributes that can be written."""

import numpy as np
import pytest

import atled.core as at


def test_parts_are_views() -> None:
    z = at.tensor([1 + 2j, 3 - 4j])
    z.real.mul_(10)
    z.imag.zero_()
    assert z.tolist() == [10 + 0j, 30 + 0j]
    at.view_as_real(z)[1, 1] = 5
    assert z.tolist() == [10 + 0j, 30 + 5j]


def test_parts_can_be_written() -> None:
    z = at.tensor([1 + 2j, 3 - 4j])
    z.real = 7
    z.imag = at.tensor([1.0, 2.0])
    assert z.tolist() == [7 + 1j, 7 + 2j]
    x = at.tensor([1.0, 2.0])
    x.real = 3
    assert x.tolist() == [3.0, 3.0]
    with pytest.raises(at.ArgumentError, match="fill_"):
        z.real = "text"


def test_parts_of_real_tensors() -> None:
    x = at.tensor([1.0, 2.0])
    assert x.real.data_ptr() == x.data_ptr()
    with pytest.raises(at.DTypeError, match="imag: expected complex numbers, got float32"):
        _ = x.imag


def test_views_between_real_and_complex() -> None:
    x = at.arange(12, dtype=at.float64).reshape(3, 2, 2)
    z = at.view_as_complex(x)
    assert z.data_ptr() == x.data_ptr()
    np.testing.assert_array_equal(z.numpy(), x.numpy()[..., 0] + 1j * x.numpy()[..., 1])
    np.testing.assert_array_equal(at.view_as_complex(x[1:, 0]).numpy(), z.numpy()[1:, 0])
    np.testing.assert_array_equal(at.view_as_real(z.T[1:]).numpy(), x.numpy().transpose(1, 0, 2)[1:])


@pytest.mark.parametrize(
    "x",
    [at.zeros(2, 4).T, at.zeros(3, 3)[:, :2], at.zeros(5)[1:3]],
    ids=["apart", "odd rows", "odd offset"],
)
def test_parts_that_do_not_lie_side_by_side(x: at.Tensor) -> None:
    with pytest.raises(at.ShapeError, match="view_as_complex: expected"):
        at.view_as_complex(x)


def test_views_cannot_reach_outside_the_storage() -> None:
    z = at.zeros(3, dtype=at.complex64)
    whole = at.view_as_real(z)
    assert whole.as_strided((6,), (1,)).shape == (6,)
    with pytest.raises(at.BoundsError):
        whole.as_strided((7,), (1,))
