"""In which dtypes a sharded module computes and communicates."""

from __future__ import annotations

from dataclasses import dataclass

import atled.core as at

__all__ = ["MixedPrecisionPolicy"]


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """The dtypes of a sharded module; None is that of the parameters.

    ``param_dtype``: of the whole floating parameters, and so of computing. The shards, which the optimizer changes,
    keep theirs. ``reduce_dtype``: of the averaging of gradients; None is ``param_dtype``. ``output_dtype``: what
    floating results of forward are converted to. ``cast_forward_inputs``: whether floating arguments of forward are
    converted to ``param_dtype``.

    >>> import atled.core as at
    >>> from atled.distributed.fsdp import MixedPrecisionPolicy
    >>> MixedPrecisionPolicy(param_dtype=at.bfloat16, reduce_dtype=at.float32).cast_forward_inputs
    True
    """

    param_dtype: at.dtype | None = None
    reduce_dtype: at.dtype | None = None
    output_dtype: at.dtype | None = None
    cast_forward_inputs: bool = True
