"""no_grad, enable_grad and set_grad_enabled."""

import threading
from collections.abc import Iterator

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
