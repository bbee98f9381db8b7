"""What has no example is found."""

import doctest
from types import ModuleType

from atled.testing import _examples, without_examples


def test_example_of_the_helper() -> None:
    assert doctest.testmod(_examples).failed == 0


def test_errors_and_forms_in_place_need_no_example() -> None:
    module = ModuleType("sample")
    source = """
from math import sin
class Wrong(Exception): "No example."
class Kind: "No example."
def plain(): "``x``."
def plain_(): "`plain` in place."
def other_(): "`plain` in place."
def _private(): "No example."
"""
    exec(source, module.__dict__)
    module.__dict__["__name__"] = module.__name__
    assert without_examples(module) == ["sample.Kind", "sample.plain", "sample.other_"]
