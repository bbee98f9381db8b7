"""Averaged models, against NumPy's means."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import optim
from atled.core import Tensor
from atled.optim import swa_utils


class Model:
    """What is asked of a model, and no more."""

    def __init__(self, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.weight = at.tensor(rng.standard_normal((2, 3)))
        self.bias = at.tensor(rng.standard_normal(2).astype(np.float32))
        self.count = at.tensor(0)
        self.training = True

    def parameters(self) -> Iterator[Tensor]:
        return iter([self.weight, self.bias])

    def buffers(self) -> Iterator[Tensor]:
        return iter([self.count])

    def state_dict(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "bias": self.bias, "count": self.count}

    def load_state_dict(self, state: dict[str, Tensor], strict: bool = True) -> None:
        for key, value in state.items():
            getattr(self, key).copy_(value)

    def train(self, mode: bool = True) -> None:
        self.training = mode

    def __call__(self, x: Tensor) -> Tensor:
        y: Tensor = self.weight @ x
        return y


AVERAGES: list[tuple[dict[str, Any], float | None]] = [
    ({}, None),
    ({"avg_fn": swa_utils.get_swa_avg_fn()}, None),
    ({"multi_avg_fn": swa_utils.get_swa_multi_avg_fn()}, None),
    ({"avg_fn": swa_utils.get_ema_avg_fn(0.75)}, 0.75),
    ({"multi_avg_fn": swa_utils.get_ema_multi_avg_fn(0.75)}, 0.75),
]


@pytest.mark.parametrize(("functions", "decay"), AVERAGES)
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages(functions: dict[str, Any], decay: float | None, use_buffers: bool) -> None:
    model = Model()
    average = swa_utils.AveragedModel(model, **functions, use_buffers=use_buffers)
    weights, biases, expected = [], [], []
    rng = np.random.default_rng(1)
    for i in range(5):
        model.weight.add_(at.tensor(rng.standard_normal((2, 3))))
        model.bias.add_(0.5)
        model.count.fill_(10 * i)
        average.update_parameters(model)
        weights.append(model.weight.numpy().copy())
        biases.append(model.bias.numpy().copy())
        for found, all_ in ((average.module.weight, weights), (average.module.bias, biases)):
            if decay is None:
                expected = np.mean(all_, axis=0)
            else:
                expected = all_[0]
                for each in all_[1:]:
                    expected = decay * expected + (1 - decay) * each
            np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6 if found.dtype is at.float32 else 1e-13)
    assert int(average.n_averaged) == 5
    if not use_buffers:
        assert int(average.module.count) == 40
    elif decay is None:
        assert int(average.module.count) == 20  # the mean of 0, 10, 20, 30 and 40
    assert not np.shares_memory(model.weight.numpy(), average.module.weight.numpy())
    assert average(at.ones(3, dtype=at.float64)).shape == (2,)


def test_the_state_resumes() -> None:
    model, others = Model(), [Model(seed) for seed in (1, 2, 3)]
    whole = swa_utils.AveragedModel(model)
    for other in others[:2]:
        whole.update_parameters(other)
    state = whole.state_dict()
    assert list(state) == ["n_averaged", "module.weight", "module.bias", "module.count"]
    resumed = swa_utils.AveragedModel(Model(9))
    resumed.load_state_dict(state)
    for average in (whole, resumed):
        average.update_parameters(others[2])
    assert resumed.module.weight.tolist() == whole.module.weight.tolist()
    assert int(resumed.n_averaged) == 3


def test_a_state_without_a_count() -> None:
    average = swa_utils.AveragedModel(Model())
    average.update_parameters(Model())
    state = {key: value for key, value in average.state_dict().items() if key != "n_averaged"}
    with pytest.raises(at.InvalidValueError, match="expected n_averaged in the state, got none"):
        average.load_state_dict(state)
    with pytest.raises(at.ArgumentError, match="the state of AveragedModel, a mapping, got NoneType"):
        average.load_state_dict(None)
    average.load_state_dict(state, strict=False)
    assert int(average.n_averaged) == 1


def test_training_and_its_end() -> None:
    average = swa_utils.AveragedModel(Model())
    assert average.eval() is average and not average.module.training
    assert average.train().module.training
    assert [p.shape for p in average.parameters()] == [(2, 3), (2,)]


class _BatchNorm:
    """As layers that normalise by batches are found: by their class's name."""

    def __init__(self) -> None:
        self.momentum: float | None = 0.1
        self.resets = 0

    def reset_running_stats(self) -> None:
        self.resets += 1


