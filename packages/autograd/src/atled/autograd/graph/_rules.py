"""The programs that gradient rules were traced into."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from atled.autograd import _tape
from atled.core._explained import explained


class Reference(NamedTuple):
    """An operand that stands for a parameter or an earlier result, or for one tensor of such a list.

    >>> from atled.autograd.graph import Reference
    >>> str(Reference("g")), str(Reference("gs", 1))
    ('g', 'gs[1]')
    """

    name: str
    element: int | None = None

    def __str__(self) -> str:
        return self.name if self.element is None else f"{self.name}[{self.element}]"


class Instruction(NamedTuple):
    """A call of ``op`` with operands for all arguments of its schema: References, lists of them, or constants.

    op: a qualified name; or "conjugate" (of a real tensor, itself) or "scale" (by 1, the tensor itself).

    >>> from atled.autograd.graph import Instruction, Reference
    >>> print(Instruction("core::add", (Reference("input"), 1, 1), ("%2",)))
    %2 = core::add(input, 1, 1)
    """

    op: str
    operands: tuple[Any, ...]
    results: tuple[str, ...]

    def __str__(self) -> str:
        given = ", ".join(map(_text, self.operands))
        return f"{', '.join(self.results)} = {self.op}({given})"


@dataclass(frozen=True)
class RuleProgram:
    """One traced form of a rule's function: answers a gradient, or None, for each of ``targets``.

    parameters: what the function asks for, by name. `rule_programs` answers those of an op.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> at.tensor(2.0, requires_grad=True).exp2().backward()
    >>> program = graph.rule_programs("core::exp2")[0]
    >>> program.targets, program.parameters
    (('input',), ('g', 'out'))
    """

    targets: tuple[str, ...]
    parameters: tuple[str, ...]
    instructions: tuple[Instruction, ...]
    results: tuple[Any, ...]

    def __str__(self) -> str:
        lines = [f"({', '.join(self.parameters)}):", *(f"  {instruction}" for instruction in self.instructions)]
        answers = (f"{target} <- {_text(result)}" for target, result in zip(self.targets, self.results, strict=True))
        return "\n".join([*lines, f"  {', '.join(answers)}"])


@explained
def rule_programs(op: str) -> tuple[RuleProgram, ...]:
    """The programs that the rule of ``op``, a qualified name, has been traced into so far.

    They come about when backward first meets the op: one for each combination of what the rule may branch on (bools,
    strings, which arguments are None), or of numbers and shapes where it looks at those. What cannot be traced has
    none.

    >>> import atled.core as at
    >>> from atled.autograd import graph
    >>> x = at.tensor([1.0, 2.0], requires_grad=True)
    >>> x.log1p().sum().backward()
    >>> print(graph.rule_programs("core::log1p")[0])
    (g, input):
      %2 = core::add(input, 1, 1)
      %3 = conjugate(%2)
      %4 = core::div(g, %3, None)
      input <- %4
    """
    found = []
    for targets, parameters, _mode, _why, programs in _tape.program_rows(op):
        for instructions, results in programs:
            steps = tuple(_instruction(row, parameters) for row in instructions)
            answers = tuple(_operand(row, parameters) for row in results)
            found.append(RuleProgram(tuple(targets), tuple(parameters), steps, answers))
    return tuple(found)


def _instruction(row: Any, parameters: list[str]) -> Instruction:
    op, operands, first, count = row
    given = tuple(_operand(operand, parameters) for operand in operands)
    return Instruction(op, given, tuple(_register(first + i, parameters) for i in range(count)))


def _register(number: int, parameters: list[str]) -> str:
    return parameters[number] if number < len(parameters) else f"%{number}"


def _operand(row: Any, parameters: list[str]) -> Any:
    kind, value, *rest = row
    if kind == "r":
        return Reference(_register(value, parameters))
    if kind == "e":
        return Reference(_register(value, parameters), rest[0])
    return [_operand(entry, parameters) for entry in value] if kind == "l" else value


def _text(value: Any) -> str:
    if isinstance(value, Reference):
        return str(value)
    return f"[{', '.join(map(_text, value))}]" if isinstance(value, list) else repr(value)
