"""The graph that the tape has recorded: its edges, what it looks like, what it keeps in memory, and the calls in it."""

from atled.autograd._tape import Node
from atled.autograd.graph._edge import GradientEdge, get_gradient_edge
from atled.autograd.graph._memory import MemoryReport, SavedTensor, memory
from atled.autograd.graph._render import render
from atled.autograd.graph._rules import Instruction, Reference, RuleProgram, rule_programs
from atled.autograd.graph._trace import UNKNOWN, Call, Trace, Value, trace

__all__ = [
    "UNKNOWN",
    "Call",
    "GradientEdge",
    "Instruction",
    "MemoryReport",
    "Node",
    "Reference",
    "RuleProgram",
    "SavedTensor",
    "Trace",
    "Value",
    "get_gradient_edge",
    "memory",
    "render",
    "rule_programs",
    "trace",
]
