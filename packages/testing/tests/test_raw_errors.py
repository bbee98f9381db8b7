"""Functions that raise errors of Python's for bad arguments are found."""

import doctest
from enum import Enum
from types import ModuleType

import atled.core as at
from atled.testing import _errors, raw_errors


def test_example_of_the_helper() -> None:
    assert doctest.testmod(_errors).failed == 0


def test_what_is_found() -> None:
    class Kind(Enum):
        ONE = 1

    class Wrong(Exception):
        def __init__(self, code: int) -> None:
            super().__init__(code + 1)

    class Size:
        def __init__(self, size: int, *, scale: float) -> None:
            self.size = size * scale

    def typed(input: at.Tensor) -> at.Tensor:
        return at.exp(input)

    def content(value: object) -> object:
        return value

    def without_arguments(n: int = 0) -> None:
        raise KeyError(n)

    module = ModuleType("sample")
    names = {c.__name__: c for c in (Kind, Wrong, Size, typed, content, without_arguments)}
    vars(module).update(names, __all__=list(names))
    assert [error.partition("(")[0] for error in raw_errors(module)] == ["sample.Size"]
