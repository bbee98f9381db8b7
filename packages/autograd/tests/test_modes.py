"""The switches of a thread, and anomaly mode."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled


def test_context_managers_nest() -> None:
    x = at.ones(2, requires_grad=True)
    with no_grad():
        assert not is_grad_enabled()
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
            with set_grad_enabled(False):
                assert not is_grad_enabled()
            assert is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_an_error_restores_the_mode() -> None:
    try:
        with no_grad():
            raise ValueError
    except ValueError:
        pass
    assert is_grad_enabled()


def test_set_grad_enabled_acts_at_once() -> None:
    set_grad_enabled(False)
    assert not is_grad_enabled()
    set_grad_enabled(True)
    assert is_grad_enabled()


def test_decorators() -> None:
    @no_grad()
    def off() -> bool:
        """Kept."""
        return is_grad_enabled()

    @no_grad
    def bare() -> bool:
        return is_grad_enabled()

    @enable_grad()
    def on() -> bool:
        return is_grad_enabled()

    @set_grad_enabled(False)
    def chosen() -> bool:
        return is_grad_enabled()

    assert (off(), bare(), chosen(), is_grad_enabled()) == (False, False, False, True)
    assert off.__doc__ == "Kept."
    with no_grad():
        assert on()


def test_decorated_generators_leave_the_mode_of_their_callers_alone() -> None:
    @no_grad()
    def numbers() -> Iterator[bool]:
        received = yield is_grad_enabled()
        assert received == "hello"
        yield is_grad_enabled()

    steps = numbers()
    assert next(steps) is False
    assert is_grad_enabled()
    assert steps.send("hello") is False
    assert is_grad_enabled()
    assert list(steps) == []


def test_modes_belong_to_threads() -> None:
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_leaf_made_without_recording_is_recorded_later() -> None:
    with no_grad():
        x = at.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_grad_mode_holds_the_switches() -> None:
    assert autograd.grad_mode.no_grad is autograd.no_grad
    assert autograd.grad_mode.inference_mode is autograd.inference_mode
    assert autograd.grad_mode.set_grad_enabled is autograd.set_grad_enabled


def test_multithreading() -> None:
    x = at.ones(2, requires_grad=True)
    autograd.set_multithreading_enabled(False)
    with autograd.set_multithreading_enabled(True):
        (x * x).sum().backward()
    assert autograd.set_multithreading_enabled(False)(lambda: x.grad.tolist())() == [2, 2]


def test_anomaly_mode_nests() -> None:
    def state() -> tuple[bool, bool]:
        return autograd.is_anomaly_enabled(), autograd.is_anomaly_check_nan_enabled()

    assert state() == (False, False)
    with autograd.detect_anomaly():
        assert state() == (True, True)
        with autograd.detect_anomaly(check_nan=False):
            assert state() == (True, False)
            assert at.tensor(-1.0, requires_grad=True).log().isnan().item()
        with autograd.set_detect_anomaly(False):
            assert state() == (False, False)
        assert state() == (True, True)
        autograd.set_detect_anomaly(False)
    assert state() == (False, False)
    autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(at.AutogradError, match="^sqrt: expected a result without NaN"):
            at.tensor(-1.0, requires_grad=True).sqrt()
    finally:
        autograd.set_detect_anomaly(False)


@pytest.mark.parametrize("mode", [None, 1, object()])
def test_anomaly_mode_is_on_or_off(mode: Any) -> None:
    with pytest.raises(at.ArgumentError, match="set_detect_anomaly: expected mode to be bool"):
        autograd.set_detect_anomaly(mode)
    assert not autograd.is_anomaly_enabled()


def test_anomaly_mode_lets_nan_pass_that_comes_from_outside() -> None:
    x = at.tensor([float("nan"), 1.0], requires_grad=True)
    with autograd.detect_anomaly():
        y = (x * 2).exp() + x
        (x * 3).sum().backward()
    assert y.isnan().tolist() == [True, False] and x.grad.tolist() == [3, 3]


def test_the_names_are_cores_too() -> None:
    assert at.no_grad is no_grad and at.autograd is autograd and at.func.grad and at.utils.checkpoint.checkpoint
    x = at.ones(2, requires_grad=True)

    @at.no_grad()
    def twice() -> at.Tensor:
        return x * 2

    with at.set_grad_enabled(False), at.enable_grad():
        assert at.is_grad_enabled() and not twice().requires_grad
    with at.inference_mode():
        assert at.is_inference_mode_enabled()
