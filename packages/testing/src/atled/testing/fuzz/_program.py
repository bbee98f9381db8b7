"""Running a program: steps drawn at random, each compared with NumPy."""

from __future__ import annotations

import numpy as np

import atled.core as at

from .._compare import assert_ulps
from .._convert import Array, to_numpy
from ._pool import Pool
from ._steps import STEPS, Step


class Mismatch(AssertionError):
    """A step did something else than NumPy; the text holds the program so far and how to run it again."""


def _outputs(result: object) -> list[at.Tensor]:
    return list(result) if isinstance(result, (tuple, list)) else [result]  # type: ignore[list-item]


def _compare(step: Step, got: at.Tensor, expected: Array) -> Array:
    values = to_numpy(got)
    dtype = step.dtype or expected.dtype.name
    assert values.dtype.name == dtype, f"expected {dtype}, got {values.dtype.name}"
    assert values.shape == expected.shape, f"expected shape {expected.shape}, got {values.shape}"
    assert_ulps(values, expected, step.ulps, step.scale)
    return values


def run_step(pool: Pool, step: Step) -> None:
    """Runs one step on tensors and arrays; AssertionError when they disagree."""
    with np.errstate(all="ignore"):
        wanted = step.expected()
    expected = [np.asarray(e) for e in (wanted if isinstance(wanted, (tuple, list)) else [wanted])]
    result = step.actual()
    if step.target is not None:
        values = _compare(step, step.target.tensor, expected[0])
        step.target.array[...] = values
        pool.check(step.text)
        return
    for got, array in zip(_outputs(result), expected, strict=True):
        values = _compare(step, got, array)
        if step.view:
            pool.add(got, array)
        else:
            pool.add(got, values)


def run_program(seed: int, steps: int = 40, device: str = "cpu") -> int:
    """Runs one program on a device; returns how many steps there were, and raises Mismatch at the first wrong one.

    >>> run_program(seed=1, steps=5)
    5
    """
    rng = np.random.default_rng(seed)
    pool = Pool(rng, device)
    lines: list[str] = []
    for _ in range(3):
        value = pool.fresh()
        lines.append(f"{value.name}: {value.dtype}{list(value.shape)}")
    names = list(STEPS)
    place = f" --device {device}" if device != "cpu" else ""
    done = 0
    while done < steps:
        step = STEPS[names[int(rng.integers(len(names)))]](pool)
        if step is None:
            continue
        lines.append(f"v{pool.count} = {step.text}")
        try:
            run_step(pool, step)
        except (AssertionError, at.AtledError, TypeError, ValueError) as error:
            program = "\n  ".join(lines)
            again = f"run again: python -m atled.testing.fuzz --seed {seed} --programs 1 --steps {steps}{place}"
            raise Mismatch(f"{type(error).__name__}: {error}\n  {program}\n{again}") from error
        done += 1
    return done
