"""State of sharded modules and their optimizers, in memory and in files, among different numbers of ranks."""

import os
import re
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import wait

import numpy as np
import pytest
from launching import launch_job

pytest.importorskip("atled.autograd")
pytest.importorskip("atled.nn")
pytest.importorskip("atled.optim")

import atled.core as at
from atled import distributed as dist
from atled import nn
from atled.distributed import checkpoint
from atled.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    get_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from atled.distributed.tensor import Shard

from sharded_models import Model, adamw, arrays, own_rows, shard, train  # isort: skip

ALL = slice(None)
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def as_arrays(value):
    if isinstance(value, dict):
        return {key: as_arrays(each) for key, each in value.items()}
    return np.array(value.detach().numpy()) if isinstance(value, at.Tensor) else value


def write(rank, folder):
    """Two steps, and what there is then; the second checkpoint in one folder takes the place of the first."""
    dist.init_process_group(timeout=60)
    model = shard(Model(seed=rank))
    optimizer = adamw(model.parameters())
    for step in range(2):
        train(model, optimizer, own_rows(), 1)
        model_state, optimizer_state = get_state_dict(model, optimizer)
        state = {"model": model.state_dict(), "optimizer": optimizer_state, "epochs": [step, (1, 2)]}
        checkpoint.save(state, checkpoint_id=folder)
    weight = model_state["embedding.weight"]
    assert (weight.full_shape, weight.begin, weight.shape) == ((13, 6), 7 * rank, (7 - rank, 6))
    return [as_arrays(each) for each in get_state_dict(model, optimizer, options=WHOLE)], weight.full_tensor().tolist()


def read(rank, folder, whole):
    """The checkpoint in a model of another seed, shared out by columns, and a third step, which is saved so.

    Then whole state that only rank 0 has.
    """
    dist.init_process_group(timeout=60)
    model = shard(Model(seed=7), shard_placement_fn=lambda p: Shard(-1) if p.ndim == 2 else None)
    optimizer = adamw(model.parameters())
    state = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True)) | {"epochs": None}
    assert not optimizer.state and optimizer.param_groups[0]["lr"] == 0.01
    with pytest.raises(ValueError, match="optimizer/state/spare/step: no such value"):
        checkpoint.load(state, checkpoint_id=folder)
    checkpoint.load(state, checkpoint_id=folder, strict=False)
    set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
    train(model, optimizer, own_rows(), 1)
    final = [as_arrays(each) for each in get_state_dict(model, optimizer, options=WHOLE)]
    checkpoint.save({"model": model.state_dict()}, checkpoint_id=folder / "third")
    in_other_groups(model, optimizer, final[1])

    model_state = {key: at.from_numpy(value) for key, value in whole[0].items()} if rank == 0 else {}
    from_rank_0 = StateDictOptions(broadcast_from_rank0=True)
    set_model_state_dict(model, model_state, options=from_rank_0)
    again = as_arrays(get_model_state_dict(model, options=WHOLE))
    trainable = get_model_state_dict(model, options=StateDictOptions(ignore_frozen_params=True))
    with pytest.raises(ValueError, match=r"scale: expected the whole tensor of shape \(\), .* got shape \(5,\)"):
        set_model_state_dict(model, {"scale": at.ones(5)})
    with pytest.raises(ValueError, match=r"expected parameters of the model, got others of shapes \[\(2,\)\]"):
        get_optimizer_state_dict(model, adamw([at.ones(2)]))
    return state["epochs"], final, again, sorted(set(model.state_dict()) - set(trainable))


def in_other_groups(model, optimizer, expected):
    """The state without levels, in an optimizer with other groups."""
    flat = StateDictOptions(flatten_optimizer_state_dict=True)
    state = get_optimizer_state_dict(model, optimizer, options=flat)
    assert state["param_groups.norm.bias.lr"] == 0.01
    params = list(model.parameters())
    other = adamw([{"params": params[:2]}, {"params": params[2:], "lr": 0.5}])
    set_optimizer_state_dict(model, other, state, options=flat)
    assert [group["lr"] for group in other.param_groups] == [0.01] * 2
    found = as_arrays(get_optimizer_state_dict(model, other, options=WHOLE))
    if found:
        assert_same({name: found["state"][name] for name in expected["state"]}, expected["state"])
    state["param_groups.norm.bias.lr"] = 0.5
    for wrong, message in ((state, "one lr for the parameters of a group, got 0.01 and 0.5"), ({"a": 1}, "got 'a'")):
        with pytest.raises(ValueError, match=message):
            set_optimizer_state_dict(model, optimizer, wrong, options=flat)
    with pytest.raises(ValueError, match=r"expected param_groups.scale.\*, got no such keys"):
        set_optimizer_state_dict(model, optimizer, {}, options=flat)


