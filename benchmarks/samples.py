"""Runs the sample inputs that PyTorch tests its ops with through atled, and prints what differs.

    pip install torch expecttest    # beside atled-core, atled-autograd and atled-nn
    python -m benchmarks.samples --ops '^linalg' --dtypes float64,complex128

For each op, by what differs: how many samples, of which dtypes, and the first one. Kinds are ``missing`` (no function
of that name), ``error`` (atled refuses what PyTorch takes), ``type``, ``shape``, ``dtype``, ``value``, the same of
gradients and second gradients (``gradient value``, ``second value``), and ``accepted`` (atled takes what PyTorch
refuses). A line is a place to look, not a fault: docs/coming-from-pytorch.md has the differences that are meant.

A sample's tensors go to PyTorch's function inside stand-ins; what it calls with them, atled's function of that name
answers. PyTorch's samples are part of its tests, and no stable interface.
"""

from __future__ import annotations

import argparse
import collections
import re
import signal
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import resolve_name
from torch.testing._internal.common_methods_invocations import op_db

import atled.core as at
from atled.autograd import grad
from atled.nn import functional as F

DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
)
OURS = {getattr(torch, name): getattr(at, name) for name in DTYPES}
THEIRS = {ours: theirs for theirs, ours in OURS.items()}
TOLERANCE = {"float16": 5e-3, "bfloat16": 4e-2, "float32": 1e-4, "float64": 1e-8, "complex64": 1e-4, "complex128": 1e-8}
RANDOM = re.compile(
    "dropout|rand|bernoulli|multinomial|normal|uniform|exponential|geometric|cauchy|rrelu|empty|lowrank"
)
NAMESPACES: dict[str, Any] = {
    "torch.Tensor": at.Tensor,
    "torch.nn.functional": F,
    **{f"torch.{name}": getattr(at, name) for name in ("linalg", "fft", "special")},
}
SECONDS = 20  # that a sample may take


class Missing(Exception):
    """atled has no function of that name."""


class Late(BaseException):
    """A sample took too long."""


class StandIn:
    """A tensor of atled where PyTorch's functions expect one of theirs."""

    def __init__(self, tensor: at.Tensor) -> None:
        self.tensor = tensor

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return wrapped(find(function)(*unwrapped(args), **unwrapped(kwargs or {})))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.tensor, name)
        if not callable(found) or isinstance(found, at.Tensor):
            return wrapped(found)
        return lambda *args, **kwargs: wrapped(found(*unwrapped(args), **unwrapped(kwargs)))


def _operator(name: str) -> Callable[..., Any]:
    return lambda self, *others: wrapped(getattr(self.tensor, name)(*unwrapped(others)))


for _name in dir(at.Tensor):
    if re.fullmatch(
        "__(r?(add|sub|mul|truediv|pow|matmul)|neg|invert|abs|getitem|len|bool|int|float|[lg][te]|eq)__", _name
    ):
        setattr(StandIn, _name, _operator(_name))


def find(function: Any) -> Callable[..., Any]:
    """atled's function of the same name."""
    name = resolve_name(function) or getattr(function, "__qualname__", str(function))
    place, _, last = name.rpartition(".")
    for candidate in (NAMESPACES.get(place), at if place.startswith(("torch", "_V")) else None, F, at.Tensor):
        if candidate is not None and hasattr(candidate, last):
            return getattr(candidate, last)  # type: ignore[no-any-return]
    if (inner := re.fullmatch("(linalg|special|fft)_(.*)", last)) and hasattr(getattr(at, inner[1]), inner[2]):
        return getattr(getattr(at, inner[1]), inner[2])  # type: ignore[no-any-return]
    raise Missing(name)


def mapped(value: Any, leaf: Callable[[Any], Any]) -> Any:
    """Containers with ``leaf`` of what is in them."""
    if isinstance(value, dict):
        return {key: mapped(entry, leaf) for key, entry in value.items()}
    if isinstance(value, (list, tuple)) and not isinstance(value, torch.Size):
        entries = [mapped(entry, leaf) for entry in value]
        return (
            type(value)(*entries)
            if hasattr(value, "_fields")
            else tuple(entries)
            if isinstance(value, tuple)
            else entries
        )
    return leaf(value)


def flat(value: Any) -> list[Any]:
    """What is in containers, one after another."""
    found: list[Any] = []
    mapped(value, found.append)
    return found


def wrapped(value: Any) -> Any:
    """What PyTorch's functions are given for what is atled's."""
    return mapped(
        value, lambda v: StandIn(v) if isinstance(v, at.Tensor) else THEIRS.get(v, v) if isinstance(v, at.dtype) else v
    )


