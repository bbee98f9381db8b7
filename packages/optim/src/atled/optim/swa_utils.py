"""Averages of a model's weights over training: stochastic weight averaging and exponential moving averages."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained
from atled.optim._optimizer import Optimizer, plain
from atled.optim._state import expect_keys
from atled.optim.lr_scheduler._base import LRScheduler, expect_optimizer, per_group

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

AverageOne = Callable[[Tensor, Tensor, Any], Tensor]
AverageMany = Callable[[list[Tensor], list[Tensor], Any], None]


@explained
def get_ema_avg_fn(decay: float = 0.999) -> AverageOne:
    """``f(average, now, count)`` that gives ``decay * average + (1 - decay) * now``.

    Errors: ``InvalidValueError`` for a ``decay`` outside of [0, 1].

    >>> get_ema_avg_fn(0.75)(at.tensor(1.0), at.tensor(2.0), 1).item()
    1.25
    """
    _expect_share(decay)
    return lambda average, now, count: decay * average + (1 - decay) * now


@explained
def get_ema_multi_avg_fn(decay: float = 0.999) -> AverageMany:
    """``f(averages, now, count)`` that does to lists, in place, what `get_ema_avg_fn` gives for one tensor.

    Errors: ``InvalidValueError`` for a ``decay`` outside of [0, 1].

    >>> average = at.tensor([1.0])
    >>> get_ema_multi_avg_fn(0.75)([average], [at.tensor([2.0])], 1)
    >>> average.item()
    1.25
    """
    _expect_share(decay)
    return lambda averages, now, count: _move(averages, now, 1 - decay)


def get_swa_avg_fn() -> AverageOne:
    """``f(average, now, count)`` that gives the mean of ``count + 1`` from that of ``count``.

    >>> get_swa_avg_fn()(at.tensor(1.0), at.tensor(4.0), 2).item()
    2.0
    """
    return lambda average, now, count: average + (now - average) / (int(count) + 1)


def get_swa_multi_avg_fn() -> AverageMany:
    """``f(averages, now, count)`` that does to lists, in place, what `get_swa_avg_fn` gives for one tensor.

    >>> average = at.tensor([1.0])
    >>> get_swa_multi_avg_fn()([average], [at.tensor([4.0])], 2)
    >>> average.item()
    2.0
    """
    return lambda averages, now, count: _move(averages, now, 1 / (int(count) + 1))


def _expect_share(decay: float) -> None:
    if not 0 <= decay <= 1:
        raise at.InvalidValueError(f"get_ema_avg_fn: expected decay in [0, 1], got {decay}")


def _move(averages: list[Tensor], now: list[Tensor], share: float) -> None:
    """Moves averages by a share of the way to what is now; those of integers are rounded towards zero."""
    for average, tensor in zip(averages, now, strict=True):
        if average.dtype.is_floating_point or average.dtype.is_complex:
            average.lerp_(tensor, share)
        else:
            average.copy_(average * (1 - share) + tensor * share)


class AveragedModel:
    """A copy of a model whose parameters are averages of the model's (Izmailov et al. 2018).

    ``update_parameters(model)`` takes in what the model's parameters are: the first time they are copied, then averaged
    by ``avg_fn(average, now, n_averaged)``, or by ``multi_avg_fn(averages, now, n_averaged)``, which changes a list in
    place; without either, they are the mean of all. With ``use_buffers`` buffers are averaged, too; else they are
    copied. ``device`` is where the averages live.

    Calling it calls the copy, ``module``. Its state dict is PyTorch's: ``n_averaged``, and the copy's under
    ``module.``. It works with any model that has ``parameters()``, and is itself no layer of atled-nn.

    Errors: ``InvalidValueError`` for both functions, and for a model with other parameters.

    >>> class Line:
    ...     def __init__(self):
    ...         self.slope = at.tensor(1.0)
    ...     def parameters(self):
    ...         return [self.slope]
    ...     def __call__(self, x):
    ...         return self.slope * x
    >>> line = Line()
    >>> average = AveragedModel(line)
    >>> average.update_parameters(line)
    >>> line.slope.fill_(3.0).item(); average.update_parameters(line)
    3.0
    >>> average(at.tensor(10.0)).item()
    20.0
    """

    @explained
    def __init__(
        self,
        model: Any,
        device: at.device | str | None = None,
        avg_fn: AverageOne | None = None,
        multi_avg_fn: AverageMany | None = None,
        use_buffers: bool = False,
    ) -> None:
        if avg_fn is not None and multi_avg_fn is not None:
            raise at.InvalidValueError("AveragedModel: expected avg_fn or multi_avg_fn, got both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.n_averaged = at.tensor(0, dtype=at.int64, device=device)
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged copy makes of the arguments."""
        return self.module(*args, **kwargs)

    @explained
    def update_parameters(self, model: Any) -> None:
        """Takes the model's parameters into the average."""
        averages, now = [plain(t) for t in self.parameters()], [plain(t) for t in model.parameters()]
        copied, buffers = _buffers(self.module), _buffers(model)
        if self.use_buffers:
            averages, now = averages + copied, now + buffers
        if [t.shape for t in averages + copied] != [t.shape for t in now + buffers]:
            raise at.InvalidValueError(
                "AveragedModel: expected a model with the parameters and buffers of the one that was copied, got others"
            )
        now = [t.to(average.device) for t, average in zip(now, averages, strict=True)]
        if int(self.n_averaged) == 0:
            _copy(averages, now)
        elif self.avg_fn is not None:
            _copy(averages, [self.avg_fn(a, t, self.n_averaged) for a, t in zip(averages, now, strict=True)])
        else:
            average = self.multi_avg_fn or get_swa_multi_avg_fn()
            for some, others in _alike(averages, now):
                average(some, others, self.n_averaged.to(some[0].device))
        if not self.use_buffers:
            _copy(copied, buffers)
        self.n_averaged.add_(1)

    def parameters(self, recurse: bool = True) -> Iterator[Tensor]:
        """The averages."""
        return iter(self.module.parameters())

    def train(self, mode: bool = True) -> AveragedModel:
        """Puts the copy into training, or out of it; returns this."""
        self.module.train(mode)
        return self

    def eval(self) -> AveragedModel:
        """Puts the copy out of training; returns this."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """``n_averaged``, and the copy's state with ``module.`` before each name."""
        state = {f"module.{key}": value for key, value in self.module.state_dict().items()}
        return {"n_averaged": self.n_averaged.clone(), **state}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:
        """Takes over what ``state_dict`` gave; returns what the copy's ``load_state_dict`` does.

        Errors: ``ArgumentError`` for what is no mapping, ``InvalidValueError`` where ``n_averaged`` is missing; unless
        ``strict``, the count then stays.
        """
        expect_keys("AveragedModel", state_dict)
        if "n_averaged" in state_dict:
            self.n_averaged.copy_(state_dict["n_averaged"])
        elif strict:
            raise at.InvalidValueError(
                "AveragedModel: expected n_averaged in the state, got none; load a model's own state into module, or "
                "give strict=False"
            )
        inner = {key.removeprefix("module."): value for key, value in state_dict.items() if key != "n_averaged"}
        return self.module.load_state_dict(inner, strict=strict)


