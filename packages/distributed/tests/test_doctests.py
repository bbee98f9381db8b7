"""The examples in docstrings: each of two ranks runs them, and what starts processes runs here."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import inspect
import os
import pkgutil
import re

from atled import distributed as dist
from atled.testing import without_examples

MODULES = ["atled.distributed", *(info.name for info in pkgutil.walk_packages(dist.__path__, "atled.distributed."))]
STARTERS = ["atled.distributed._launch", "atled.distributed.run"]
# Those of the examples would end the job.
ENDING = {"ProcessGroup.abort", "ProcessGroup.close", "Store.fail"}
HAS_LAYERS = all(importlib.util.find_spec(f"atled.{name}") for name in ("autograd", "nn", "optim"))


def examples(module: str) -> list[doctest.DocTest]:
    return doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(module))


def code(test: doctest.DocTest) -> str:
    return "".join(example.source for example in test.examples)


def run(tests: list[doctest.DocTest]) -> int:
    """Runs the examples, up to the first docstring of which one fails; returns how many there were."""
    runner = doctest.DocTestRunner(verbose=False)
    report: list[str] = []
    for test in tests:
        runner.run(test, out=report.append)
        # The other rank is told, rather than left to wait.
        assert runner.failures == 0, "".join(report)
    return runner.tries


def rank_runs(rank: int, folder: str) -> int:
    os.chdir(folder)
    tests = [test for name in MODULES if name not in STARTERS for test in examples(name)]
    tests = [test for test in tests if HAS_LAYERS or not re.search(r"\b(nn|optim)\.", code(test))]
    joining = [test for test in tests if re.search(r"init_process_group\(|Store\(", code(test))]
    count = run(joining)
    dist.init_process_group("mpi", timeout=20)
    return count + run([test for test in tests if test not in joining])


def test_examples_of_two_ranks(tmp_path) -> None:
    first, second = dist.spawn(rank_runs, (str(tmp_path),), nprocs=2)
    assert first == second > 100


def test_examples_that_start_processes() -> None:
    assert all(run(examples(name)) for name in STARTERS)


def test_every_public_name_has_an_example_that_runs() -> None:
    modules = [importlib.import_module(name) for name in MODULES if "._" not in name]
    assert [missing for module in modules for missing in without_examples(module)] == []
    assert not any("doctest: +SKIP" in code(test) for name in MODULES for test in examples(name))


def test_every_public_method_is_described_and_shown() -> None:
    modules = [importlib.import_module(name) for name in MODULES if "._" not in name]
    classes = {getattr(module, name) for module in modules for name in getattr(module, "__all__", ())}
    missing = []
    for cls in classes:
        if not isinstance(cls, type) or issubclass(cls, Exception):
            continue
        members = {name: value for name, value in vars(cls).items() if is_public_method(name, value)}
        shown = "".join(inspect.getdoc(value) or "" for value in (cls, *members.values()))
        shown = "".join(re.findall(r"^\s*(?:>>>|\.\.\.) .*\n?", shown, re.MULTILINE))
        for name in members:
            is_shown = re.search(rf"\.{name}\b", shown) or f"{cls.__name__}.{name}" in ENDING
            if not (inspect.getdoc(getattr(cls, name)) and is_shown):
                missing.append(f"{cls.__name__}.{name}")
    assert classes and missing == []


def is_public_method(name: str, value: object) -> bool:
    function = getattr(value, "fget", None) or getattr(value, "__func__", value)
    is_method = inspect.isfunction(inspect.unwrap(function)) and not function.__name__.startswith("_")
    return is_method and not name.startswith("_")
