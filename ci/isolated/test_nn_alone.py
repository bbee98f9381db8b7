"""atled-nn with core alone: inference works, and training says which wheel is missing."""

import numpy as np
import pytest

import atled.core as at
from atled import nn


def test_inference_of_a_convolutional_network() -> None:
    at.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)
    ).eval()
    x = np.random.default_rng(0).standard_normal((2, 1, 8, 8), dtype=np.float32)
    first, second = model(at.asarray(x)).numpy(), model(at.asarray(x[1:])).numpy()
    assert first.shape == (2, 10)
    assert np.isfinite(first).all()
    np.testing.assert_allclose(first[1:], second, rtol=1e-5, atol=1e-6)


def test_states_are_saved_and_loaded(tmp_path: object) -> None:
    model, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    at.save(model.state_dict(), f"{tmp_path}/state.safetensors")
    fresh.load_state_dict(at.load(f"{tmp_path}/state.safetensors"))
    assert at.equal(model.weight, fresh.weight)


def test_backward_names_the_missing_wheel() -> None:
    loss = nn.CrossEntropyLoss()(nn.Linear(3, 2)(at.ones(1, 3)), at.tensor([1]))
    with pytest.raises(AttributeError, match="pip install atled-autograd"):
        loss.backward()


def test_a_process_group_names_the_missing_wheel() -> None:
    x = at.randn(4, 3)
    assert at.equal(nn.SyncBatchNorm(3)(x), nn.BatchNorm1d(3)(x))
    with pytest.raises(AttributeError, match="pip install atled-distributed"):
        nn.SyncBatchNorm(3, process_group="some")(x)
