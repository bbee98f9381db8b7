"""Schedules against PyTorch's numbers."""

import copy
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden import SCHEDULES

import atled.core as at
from atled import optim
from atled.optim import lr_scheduler

# Most of the tests are of rates alone, and step no optimizer.
pytestmark = pytest.mark.filterwarnings("ignore:.*before any optimizer.step:UserWarning")


def sgd() -> optim.SGD:
    return optim.SGD([at.tensor([0.0])], lr=0.4, momentum=0.9)


@pytest.mark.parametrize(("name", "settings", "expected"), SCHEDULES)
def test_golden(name: str, settings: dict[str, Any], expected: tuple[list[float], list[float]]) -> None:
    optimizer = sgd()
    schedule = getattr(lr_scheduler, name)(optimizer, **settings)
    group = optimizer.param_groups[0]
    lrs, momenta = [group["lr"]], [group["momentum"]]
    for _ in range(9):
        schedule.step()
        lrs.append(group["lr"])
        momenta.append(group["momentum"])
        assert schedule.get_last_lr() == [group["lr"]]
    np.testing.assert_allclose(lrs, expected[0], rtol=0, atol=1e-11)
    np.testing.assert_allclose(momenta, expected[1], rtol=0, atol=1e-11)


def test_two_schedules_multiply() -> None:
    optimizer = sgd()
    schedules = [lr_scheduler.StepLR(optimizer, 1, 0.5), lr_scheduler.LinearLR(optimizer, 0.5, 1.0, 2)]
    for _ in range(2):
        for schedule in schedules:
            schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.4 * 0.25)


def test_state_resumes() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for _ in range(3):
        schedule.step()
    other = sgd()
    resumed = lr_scheduler.CosineAnnealingLR(other, 10)
    other.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(schedule.state_dict())
    schedule.step()
    resumed.step()
    assert resumed.get_last_lr() == schedule.get_last_lr()


#: Schedules as functions of the epoch, times the initial rate: PyTorch's documented formulas.
FORMULAS: list[tuple[str, dict[str, Any], Callable[[int], float]]] = [
    ("LambdaLR", {"lr_lambda": lambda epoch: 0.95**epoch}, lambda e: 0.95**e),
    ("MultiplicativeLR", {"lr_lambda": lambda epoch: epoch / (epoch + 1)}, lambda e: 1 / (e + 1)),
    ("StepLR", {"step_size": 7, "gamma": 0.5}, lambda e: 0.5 ** (e // 7)),
    ("MultiStepLR", {"milestones": [3, 9, 9, 30], "gamma": 0.3}, lambda e: 0.3 ** sum(e >= m for m in (3, 9, 9, 30))),
    ("ConstantLR", {"factor": 0.3, "total_iters": 11}, lambda e: 0.3 if e < 11 else 1.0),
    ("ConstantLR", {"factor": 0.0, "total_iters": 3}, lambda e: 0.0 if e < 3 else 1.0),
    ("LinearLR", {"start_factor": 0.2, "end_factor": 0.7, "total_iters": 20}, lambda e: 0.2 + 0.5 * min(e, 20) / 20),
    ("ExponentialLR", {"gamma": 0.93}, lambda e: 0.93**e),
    ("PolynomialLR", {"total_iters": 25, "power": 1.7}, lambda e: (1 - min(e, 25) / 25) ** 1.7),
    ("CosineAnnealingLR", {"T_max": 9}, lambda e: (1 + math.cos(math.pi * e / 9)) / 2),
    ("CosineAnnealingWarmRestarts", {"T_0": 7}, lambda e: (1 + math.cos(math.pi * (e % 7) / 7)) / 2),
]


@pytest.mark.parametrize(("name", "settings", "factor"), FORMULAS)
def test_sixty_epochs(name: str, settings: dict[str, Any], factor: Callable[[int], float]) -> None:
    """Step by step, through a saved state in between, for groups of different rates."""

    def fresh() -> tuple[optim.SGD, lr_scheduler.LRScheduler]:
        optimizer = optim.SGD([{"params": [at.zeros(1)], "lr": lr} for lr in (0.4, 0.05)], lr=1.0)
        return optimizer, getattr(lr_scheduler, name)(optimizer, **settings)

    optimizer, schedule = fresh()
    for epoch in range(60):
        np.testing.assert_allclose(schedule.get_last_lr(), [0.4 * factor(epoch), 0.05 * factor(epoch)], atol=1e-14)
        if epoch in (4, 31):
            states = optimizer.state_dict(), schedule.state_dict()
            optimizer, schedule = fresh()
            optimizer.load_state_dict(states[0])
            schedule.load_state_dict(states[1])
        schedule.step()


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        (name, settings)
        for name, settings, _ in FORMULAS
        if name in ("LambdaLR", "LinearLR", "ExponentialLR", "PolynomialLR", "CosineAnnealingLR")
    ],
)
def test_an_epoch_to_go_on_from(name: str, settings: dict[str, Any]) -> None:
    """``last_epoch`` says which epoch the optimizer's rates are of."""
    whole = getattr(lr_scheduler, name)(sgd(), **settings)
    optimizer = sgd()
    for schedule in (whole, getattr(lr_scheduler, name)(optimizer, **settings)):
        for _ in range(6):
            schedule.step()
    resumed = getattr(lr_scheduler, name)(optimizer, **settings, last_epoch=5)  # its first step is the sixth
    for _ in range(10):
        np.testing.assert_allclose(resumed.get_last_lr(), whole.get_last_lr(), rtol=1e-13)
        whole.step()
        resumed.step()


