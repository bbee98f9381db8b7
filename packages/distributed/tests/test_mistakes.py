"""Wrong use: each mistake gets a typed error that says what was expected, on every rank, and no hang."""

import os

import numpy as np
import pytest

import atled.core as at
from atled import distributed as dist
from atled.distributed import _collectives, _objects, _transfers


def mismatches(rank):
    dist.init_process_group(timeout=30)
    messages = []
    calls = [
        lambda: dist.all_reduce(at.zeros((2 + rank,))),
        lambda: dist.all_reduce(at.zeros((2,), dtype=[at.float32, at.float64][rank])),
        lambda: dist.all_reduce(at.zeros((2,)), [dist.ReduceOp.SUM, dist.ReduceOp.MAX][rank]),
        lambda: dist.broadcast(at.zeros((2,)), src=rank),
        lambda: [dist.barrier, lambda: dist.all_reduce(at.zeros((1,)))][rank](),
        lambda: dist.all_reduce(at.zeros((1,) * 30 + (1 + rank,))),
        lambda: dist.reduce(at.zeros((2,)), dst=rank),
        lambda: dist.all_to_all([at.zeros((1 + rank,))] * 2, [at.zeros((1,))] * 2),
    ]
    for call in calls:
        with pytest.raises(dist.MismatchError) as caught:
            call()
        messages.append(str(caught.value))
    with pytest.raises(dist.DistError, match="the object of rank 1 cannot be pickled"):
        dist.all_gather_object([None] * 2, [1, lambda: 1][rank])
    with pytest.raises(dist.DistError, match="the object of rank 0 cannot be pickled"):
        dist.broadcast_object_list([[lambda: 1, None][rank]], src=0)
    with pytest.raises(dist.DistError, match="the object of rank 1 cannot be pickled"):
        dist.broadcast_object_list([[None, lambda: 1][rank]], src=1)
    with pytest.raises(dist.DistError, match="the object of rank 0 cannot be pickled"):
        dist.scatter_object_list([None], [1, lambda: 1] if rank == 0 else None)
    # The group is still in step.
    total = at.full((1,), 1.0)
    dist.all_reduce(total)
    assert total.item() == 2.0
    return messages


def test_ranks_that_call_different_things_are_told_what():
    first, second = dist.spawn(mismatches, nprocs=2)
    assert [message.splitlines()[1:] for message in first] == [message.splitlines()[1:] for message in second]
    assert first[0].splitlines() == [
        "all_reduce: expected the same call on every rank, got",
        "  rank 0: all_reduce(float32[2], SUM)",
        "  rank 1: all_reduce(float32[3], SUM)",
    ]
    assert "float64[2], SUM" in first[1] and "float32[2], MAX" in first[2] and "src=1" in first[3]
    assert "reduce(float32[2], SUM, dst=1)" in first[6]
    assert first[7] == "all_to_all: rank 0 sends 1 elements to rank 1, which expects 2"
    assert first[4].splitlines()[1:] == ["  rank 0: barrier()", "  rank 1: all_reduce(float32[1], SUM)"]


def left_too_early(rank):
    """Who cannot leave is still there, and leaves when the others do."""
    dist.init_process_group(timeout=30)
    with pytest.raises(dist.MismatchError, match=r"rank 0: destroy_process_group\(\)"):
        dist.barrier() if rank else dist.destroy_process_group()
    total = at.ones((1,))
    dist.all_reduce(total)
    dist.destroy_process_group()
    dist.init_process_group(timeout=30)
    return total.item(), dist.get_world_size()


def test_a_job_that_cannot_be_left_goes_on():
    assert dist.spawn(left_too_early, nprocs=2) == [(2.0, 2)] * 2


