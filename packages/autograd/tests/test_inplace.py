"""In-place changes: recorded where that is right, refused where it is not, and never silently wrong."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import gradcheck, gradgradcheck


def leaf(*values: float) -> at.Tensor:
    return at.tensor(list(values), dtype=at.float64, requires_grad=True)


def line() -> int:
    """The line of the caller's call."""
    return inspect.stack()[1].lineno


def test_a_composite_in_place_saves_what_was_there_before() -> None:
    x = leaf(3, 4, 0.3, 0.4)

    def scaled(x: at.Tensor) -> at.Tensor:
        return (x * 1).reshape(2, 2).renorm_(2, 0, 1.0)

    assert gradcheck(scaled, x)
    assert gradcheck(lambda x: (x * 1).put_(at.tensor([0, 3]), x[1:3] * x[:2]), x)


def test_a_changed_input_names_the_op_the_change_and_the_line() -> None:
    x = leaf(1, 2)
    y = x * 1
    z = y * y
    called = line() - 1
    y.add_(1)
    here = line() - 1
    with pytest.raises(at.AutogradError) as caught:
        z.sum().backward()
    assert str(caught.value) == (
        f"mul: its gradient needs a tensor of shape (2,) as it was at {__file__}:{called}, "
        f"but it was changed in place by add_ at {__file__}:{here} (version 1, expected 0); "
        "change a copy of it (clone()), or use the form that makes a new tensor"
    )


def test_a_changed_output_names_the_op_the_change_and_the_line() -> None:
    x = leaf(1, 2)
    y = x.exp()
    y[0] = 5.0
    here = line() - 1
    with pytest.raises(
        at.AutogradError,
        match=rf"^exp: its gradient needs .* changed in place by setitem_ at {re.escape(__file__)}:{here} ",
    ):
        y.sum().backward()


def test_a_change_through_a_view_or_its_base_is_noticed() -> None:
    for change in (lambda y: y[0].mul_(2), lambda y: y.reshape(1, 2).mul_(2), lambda y: y.detach().mul_(2)):
        y = leaf(1, 2) * 1
        z = y.exp() * y
        with autograd.no_grad():
            change(y)
        with pytest.raises(at.AutogradError, match="changed in place by mul_ at .*test_inplace.py:"):
            z.sum().backward()


def test_a_change_of_what_nobody_needs_is_fine() -> None:
    x = leaf(1, 2)
    y = x * 3
    y.add_(1)
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_a_leaf_refuses() -> None:
    x = leaf(1, 2)
    with pytest.raises(at.AutogradError) as caught:
        x.mul_(2)
    assert str(caught.value) == (
        "mul_: expected a tensor with history, got a leaf that requires grad, "
        "whose old value a gradient would still be about; "
        "change it under no_grad(), or a copy of it: clone()"
    )
    with pytest.raises(at.AutogradError, match="setitem_: expected a tensor with history, got a leaf"):
        x[0] = 1.0
    with pytest.raises(
        at.AutogradError, match="mul_: expected a tensor with history, got a view of a leaf that requires grad"
    ):
        x[0].mul_(2)
    with autograd.no_grad():
        x.mul_(2)
    assert x.tolist() == [2, 4] and x.is_leaf and x.requires_grad


def test_an_integer_cannot_hold_a_gradient() -> None:
    with pytest.raises((at.DTypeError, at.AutogradError)):
        at.arange(2).add_(leaf(1, 2))


def test_a_constant_becomes_a_result() -> None:
    x, y = leaf(2, 3), at.ones(2, dtype=at.float64)
    y.mul_(x)
    assert y.requires_grad and not y.is_leaf
    (y * y).sum().backward()
    assert x.grad.tolist() == [4, 6]


CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "mul_ needs its old value": lambda x, w: (x * 1).mul_(w),
    "mul_ with itself": lambda x, w: (y := x * w).mul_(y),
    "exp_ needs its new value": lambda x, w: (x * w).exp_(),
    "a chain": lambda x, w: (x * 1).add_(w).pow_(3).sin_(),
    "setitem number": lambda x, w: assign(x * w, 0, 7.0),
    "setitem tensor": lambda x, w: assign(x * 1, slice(1, 3), w[:2] * 2),
    "setitem mask": lambda x, w: assign(x * w, at.tensor([True, False, True]), w[1]),
    "setitem index": lambda x, w: assign(x * w, at.tensor([2, 0]), w[:2]),
    "setitem in a constant": lambda x, w: assign(at.zeros(3, dtype=at.float64), slice(0, 2), x[:2] * w[1:]),
    "copy_": lambda x, w: (x * w).copy_(w * w),
    "fill_": lambda x, w: (x * w).fill_(w[0]) * x,
    "zero_": lambda x, w: (x * w).zero_() + x,
    "view changed": lambda x, w: change_view(x * w, lambda y: y[1:].mul_(w[:2])),
    "view of a view changed": lambda x, w: change_view(x * w, lambda y: y[1:].reshape(2, 1)[1].exp_()),
    "view changed twice": lambda x, w: change_view(x * w, lambda y: y[:2].mul_(w[0]).add_(x[1:])),
    "flipped view changed": lambda x, w: change_view(x * w, lambda y: y.reshape(1, 3).T[1:].mul_(w[0])),
    "base changed, view used": lambda x, w: base_changed(x * w, w),
    "view changed, other view used": lambda x, w: other_view(x * w, w),
    "transposed base": lambda x, w: transposed_base(x, w),
}


def assign(y: Any, key: Any, value: Any) -> Any:
    y[key] = value
    return y * y


def change_view(y: Any, change: Callable[[Any], Any]) -> Any:
    view = change(y)
    return y.sin() * view.sum()


def base_changed(y: Any, w: Any) -> Any:
    view = y[1:]
    y.mul_(w)
    return view * view * y[0]


def other_view(y: Any, w: Any) -> Any:
    first, second = y[:2], y[1:]
    first.mul_(w[1])
    second.add_(first)
    return (first * second).sum() + y.exp().sum()


def transposed_base(x: Any, w: Any) -> Any:
    base = x.reshape(3, 1) * w
    turned = base.t()
    turned[1:].mul_(w[0])
    return turned * turned


@pytest.mark.parametrize("name", CHANGES)
def test_recorded_changes(name: str) -> None:
    inputs = (leaf(0.5, 1.5, -0.7), leaf(1.2, 0.4, 0.9))
    assert gradcheck(CHANGES[name], inputs)
    assert gradgradcheck(CHANGES[name], inputs)


def plain_rows(w: Any) -> Any:
    out = at.zeros(3, 3, dtype=at.float64)
    for i, row in enumerate([out[i] for i in range(3)]):
        row += w * (i + 1)
    return out * out


def plain_view_of_a_view(w: Any) -> Any:
    base = at.ones(2, 3, dtype=at.float64)
    turned = base.T
    turned[1:].mul_(w[:2, None])
    return base * turned.T * base[0]


def plain_views_that_came_before(w: Any) -> Any:
    out = at.ones(3, dtype=at.float64)
    first, last = out[:2], out[1:]
    out *= w
    return first * last + first * w[0]


def plain_copies(w: Any) -> Any:
    out = at.empty(2, 3, dtype=at.float64)
    out[0].copy_(w)
    out[1, ::2] = w[1:] ** 2
    out[1, 1:2].copy_(w[:1])
    return out.exp()


PLAIN = {f.__name__: f for f in (plain_rows, plain_view_of_a_view, plain_views_that_came_before, plain_copies)}


@pytest.mark.parametrize("name", PLAIN)
def test_views_of_tensors_without_history(name: str) -> None:
    assert gradcheck(PLAIN[name], (leaf(1.2, 0.4, 0.9),))
    assert gradgradcheck(PLAIN[name], (leaf(1.2, 0.4, 0.9),))


