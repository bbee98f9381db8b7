"""Every collective, for every dtype, reduction and layout, against NumPy on two and three ranks."""

import threading
import time

import numpy as np
import pytest

import atled.core as at
from atled import distributed as dist
from atled.distributed import _collectives

FLOATING = ["float16", "bfloat16", "float32", "float64"]
COMPLEX = ["complex64", "complex128"]
INTEGER = ["uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
DTYPES = ["bool", *INTEGER, *FLOATING, *COMPLEX]
LAYOUTS = ["contiguous", "transposed", "strided"]
SHAPES = [(6, 4), (5,), (), (3, 0)]
# Relative to the exact result: half a unit in the last place, and for 32 and 64 bits the order of summation.
TOLERANCE = {"float16": 2**-11, "bfloat16": 2**-8, "float32": 1e-6, "float64": 1e-14}
TOLERANCE |= {"complex64": 1e-6, "complex128": 1e-14}


def exact(dtype, shape, rank):
    """The input of a rank, in a type that holds it exactly."""
    rng = np.random.default_rng([rank, DTYPES.index(dtype), *shape])
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype in INTEGER:
        return np.asarray(rng.integers(0, 5, shape), dtype)
    # Few significant bits, so that bfloat16 holds them too.
    values = np.asarray(rng.integers(-64, 64, shape) / 16.0)
    return values + 1j * rng.integers(-64, 64, shape) / 16.0 if dtype in COMPLEX else values


def to_tensor(values, dtype, layout="contiguous", device="cpu"):
    """A tensor with these values in some layout."""
    values = np.asarray(values)
    like = np.float32 if dtype == "bfloat16" else dtype
    if layout == "transposed":
        tensor = at.asarray(np.array(values.T, like, order="C"), device=device).permute(*reversed(range(values.ndim)))
    elif layout == "strided" and values.ndim:
        spread = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), like)
        spread[..., ::2] = values
        tensor = at.asarray(spread, device=device)
        if dtype == "bfloat16":
            tensor = tensor.to(at.bfloat16)
        return tensor[..., ::2]
    else:
        tensor = at.asarray(np.array(values, like), device=device)
    return tensor.to(getattr(at, dtype)) if dtype == "bfloat16" else tensor


def to_numpy(tensor):
    """The values, in a type that holds them exactly."""
    tensor = tensor.to("cpu")
    return np.array(tensor.to(at.float32).numpy() if tensor.dtype == at.bfloat16 else tensor.numpy())


def cases():
    """Every combination that has a meaning: (collective, dtype, op, layout, shape)."""
    for dtype in DTYPES:
        for layout in LAYOUTS:
            for shape in SHAPES:
                yield "broadcast", dtype, None, layout, shape
                yield "all_gather", dtype, None, layout, shape
                # Layouts are handled by what all of them share.
                rooted = layout == "strided"
                for name in ("gather", "scatter", "all_to_all") * rooted:
                    yield name, dtype, None, layout, shape
                for op in dist.ReduceOp:
                    if op is dist.ReduceOp.AVG and dtype not in FLOATING + COMPLEX:
                        continue
                    if op in (dist.ReduceOp.MIN, dist.ReduceOp.MAX) and dtype in COMPLEX:
                        continue
                    for name in ("all_reduce", "reduce_scatter", *["reduce"] * rooted):
                        yield name, dtype, op.name, layout, shape


def run_all(rank):
    """All cases on one rank: case -> what the rank holds afterwards."""
    dist.init_process_group(timeout=60)
    return run(rank, cases())