def bad_arguments(rank):
    dist.init_process_group("mpi", timeout=30)
    expanded = at.zeros((1, 3)).expand(4, 3)
    readonly = np.zeros(3)
    readonly.flags.writeable = False
    cases = [
        (
            lambda: dist.all_reduce(at.zeros((2,), dtype=at.int32), dist.ReduceOp.AVG),
            TypeError,
            "AVG expects a floating",
        ),
        (lambda: dist.all_reduce(at.zeros((2,), dtype=at.complex64), dist.ReduceOp.MIN), TypeError, "no order for MIN"),
        (lambda: dist.all_reduce(expanded), ValueError, "expanded tensor"),
        (lambda: dist.all_reduce(at.asarray(readonly)), ValueError, "read-only"),
        (lambda: dist.all_reduce(np.zeros(3)), TypeError, "all_reduce: expected a Tensor, got ndarray"),
        (
            lambda: dist.all_reduce(at.zeros((2,)), "sum"),
            TypeError,
            "expected a ReduceOp, such as ReduceOp.SUM, got 'sum'",
        ),
        (lambda: dist.broadcast(at.zeros((2,)), src=1), ValueError, r"src among the ranks of the group, \[0\], got 1"),
        (lambda: dist.all_gather([], at.zeros((2,))), ValueError, "tensor_list of 1 tensors"),
        (lambda: dist.all_gather([at.zeros((3,))], at.zeros((2,))), ValueError, r"tensor_list\[0\] of shape \(2,\)"),
        (lambda: dist.all_gather_into_tensor(at.zeros((3,)), at.zeros((2,))), ValueError, "1 times as many elements"),
        (lambda: dist.reduce_scatter_tensor(at.zeros((2,)), at.zeros((2,), dtype=at.int8)), TypeError, "one dtype"),
        (lambda: dist.all_gather_object([], 1), ValueError, "a list of 1 elements"),
        (lambda: dist.gather(at.zeros((2,))), ValueError, "a list of 1 tensors on rank 0, its dst, and None elsewhere"),
        (lambda: dist.all_gather([1], at.zeros((2,))), TypeError, r"tensor_list\[0\] to be a Tensor, got int"),
        (lambda: dist.broadcast(at.zeros((2,)), 0, group_src=0), ValueError, "src or group_src, got both"),
        (lambda: dist.all_to_all([at.zeros((1,))], [at.zeros((1,), dtype=at.int8)]), TypeError, "float32, int8"),
        (
            lambda: dist.all_to_all_single(at.zeros((2,)), at.zeros((2,)), [3]),
            ValueError,
            r"output_split_sizes of 1 numbers that add up to 2, got \[3\]",
        ),
        (lambda: dist.new_group([0, 1]), ValueError, "distinct ranks from 0 to 0"),
        (lambda: dist.new_group([]), ValueError, "distinct ranks"),
        (lambda: dist.init_process_group(), dist.DistError, "has a group already"),
        (lambda: dist.barrier(object()), TypeError, "expected a ProcessGroup or None, got object"),
        (lambda: dist.barrier(dist.DeviceMesh("cpu", [0])), TypeError, r"got DeviceMesh; pass its get_group\(\)"),
        (lambda: dist.barrier(device_ids=[0]), ValueError, r"backend 'nccl', .* leave it out, got \[0\]"),
        (lambda: dist.barrier(timeout="1"), TypeError, "seconds or a timedelta, got '1'"),
        (lambda: dist.all_gather(None, at.zeros((2,))), TypeError, "tensor_list to be a list of tensors, got NoneType"),
        (
            lambda: dist.all_to_all_single(at.zeros((2,)), at.zeros((2,)), [2.0]),
            TypeError,
            r"output_split_sizes to be integers, got \[2.0\]",
        ),
        (lambda: dist.broadcast_object_list((1,)), TypeError, "object_list to be a list"),
        (lambda: dist.broadcast_object_list([1], device="meta"), RuntimeError, "expects a tensor on cpu"),
        (lambda: dist.new_group(0), TypeError, "ranks to be a list of them, got 0"),
        (lambda: dist.batch_isend_irecv(None), TypeError, "a list of P2POps, got NoneType"),
        (lambda: dist.DeviceMesh("gpu", [0]), RuntimeError, "'gpu'"),
        (lambda: dist.DeviceMesh("cpu", [0], mesh_dim_names="a"), TypeError, "a tuple of names, got 'a'"),
        (lambda: dist.checkpoint.save({}, checkpoint_id=None), TypeError, "the path of a folder, got None"),
        (lambda: dist.checkpoint.load({}, checkpoint_id=1), TypeError, "the path of a folder, got 1"),
        (lambda: dist.DistributedDataParallel(1), TypeError, "expected a module, got int"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()
    dist.all_reduce(at.zeros((2,)))
    group = dist.new_group([0])
    dist.destroy_process_group()
    for call in (lambda: dist.barrier(group), lambda: dist.all_reduce(at.zeros((2,)), group=group)):
        with pytest.raises(dist.DistError, match="has been left by destroy_process_group"):
            call()
    store = dist.Store(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), 0, 1, 30)
    with pytest.raises(dist.DistError, match="store is of rank 0 of 1, .* got None, -1 and 2"):
        dist.init_process_group(store=store, world_size=2)
    with pytest.raises(TypeError, match="bytes or a str, got int"):
        store.set("key", 1)
    dist.init_process_group(store=store)
    with pytest.raises(dist.DistError, match="group 'group 1' is not one of this job"):
        dist.get_backend(group)


def test_wrong_arguments_are_refused_before_anything_is_sent():
    dist.spawn(bad_arguments, nprocs=1)


@pytest.mark.parametrize(
    "call",
    [
        dist.get_rank,
        dist.barrier,
        dist.destroy_process_group,
        dist.new_group,
        lambda: dist.all_reduce(at.zeros((1,))),
        lambda: dist.DistributedDataParallel(None),
    ],
)
def test_without_a_group_everything_says_to_make_one(call):
    with pytest.raises(dist.DistError, match="no process group; call init_process_group first"):
        call()


def test_every_collective_is_exported():
    assert {*_collectives.__all__, *_objects.__all__, *_transfers.__all__} <= set(dist.__all__)


CONTRACT = {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK": None, "MASTER_PORT": None}, "MASTER_PORT, RANK not set; start the script by python -m atled.distr"),
        ({"WORLD_SIZE": "two"}, "expected integers in the environment, got WORLD_SIZE='two'"),
        ({"MASTER_ADDR": "no.such.host.invalid"}, "cannot resolve MASTER_ADDR='no.such.host.invalid'"),
    ],
)
def test_a_wrong_environment_is_explained(monkeypatch, changes, message):
    monkeypatch.delenv("ATLED_RENDEZVOUS", raising=False)
    for name, value in (CONTRACT | changes).items():
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(dist.DistError, match=message):
        dist.init_process_group(timeout=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "gloo"}, "no backend 'gloo' is installed .* leave backend out for 'mpi'"),
        ({"backend": "cpu:mpi,cpu:mpi"}, "expected a backend for each device, as in 'cpu:mpi,cuda:nccl'"),
        ({"backend": "cpu:mpi,cuda:"}, "expected a backend for each device"),
        ({"init_method": "file:///tmp/x"}, "expected init_method env:// or tcp://address:port"),
        ({"init_method": "tcp://127.0.0.1:29500"}, "needs rank and world_size"),
    ],
)
def test_wrong_ways_to_join_are_refused(arguments, message):
    with pytest.raises(at.AtledError, match=message):
        dist.init_process_group(**arguments, timeout=1)


def test_a_timeout_must_be_positive():
    with pytest.raises(ValueError, match="expected a positive number of seconds, got 0"):
        dist.init_process_group(timeout=0)


def started_by_somebody_else(rank):
    from mpi4py import MPI

    assert MPI.COMM_WORLD.size == 1
    with pytest.raises(dist.DistError, match="has rank 0 of 1, the environment says . of 2"):
        dist.init_process_group(timeout=30)


def test_mpi_started_by_somebody_else_is_explained():
    dist.spawn(started_by_somebody_else, nprocs=2)
