"""Sharded modules train as one process does on the whole batch, with a part of everything on each rank."""

import copy
import pickle
import re

import numpy as np
import pytest

pytest.importorskip("atled.autograd")
pytest.importorskip("atled.nn")
pytest.importorskip("atled.optim")

import atled.core as at
from atled import distributed as dist
from atled import nn, optim
from atled.distributed.fsdp import (
    CPUOffloadPolicy,
    FSDPModule,
    MixedPrecisionPolicy,
    _exchange,
    fully_shard,
    register_fsdp_forward_method,
)
from atled.distributed.tensor import Shard

from sharded_models import Model, adamw, arrays, loss_of, momentum, own_rows, shard, train  # isort: skip

ALL = slice(None)


def chosen_prefetch(model):
    """What only concerns when something is sent, and what is sent in two goes."""
    first, *others = model.blocks
    first.set_modules_to_forward_prefetch(others)
    model.set_modules_to_forward_prefetch([])
    for block in model.blocks:
        block.set_modules_to_backward_prefetch([first])
    others[0].set_unshard_in_backward(False)
    model.set_gradient_divide_factor(2.0 * dist.get_world_size())
    model.set_all_reduce_hook(lambda gradients: gradients.mul_(2.0))
    model.set_is_last_backward(True)


# Settings of the model, of sharding and of training.
RUNS = {
    "clipped": ({}, {}, adamw, {"clip": optim.clip_grad_norm_}),
    "accumulated": ({}, {"reshard_after_forward": True}, momentum, {"parts": 2, "clip": nn.utils.clip_grad_norm_}),
    "checkpoints": ({"checkpoints": True}, {}, adamw, {}),
    "grouped": ({}, {"grouped": True}, adamw, {"clip": optim.clip_grad_norm_}),
    "grouped, accumulated": ({}, {"grouped": True, "reshard_after_forward": True}, momentum, {"parts": 2}),
    "grouped, checkpoints": ({"checkpoints": True, "again": 2}, {"grouped": True}, momentum, {}),
    "columns": ({}, {"shard_placement_fn": lambda p: Shard(p.ndim - 1) if p.ndim > 1 else None}, adamw, {}),
    "prefetch": ({}, {"offload_policy": CPUOffloadPolicy()}, adamw, {"clip": optim.clip_grad_norm_}),
    "twice": ({"again": 2}, {"reshard_after_forward": False}, momentum, {}),
}


def run(name, rows, sharded):
    made, sharding, optimizer, training = RUNS[name]
    model = Model(seed=dist.get_rank() if sharded else 0, **made)
    if sharded:
        # Some are then large enough to travel alone.
        _exchange._ALONE = 200 if name == "twice" else 2**20
        shard(model, **sharding)
        if name == "prefetch":
            chosen_prefetch(model)
    norms = train(model, optimizer(model.parameters()), rows, 3, **training)
    return norms, arrays(model.named_parameters())


def all_runs(rank):
    dist.init_process_group(timeout=60)
    return {name: run(name, own_rows(), True) for name in RUNS}


@pytest.mark.parametrize("ranks", [2, 3])
def test_training_is_that_of_one_process(ranks):
    found = dist.spawn(all_runs, nprocs=ranks)
    for name in RUNS:
        norms, state = run(name, ALL, False)
        for each in found:
            np.testing.assert_allclose(each[name][0], norms, rtol=1e-9, err_msg=name)
        for key, expected in state.items():
            parts = [each[name][1][key] for each in found]
            dim = expected.ndim - 1 if name == "columns" and expected.ndim else 0
            assert parts[0].shape[dim] == -(-(expected.shape or (1,))[dim] // ranks)
            got = np.concatenate(parts, axis=dim).reshape(expected.shape)
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12, err_msg=f"{name} {key}")


