"""Schedules against PyTorch's numbers."""

from typing import Any

import numpy as np
import pytest
from golden import SCHEDULES

import atled.core as at
from atled import optim
from atled.optim import lr_scheduler


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


def test_errors() -> None:
    for make, message in [
        (lambda: lr_scheduler.StepLR(sgd(), 0), "step_size >= 1"),
        (lambda: lr_scheduler.LinearLR(sgd(), 0.0), r"start_factor in \(0, 1\]"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), 1.0), "total_steps, or epochs"),
        (lambda: lr_scheduler.OneCycleLR(sgd(), [1.0, 2.0], 5), "one max_lr per parameter group"),
        (lambda: lr_scheduler.StepLR(sgd(), 1, last_epoch=3), "expected initial_lr"),
    ]:
        with pytest.raises(at.InvalidValueError, match=message):
            make()
    schedule = lr_scheduler.OneCycleLR(sgd(), 1.0, 2)
    schedule.step()
    last = schedule.get_last_lr()
    schedule.step()
    assert schedule.get_last_lr() == last
    with pytest.raises(at.InvalidValueError, match="at most 2 steps"):
        schedule.step()
