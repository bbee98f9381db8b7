"""What users put in the place of averaging a bucket of gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from atled.core import ArgumentError, DTypeError, ShapeError, Tensor

from ._buckets import Bucket
from .futures import Future

__all__ = ["CommHook", "GradBucket", "Hook"]

Hook = Callable[[Any, "GradBucket"], Future[Tensor]]


class GradBucket:
    """Gradients that travel together, as `DistributedDataParallel.register_comm_hook` gives them to a hook.

    >>> import atled.core as at
    >>> from atled import distributed as dist, nn
    >>> from atled.distributed.algorithms.ddp_comm_hooks import default_hooks
    >>> def clipped(group, bucket):
    ...     bucket.set_buffer(bucket.buffer().clamp(-1.0, 1.0))  # those of this rank
    ...     shapes = [tuple(gradient.shape) for gradient in bucket.gradients()]
    ...     print(bucket.index(), bucket.is_last(), shapes, bucket.parameters()[1] is model.weight)
    ...     return default_hooks.allreduce_hook(group, bucket)
    >>> model = dist.DistributedDataParallel(nn.Linear(2, 1))
    >>> model.register_comm_hook(None, clipped)
    >>> model(at.full((1, 2), 4.0 * dist.get_rank())).sum().backward()
    0 True [(1,), (1, 2)] True
    >>> model.weight.grad.tolist()
    [[0.5, 0.5]]
    """

    def __init__(self, bucket: Bucket, index: int, is_last: bool, parameters: Sequence[Tensor]) -> None:
        self._bucket, self._index, self._is_last = bucket, index, is_last
        self._parameters = [parameters[i] for i in bucket.indices]
        self._buffer = bucket.flat

    def index(self) -> int:
        """The number of the bucket, from 0 in the order in which they travel; it stays the same from step to step."""
        return self._index

    def buffer(self) -> Tensor:
        """The gradients of this rank as one tensor of one dimension, which the hook may change."""
        return self._buffer

    def gradients(self) -> list[Tensor]:
        """The parts of the buffer, one for each parameter and of its shape, in the buffer's memory."""
        return self._bucket.views_of(self._buffer)

    def parameters(self) -> list[Tensor]:
        """The parameters whose gradients these are, in the same order."""
        return list(self._parameters)

    def is_last(self) -> bool:
        """Whether it is the last bucket of this backward."""
        return self._is_last

    def set_buffer(self, buffer: Tensor) -> None:
        """Puts another tensor in the buffer's place, say of another dtype, for a hook that this one calls.

        Raises ArgumentError for what is no tensor, ShapeError for one of another shape.
        """
        if not isinstance(buffer, Tensor):
            raise ArgumentError(f"GradBucket.set_buffer: expected a Tensor, got {type(buffer).__name__}")
        if tuple(buffer.shape) != tuple(self._buffer.shape):
            raise ShapeError(
                f"GradBucket.set_buffer: expected a buffer of shape {tuple(self._buffer.shape)}, got "
                f"{tuple(buffer.shape)}"
            )
        self._buffer = buffer


class CommHook:
    """A hook with its state."""

    def __init__(self, state: object, hook: Hook) -> None:
        what = "DistributedDataParallel.register_comm_hook"
        if not callable(hook):
            raise ArgumentError(f"{what}: expected hook to be callable, got {hook!r}; pass the state first")
        try:
            inspect.signature(hook).bind(state, None)
        except TypeError as error:
            raise ArgumentError(f"{what}: expected a hook that takes a state and a bucket; {error}") from None
        except ValueError:
            pass  # of a function in C, which does not say
        self._state, self._hook = state, hook

    def begin(self, bucket: GradBucket) -> Callable[[], Tensor]:
        """Calls the hook; answers what waits for the new gradients, which are one tensor like the bucket's."""
        flat = bucket.buffer()
        future = self._hook(self._state, bucket)
        if not isinstance(future, Future):
            raise ArgumentError(
                f"{self._name()}: expected a hook to return a Future of a tensor, got {type(future).__name__}; put "
                "what is there already into one: future = futures.Future(); future.set_result(tensor)"
            )

        def finish() -> Tensor:
            result = future.wait()
            if not isinstance(result, Tensor):
                raise ArgumentError(
                    f"{self._name()}: expected the future that a hook returns to hold a tensor, got "
                    f"{type(result).__name__}; from that of a collective take the tensor: "
                    ".then(lambda future: future.value()[0])"
                )
            if tuple(result.shape) != tuple(flat.shape):
                raise ShapeError(
                    f"{self._name()}: expected a hook to give gradients of shape {tuple(flat.shape)}, as those of the "
                    f"bucket, got {tuple(result.shape)}"
                )
            if result.dtype != flat.dtype or result.device != flat.device:
                raise DTypeError(
                    f"{self._name()}: expected a hook to give gradients of {flat.dtype} on {flat.device}, as those of "
                    f"the bucket, got {result.dtype} on {result.device}; convert them back"
                )
            return result

        return finish

    def _name(self) -> str:
        name = getattr(self._hook, "__qualname__", type(self._hook).__name__)
        return f"DistributedDataParallel, communication hook {name}"
