"""The graph that the tape has recorded: its edges, what it looks like, what it keeps in memory, and the calls in it."""

from atled.autograd._tape import Node
from atled.autograd.graph._edge import GradientEdge, get_gradient_edge
from atled.autograd.graph._memory import MemoryReport, SavedTensor, memory
from atled.autograd.graph._render import render

__all__ = ["GradientEdge", "MemoryReport", "Node", "SavedTensor", "get_gradient_edge", "memory", "render"]