def run(rank, chosen, device="cpu"):
    """Some cases on one rank, by tensors on a device."""
    size = dist.get_world_size()
    held = {}
    for case in chosen:
        collective, dtype, op, layout, shape = case
        tensor = to_tensor(exact(dtype, shape, rank), dtype, layout, device)
        if collective == "broadcast":
            dist.broadcast(tensor, src=size - 1)
        elif collective == "all_reduce":
            dist.all_reduce(tensor, dist.ReduceOp[op])
        elif collective == "all_gather":
            whole = to_tensor(np.zeros((size, *shape)), dtype, layout, device)
            dist.all_gather_into_tensor(whole, tensor)
            tensor = whole
        elif collective == "reduce":
            dist.reduce(tensor, size - 1, dist.ReduceOp[op])
        elif collective == "gather":
            parts = [to_tensor(np.zeros(shape), dtype, layout, device) for _ in range(size)]
            dist.gather(tensor, parts if rank == 1 else None, dst=1)
            tensor = at.stack(parts)
        elif collective == "scatter":
            parts = [to_tensor(exact(dtype, shape, part), dtype, layout, device) for part in range(size)]
            dist.scatter(tensor, parts if rank == size - 1 else None, group_src=size - 1)
        elif collective == "all_to_all":
            parts = [to_tensor(exact(dtype, shape, rank + 10 * part), dtype, layout, device) for part in range(size)]
            received = [to_tensor(np.zeros(shape), dtype, layout, device) for _ in range(size)]
            dist.all_to_all(received, parts)
            tensor = at.stack(received)
        else:
            parts = np.stack([exact(dtype, shape, rank + 10 * part) for part in range(size)])
            dist.reduce_scatter_tensor(tensor, to_tensor(parts, dtype, layout, device), dist.ReduceOp[op])
        held[case] = to_numpy(tensor)
    return held


def reduced(inputs, op, dtype):
    """The reduction over ranks, by NumPy and without rounding in between."""
    stack = np.stack(inputs)
    if dtype == "bool":
        return stack.any(0) if op in ("SUM", "MAX") else stack.all(0)
    if op in ("SUM", "PRODUCT") and dtype in INTEGER:
        return getattr(stack, {"SUM": "sum", "PRODUCT": "prod"}[op])(0, dtype=dtype)
    return getattr(stack, {"SUM": "sum", "AVG": "mean", "MIN": "min", "MAX": "max", "PRODUCT": "prod"}[op])(0)


def expected_of(case, rank, size):
    """What a rank holds afterwards, by NumPy."""
    collective, dtype, op, _, shape = case
    inputs = [exact(dtype, shape, other) for other in range(size)]
    if collective == "broadcast":
        return inputs[-1]
    if collective == "all_gather":
        return np.stack(inputs)
    if collective == "all_reduce" or (collective == "reduce" and rank == size - 1):
        return reduced(inputs, op, dtype)
    if collective in ("reduce", "scatter"):
        return inputs[rank]
    if collective == "gather":
        return np.stack(inputs) if rank == 1 else np.zeros((size, *shape))
    if collective == "all_to_all":
        return np.stack([exact(dtype, shape, other + 10 * rank) for other in range(size)])
    return reduced([exact(dtype, shape, other + 10 * rank) for other in range(size)], op, dtype)


@pytest.fixture(scope="module", params=[2, 3])
def job(request):
    """The number of ranks, and what each of them held after each case."""
    return request.param, dist.spawn(run_all, nprocs=request.param)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("collective", sorted({case[0] for case in cases()}))
def test_against_numpy(job, collective, dtype):
    size, held = job
    checked = 0
    for case in cases():
        if case[:2] != (collective, dtype):
            continue
        for rank in range(size):
            expected = expected_of(case, rank, size)
            got = held[rank][case]
            assert got.shape == expected.shape, case
            np.testing.assert_allclose(got, expected, rtol=TOLERANCE.get(dtype, 0), atol=0, err_msg=str(case))
            checked += 1
    assert checked >= size * len(SHAPES)


def same_bits(rank):
    dist.init_process_group(timeout=60)
    rng = np.random.default_rng(rank)
    sums = []
    for size in (7, 1000, 300_000):
        tensor = at.asarray(rng.standard_normal(size).astype(np.float32))
        dist.all_reduce(tensor)
        sums.append(tensor.numpy().tobytes())
    return sums


def test_all_ranks_and_all_runs_get_the_same_bits():
    runs = [dist.spawn(same_bits, nprocs=3) for _ in range(2)]
    assert all(sums == runs[0][0] for run in runs for sums in run)


def lists_and_objects(rank):
    dist.init_process_group(timeout=60)
    size = dist.get_world_size()
    gathered = [at.zeros((2,)) for _ in range(size)]
    dist.all_gather(gathered, at.full((2,), float(rank)))
    scattered = at.zeros((2,))
    dist.reduce_scatter(scattered, [at.full((2,), float(part + rank)) for part in range(size)])
    objects = [{"rank": rank}, "x" * (rank + 1)]
    dist.broadcast_object_list(objects, src=1)
    everybody = [None] * size
    dist.all_gather_object(everybody, list(range(rank)))
    at_two = [None] * size if rank == 2 else None
    dist.gather_object("x" * rank, at_two, dst=2)
    mine = [None]
    dist.scatter_object_list(mine, [{"for": part} for part in range(size)] if rank == 0 else None)
    # Rank i sends i + j rows to rank j.
    rows = [rank + part for part in range(size)]
    received = at.zeros((sum(rows), 2))
    dist.all_to_all_single(received, at.full((sum(rows), 2), float(rank)), rows, rows)
    return [t.tolist() for t in gathered], scattered.tolist(), objects, everybody, at_two, mine, received.tolist()