def unwrapped(value: Any) -> Any:
    """What atled's functions are given for what is PyTorch's."""

    def leaf(v: Any) -> Any:
        if isinstance(v, StandIn):
            return v.tensor
        if isinstance(v, torch.Tensor):
            return ours(v)
        if isinstance(v, torch.Size):
            return tuple(v)
        if isinstance(v, torch.dtype):
            return OURS[v]
        if isinstance(v, (torch.memory_format, torch.layout)):
            return getattr(at, str(v).removeprefix("torch."), v)
        return str(v) if isinstance(v, torch.device) else v

    return mapped(value, leaf)


def ours(t: torch.Tensor) -> at.Tensor:
    """A copy of atled's, of the same strides."""
    plain = t.detach().resolve_conj().resolve_neg()
    copy = torch.empty_like(plain).copy_(plain)
    made = at.from_dlpack(copy.view(torch.uint8)).view(at.bool) if copy.dtype == torch.bool else at.from_dlpack(copy)
    return made.requires_grad_() if t.requires_grad else made


def theirs(t: at.Tensor) -> torch.Tensor:
    """A copy of PyTorch's."""
    plain = t.detach().contiguous()
    made = (
        torch.from_dlpack(plain.view(at.uint8)).view(torch.bool) if plain.dtype == at.bool else torch.from_dlpack(plain)
    )
    return made.clone()


def difference(mine: Any, other: Any) -> tuple[str, str] | None:
    """In what the results of two calls differ first."""
    mine, other = flat(mine), flat(other)
    if len(mine) != len(other):
        return "type", f"{len(mine)} results, not {len(other)}"
    for m, o in zip(mine, other, strict=True):
        if not isinstance(o, torch.Tensor):
            if isinstance(o, (bool, int, float, complex)) and (isinstance(m, StandIn) or not (m == o or m != m)):
                return "value", f"{m}, not {o}"
            continue
        if not isinstance(m, StandIn):
            return "type", f"{type(m).__name__}, not a tensor"
        if m.tensor.shape != tuple(o.shape):
            return "shape", f"{tuple(m.tensor.shape)}, not {tuple(o.shape)}"
        if OURS.get(o.dtype) is not m.tensor.dtype:
            return "dtype", f"{m.tensor.dtype.name}, not {str(o.dtype).removeprefix('torch.')}"
        found, wanted = theirs(m.tensor), o.detach().resolve_conj().resolve_neg()
        tolerance = TOLERANCE.get(m.tensor.dtype.name, 0.0)
        if tolerance:
            wide = torch.complex128 if wanted.is_complex() else torch.float64
            found, wanted = found.to(wide), wanted.to(wide)
            finite = wanted[wanted.isfinite()].abs()
            scale = min(1.0, max(1e-6, float(finite.max()))) if finite.numel() else 1.0
            alike = torch.isclose(found, wanted, rtol=tolerance, atol=tolerance * scale, equal_nan=True)
        else:
            alike = found == wanted
        if not alike.all():
            at_ = tuple((~alike).nonzero()[0].tolist()) if alike.ndim else ()
            return (
                "value",
                f"{int((~alike).sum())} of {alike.numel()}, at {at_} {found[at_].item()}, not {wanted[at_].item()}",
            )
    return None


def shown(value: Any) -> Any:
    """A sample in short."""
    if not isinstance(value, torch.Tensor):
        return value
    return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"


def gradients(mine: Any, other: Any, inputs: list[Any], leaves: list[Any], again: bool) -> Iterator[tuple[str, str]]:
    """How gradients differ, and with ``again`` second ones."""
    draw = torch.Generator().manual_seed(0)
    for order in ("gradient", "second") if again else ("gradient",):
        pairs = [(m, o) for m, o in zip(mine, other, strict=True) if isinstance(o, torch.Tensor) and o.requires_grad]
        if order == "second":  # which what is linear has none of
            pairs = [(m, o) for m, o in pairs if m.tensor.requires_grad]
        if not pairs:
            return
        seeds = [torch.randn(o.shape, generator=draw, dtype=torch.float64).to(o.dtype) for _, o in pairs]
        options = {"allow_unused": True, "create_graph": again and order == "gradient"}
        try:
            other = torch.autograd.grad([o for _, o in pairs], leaves, seeds, **options)
        except RuntimeError:
            return
        try:
            mine = grad([m.tensor for m, _ in pairs], inputs, [ours(seed) for seed in seeds], **options)
        except Exception as error:
            yield f"{order} error", str(error)
            return
        zero = [
            o if m is None else torch.zeros_like(theirs(m))
            for m, o in zip(mine, other, strict=True)
            if (m is None) != (o is None)
        ]
        kept = [(m, o) for m, o in zip(mine, other, strict=True) if m is not None and o is not None]
        if any(bool((t != 0).any()) for t in zero):
            yield f"{order} none", "no gradient, not one that is not 0"
        mine, other = [StandIn(m) for m, _ in kept], [o for _, o in kept]
        if differs := difference(mine, other):
            yield f"{order} {differs[0]}", differs[1]
            return


