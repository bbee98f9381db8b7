"""backward and grad: what they answer, and what they refuse."""

import copy
import math

import numpy as np
import pytest

import atled.autograd as autograd
import atled.core as at


def leaf(*values: float, dtype: at.dtype = at.float64) -> at.Tensor:
    return at.tensor(list(values), dtype=dtype, requires_grad=True)


def test_accumulates_into_leaves() -> None:
    x = leaf(1, 2, 3)
    (x * x).sum().backward()
    (x * 2).sum().backward()
    assert x.grad.tolist() == [4, 6, 8]


def test_broadcast_arguments_get_gradients_of_their_own_shape() -> None:
    row, column, number = (
        leaf(1, 2, 3),
        at.ones(2, 1, dtype=at.float64, requires_grad=True),
        at.tensor(2.0, requires_grad=True),
    )
    (row * column * number).sum().backward()
    assert row.grad.tolist() == [4, 4, 4]
    assert column.grad.tolist() == [[12], [12]]
    assert number.grad.dtype is at.float32 and number.grad.item() == 12


def test_promoted_arguments_get_gradients_of_their_own_dtype() -> None:
    low, high = at.ones(2, requires_grad=True), at.tensor([3, 4], dtype=at.complex128, requires_grad=True)
    out = low * high
    out.backward(at.tensor([1 + 2j, 1j]))
    assert low.grad.dtype is at.float32
    assert low.grad.tolist() == [3, 0]
    assert high.grad.tolist() == [1 + 2j, 1j]


def test_float8_on_the_way_rounds_the_gradient_too() -> None:
    x = leaf(1, 2, 3)
    stored = x.to(at.float8_e4m3fn)
    (stored.to(at.float64) * at.tensor([1.0, 0.3, 1000.0], dtype=at.float64)).sum().backward()
    assert stored.requires_grad and x.grad.dtype is at.float64 and x.grad.tolist() == [1, 0.3125, 448]
    product = at.scaled_mm(stored.reshape(1, 3), stored.detach().reshape(3, 1), at.tensor(1.0), at.tensor(1.0))
    with pytest.raises(
        at.NotImplementedOpError, match="scaled_mm: its gradient is not implemented: gradients are no float8"
    ):
        product.float().sum().backward()


def test_a_leaf_never_shares_memory_with_a_gradient_that_the_user_holds() -> None:
    x, seed = leaf(1, 2), at.ones(2, dtype=at.float64)
    (x + 0).backward(seed)
    x.grad.mul_(5)
    assert seed.tolist() == [1, 1]
    y, z = leaf(1, 2), leaf(3, 4)
    (y + z).backward(seed)
    y.grad.mul_(5)
    assert z.grad.tolist() == [1, 1]


def test_a_gradient_of_expanded_memory_is_made_whole() -> None:
    x = at.zeros(3, 4, requires_grad=True)
    x.sum().backward()
    assert x.grad.is_contiguous()
    x.grad[0, 0] = 7
    assert x.grad.sum().item() == 18


def test_an_expanded_gradient_is_met_by_another() -> None:
    x = at.tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    # The gradient of the mean arrives first, and is one number for a whole column.
    autograd.backward([x.var(0), x.mean(0)], [at.ones(2), at.ones(2)])
    assert x.grad is not None and x.grad.tolist() == [[-1.5, -2.5], [2.5, 3.5]]


def test_the_same_tensor_twice() -> None:
    x = leaf(3)
    (x * x + x).backward()
    assert x.grad.tolist() == [7]


def test_branches_meet_once() -> None:
    x = leaf(2)
    y = x * 3
    seen: list[float] = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * y + y * 5).backward()
    assert seen == [17]
    assert x.grad.tolist() == [51]


def test_grad_changes_no_leaf() -> None:
    x, y = leaf(2), leaf(5)
    first, second = autograd.grad(x * y, (x, y))
    assert (first.item(), second.item()) == (5, 2)
    assert x.grad is None and y.grad is None


def test_grad_takes_pytorchs_arguments_in_place() -> None:
    x, y = leaf(2), leaf(5)
    with pytest.raises(at.AutogradError, match="no output depends on input 1"):
        autograd.grad(x * x, (x, y), None, True, True, True)
    first, second = autograd.grad(x * x, (x, y), None, True, False, True, True, False, True)
    assert (first.item(), second.item()) == (4, 0)
    with pytest.raises(at.InvalidValueError, match="only_inputs to be True, got False; backward"):
        autograd.grad(x * x, x, only_inputs=False)


