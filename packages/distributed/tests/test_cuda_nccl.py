"""Tensors on GPUs: the backend "nccl", on two GPUs, or on emulated ones with a stand-in for NCCL."""

import ctypes
import os
import time
from pathlib import Path

import numpy as np
import pytest
from test_collectives import COMPLEX, TOLERANCE, cases, expected_of, run

import atled.core as at
from atled import distributed as dist
from atled.core import DeviceError
from atled.distributed._nccl_library import nccl

GPUS = at.cuda.device_count()
EMULATED = Path(at.__file__).with_name("libatled_emulator.so").exists()
pytestmark = [
    pytest.mark.skipif(not GPUS, reason="no GPU, nor an emulated one"),
    pytest.mark.skipif(GPUS > 0 and not dist.is_nccl_available(), reason="no NCCL: pip install nvidia-nccl-cu13"),
]
two_gpus = pytest.mark.skipif(GPUS < 2, reason="needs two GPUs")

# The strided ones take every path: without dimensions they are contiguous.
CHOSEN = [
    case
    for case in cases()
    if case[3] == "strided" and not (case[1] in COMPLEX and case[2] == "PRODUCT")
    if case[4] in ((6, 4), ()) or (case[4] == (3, 0) and case[1] == "float32")
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Where the stand-in leaves what ranks that were killed have not taken away."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def start(backend=None, timeout=60, **options):
    """Joins, with a GPU of this rank's own."""
    at.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group(backend, timeout=timeout, **options)


def on_a_gpu(rank):
    start()
    return run(rank, CHOSEN, "cuda")


@two_gpus
def test_every_collective_against_numpy():
    held = dist.spawn(on_a_gpu, nprocs=2)
    for rank, found in enumerate(held):
        for case in CHOSEN:
            expected = expected_of(case, rank, 2)
            assert found[case].shape == expected.shape, case
            rtol = TOLERANCE.get(case[1], 0)
            np.testing.assert_allclose(found[case], expected, rtol=rtol, atol=0, err_msg=str(case))


def alone(rank):
    start("nccl")
    x = at.asarray(np.arange(6.0).reshape(2, 3), device="cuda").T
    dist.all_reduce(x, dist.ReduceOp.AVG)
    dist.broadcast(x, 0)
    parts = [at.zeros((3, 2), dtype=at.float64, device="cuda")]
    dist.all_gather(parts, x)
    whole = at.zeros((3, 2), dtype=at.float64, device="cuda")
    dist.reduce_scatter_tensor(whole, parts[0])
    dist.all_to_all(parts, [whole])
    graph = at.cuda.CUDAGraph()
    with at.cuda.graph(graph):
        dist.all_reduce(whole)
        whole += 1
    graph.replay()
    dist.barrier(device_ids=[0])
    for device_ids, kind in (([1], DeviceError), (0, TypeError)):
        with pytest.raises(kind, match="barrier: expected device_ids"):
            dist.barrier(device_ids=device_ids)
    backend, group = dist.get_backend(), dist.new_group()
    dist.destroy_process_group()
    with pytest.raises(dist.DistError, match="has been left by destroy_process_group"):
        dist.all_reduce(whole, group=group)
    return backend, parts[0].tolist(), whole.tolist()


def test_one_rank_on_one_gpu():
    ((backend, parts, whole),) = dist.spawn(alone, nprocs=1)
    assert (backend, parts) == ("nccl", [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]])
    assert whole == [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]