def assert_same(got, expected, path=""):
    if isinstance(expected, dict):
        assert list(got) == list(expected), path
        for key in expected:
            assert_same(got[key], expected[key], f"{path}/{key}")
    elif isinstance(expected, np.ndarray):
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12, err_msg=path)
    else:
        assert got == expected, path


def interrupted(rank, folder):
    """A save that ends before its index is written."""
    dist.init_process_group(timeout=60)
    state = {"a": at.ones(3), "b": [at.zeros(()), {"c": 1}], "none": at.empty(0, 2)}
    checkpoint.save(state, checkpoint_id=folder)
    original = at.save

    def failing(obj, path):
        if path.name.startswith("index"):
            raise OSError("the disk is full")
        original(obj, path)

    at.save = failing
    with pytest.raises(OSError, match="full"):
        checkpoint.save({"a": at.zeros(3)}, checkpoint_id=folder)
    at.save = original
    read = {"a": at.zeros(3), "b": [at.ones(()), {"c": None}], "none": at.empty(0, 2)}
    checkpoint.load(read, checkpoint_id=folder)
    checkpoint.save(state, checkpoint_id=folder)
    return read["a"].tolist(), read["b"][0].item(), read["b"][1], len(os.listdir(folder))


def in_background(rank, folder):
    """Writing takes its time on one rank, while the others go on; and it fails there."""
    dist.init_process_group(timeout=60)
    model, original = dist.fully_shard(nn.Linear(4, 6)), at.save
    optimizer = adamw(model.parameters())
    before = as_arrays(get_model_state_dict(model))

    def slow(obj, path):
        time.sleep(0.5 * rank)
        original(obj, path)

    at.save = slow
    state = {"model": model, "epoch": [1]}
    saved = [checkpoint.async_save(state, checkpoint_id=folder / name) for name in "ab"]
    assert not any(future.cancel() or future.done() for future in saved)
    state["epoch"][0] = 2
    for _ in range(3):
        model(at.ones(1, 4)).sum().backward()
        optimizer.step()
    assert [future.result(60) for future in saved] == [None, None]
    for name in "ab":
        checkpoint.load(state, checkpoint_id=folder / name)
        assert state["epoch"] == [1]
        assert_same(as_arrays(get_model_state_dict(model)), before)

    def failing(*_):
        raise OSError("the disk is full")

    at.save = failing if rank == 1 else original
    state["model"].weight.detach().zero_()
    error = checkpoint.async_save(state, checkpoint_id=folder / "a").exception(60)
    assert type(error) is (OSError if rank else dist.DistError) and "the disk is full" in str(error)
    at.save = original
    checkpoint.load(state, checkpoint_id=folder / "a", process_group=dist.group.WORLD, no_dist=True)
    assert_same(as_arrays(get_model_state_dict(model)), before)
    with pytest.raises(TypeError, match="checkpoint.async_save: expected a dict, got int"):
        checkpoint.async_save(3, checkpoint_id=folder)
    with pytest.raises(ValueError, match="what get_optimizer_state_dict gives, .* at 'optimizer'"):
        checkpoint.save({"optimizer": optimizer}, checkpoint_id=folder)
    with pytest.raises(TypeError, match="expected a state dict on rank 0, got NoneType"):
        set_model_state_dict(model, None, options=StateDictOptions(broadcast_from_rank0=True))
    if rank == 1:
        checkpoint.save({"rank": rank}, checkpoint_id=folder / "one", no_dist=True)
        with pytest.raises(ValueError, match="expected the 6 rows of model/weight"):
            checkpoint.save(state, checkpoint_id=folder / "one", no_dist=True)
    at.save = slow
    last = checkpoint.async_save(state, checkpoint_id=folder / "a")
    dist.destroy_process_group()
    assert last.done() and last.result() is None


