"""The backend "nccl": collectives on tensors on GPUs of NVIDIA, by NCCL.

What NCCL cannot tell is not checked: ranks that call different things, or with different shapes or dtypes, get wrong
numbers or wait until the time is up; the error then says what each has called.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import atled.core as at
from atled.core import DeviceError, DTypeError, InvalidValueError, Tensor

from ._group import ProcessGroup, ReduceOp, Work
from ._nccl_engine import Communicator, Launch, Members, NcclEngine, NcclWork, Operation
from ._nccl_library import CONSTANTS
from ._parts import Part, check_parts, one_dtype

if TYPE_CHECKING:
    from ._store import Store

__all__ = ["NCCLProcessGroup", "create"]

Give = Callable[[Launch], None]
_BYTES = CONSTANTS["ncclUint8"]
# NCCL has no 16-bit integers: those of 32 bits have the same sums and products, once the rest is cut off.
_WIDER = {"int16": at.int32, "uint16": at.uint32}
_TYPES = {
    "bool": "ncclUint8",
    "int16": "ncclInt32",
    "uint16": "ncclUint32",
    "complex64": "ncclFloat32",
    "complex128": "ncclFloat64",
    **{name: f"nccl{name.capitalize()}" for name in ("int8", "uint8", "int32", "uint32", "int64", "uint64")},
    **{name: f"nccl{name.capitalize()}" for name in ("float16", "float32", "float64", "bfloat16")},
}
_OPS = {
    ReduceOp.SUM: "ncclSum",
    ReduceOp.AVG: "ncclAvg",
    ReduceOp.MIN: "ncclMin",
    ReduceOp.MAX: "ncclMax",
    ReduceOp.PRODUCT: "ncclProd",
}


def create(store: Store, rank: int, world_size: int, timeout: float) -> ProcessGroup:
    """The group of all ranks of the job (the entry point ``nccl`` of ``atled.collectives``)."""
    members = Members("world", tuple(range(world_size)), rank, timeout)
    return NCCLProcessGroup(NcclEngine(store, timeout), members)


class GPUTensor(Part):
    """A tensor on a GPU that takes part in a collective."""

    def check_reducible(self, what: str, op: ReduceOp) -> None:
        super().check_reducible(what, op)
        if self.dtype not in _TYPES:
            raise DTypeError(f"{what}: NCCL does not reduce {self.dtype}; convert it, to bfloat16 for example")
        if op is ReduceOp.PRODUCT and self.tensor.is_complex():
            raise DTypeError(f"{what}: NCCL has no product of complex numbers, got {self.dtype}; gather and multiply")

    def widened(self) -> Tensor:
        """Like ``contiguous``, in a dtype that NCCL can reduce."""
        wider = _WIDER.get(self.dtype)
        return (self.tensor if wider is None else self.tensor.to(wider)).contiguous()

    def numbers(self, op: ReduceOp) -> tuple[int, int, int]:
        """How many numbers ``widened`` has, and NCCL's numbers for their type and for ``op``."""
        name = _OPS[op]
        if self.dtype == "bool":
            name = "ncclMax" if op in (ReduceOp.SUM, ReduceOp.MAX) else "ncclMin"
        count = self.tensor.numel() * (2 if self.tensor.is_complex() else 1)
        return count, CONSTANTS[_TYPES[self.dtype]], CONSTANTS[name]


