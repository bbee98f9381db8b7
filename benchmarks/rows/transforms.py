"""Higher orders, long chains and transforms of functions: what they cost beside PyTorch's autograd and torch.func."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import atled.core as at
from atled import autograd, nn
from atled.autograd import func
from benchmarks.rows.row import Row

CHAIN = 10_000


def _both(x: Any, make: Callable[[Any], Callable[[], object]]) -> dict[str, Callable[[], object]]:
    """The same run on both sides; ``make`` gets the library's tensor."""
    array = np.asarray(x, dtype=np.float32)
    return {"atled": make(at.asarray(array).clone()), "torch": make(torch.from_numpy(array.copy()))}


def _grad_of(x: Any) -> Any:
    return autograd.grad if isinstance(x, at.Tensor) else torch.autograd.grad


def _func_of(x: Any) -> Any:
    return func if isinstance(x, at.Tensor) else torch.func


def _twice(x: Any) -> Callable[[], object]:
    """41 ops forward, backward with ``create_graph``, and the backward pass of that."""
    x.requires_grad_()
    grad = _grad_of(x)

    def run() -> object:
        y = x
        for _ in range(20):
            y = y * x + x
        (first,) = grad(y.sum(), x, create_graph=True)
        return grad(first.sum(), x)

    return run


def _long_chain(x: Any) -> Callable[[], object]:
    x.requires_grad_()
    grad = _grad_of(x)

    def run() -> object:
        y = x
        for _ in range(CHAIN):
            y = y * 1.0001
        return grad(y.sum(), x)

    return run


def _function(x: Any) -> Any:
    """Of 8 numbers: a small function with a product, a sine and a sum over pairs."""
    return ((x * x).sum() + (x.sin() * x.exp()).sum()) * x.sum()


def _jacobian(x: Any) -> Callable[[], object]:
    run = _func_of(x).jacrev(lambda v: (v * v.sum()).sin())
    return lambda: run(x)


def _forward_jacobian(x: Any) -> Callable[[], object]:
    run = _func_of(x).jacfwd(lambda v: (v * v.sum()).sin())
    return lambda: run(x)


def _hessian(x: Any) -> Callable[[], object]:
    run = _func_of(x).hessian(_function)
    return lambda: run(x)


def _batched(x: Any) -> Callable[[], object]:
    run = _func_of(x).vmap(lambda v: (v * v.sum()).sin().sum())
    return lambda: run(x)


def _per_sample(library: Any, transforms: Any, state: dict[str, Any], data: Any, target: Any) -> Callable[[], object]:
    """The gradient of each of 32 samples by the parameters of a small network."""
    loss_of = library.functional.cross_entropy

    def loss(params: Any, x: Any, y: Any) -> Any:
        hidden = (params["w1"] @ x + params["b1"]).tanh()
        return loss_of((params["w2"] @ hidden + params["b2"]).unsqueeze(0), y.unsqueeze(0))

    run = transforms.vmap(transforms.grad(loss), in_dims=(None, 0, 0))
    return lambda: run(state, data, target)


def rows() -> list[Row]:
    """A second backward pass, 10 000 ops in a chain, Jacobians, Hessians, vmap and gradients for each sample."""
    rng = np.random.default_rng(0)
    eight = rng.standard_normal(8, dtype=np.float32) * 0.3
    state = {
        "w1": rng.standard_normal((32, 16), dtype=np.float32),
        "b1": np.zeros(32, np.float32),
        "w2": rng.standard_normal((10, 32), dtype=np.float32),
        "b2": np.zeros(10, np.float32),
    }
    data, target = rng.standard_normal((32, 16), dtype=np.float32), rng.integers(0, 10, 32)
    ours = {name: at.asarray(value).clone() for name, value in state.items()}
    theirs = {name: torch.from_numpy(value) for name, value in state.items()}
    return [
        Row("chain of 41 ops, create_graph and second backward", _both(eight, _twice), {"torch": 0.25}),
        Row("chain of 10 000 ops, forward and backward", _both(eight[:2], _long_chain), {"torch": 0.20}),
        Row("jacrev of 8 numbers", _both(eight, _jacobian), {"torch": 0.5}),
        Row("jacfwd of 8 numbers", _both(eight, _forward_jacobian), {"torch": 0.5}),
        Row("hessian of 8 numbers", _both(eight, _hessian), {"torch": 0.5}),
        Row("vmap of a small function", _both(np.stack([eight] * 32), _batched), {"torch": 0.5}),
        Row(
            "gradients of an MLP for each of 32 samples",
            {
                "atled": _per_sample(nn, func, ours, at.asarray(data), at.asarray(target)),
                "torch": _per_sample(torch.nn, torch.func, theirs, torch.from_numpy(data), torch.from_numpy(target)),
            },
            {"torch": 0.5},
        ),
    ]