def test_a_view_has_the_history_that_its_base_has_got_since() -> None:
    w, out = leaf(1, 2), at.zeros(2, dtype=at.float64)
    view, aside, bits = out[1:], out.detach(), out.view(at.int64)
    assert not view.requires_grad
    out += w
    assert view.requires_grad and not view.is_leaf and view.grad_fn is not None
    assert not aside.requires_grad and not bits.requires_grad and (aside * 2).is_leaf
    with pytest.raises(at.AutogradError, match="requires grad"):
        out[:1].numpy()
    assert aside.numpy().tolist() == [1, 2]
    aside.data = at.tensor([5.0, 6.0], dtype=at.float64)
    assert aside.tolist() == [5, 6] and out.tolist() == [1, 2]
    with pytest.raises(at.AutogradError, match="a view that requires grad"):
        out[:1].data = at.zeros(1, dtype=at.float64)
    view.sum().backward()
    assert w.grad.tolist() == [0, 1]


def test_a_detached_tensor_has_a_history_of_its_own() -> None:
    x, w = leaf(1, 2), leaf(3, 4)
    y = x * 1
    apart = y.detach()
    apart += w
    assert apart.requires_grad
    y.sum().backward()
    assert w.grad is None and x.grad.tolist() == [1, 1]
    apart.sum().backward()
    assert w.grad.tolist() == [1, 1]


def test_what_cannot_be_followed_is_refused() -> None:
    w = leaf(1, 2)
    left, _ = (w * 1).split(1)
    with pytest.raises(at.AutogradError, match=r"mul_: expected a view made alone, got one of several"):
        left.mul_(2)


def test_a_view_of_several_whose_base_changed() -> None:
    y = leaf(1, 2) * 1
    left, right = y.split(1)
    y.mul_(2)
    with pytest.raises(at.AutogradError, match="take the view again"):
        (left * right).sum().backward()


def test_changes_without_recording_leave_histories_alone() -> None:
    x = leaf(1, 2)
    y = x * 3
    with autograd.no_grad():
        y.fill_(0)
    y.sum().backward()
    assert x.grad.tolist() == [3, 3]


def test_hooks_belong_to_the_value_before_the_change() -> None:
    x = leaf(2)
    y = x * 3
    seen = []
    y.register_hook(lambda g: seen.append(g.item()))
    y.mul_(5)
    y.backward()
    assert seen == [5] and x.grad.item() == 15


VIEWS: dict[str, Callable[[at.Tensor], at.Tensor]] = {
    "t_": lambda y: y.t_() * at.arange(6.0).reshape(3, 2),
    "transpose_ twice": lambda y: y.transpose_(0, 1).mul_(2).transpose_(0, 1) ** 2,
    "unsqueeze_ and squeeze_": lambda y: (y.unsqueeze_(0).squeeze_(0) * y).sum(0),
    "as_strided_": lambda y: y.as_strided_((2, 2), (1, 2), 1) ** 3,
    "a view's": lambda y: y[0].unsqueeze_(0).mul_(3) * y[1],
    "a base's, seen through a view": lambda y: (y[0], y.t_().mul_(2))[0] ** 2,
    "a view's, whose base changes": lambda y: (y[:, 1].unsqueeze_(1), y.mul_(y))[0] ** 2,
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_in_place(name: str) -> None:
    x = at.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dtype=at.float64, requires_grad=True)
    assert gradcheck(lambda x: VIEWS[name](x * 1), (x,))
    assert gradgradcheck(lambda x: VIEWS[name](x * 1), (x,))


def test_views_in_place_of_a_leaf_are_refused() -> None:
    x = leaf(1, 2)
    with pytest.raises(at.AutogradError, match="unsqueeze_: expected a tensor with history, got a leaf"):
        x.unsqueeze_(0)
    with autograd.no_grad():
        assert x.unsqueeze_(0).shape == (1, 2)
    x.sum().backward()
    assert x.grad.shape == (1, 2)


def test_a_saved_tensor_that_a_view_in_place_changed() -> None:
    y = leaf(1, 2) * 1
    z = y * y
    y.unsqueeze_(0)
    with pytest.raises(at.AutogradError, match="changed in place by unsqueeze_ at"):
        z.sum().backward()