def test_checkpoints_in_background_of_one_rank_and_without_a_job(tmp_path):
    dist.spawn(in_background, (tmp_path,), nprocs=2)
    assert sorted(path.name for path in (tmp_path / "one").iterdir())[1:] == ["index.safetensors"]
    saved, other = nn.Linear(4, 6), nn.Linear(4, 6)
    state = {"model": saved, "optimizer": adamw(saved.parameters())}
    checkpoint.save(state, checkpoint_id=tmp_path / "alone")
    checkpoint.load({"model": other}, checkpoint_id=tmp_path / "alone")
    assert other.weight.tolist() == saved.weight.tolist()
    saved.weight.detach().zero_()
    assert checkpoint.async_save(state, checkpoint_id=tmp_path / "alone").result() is None
    checkpoint.load({"model": other, "optimizer": state["optimizer"]}, checkpoint_id=tmp_path / "alone")
    assert not other.weight.detach().any()


SCRIPT = """
import os, sys, time
import atled.core as at
from atled.distributed import checkpoint
original = at.save
at.save = lambda *args: (time.sleep(0.3), original(*args))
saved = checkpoint.async_save({"epoch": 1}, checkpoint_id=sys.argv[1])
child = os.fork()
if not child:
    sys.exit()  # which waits for nothing that only its parent does
assert os.waitpid(child, 0)[1] == 0 and not saved.done()
checkpoint.save({"epoch": 2}, checkpoint_id=sys.argv[1])
checkpoint.async_save({"epoch": 3}, checkpoint_id=sys.argv[1])
read = {"epoch": 0}
checkpoint.load(read, checkpoint_id=sys.argv[1])
assert read == {"epoch": 3}
"""


def test_checkpoints_follow_each_other_also_those_in_background(tmp_path):
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT, tmp_path], check=True, timeout=60)


def unseen(rank, folder):
    """Some checkpoints fail, of which one is asked for; it is told of each of the others once."""
    dist.init_process_group(timeout=60)
    original, state = at.save, {"x": at.ones(2)}

    def failing(obj, path):
        if path.parent.name != "good" and rank == 1:
            raise OSError("the disk is full")
        original(obj, path)

    at.save = failing
    saved = checkpoint.async_save(state, checkpoint_id=folder / "seen")
    assert "the disk is full" in str(saved.exception(60))
    told = "no checkpoint was written to .*{}: .*the disk is full; call result"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for name in ("first", "good", "second"):
            saved = checkpoint.async_save(state, checkpoint_id=folder / name)
        wait([saved])
        checkpoint.async_save(state, checkpoint_id=folder / "third")
    for each, name in zip(caught, ("first", "second"), strict=True):
        assert re.search(told.format(name), str(each.message)) and each.filename == __file__
    with pytest.warns(RuntimeWarning, match=told.format("third")) as caught:
        checkpoint.load(state, checkpoint_id=folder / "good")
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checkpoint.save(state, checkpoint_id=folder / "good")
    checkpoint.async_save(state, checkpoint_id=folder / "last")
    with pytest.warns(RuntimeWarning, match=told.format("last")):
        dist.destroy_process_group()


def test_failures_in_background_that_nobody_has_seen_are_told_once(tmp_path):
    dist.spawn(unseen, (tmp_path,), nprocs=2)


AT_EXIT = """
import sys, time
import atled.core as at
from atled import distributed as dist
from atled.distributed import checkpoint
if sys.argv[2] == "fails":
    dist.init_process_group(timeout=60)
saved = checkpoint.async_save({"x": at.ones(1)}, checkpoint_id=sys.argv[1])
if sys.argv[2] == "fails":
    while not saved.done():
        time.sleep(0.01)
    raise ValueError("of something else")
"""


@pytest.mark.parametrize(("way", "status"), [("ends", 0), ("fails", 1)])
def test_failures_in_background_are_told_at_exit(tmp_path, way, status):
    folder, script = tmp_path / "file", tmp_path / "script.py"
    folder.touch()
    script.write_text(AT_EXIT)
    ended = launch_job(script, folder, way, ranks=1)
    assert f"RuntimeWarning: checkpoint.async_save: no checkpoint was written to {folder}: FileExists" in ended.stderr
    assert ended.status == status and ended.stderr.count("RuntimeWarning") == 1