def test_warm_restarts_between_epochs() -> None:
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(sgd(), T_0=2, T_mult=2)
    for epoch, part in [(0.5, 0.25), (1.5, 0.75), (2.0, 0.0), (5.0, 0.75), (6.0, 0.0), (10.0, 0.5), (1.0, 0.5)]:
        schedule.step(epoch)
        assert schedule.get_last_lr() == [pytest.approx(0.2 * (1 + math.cos(math.pi * part)))]
    with pytest.raises(at.InvalidValueError, match="expected epoch at least 0, got -1"):
        schedule.step(-1)


def test_a_cycle_of_a_function_and_of_lists() -> None:
    optimizer = optim.Adam([{"params": [at.zeros(1)]}, {"params": [at.zeros(1)]}])
    schedule = lr_scheduler.CyclicLR(
        optimizer,
        [0.1, 0.2],
        [0.3, 0.6],
        2,
        scale_fn=lambda batch: 1 / batch if batch else 1.0,
        scale_mode="iterations",
    )
    assert [group["betas"] for group in optimizer.param_groups] == [(0.9, 0.999)] * 2
    found = []
    for _ in range(6):
        schedule.step()
        found.append([*schedule.get_last_lr(), optimizer.param_groups[0]["betas"][0]])
    height = np.array([0.5, 0.5, 0.5 / 3, 0.0, 0.1, 1 / 6])
    expected = np.stack([0.1 + 0.2 * height, 0.2 + 0.4 * height, 0.9 - 0.1 * height], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


class Counted:
    """A function with something to save."""

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, epoch: float) -> float:
        return self.factor


@pytest.mark.parametrize("name", ["LambdaLR", "MultiplicativeLR", "CyclicLR"])
def test_functions_that_are_objects_are_saved(name: str) -> None:
    def make(factor: float) -> lr_scheduler.LRScheduler:
        if name == "CyclicLR":
            return lr_scheduler.CyclicLR(sgd(), 0.1, 0.2, 3, scale_fn=Counted(factor))
        made: lr_scheduler.LRScheduler = getattr(lr_scheduler, name)(sgd(), Counted(factor))
        return made

    saved, other = make(0.5), make(0.25)
    other.load_state_dict(saved.state_dict())
    for schedule in (saved, other):
        schedule.step()
    assert other.get_last_lr() == saved.get_last_lr()
    assert "optimizer" not in saved.state_dict()


