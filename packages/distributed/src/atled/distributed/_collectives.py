"""The functions that exchange tensors between ranks.

All of them are called in the same order by every rank of the group (None: the whole job), with tensors of one shape and
dtype unless said otherwise; else every rank gets a MismatchError that shows what each has called. Tensors may have any
dtype and any strides. With ``async_op=True`` a function returns a Work; the tensors are valid after ``work.wait()``.
``src`` and ``dst`` are numbers in the job, ``group_src`` and ``group_dst`` in the group; without either it is rank 0.
"""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta

import atled.core as at
from atled.core import ArgumentError, DeviceError, InvalidValueError, Tensor

from ._calls import overdue
from ._errors import DistTimeoutError
from ._group import ProcessGroup, ReduceOp, Work, seconds
from ._world import group_or_default, job_store, root_of

__all__ = [
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_single",
    "all_reduce",
    "all_to_all",
    "all_to_all_single",
    "barrier",
    "broadcast",
    "gather",
    "monitored_barrier",
    "reduce",
    "reduce_scatter",
    "reduce_scatter_single",
    "reduce_scatter_tensor",
    "scatter",
]


def broadcast(
    tensor: Tensor,
    src: int | None = None,
    group: object = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Copies ``tensor`` of rank ``src`` into ``tensor`` of all other ranks of the group.

    ``tensor`` has one shape and dtype on all ranks, any strides. ``src`` is a number in the job, ``group_src`` one in
    the group; without either it is rank 0. Devices, ``async_op``, what is returned and errors are as for `all_reduce`;
    a rank that is not in the group, or both numbers, is an InvalidValueError.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> x = at.tensor([1.5, 2.5]) if dist.get_rank() == 0 else at.zeros((2,))
    >>> dist.broadcast(x, src=0)
    >>> x.tolist()
    [1.5, 2.5]
    """
    members = group_or_default(group, "broadcast")
    return _finish(members.broadcast(tensor, root_of(members, "broadcast", "src", src, group_src)), async_op, tensor)


def all_reduce(
    tensor: Tensor, op: ReduceOp = ReduceOp.SUM, group: object = None, async_op: bool = False
) -> Work | None:
    """Replaces ``tensor`` on every rank by the sum (or another ``ReduceOp``) of the tensors of all ranks.

    Every rank of ``group`` (None: the whole job) calls it, in the same order as its other calls, with a tensor of one
    shape and dtype, of any strides, on cpu, or with NCCL on cuda. Returns None; with ``async_op=True`` it returns a
    Work at once, and the tensor is valid after its ``wait()``.

    Raises, on all ranks, MismatchError where they call different things (NCCL does not compare). Raises DTypeError for
    AVG of integers and MIN or MAX of complex numbers, DeviceError where the backend does not take the tensor's device,
    InvalidValueError for a tensor that cannot be written to, such as an expanded one; RankFailedError when another rank
    fails, DistTimeoutError when one does not come in time, and DistError without a job or on a rank outside the group.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> gradient = at.full((3,), dist.get_rank() + 1.0)  # ones on rank 0, twos on rank 1
    >>> dist.all_reduce(gradient)
    >>> gradient.tolist()
    [3.0, 3.0, 3.0]
    """
    _check_op(op, "all_reduce")
    return _finish(group_or_default(group, "all_reduce").all_reduce(tensor, op), async_op, tensor)


def reduce(
    tensor: Tensor,
    dst: int | None = None,
    op: ReduceOp = ReduceOp.SUM,
    group: object = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Replaces ``tensor`` on rank ``dst`` by the sum (or another ``ReduceOp``) of all ranks'; the others keep theirs.

    ``tensor`` has one shape and dtype on all ranks. ``dst`` is a number in the job, ``group_dst`` one in the group;
    without either it is rank 0. The rest, and errors, are as for `all_reduce` and `broadcast`.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> correct = at.tensor(dist.get_rank() + 5)
    >>> dist.reduce(correct, dst=0)
    >>> correct.item() == (11 if dist.get_rank() == 0 else 6)
    True
    """
    _check_op(op, "reduce")
    members = group_or_default(group, "reduce")
    return _finish(members.reduce(tensor, root_of(members, "reduce", "dst", dst, group_dst), op), async_op, tensor)


def all_gather(
    tensor_list: Sequence[Tensor], tensor: Tensor, group: object = None, async_op: bool = False
) -> Work | None:
    """Copies ``tensor`` of rank i into ``tensor_list[i]``, on every rank.

    ``tensor_list`` holds as many tensors as the group has ranks, of the shape and dtype of ``tensor``, which are the
    same on all ranks. Raises InvalidValueError for a list of other tensors, and what `all_reduce` raises;
    ``async_op`` is as there. `all_gather_into_tensor` spares a copy.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> parts = [at.zeros((2,)) for _ in range(dist.get_world_size())]
    >>> dist.all_gather(parts, at.full((2,), dist.get_rank() + 1.0))
    >>> [part.tolist() for part in parts]
    [[1.0, 1.0], [2.0, 2.0]]
    """
    members = group_or_default(group, "all_gather")
    _check_list("all_gather", "tensor_list", tensor_list, tensor, members.size)
    gathered = at.empty((members.size, *tensor.shape), dtype=tensor.dtype, device=tensor.device)
    return _finish(
        _WorkThen(members.all_gather(gathered, tensor), _copies(gathered, tensor_list)), async_op, *tensor_list
    )


def all_gather_into_tensor(
    output_tensor: Tensor, input_tensor: Tensor, group: object = None, async_op: bool = False
) -> Work | None:
    """Fills ``output_tensor`` with the ``input_tensor`` of all ranks, in rank order.

    ``output_tensor`` has the group's size times as many elements, of the same dtype: the inputs concatenated, or
    stacked, along the first dimension. Raises ShapeError or DTypeError where it does not, and what `all_reduce`
    raises; ``async_op`` is as there.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> whole = at.zeros((4,))
    >>> dist.all_gather_into_tensor(whole, at.full((2,), dist.get_rank() + 1.0))
    >>> whole.tolist()
    [1.0, 1.0, 2.0, 2.0]
    """
    members = group_or_default(group, "all_gather_into_tensor")
    return _finish(members.all_gather(output_tensor, input_tensor), async_op, output_tensor)


def gather(
    tensor: Tensor,
    gather_list: Sequence[Tensor] | None = None,
    dst: int | None = None,
    group: object = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Copies ``tensor`` of rank i into ``gather_list[i]`` of rank ``dst``, which alone passes a list.

    The list holds as many tensors as the group has ranks, of the shape and dtype of ``tensor``, which are the same on
    all ranks. ``dst`` and ``group_dst`` are as for `reduce`, ``async_op`` and errors as for `all_reduce`; a list on
    another rank, or none on this one, is an InvalidValueError.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> parts = [at.zeros((1,)) for _ in range(2)] if dist.get_rank() == 0 else None
    >>> dist.gather(at.tensor([dist.get_rank() + 1.0]), parts)
    >>> parts is None or [part.item() for part in parts] == [1.0, 2.0]
    True
    """
    members = group_or_default(group, "gather")
    root = root_of(members, "gather", "dst", dst, group_dst)
    targets = _list_of_root("gather", "gather_list", gather_list, tensor, "dst", members, root)
    if targets is None:
        return _finish(members.gather(None, tensor, root), async_op)
    gathered = at.empty((members.size, *tensor.shape), dtype=tensor.dtype, device=tensor.device)
    return _finish(_WorkThen(members.gather(gathered, tensor, root), _copies(gathered, targets)), async_op, *targets)


def scatter(
    tensor: Tensor,
    scatter_list: Sequence[Tensor] | None = None,
    src: int | None = None,
    group: object = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Copies ``scatter_list[i]`` of rank ``src``, which alone passes a list, into ``tensor`` of rank i.

    The list holds as many tensors as the group has ranks, of the shape and dtype of ``tensor``, which are the same on
    all ranks. ``src`` and ``group_src`` are as for `broadcast`, ``async_op`` and errors as for `all_reduce`; a list on
    another rank, or none on this one, is an InvalidValueError.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> mine, parts = at.zeros((2,)), [at.zeros((2,)), at.ones((2,))]
    >>> dist.scatter(mine, parts if dist.get_rank() == 0 else None)
    >>> mine.tolist() == [float(dist.get_rank())] * 2
    True
    """
    members = group_or_default(group, "scatter")
    root = root_of(members, "scatter", "src", src, group_src)
    parts = _list_of_root("scatter", "scatter_list", scatter_list, tensor, "src", members, root)
    return _finish(members.scatter(tensor, None if parts is None else at.stack(list(parts)), root), async_op, tensor)


def all_to_all(
    output_tensor_list: Sequence[Tensor],
    input_tensor_list: Sequence[Tensor],
    group: object = None,
    async_op: bool = False,
) -> Work | None:
    """Copies ``input_tensor_list[j]`` of rank i into ``output_tensor_list[i]`` of rank j.

    Both lists hold as many tensors as the group has ranks, all of one dtype; the two of a pair have equally many
    elements, or every rank gets a MismatchError. Raises InvalidValueError for a list of another length, DTypeError for
    several dtypes, and what `all_reduce` raises; ``async_op`` is as there.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> to_send = [at.tensor([10 * dist.get_rank() + other]) for other in range(2)]
    >>> received = [at.zeros((1,), dtype=at.int64) for _ in range(2)]
    >>> dist.all_to_all(received, to_send)
    >>> [part.item() for part in received] == [dist.get_rank(), 10 + dist.get_rank()]
    True
    """
    members = group_or_default(group, "all_to_all")
    for name, tensors in (("output_tensor_list", output_tensor_list), ("input_tensor_list", input_tensor_list)):
        _check_length("all_to_all", name, tensors, members.size)
    return _finish(members.all_to_all(list(output_tensor_list), list(input_tensor_list)), async_op, *output_tensor_list)


def all_to_all_single(
    output: Tensor,
    input: Tensor,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: object = None,
    async_op: bool = False,
) -> Work | None:
    """Sends the j-th part of ``input`` along its first dimension to rank j; part i of ``output`` is from rank i.

    The tensors have one dtype and at least one dimension. Their parts are equal, or have the sizes given, in
    rows. Raises InvalidValueError where the rows cannot be divided so, MismatchError on all ranks where one sends more
    or less than another expects, and what `all_reduce` raises; ``async_op`` is as there.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> rank, received = dist.get_rank(), at.zeros((2,), dtype=at.int64)
    >>> dist.all_to_all_single(received, at.tensor([10 * rank, 10 * rank + 1]))
    >>> received.tolist() == [rank, 10 + rank]
    True
    """
    members = group_or_default(group, "all_to_all_single")
    parts = [
        _parts("all_to_all_single", name, tensor, sizes, members.size)
        for name, tensor, sizes in (("output", output, output_split_sizes), ("input", input, input_split_sizes))
    ]
    return _finish(members.all_to_all(*parts), async_op, output)


def reduce_scatter(
    output: Tensor,
    input_list: Sequence[Tensor],
    op: ReduceOp = ReduceOp.SUM,
    group: object = None,
    async_op: bool = False,
) -> Work | None:
    """Reduces ``input_list[i]`` over all ranks and stores it in ``output`` of rank i.

    The list holds as many tensors as the group has ranks, of the shape and dtype of ``output``, which are the same on
    all ranks. Raises InvalidValueError for a list of other tensors, and what `all_reduce` raises; ``async_op`` is as
    there. `reduce_scatter_tensor` spares a copy.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> mine = at.zeros((2,))
    >>> dist.reduce_scatter(mine, [at.full((2,), 1.0), at.full((2,), 10.0)])
    >>> mine.tolist() == [[2.0, 2.0], [20.0, 20.0]][dist.get_rank()]
    True
    """
    members = group_or_default(group, "reduce_scatter")
    _check_op(op, "reduce_scatter")
    _check_list("reduce_scatter", "input_list", input_list, output, members.size)
    return _finish(members.reduce_scatter(output, at.stack(list(input_list)), op), async_op, output)


def reduce_scatter_tensor(
    output: Tensor, input: Tensor, op: ReduceOp = ReduceOp.SUM, group: object = None, async_op: bool = False
) -> Work | None:
    """Reduces ``input`` over all ranks; the i-th of its equal parts along the first dimension goes to rank i.

    ``input`` has the group's size times as many elements as ``output``, of the same dtype. Raises ShapeError or
    DTypeError where it does not, and what `all_reduce` raises; ``async_op`` is as there.

    >>> import atled.core as at
    >>> from atled import distributed as dist
    >>> mine = at.zeros((2,))
    >>> dist.reduce_scatter_tensor(mine, at.tensor([1.0, 2.0, 3.0, 4.0]), dist.ReduceOp.AVG)
    >>> mine.tolist() == [[1.0, 2.0], [3.0, 4.0]][dist.get_rank()]
    True
    """
    _check_op(op, "reduce_scatter_tensor")
    members = group_or_default(group, "reduce_scatter_tensor")
    return _finish(members.reduce_scatter(output, input, op), async_op, output)


def barrier(
    group: object = None,
    async_op: bool = False,
    device_ids: object = None,
    timeout: float | timedelta | None = None,
) -> Work | None:
    """Waits until every rank of the group (None: the whole job) has called it.

    ``timeout``: seconds or a timedelta (None: the group's). With ``async_op=True`` it returns a Work at once, whose
    ``wait()`` waits. ``device_ids``: the index of this rank's GPU, in a list, to meet by NCCL there, behind what its
    current stream has been given; None is the CPU, where the group has a backend for that.

    Raises DistTimeoutError when the time is up, InvalidValueError for ``device_ids`` where the group has no NCCL,
    DeviceError where its calls are on another GPU, and what `all_reduce` raises.

    >>> from atled import distributed as dist
    >>> dist.barrier()
    >>> dist.barrier(async_op=True, timeout=60).wait()
    True
    """
    members = group_or_default(group, "barrier")
    limit = None if timeout is None else seconds(timeout)
    work = members.barrier() if device_ids is None else _barrier_on(members, device_ids)
    return _finish(work if limit is None else _WorkThen(work, lambda: None, limit), async_op)


def monitored_barrier(
    group: object = None, timeout: float | timedelta | None = None, wait_all_ranks: bool = False
) -> None:
    """`barrier`, whose DistTimeoutError names all ranks that have not come, with or without ``wait_all_ranks``.

    ``timeout``: seconds or a timedelta (None: the group's). Raises what `barrier` raises.

    >>> from atled import distributed as dist
    >>> dist.monitored_barrier(timeout=60)
    """
    members = group_or_default(group, "monitored_barrier")
    limit = None if timeout is None else seconds(timeout)
    work = members.barrier()
    try:
        work.wait(limit)
    except DistTimeoutError:
        if work.is_completed():
            raise  # by the group, which has asked the others
        store = job_store("monitored_barrier")
        number, signature = store.calls.last_of(members.name)
        head = f"monitored_barrier: not done within {limit:g} s"
        raise overdue(store, members.ranks, members.name, number, signature, head) from None


# PyTorch's newer names.
all_gather_single = all_gather_into_tensor
reduce_scatter_single = reduce_scatter_tensor


class _WorkThen(Work):
    """Work with a last step, which the first thread that waits for it takes."""

    def __init__(self, work: Work, then: Callable[[], None], limit: float | None = None) -> None:
        self._work = work
        self._then: Callable[[], None] | None = then
        self._limit = limit
        self._lock = threading.Lock()

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        self._work.wait(self._limit if timeout is None else timeout)
        with self._lock:
            if self._then is not None:
                self._then()
                self._then = None
        return True

    def is_completed(self) -> bool:
        return self._work.is_completed()

    def exception(self) -> BaseException | None:
        return self._work.exception()


def _finish(work: Work, async_op: bool, *tensors: Tensor) -> Work | None:
    """Waits for what fills these tensors, unless the caller is to."""
    if async_op:
        work._tensors = tensors
        return work
    work.wait()
    return None


def _barrier_on(members: ProcessGroup, device_ids: object) -> Work:
    """A barrier by the part of the group that is on GPUs, on the one that ``device_ids`` names."""
    part = members.only("nccl")
    if part is None:
        raise InvalidValueError(
            f"barrier: device_ids names a GPU for backend 'nccl', which the group does not have; leave it out, got "
            f"{device_ids!r}"
        )
    if not (isinstance(device_ids, Sequence) and len(device_ids) == 1 and isinstance(device_ids[0], int)):
        raise ArgumentError(f"barrier: expected device_ids to be a list of one index of a GPU, got {device_ids!r}")
    with at.cuda.device(device_ids[0]):
        if part.device.index != device_ids[0]:
            raise DeviceError(
                f"barrier: expected device_ids=[{part.device.index}], as in earlier calls of the group, "
                f"got {device_ids!r}"
            )
        return part.barrier()


def _check_op(op: ReduceOp, what: str) -> None:
    if not isinstance(op, ReduceOp):
        raise ArgumentError(f"{what}: expected a ReduceOp, such as ReduceOp.SUM, got {op!r}")


def _list_of_root(
    what: str, name: str, tensors: Sequence[Tensor] | None, like: Tensor, role: str, group: ProcessGroup, root: int
) -> Sequence[Tensor] | None:
    """The tensors on the rank that passes them, None elsewhere; raises if another rank does, or none."""
    if (tensors is not None) != (group.rank == root):
        expected = f"a list of {group.size} tensors on rank {group.ranks[root]}, its {role}, and None elsewhere"
        got = "None" if tensors is None else "a list"
        raise InvalidValueError(f"{what}: expected {name} to be {expected}, got {got} here")
    if tensors is not None:
        _check_list(what, name, tensors, like, group.size)
    return tensors


def _copies(gathered: Tensor, targets: Sequence[Tensor]) -> Callable[[], None]:
    def copy_out() -> None:
        for target, part in zip(targets, gathered, strict=True):
            # As every collective writes: apart from any gradient that it has.
            (target.detach() if getattr(target, "requires_grad", False) else target).copy_(part)

    return copy_out


def _parts(what: str, name: str, tensor: Tensor, sizes: Sequence[int] | None, count: int) -> list[Tensor]:
    if not isinstance(tensor, Tensor):
        raise ArgumentError(f"{what}: expected a Tensor, got {type(tensor).__name__}")
    rows = int(tensor.shape[0]) if tensor.shape else 0
    if sizes is None or not len(sizes):
        if not tensor.shape or rows % count:
            raise InvalidValueError(
                f"{what}: expected {name}.shape[0] divisible by the number of ranks, {count}, got shape "
                f"{tuple(tensor.shape)}; pass {name}_split_sizes"
            )
        sizes = [rows // count] * count
    try:
        sizes = [operator.index(each) for each in sizes]
    except TypeError:
        raise ArgumentError(f"{what}: expected {name}_split_sizes to be integers, got {list(sizes)}") from None
    if len(sizes) != count or min(sizes) < 0 or sum(sizes) != rows:
        raise InvalidValueError(
            f"{what}: expected {name}_split_sizes of {count} numbers that add up to {rows}, got {sizes}"
        )
    ends = list(itertools.accumulate(sizes))
    return [tensor[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _check_length(what: str, name: str, tensors: Sequence[Tensor], size: int) -> None:
    if not isinstance(tensors, Sequence):
        raise ArgumentError(f"{what}: expected {name} to be a list of tensors, got {type(tensors).__name__}")
    if len(tensors) != size:
        raise InvalidValueError(f"{what}: expected {name} of {size} tensors, one for each rank, got {len(tensors)}")
    for i, each in enumerate(tensors):
        if not isinstance(each, Tensor):
            raise ArgumentError(f"{what}: expected {name}[{i}] to be a Tensor, got {type(each).__name__}")


def _check_list(what: str, name: str, tensors: Sequence[Tensor], like: Tensor, size: int) -> None:
    if not isinstance(like, Tensor):
        raise ArgumentError(f"{what}: expected a Tensor, got {type(like).__name__}")
    _check_length(what, name, tensors, size)
    for i, each in enumerate(tensors):
        if tuple(each.shape) != tuple(like.shape) or each.dtype != like.dtype:
            raise InvalidValueError(
                f"{what}: expected {name}[{i}] of shape {tuple(like.shape)} and {like.dtype}, got {tuple(each.shape)} "
                f"and {each.dtype}"
            )