class Normalised(Model):
    """One that keeps what it is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = _BatchNorm()
        self.seen: list[tuple[bool, float | None, list[float]]] = []

    def modules(self) -> Iterator[Any]:
        return iter([self, self.layer])

    def __call__(self, x: Tensor) -> Tensor:
        self.seen.append((self.training, self.layer.momentum, x.tolist()))
        return x


@pytest.mark.parametrize("averaged", [False, True])
def test_batch_normalisation_is_renewed(averaged: bool) -> None:
    model: Any = Normalised()
    model.train(False)
    outer = swa_utils.AveragedModel(model) if averaged else model
    model = outer.module if averaged else model
    batches = [at.tensor([1.0]), (at.tensor([2.0]), at.tensor([9.0])), [at.tensor([3.0])]]
    swa_utils.update_bn(batches, outer, device="cpu")
    assert model.seen == [(True, None, [1.0]), (True, None, [2.0]), (True, None, [3.0])]
    assert (model.training, model.layer.momentum, model.layer.resets) == (False, 0.1, 1)


def test_batch_normalisation_after_a_loader_that_fails() -> None:
    model = Normalised()
    model.train(False)

    def batches() -> Iterator[Tensor]:
        yield at.ones(1)
        raise OSError

    with pytest.raises(OSError):
        swa_utils.update_bn(batches(), model)
    assert (model.training, model.layer.momentum) == (False, 0.1)


def test_a_model_without_batch_normalisation_is_not_called() -> None:
    class Plain(Model):
        def modules(self) -> Iterator[Any]:
            return iter([self])

        def __call__(self, x: Tensor) -> Tensor:
            raise AssertionError

    swa_utils.update_bn([at.ones(3)], Plain())


def test_real_layers() -> None:
    nn = pytest.importorskip("atled.nn")
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    average = swa_utils.AveragedModel(model)
    average.update_parameters(model)
    assert "module.1.running_mean" in average.state_dict()
    rng = np.random.default_rng(0)
    batches = [at.tensor(rng.standard_normal((8, 3)).astype(np.float32)) for _ in range(3)]
    swa_utils.update_bn(batches, average)
    inner = [average.module[0](batch).detach().numpy() for batch in batches]
    np.testing.assert_allclose(
        average.module[1].running_mean.numpy(), np.mean([x.mean(axis=0) for x in inner], axis=0), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 8])
@pytest.mark.filterwarnings("ignore:.*before any optimizer.step:UserWarning")
def test_a_schedule_to_a_constant_rate(strategy: Any, epochs: int) -> None:
    def fresh() -> tuple[optim.SGD, swa_utils.SWALR]:
        optimizer = optim.SGD([{"params": [at.zeros(1)], "lr": lr} for lr in (0.4, 0.05)], lr=1.0)
        return optimizer, swa_utils.SWALR(optimizer, [0.1, 0.2], epochs, strategy)  # type: ignore[arg-type]

    optimizer, schedule = fresh()
    for epoch in range(20):
        done = min(1.0, epoch / epochs) if epochs else 1.0
        share = done if strategy == "linear" else (1 - np.cos(np.pi * done)) / 2
        expected = [0.4 + (0.1 - 0.4) * share, 0.05 + (0.2 - 0.05) * share]
        np.testing.assert_allclose(schedule.get_last_lr(), expected, rtol=1e-12)
        if epoch == 3:
            states = optimizer.state_dict(), schedule.state_dict()
            optimizer, schedule = fresh()
            optimizer.load_state_dict(states[0])
            schedule.load_state_dict(states[1])
        schedule.step()


def test_errors() -> None:
    model, optimizer = Model(), optim.SGD([at.zeros(1)], lr=0.1)
    for make, message in [
        (lambda: swa_utils.get_ema_avg_fn(1.5), r"expected decay in \[0, 1\], got 1.5"),
        (lambda: swa_utils.get_ema_multi_avg_fn(-0.5), r"expected decay in \[0, 1\], got -0.5"),
        (
            lambda: swa_utils.AveragedModel(
                model, avg_fn=swa_utils.get_swa_avg_fn(), multi_avg_fn=AVERAGES[2][0]["multi_avg_fn"]
            ),
            "expected avg_fn or multi_avg_fn, got both",
        ),
        (lambda: swa_utils.SWALR(optimizer, [0.1, 0.2]), r"expected one swa_lr per parameter group \(1\), got 2"),
        (lambda: swa_utils.SWALR(optimizer, 0.1, anneal_epochs=-1), "expected an integer anneal_epochs >= 0, got -1"),
        (lambda: swa_utils.SWALR(optimizer, 0.1, anneal_strategy="step"), "'cos' or 'linear', got 'step'"),
    ]:
        with pytest.raises(at.InvalidValueError, match=message):
            make()
    other = Model()
    other.weight = at.zeros(3, 3)
    with pytest.raises(at.InvalidValueError, match="expected a model with the parameters and buffers of the one"):
        swa_utils.AveragedModel(model).update_parameters(other)
