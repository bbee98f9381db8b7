"""The backend "mpi": collectives on CPU tensors by MPICH, through mpi4py."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from atled.core import DeviceError, Tensor

from ._arrays import HostTensor, raw_bytes, reducible_numbers
from ._errors import MismatchError
from ._group import FutureWork, ProcessGroup, ReduceOp, Work
from ._mpi_engine import SIGNATURE_BYTES, Channel, Engine, Receives, fixed_size
from ._parts import check_parts, one_dtype

if TYPE_CHECKING:
    from mpi4py.MPI import Comm, Op, Request, Status

    from ._store import Store

__all__ = ["MPIProcessGroup", "create"]

Wait = Callable[["Request"], None]
_NOTHING = np.empty(0, np.uint8)


def create(store: Store, rank: int, world_size: int, timeout: float) -> ProcessGroup:
    """The group of all ranks of the job (the entry point ``mpi`` of ``atled.collectives``)."""
    engine = Engine(store)
    assert engine.world is not None
    ranks = tuple(range(world_size))
    return MPIProcessGroup(engine, Channel(engine.world, "world", ranks, timeout), rank)


class MPIProcessGroup(ProcessGroup):
    """A process group on one MPI communicator."""

    def __init__(self, engine: Engine, channel: Channel, rank: int) -> None:
        super().__init__(channel.ranks, rank, channel.name)
        self._engine = engine
        self._channel = channel

    def broadcast(self, tensor: Tensor, root: int) -> Work:
        array = _host(tensor, "broadcast", is_output=self.rank != root)

        def run(comm: Comm, wait: Wait) -> None:
            flat = array.contiguous()
            if flat.numel():
                wait(comm.Ibcast(raw_bytes(flat), root))
                if comm.rank != root:
                    array.store(flat)

        return self._engine.submit(self._channel, f"broadcast({array}, src={self.ranks[root]})", run)

    def all_reduce(self, tensor: Tensor, op: ReduceOp) -> Work:
        array = _host(tensor, "all_reduce", is_output=True)
        array.check_reducible("all_reduce", op)

        def run(comm: Comm, wait: Wait) -> None:
            values = array.widened()
            if values.numel():
                from mpi4py import MPI

                numbers = reducible_numbers(values)
                wait(comm.Iallreduce(MPI.IN_PLACE, numbers, _mpi_op(op, array.dtype)))
                _average(op, numbers, comm.size)
                array.store(values)

        return self._engine.submit(self._channel, f"all_reduce({array}, {op.value}){self.purpose}", run)

    def all_gather(self, output: Tensor, input: Tensor) -> Work:
        target, source = _host(output, "all_gather", is_output=True), _host(input, "all_gather")
        check_parts("all_gather_into_tensor", "output", target, "input", source, self.size)

        def run(comm: Comm, wait: Wait) -> None:
            whole = target.contiguous()
            if whole.numel():
                wait(comm.Iallgather(raw_bytes(source.contiguous()), raw_bytes(whole)))
                target.store(whole)

        return self._engine.submit(self._channel, f"all_gather({source}){self.purpose}", run)

    def reduce_scatter(self, output: Tensor, input: Tensor, op: ReduceOp) -> Work:
        target, source = _host(output, "reduce_scatter", is_output=True), _host(input, "reduce_scatter")
        check_parts("reduce_scatter_tensor", "input", source, "output", target, self.size)
        source.check_reducible("reduce_scatter", op)

        def run(comm: Comm, wait: Wait) -> None:
            values, part = source.widened(), target.widened()
            if values.numel():
                numbers = reducible_numbers(part)
                wait(comm.Ireduce_scatter_block(reducible_numbers(values), numbers, _mpi_op(op, source.dtype)))
                _average(op, numbers, comm.size)
                target.store(part)

        return self._engine.submit(self._channel, f"reduce_scatter({source}, {op.value}){self.purpose}", run)

    def reduce(self, tensor: Tensor, root: int, op: ReduceOp) -> Work:
        is_root = self.rank == root
        array = _host(tensor, "reduce", is_output=is_root)
        array.check_reducible("reduce", op)

        def run(comm: Comm, wait: Wait) -> None:
            values = array.widened()
            if values.numel():
                from mpi4py import MPI

                numbers = reducible_numbers(values)
                send, receive = (MPI.IN_PLACE, numbers) if is_root else (numbers, None)
                wait(comm.Ireduce(send, receive, _mpi_op(op, array.dtype), root))
                if is_root:
                    _average(op, numbers, comm.size)
                    array.store(values)

        return self._engine.submit(self._channel, f"reduce({array}, {op.value}, dst={self.ranks[root]})", run)

    def gather(self, output: Tensor | None, input: Tensor, root: int) -> Work:
        source = _host(input, "gather")
        target = None if output is None else _host(output, "gather", is_output=True)
        if target is not None:
            check_parts("gather", "output", target, "input", source, self.size)

        def run(comm: Comm, wait: Wait) -> None:
            if source.tensor.numel():
                whole = None if target is None else target.contiguous()
                receive = None if whole is None else raw_bytes(whole)
                wait(comm.Igather(raw_bytes(source.contiguous()), receive, root))
                if target is not None and whole is not None:
                    target.store(whole)

        return self._engine.submit(self._channel, f"gather({source}, dst={self.ranks[root]})", run)

    def scatter(self, output: Tensor, input: Tensor | None, root: int) -> Work:
        target = _host(output, "scatter", is_output=True)
        source = None if input is None else _host(input, "scatter")
        if source is not None:
            check_parts("scatter", "input", source, "output", target, self.size)

        def run(comm: Comm, wait: Wait) -> None:
            part = target.contiguous()
            if part.numel():
                wait(comm.Iscatter(None if source is None else raw_bytes(source.contiguous()), raw_bytes(part), root))
                target.store(part)

        return self._engine.submit(self._channel, f"scatter({target}, src={self.ranks[root]})", run)

    def all_to_all(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Work:
        targets = [_host(tensor, "all_to_all", is_output=True) for tensor in outputs]
        sources = [_host(tensor, "all_to_all") for tensor in inputs]
        dtype = one_dtype("all_to_all", [*targets, *sources])
        # Elements to send to each rank, and to receive from it.
        counts = np.array([[a.tensor.numel() for a in arrays] for arrays in (sources, targets)], np.int64)

        def run(comm: Comm, wait: Wait) -> None:
            everyone = np.empty((comm.size, *counts.shape), np.int64)
            wait(comm.Iallgather(counts, everyone))
            self._check_pairs(everyone)
            width = targets[0].tensor.element_size()
            parts = [raw_bytes(a.contiguous()) for a in sources if a.tensor.numel()]
            send = np.concatenate([np.empty(0, np.uint8), *parts])
            receive = np.empty(int(counts[1].sum()) * width, np.uint8)
            to_send, to_receive = (counts * width).tolist()
            wait(comm.Ialltoallv([send, to_send], [receive, to_receive]))
            ends = np.cumsum(to_receive)
            for array, size, end in zip(targets, to_receive, ends, strict=True):
                if size:
                    flat = array.contiguous()
                    raw_bytes(flat)[:] = receive[end - size : end]
                    array.store(flat)

        return self._engine.submit(self._channel, f"all_to_all({dtype})", run)

    def send(self, tensor: Tensor, to: int, tag: int) -> Work:
        array = _host(tensor, "send")

        def steps(comm: Comm, work: FutureWork) -> Generator[Request, Status, None]:
            flat = array.contiguous()
            data = raw_bytes(flat) if flat.numel() else _NOTHING
            header = _header(data, array)
            # Headers and data have tags of their own, so that a header is never taken for data.
            first, second = comm.Isend(header, to, 2 * tag), comm.Isend(data, to, 2 * tag + 1)
            yield first
            yield second

        return self._engine.transfer(self._channel, f"send({array}, dst={self.ranks[to]}, tag={tag})", steps)

    def receive(self, tensor: Tensor, source: int | None, tag: int) -> FutureWork:
        array = _host(tensor, "recv", is_output=True)
        origin = "anybody" if source is None else self.ranks[source]

        def steps(comm: Comm, work: FutureWork) -> Generator[Request, Status, None]:
            from mpi4py import MPI

            flat = array.contiguous()
            data = raw_bytes(flat) if flat.numel() else _NOTHING
            header = np.empty(SIGNATURE_BYTES, np.uint8)
            status = yield comm.Irecv(header, MPI.ANY_SOURCE if source is None else source, 2 * tag)
            work.source = status.source
            matches = bool((header == _header(data, array)).all())
            size, _, sent = header.tobytes().rstrip(b"\0").decode(errors="replace").partition(" ")
            # What does not fit must be received all the same, or the next call would get it.
            yield comm.Irecv(data if matches else np.empty(int(size), np.uint8), work.source, 2 * tag + 1)
            if not matches:
                raise MismatchError(f"recv: rank {self.ranks[work.source]} sent {sent}, expected {array}")
            array.store(flat)

        signature = f"recv({array}, src={origin}, tag={tag})"
        return self._engine.transfer(self._channel, signature, steps, Receives(tag, source))

    def _check_pairs(self, everyone: npt.NDArray[np.int64]) -> None:
        """Raises, on all ranks alike, unless each rank sends as much as the other one expects."""
        sent, expected = everyone[:, 0], everyone[:, 1].T
        if (sent != expected).any():
            source, target = (int(each) for each in np.argwhere(sent != expected)[0])
            raise MismatchError(
                f"all_to_all: rank {self.ranks[source]} sends {sent[source, target]} elements to rank "
                f"{self.ranks[target]}, which expects {expected[source, target]}"
            )

    def barrier(self) -> Work:
        return self._engine.submit(self._channel, "barrier()")

    def new_group(self, ranks: Sequence[int], name: str, timeout: float) -> ProcessGroup | None:
        members = tuple(ranks)
        made: list[Comm] = []

        def run(comm: Comm, wait: Wait) -> None:
            from mpi4py import MPI

            mine = comm.rank
            color, key = (0, members.index(mine)) if mine in members else (MPI.UNDEFINED, 0)
            made.append(comm.Split(color, key))

        self._engine.submit(self._channel, f"new_group({list(members)})", run).wait()
        if self.rank not in members:
            return None
        job_ranks = tuple(self.ranks[r] for r in members)
        return MPIProcessGroup(self._engine, Channel(made[0], name, job_ranks, timeout), members.index(self.rank))

    def close(self) -> None:
        self._engine.close(self._channel)

    def abort(self, error: BaseException) -> None:
        self._engine.abort(error)


def _host(tensor: Tensor, what: str, is_output: bool = False) -> HostTensor:
    HostTensor.check_tensor(what, tensor)
    if tensor.device.type != "cpu":
        raise DeviceError(
            f"{what}: backend 'mpi' expects a tensor on cpu, got one on {tensor.device}; move it there, or for GPUs of "
            "NVIDIA pip install 'atled-distributed[cuda]', whose backend 'nccl' init_process_group() then takes as well"
        )
    array = HostTensor(tensor)
    if is_output:
        array.will_be_written(what)
    return array


def _header(data: npt.NDArray[np.uint8], array: HostTensor) -> npt.NDArray[np.uint8]:
    """What goes before a message: its size in bytes, and what it is."""
    return np.frombuffer(fixed_size(f"{data.size} {array}"), np.uint8)


def _average(op: ReduceOp, numbers: npt.NDArray[Any], size: int) -> None:
    """Divides the sum of ``size`` ranks, which MPI has no average of, where ``op`` asks for one."""
    if op is ReduceOp.AVG:
        np.divide(numbers, size, out=numbers)


def _mpi_op(op: ReduceOp, dtype: str) -> Op:
    from mpi4py import MPI

    if dtype == "bool":
        return MPI.MAX if op in (ReduceOp.SUM, ReduceOp.MAX) else MPI.MIN
    return {
        ReduceOp.SUM: MPI.SUM,
        ReduceOp.AVG: MPI.SUM,
        ReduceOp.MIN: MPI.MIN,
        ReduceOp.MAX: MPI.MAX,
        ReduceOp.PRODUCT: MPI.PROD,
    }[op]
