"""What is done to sharded modules out of the usual order gives the gradients of one process, or an error."""

import copy
import os
import pickle
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("atled.autograd")
pytest.importorskip("atled.nn")
pytest.importorskip("atled.optim")

import atled.core as at
from atled import distributed as dist
from atled import nn, optim
from atled.autograd.checkpoint import checkpoint as recomputed
from atled.distributed import checkpoint
from atled.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from atled.distributed.fsdp import MixedPrecisionPolicy, fully_shard

from sharded_models import arrays  # isort: skip


def layers():
    at.manual_seed(0)
    return nn.Sequential(*(nn.Linear(4, 4) for _ in range(4))).double()


def sharded():
    """Some layers by themselves, and the last with the model."""
    model = layers()
    for layer in model[:3]:
        fully_shard(layer)
    return fully_shard(model)


def batch():
    rows = np.random.default_rng(1).standard_normal((4, 4))
    return at.from_numpy(rows[2 * dist.get_rank() :][:2].copy() if dist.is_initialized() else rows)


def loss_of(model):
    return (model(batch()) ** 2).mean()


def step(model):
    loss_of(model).backward()
    optim.SGD(model.parameters(), lr=0.1).step()


def halve(model):
    with at.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5)


def cut_short(model):
    """A backward that does not come to the beginning leaves nothing that is stale."""
    kept = []
    handle = model[1].register_forward_hook(lambda module, args, output: kept.append(output))
    at.autograd.grad(loss_of(model), kept)
    handle.remove()
    halve(model)
    step(model)


