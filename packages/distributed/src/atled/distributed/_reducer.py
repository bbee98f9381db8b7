"""Averages gradients over the ranks while backward still computes others."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import atled.core as at
from atled.core import Tensor

from ._buckets import Bucket, plan
from ._comm_hook import CommHook, GradBucket
from ._errors import DistError
from ._group import ProcessGroup, ReduceOp, Work

__all__ = ["Reducer"]


class Reducer:
    """Hooks every parameter; when a bucket's gradients are complete, starts its all-reduce.

    Buckets start in a fixed order, which is the same on every rank. With the last gradient of a backward it waits for
    all of them and writes the averages into ``grad``.
    """

    def __init__(
        self, names: Sequence[str], parameters: Sequence[Tensor], group: ProcessGroup, bucket_cap_mb: float
    ) -> None:
        self.is_enabled = True
        # What the averages are multiplied by; other than 1 only where ranks have run out of inputs.
        self.scale = 1.0
        self._hook: CommHook | None = None
        self._has_begun = False
        self._names = list(names)
        self._parameters = list(parameters)
        self._group = group
        self._bucket_cap_mb = bucket_cap_mb
        self._plan()
        # A hook lives in its parameter; a strong reference from there would keep the module alive for ever.
        this = weakref.ref(self)
        for index, parameter in enumerate(self._parameters):
            parameter.register_post_accumulate_grad_hook(_hook(this, index))

    def _plan(self) -> None:
        self._kinds = [(p.dtype, p.device) for p in self._parameters]
        self._buckets = plan(self._parameters, self._bucket_cap_mb)
        self._place = {i: (b, slot) for b, bucket in enumerate(self._buckets) for slot, i in enumerate(bucket.indices)}
        self._reset()

    def set_hook(self, hook: CommHook) -> None:
        """Has a hook do what else is an average; once, and before the first backward."""
        what = "DistributedDataParallel.register_comm_hook"
        if self._hook is not None:
            raise DistError(f"{what}: expected one call, got a second; make one hook of the two")
        if self._has_begun:
            raise DistError(f"{what}: expected to be called before the first backward, got one after it")
        self._hook = hook

    def follow_parameters(self) -> None:
        """Makes new buckets where ``module.to(...)`` has changed a dtype or a device; not during a backward."""
        if any(
            p.dtype != dtype or p.device != device
            for p, (dtype, device) in zip(self._parameters, self._kinds, strict=True)
        ):
            self._plan()

    def _reset(self) -> None:
        self._ready: set[int] = set()
        self._missing = [len(bucket) for bucket in self._buckets]
        # The buckets on their way, and what waits for each.
        self._started: list[tuple[Bucket, Callable[[], Tensor]]] = []
        # Which parameters take no part on this rank, and which do on any, where that was asked for.
        self._unused: set[int] | None = None
        self._used: Tensor | None = None
        self._used_work: Work | None = None

    def check_complete(self) -> None:
        """Raises if the last backward reached some parameters but not all of them."""
        if self._ready:
            absent = [name for i, name in enumerate(self._names) if i not in self._ready]
            self._plan()  # what is on its way keeps the memory that it has
            raise DistError(
                f"DistributedDataParallel: the last backward made no gradient for {', '.join(absent)}; every parameter "
                "that requires grad must take part in the loss on every rank: set requires_grad=False on the others, "
                "or pass find_unused_parameters=True"
            )

    def expect_unused(self, indices: Sequence[int]) -> None:
        """Lets parameters that take no part in the coming backward join in with it. Every rank calls it, or none."""
        self._unused = set(indices)
        if len(self._unused) == len(self._parameters):
            self._mark_unused()  # no gradient will come that does

    def _mark_unused(self) -> None:
        """Not before a gradient comes: a forward may be without backward."""
        unused, self._unused = self._unused, None
        if unused is None:
            return
        # What earlier backwards have left of a parameter takes part.
        used = [index not in unused or p.grad is not None for index, p in enumerate(self._parameters)]
        self._used = at.tensor(used, dtype=at.uint8, device=self._parameters[0].device)
        self._used_work = self._group.all_reduce(self._used, ReduceOp.MAX)
        for index in sorted(unused):
            self._mark(index)

    def take_part(self, finds_unused: bool) -> None:
        """Answers the collectives of one backward of the other ranks, with zeros."""
        self.follow_parameters()
        if finds_unused:
            used = at.zeros((len(self._parameters),), dtype=at.uint8, device=self._parameters[0].device)
            self._group.all_reduce(used, ReduceOp.MAX).wait()
        for bucket in self._buckets:
            bucket.flat.zero_()
        for finish in [self._begin(number) for number in range(len(self._buckets))]:
            finish()

    def gradient_ready(self, index: int) -> None:
        """Called by the hook of a parameter, when its gradient is complete."""
        if not self.is_enabled:
            return
        self._mark_unused()
        if index in self._ready:
            raise DistError(
                f"DistributedDataParallel: {self._names[index]} got its gradient twice before one backward had reached "
                "all parameters; use no_sync() for all but the last backward of a step"
            )
        self._mark(index)

    def _mark(self, index: int) -> None:
        """Fills a parameter's place in its bucket, and sends the buckets that are complete on their way."""
        grad = self._parameters[index].grad
        bucket, slot = self._place[index]
        view = self._buckets[bucket].views[slot]
        view.zero_() if grad is None else view.copy_(grad.detach())
        self._ready.add(index)
        self._missing[bucket] -= 1
        try:
            while len(self._started) < len(self._buckets) and self._missing[len(self._started)] == 0:
                number = len(self._started)
                self._started.append((self._buckets[number], self._begin(number)))
            if len(self._started) == len(self._buckets):
                self._finish()
        except BaseException:
            self._plan()  # as above
            raise

    def _begin(self, number: int) -> Callable[[], Tensor]:
        """Sends a bucket on its way; answers what waits for the gradients that it brings back."""
        self._has_begun = True
        bucket = self._buckets[number]
        if self._hook is None:
            work = self._group.all_reduce(bucket.flat, ReduceOp.AVG)

            def finish() -> Tensor:
                work.wait()
                return bucket.flat

            return finish
        is_last = number == len(self._buckets) - 1
        return self._hook.begin(GradBucket(bucket, number, is_last, self._parameters))

    def _finish(self) -> None:
        started, used, used_work = self._started, self._used, self._used_work
        self._reset()
        if used_work is not None:
            used_work.wait()
        for bucket, finish in started:
            flat = finish()
            if self.scale != 1.0 and self._hook is None:
                flat.mul_(self.scale)
            views = bucket.views if flat is bucket.flat else bucket.views_of(flat)
            for index, view in zip(bucket.indices, views, strict=True):
                parameter = self._parameters[index]
                if parameter.grad is not None:
                    parameter.grad.detach().copy_(view)
                elif used is None or used[index].item():
                    parameter.grad = view.clone()


def _hook(reducer: weakref.ref[Reducer], index: int) -> Callable[[Tensor], None]:
    def hook(parameter: Tensor) -> None:
        alive = reducer()
        if alive is not None:
            alive.gradient_ready(index)

    return hook
