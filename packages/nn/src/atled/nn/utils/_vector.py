"""Parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable

import atled.core as at
from atled.core import Tensor
from atled.core._explained import explained

from .._parameter import detached


@explained
def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All elements in one vector, in the order of the parameters.

    >>> parameters_to_vector([at.ones(2), at.zeros(1)]).tolist()
    [1.0, 1.0, 0.0]
    """
    return at.cat([parameter.reshape(-1) for parameter in parameters])


@explained
def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies a vector's elements into the parameters, in their order; ShapeError when the numbers differ.

    >>> parameters = [at.zeros(2), at.zeros(1, 1)]
    >>> vector_to_parameters(at.tensor([1.0, 2.0, 3.0]), parameters)
    >>> [p.tolist() for p in parameters]
    [[1.0, 2.0], [[3.0]]]
    """
    listed = list(parameters)
    total = sum(parameter.numel() for parameter in listed)
    if vec.numel() != total:
        raise at.ShapeError(f"vector_to_parameters: expected {total} elements, got {vec.numel()}")
    start = 0
    for parameter in listed:
        end = start + parameter.numel()
        detached(parameter).copy_(detached(vec)[start:end].reshape(parameter.shape))
        start = end
