"""Linear algebra, with the names of ``torch.linalg`` and of the array API standard."""

from atled.core import _ops

_ops.publish(globals(), "linalg")
