"""Learning-rate schedules: each ``step()`` sets ``lr`` in the optimizer's parameter groups.

>>> import atled.core as at
>>> from atled import optim
>>> optimizer = optim.SGD([at.tensor([1.0])], lr=1.0)
>>> schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
>>> schedule.step(); schedule.step()
>>> optimizer.param_groups[0]["lr"]
0.25
"""

from atled.optim.lr_scheduler._base import LRScheduler
from atled.optim.lr_scheduler._cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from atled.optim.lr_scheduler._cycles import CyclicLR, OneCycleLR
from atled.optim.lr_scheduler._factors import ConstantLR, ExponentialLR, LinearLR, MultiStepLR, PolynomialLR, StepLR
from atled.optim.lr_scheduler._functions import LambdaLR, MultiplicativeLR
from atled.optim.lr_scheduler._joined import ChainedScheduler, SequentialLR
from atled.optim.lr_scheduler._plateau import ReduceLROnPlateau

# PyTorch's former name, which schedules of one's own are derived from.
_LRScheduler = LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]
