"""Messages between two ranks, whatever the order in which MPI shows that they have come."""

import os
import queue
import time
from pathlib import Path

import pytest

import atled.core as at
from atled import distributed as dist
from atled.distributed import _mpi_engine


def wait_for(path):
    while not path.exists():
        time.sleep(1e-3)


def seen_late(rank, folder, lengths, source):
    """All messages arrive after the engine has looked for the first and before it looks for the others."""
    dist.init_process_group("mpi", timeout=20)
    awaited, sent = Path(folder) / "awaited", Path(folder) / "sent"
    if rank == 0:
        wait_for(awaited)
        works = [dist.isend(at.full((length,), float(i)), 1) for i, length in enumerate(lengths)]
        # Headers and data are under way when the engine has done what came before this.
        dist.isend(at.zeros((1,)), 1, tag=2)
        sent.touch()
        for work in works:
            work.wait()
        dist.barrier()
        return []
    advance, engine = _mpi_engine._Transfer.advance, dist.group.WORLD._engine

    def slow(transfer, *arguments):
        all_begun = len(engine._transfers) == 1 + len(lengths)
        if all_begun and "tag=1" in transfer.operation.signature and not sent.exists():
            awaited.touch()
            wait_for(sent)
            end = time.monotonic() + 0.1
            while time.monotonic() < end:
                # MPI takes in what has come.
                transfer.request.Test()
        return advance(transfer, *arguments)

    _mpi_engine._Transfer.advance = slow
    received = [at.full((length,), -1.0) for length in lengths]
    works = [dist.irecv(received[0], source)]
    never = dist.irecv(at.zeros((1,)), 0, tag=1)
    works += [dist.irecv(tensor, 0) for tensor in received[1:]]
    for work in works:
        work.wait()
    assert not never.is_completed()
    dist.barrier()
    return [tensor.tolist() for tensor in received]


@pytest.mark.parametrize("source", [0, None])
@pytest.mark.parametrize("lengths", [(4, 4, 4, 4), (5, 6, 7, 8)])
def test_receives_of_one_tag_are_filled_in_the_order_of_sending(tmp_path, lengths, source):
    _, received = dist.spawn(seen_late, (str(tmp_path), lengths, source), nprocs=2)
    assert received == [[float(i)] * length for i, length in enumerate(lengths)]


def many(rank):
    dist.init_process_group("mpi", timeout=20)
    wrong = 0
    for _ in range(20):
        if rank == 0:
            time.sleep(1e-3)
            works = [dist.isend(at.full((3,), float(i)), 1, tag=i % 3) for i in range(30)]
        else:
            received = [at.zeros((3,)) for _ in range(30)]
            works = [dist.irecv(received[i], 0, tag=i % 3) for i in (*range(0, 30, 3), *range(1, 30, 3))]
            works += [dist.irecv(received[i], [0, None][i % 2], tag=2) for i in range(2, 30, 3)]
        for work in works:
            work.wait()
        if rank == 1:
            wrong += sum(tensor.tolist() != [float(i)] * 3 for i, tensor in enumerate(received))
    return wrong


def test_many_receives_at_once():
    assert dist.spawn(many, nprocs=2) == [0, 0]


def in_between(rank):
    """A receive from one rank awaits its message for longer than a later one from anybody."""
    dist.init_process_group("mpi", timeout=20)
    first, second = at.zeros((1,)), at.zeros((1,))
    if rank == 1:
        work = dist.irecv(first, 0)
        source = dist.recv(second)
        dist.send(at.zeros((1,)), 0)
        work.wait()
        return source, first.item(), second.item()
    if rank == 0:
        dist.recv(first, 1)
    dist.send(at.full((1,), 5.0 + rank), 1)
    return None


def test_a_receive_does_not_hold_up_one_from_another_rank():
    assert dist.spawn(in_between, nprocs=3)[1] == (2, 5.0, 7.0)


