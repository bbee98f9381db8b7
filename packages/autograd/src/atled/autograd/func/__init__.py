"""Transforms of functions: derivatives and batching, which nest in each other in any order.

>>> import atled.core as at
>>> from atled.autograd.func import grad, vmap
>>> loss = lambda w, x, y: ((x @ w - y) ** 2).mean()
>>> w, x, y = at.zeros(3), at.ones(4, 2, 3), at.ones(4, 2)
>>> vmap(grad(loss), in_dims=(None, 0, 0))(w, x, y).shape
(4, 3)
"""

from atled.autograd.func._derivatives import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    value_and_grad,
    vjp,
)
from atled.autograd.func._modules import (
    functional_call,
    rearrange,
    replace_all_batch_norm_modules_,
    stack_module_state,
)
from atled.autograd.func._vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
