"""One computation put to each library: atled, PyTorch (which shares its names), NumPy, and JAX and MLX if installed."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import torch

import atled.core as at
from benchmarks.rows.row import Row

try:
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
except ImportError:
    jax = None

try:
    import mlx.core as mlx
except ImportError:
    mlx = None

Array = Mapping[str, Any]  # the same array in each library
Compute = Callable[..., object]  # of the library's module and its arrays

# No slower than any other library, beside the share of PyTorch's time that a row allows.
OTHERS = 1.0


def everywhere(x: np.ndarray, dtype: str | None = None) -> Array:
    """An array as each library's own; NumPy's memory is shared where the library can. ``dtype`` is what NumPy lacks."""
    made: dict[str, Any] = {"numpy": x, "torch": torch.from_numpy(x), "atled": at.asarray(x)}
    if dtype is not None:
        del made["numpy"]
        made["torch"] = made["torch"].to(getattr(torch, dtype))
        made["atled"] = made["atled"].to(getattr(at, dtype))
    if jax is not None:
        made["jax"] = jnp.asarray(x, dtype=dtype)
    kind = getattr(mlx, {"bool": "bool_"}.get(x.dtype.name, dtype or x.dtype.name), None)
    if kind is not None:
        made["mlx"] = mlx.array(x, kind)
    return made


def beside(
    name: str,
    call: Compute,
    arrays: list[Array],
    budget: float,
    *,
    numpy: Compute | None = None,
    jax_: Compute | None = None,
    moved: int | None = None,
) -> Row:
    """A row whose peers compute ``call(module, *arrays)``.

    Args:
        name: the row's name.
        call: what atled and PyTorch do.
        arrays: the arguments after the module, from :func:`everywhere`.
        budget: the most of PyTorch's time that atled may take.
        numpy: what NumPy does, or None to leave it out.
        jax_: what JAX does, compiled, and MLX, where it has all of it; or None to leave both out.
        moved: bytes that a memory-bound call reads and writes: it must reach 85 % of a copy's bandwidth.
    """
    peers: dict[str, Callable[[], object]] = {}
    calls: dict[str, tuple[Any, Compute | None]] = {"atled": (at, call), "numpy": (np, numpy), "torch": (torch, call)}
    for peer, (module, compute) in calls.items():
        if compute is not None:
            peers[peer] = partial(compute, module, *[array[peer] for array in arrays])
    if jax is not None and jax_ is not None:
        peers["jax"] = _compiled(jax_, [array["jax"] for array in arrays])
    if jax_ is not None and all("mlx" in array for array in arrays):
        run = _lazy(jax_, [array["mlx"] for array in arrays])
        if run is not None:
            peers["mlx"] = run
    budgets = {peer: budget if peer == "torch" else OTHERS for peer in peers if peer != "atled"}
    if moved is not None:
        peers["copy"] = _copy(moved)
        budgets["copy"] = 1 / 0.85
    return Row(name, peers, budgets)


def _compiled(compute: Compute, arguments: list[Any]) -> Callable[[], object]:
    run = jax.jit(lambda *given: compute(jnp, *given))
    return lambda: jax.block_until_ready(run(*arguments))


def _lazy(compute: Compute, arguments: list[Any]) -> Callable[[], object] | None:
    """The same in MLX, whose names are mostly NumPy's; None where it lacks one, or answers a view and does no work."""
    mlx.set_default_device(mlx.cpu)
    call = mlx.compile(lambda *given: compute(mlx, *given))

    def run() -> object:
        result = call(*arguments)
        mlx.eval(result)
        return result

    try:
        done = memoryview(run()).c_contiguous  # type: ignore[arg-type]
    except Exception:
        return None
    return run if done else None


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count())


@cache
def _copy(moved: int) -> Callable[[], object]:
    """A copy on all processors that reads and writes ``moved`` bytes together: what the memory gives."""
    source, target = np.ones(moved // 2, dtype=np.uint8), np.zeros(moved // 2, dtype=np.uint8)
    pieces = list(zip(np.array_split(target, 8), np.array_split(source, 8), strict=True))

    def run() -> None:
        list(_workers().map(lambda piece: np.copyto(*piece), pieces))

    return run