def raising(model):
    loss_of(model).backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    handle = model[1].register_forward_hook(
        lambda module, args, output: output.register_hook(lambda g: 1 // 0) and None
    )
    with pytest.raises(ZeroDivisionError):
        loss_of(model).backward()
    handle.remove()
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient
    optim.SGD(model.parameters(), lr=0.1).step()
    model.zero_grad()
    step(model)


def between(model):
    """Between forward and backward a module has its parameters, and not whole ones."""
    loss_of(model).backward()
    loss = loss_of(model)
    model.zero_grad()
    if dist.is_initialized():
        assert {type(value).__name__ for value in model.state_dict().values()} == {"ShardedTensor"}
    loss.backward()
    optim.SGD(model.parameters(), lr=0.1).step()


def changed(model):
    loss_of(model).backward()
    loss = loss_of(model)
    optim.SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(at.AutogradError, match="changed in place"):
        loss.backward()
    model.zero_grad()
    step(model)


class Twice(nn.Module):
    """Backward comes to its second call before it is through with the first."""

    def __init__(self):
        super().__init__()
        self.first, self.second = layers()[:2]

    def forward(self, x, depth=0):
        y = recomputed(self.first, x)
        return self.second(y) if depth else self(at.tanh(y), 1) + self.second(x)


def twice(model):
    at.manual_seed(0)
    model.append(Twice())
    if dist.is_initialized():
        fully_shard(model[4])
    step(model)


CASES = [cut_short, raising, between, changed, twice]


def all_cases(rank):
    dist.init_process_group(timeout=60)
    states = []
    for case in CASES:
        model = sharded()
        case(model)
        states.append(arrays(get_model_state_dict(model, options=StateDictOptions(full_state_dict=True)).items()))

    # Shards are not in the graph; a backward for some of them does nothing, rather than a part of it.
    model = sharded()
    parameters = list(model.parameters())
    assert at.autograd.grad(loss_of(model), parameters, allow_unused=True) == (None,) * 8
    loss_of(model).backward(inputs=parameters[-2:])
    assert [parameter.grad for parameter in parameters] == [None] * 8

    # Unsharding gathers again: what a forward left is older.
    model = sharded()
    loss_of(model)
    halve(model)
    model.unshard()
    np.testing.assert_array_equal(model[3].weight.detach().numpy(), 0.5 * layers()[3].weight.detach().numpy())
    with at.no_grad():
        model(batch())
    model[3].weight.sum().backward()
    model.reshard()
    assert model[3].weight.grad.tolist() == [[1.0] * 4] * 2
    return states


def test_backwards_that_end_early_and_changes_between_forward_and_backward():
    first, _ = dist.spawn(all_cases, nprocs=2)
    for case, state in zip(CASES, first, strict=True):
        single = layers()
        case(single)
        for key, expected in arrays(single.state_dict().items()).items():
            np.testing.assert_allclose(state[key], expected, rtol=1e-9, atol=1e-12, err_msg=f"{case.__name__} {key}")


class Choice(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleList([fully_shard(nn.Linear(4, 4)) for _ in range(2)])

    def forward(self, x, index):
        return self.branches[index](x)


class Record(OrderedDict):
    pass


@dataclass
class Pair:
    first: object
    second: int


class Returning(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.linear, self.kind = nn.Linear(4, 4), kind

    def forward(self, x):
        return self.kind(first=self.linear(x), second=2)


def mistakes(rank, folder):
    dist.init_process_group(timeout=60)
    policy = MixedPrecisionPolicy(at.bfloat16, reduce_dtype=at.float32, output_dtype=at.float64)
    for kind in (Record, Pair):
        output = fully_shard(Returning(kind), mp_policy=policy)(at.ones(1, 4))
        values = output if kind is Record else vars(output)
        assert type(output) is kind and values["first"].dtype == at.float64 and values["second"] == 2

    # 256 and some ones, which bfloat16 does not tell from 256.
    summing = fully_shard(nn.Linear(1, 2, bias=False), mp_policy=policy)
    for sync, value in enumerate([256.0, 1.0, 1.0, 1.0, 1.0]):
        summing.set_requires_gradient_sync(sync == 4)
        summing(at.full((1, 1), value)).sum().backward()
    assert summing.weight.grad.tolist() == [[260.0]]

    model = sharded()
    state = model.state_dict()
    kept = copy.deepcopy(state)
    whole = kept["0.weight"].full_tensor().tolist()
    halve(model)
    assert kept["0.weight"].full_tensor().tolist() == whole != state["0.weight"].full_tensor().tolist()
    checkpoint.save({"model": state}, checkpoint_id=folder)
    dist.barrier()
    (folder / "best-1.safetensors").touch()  # somebody else's
    original = at.save
    if rank == 1:
        at.save = lambda *_: os.listdir(folder / "absent")
    with pytest.raises(FileNotFoundError if rank else dist.DistError, match="No such file"):
        checkpoint.save({"model": state}, checkpoint_id=folder)
    at.save = original
    checkpoint.save({"model": state}, checkpoint_id=folder)
    alone = dist.new_group([0])
    zero = dist.ZeroRedundancyOptimizer(layers().parameters(), optim.SGD)

    def save(state, name="", group=None):
        checkpoint.save(state, checkpoint_id=folder / name, process_group=group)

    for wrong, error, match in [
        (lambda: at.save(state, folder / "state.safetensors"), dist.DistError, "the rows of one rank only"),
        (lambda: pickle.dumps(state), dist.DistError, "cannot be pickled"),
        (lambda: save({"a/b": at.ones(1), "a": {"b": 1}}), ValueError, "'a/b', got two"),
        (lambda: save({"a": (state["0.bias"],)}), ValueError, "in a tuple, got one at"),
        (lambda: save([state]), TypeError, "expected a dict, got list"),
        (lambda: dist.clip_grad_norm_(model.parameters(), 1.0, 0), ValueError, "norm_type > 0 .* got 0"),
        (lambda: fully_shard(nn.Linear(2, 2), mp_policy={}), TypeError, "of type MixedPrecisionPolicy, got dict"),
        (lambda: MixedPrecisionPolicy("bfloat16"), TypeError, "param_dtype to be a dtype or None, got 'bfloat16'"),
        (lambda: MixedPrecisionPolicy(reduce_dtype=at.int32), at.DTypeError, "reduce_dtype to be a floating dtype"),
        (lambda: dist.DeviceMesh("cpu", [[0, 1], [0]]), ValueError, "lists of one length"),
        (lambda: dist.init_device_mesh("cpu", (2.0,)), TypeError, r"to be integers, got \(2.0,\)"),
        (lambda: dist.DistributedDataParallel(model), ValueError, "every rank has whole"),
        (lambda: dist.ZeroRedundancyOptimizer(model.parameters(), optim.SGD), ValueError, "every rank has whole"),
        (lambda: copy.deepcopy(zero), dist.DistError, "cannot be copied"),
        (lambda: fully_shard(dist.DistributedDataParallel(layers())), ValueError, "a module, got DistributedDataP"),
        (lambda: get_model_state_dict(3), TypeError, "expected a module, got int"),
        (lambda: get_model_state_dict(model, options={}), TypeError, "to be StateDictOptions, got dict"),
        (lambda: get_optimizer_state_dict(model, 3), TypeError, "expected optimizers, got int"),
        (lambda: set_model_state_dict(model, 3), TypeError, "expected a state dict, got int"),
        (lambda: set_optimizer_state_dict(model, [], {}), ValueError, "what get_optimizer_state_dict gives"),
        # Layers of one shape are still not the same.
        (lambda: Choice()(at.ones(1, 4), rank), dist.MismatchError, "rank 1: all_gather.* for sharded module"),
    ]:
        with pytest.raises(error, match=match):
            wrong()
    if rank == 0:
        with pytest.raises(ValueError, match="expected the 4 rows of 0.weight on the ranks of process_group, got 2"):
            save(state, "part", alone)
    dist.barrier()
    return sorted(os.listdir(folder))


def test_mistakes_are_errors_on_every_rank(tmp_path):
    found, _ = dist.spawn(mistakes, (tmp_path,), nprocs=2)
    assert len(found) == 4 and {"best-1.safetensors", "index.safetensors"} < set(found)
