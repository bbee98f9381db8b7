# /// script
# requires-python = ">=3.11"
# dependencies = ["atled"]
# ///
"""Solves u'' = -u with u(0) = 0 and u'(0) = 1 by a neural network, whose second derivative stands in the loss.

    python examples/physics_informed.py

The solution is sin(x); the script prints how far the network is from it, and ends with status 1 if that is far. Every
step differentiates three times: u by x twice, recorded, and then the loss by the weights.
"""

import argparse
import math
import sys
from collections.abc import Callable

import atled.core as at
from atled import nn, optim
from atled.autograd import grad

WANTED = 0.02  # largest distance from sin(x)


def network(width: int = 16) -> nn.Sequential:
    """A smooth function from (n, 1) to (n, 1)."""
    return nn.Sequential(nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))


def derivatives(u: Callable[[at.Tensor], at.Tensor], x: at.Tensor) -> tuple[at.Tensor, at.Tensor, at.Tensor]:
    """u, u' and u'' at the points x of shape (n, 1); all of them can be differentiated again.

    Row i of u(x) depends on x[i] alone, so the gradient of the sum has the derivative at each point.
    """
    x = x.detach().requires_grad_()
    value = u(x)
    (first,) = grad(value.sum(), x, create_graph=True)
    (second,) = grad(first.sum(), x, create_graph=True)
    return value, first, second


def residual(u: Callable[[at.Tensor], at.Tensor], x: at.Tensor) -> at.Tensor:
    """How badly u fails the equation and its initial values, as one number."""
    value, _, second = derivatives(u, x)
    start, slope, _ = derivatives(u, at.zeros(1, 1, dtype=x.dtype))
    return ((second + value) ** 2).mean() + (start**2).sum() + ((slope - 1) ** 2).sum()


def solve(steps: int, lr: float, seed: int, *, verbose: bool = False) -> nn.Module:
    """Trains a network on the residual at points between 0 and π."""
    at.manual_seed(seed)
    model = network().to(at.float64)
    x = at.linspace(0, math.pi, 32, dtype=at.float64).unsqueeze(1)
    optimizer = optim.Adam(model.parameters(), lr=lr)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(1, steps + 1):
        optimizer.zero_grad()
        loss = residual(model, x)
        loss.backward()
        optimizer.step()
        schedule.step()
        if verbose and step % max(steps // 10, 1) == 0:
            print(f"step {step:5}: residual {loss.item():.2e}")
    return model


def distance(model: nn.Module) -> float:
    """The largest distance of the network from sin(x), between the points that it was trained on."""
    x = at.linspace(0, math.pi, 101, dtype=at.float64).unsqueeze(1)
    return float((model(x) - at.sin(x)).abs().max().item())


def main() -> None:
    """Parses the command line, solves, and compares with the solution."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = distance(solve(options.steps, options.lr, options.seed, verbose=True))
    print(f"largest distance from sin(x): {found:.4f}")
    sys.exit(found > WANTED)


if __name__ == "__main__":
    main()