def mishaps(rank):
    """All that may come between two steps of training."""
    dist.init_process_group(timeout=60)
    model = Model(seed=rank)
    optimizer = adamw(model.parameters())  # before sharding: the parameters stay the same objects
    shard(model)
    assert isinstance(model, FSDPModule) and isinstance(model, Model) and type(model).__name__ == "FSDPModel"
    train(model, optimizer, own_rows(), 1)
    loss_of(model, 0, own_rows())  # no backward follows
    with at.no_grad():
        before = loss_of(model.eval(), 0, own_rows()).item()
    assert {tuple(p.shape) for p in model.blocks[0].second.parameters()} == {(3,)}
    handle = model.train().blocks[2].mixing.register_forward_hook(lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        loss_of(model, 0, own_rows())
    handle.remove()
    train(model, optimizer, own_rows(), 1)
    model.unshard()
    model.blocks[0].unshard(async_op=True).wait()
    whole = tuple(model.head.weight.shape), tuple(model.blocks[0].second.weight.shape)
    with at.no_grad():
        after = loss_of(model, 0, own_rows()).item()
    model.reshard()
    model.blocks[0].reshard()
    model.set_reshard_after_backward(False)
    model.set_requires_gradient_sync(False)
    loss_of(model, 1, own_rows()).backward()
    model.set_reshard_after_backward(True)
    model.set_requires_gradient_sync(True)
    loss_of(model, 2, own_rows()).backward()
    optimizer.step()
    optimizer.zero_grad()
    with pytest.raises(dist.DistError, match="drop create_graph=True"):
        loss_of(model, 3, own_rows()).backward(create_graph=True)
    loss = loss_of(model, 3, own_rows())
    loss.backward(retain_graph=True)
    loss.backward()
    optimizer.step()
    return whole, before, after, arrays(model.named_parameters())


def test_forwards_without_backward_exceptions_and_whole_parameters():
    single = Model()
    optimizer = adamw(single.parameters())
    expected = []
    for _ in range(2):
        train(single, optimizer, ALL, 1)
        expected.append(loss_of(single, 0, ALL).item())
    loss_of(single, 1, ALL).backward()
    loss_of(single, 2, ALL).backward()
    optimizer.step()
    optimizer.zero_grad()
    for _ in range(2):
        loss_of(single, 3, ALL).backward()
    optimizer.step()
    found = dist.spawn(mishaps, nprocs=2)
    assert {each[0] for each in found} == {((13, 6), (6,))}
    np.testing.assert_allclose(np.mean([each[1:3] for each in found], axis=0), expected, rtol=1e-10)
    for key, value in arrays(single.named_parameters()).items():
        got = np.concatenate([each[3][key] for each in found]).reshape(value.shape)
        np.testing.assert_allclose(got, value, rtol=1e-9, atol=1e-12, err_msg=key)


class Choosy(nn.Module):
    """Uses one of its parameters on some ranks only, and another nowhere."""

    def __init__(self):
        super().__init__()
        self.always, self.sometimes, self.never = (nn.Parameter(at.ones(3)) for _ in range(3))

    def forward(self, x, uses):
        return (x * self.always * (self.sometimes if uses else 1.0)).sum()

    def double_of(self, x):
        return 2 * x * self.always


def peculiar(rank):
    """What one batch of numbers would not show."""
    dist.init_process_group(timeout=60)
    model = fully_shard(Choosy())
    model(at.full((3,), rank + 1.0), rank == 1).backward()
    grads = [None if p.grad is None else p.grad.tolist() for p in model.parameters()]
    register_fsdp_forward_method(model, "double_of")
    doubled = model.double_of(at.ones(3)).tolist()

    mesh = dist.init_device_mesh("cpu", (2, 1), mesh_dim_names=("replicate", "shard"))
    copies = fully_shard(nn.Linear(3, 2), mesh=mesh)
    copies(at.full((1, 3), float(rank))).sum().backward()
    of_copies = tuple(copies.weight.shape), copies.weight.grad.tolist()
    copies.load_state_dict({"weight": at.full((2, 3), 2.0), "bias": at.ones(2)}, assign=True)
    assert copies(at.ones(1, 3)).tolist() == [[7.0, 7.0]]

    policy = MixedPrecisionPolicy(at.bfloat16, at.float32, at.float64)
    mixed = fully_shard(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), mp_policy=policy)
    seen = []
    mixed[0].register_forward_hook(lambda module, args, out: seen.extend([args[0].dtype, module.weight.dtype]))
    out = mixed(at.ones(2, 4))
    out.sum().backward()
    dtypes = [str(each) for each in (*seen, out.dtype, mixed[0].weight.dtype, mixed[0].weight.grad.dtype)]

    scaler, sgd = optim.GradScaler("cpu", init_scale=4.0), optim.SGD(mixed.parameters(), lr=1.0)
    before = mixed[0].weight.tolist()
    mixed[0].bias.grad.fill_(float("inf") if rank == 1 else 0.0)
    scaler.step(sgd)
    scaler.update()
    scaling = mixed[0].weight.tolist() == before, scaler.get_scale()

    layers = nn.Sequential(*(nn.Linear(3, 3) for _ in range(3)))
    for layer in layers:
        fully_shard(layer)
    fully_shard(layers)
    log, group = [], dist.group.WORLD
    original = group.all_gather
    group.all_gather = lambda *args: (log.append("gather"), original(*args))[1]
    for layer in layers:
        layer.register_forward_hook(lambda *_: log.append("layer"))
    for _ in range(2):
        log.clear()
        layers(at.ones(1, 3)).sum().backward()
    del group.all_gather

    errors = []
    tied = Model()
    fully_shard(tied.embedding)
    for wrong in (
        lambda: fully_shard(tied),
        lambda: fully_shard(model),
        lambda: fully_shard(at.ones(2)),
        lambda: fully_shard([]),
        lambda: fully_shard([nn.Linear(2, 2), 3]),
        lambda: fully_shard(nn.Linear(2, 2), mesh=group),
        lambda: fully_shard(nn.Linear(2, 2), ignored_params=["weight"]),
        lambda: fully_shard(nn.Linear(2, 2), offload_policy=True),
        lambda: fully_shard(nn.Linear(2, 2), shard_placement_fn=1),
        lambda: fully_shard(nn.Linear(2, 2), shard_placement_fn=lambda p: 1),
        lambda: fully_shard(nn.Linear(2, 3), shard_placement_fn=lambda p: Shard(1)),
        lambda: model.set_modules_to_forward_prefetch([nn.Linear(2, 2)]),
        lambda: model.set_all_reduce_hook(None),
        lambda: model.set_gradient_divide_factor(0),
        lambda: Shard("0"),
        lambda: fully_shard(tied.blocks),
        lambda: fully_shard(nn.LazyLinear(2)),
        lambda: copy.deepcopy(model),
        lambda: pickle.dumps(model),
    ):
        with pytest.raises((TypeError, ValueError, dist.DistError)) as caught:
            wrong()
        errors.append(str(caught.value))
    return grads, doubled, of_copies, dtypes, log, errors, scaling


