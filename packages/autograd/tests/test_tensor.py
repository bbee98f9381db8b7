"""What autograd puts on Tensor."""

import pytest

import atled.autograd as autograd
import atled.core as at


def test_leaves_and_results() -> None:
    x = at.ones(2, requires_grad=True)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None and x.requires_grad
    assert not y.is_leaf and y.requires_grad
    assert at.ones(2).is_leaf and not at.ones(2).requires_grad
    made = at.signal.windows.gaussian(4, requires_grad=True)  # computed, and a leaf all the same
    assert made.is_leaf and made.requires_grad and at.signal.windows.hann(4, requires_grad=True).requires_grad


def test_grad_fn_shows_the_graph() -> None:
    x, y = at.ones(2, requires_grad=True), at.ones(2)
    z = (x * y).log_softmax(0) if hasattr(x, "log_softmax") else (x * y).exp()
    assert z.grad_fn is z.grad_fn
    product = z.grad_fn.next_functions[0][0]
    while product.name() != "MulBackward":
        product = product.next_functions[0][0]
    (left, output), (right, _) = product.next_functions
    assert left.name() == "AccumulateGrad" and left.variable is x and output == 0
    assert right is None
    assert "MulBackward" in repr(product)
    assert product.sequence_number > left.sequence_number


def test_output_numbers() -> None:
    values, _ = at.tensor([2.0, 1.0], requires_grad=True).sort()
    assert values.output_nr == 0
    pieces = at.ones(4, requires_grad=True).split(2)
    assert [piece.output_nr for piece in pieces] == [0, 1]
    assert pieces[0].grad_fn is pieces[1].grad_fn


def test_detach_shares_memory_and_forgets() -> None:
    x = at.ones(2, requires_grad=True)
    y = (x * 2).detach()
    assert not y.requires_grad and y.is_leaf
    with autograd.no_grad():
        base = at.zeros(2)
        base.detach().fill_(3)
    assert base.tolist() == [3, 3]


def test_detach_in_place() -> None:
    x = at.ones(2, requires_grad=True)
    y = x * 2
    assert y.detach_() is y
    assert y.is_leaf and not y.requires_grad
    with pytest.raises(at.AutogradError, match=r"detach_: expected a tensor that is no view"):
        (x * 2)[0].detach_()


def test_grad_can_be_set() -> None:
    x = at.ones(2, requires_grad=True)
    x.grad = at.tensor([1.0, 2.0])
    (x * 3).sum().backward()
    assert x.grad.tolist() == [4, 5]
    x.grad = None
    assert x.grad is None
    x.grad = at.zeros(2)
    del x.grad
    assert x.grad is None


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda x: at.ones(3), at.ShapeError, r"grad: expected shape \(2,\), got \(3,\)"),
        (lambda x: at.ones(2, dtype=at.float64), at.DTypeError, "grad: expected float32, got float64"),
        (lambda x: 1.0, at.ArgumentError, "grad: expected a Tensor or None, got float"),
        (lambda x: x, at.InvalidValueError, "grad: expected a tensor other than the one it belongs to"),
    ],
)
def test_grad_is_checked(value: object, error: type[Exception], message: str) -> None:
    x = at.ones(2, requires_grad=True)
    with pytest.raises(error, match=message):
        x.grad = value(x)  # type: ignore[operator]


def test_retain_grad() -> None:
    x = at.ones(2, requires_grad=True)
    y = x * 2
    assert not y.retains_grad
    y.retain_grad()
    assert y.retains_grad
    (y * y).sum().backward()
    assert y.grad.tolist() == [4, 4]
    with pytest.raises(at.AutogradError, match="retain_grad: expected a tensor that requires grad"):
        at.ones(1).retain_grad()


def test_grad_of_a_result_warns() -> None:
    y = at.ones(2, requires_grad=True) * 2
    with pytest.warns(UserWarning, match=r"call retain_grad\(\) on it before backward"):
        assert y.grad is None


def test_views_of_a_recorded_tensor() -> None:
    x = at.arange(6, dtype=at.float64).requires_grad_()
    y = (x * 1).reshape(2, 3).T[1:, 0]
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0, 0, 0]