def both_devices(rank):
    start()
    other = 1 - rank
    # NCCL connects for each of its algorithms when it is first chosen, by size among others, and waits on the host.
    dist.all_reduce(at.zeros((1000,), device="cuda"))
    # After that, the host goes on before the other rank has come; the stream does not.
    late = at.full((1000,), rank + 1.0, device="cuda")
    if rank == 1:
        dist.barrier()
    work = dist.all_reduce(late, async_op=True)
    if rank == 0:
        before = work.is_completed()
        work.wait()
        doubled = late * 2
        dist.barrier()
    else:
        before, doubled = None, (work.wait(), late * 2)[1]
    with at.cuda.stream(at.cuda.Stream()):
        side = dist.all_reduce(at.ones((3,), device="cuda"), async_op=True)
        # Freed at once: the memory must stay until NCCL is through.
        assert side.wait(timeout=30) and side.is_success()
    on_cpu = at.full((2,), float(rank))
    dist.all_reduce(on_cpu)

    mine, received = at.full((3,), float(rank), device="cuda"), at.zeros((3,), device="cuda")
    ring = [dist.P2POp(dist.isend, mine, other), dist.P2POp(dist.irecv, received, other)]
    for each in dist.batch_isend_irecv(ring):
        each.wait()
    later = at.zeros((2, 3), dtype=at.bfloat16, device="cuda").T
    if rank == 0:
        dist.send(at.ones((3, 2), dtype=at.bfloat16, device="cuda"), 1)
    else:
        assert dist.recv(later, 0) == 0

    pair, alone = dist.new_group([1, 0], sort_ranks=False, backend="nccl"), dist.new_group([1])
    turned = at.full((1,), float(rank), device="cuda")
    dist.broadcast(turned, src=1, group=pair)
    if rank == 1:
        dist.all_reduce(turned, group=alone)
        dist.all_reduce(on_cpu, group=alone)

    eighths = (at.ones((3,), device="cuda") * rank).to(at.float8_e4m3fn)
    dist.broadcast(eighths, 1)
    cpu_only = dist.new_group(backend="mpi")

    refused = [
        (lambda: dist.all_reduce(mine, group=cpu_only), at.DeviceError, "pip install 'atled-distributed.cuda.'"),
        (
            lambda: dist.all_reduce(at.zeros((2,), device=f"cuda:{other}")),
            at.DeviceError,
            f"expected cuda:{rank}, as in the first call of group 'world', got cuda:{other}",
        ),
        (lambda: dist.all_reduce(at.zeros((2,)), group=pair), at.DeviceError, "'nccl' expects a tensor on cuda"),
        (lambda: dist.recv(mine), ValueError, "not receive from just any rank"),
        (lambda: dist.send(mine, other, tag=3), ValueError, "no tags, expected 0, got 3"),
        (lambda: dist.all_reduce(mine.to(at.float8_e5m2)), TypeError, "does not reduce float8_e5m2"),
        (lambda: dist.all_reduce(mine.to(at.complex64), dist.ReduceOp.PRODUCT), TypeError, "no product of complex"),
        (lambda: dist.all_reduce(mine.expand(2, 3)), ValueError, "expanded tensor"),
        (lambda: dist.all_reduce(at.zeros((2,), device="meta")), at.DeviceError, "on cpu or cuda, got one on meta"),
        (lambda: dist.new_group([0], backend="gloo"), dist.DistError, "a backend of the job, 'cpu:mpi,cuda:nccl'"),
    ]
    for call, kind, message in refused:
        with pytest.raises(kind, match=message):
            call()
    tensors = late, doubled, on_cpu, received, later, turned, eighths
    return (
        before,
        dist.get_backend(pair),
        dist.get_backend(cpu_only),
        [t.to(at.float32).flatten()[-1].item() for t in tensors],
    )


@two_gpus
def test_each_tensor_goes_the_way_of_its_device():
    first, second = dist.spawn(both_devices, nprocs=2)
    assert first == (False, "nccl", "mpi", [3.0, 6.0, 1.0, 1.0, 0.0, 1.0, 1.0])
    assert second == (None, "nccl", "mpi", [3.0, 6.0, 1.0, 0.0, 1.0, 1.0, 1.0])


