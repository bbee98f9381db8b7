"""Linear algebra, with the names of ``torch.linalg`` and of the array API standard."""

from atled.core import _ops
from atled.core._core import LinAlgError as LinAlgError
from atled.core._overloads import tensordot as tensordot

_ops.publish(globals(), "linalg")
