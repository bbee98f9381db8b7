"""The scale of a loss: what it does to gradients, when a step is left out, and how the scale moves."""

from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import optim

pytest.importorskip("atled.autograd")  # which gives tensors their .grad


def parameter(gradient: Any, dtype: at.dtype = at.float32) -> at.Tensor:
    grad = at.tensor(gradient, dtype=dtype)
    param = at.zeros_like(grad)
    param.grad = grad
    return param


@pytest.mark.parametrize("dtype", [at.float32, at.float64, at.bfloat16], ids=lambda dtype: dtype.name)
def test_gradients_are_unscaled_in_any_layout(dtype: at.dtype) -> None:
    values = np.arange(1.0, 13.0).reshape(3, 4)
    whole = at.tensor(values, dtype=dtype)
    for layout in (whole, whole.t(), whole[:, ::2], whole[1:2, 1], whole[:0]):
        grad = layout.clone() if layout is whole else layout
        expected = grad.to(at.float64).numpy() / 8
        found = at.ops.optim.unscale_([grad], 1 / 8)
        assert found.item() == 0
        np.testing.assert_array_equal(grad.to(at.float64).numpy(), expected)
        whole.copy_(at.tensor(values, dtype=dtype))


def test_a_training_step() -> None:
    param = parameter([8.0, -16.0])
    scaler, sgd = at.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2), optim.SGD([param], lr=1.0)
    for step in (1, 2):
        assert scaler.scale(at.tensor(2.0)).item() == 16.0
        param.grad = at.tensor([8.0, -16.0])
        scaler.unscale_(sgd)
        assert param.grad.tolist() == [1.0, -2.0]
        scaler.step(sgd)
        scaler.update()
        assert param.tolist() == [-step, 2.0 * step]
    assert scaler.get_scale() == 16.0  # it grew


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_a_step_with_a_bad_gradient_is_left_out(bad: float) -> None:
    good, wrong = parameter(np.ones(40_000)), parameter([1.0, bad])
    scaler = optim.GradScaler("cpu", init_scale=8.0, growth_interval=1)
    both, alone = optim.SGD([good, wrong], lr=1.0), optim.SGD([parameter([8.0])], lr=1.0)
    scaler.step(both)
    scaler.step(alone)
    scaler.update()
    assert good.sum().item() == 0 and alone.param_groups[0]["params"][0].item() == -1
    assert scaler.get_scale() == 4.0
    assert scaler.state_dict()["_growth_tracker"] == 0


def test_the_scale_neither_vanishes_nor_overflows() -> None:
    for factor, scale in ((0.0, 1e-38), (1.0, 3e38)):
        scaler = optim.GradScaler("cpu", init_scale=scale, growth_interval=1)
        for _ in range(9):
            scaler.step(optim.SGD([parameter([1.0 if factor else np.inf])], lr=1.0))
            scaler.update()
        assert 0 < scaler.get_scale() < np.inf


def test_scales_of_several_outputs() -> None:
    scaler = optim.GradScaler("cpu", init_scale=4.0)
    one, (two, three) = scaler.scale((at.tensor(1.0), [at.tensor(2.0), at.tensor(40_000.0, dtype=at.float16)]))
    assert (one.item(), two.item(), three.item()) == (4.0, 8.0, 160_000.0)
    with pytest.raises(at.ArgumentError, match="expected a Tensor or a list of Tensors, got str"):
        scaler.scale("loss")


def test_one_that_is_off_changes_nothing() -> None:
    param = parameter([1.0])
    scaler, sgd = optim.GradScaler(enabled=False), optim.SGD([param], lr=1.0)
    assert scaler.scale(2.5) == 2.5 and scaler.get_scale() == 1.0 and not scaler.is_enabled()
    scaler.unscale_(sgd)
    scaler.step(sgd)
    scaler.update()
    assert param.item() == -1 and scaler.state_dict() == {}


def test_the_state_goes_into_a_file_and_back() -> None:
    scaler = optim.GradScaler("cpu", init_scale=4.0, growth_factor=3.0, backoff_factor=0.25, growth_interval=7)
    scaler.step(optim.SGD([parameter([1.0])], lr=1.0))
    scaler.update()
    other = optim.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.state_dict() == scaler.state_dict()
    assert (other.get_scale(), other.get_growth_factor(), other.get_backoff_factor()) == (4.0, 3.0, 0.25)
    assert other.get_growth_interval() == 7 and other.state_dict()["_growth_tracker"] == 1
    with pytest.raises(at.InvalidValueError, match="scaler that was enabled"):
        other.load_state_dict({})
    with pytest.raises(at.InvalidValueError, match="GradScaler with the keys 'scale', .* got 'scale'"):
        other.load_state_dict({"scale": 2.0})
    with pytest.raises(at.ArgumentError, match="state of GradScaler, a mapping, got list"):
        other.load_state_dict([2.0])
    other.update(new_scale=2.0)
    assert other.get_scale() == 2.0


def test_calls_in_another_order_are_refused() -> None:
    scaler, sgd = optim.GradScaler("cpu"), optim.SGD([parameter([1.0])], lr=1.0)
    with pytest.raises(at.OperationError, match="expected a call of step"):
        scaler.update()
    scaler.unscale_(sgd)
    with pytest.raises(at.OperationError, match="expected one call between two of update"):
        scaler.unscale_(sgd)
    scaler.step(sgd)
    with pytest.raises(at.OperationError, match="expected one call between two of update"):
        scaler.step(sgd)
    scaler.update()
    with pytest.raises(at.OperationError, match="expected no closure"):
        scaler.step(sgd, closure=lambda: None)
    with pytest.raises(at.OperationError, match="expected parameters with gradients"):
        scaler.step(optim.SGD([at.ones(1)], lr=1.0))
    with pytest.raises(at.DTypeError, match="expected gradients of float32, got float16"):
        scaler.step(optim.SGD([parameter([1.0], at.float16)], lr=1.0))
    with pytest.raises(at.InvalidValueError, match="GradScaler: expected growth_factor above 1"):
        optim.GradScaler(growth_factor=1.0)
    with pytest.raises(at.InvalidValueError, match="growth_interval of at least 1"):
        scaler.set_growth_interval(0)
    for scale in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(at.InvalidValueError, match="a scale above 0 and finite"):
            scaler.update(new_scale=scale)
    with pytest.raises(at.InvalidValueError, match="backoff_factor in"):
        scaler.set_backoff_factor(1.0)


def test_the_older_name_is_for_cuda() -> None:
    scaler = at.cuda.amp.GradScaler(init_scale=4.0)
    assert isinstance(scaler, optim.GradScaler) and scaler.get_scale() == 4.0
