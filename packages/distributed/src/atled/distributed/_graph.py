"""Which parameters an output depends on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atled.core import Tensor

from ._trees import tensors_in

__all__ = ["unused_parameters"]


def unused_parameters(output: Any, parameters: Sequence[Tensor]) -> list[int] | None:
    """The indices of the parameters that no tensor in ``output`` (tensors, in containers) was made from.

    None where no gradient can flow from ``output`` at all.
    """
    used: set[int] = set()
    waiting = [tensor.grad_fn for tensor in tensors_in(output) if tensor.grad_fn is not None]
    if not waiting:
        return None
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        variable = getattr(node, "variable", None)
        if variable is not None:
            used.add(id(variable))
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                waiting.append(following)
    return [i for i, parameter in enumerate(parameters) if id(parameter) not in used]
