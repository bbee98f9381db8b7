"""Calls of registered ops with arguments that need not make sense: nothing may crash, and errors are atled's own."""

from __future__ import annotations

from typing import Any

import numpy as np

import atled.core as at
from atled.core import _core
from atled.core._ops import NAMESPACES

from ._pool import Pool
from ._program import Mismatch

_OPTIONAL, _HAS_DEFAULT = 1 << 0, 1 << 3  # flags of arguments, as atled/abi.h numbers them
_INTS = (0, 1, -1, 2, -2, 3, 5, 8, -7, 64, 2**40, -(2**40), 2**62, 2**63 - 1, -(2**63))
_SMALL = _INTS[:9]
_LARGEST = 2000  # elements of a tensor: results may be as large as its square
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 1e-300, 1e300, np.nan, np.inf, -np.inf)
_STRINGS = ("", "sum", "mean", "floor", "trunc", "amax", "linear", "ij,jk->ik", "none", "ortho", "\x00", "é" * 40)


def _argument(pool: Pool, kind: str) -> Any:
    """Something of a schema's type, or now and then of another."""
    rng = pool.rng
    if rng.random() < 0.02:
        return rng.choice(np.array([None, "text", 1.5, [[1], 2], object()], dtype=object))
    plain = kind.removesuffix("?").replace("(a!)", "")
    if kind.endswith("?") and rng.random() < 0.5:
        return None
    ints = _SMALL if rng.random() < 0.9 else _INTS
    plain = str(rng.choice(plain.split("|")))
    if plain == "Scalar":
        plain = str(rng.choice(["int", "float", "bool"]))
    if plain.startswith("Tensor"):
        if "[" in plain:
            return [_tensor(pool) for _ in range(int(rng.integers(0, 5)))]
        return _tensor(pool)
    if plain.startswith("int["):
        return [int(rng.choice(ints)) for _ in range(int(rng.integers(0, 5)))]
    if plain.startswith("float["):
        return [float(rng.choice(_FLOATS)) for _ in range(int(rng.integers(0, 5)))]
    if plain == "dtype":
        return getattr(at, pool.dtype())
    simple: dict[str, Any] = {
        "int": lambda: int(rng.choice(ints)),
        "float": lambda: float(rng.choice(_FLOATS)),
        "bool": lambda: bool(rng.random() < 0.5),
        "str": lambda: str(rng.choice(_STRINGS)),
        "device": lambda: str(rng.choice(["cpu", "meta", "cpu:1", "nowhere", pool.device])),
        "Generator": lambda: at.Generator(),
    }
    return simple[plain]()


def _tensor(pool: Pool) -> at.Tensor:
    value = pool.pick(lambda v: v.array.size <= _LARGEST) if pool.rng.random() < 0.7 else None
    while value is None or value.array.size > _LARGEST:
        value = pool.fresh()
    return value.tensor if pool.device == "cpu" or pool.rng.random() < 0.97 else value.tensor.cpu()


def run_wild(seed: int, steps: int = 40, device: str = "cpu") -> int:
    """Calls as many ops at random; returns how many, and raises Mismatch when an error is not atled's own.

    On other devices than the CPU it waits for each, which may raise only then.
    """
    pool = Pool(np.random.default_rng(seed), device)
    one = pool.place(np.ones(1))
    ops = [op for op in _core.ops() if op.ns in NAMESPACES]
    for _ in range(steps):
        op = ops[int(pool.rng.integers(len(ops)))]
        given: dict[str, Any] = {}
        for name, kind, _default, flags in op.args:
            if flags & _HAS_DEFAULT and pool.rng.random() < 0.5:
                continue
            given[name] = _argument(pool, kind.strip())
        try:
            op(**given)
            one.cpu()
        except at.AtledError:
            pass
        except Exception as error:
            text = ", ".join(f"{name}={_brief(value)}" for name, value in given.items())
            raise Mismatch(f"{op.qualified_name}({text}): {type(error).__name__}: {error}") from error
    return steps


def _brief(value: Any) -> str:
    if isinstance(value, at.Tensor):
        return f"{value.dtype.name}{list(value.shape)}"
    return f"[{', '.join(map(_brief, value))}]" if isinstance(value, list) else repr(value)