def test_lists_and_objects():
    for rank, held in enumerate(dist.spawn(lists_and_objects, nprocs=3)):
        gathered, scattered, objects, everybody, at_two, mine, received = held
        assert gathered == [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]
        assert scattered == [3.0 * rank + 3.0] * 2
        assert objects == [{"rank": 1}, "xx"]
        assert everybody == [[], [0], [0, 1]]
        assert at_two == (["", "x", "xx"] if rank == 2 else None)
        assert mine == [{"for": rank}]
        assert received == [[float(other)] * 2 for other in range(3) for _ in range(other + rank)]


def subgroups(rank):
    dist.init_process_group(timeout=60)
    assert dist.GroupMember.WORLD is dist.group.WORLD
    group, in_order = dist.new_group([2, 0], sort_ranks=False), dist.new_group([2, 0])
    if rank == 1:
        assert group is dist.GroupMember.NON_GROUP_MEMBER
        with pytest.raises(dist.DistError, match="this rank is not in the group"):
            dist.barrier(group)
        dist.barrier()
        return None
    tensor = at.full((3,), float(rank))
    dist.broadcast(tensor, src=2, group=group)
    total = at.full((1,), float(rank + 1))
    dist.all_reduce(total, group=group)
    with pytest.raises(ValueError, match=r"src among the ranks of the group, \[2, 0\], got 1"):
        dist.broadcast(tensor, src=1, group=group)
    assert (dist.get_process_group_ranks(group), dist.get_process_group_ranks(in_order)) == ([2, 0], [0, 2])
    assert (dist.get_global_rank(group, 0), dist.get_group_rank(group, 0)) == (2, 1)
    with pytest.raises(ValueError, match="0 <= group_rank < 2, got 2"):
        dist.get_global_rank(group, 2)
    dist.destroy_process_group(group)
    dist.barrier()
    return dist.get_rank(group), dist.get_world_size(group), tensor.tolist(), total.item()


def test_a_group_of_some_ranks():
    assert dist.spawn(subgroups, nprocs=3) == [(1, 2, [2.0] * 3, 4.0), None, (0, 2, [2.0] * 3, 4.0)]


def asynchronous(rank):
    dist.init_process_group(timeout=60)
    tensors = [at.full((1000,), float(rank + i)) for i in range(20)]
    works = [dist.all_reduce(tensor, async_op=True) for tensor in tensors]
    assert all(work.wait() for work in reversed(works))
    assert all(work.is_completed() and work.is_success() and work.exception() is None for work in works)
    if rank == 0:
        barrier = dist.barrier(async_op=True, timeout=0.05)
        with pytest.raises(dist.DistTimeoutError, match="not done after 0.1 s of Work.wait"):
            barrier.wait()
        barrier.wait(30)
    else:
        time.sleep(0.5)
        dist.barrier()
    return [tensor[0].item() for tensor in tensors]


def test_work_can_be_awaited_in_any_order():
    assert dist.spawn(asynchronous, nprocs=2) == [[2.0 * i + 1 for i in range(20)]] * 2


def awaited_twice(rank):
    """Two threads wait for work whose last step takes its time."""
    dist.init_process_group(timeout=60)
    copies, copying = _collectives._copies, threading.Event()

    def slow(gathered, targets):
        def then():
            copying.set()
            time.sleep(0.3)
            copies(gathered, targets)()

        return then

    _collectives._copies = slow
    parts = [at.zeros((1,))]
    work = dist.all_gather(parts, at.ones((1,)), async_op=True)
    first = threading.Thread(target=work.wait)
    first.start()
    copying.wait(30)
    work.wait()
    value = parts[0].item()
    first.join()
    return value


def test_whoever_waits_finds_the_tensors_filled():
    assert dist.spawn(awaited_twice, nprocs=1) == [1.0]


