"""L-BFGS, with a line search."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import atled.core as at
from atled.core import Tensor
from atled.optim._optimizer import Optimizer, Params, plain, real, require, with_recording


class LBFGS(Optimizer):
    """L-BFGS (Liu & Nocedal 1989): goes where a model of the curvature points, from the last ``history_size`` steps.

    ``step(closure)`` takes up to ``max_iter`` steps with ``max_eval`` (``max_iter * 5 // 4``) calls of ``closure``,
    which computes the loss and the gradients anew and returns the loss; it gives back the first. It ends before when
    no gradient is above ``tolerance_grad``, and when a step changes parameters or loss by less than
    ``tolerance_change``.
    Steps are of length ``lr``, or searched for until they satisfy the strong Wolfe conditions
    (``line_search_fn="strong_wolfe"``; Nocedal & Wright 2006, algorithms 3.5 and 3.6).

    There is one group of parameters, on one device. The state, ``2 * history_size`` vectors as long as all of them
    together, is that of the first.

    Errors: ``InvalidValueError`` for several groups, a negative ``lr``, no history and an unknown line search.

    >>> weight = at.tensor([3.0, -2.0])
    >>> optimizer = LBFGS([weight], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     weight.grad = 2 * (weight - 1)
    ...     return ((weight - 1) ** 2).sum()
    >>> optimizer.step(closure).item()
    13.0
    >>> [round(x, 3) for x in weight.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Takes the one group that there can be."""
        if self.param_groups:
            raise at.InvalidValueError("LBFGS: expected one group of parameters, got another")
        super().add_param_group(param_group)

    def _check(self, group: dict[str, Any]) -> None:
        super()._check(group)
        require(group["history_size"] >= 1, "history_size", "at least 1", group["history_size"])
        search = group["line_search_fn"]
        require(search in (None, "strong_wolfe"), "line_search_fn", "None or 'strong_wolfe'", repr(search))

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Takes up to ``max_iter`` steps; ``closure`` computes the loss and the gradients anew."""
        (group,) = self.param_groups
        run = _Run(group, self.state[group["params"][0]], closure)
        with self._range():
            return run.steps()


class _Point(NamedTuple):
    """What is known at a distance from where a search began: the loss, its gradient, and its slope on the way."""

    t: float
    loss: float
    grad: Tensor
    slope: float


class _Run:
    """One call of ``step``."""

    def __init__(self, group: dict[str, Any], state: dict[str, Any], closure: Callable[[], Any]) -> None:
        self.group, self.state, self.closure = group, state, closure
        self.params = [real(plain(param)) for param in group["params"]]
        self.evaluations = 0
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

    def evaluate(self) -> tuple[Any, Tensor]:
        """The loss as ``closure`` gives it, and the gradient of all parameters as a vector."""
        loss = with_recording(self.closure)
        self.evaluations += 1
        self.state["func_evals"] += 1
        grads = [
            at.zeros(param.numel(), dtype=param.dtype, device=param.device)
            if given.grad is None
            else real(plain(given.grad)).reshape(-1)
            for given, param in zip(self.group["params"], self.params, strict=True)
        ]
        return loss, at.cat(grads)

    def go(self, start: list[Tensor], t: float, direction: Tensor) -> None:
        """Puts the parameters ``t`` times the direction away from ``start``."""
        begin = 0
        for param, origin in zip(self.params, start, strict=True):
            part = direction[begin : begin + param.numel()].reshape(param.shape)
            param.copy_(origin + part * t)
            begin += param.numel()

    def steps(self) -> Any:
        group, state = self.group, self.state
        lr, change = float(group["lr"]), group["tolerance_change"]
        first, grad = self.evaluate()
        loss = float(first)
        if _largest(grad) <= group["tolerance_grad"]:
            return first
        flat = False
        for i in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = state["d"] = self.direction(grad)
            state["prev_flat_grad"], state["prev_loss"] = grad, loss
            t = lr * min(1.0, 1 / float(grad.abs().sum())) if state["n_iter"] == 1 else lr
            slope = float(grad.dot(direction))
            state["t"] = t
            if slope > -change:
                break
            start = [param.clone() for param in self.params]
            before = loss
            if group["line_search_fn"] is not None:
                found = self.search(start, direction, _Point(0.0, loss, grad, slope), t)
                t, loss, grad = found.t, found.loss, found.grad
                state["t"] = t
                self.go(start, t, direction)
                flat = _largest(grad) <= group["tolerance_grad"]
            else:
                self.go(start, t, direction)
                if i < group["max_iter"]:  # what follows the last step, the next call computes
                    value, grad = self.evaluate()
                    loss = float(value)
                    flat = _largest(grad) <= group["tolerance_grad"]
            if self.evaluations >= group["max_eval"] or flat:
                break
            if _largest(direction) * abs(t) <= change or abs(loss - before) < change:
                break
        return first

    def direction(self, grad: Tensor) -> Tensor:
        """Down the gradient, times what is known of the inverse Hessian (Nocedal & Wright 2006, algorithm 7.4)."""
        state = self.state
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1
            return -grad
        y, s = grad - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = y.dot(s)
        changes, steps, ro = state["old_dirs"], state["old_stps"], state["ro"]
        if float(curvature) > 1e-10:
            if len(changes) == self.group["history_size"]:
                for kept in (changes, steps, ro):
                    del kept[0]
            changes.append(y)
            steps.append(s)
            ro.append(1 / curvature)
            state["H_diag"] = curvature / y.dot(y)
        factors = state.setdefault("al", [None] * self.group["history_size"])
        q = -grad
        for i in reversed(range(len(changes))):
            factors[i] = steps[i].dot(q) * ro[i]
            q.sub_(changes[i] * factors[i])
        q.mul_(state["H_diag"])
        for i in range(len(changes)):
            q.add_(steps[i] * (factors[i] - changes[i].dot(q) * ro[i]))
        return q

    def search(self, start: list[Tensor], direction: Tensor, origin: _Point, t: float) -> _Point:
        """The first point found that satisfies the strong Wolfe conditions, or the best one."""
        most = self.group["max_eval"] - self.evaluations

        def at_distance(t: float) -> _Point:
            self.go(start, t, direction)
            loss, grad = self.evaluate()
            return _Point(t, float(loss), grad, float(grad.dot(direction)))

        smallest = self.group["tolerance_change"] / max(_largest(direction), 1e-300)
        return strong_wolfe(at_distance, origin, t, most, smallest)


def strong_wolfe(
    at_distance: Callable[[float], _Point], origin: _Point, t: float, most: int, smallest: float
) -> _Point:
    """A point with ``loss <= loss(0) + 1e-4 * t * slope(0)`` and ``abs(slope) <= 0.9 * abs(slope(0))``.

    Begins at ``t``; after ``most`` trials, or between points nearer than ``smallest``, the lowest point there is.
    """

    def too_high(point: _Point) -> bool:
        return point.loss > origin.loss + 1e-4 * point.t * origin.slope

    def flat_enough(point: _Point) -> bool:
        return abs(point.slope) <= -0.9 * origin.slope

    # Farther and farther, until what is sought lies between two points.
    before, now = origin, at_distance(t)
    trials = 0
    while True:
        if trials >= most:
            ends = [origin, now]
            break
        if too_high(now) or (trials > 1 and now.loss >= before.loss):
            ends = [before, now]
            break
        if flat_enough(now):
            return now
        if now.slope >= 0:
            ends = [before, now]
            break
        t = _cubic_minimum(before, now, now.t + 0.01 * (now.t - before.t), now.t * 10)
        before, now = now, at_distance(t)
        trials += 1

    # Nearer and nearer.
    low = 0 if ends[0].loss <= ends[1].loss else 1
    hesitated = False
    while trials < most and abs(ends[1].t - ends[0].t) >= smallest:
        left, right = sorted((ends[0].t, ends[1].t))
        t = _cubic_minimum(ends[0], ends[1], left, right)
        margin = 0.1 * (right - left)
        if min(right - t, t - left) >= margin:
            hesitated = False
        elif hesitated or t >= right or t <= left:  # too near to an end, again
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            hesitated = False
        else:
            hesitated = True
        now = at_distance(t)
        trials += 1
        if too_high(now) or now.loss >= ends[low].loss:
            ends[1 - low] = now
            low = 0 if ends[0].loss <= ends[1].loss else 1
            continue
        if flat_enough(now):
            return now
        if now.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = now
    return ends[low]


def _cubic_minimum(a: _Point, b: _Point, least: float, most: float) -> float:
    """Where the cubic through two points is lowest, within bounds (Nocedal & Wright 2006, eq. 3.59)."""
    if a.t > b.t:
        a, b = b, a
    if a.t < b.t:
        first = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
        square = first * first - a.slope * b.slope
        if square >= 0:
            second = math.sqrt(square)
            below = b.slope - a.slope + 2 * second
            if below != 0:
                return min(max(b.t - (b.t - a.t) * ((b.slope + second - first) / below), least), most)
    return (least + most) / 2


def _largest(x: Tensor) -> float:
    return float(x.abs().max())
