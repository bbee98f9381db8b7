"""atled-core without any other wheel: it works, and what is missing is named."""

import importlib

import pytest

import atled.core as at


def test_arrays_work() -> None:
    x = at.arange(6, dtype=at.float32).reshape(2, 3)
    assert (x @ x.T).tolist() == [[5.0, 14.0], [14.0, 50.0]]


@pytest.mark.parametrize("name", ["autograd", "nn", "optim", "data", "distributed"])
def test_a_missing_sibling_is_a_clean_import_error(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"No module named 'atled.{name}'"):
        importlib.import_module(f"atled.{name}")


def test_core_still_works_after_a_failed_import() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("atled.nn")
    assert at.ones(2).sum().item() == 2.0


@pytest.mark.parametrize("name", ["backward", "grad", "requires_grad_", "register_hook"])
def test_what_autograd_adds_to_tensor_names_the_wheel(name: str) -> None:
    sentence = f"Tensor.{name} comes with atled-autograd, which is not installed: pip install atled-autograd"
    with pytest.raises(AttributeError) as raised:
        getattr(at.ones(2), name)
    assert sentence in str(raised.value)


def test_requires_grad_at_creation_names_the_wheel() -> None:
    with pytest.raises(Exception, match="atled-autograd"):
        at.ones(2, requires_grad=True)


def test_ops_of_a_missing_wheel_name_it() -> None:
    with pytest.raises(at.PluginError, match="pip install atled-nn"):
        at.ops.nn.conv2d(at.ones(1, 1, 3, 3), at.ones(1, 1, 2, 2))
