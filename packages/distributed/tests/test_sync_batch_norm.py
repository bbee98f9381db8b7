"""SyncBatchNorm is batch normalisation of what all ranks have, together."""

import numpy as np
import pytest

pytest.importorskip("atled.autograd")
pytest.importorskip("atled.nn")

import atled.core as at
from atled import distributed as dist
from atled import nn

CHANNELS = 3


def parts(sizes):
    """Each rank's input, and the slopes of the loss in what it makes of it, for three steps."""
    rng = np.random.default_rng(11)
    draw = [(2 + 3 * rng.standard_normal((n, CHANNELS, 4)), rng.standard_normal((n, CHANNELS, 4))) for n in 3 * sizes]
    return [draw[i : i + len(sizes)] for i in range(0, len(draw), len(sizes))]


def learn(layer, steps):
    """What a layer answers, its gradients and second derivatives, and its state, after each step."""
    seen = []
    for x, slopes in steps:
        x = at.from_numpy(x.copy()).requires_grad_()
        out = layer(x)
        learnt = [x, *layer.parameters()]
        first = at.autograd.grad((out * at.from_numpy(slopes)).sum(), learnt, retain_graph=True)
        again = at.autograd.grad((out * at.from_numpy(slopes)).sum(), learnt, create_graph=True)
        penalty = sum((g * g * g).sum() for g in again[:1])
        second = at.autograd.grad(penalty, learnt, allow_unused=True)
        seen.append([t if t is None else np.array(t.detach().numpy()) for t in (out, *first, *again, *second)])
    return seen, {name: np.array(t.detach().numpy()) for name, t in layer.state_dict().items()}


def made(kind, settings):
    layer = kind(CHANNELS, dtype=at.float64, **settings)
    for i, parameter in enumerate(layer.parameters()):
        parameter.detach().copy_(at.arange(1.0, CHANNELS + 1) * (i + 1))
    return layer


def on_a_rank(rank, sizes, settings):
    dist.init_process_group(timeout=60)
    return learn(made(nn.SyncBatchNorm, settings), [step[rank] for step in parts(sizes)])


@pytest.mark.parametrize(
    ("sizes", "settings"),
    [([4, 4], {}), ([1, 5, 2], {"momentum": None, "bias": False}), ([0, 3], {"affine": False})],
)
def test_ranks_are_one_batch(sizes, settings):
    whole = [tuple(np.concatenate(arrays) for arrays in zip(*step, strict=True)) for step in parts(sizes)]
    expected, state = learn(made(nn.BatchNorm1d, settings), whole)
    answers = dist.spawn(on_a_rank, (sizes, settings), nprocs=len(sizes))
    parameters = len(list(made(nn.BatchNorm1d, settings).parameters()))
    for step in range(3):
        rows = [answers[rank][0][step] for rank in range(len(sizes))]
        for i, right in enumerate(expected[step]):
            found = [each[i] for each in rows]
            if right is None:
                assert all(each is None for each in found)
                continue
            # Rows of input and output lie on the ranks one after another; gradients of parameters are to be added.
            of_rows = i == 0 or (i - 1) % (parameters + 1) == 0
            together = np.concatenate(found) if of_rows else sum(found)
            np.testing.assert_allclose(together, right, rtol=1e-9, atol=1e-9, err_msg=f"{step} {i}")
    for _, own in answers:
        assert own.keys() == state.keys()
        for name, right in state.items():
            np.testing.assert_allclose(own[name], right, rtol=1e-12, err_msg=name)


def network():
    at.manual_seed(0)
    layers = (nn.Conv1d(CHANNELS, 4, 1), nn.BatchNorm1d(4), nn.ReLU(), nn.Conv1d(4, 2, 1), nn.BatchNorm1d(2))
    return nn.Sequential(*layers).to(at.float64)


def in_a_model(rank, sizes):
    dist.init_process_group(timeout=60)
    model = dist.DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(network()), bucket_cap_mb=1e-6)
    x, slopes = parts(sizes)[0][rank]
    (model(at.from_numpy(x)) * at.from_numpy(slopes[:, :2].copy())).sum().backward()
    x = x.astype(np.float32)
    group = dist.new_group([0])
    alone = nn.SyncBatchNorm(CHANNELS, process_group=group)
    if rank == 0:
        layer = nn.BatchNorm1d(CHANNELS)
        assert at.equal(alone(at.from_numpy(x)), layer(at.from_numpy(x)))
    else:
        with pytest.raises(dist.DistError, match="not in the group"):
            alone(at.from_numpy(x))
    half = nn.SyncBatchNorm(CHANNELS)(at.from_numpy(x).to(at.bfloat16).requires_grad_())
    half.sum().backward()
    with pytest.raises(at.NotImplementedOpError, match="outside of vmap"):
        at.vmap(nn.SyncBatchNorm(CHANNELS))(at.ones(2, 3, CHANNELS))
    with pytest.raises(at.ShapeError, match="more than one value per channel"):
        nn.SyncBatchNorm(CHANNELS)(at.ones(1 - rank, CHANNELS))
    return {name: p.grad.numpy() for name, p in model.named_parameters()}, half.dtype is at.bfloat16


def test_a_model_of_ranks_is_one_model():
    sizes = [4, 4]
    answers = dist.spawn(in_a_model, (sizes,), nprocs=2)
    model = network()
    x, slopes = (np.concatenate(arrays) for arrays in zip(*parts(sizes)[0], strict=True))
    (model(at.from_numpy(x)) * at.from_numpy(slopes[:, :2].copy())).sum().backward()
    for gradients, half in answers:
        assert half
        for name, parameter in model.named_parameters():
            # The wrapper takes the mean of the ranks' gradients.
            np.testing.assert_allclose(gradients[name], parameter.grad.numpy() / 2, rtol=1e-9, atol=1e-9, err_msg=name)