def by_nccl_alone(rank):
    found = []
    for turn in range(2):
        start("nccl", device_id=at.device("cuda", rank))
        everyone, given = [None, None], [None]
        dist.all_gather_object(everyone, {"rank": rank})
        dist.scatter_object_list(given, ["a", "b"] if rank == 0 else None)
        settings = [turn, "x"] if rank == 0 else [None, None]
        dist.broadcast_object_list(settings)
        gathered = [None, None] if rank == 1 else None
        dist.gather_object(rank, gathered, dst=1)
        dist.barrier()
        dist.new_group([0, 1])
        with pytest.raises(at.DeviceError, match="leave backend out"):
            dist.all_reduce(at.zeros((2,)))
        found.append((dist.get_backend(), everyone, given, settings, gathered))
        dist.destroy_process_group()
    return found


@two_gpus
def test_objects_travel_by_nccl_too_and_a_process_can_join_again():
    for rank, turns in enumerate(dist.spawn(by_nccl_alone, nprocs=2)):
        for turn, found in enumerate(turns):
            gathered = [0, 1] if rank == 1 else None
            assert found == ("nccl", [{"rank": 0}, {"rank": 1}], ["ab"[rank]], [turn, "x"], gathered)


def one_gpu_for_all(rank):
    dist.init_process_group("nccl", timeout=20)
    dist.all_reduce(at.zeros((1,), device="cuda:0"))


@two_gpus
def test_two_ranks_on_one_gpu_are_told():
    with pytest.raises(dist.RankFailedError, match=r"its own: at\.cuda\.set_device\(dist\.get_node_local_rank\(\)\)"):
        dist.spawn(one_gpu_for_all, nprocs=2)


def mean_of_whole_batch(sizes, steps=3):
    rng = np.random.default_rng(5)
    return [[rng.standard_normal((n, 4)) for n in sizes] for _ in range(steps)]


def network(synchronized):
    from atled import nn

    at.manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 8, dtype=at.float64), nn.BatchNorm1d(8, dtype=at.float64), nn.Tanh())
    model.append(nn.Linear(8, 2, dtype=at.float64))
    return nn.SyncBatchNorm.convert_sync_batchnorm(model) if synchronized else model


def learn(model, batches):
    from atled import optim

    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for x in batches:
        optimizer.zero_grad()
        (model(at.asarray(x, device="cuda")) ** 2).mean().backward()
        optimizer.step()
    return {name: value.to("cpu").numpy() for name, value in model.state_dict().items()}


def data_parallel(rank):
    start()
    model = network(synchronized=True).to("cuda")
    if rank == 1:
        # Rank 0's are what counts.
        for parameter in model.parameters():
            parameter.detach().zero_()
    batches = mean_of_whole_batch([5, 5])
    model = dist.DistributedDataParallel(model, device_ids=[rank], bucket_cap_mb=1e-4)
    found = learn(model, [parts[rank] for parts in batches])
    assert model(at.asarray(batches[0][rank])).device == at.device("cuda", rank)  # moved there
    with pytest.raises(ValueError, match="device_ids to name one device, the module's"):
        dist.DistributedDataParallel(model.module, device_ids=[1 - rank])
    uneven = dist.DistributedDataParallel(network(synchronized=False).to("cuda"), find_unused_parameters=True)
    with uneven.join():
        for x in batches[0] if rank else batches[1][:1]:
            uneven(at.asarray(x, device="cuda")).sum().backward()
    return found, uneven.module[1].running_mean.tolist()


@two_gpus
def test_data_parallel_training_is_that_of_one_process_on_the_whole_batch():
    for name in ("autograd", "nn", "optim"):
        pytest.importorskip(f"atled.{name}")
    batches = [np.concatenate(parts) for parts in mean_of_whole_batch([5, 5])]
    expected = learn(network(synchronized=False).to("cuda"), batches)
    first, second = dist.spawn(data_parallel, nprocs=2)
    assert first[1:] == second[1:]
    for name, value in expected.items():
        np.testing.assert_allclose(first[0][name], value, rtol=1e-9, atol=1e-12, err_msg=name)
        assert np.array_equal(first[0][name], second[0][name])


