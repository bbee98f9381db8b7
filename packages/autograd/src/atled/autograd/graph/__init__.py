"""The graph that the tape has recorded: its edges, what it looks like, what it keeps in memory, and the calls in it;
and hooks for what it saves and for when it runs."""

from atled.autograd._tape import Node
from atled.autograd.graph._edge import GradientEdge, get_gradient_edge
from atled.autograd.graph._hooks import in_backward, increment_version, register_multi_grad_hook
from atled.autograd.graph._memory import MemoryReport, SavedTensor, memory
from atled.autograd.graph._mutation import allow_mutation_on_saved_tensors
from atled.autograd.graph._render import render
from atled.autograd.graph._rules import Instruction, Reference, RuleProgram, rule_programs
from atled.autograd.graph._saving import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
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
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "in_backward",
    "increment_version",
    "memory",
    "register_multi_grad_hook",
    "render",
    "rule_programs",
    "save_on_cpu",
    "saved_tensors_hooks",
    "trace",
]