def test_one_schedule_after_the_other() -> None:
    optimizer = sgd()

    def make() -> lr_scheduler.SequentialLR:
        rise = lr_scheduler.LinearLR(optimizer, 0.25, total_iters=3)
        fall = lr_scheduler.CosineAnnealingLR(optimizer, 4)
        return lr_scheduler.SequentialLR(optimizer, [rise, fall], milestones=[4])

    schedule = make()
    found = [schedule.get_last_lr()[0]]
    for epoch in range(8):
        if epoch == 2:
            state, lr = schedule.state_dict(), optimizer.param_groups[0]["lr"]
            schedule = make()
            schedule.load_state_dict(state)
            optimizer.param_groups[0]["lr"] = lr
        schedule.step()
        found += schedule.get_last_lr()
    cosine = [0.2 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(5)]
    np.testing.assert_allclose(found, [0.1, 0.2, 0.3, 0.4, *cosine], atol=1e-15)


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [2, 5, 5]),
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch),
        lambda optimizer: lr_scheduler.CyclicLR(optimizer, 0.1, 0.2, 3, mode="exp_range", gamma=0.9),
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.5, 20),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2),
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)], [4]
        ),
    ],
    ids=["steps", "function", "cycle", "one cycle", "restarts", "sequence"],
)
def test_state_goes_through_a_file(make: Callable[[Any], lr_scheduler.LRScheduler], tmp_path: Path) -> None:
    optimizers = [sgd(), sgd()]
    whole, resumed = (make(optimizer) for optimizer in optimizers)
    for _ in range(4):
        whole.step()
    at.save({"optimizer": optimizers[0].state_dict(), "schedule": whole.state_dict()}, tmp_path / "state.safetensors")
    saved = at.load(tmp_path / "state.safetensors")
    optimizers[1].load_state_dict(saved["optimizer"])
    resumed.load_state_dict(saved["schedule"])
    for _ in range(4):
        whole.step()
        resumed.step()
        assert resumed.get_last_lr() == whole.get_last_lr()


def test_schedules_in_schedules() -> None:
    """Two that multiply come first, of which the exponential one falls in epoch 0 already, as in PyTorch."""
    optimizer = sgd()
    both = lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(optimizer, 0.5, 2), lr_scheduler.ExponentialLR(optimizer, 0.8)]
    )
    schedule = lr_scheduler.SequentialLR(optimizer, [both, lr_scheduler.StepLR(optimizer, 2, 0.1)], [3])
    found = [schedule.get_last_lr()[0]]
    for _ in range(5):
        schedule.step()
        found += schedule.get_last_lr()
    np.testing.assert_allclose(found, [0.16, 0.128, 0.2048, 0.4, 0.4, 0.04], rtol=1e-14)
    assert [part["last_epoch"] for part in schedule.state_dict()["_schedulers"][0]["_schedulers"]] == [2, 2]


@pytest.mark.parametrize(
    ("settings", "metrics", "expected"),
    [
        # Reduced in the epoch after `patience` bad ones; what is better by too little is bad.
        ({"patience": 1, "factor": 0.5}, [3, 2, 1.9999, 2, 2, 2], [0.4, 0.4, 0.4, 0.2, 0.2, 0.1]),
        ({"mode": "max", "patience": 0, "factor": 0.5}, [1, 2, 2, 3, 3], [0.4, 0.4, 0.2, 0.2, 0.1]),
        (
            {"patience": 0, "threshold": 0.5, "threshold_mode": "abs", "factor": 0.5, "cooldown": 2},
            [3, 2.6, 2.6, 2.6, 2.6],
            [0.4, 0.2, 0.2, 0.2, 0.1],
        ),
        ({"mode": "max", "threshold_mode": "abs", "patience": 0, "threshold": 1}, [0, 1.5, 2], [0.4, 0.4, 0.04]),
        ({"patience": 0, "min_lr": 0.1}, [1, 1, 1], [0.4, 0.1, 0.1]),
        ({"patience": 0, "factor": 0.5, "eps": 0.3}, [1, 1, 1], [0.4, 0.4, 0.4]),
        ({"patience": 0, "factor": 0.5}, [1, math.nan, 0.5], [0.4, 0.2, 0.2]),
    ],
)
def test_plateaus(settings: dict[str, Any], metrics: list[float], expected: list[float]) -> None:
    optimizer = sgd()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
    found = []
    for metric in metrics:
        schedule.step(at.tensor(metric))
        found += schedule.get_last_lr()
        state = schedule.state_dict()
        schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **settings)
        schedule.load_state_dict(state)
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_a_plateau_for_a_group_that_came_later() -> None:
    for least, message in ((0.1, None), ([0.1], "expected one min_lr per parameter group")):
        optimizer = sgd()
        schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, min_lr=least)
        optimizer.add_param_group({"params": [at.zeros(1)]})
        schedule.step(1.0)
        if message is None:
            schedule.step(1.0)
            assert schedule.get_last_lr() == [0.1, 0.1]
        else:
            with pytest.raises(at.InvalidValueError, match=message):
                schedule.step(1.0)


