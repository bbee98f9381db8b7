"""A model as a table: its layers, their outputs and their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import atled.core as at
from atled.core._explained import explained

from ._module import Module
from ._parameter import requires_grad

_HEADERS = ("Layer", "Output shape", "Parameters")


@dataclass
class Row:
    """One module: where it stands, what it gave and the parameters that are its own."""

    name: str
    kind: str
    depth: int
    parameters: int
    output: str = "not called"


@dataclass
class Summary:
    """What `summary` answers; printing it prints the table. Sizes are in bytes.

    >>> import atled.core as at
    >>> from atled import nn
    >>> table = nn.summary(nn.Linear(3, 2), at.ones(1, 3))
    >>> [(row.kind, row.output, row.parameters) for row in table.rows], table.parameter_bytes
    ([('Linear', '(1, 2)', 8)], 32)
    """

    rows: list[Row] = field(default_factory=list)
    total_parameters: int = 0
    trainable_parameters: int = 0
    parameter_bytes: int = 0
    buffer_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0

    def __str__(self) -> str:
        cells = [
            ("  " * r.depth + (f"{r.name} ({r.kind})" if r.name else r.kind), r.output, f"{r.parameters:,}")
            for r in self.rows
        ]
        widths = [max(len(row[i]) for row in (_HEADERS, *cells)) for i in range(3)]
        rule = "-" * (sum(widths) + 4)

        def line(row: tuple[str, ...]) -> str:
            return f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}"

        frozen = self.total_parameters - self.trainable_parameters
        return "\n".join(
            (
                line(_HEADERS),
                rule,
                *map(line, cells),
                rule,
                f"Parameters: {self.total_parameters:,} ({self.trainable_parameters:,} trainable, {frozen:,} frozen)",
                f"Memory: {_size(self.parameter_bytes)} parameters, {_size(self.buffer_bytes)} buffers, "
                f"{_size(self.input_bytes)} input, {_size(self.output_bytes)} outputs",
            )
        )

    __repr__ = __str__


def _size(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _tensors(value: Any) -> Iterator[at.Tensor]:
    if isinstance(value, at.Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)


def _shape(output: Any) -> str:
    return ", ".join(str(tuple(t.shape)) for t in _tensors(output)) or type(output).__name__


@explained
def summary(model: Module, input: Any) -> Summary:
    """Calls the model once, in evaluation mode, and tables each module's output shape and own parameters.

    ``input`` is a tensor, or a tuple of all arguments. Shared modules and parameters count once. Outputs'
    memory is that of the modules that have none within.

    >>> import atled.core as at
    >>> from atled import nn
    >>> print(nn.summary(nn.Linear(3, 2), at.ones(1, 3)))
    Layer   Output shape  Parameters
    --------------------------------
    Linear  (1, 2)                 8
    --------------------------------
    Parameters: 8 (8 trainable, 0 frozen)
    Memory: 32 B parameters, 0 B buffers, 12 B input, 8 B outputs
    """
    arguments = input if isinstance(input, tuple) else (input,)
    found = Summary()
    seen: set[int] = set()
    with ExitStack() as stack:
        for name, module in model.named_modules():
            own = 0
            for parameter in module.parameters(recurse=False):
                if id(parameter) not in seen:
                    seen.add(id(parameter))
                    own += parameter.numel()
                    found.trainable_parameters += parameter.numel() * requires_grad(parameter)
                    found.parameter_bytes += parameter.nbytes
            row = Row(name.rpartition(".")[2], type(module).__name__, name.count(".") + bool(name), own)
            found.rows.append(row)
            found.total_parameters += own
            leaf = next(module.children(), None) is None

            def record(_: Module, __: Any, output: Any, row: Row = row, leaf: bool = leaf) -> None:
                row.output = _shape(output)
                if leaf:
                    found.output_bytes += sum(t.nbytes for t in _tensors(output))

            stack.enter_context(module.register_forward_hook(record))
        stack.enter_context(_evaluation(model))
        model(*arguments)
    found.buffer_bytes = sum(buffer.nbytes for buffer in model.buffers())
    found.input_bytes = sum(t.nbytes for t in _tensors(arguments))
    return found


@contextmanager
def _evaluation(model: Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