def messages(rank):
    dist.init_process_group(timeout=60)
    size = dist.get_world_size()
    right, left = (rank + 1) % size, (rank - 1) % size
    # So large that a send only ends once it is received: a ring of them must not wait for itself.
    mine, other = at.full((500_000,), float(rank)), at.zeros((500_000,))
    ring = [dist.P2POp(dist.isend, mine, right), dist.P2POp(dist.irecv, other, left)]
    assert all(work.wait() for work in dist.batch_isend_irecv(ring))
    held = [other[0].item(), other[-1].item()]
    if rank == 0:
        works = [dist.isend(at.full((2, i + 1), float(i), dtype=at.bfloat16).T, 1, tag=i % 2) for i in range(6)]
        dist.barrier()
        assert all(work.wait() for work in works)
        dist.send(at.ones((3,)), 1)
        dist.send(at.ones((0,)), 1)
        dist.send(at.full((1,) * 64, 5.0), group_dst=1)
        parts = [at.zeros((1,)) for _ in range(2)]
        sources = [dist.recv(part) for part in parts]
        assert sorted(sources) == [1, 2] and [part.item() for part in parts] == sources
    elif rank == 1:
        received = [at.zeros((i + 1, 2), dtype=at.bfloat16) for i in range(6)]
        works = [dist.irecv(received[i], 0, tag=i % 2) for i in (1, 0, 2, 3, 4, 5)]
        dist.barrier()
        assert all(work.wait() for work in works)
        held += [tensor[-1, -1].item() for tensor in received]
        with pytest.raises(dist.MismatchError, match=r"rank 0 sent float32\[3\], expected int32\[3\]"):
            dist.recv(at.zeros((3,), dtype=at.int32), 0)
        assert dist.recv(at.zeros((0,)), 0) == 0
        deep = at.zeros((1,) * 64)
        assert dist.recv(deep, group_src=0) == 0 and deep.item() == 5.0
    else:
        dist.barrier()
    if rank:
        dist.send(at.full((1,), float(rank)), 0)
    for call, message in (
        (lambda: dist.send(at.zeros((1,)), rank), "^send: expected dst to be another rank, got this one"),
        (lambda: dist.isend(at.zeros((1,)), rank), "^isend: expected dst to be another rank, got this one"),
        (lambda: dist.send(at.zeros((1,))), "dst or group_dst, got neither"),
        (lambda: dist.recv(at.zeros((1,)), right, tag=-1), "0 <= tag < 1048576, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for tag in (1.5, None):
        with pytest.raises(TypeError, match="expected tag to be an integer, got"):
            dist.isend(at.zeros((1,)), right, tag=tag)
    with pytest.raises(TypeError, match="isend or irecv"):
        dist.P2POp(dist.send, mine, right)
    return held


def test_messages_between_two_ranks():
    first, second, third = dist.spawn(messages, nprocs=3)
    assert (first, third) == ([2.0, 2.0], [1.0, 1.0])
    assert second == [0.0, 0.0, *map(float, range(6))]


def again(rank):
    totals = []
    for turn in range(3):
        dist.init_process_group(timeout=60)
        total = at.full((1,), float(turn))
        dist.all_reduce(total)
        totals.append(total.item())
        dist.destroy_process_group()
        assert not dist.is_initialized()
    return totals


def test_a_process_can_leave_and_join_again():
    assert dist.spawn(again, nprocs=2) == [[0.0, 2.0, 4.0]] * 2


def into_leaves(rank):
    dist.init_process_group(timeout=60)
    targets = [at.zeros((2,)).requires_grad_() for _ in range(2)]
    before = [target._version for target in targets]
    dist.all_gather(targets, at.full((2,), float(rank)))
    dist.gather(at.full((2,), float(rank + 1)), targets if rank == 0 else None)
    is_counted = all(target._version > count for target, count in zip(targets, before, strict=True))
    return is_counted, [target.tolist() for target in targets]


def test_gathered_parts_can_be_put_into_parameters():
    pytest.importorskip("atled.autograd")
    first, second = dist.spawn(into_leaves, nprocs=2)
    assert first == (True, [[1.0, 1.0], [2.0, 2.0]])
    assert second == (True, [[0.0, 0.0], [1.0, 1.0]])


def version_counters(rank):
    dist.init_process_group(timeout=60)
    tensor = at.zeros((3,))
    before = tensor._version
    dist.all_reduce(tensor)
    return tensor._version > before


def test_collectives_count_as_changes_in_place():
    assert dist.spawn(version_counters, nprocs=1) == [True]
