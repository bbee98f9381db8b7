"""In which dtypes a sharded module computes and communicates."""

from __future__ import annotations

from dataclasses import dataclass
from types import NoneType

import atled.core as at
from atled.core import ArgumentError, DTypeError

__all__ = ["MixedPrecisionPolicy"]


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """The dtypes of a sharded module; None is that of the parameters.

    ``param_dtype``: of the whole floating parameters, and so of computing. The shards, which the optimizer changes,
    keep theirs. ``reduce_dtype``: of the averaging of gradients; None is ``param_dtype``. ``output_dtype``: what
    floating results of forward are converted to. ``cast_forward_inputs``: whether floating arguments of forward are
    converted to ``param_dtype``.

    Raises DTypeError for dtypes that are not floating, ArgumentError for what is no dtype.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> policy = dist.MixedPrecisionPolicy(param_dtype=at.bfloat16, reduce_dtype=at.float32)
    >>> model = dist.fully_shard(nn.Linear(4, 6), mp_policy=policy)
    >>> model(at.ones((1, 4))).dtype, model.weight.dtype
    (atled.bfloat16, atled.float32)
    """

    param_dtype: at.dtype | None = None
    reduce_dtype: at.dtype | None = None
    output_dtype: at.dtype | None = None
    cast_forward_inputs: bool = True

    def __post_init__(self) -> None:
        for name in ("param_dtype", "reduce_dtype", "output_dtype"):
            dtype = getattr(self, name)
            if not isinstance(dtype, (at.dtype, NoneType)):
                raise ArgumentError(f"MixedPrecisionPolicy: expected {name} to be a dtype or None, got {dtype!r}")
            if dtype is not None and not dtype.is_floating_point:
                raise DTypeError(f"MixedPrecisionPolicy: expected {name} to be a floating dtype, got {dtype}")