def uncopied(rank, folder):
    dist.init_process_group(timeout=60)
    for lock in (0, 1):
        state = {"x": at.ones(2), "lock": threading.Lock() if rank == lock else 1}
        if lock:  # of which nothing is written
            checkpoint.async_save(state, checkpoint_id=folder).result(30)
        else:
            with pytest.raises((TypeError, dist.DistError), match="lock"):
                checkpoint.async_save(state, checkpoint_id=folder)


def test_what_cannot_be_copied_is_an_error_on_every_rank_at_once(tmp_path):
    dist.spawn(uncopied, (tmp_path,), nprocs=2)


def test_what_a_checkpoint_lacks_of_lists_and_what_an_optimizer_lacks(tmp_path):
    checkpoint.save({"list": [at.ones(1)]}, checkpoint_id=tmp_path)
    read = {"list": [at.zeros(1), at.zeros(1), at.zeros(1)]}
    checkpoint.load(read, checkpoint_id=tmp_path, strict=False)
    assert [each.tolist() for each in read["list"]] == [[1.0]]
    model = nn.Linear(4, 6)
    optimizer, fresh = adamw(model.parameters()), adamw(model.parameters())
    model(at.ones(1, 4)).sum().backward()
    optimizer.step()
    checkpoint.save({"optimizer": optimizer}, checkpoint_id=tmp_path)
    with pytest.raises(ValueError, match="optimizer: an optimizer's state there, none here; .* get_optimizer_state"):
        checkpoint.load({"optimizer": fresh}, checkpoint_id=tmp_path)
    fresh.step()
    checkpoint.load({"optimizer": fresh}, checkpoint_id=tmp_path)


def test_a_checkpoint_is_replaced_whole_or_not_at_all(tmp_path):
    assert dist.spawn(interrupted, (tmp_path,), nprocs=1) == [([1.0] * 3, 0.0, {"c": 1}, 2)]


def test_state_moves_to_another_number_of_ranks(tmp_path):
    folder = tmp_path / "new" / "checkpoint"
    (whole, first_weight), (nothing, weight) = dist.spawn(write, (folder,), nprocs=2)
    single = Model()
    optimizer = adamw(single.parameters())
    for _ in range(2):
        train(single, optimizer, ALL, 1)
    names = [name for name, _ in single.named_parameters()]
    state = optimizer.state_dict()
    expected = [
        arrays(single.state_dict().items()),
        {
            "state": {names[n]: as_arrays(entries) for n, entries in state["state"].items()},
            "param_groups": [{**state["param_groups"][0], "params": names}],
        },
    ]
    for got, wanted in zip(whole, expected, strict=True):
        assert_same(got, wanted)
    assert nothing == [{}, {}] and weight == first_weight == whole[0]["embedding.weight"].tolist()
    assert len(os.listdir(folder)) == 3

    alone = Model(seed=3)
    state = {"model": dict(alone.state_dict())}
    checkpoint.load(state, checkpoint_id=folder)
    assert_same(as_arrays(dict(alone.state_dict())), whole[0])
    before = alone.scale.item()
    wrong = {"scale": alone.scale, "spare": at.ones(3), "other": at.ones(1)}
    with pytest.raises(ValueError, match="(?s)spare: shape .3, 2. there, .3,. here.*other: no such tensor"):
        checkpoint.load({"model": wrong}, checkpoint_id=folder)
    assert alone.scale.item() == before
    with pytest.raises(at.FormatError, match="a folder that checkpoint.save has written"):
        checkpoint.load(state, checkpoint_id=tmp_path)

    found = dist.spawn(read, (folder, whole), nprocs=3)
    train(single, optimizer, ALL, 1)
    assert_same(found[0][1][0], arrays(single.state_dict().items()))
    moments = {names[n]: as_arrays(entries) for n, entries in optimizer.state_dict()["state"].items()}
    assert_same(found[0][1][1]["state"], moments)
    assert_same(found[0][2], whole[0])
    checkpoint.load(state, checkpoint_id=folder / "third")
    assert_same(as_arrays(dict(alone.state_dict())), found[0][1][0])
    frozen = sorted(name for name, parameter in single.named_parameters() if not parameter.requires_grad)
    for epochs, _, _, left_out in found:
        assert epochs == [1, (1, 2)]
        assert left_out == frozen and len(frozen) == 5
