"""Edges of the graph: where the gradient of a tensor goes."""

from typing import NamedTuple

import atled.core as at
from atled.autograd import _tape
from atled.autograd._tape import Node


class GradientEdge(NamedTuple):
    """Where the gradient of one result of a recorded call arrives: ``backward`` and ``grad`` take it for a tensor.

    It keeps the graph and not the tensor, whose memory may go.

    node: the call, or of a leaf its AccumulateGrad. output_nr: which of its results.

    >>> import atled.core as at
    >>> from atled.autograd.graph import GradientEdge
    >>> x = at.tensor(3.0, requires_grad=True)
    >>> edge = GradientEdge((x * x).grad_fn, 0)
    >>> at.autograd.grad(edge, x)[0].item()
    6.0
    """

    node: Node
    output_nr: int


def get_gradient_edge(tensor: at.Tensor) -> GradientEdge:
    """The edge of a tensor that requires grad; AutogradError for one that does not.

    >>> import atled.core as at
    >>> from atled.autograd import grad
    >>> from atled.autograd.graph import get_gradient_edge
    >>> x = at.tensor(3.0, requires_grad=True)
    >>> y = x * x
    >>> edge = get_gradient_edge(y)
    >>> del y  # its memory is free
    >>> grad(edge, x)[0].item()
    6.0
    """
    return GradientEdge(*_tape.edge(tensor))