class Either(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2, bias=False) for _ in range(2))
        self.unused = nn.Linear(2, 2, bias=False)

    def forward(self, x, number):
        return self.layers[number](x) if number < 2 else self.unused(x)


def accumulating(rank):
    """The backward that averages comes by other parameters than those before: of the same module and another one."""
    dist.init_process_group(timeout=60)
    grads = []
    for mesh in (None, dist.init_device_mesh("cpu", (2, 1))):
        model = Either()
        for layer in (*model.layers, model):
            fully_shard(layer, mesh=mesh)
        x = at.full((1, 2), rank + 1.0)
        defer = model.set_requires_gradient_sync if mesh is None else model.set_requires_all_reduce
        defer(False)
        # The second one counts on rank 0 alone.
        for number in (0, 2):
            (model(x, number).sum() + model(x, 1).sum() * (1 - rank)).backward()
        assert all(parameter.grad is None for parameter in model.parameters())
        defer(True)
        model(x, 1).sum().backward()
        grads.append({name: parameter.grad[0].tolist() for name, parameter in model.named_parameters()})
    return grads


def test_the_backward_that_averages_brings_what_others_have_left():
    for found in dist.spawn(accumulating, nprocs=2):
        assert found == [{"layers.0.weight": [1.5] * 2, "unused.weight": [1.5] * 2, "layers.1.weight": [2.5] * 2}] * 2


def test_unused_parameters_meshes_dtypes_prefetching_and_errors():
    first, second = dist.spawn(peculiar, nprocs=2)
    assert first[0] == [[1.5, 1.5], [1.0, 1.0], None] and second[0] == [[1.5], [1.0], None]
    assert first[1] == [2.0] * 3
    assert first[2] == second[2] == ((2, 3), [[0.5] * 3] * 2)
    assert first[3] == ["atled.bfloat16", "atled.bfloat16", "atled.float64", "atled.float32", "atled.float32"]
    # Rank 1 had a gradient that is not finite.
    assert first[6] == second[6] == (True, 2.0)
    # Each layer's parameters are on their way while the layer before computes.
    assert first[4] == ["gather", "gather", "layer", "gather", "layer", "layer", "gather", "gather", "gather"]
    for error, expected in zip(
        first[5],
        [
            "Linear.weight is also a parameter of a module that is sharded by itself",
            "a module that is not sharded yet, got a FSDPChoosy",
            "expected a module, got Tensor",
            "a list of different modules, got ",
            "expected a module, got int",
            "expected mesh of type DeviceMesh, got (MPIProcessGroup|ByDevice)",
            r"expected ignored_params to be a set of parameters, got \['weight'\]",
            "expected offload_policy of type OffloadPolicy, got bool",
            "expected shard_placement_fn to be callable, got 1",
            r"to answer tensor.Shard\(dim\) or None, got 1",
            r"a dimension of a parameter of shape \(3,\), got Shard\(dim=1\)",
            r"a list of modules that fully_shard has sharded, got \[Linear",
            "set_all_reduce_hook: expected hook to be callable, got None",
            "expected a number > 0, got 0",
            "expected dim to be an integer, got '0'",
            "a module with a forward of its own, got ModuleList",
            "LazyLinear.weight has no shape yet",
            "cannot be copied, .* get_model_state_dict",
            "cannot be pickled",
        ],
        strict=True,
    ):
        assert re.search(expected, error), error


def memory(rank):
    """Bytes after making, and at the peak and the end of steps, of eight layers of one size."""
    dist.init_process_group(timeout=60)
    layers = nn.Sequential(*(nn.Linear(256, 256, bias=False) for _ in range(8)))
    for layer in layers:
        fully_shard(layer)
    fully_shard(layers)
    optimizer = adamw(layers.parameters())
    x = at.ones(1, 256)
    for _ in range(2):
        layers(x).sum().backward()
        optimizer.step()
    at.reset_peak_memory()
    before = at.memory_stats()["live_bytes"]
    layers(x).sum().backward()
    return before, at.memory_stats()["peak_bytes"]


def test_memory_is_that_of_the_shards_and_of_few_layers():
    layer = 256 * 256 * 4
    for before, peak in dist.spawn(memory, nprocs=2):
        assert before < 1.05 * 8 * layer * 4 / 2  # parameters, gradients and two moments, half of each
        # Whole parameters of two layers, whole gradients of two, and the rows of each two that travel.
        assert peak < before + 5.5 * layer
