"""The report on what is missing reads surfaces and reasons, and sees what is there."""

import types

import coverage
from workspace import ROOT


def test_sections_hold_as_many_names_as_they_say() -> None:
    for path in (ROOT / "ci" / "surface").glob("*.txt"):
        text = path.read_text()
        for section, names in coverage.sections(text).items():
            assert f"[{section}] {len(set(names))}\n" in text, f"{path.name}: {section} has {len(set(names))} names"


def test_reasons_are_the_code_in_first_columns() -> None:
    text = "`no`\n| name | why |\n|---|---|\n| `a`, `b.c` | since `d` |\n"
    assert coverage.explained(text) == {"a", "b.c"}


def test_what_is_there() -> None:
    class Owner:
        @property
        def odd(self) -> int:
            raise ValueError("of no use here")

    assert coverage.has(types.SimpleNamespace(name=None), "name")
    assert coverage.has(Owner(), "odd")
    assert not coverage.has(Owner(), "even")