def objects(rank):
    """Objects to one rank, in groups of some and from whoever is first."""
    dist.init_process_group("mpi", timeout=20)
    turned = dist.new_group([2, 0], sort_ranks=False)
    if rank == 2:
        dist.send_object_list([{"a": at.ones(2)}, None], group=turned, group_dst=1)
    elif rank == 0:
        found = [None, 1]
        assert dist.recv_object_list(found, group=turned, group_src=0) == 0
        assert found[0]["a"].tolist() == [1.0, 1.0] and found[1] is None
    unpicklable = pytest.raises(dist.DistError, match="cannot be pickled")
    if rank == 1:
        with unpicklable:
            dist.send_object_list([lambda: 1], 0)
        dist.send_object_list([1, 2], 0)
        dist.send_object_list(["last"], 0)
    elif rank == 0:
        with unpicklable:
            dist.recv_object_list([None], 1)
        with pytest.raises(ValueError, match="lists of one length, got 1 here and 2 on rank 1"):
            dist.recv_object_list([None])
        found = [None]
        assert dist.recv_object_list(found) == 1 and found == ["last"]
    with pytest.raises(TypeError, match="object_list to be a list, got 'x'"):
        dist.send_object_list("x", 1 - min(rank, 1))

    mine, every = dist.new_subgroups_by_enumeration([[2, 0], [1]])
    others = [None] * mine.size
    dist.all_gather_object(others, rank, mine)
    assert others == [[0, 2], [1]][rank == 1] and every.index(mine) == (rank == 1)
    assert dist.new_subgroups()[0].ranks == (0, 1, 2)  # of this machine
    for call, kind, message in (
        (lambda: dist.new_subgroups(2), ValueError, "to divide the number of ranks, 3, got 2"),
        (lambda: dist.new_subgroups(1, mine), ValueError, r"a group of all ranks of the job, .* got one of \[\d"),
        (lambda: dist.new_subgroups_by_enumeration([[0], [0, 1]]), ValueError, "each rank in one list at most"),
        (lambda: dist.new_subgroups_by_enumeration(3), TypeError, "a list of lists of ranks, got 3"),
        (lambda: dist.get_default_backend_for_device("meta"), ValueError, "one of the devices cpu, cuda, got 'meta'"),
    ):
        with pytest.raises(kind, match=message):
            call()
    if rank == 0:
        time.sleep(2)
        dist.monitored_barrier()
    else:
        with pytest.raises(
            dist.DistTimeoutError, match=r"within 0.5 s\n  rank 0 has not called it; its last call: new_g"
        ):
            dist.monitored_barrier(timeout=0.5)
    return rank


def test_objects_go_to_one_rank_and_ranks_into_subgroups():
    assert dist.spawn(objects, nprocs=3) == [0, 1, 2]


def beside_another(rank):
    """What another backend has asked to be told of failures stays; the other rank dies when MPI has begun."""
    store = dist.Store(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), rank, 2, timeout=20)
    told = queue.SimpleQueue()
    store.on_failure = told.put
    _mpi_engine.Engine(store)
    store.gather("begun", "")
    if rank == 0:
        error = told.get(timeout=20)
        store.leave()
        return error.rank
    store.fail("a test", "")
    store.leave()
    return None


def test_failures_are_told_to_backends_that_began_before_mpi():
    assert dist.spawn(beside_another, nprocs=2) == [1, None]


def idle(rank):
    dist.init_process_group("mpi", timeout=20)
    looks = 0
    if rank == 0:
        advance = _mpi_engine.Engine._advance

        def counted(engine):
            nonlocal looks
            looks += 1
            advance(engine)

        work = dist.irecv(at.zeros((1,)), 1)
        time.sleep(0.4)
        _mpi_engine.Engine._advance = counted
        time.sleep(0.6)
        _mpi_engine.Engine._advance = advance
        dist.barrier()
        work.wait()
    else:
        dist.barrier()
        dist.send(at.zeros((1,)), 0)
    return looks


def test_a_receive_costs_hardly_any_processor_while_nothing_comes():
    # Each look costs 0.1 ms of processor time: at one in 0.2 ms, a sixth of a core.
    assert 0 < max(dist.spawn(idle, nprocs=2)) < 300
