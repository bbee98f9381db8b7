"""Gradients of the fuzzer's random programs on atled and on PyTorch: ``python -m benchmarks.gradients --seconds 60``.

A program that PyTorch cannot run (an op that it has not, an in-place change that it refuses) is left out and counted by
reason with ``--why``. Where both run, gradients have to agree to rounding; what differs is shown, with status 1.
"""

import argparse
import collections
import sys
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import torch

import atled.core as at
from atled.testing.fuzz._gradient_check import gradients, shrink
from atled.testing.fuzz._gradient_program import Program
from atled.testing.fuzz._gradient_steps import draw_program

ROOMS = {"": [torch, torch.Tensor], "core": [torch, torch.Tensor], "linalg": [torch.linalg], "fft": [torch.fft]}
ROOMS["special"] = [torch.special]
CLOSE = 1e-8  # of the largest gradient

# What is known to differ, by a word of the program, and why. Finite differences say that atled's gradients are right.
KNOWN = {
    "scatter_reduce": "without include_self PyTorch sends a part of the gradient to elements that had no part in it",
    "special::": "of its polynomials and Bessel functions PyTorch records nothing, and does not say so",
    "cholesky_": "PyTorch's gradient counts the triangle that is not read",
    "as_strided_scatter": "PyTorch takes places in memory for those of a contiguous tensor",
    "masked_scatter": "with a source that is the target, or a view of it, PyTorch reads what it has written",
    "hypot": "at the origin PyTorch has NaN, atled the smallest slope, 0",
    "positive": "PyTorch hands its argument back, which later changes in place then change too",
    "conj": "PyTorch hands a real argument back, and answers a view of a complex one",
    "lstsq": "PyTorch's residuals are empty for some drivers",
}


class Torch:
    """PyTorch, as a world for programs."""

    def call(self, op: str, *args: Any, **kwargs: Any) -> Any:
        """PyTorch's function, or else method, of that name."""
        namespace, _, name = op.rpartition("::")
        for room in ROOMS[namespace]:
            if hasattr(room, name):
                return getattr(room, name)(*map(_argument, args), **{k: _argument(v) for k, v in kwargs.items()})
        raise NotImplementedError(f"torch has no {op}")

    def constant(self, array: Any) -> torch.Tensor:
        """A copy."""
        return torch.from_numpy(np.array(array))

    def leaf(self, array: Any, layout: int) -> torch.Tensor:
        """Contiguous, whatever the layout."""
        return self.constant(array).requires_grad_()


def _argument(value: Any) -> Any:
    return getattr(torch, value.name) if isinstance(value, at.dtype) else value


def compare(program: Program) -> str:
    """What differs, if anything; raises what PyTorch raises."""
    world, arrays = Torch(), [leaf.array for leaf in program.leaves]
    leaves, slots = program.values(world, arrays)
    loss = program.loss(world, slots)
    loss.backward()
    value, found = gradients(program, arrays)
    scale = 1 + max((float(np.max(np.abs(g))) for g in found), default=0.0)
    if not abs(value - loss.item()) <= CLOSE * (1 + abs(value)):
        return f"the loss is {value:.10g} here, {loss.item():.10g} there"
    for leaf, tensor, gradient in zip(program.leaves, leaves, found, strict=True):
        other = np.zeros_like(gradient) if tensor.grad is None else tensor.grad.resolve_conj().numpy()
        if not np.allclose(gradient, other, rtol=0, atol=CLOSE * scale, equal_nan=True):
            return f"the gradient of v{leaf.slot} is\n{gradient}\nhere, there\n{other}"
    return ""


def main() -> None:
    """Compares programs for a while."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=4, help="few, for PyTorch has to know all of a program's ops")
    parser.add_argument("--why", action="store_true", help="say why programs were left out")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of PyTorch, about names that it would rather not have
    end, seed, wrong = time.monotonic() + options.seconds, options.seed, 0
    left_out: collections.Counter[str] = collections.Counter()
    while time.monotonic() < end:
        drawn = draw_program(seed, options.steps)
        # Whether a reshape is a view depends on the memory order.
        program = replace(drawn, leaves=tuple(replace(leaf, layout=-1) for leaf in drawn.leaves))
        try:
            difference = compare(program)
        except Exception as error:
            left_out[f"{type(error).__name__}: {str(error).splitlines()[0][:70]}"] += 1
            difference = ""
        smaller = shrink(program, compare) if difference else program
        reason = next((why for part, why in KNOWN.items() if difference and part in str(smaller)), None)
        if reason:
            left_out[reason] += 1
        elif difference:
            wrong += 1
            print(f"seed {seed}: {compare(smaller)}\n  {smaller}", flush=True)
        seed += 1
    if options.why:
        for reason, count in left_out.most_common(40):
            print(f"{count:6} {reason}")
    count = seed - options.seed
    print(f"{count - left_out.total()} programs compared, {left_out.total()} left out, {wrong} differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
