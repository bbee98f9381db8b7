"""Random programs of operators, compared with NumPy after every step: ``python -m atled.testing.fuzz --seconds 60``.

A *program* works on a few tensors, many of them views of one another, each beside a NumPy array that shares memory with
the others in the same way. Steps compute, make views, change values in place and write into ``out=``. After each step
its result is compared with what NumPy makes of the arrays, and after each change all tensors are.

A run of *gradients* works on float64 and complex128 and compares what the tape says of a program, at first and second
order, with finite differences; of a program that is wrong it shows the smallest part that still is. It needs
atled-autograd.

A *wild* run calls any registered op with arguments that need not make sense. It may answer or raise an AtledError, and
nothing else.
"""

from ._gradient_check import run_gradients
from ._program import Mismatch, run_program
from ._wild import run_wild

__all__ = ["Mismatch", "run_gradients", "run_program", "run_wild"]
