"""Random programs of operators, compared with NumPy after every step: ``python -m atled.testing.fuzz --seconds 60``.

A *program* works on a few tensors, many of them views of one another, each beside a NumPy array that shares memory with
the others in the same way. Steps compute, make views, change values in place and write into ``out=``. After each step
its result is compared with what NumPy makes of the arrays, and after each change all tensors are.

A *wild* run calls any registered op with arguments that need not make sense. It may answer or raise an AtledError, and
nothing else.
"""

from ._program import Mismatch, run_program
from ._wild import run_wild

__all__ = ["Mismatch", "run_program", "run_wild"]
