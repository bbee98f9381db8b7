# /// script
# requires-python = ">=3.11"
# dependencies = ["atled"]
# ///
"""Learns where to start and how far to step, by differentiating through two steps of gradient descent.

    python examples/meta_learning.py

Each task is a sine wave of another height and phase, of which a small network sees ten points (Finn, Abbeel & Levine
2017, "Model-agnostic meta-learning for fast adaptation of deep networks", section 5.1). What is trained is the
network's start and one step size per tensor, so that two steps on the ten points fit the whole wave. The script prints
the error after the two steps, before and after training, and ends with status 1 if it has not fallen by half.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence

import atled.core as at
from atled import optim
from atled.autograd import grad

Parameters = Sequence[at.Tensor]
Loss = Callable[[Parameters], at.Tensor]


def adapt(loss: Loss, parameters: Parameters, rates: Parameters, steps: int = 2) -> list[at.Tensor]:
    """The parameters after some steps of gradient descent, as functions of where they started and of the rates."""
    current = list(parameters)
    for _ in range(steps):
        slopes = grad(loss(current), current, create_graph=True)
        current = [p - rate * g for p, rate, g in zip(current, rates, slopes, strict=True)]
    return current


def start(width: int = 24) -> list[at.Tensor]:
    """Weights and biases of a network with two hidden layers."""
    sizes = [(1, width), (width, width), (width, 1)]
    weights = [at.randn(*size) / math.sqrt(size[0]) for size in sizes]
    return [t.requires_grad_() for w in weights for t in (w, at.zeros(w.shape[1]))]


def network(parameters: Parameters, x: at.Tensor) -> at.Tensor:
    """The network's value at x of shape (n, 1)."""
    for i in range(0, len(parameters), 2):
        x = x @ parameters[i] + parameters[i + 1]
        x = x.tanh() if i + 2 < len(parameters) else x
    return x


def task(count: int) -> tuple[at.Tensor, at.Tensor, at.Tensor, at.Tensor]:
    """Points to learn from and points to be judged by, of one random wave."""
    height, phase = at.rand(()) * 1.5 + 0.5, at.rand(()) * math.pi
    seen, judged = at.rand(count, 1) * 6 - 3, at.rand(40, 1) * 6 - 3
    return seen, height * (seen + phase).sin(), judged, height * (judged + phase).sin()


def error(parameters: Parameters, x: at.Tensor, y: at.Tensor) -> at.Tensor:
    """The mean square."""
    return ((network(parameters, x) - y) ** 2).mean()


def after_two_steps(parameters: Parameters, rates: Parameters, tasks: int) -> at.Tensor:
    """The error of adapted networks on what they have not seen, as the mean over random tasks."""
    total = at.zeros(())
    for _ in range(tasks):
        x, y, judged_x, judged_y = task(10)
        adapted = adapt(lambda p, x=x, y=y: error(p, x, y), parameters, rates)  # type: ignore[misc]
        total = total + error(adapted, judged_x, judged_y)
    return total / tasks


def learn(steps: int, tasks: int, seed: int, *, verbose: bool = False) -> tuple[float, float]:
    """Trains start and rates; answers the error after two steps before and after that."""
    at.manual_seed(seed)
    parameters = start()
    rates = [at.full((), 0.05).requires_grad_() for _ in parameters]
    optimizer = optim.Adam([*parameters, *rates], lr=3e-3)
    before = after_two_steps(parameters, rates, 50).item()
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = after_two_steps(parameters, rates, tasks)
        loss.backward()
        optimizer.step()
        if verbose and step % max(steps // 10, 1) == 0:
            print(f"step {step:5}: error after two steps {loss.item():.3f}")
    return before, after_two_steps(parameters, rates, 50).item()


def main() -> None:
    """Parses the command line and learns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--tasks", type=int, default=4, help="per step")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    before, after = learn(options.steps, options.tasks, options.seed, verbose=True)
    print(f"error after two steps: {before:.3f} before, {after:.3f} after")
    sys.exit(after > before / 2)


if __name__ == "__main__":
    main()