def compare(op: Any, dtype: torch.dtype, sample: Any) -> Iterator[tuple[str, str]]:
    """What differs for a sample: kinds, and what is to be said of each."""
    random = RANDOM.search(op.name) is not None
    given = [sample.input, *sample.args], sample.kwargs
    args, kwargs = mapped(
        given, lambda v: v.detach().clone().requires_grad_(v.requires_grad) if isinstance(v, torch.Tensor) else v
    )
    try:
        other = op.op(*args, **kwargs)
    except Exception:
        return
    held = mapped(given, lambda v: StandIn(ours(v)) if isinstance(v, torch.Tensor) else v)
    try:
        method = type(op.op).__name__ == "method_descriptor"  # takes no stand-in
        if any(isinstance(v, StandIn) for v in flat(held)) and not method:
            mine = op.op(*held[0], **held[1])
        else:
            mine = wrapped(find(op.op)(*unwrapped(args), **unwrapped(kwargs)))
    except Missing as name:
        yield "missing", str(name)
        return
    except Exception as error:
        yield "error", f"{type(error).__name__}: {error}"
        return
    differs = difference(mine, other)
    if differs and not (random and differs[0] == "value"):
        yield differs
    elif not random and not differs:
        inputs = [v.tensor for v in flat(held) if isinstance(v, StandIn) and v.tensor.requires_grad]
        leaves = [v for v in flat((args, kwargs)) if isinstance(v, torch.Tensor) and v.requires_grad]
        yield from gradients(flat(mine), flat(other), inputs, leaves, dtype == torch.float64)


def refused(op: Any, sample: Any) -> Iterator[tuple[str, str]]:
    """Where PyTorch refuses a sample, and atled does not."""
    try:
        op.op(sample.input, *sample.args, **sample.kwargs)
        return
    except Exception as error:
        reason = str(error).partition("\n")[0]
    held = mapped(
        ([sample.input, *sample.args], sample.kwargs), lambda v: StandIn(ours(v)) if isinstance(v, torch.Tensor) else v
    )
    try:
        op.op(*held[0], **held[1])
    except Exception:
        return
    yield "accepted", reason


def dense(sample: Any) -> bool:
    """Whether none of a sample's tensors is sparse."""
    given = flat((sample.input, sample.args, sample.kwargs))
    return all(t.layout == torch.strided for t in given if isinstance(t, torch.Tensor))


def samples(
    op: Any, names: list[str], limit: int
) -> Iterator[tuple[str, Any, Callable[[], Iterator[tuple[str, str]]]]]:
    """A dtype's name, a sample and what compares it, for all samples of an op that are dense."""
    for name in names:
        dtype = getattr(torch, name)
        if dtype not in op.supported_dtypes("cpu"):
            continue
        differentiable = op.supports_autograd and dtype in op.supported_backward_dtypes("cpu") and name in TOLERANCE
        drawn = list(op.sample_inputs("cpu", dtype, requires_grad=differentiable and name[-2:] not in ("16",)))
        for sample in filter(dense, drawn[:limit]):
            yield name, sample, lambda dtype=dtype, sample=sample: compare(op, dtype, sample)  # type: ignore[misc]
    if op.error_inputs_func:
        for case in list(op.error_inputs("cpu"))[:limit]:
            if not dense(case.sample_input):
                continue
            yield "", case.sample_input, lambda sample=case.sample_input: refused(op, sample)  # type: ignore[misc]


def main() -> None:
    """Prints what differs, op by op."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ops", default="", help="a regular expression that names of ops match")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--limit", type=int, default=100, help="samples of each op and dtype")
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    def too_late(*_: Any) -> None:
        raise Late

    signal.signal(signal.SIGALRM, too_late)
    compared: collections.Counter[str] = collections.Counter()
    for op in op_db:
        if not re.search(options.ops, op.name):
            continue
        found: dict[str, list[tuple[str, str]]] = {}
        for dtype, sample, look in samples(op, options.dtypes.split(","), options.limit):
            compared["samples"] += 1
            signal.alarm(SECONDS)
            try:
                for kind, text in look():
                    given = mapped((sample.input, *sample.args, *sample.kwargs.items()), shown)
                    found.setdefault(kind, []).append((dtype, f"{given}: {text}"))
            except Late:
                found.setdefault("late", []).append((dtype, f"over {SECONDS} s"))
            finally:
                signal.alarm(0)
        for kind, cases in found.items():
            dtypes = " ".join(dict.fromkeys(dtype for dtype, _ in cases))
            print(f"{op.name} {op.variant_test_name}: {kind}, {len(cases)} [{dtypes}] {cases[0][1][:300]}", flush=True)
            compared[kind] += len(cases)
    print(", ".join(f"{count} {kind}" for kind, count in compared.items()))


if __name__ == "__main__":
    main()
