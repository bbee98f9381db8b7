"""Gradients of random programs, compared with central differences.

For a random direction u, the derivative of loss(x + t·u) at 0 is Re⟨∇loss, u⟩. Differences with two steps, h and h/2,
are extrapolated; that they disagree, or that the one-sided differences do not draw nearer as they must where the loss
is smooth, is a measure of the error of the differences themselves. A point where that is large (near a kink, or badly
conditioned) says nothing, and is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

import atled.core as at

from .._convert import Array
from ._gradient_program import Atled, Program, numbers
from ._gradient_steps import draw_program
from ._program import Mismatch

_STEP = 1e-4
_ATOL, _RTOL = 1e-7, 1e-6
_WORST = 1e-3  # relative error of differences that still say something

Arrays = list[Array]
Peer = Callable[[Program], tuple[bool, str]]


@dataclass
class Tally:
    """What became of the directions that were tried."""

    compared: int = 0
    second: int = 0
    skipped: int = 0
    peer: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        self.compared += other.compared
        self.second += other.second
        self.skipped += other.skipped
        self.peer += other.peer
        return self

    def __str__(self) -> str:
        peer = f", {self.peer} programs beside PyTorch" if self.peer else ""
        return f"{self.compared} first and {self.second} second derivatives, {self.skipped} points skipped{peer}"


def gradients(program: Program, arrays: Arrays) -> tuple[float, Arrays]:
    """The loss and the tape's gradients."""
    leaves, slots = program.values(Atled(program.device), arrays)
    loss = program.loss(Atled(program.device), slots)
    loss.backward()
    return loss.item(), [_gradient(leaf) for leaf in leaves]


def _gradient(leaf: at.Tensor) -> Array:
    return np.zeros(tuple(leaf.shape), leaf.dtype.name) if leaf.grad is None else numbers(leaf.grad)


def _seeds(program: Program) -> Arrays:
    return [program.weights(-1 - leaf.slot, leaf.array.shape, leaf.array.dtype.kind == "c") for leaf in program.leaves]


def second_gradients(program: Program, arrays: Arrays) -> tuple[float, Arrays]:
    """A random projection of the tape's gradients, and the tape's gradients of that."""
    world = Atled(program.device)
    leaves, slots = program.values(world, arrays)
    program.loss(world, slots).backward(create_graph=True)
    total = world.constant(np.zeros(()))
    for leaf, seed in zip(leaves, _seeds(program), strict=True):
        if leaf.grad is None:
            continue
        product = leaf.grad * world.constant(np.conj(seed))
        total = total + (product.real if seed.dtype.kind == "c" else product).sum()
        leaf.grad = None
    if total.requires_grad:
        total.backward()
    return total.item(), [_gradient(leaf) for leaf in leaves]


def projection(program: Program, arrays: Arrays) -> float:
    """The same projection from a first-order run alone."""
    _, found = gradients(program, arrays)
    return float(sum(np.sum(np.conj(seed) * g).real for seed, g in zip(_seeds(program), found, strict=True)))


def loss_of(program: Program, arrays: Arrays) -> float:
    """The loss alone."""
    return float(program.loss(Atled(program.device), program.values(Atled(program.device), arrays)[1]).item())


def differences(f: Callable[[Arrays], float], arrays: Arrays, direction: Arrays) -> tuple[float, float]:
    """The derivative of f along a direction, and an estimate of what it may be off."""

    def at_(t: float) -> float:
        return f([np.asarray(a + t * u) for a, u in zip(arrays, direction, strict=True)])

    here = at_(0)
    slopes, jumps = [], []
    for h in (_STEP, _STEP / 2):
        ahead, behind = at_(h), at_(-h)
        slopes.append((ahead - behind) / (2 * h))
        jumps.append((ahead - 2 * here + behind) / h)
    coarse, fine = slopes
    # Where f is smooth, the one-sided differences draw nearer in proportion to the step.
    error = abs(fine - coarse) + abs(jumps[1] - jumps[0] / 2) + 1e-14 * abs(here) / _STEP
    return (4 * fine - coarse) / 3, error