def exponential() -> lr_scheduler.LRScheduler:
    return lr_scheduler.ExponentialLR(sgd(), 0.5)


def sequential(schedule: lr_scheduler.LRScheduler) -> lr_scheduler.SequentialLR:
    return lr_scheduler.SequentialLR(schedule.optimizer, [schedule], [1])


def test_errors() -> None:
    for make, message in [
        (lambda: lr_scheduler.StepLR(sgd(), 0), "step_size >= 1"),
        (lambda: lr_scheduler.LinearLR(sgd(), 0.0), r"start_factor in \(0, 1\]"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0), "total_steps, or epochs"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), [1.0, 2.0], 5), "one max_lr per parameter group"),
        (lambda: lr_scheduler.StepLR(sgd(), 1, last_epoch=3), "expected initial_lr"),
        (lambda: lr_scheduler.LambdaLR(sgd(), [abs, abs]), r"LambdaLR: expected one lr_lambda per .* \(1\), got 2"),
        (lambda: lr_scheduler.ConstantLR(sgd(), 1.5), r"expected factor in \[0, 1\], got 1.5"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(sgd(), 0), "expected an integer T_0 >= 1, got 0"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(sgd(), 1, 1.5), "expected an integer T_mult >= 1, got 1.5"),
        (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 0.2, mode="square"), "or a scale_fn, got 'square'"),
        (lambda: lr_scheduler.CyclicLR(optim.Adagrad([at.zeros(1)]), 0.1, 0.2), "or cycle_momentum=False"),
        (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 0.2, 0, 0), "expected step_size_up above 0, got 0"),
        (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 0.2, -2), "expected step_size_up above 0, got -2"),
        (lambda: lr_scheduler.CyclicLR(sgd(), 0.1, 0.2, 2, -1), "expected step_size_down at least 0, got -1"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 5, div_factor=0), "expected div_factor above 0, got 0"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0, 5, final_div_factor=-1), "final_div_factor above 0, got -1"),
        (lambda: lr_scheduler.PolynomialLR(sgd(), 0), "PolynomialLR: expected total_iters >= 1, got 0"),
        (lambda: lr_scheduler.SequentialLR(sgd(), [], []), "expected at least one schedule, got none"),
        (lambda: lr_scheduler.ChainedScheduler([]), "expected at least one schedule, got none"),
        (lambda: lr_scheduler.ChainedScheduler([exponential(), exponential()]), "ExponentialLR of another at 1"),
        (lambda: sequential(exponential()), r"expected one milestone less than schedules \(1\), got 1"),
        (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), factor=1.0), "expected factor below 1, got 1.0"),
        (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), "least"), "expected mode 'min' or 'max', got 'least'"),
        (lambda: lr_scheduler.ReduceLROnPlateau(sgd(), threshold_mode="far"), "'rel' or 'abs', got 'far'"),
    ]:
        with pytest.raises(at.InvalidValueError, match=message):
            make()
    for make, message in [
        (lambda: lr_scheduler.ExponentialLR(at.zeros(1), 0.5), "ExponentialLR: expected an Optimizer, got Tensor"),
        (lambda: lr_scheduler.MultiStepLR(sgd(), 3), "expected milestones to be epochs, got int; put it in a list"),
        (lambda: lr_scheduler.MultiplicativeLR(sgd(), 0.5), "expected lr_lambda to be a function of the epoch"),
        (lambda: sequential(lr_scheduler.ReduceLROnPlateau(sgd())), "got ReduceLROnPlateau at 0"),
    ]:
        with pytest.raises(at.ArgumentError, match=message):
            make()
    for make, state, error, message in [
        (exponential, None, at.ArgumentError, "expected the state of ExponentialLR, a mapping, got NoneType"),
        (exponential, {}, at.InvalidValueError, "of ExponentialLR with the keys 'last_epoch', got none"),
        (exponential, sgd().state_dict(), at.InvalidValueError, "got .*; this is an optimizer's"),
        (lambda: lr_scheduler.MultiStepLR(sgd(), [3]), {"last_epoch": 1}, at.InvalidValueError, "'milestones', got"),
        (lambda: lr_scheduler.LambdaLR(sgd(), float), {"last_epoch": 1}, at.InvalidValueError, "'lr_lambdas', got"),
        (
            lambda: lr_scheduler.ChainedScheduler([exponential()]),
            {"last_epoch": 1, "_schedulers": []},
            at.InvalidValueError,
            "expected ChainedScheduler's '_schedulers' to be a list of 1, got 0",
        ),
    ]:
        with pytest.raises(error, match=f"^load_state_dict: .*{message}"):
            make().load_state_dict(state)
    schedule = lr_scheduler.OneCycleLR(sgd(), 1.0, 2)
    schedule.step()
    last = schedule.get_last_lr()
    schedule.step()
    assert schedule.get_last_lr() == last
    with pytest.raises(at.InvalidValueError, match="at most 2 steps"):
        schedule.step()


