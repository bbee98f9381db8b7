"""Chains of element-wise calls and reductions: fused (`at.compile`), each at once, and PyTorch's, both ways."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import atled.core as at
from benchmarks.rows.row import Row

N = 4 * 2**20
ROWS = (4096, 1024)


def _light(xp: Any, a: Any, b: Any) -> Any:
    return ((a * 2 + b) * a - b) * 0.5 + a


def _gelu(xp: Any, a: Any) -> Any:
    return 0.5 * a * (1 + xp.tanh(0.7978845608 * (a + 0.044715 * a**3)))


def _swish_gate(xp: Any, a: Any, b: Any) -> Any:
    return a * xp.sigmoid(a) * b


def _affine(xp: Any, x: Any, mean: Any, scale: Any, weight: Any, bias: Any) -> Any:
    return xp.relu((x - mean) * scale * weight + bias)


def _adam(xp: Any, p: Any, g: Any, m: Any, v: Any) -> Any:
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    return p - 1e-3 * m / (v.sqrt() + 1e-8), m, v


def _huber_backward(xp: Any, a: Any, b: Any) -> Any:
    a.grad = None
    d = a - b
    xp.where(d.abs() < 1, 0.5 * d * d, d.abs() - 0.5).sum().backward()
    return a.grad


def _squared_error(xp: Any, a: Any, b: Any) -> Any:
    return ((a - b) ** 2).mean()


def _rms_norm(xp: Any, x: Any, weight: Any) -> Any:
    return x * ((x * x).mean(-1, keepdim=True) + 1e-6).rsqrt() * weight


def _layer_norm(xp: Any, x: Any, weight: Any, bias: Any) -> Any:
    d = x - x.mean(-1, keepdim=True)
    return d * ((d * d).mean(-1, keepdim=True) + 1e-5).rsqrt() * weight + bias


def _softmax(xp: Any, x: Any) -> Any:
    e = (x - x.amax(-1, keepdim=True)).exp()
    return e / e.sum(-1, keepdim=True)


# Name, call, shapes of the arguments, whether the first needs gradients; what it may take of each peer's time.
_CHAINS: list[tuple[str, Callable[..., Any], list[tuple[int, ...]], bool, dict[str, float]]] = [
    ("six light calls", _light, [(N,), (N,)], False, {"torch": 0.6, "at once": 0.75}),
    ("gelu as written", _gelu, [(N,)], False, {"torch": 0.5, "at once": 0.9}),
    ("gated swish", _swish_gate, [(N,), (N,)], False, {"torch": 1.0, "at once": 0.95}),
    (
        "normalised rows",
        _affine,
        [ROWS, (ROWS[0], 1), (ROWS[0], 1), (ROWS[1],), (ROWS[1],)],
        False,
        {"torch": 0.6, "at once": 0.7},
    ),
    ("Adam as written", _adam, [(N,), (N,), (N,), (N,)], False, {"torch": 0.7, "at once": 0.9}),
    ("mean squared error", _squared_error, [(N,), (N,)], False, {"torch": 0.6, "at once": 0.7}),
    ("RMS norm as written", _rms_norm, [ROWS, (ROWS[1],)], False, {"torch": 0.6, "at once": 0.7}),
    ("layer norm as written", _layer_norm, [ROWS, (ROWS[1],), (ROWS[1],)], False, {"torch": 0.6, "at once": 0.6}),
    ("softmax as written", _softmax, [ROWS], False, {"torch": 0.7, "at once": 0.9}),
    ("Huber loss, both ways", _huber_backward, [(N,), (N,)], True, {"torch": 0.5, "at once": 0.9}),
]


def rows() -> list[Row]:
    """Chains over 4M float32; ATLED_BENCH_COMPILE=1 puts torch.compile beside them, which needs a C++ compiler."""
    found = []
    rng = np.random.default_rng(0)
    for name, call, shapes, differentiated, budgets in _CHAINS:
        arrays = [np.abs(rng.standard_normal(shape, dtype=np.float32)) + np.float32(0.1) for shape in shapes]

        def bind(
            xp: Any, make: Callable[[Any], Any], run: Any, arrays: Any = arrays, grad: bool = differentiated
        ) -> Any:
            given = [make(array.copy()) for array in arrays]
            if grad:
                given[0].requires_grad_()
            return lambda: run(xp, *given)

        peers = {
            "atled": bind(at, at.tensor, at.compile(call)),
            "at once": bind(at, at.tensor, call),
            "torch": bind(torch, torch.from_numpy, call),
        }
        if os.environ.get("ATLED_BENCH_COMPILE"):
            peers["torch.compile"] = bind(torch, torch.from_numpy, torch.compile(call))
        found.append(Row(f"{name}, fused", peers, budgets))
    return found