def _buffers(model: Any) -> list[Tensor]:
    return [plain(buffer) for buffer in model.buffers()] if hasattr(model, "buffers") else []


def _copy(to: list[Tensor], given: list[Tensor]) -> None:
    for target, source in zip(to, given, strict=True):
        target.copy_(source)


def _alike(averages: list[Tensor], now: list[Tensor]) -> Iterable[tuple[list[Tensor], list[Tensor]]]:
    """Both lists in parts, each of one device and dtype."""
    parts: dict[Any, tuple[list[Tensor], list[Tensor]]] = {}
    for average, tensor in zip(averages, now, strict=True):
        some, others = parts.setdefault((str(average.device), average.dtype), ([], []))
        some.append(average)
        others.append(tensor)
    return parts.values()


@explained
def update_bn(loader: Iterable[Any], model: Any, device: at.device | str | None = None) -> None:
    """Computes the running statistics of a model's batch normalisation anew, as means over all batches of ``loader``.

    A batch is a tensor, or a list or tuple of which the first is what the model is called with; it is moved to
    ``device`` before, where one is given. Averaged weights need it: no batch was normalised with them. Run it within
    ``atled.autograd.no_grad()``, where that is installed, so that nothing is recorded.

    >>> from atled import nn
    >>> layer = nn.BatchNorm1d(1)
    >>> update_bn([at.tensor([[1.0], [3.0]]), at.tensor([[5.0], [7.0]])], layer)
    >>> layer.running_mean.tolist()
    [4.0]
    """
    model = model.module if isinstance(model, AveragedModel) else model
    # The layers are known by their classes' names: this package needs no other.
    layers = [m for m in model.modules() if any(base.__name__ == "_BatchNorm" for base in type(m).__mro__)]
    if not layers:
        return
    momenta, training = [layer.momentum for layer in layers], model.training
    model.train()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    try:
        for batch in loader:
            first = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(first if device is None else first.to(device))
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """Goes from ``lr`` to ``swa_lr`` in ``anneal_epochs``, along a cosine or a line (``anneal_strategy``), then stays.

    ``swa_lr`` may be a list with one for each parameter group.

    Errors: ``InvalidValueError`` for another number of rates, an unknown strategy and ``anneal_epochs`` below 0.

    >>> from atled import optim
    >>> schedule = SWALR(optim.SGD([at.tensor([1.0])], lr=1.0), swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> [(schedule.step(), *schedule.get_last_lr())[1] for _ in range(3)]
    [0.75, 0.5, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float,
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        expect_optimizer(self, optimizer)
        if anneal_strategy not in ("cos", "linear"):
            raise at.InvalidValueError(f"SWALR: expected anneal_strategy 'cos' or 'linear', got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise at.InvalidValueError(f"SWALR: expected an integer anneal_epochs >= 0, got {anneal_epochs!r}")
        for group, lr in zip(optimizer.param_groups, per_group(self, "swa_lr", swa_lr, optimizer), strict=True):
            group["swa_lr"] = lr
        self._anneal_strategy, self.anneal_epochs = anneal_strategy, anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How much of the way is done."""
        done = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return done if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * done)) / 2

    def get_lr(self) -> list[float]:
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)
        lrs = []
        for group in self.optimizer.param_groups:
            end = group["swa_lr"]
            start = end if before == 1 else (group["lr"] - before * end) / (1 - before)
            lrs.append(end * now + start * (1 - now))
        return lrs