def _directions(program: Program, rng: np.random.Generator) -> list[Arrays]:
    """Along the real parts of all leaves, and along the imaginary parts of complex ones."""
    real = [rng.standard_normal(leaf.array.shape) for leaf in program.leaves]
    if all(leaf.array.dtype.kind != "c" for leaf in program.leaves):
        return [real]
    kinds = [leaf.array.dtype.kind for leaf in program.leaves]
    imaginary = [
        1j * rng.standard_normal(u.shape) if kind == "c" else 0 * u for u, kind in zip(real, kinds, strict=True)
    ]
    return [real, imaginary]


def compare(program: Program, *, second: bool) -> tuple[Tally, str]:
    """Compares the gradients of one program; the text says what is wrong, if anything is."""
    arrays = [leaf.array for leaf in program.leaves]
    try:
        _, found = (second_gradients if second else gradients)(program, arrays)
    except at.NotImplementedOpError:
        return Tally(skipped=1), ""
    tally = Tally()
    for direction in _directions(program, np.random.default_rng(program.seed)):
        numeric, error = differences(lambda xs: (projection if second else loss_of)(program, xs), arrays, direction)
        if not error <= _WORST * (1 + abs(numeric)):
            tally.skipped += 1
            continue
        tally.compared += not second
        tally.second += second
        analytic = float(sum(np.sum(np.conj(g) * u).real for g, u in zip(found, direction, strict=True)))
        if not abs(analytic - numeric) <= _ATOL + _RTOL * abs(numeric) + 3 * error:
            order = "second " if second else ""
            return (
                tally,
                f"the tape's {order}derivative is {analytic:.10g}, by differences {numeric:.10g} ± {error:.1g}",
            )
    return tally, ""


def shrink(program: Program, wrong: Callable[[Program], str]) -> Program:
    """A part of the program of which `wrong` still says something: fewer steps, one slot in the loss, plain leaves."""

    def fails(candidate: Program) -> bool:
        try:
            return bool(wrong(candidate))
        except Exception:
            return False

    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(program.steps))):
            smaller = program.without(i)
            if fails(smaller):
                program, changed = smaller, True
                break
    slots = [leaf.slot for leaf in program.leaves] + [step.slot for step in program.steps if not step.in_place]
    for only in slots:
        if fails(replace(program, only=only)):
            program = replace(program, only=only)
            break
    plain = replace(program, leaves=tuple(replace(leaf, layout=-1) for leaf in program.leaves))
    return plain if fails(plain) else program


def run_gradients(seed: int, steps: int = 8, peer: Peer | None = None, device: str = "cpu") -> Tally:
    """Draws the program of that seed and compares its gradients; Mismatch shows a shrunken program if one is wrong.

    They are computed on a device. A peer compares them with another library's: it answers whether that can run the
    program, and what is wrong.

    >>> run_gradients(seed=2, steps=3).compared > 0
    True
    """
    with np.errstate(all="ignore"):
        program = replace(draw_program(seed, steps), device=device)
        tally = Tally()
        for second in (False, True) if seed % 3 == 0 else (False,):
            try:
                counted, wrong = compare(program, second=second)
            except Exception as error:
                raise Mismatch(f"{type(error).__name__}: {error}\n  {program}\n{_again(program, steps)}") from error
            tally += counted
            if wrong:
                smaller = shrink(program, lambda part: compare(part, second=second)[1])  # noqa: B023 - used at once
                text = compare(smaller, second=second)[1]
                raise Mismatch(f"{text}\n  {smaller}\n{_again(program, steps)}")
        if peer is not None:
            ran, wrong = peer(program)
            tally.peer += ran
            if wrong:
                smaller = shrink(program, lambda part: peer(part)[1])
                raise Mismatch(f"{peer(smaller)[1]}\n  {smaller}\n{_again(program, steps)} --torch")
    return tally


def _again(program: Program, steps: int) -> str:
    place = f" --device {program.device}" if program.device != "cpu" else ""
    return (
        f"run again: python -m atled.testing.fuzz --gradients --seed {program.seed} --programs 1 --steps {steps}{place}"
    )