def test_deepcopy_keeps_a_leafs_gradient() -> None:
    x = leaf(2)
    (x * x).backward()
    copied = copy.deepcopy(x)
    assert copied.requires_grad and copied.grad.item() == 4 and copied.grad is not x.grad
    assert copy.deepcopy(leaf(2)).grad is None and copy.deepcopy(x * 2).is_leaf


def test_numpy_by_force() -> None:
    x = leaf(2)
    assert x.numpy(force=True) == [2] and (x * 2).numpy(force=True) == [4]
    with pytest.raises(at.AutogradError):
        x.numpy(force=False)


def test_a_number_that_requires_grad_is_no_number() -> None:
    scale = at.tensor(2.0, requires_grad=True)
    with pytest.raises(at.ArgumentError, match="expected alpha to be Scalar, got Tensor"):
        at.ones(2).add(at.ones(2), alpha=scale)


def test_no_gradient_goes_through_a_normal_draw() -> None:
    mean, std = leaf(1, 2), leaf(3, 4)
    drawn = at.normal(mean, std)
    (-0.5 * ((drawn - mean) / std) ** 2).sum().backward()
    z = (drawn - mean).numpy(force=True) / std.numpy(force=True)
    np.testing.assert_allclose(mean.grad.numpy(), z / std.numpy(force=True))


def test_grad_of_a_result_stops_there() -> None:
    x = leaf(2)
    y = x * x
    z = y * 3
    (g,) = autograd.grad(z, y)
    assert g.item() == 3


def test_grad_of_an_output_itself() -> None:
    x = leaf(2)
    y = x * x
    gy, gx = autograd.grad(y, (y, x))
    assert (gy.item(), gx.item()) == (1, 4)


def test_unused_inputs() -> None:
    x, y = leaf(2), leaf(5)
    with pytest.raises(
        at.AutogradError,
        match=r"grad: no output depends on input 1, a leaf since .* of shape \(1,\); pass allow_unused",
    ):
        autograd.grad(x * 2, (x, y))
    assert autograd.grad(x * 2, (x, y), allow_unused=True)[1] is None
    zero = autograd.grad(x * 2, (x, y), materialize_grads=True)[1]
    assert zero is not None and zero.tolist() == [0]


def test_inputs_of_backward_limit_accumulation() -> None:
    x, y = leaf(2), leaf(5)
    (x * y).backward(inputs=[y])
    assert x.grad is None
    assert y.grad.item() == 2
    x.grad = y.grad = None
    middle = x * y
    (middle * middle).backward(inputs=[middle, x], retain_graph=True)
    assert middle.grad.item() == 20 and x.grad.item() == 100 and y.grad is None
    (middle * 3).backward(inputs=middle)
    assert middle.grad.item() == 23


def test_a_batch_of_seeds() -> None:
    x = leaf(1, 2, 3)
    y = x * x
    seeds = at.eye(3, dtype=at.float64)
    (jacobian,) = autograd.grad(y, x, seeds, is_grads_batched=True, create_graph=True)
    assert jacobian.tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]
    (again,) = autograd.grad(jacobian.sum(), x)
    assert again.tolist() == [2, 2, 2]
    unused = leaf(1)
    first, none = autograd.grad([y, y * 2], [x, unused], [seeds, seeds], is_grads_batched=True, allow_unused=True)
    assert first is not None and first.shape == (3, 3) and none is None
    for wrong in (at.tensor(1.0, dtype=at.float64), at.ones(0, 3, dtype=at.float64)):
        with pytest.raises(at.ShapeError, match="grad: expected grad_outputs with a first dimension in common"):
            autograd.grad(x * x, x, wrong, is_grads_batched=True)


def test_a_leaf_that_does_not_lie_in_rows_gets_a_gradient_that_lies_as_it_does() -> None:
    x = at.ones(2, 3).t().requires_grad_()
    assert x.stride() == (1, 3)
    (x * at.arange(6.0).reshape(3, 2)).sum().backward()
    assert x.grad.stride() == (1, 3) and x.grad.tolist() == [[0, 1], [2, 3], [4, 5]]
    x.grad = None
    with autograd.enforce_grad_layout_policy(False):
        (x * at.arange(6.0).reshape(3, 2)).sum().backward()
    assert x.grad.tolist() == [[0, 1], [2, 3], [4, 5]]


