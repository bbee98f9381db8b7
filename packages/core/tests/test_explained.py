"""Errors of functions written in Python name the argument that was wrong; nothing else about the functions changes."""

import copy
import inspect
import pickle
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pytest

import atled.core as at
from atled.core._explain import fits
from atled.core._explained import ExplainsInit, explained
from atled.core._hooks import RemovableHandle
from atled.testing import raw_errors


@explained
def scaled(input: at.Tensor, factor: "int | Sequence[int]" = 2, *, mode: Literal["up", "down"] = "up") -> at.Tensor:
    """Scales."""
    if mode == "down":
        raise at.ShapeError("scaled: goes up only")
    whole = factor if isinstance(factor, int) else sum(factor)
    return (input * whole).reshape(input.shape)


@explained
def outer(values: at.Tensor) -> at.Tensor:
    return scaled(values, 3)


@explained
def applied(function: Callable[..., Any], *args: int, **named: float) -> Any:
    return function(*args, **named)


def test_what_happened_inside_is_there_for_debuggers() -> None:
    with pytest.raises(at.ArgumentError) as info:
        scaled(at.ones(2), "x")
    assert isinstance(info.value.__context__, TypeError) and info.value.__suppress_context__
    assert info.value.__cause__ is None and info.value.__context__.__traceback__ is not None


def test_it_is_the_function_but_for_its_errors() -> None:
    assert scaled(at.ones(2), [1, 2]).tolist() == [3.0, 3.0] and scaled(input=at.ones(1), factor=4).item() == 4
    assert (scaled.__name__, scaled.__module__, scaled.__doc__) == ("scaled", __name__, "Scales.")
    assert list(inspect.signature(scaled).parameters) == ["input", "factor", "mode"]
    assert inspect.isroutine(scaled) and inspect.isfunction(inspect.unwrap(scaled))
    assert pickle.loads(pickle.dumps(scaled)) is scaled and copy.deepcopy(scaled) is scaled
    assert repr(scaled) == repr(inspect.unwrap(scaled))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scaled(None), "scaled: expected input to be Tensor, got None"),
        (
            lambda: scaled([1.0]),
            r"scaled: expected input to be Tensor, got \[1.0\]; make a tensor of it with at.asarray",
        ),
        (lambda: scaled(at.ones(2), "x"), r"scaled: expected factor to be int \| Sequence\[int\], got 'x'"),
        (lambda: scaled(at.ones(2), factor=[1, None]), r"scaled: expected factor .*, got \[1, None\]"),
        (lambda: scaled(at.ones(2), object()), "scaled: expected factor .*, got object"),
        (
            lambda: scaled(),
            r"scaled: missing a required argument: 'input'; it takes \(input, factor=2, \*, mode='up'\)",
        ),
        (lambda: scaled(at.ones(2), colour=1), "scaled: got an unexpected keyword argument 'colour'; it takes"),
        (lambda: scaled(at.ones(2), 1, 2), "scaled: too many positional arguments; it takes"),
        (lambda: outer("x"), "outer: expected values to be Tensor, got 'x'"),
        (lambda: applied(None), "applied: expected function to be a function, got None"),
        (lambda: applied(lambda *_: [].x, 1, "a"), "applied: expected args to be int, got 'a'"),
        (lambda: applied(lambda **_: [].x, b="a"), "applied: expected named to be float, got 'a'"),
    ],
)
def test_the_argument_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(at.ArgumentError, match=f"^{message}") as caught:
        call()
    assert caught.value.__cause__ is None


def test_other_errors_stay() -> None:
    error = KeyError("of the user's own function")

    def fail() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        applied(fail)
    assert caught.value is error and any(entry.name == "fail" for entry in caught.traceback)
    with pytest.raises(at.ShapeError, match="goes up only"):
        scaled(None, mode="down")  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        applied(_interrupt, "a")  # type: ignore[arg-type]


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


def test_values_that_cannot_be_looked_at() -> None:
    with pytest.raises(at.ArgumentError, match="got Unprintable"):
        scaled(Unprintable())  # type: ignore[arg-type]
    with pytest.raises(at.ArgumentError, match=r"got \[<Unprintable instance"):
        scaled([Unprintable()])  # type: ignore[arg-type]


def test_a_hook_is_a_function() -> None:
    hooks: dict[int, Any] = {}
    for hook in ("text", ("text", True), None):
        with pytest.raises(at.ArgumentError, match="^hook: expected a function, got (str|NoneType)"):
            RemovableHandle(hooks, hook)
    RemovableHandle(hooks, (print, True))
    assert list(hooks.values()) == [(print, True)]