class NCCLProcessGroup(ProcessGroup):
    """A process group on one NCCL communicator, which its first call makes, on the GPU of that call's tensor."""

    def __init__(self, engine: NcclEngine, members: Members) -> None:
        super().__init__(members.ranks, members.rank, members.name)
        self._engine = engine
        self._members = members
        self._calls = 0
        self._communicator: Communicator | None = None
        self._is_bound = False
        self._batch: list[NcclWork] | None = None

    @property
    def device(self) -> at.device:
        known = self._communicator
        return at.device("cuda", at.cuda.current_device() if known is None else known.index)

    def use_device(self, device: at.device) -> None:
        if device.type != "cuda":
            raise DeviceError(f"init_process_group: backend 'nccl' expects a device_id on cuda, got {device}")
        self._check_index("init_process_group", device.index)
        self._is_bound = True
        self._connect(device.index, self._called(f"init_process_group(device_id={device.type})", [], _nothing))

    def only(self, backend: str) -> ProcessGroup | None:
        return self if backend == "nccl" else None

    def broadcast(self, tensor: Tensor, root: int) -> Work:
        part = self._part(tensor, "broadcast", is_output=self.rank != root)

        def give(launch: Launch) -> None:
            values = part.contiguous()
            here = launch.source(values) if self.rank == root else launch.target(values, part.store)
            launch.nccl.ncclBroadcast(here, here, _size(part), _BYTES, root, launch.comm, launch.stream)

        return self._submit(f"broadcast({part}, src={self.ranks[root]})", [part], give)

    def all_reduce(self, tensor: Tensor, op: ReduceOp) -> Work:
        part = self._part(tensor, "all_reduce", is_output=True)
        part.check_reducible("all_reduce", op)

        def give(launch: Launch) -> None:
            here = launch.target(part.widened(), part.store)
            launch.nccl.ncclAllReduce(here, here, *part.numbers(op), launch.comm, launch.stream)

        return self._submit(f"all_reduce({part}, {op.value}){self.purpose}", [part], give)

    def all_gather(self, output: Tensor, input: Tensor) -> Work:
        target, source = self._part(output, "all_gather", is_output=True), self._part(input, "all_gather")
        check_parts("all_gather_into_tensor", "output", target, "input", source, self.size)

        def give(launch: Launch) -> None:
            here, there = launch.source(source.contiguous()), launch.target(target.contiguous(), target.store)
            launch.nccl.ncclAllGather(here, there, _size(source), _BYTES, launch.comm, launch.stream)

        return self._submit(f"all_gather({source}){self.purpose}", [target, source], give)

    def reduce_scatter(self, output: Tensor, input: Tensor, op: ReduceOp) -> Work:
        target, source = self._part(output, "reduce_scatter", is_output=True), self._part(input, "reduce_scatter")
        check_parts("reduce_scatter_tensor", "input", source, "output", target, self.size)
        source.check_reducible("reduce_scatter", op)

        def give(launch: Launch) -> None:
            here, there = launch.source(source.widened()), launch.target(target.widened(), target.store)
            launch.nccl.ncclReduceScatter(here, there, *target.numbers(op), launch.comm, launch.stream)

        return self._submit(f"reduce_scatter({source}, {op.value}){self.purpose}", [target, source], give)

    def reduce(self, tensor: Tensor, root: int, op: ReduceOp) -> Work:
        is_root = self.rank == root
        part = self._part(tensor, "reduce", is_output=is_root)
        part.check_reducible("reduce", op)

        def give(launch: Launch) -> None:
            values = part.widened()
            here = launch.target(values, part.store) if is_root else launch.source(values)
            there = here if is_root else None
            launch.nccl.ncclReduce(here, there, *part.numbers(op), root, launch.comm, launch.stream)

        return self._submit(f"reduce({part}, {op.value}, dst={self.ranks[root]})", [part], give)

    def gather(self, output: Tensor | None, input: Tensor, root: int) -> Work:
        source = self._part(input, "gather")
        target = None if output is None else self._part(output, "gather", is_output=True)
        if target is not None:
            check_parts("gather", "output", target, "input", source, self.size)

        def give(launch: Launch) -> None:
            size = _size(source)
            _send(launch, launch.source(source.contiguous()), size, root)
            if target is not None:
                there = launch.target(target.contiguous(), target.store)
                for rank in range(self.size):
                    _receive(launch, there + rank * size, size, rank)

        parts = [source] if target is None else [source, target]
        return self._submit(f"gather({source}, dst={self.ranks[root]})", parts, give)

    def scatter(self, output: Tensor, input: Tensor | None, root: int) -> Work:
        target = self._part(output, "scatter", is_output=True)
        source = None if input is None else self._part(input, "scatter")
        if source is not None:
            check_parts("scatter", "input", source, "output", target, self.size)

        def give(launch: Launch) -> None:
            size = _size(target)
            if source is not None:
                here = launch.source(source.contiguous())
                for rank in range(self.size):
                    _send(launch, here + rank * size, size, rank)
            _receive(launch, launch.target(target.contiguous(), target.store), size, root)

        parts = [target] if source is None else [target, source]
        return self._submit(f"scatter({target}, src={self.ranks[root]})", parts, give)

    def all_to_all(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> Work:
        targets = [self._part(tensor, "all_to_all", is_output=True) for tensor in outputs]
        sources = [self._part(tensor, "all_to_all") for tensor in inputs]
        dtype = one_dtype("all_to_all", [*targets, *sources])
        # The other pairs are between ranks; NCCL would not go on.
        check_parts(
            "all_to_all", f"outputs[{self.rank}]", targets[self.rank], f"inputs[{self.rank}]", sources[self.rank], 1
        )

        def give(launch: Launch) -> None:
            for rank, (target, source) in enumerate(zip(targets, sources, strict=True)):
                _send(launch, launch.source(source.contiguous()), _size(source), rank)
                _receive(launch, launch.target(target.contiguous(), target.store), _size(target), rank)

        return self._submit(f"all_to_all({dtype})", [*targets, *sources], give)

    def send(self, tensor: Tensor, to: int, tag: int) -> Work:
        part = self._part(tensor, "send")
        self._check_tag("send", tag)

        def give(launch: Launch) -> None:
            _send(launch, launch.source(part.contiguous()), _size(part), to)

        return self._message(Operation(f"send({part}, dst={self.ranks[to]})", [part.tensor], give))

    def receive(self, tensor: Tensor, source: int | None, tag: int) -> NcclWork:
        part = self._part(tensor, "recv", is_output=True)
        self._check_tag("recv", tag)
        if source is None:
            raise InvalidValueError("recv: NCCL does not receive from just any rank; pass src")

        def give(launch: Launch) -> None:
            _receive(launch, launch.target(part.contiguous(), part.store), _size(part), source)

        signature = f"recv({part}, src={self.ranks[source]})"
        return self._message(Operation(signature, [part.tensor], give, source=source))

    @contextmanager
    def batch(self) -> Iterator[None]:
        begun: list[NcclWork] = []
        self._batch = begun
        try:
            yield
        finally:
            self._batch = None
        if begun:
            self._run(begun)

    def barrier(self) -> Work:
        part = self._part(at.zeros((1,), dtype=at.uint8, device=self.device), "barrier")

        def give(launch: Launch) -> None:
            here = launch.source(part.tensor)
            launch.nccl.ncclAllReduce(here, here, *part.numbers(ReduceOp.SUM), launch.comm, launch.stream)

        return self._submit("barrier()", [part], give, blocks=True)

    def new_group(self, ranks: Sequence[int], name: str, timeout: float) -> ProcessGroup | None:
        if self.rank not in ranks:
            return None
        members = Members(name, tuple(self.ranks[rank] for rank in ranks), list(ranks).index(self.rank), timeout)
        group = NCCLProcessGroup(self._engine, members)
        if self._is_bound:
            group.use_device(self.device)
        return group

    def close(self) -> None:
        self._engine.close()

    def abort(self, error: BaseException) -> None:
        self._engine.abort(error)

    def _part(self, tensor: Tensor, what: str, is_output: bool = False) -> GPUTensor:
        GPUTensor.check_tensor(what, tensor)
        if tensor.device.type != "cuda":
            raise DeviceError(
                f"{what}: backend 'nccl' expects a tensor on cuda, got one on {tensor.device}; move it there, or leave "
                "backend out in init_process_group, for one that takes tensors on cpu as well"
            )
        self._check_index(what, tensor.device.index)
        part = GPUTensor(tensor)
        if is_output:
            part.will_be_written(what)
        return part

    def _check_index(self, what: str, index: int) -> None:
        known = self._communicator
        if known is not None and known.index != index:
            raise DeviceError(
                f"{what}: expected cuda:{known.index}, as in the first call of group {self.name!r}, got cuda:{index}"
            )

    def _check_tag(self, what: str, tag: int) -> None:
        if tag:
            raise InvalidValueError(f"{what}: NCCL has no tags, expected 0, got {tag}")

    def _called(self, signature: str, parts: Sequence[Part], give: Give, blocks: bool = False) -> Operation:
        """A call that all ranks make, noted for those that ask."""
        self._calls += 1
        operation = Operation(signature, [part.tensor for part in parts], give, self._calls, blocks=blocks)
        text = self._members.text(operation)
        self._engine.store.calls.note(self._members.key, self._calls, signature, text)
        return operation

    def _submit(self, signature: str, parts: Sequence[Part], give: Give, blocks: bool = False) -> Work:
        # Nobody has elements where one has none: NCCL is not asked.
        has_elements = any(part.tensor.numel() for part in parts)
        operation = self._called(signature, parts, give if has_elements else _nothing, blocks)
        work = NcclWork(self._engine, self._members, operation)
        self._run([work])
        return work

    def _message(self, operation: Operation) -> NcclWork:
        work = NcclWork(self._engine, self._members, operation)
        self._engine.store.calls.note_message(str(work))
        if self._batch is None:
            self._run([work])
        else:
            self._batch.append(work)
        return work

    def _run(self, works: Sequence[NcclWork]) -> None:
        indices = {tensor.device.index for work in works for tensor in work.operation.tensors}
        if len(indices) > 1:
            raise DeviceError(f"{works[0]}: expected tensors on one GPU, got {sorted(indices)}")
        self._connect(indices.pop(), works[0].operation).run(works)

    def _connect(self, index: int, operation: Operation) -> Communicator:
        if self._communicator is None:
            self._communicator = self._engine.communicator(self._members, index, operation)
        return self._communicator


def _nothing(launch: Launch) -> None:
    pass


def _size(part: Part) -> int:
    return part.tensor.numel() * part.tensor.element_size()


def _send(launch: Launch, address: int, size: int, to: int) -> None:
    if size:
        launch.nccl.ncclSend(address, size, _BYTES, to, launch.comm, launch.stream)


def _receive(launch: Launch, address: int, size: int, source: int) -> None:
    if size:
        launch.nccl.ncclRecv(address, size, _BYTES, source, launch.comm, launch.stream)
