"""The examples of device "cuda" print what they say."""

import doctest
import importlib

import pytest

import atled.core as at

MODULES = ("", "._devices", "._streams", ".graphs", ".memory", ".nvtx", ".random", ".snapshot")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str, gpu: str) -> None:
    module = importlib.import_module(f"atled.core.cuda{name}")
    found = doctest.testmod(module, extraglobs={"at": at})
    assert found.attempted > 0 and found.failed == 0