def test_values_that_explain_an_error_inside() -> None:
    """Of our own code, not of the user's."""
    with pytest.raises(at.InvalidValueError, match=r"^ratio: expected divisor to be a number other than 0, got 0"):
        ours(ratio)(1, 0)
    with pytest.raises(at.InvalidValueError, match=r"^ratio: expected value to be a finite number .*, got inf"):
        ours(ratio)(float("inf"), 1)
    with pytest.raises(at.ShapeError, match=r"^last: expected another number of dimensions, got input of shape \(\)"):
        ours(last)(at.tensor(1.0))
    with pytest.raises(ZeroDivisionError):
        explained(ratio)(1, 0)


def ratio(value: float, divisor: float) -> float:
    return int(value) / divisor


def last(input: at.Tensor) -> int:
    return input.shape[-1]


def ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one of a module of atled's."""
    moved = types.FunctionType(function.__code__, {"__name__": "atled.sample", "__builtins__": __builtins__, "at": at})
    moved.__annotations__ = function.__annotations__
    return explained(moved)


def test_constructors_of_our_classes() -> None:
    def made(module: str) -> type:
        class Half(ExplainsInit):
            __module__ = module

            def __init__(self, size: int) -> None:
                self.size = size // 2

        return Half

    with pytest.raises(at.ArgumentError, match="^Half: expected size to be int, got 'a'"):
        made("atled.sample")("a")
    with pytest.raises(TypeError, match="unsupported operand"):
        made("sample")("a")
    assert str(inspect.signature(made("atled.sample"))) == "(size: int) -> None"


def test_the_class_of_an_object_may_become_one_with_a_plain_base() -> None:
    class Layer(ExplainsInit):
        pass

    class Sharded:
        pass

    layer = Layer()
    layer.__class__ = type("ShardedLayer", (Sharded, Layer), {})
    assert isinstance(layer, Sharded)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (1, int, True),
        (True, int, True),
        (np.int64(1), int, True),
        (2**70, int, False),
        (1.0, int, False),
        (np.ones(2), int, False),
        (1, float, True),
        (np.float32(1), float, True),
        ("1", float, False),
        (1j, float, False),
        (1j, complex, True),
        (None, bool, True),
        (np.ones(2), bool, False),
        (None, None, True),
        (0, None, False),
        ("up", Literal["up"], True),
        ("a", Literal["up"], False),
        ((1, 2), Sequence[int], True),
        ((1, 2.5), Sequence[int], False),
        (np.ones(2), Sequence[float], True),
        ("ab", Sequence[int], False),
        ("ab", Sequence[str], True),
        (iter([1]), Iterable[int], True),
        (iter([1]), Sequence[int], False),
        ((1, "a"), tuple[int, str], True),
        ((1,), tuple[int, str], False),
        ((1, 2, 3), tuple[int, ...], True),
        ({}, Mapping[str, int], True),
        ([], Mapping[str, int], False),
        (at.ones(1), at.Tensor | None, True),
        ("float32", at.dtype | None, False),
        (object(), Any, True),
    ],
)
def test_what_fits_an_annotation(value: Any, hint: Any, expected: bool) -> None:
    assert fits(value, hint) is expected


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: at.manual_seed("a"),
            r"manual_seed: expected manual_seed\(seed: int\), got arguments of types \(str\)",
        ),
        (lambda: at.set_num_threads(2**70), r"set_num_threads: expected set_num_threads\(num_threads: int\)"),
        (lambda: at.set_flush_denormal(), r"set_flush_denormal: expected set_flush_denormal\(mode: bool\)"),
        (lambda: at.ones(2).apply_(None), "apply_: expected callable to be a function, got None"),
        (lambda: at.Generator().manual_seed(None), "Generator.manual_seed: expected .*NoneType"),
        (lambda: at.Generator(object()), "Generator: expected device to be a device or its name, got object"),
        (lambda: at.device(None), 'device: expected a type such as "cpu" or "cuda:1" and an index, .* got NoneType'),
        (lambda: at.inplace_form("exp"), "inplace_form: expected op to be an op such as at.exp, got str"),
        (lambda: at.has_kernel("exp", "cpu"), "has_kernel: expected op to be an op"),
        (lambda: at.add_kernel("exp", "cpu", len), "add_kernel: expected op to be an op"),
    ],
)
def test_functions_of_the_extension_module(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(at.ArgumentError, match=f"^{message}"):
        call()


def test_no_function_of_the_profiler_raises_raw_errors() -> None:
    import atled.core.profiler

    assert raw_errors(atled.core.profiler) == []