def sharded(rank):
    """The same with the shards on the GPUs, and with them on cpu."""
    from atled import optim

    start()
    found = []
    for offload in (None, dist.fsdp.CPUOffloadPolicy(), dist.fsdp.CPUOffloadPolicy(pin_memory=False)):
        model = network(synchronized=True)
        mesh = dist.init_device_mesh("cuda", (2,))
        for module in (model[0], model):
            dist.fully_shard(module, mesh=mesh, offload_policy=offload)
        assert model[1].running_mean.device.type == "cuda"
        optimizer = optim.AdamW(model.parameters(), lr=0.1)
        for parts in mean_of_whole_batch([5, 5]):
            (model(at.asarray(parts[rank], device="cuda")) ** 2).mean().backward()
            dist.clip_grad_norm_(model.parameters(), 0.5)
            held = [*model.parameters(), *(p.grad for p in model.parameters())]
            assert {tensor.device.type for tensor in held} == {"cpu" if offload else "cuda"}
            assert {tensor.is_pinned() for tensor in held} == {offload is not None and offload.pin_memory}
            optimizer.step()
            optimizer.zero_grad()
        found.append({name: value.full_tensor().tolist() for name, value in model.state_dict().items() if "0." in name})
    return found


@two_gpus
def test_shards_may_be_on_cpu_while_the_gpus_compute():
    for name in ("autograd", "nn", "optim"):
        pytest.importorskip(f"atled.{name}")
    for on_gpus, *offloaded in dist.spawn(sharded, nprocs=2):
        for found in offloaded:
            for name, value in on_gpus.items():
                np.testing.assert_allclose(found[name], value, rtol=1e-9, err_msg=name)


def left_alone(rank, how, note):
    # NCCL itself takes seconds to start, which count.
    start(timeout=(2 if EMULATED else 15) if how in ("hangs", "absent") else 60)
    x = at.ones((4,), device="cuda")
    if rank == 1:
        if how != "absent":
            dist.all_reduce(x)
            x.tolist()
        if how == "dies":
            os._exit(5)
        if how == "aborts":
            dist.group.WORLD.abort(dist.DistError("enough"))
        time.sleep(300)
    begin = time.monotonic()
    try:
        while True:
            dist.all_reduce(x)
            # Where nobody ends it, this waits for ever.
            x.tolist()
    except dist.DistError as error:
        Path(note).write_text(f"{type(error).__name__} {time.monotonic() - begin < 30} {error}")
        raise


@two_gpus
@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ("dies", ["RankFailedError True rank 1 failed: the process ended without leaving the group"]),
        ("aborts", ["DistError True all_reduce(float32[4], SUM)", "NCCL says 'remote process exited"]),
        (
            "hangs",
            [
                "DistTimeoutError True all_reduce(float32[4], SUM) (call 2 of group 'world', nccl): not done",
                "rank 1 has not called it; its last call: all_reduce(float32[4], SUM) (call 1 of group 'world', nccl)",
            ],
        ),
        ("absent", ["DistTimeoutError True", "(call 1 of", "rank 1 has not called it; its last call: nothing yet"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_rank_leaves_undone_ends_the_others(tmp_path, how, parts):
    if how == "aborts" and not EMULATED:
        pytest.skip("within a node, NCCL does not notice that another rank has aborted")
    note = tmp_path / "note"
    with pytest.raises(dist.RankFailedError):
        dist.spawn(left_alone, (how, str(note)), nprocs=2)
    said = note.read_text()
    assert said.startswith(parts[0]) and all(part in said for part in parts)


def test_the_library_is_found_without_a_path():
    version = ctypes.c_int()
    nccl().ncclGetVersion(ctypes.byref(version))
    assert version.value >= 22700
