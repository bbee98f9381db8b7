"""Backends side by side: each takes the tensors on its device, as in ``"cpu:mpi,cuda:nccl"``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import atled.core as at
from atled.core import ArgumentError, DeviceError, Tensor

from ._group import ProcessGroup, ReceiveWork, ReduceOp, Work

__all__ = ["ByDevice"]


class ByDevice(ProcessGroup):
    """A process group of one backend's for each type of device; the first of them does what has no tensor."""

    def __init__(self, parts: Mapping[str, tuple[str, ProcessGroup]]) -> None:
        self._parts = dict(parts)
        self._all = [group for _, group in self._parts.values()]
        super().__init__(self._all[0].ranks, self._all[0].rank, self._all[0].name)

    def _of(self, what: str, tensor: object) -> ProcessGroup:
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"{what}: expected a Tensor, got {type(tensor).__name__}")
        if tensor.device.type not in self._parts:
            raise DeviceError(f"{what}: expected a tensor on {' or '.join(self._parts)}, got one on {tensor.device}")
        part = self._parts[tensor.device.type][1]
        part.purpose = self.purpose
        return part

    @property
    def device(self) -> at.device:
        return self._all[0].device

    def use_device(self, device: at.device) -> None:
        if device.type in self._parts:
            self._parts[device.type][1].use_device(device)

    def only(self, backend: str) -> ProcessGroup | None:
        return next((group for name, group in self._parts.values() if name == backend), None)

    def broadcast(self, tensor: Tensor, root: int) -> Work:
        return self._of("broadcast", tensor).broadcast(tensor, root)

    def all_reduce(self, tensor: Tensor, op: ReduceOp) -> Work:
        return self._of("all_reduce", tensor).all_reduce(tensor, op)

    def all_gather(self, output: Tensor, input: Tensor) -> Work:
        return self._of("all_gather", input).all_gather(output, input)

    def reduce_scatter(self, output: Tensor, input: Tensor, op: ReduceOp) -> Work:
        return self._of("reduce_scatter", input).reduce_scatter(output, input, op)

    def reduce(self, tensor: Tensor, root: int, op: ReduceOp) -> Work:
        return self._of("reduce", tensor).reduce(tensor, root, op)

    def gather(self, output: Tensor | None, input: Tensor, root: int) -> Work:
        return self._of("gather", input).gather(output, input, root)

    def scatter(self, output: Tensor, input: Tensor | None, root: int) -> Work:
        return self._of("scatter", output).scatter(output, input, root)

    def all_to_all(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Work:
        return self._of("all_to_all", inputs[0]).all_to_all(outputs, inputs)

    def send(self, tensor: Tensor, to: int, tag: int) -> Work:
        return self._of("send", tensor).send(tensor, to, tag)

    def receive(self, tensor: Tensor, source: int | None, tag: int) -> ReceiveWork:
        return self._of("recv", tensor).receive(tensor, source, tag)

    def batch(self) -> AbstractContextManager[None]:
        return self._batches()

    @contextmanager
    def _batches(self) -> Iterator[None]:
        with ExitStack() as stack:
            for group in self._all:
                stack.enter_context(group.batch())
            yield

    def barrier(self) -> Work:
        return self._all[0].barrier()

    def new_group(self, ranks: Sequence[int], name: str, timeout: float) -> ProcessGroup | None:
        made = {
            kind: (backend, group.new_group(ranks, name, timeout)) for kind, (backend, group) in self._parts.items()
        }
        parts = {kind: (backend, group) for kind, (backend, group) in made.items() if group is not None}
        return ByDevice(parts) if parts else None

    def close(self) -> None:
        for group in self._all:
            group.close()

    def abort(self, error: BaseException) -> None:
        for group in self._all:
            group.abort(error)
