"""Optimizers, learning-rate schedules and gradient clipping.

>>> import atled.core as at
>>> from atled import optim
>>> weight = at.tensor([1.0, 2.0])
>>> optim.SGD([weight], lr=0.5).step(grads=[at.tensor([1.0, 1.0])])
>>> weight.tolist()
[0.5, 1.5]
"""

from atled.optim import lr_scheduler, optimizer, swa_utils
from atled.optim._adagrad import Adadelta, Adagrad, RMSprop
from atled.optim._adam import Adam, AdamW
from atled.optim._adam_kin import Adamax, NAdam, RAdam
from atled.optim._clip import clip_grad_norm_, clip_grad_value_, get_total_norm
from atled.optim._grad_scaler import GradScaler
from atled.optim._lbfgs import LBFGS
from atled.optim._matrices import Adafactor, Muon
from atled.optim._optimizer import Optimizer
from atled.optim._rprop import ASGD, Rprop
from atled.optim._sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GradScaler",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_total_norm",
    "lr_scheduler",
    "optimizer",
    "swa_utils",
]