def test_a_schedule_that_is_refused_leaves_the_optimizer_as_it_was() -> None:
    optimizer = optim.Adagrad([at.zeros(1)], lr=0.5)
    before = dict(optimizer.param_groups[0])
    for schedule in (lr_scheduler.CyclicLR, lr_scheduler.OneCycleLR):
        with pytest.raises(at.InvalidValueError, match="or cycle_momentum=False"):
            schedule(optimizer, 0.1, 20)
    assert optimizer.param_groups == [before]


class Counting(optim.Optimizer):
    """Has a step of its own, as optimizers of PyTorch's programs do."""

    steps = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.steps += 1


ORDERED = [
    sgd,
    lambda: Counting([at.zeros(1)], {"lr": 0.5}),
    lambda: optim.LBFGS([at.zeros(1)], lr=0.5),
]


@pytest.mark.parametrize("make", ORDERED, ids=["fused", "own", "lbfgs"])
def test_a_schedule_before_its_optimizer_is_warned_of_once(make: Callable[[], optim.Optimizer]) -> None:
    pytest.importorskip("atled.autograd")  # steps look for gradients
    schedule = lr_scheduler.ExponentialLR(make(), 0.5)
    message = r"ExponentialLR: step\(\) before any optimizer.step\(\) skips the first learning rate; call optimizer"
    with pytest.warns(UserWarning, match=message) as found:
        schedule.step()
    assert found[0].filename == __file__
    with warnings.catch_warnings(action="error"):
        schedule.step()
        optimizer = make()
        later = copy.deepcopy(optimizer)
        for each in (optimizer, later):
            schedule = lr_scheduler.SequentialLR(
                each, [lr_scheduler.ExponentialLR(each, 0.5), lr_scheduler.ConstantLR(each)], [1]
            )
            each.step(lambda: at.tensor(0.0))
            for _ in range(3):
                schedule.step()
        lr_scheduler.StepLR(optimizer, 1).step()  # made when the optimizer has stepped already


def test_steps_after_the_first_cost_no_more_with_a_schedule() -> None:
    optimizer = sgd()
    lr_scheduler.ExponentialLR(optimizer, 0.5)
    assert "step" in vars(optimizer)
    optimizer.step(grads=[None])
    assert "step" not in vars(optimizer)
    hook = optimizer.register_step_post_hook(lambda *_: None)
    optimizer.step(grads=[None])
    assert "step" in vars(optimizer)
    hook.remove()
    optimizer.step(grads=[None])
    assert "step" not in vars(optimizer)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_step_that_a_program_puts_in_place_stays(when: str) -> None:
    optimizer, calls = Counting([at.zeros(1)], {"lr": 0.5}), list[str]()

    def wrap() -> None:
        inner = optimizer.step
        optimizer.step = lambda closure=None: (calls.append("mine"), inner(closure))  # type: ignore[assignment]

    if when == "before":
        wrap()
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    if when == "after":
        wrap()
    with warnings.catch_warnings(action="error"):
        for _ in range(2):
            optimizer.step()
            schedule.step()
    assert calls == ["mine", "mine"] and optimizer.steps == 2


def test_a_step_that_a_scaler_leaves_out_is_no_fault_of_the_order() -> None:
    pytest.importorskip("atled.autograd")
    weight = at.zeros(1)
    weight.grad = at.tensor([math.inf])
    optimizer, scaler = optim.SGD([weight], lr=0.5), optim.GradScaler()
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    with warnings.catch_warnings(action="error"):
        scaler.step(optimizer)
        schedule.step()