def test_data_of_a_leaf() -> None:
    x = leaf(1, 2)
    z = (x * x).sum()
    x.data = at.ones(3, dtype=at.float32)
    assert x.requires_grad and x.is_leaf and x.dtype == at.float32 and not x.data.requires_grad
    with pytest.raises(at.AutogradError, match="mul: its gradient needs a tensor .* as it was"):
        z.backward()
    (x * 2).sum().backward()
    assert x.grad.dtype == at.float32 and x.grad.tolist() == [2, 2, 2]
    with pytest.raises(at.DTypeError, match="data: expected floating-point or complex data"):
        x.data = at.arange(3)
    with pytest.raises(at.AutogradError, match="resize_: expected a tensor that no graph knows of"):
        x.resize_(5)
    with pytest.raises(at.AutogradError, match="data: expected a tensor with memory of its own"):
        (x * 1)[0].data = at.ones(1)
    with pytest.raises(at.AutogradError, match="apply_: expected tensors that do not require grad"):
        x.apply_(abs)


def test_data_is_set_after_a_step_as_optimizers_of_old_do() -> None:
    x = leaf(1, 2)
    (x * x).sum().backward()
    x.data = x.data - 0.5 * x.grad
    assert x.tolist() == [0, 0]
    x.grad = None
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_windows_that_overlap_see_a_change_of_their_base() -> None:
    def windows(x: at.Tensor) -> at.Tensor:
        y = x * 1
        seen = y.unfold(0, 2, 1)
        y.mul_(y)
        return seen * at.tensor([[1.0, 2], [3, 4], [5, 6]], dtype=at.float64)

    assert gradcheck(windows, leaf(1, 2, 3, 4)) and gradgradcheck(windows, leaf(1, 2, 3, 4))


def test_a_change_of_elements_that_overlap_is_refused() -> None:
    x = leaf(1, 2, 3) * 1
    with pytest.raises(at.AutogradError, match=r"mul_: expected a view whose elements each have memory of their own"):
        x.unfold(0, 2, 1).mul_(2)
    x.unfold(0, 2, 2).mul_(2)
    x.view(3, 1).mul_(2)


@pytest.mark.parametrize("part", [at.real, at.imag, lambda z: at.view_as_real(z)[1:], lambda z: at.real(z[1:])])
def test_a_change_of_the_parts_of_complex_numbers(part: Callable[[at.Tensor], at.Tensor]) -> None:
    def changed(z: at.Tensor) -> at.Tensor:
        y = z * z
        seen, before = at.imag(y), part(y)
        before.mul_(before.clone() * 3)
        return y * z + seen.sum() * part(y).sum()

    z = at.tensor([1 + 2j, 3 - 1j], dtype=at.complex128, requires_grad=True)
    assert gradcheck(changed, z) and gradgradcheck(changed, z)


def test_a_change_of_complex_numbers_made_of_parts() -> None:
    def changed(x: at.Tensor) -> at.Tensor:
        y = x.reshape(2, 2) * 2
        z, first = at.view_as_complex(y), y[0]
        z.mul_(z.clone() * (1 + 2j))
        return y.sin().sum() + (first * first).sum() + at.real(z * z).sum()

    x = leaf(0.1, 0.2, 0.3, 0.4)
    assert gradcheck(changed, x) and gradgradcheck(changed, x)


def test_the_parts_of_complex_numbers_see_a_change_of_the_whole() -> None:
    def changed(z: at.Tensor) -> at.Tensor:
        y = z * 1
        seen = at.real(y), at.imag(y), at.view_as_real(y)
        y[0] = y[1].clone() * z[0]
        return seen[0] * 2 + seen[1] * 3 + seen[2].sin().sum()

    z = at.tensor([0.1 + 0.2j, 0.3 - 0.1j], dtype=at.complex128, requires_grad=True)
    assert gradcheck(changed, z) and gradgradcheck(changed, z)


def test_a_part_of_a_complex_leaf_is_part_of_a_leaf() -> None:
    z = at.tensor([1 + 2j], dtype=at.complex128, requires_grad=True)
    with pytest.raises(at.AutogradError, match="got a view of a leaf that requires grad"):
        at.real(z).mul_(2)


def test_a_change_of_a_view_of_bits_is_refused() -> None:
    x = leaf(1, 2) * 1
    with pytest.raises(at.NotImplementedOpError, match="a view as float16 of a float64 tensor cannot be changed"):
        x.view(at.float16).mul_(2)
