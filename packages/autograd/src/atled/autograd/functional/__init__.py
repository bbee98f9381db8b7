"""Derivatives of functions of tensors: Jacobians, Hessians, and their products with vectors.

Names and arguments are those of ``torch.autograd.functional``. Functions take and answer a tensor or a tuple of them,
and so do these: ``jacobian`` answers a tuple for each output of one tensor for each input.
"""

from atled.autograd.functional._jacobian import hessian, jacobian
from atled.autograd.functional._products import hvp, jvp, vhp, vjp

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
