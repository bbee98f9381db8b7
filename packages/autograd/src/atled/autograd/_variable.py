"""What PyTorch called tensors that gradients go through, before all of them did."""

from typing import Any

import atled.core as at


class _Tensors(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, at.Tensor)


class Variable(metaclass=_Tensors):
    """``Variable(data)`` is data outside of every graph, as a tensor: PyTorch's name of before its version 0.4.

    Every tensor is an instance of it.

    >>> import atled.core as at
    >>> from atled.autograd import Variable
    >>> x = Variable(at.ones(2), requires_grad=True)
    >>> type(x).__name__, x.requires_grad, isinstance(at.ones(1), Variable)
    ('Tensor', True, True)
    """

    def __new__(cls, data: Any, requires_grad: bool = False) -> Any:
        """The tensor, over the memory of ``data``."""
        plain = at.as_tensor(data).detach()
        return plain.requires_grad_() if requires_grad else plain