def test_several_outputs_and_seeds() -> None:
    x = leaf(1, 2)
    (g,) = autograd.grad(
        [x * 2, x * 3], [x], [at.ones(2, dtype=at.float64), at.tensor([10.0, 100.0], dtype=at.float64)]
    )
    assert g.tolist() == [32, 302]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
def test_higher_orders(order: int) -> None:
    x = leaf(0.7)
    y = at.sin(x) * x.exp()
    for _ in range(order):
        (y,) = autograd.grad(y, x, create_graph=True)
    # sin(x) e^x = Im e^((1+i) x)
    expected = ((1 + 1j) ** order * np.exp((1 + 1j) * 0.7)).imag
    assert math.isclose(y.item(), expected, rel_tol=1e-12)


def test_create_graph_accumulates_a_differentiable_gradient() -> None:
    x = leaf(3)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    (second,) = autograd.grad(x.grad, x)
    assert second.item() == 18


def test_backward_twice() -> None:
    x = leaf(3)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12
    with pytest.raises(
        at.AutogradError, match="mul: its saved tensors were freed by an earlier backward .*; pass retain_graph=True"
    ):
        y.backward()


def test_a_graph_that_saved_nothing_may_run_again() -> None:
    x = leaf(3)
    y = x + 1
    y.backward()
    y.backward()
    assert x.grad.item() == 2


def test_refusals() -> None:
    x = leaf(1, 2)
    with pytest.raises(
        at.AutogradError, match=r"expected a tensor with one element, got shape \(2,\); reduce it, or give its gradient"
    ):
        (x * 2).backward()
    with pytest.raises(at.AutogradError, match="expected tensor 0 to require grad"):
        at.ones(1).backward()
    with pytest.raises(at.ShapeError, match=r"expected gradient 0 of shape \(2,\), got \(3,\)"):
        (x * 2).backward(at.ones(3))
    with pytest.raises(at.AutogradError, match="expected a real tensor, got complex128; give its gradient"):
        (x[0] * 1j).backward()
    with pytest.raises(at.AutogradError, match="expected input 0 to require grad"):
        autograd.grad(x.sum(), at.ones(2))
    with pytest.raises(at.InvalidValueError, match="expected as many gradients as tensors, 1, got 2"):
        autograd.backward([x.sum()], [None, None])


def test_what_can_require_grad() -> None:
    with pytest.raises(at.AutogradError, match="expected a floating-point or complex tensor, got int64"):
        at.arange(3).requires_grad_()
    y = leaf(1) * 2
    with pytest.raises(at.AutogradError, match="expected a leaf, got the result of mul; use detach"):
        y.requires_grad_(False)
    assert y.requires_grad_() is y


def test_out_is_refused_while_recording() -> None:
    x, out = leaf(1, 2), at.zeros(2, dtype=at.float64)
    with pytest.raises(at.AutogradError, match=r"mul: out= cannot be recorded"):
        at.mul(x, 2, out=out)
    with autograd.no_grad():
        at.mul(x, 2, out=out)
    assert out.tolist() == [2, 4]


def test_integer_results_are_not_recorded() -> None:
    x = leaf(3, 1, 2)
    values, indices = x.sort()
    assert values.requires_grad and not indices.requires_grad
    assert not (x > 1).requires_grad
    assert not x.to(at.int64).requires_grad


def test_an_op_without_a_rule_names_itself_and_the_mend() -> None:
    from atled.autograd import _rule

    at.ones(2, 2, requires_grad=True).tril()  # core's rules are there from the first use on
    known = _rule._rules.pop("core::tril")
    autograd._tape.forget("core::tril")
    try:
        with pytest.raises(
            at.AutogradError,
            match=r'no gradient rule is registered for core::tril; register one: atled.autograd.rule\("core::tril"',
        ):
            at.ones(2, 2, requires_grad=True).tril()
    finally:
        _rule._rules["core::tril"] = known
        autograd._tape.forget("core::tril")
    at.ones(2, 2, requires_grad=True).tril().sum().backward()
