"""DistributedDataParallel: gradients are those of the whole batch, and mistakes are said."""

import copy
import gc
import pickle
import weakref
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("atled.autograd")

import atled.core as at
from atled import distributed as dist

ROWS = 12
ALL_ROWS = slice(None)


class Perceptron:
    """Two layers and a buffer, with no more of a module than data-parallel training asks for."""

    def __init__(self, seed=0, dtype=np.float64, width=16):
        rng = np.random.default_rng(seed)
        shapes = {"0.weight": (4, width), "0.bias": (width,), "1.weight": (width, 3), "1.bias": (3,), "extra": (2,)}
        arrays = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
        self.state = {name: at.asarray(array).requires_grad_() for name, array in arrays.items()}
        self.mean = at.full((4,), float(seed), dtype=at.float64)
        self.training = True
        self.uses_extra = True

    def named_parameters(self):
        return list(self.state.items())

    def buffers(self):
        return [self.mean]

    def state_dict(self):
        return dict(self.state)

    def train(self, mode):
        self.training = mode

    def requires_grad_(self, mode=True):
        return self

    def __call__(self, x):
        hidden = at.tanh(x @ self.state["0.weight"] + self.state["0.bias"])
        output = hidden @ self.state["1.weight"] + self.state["1.bias"]
        return output * self.state["extra"].sum() if self.uses_extra else output


def batch(step=0, dtype=np.float64):
    rng = np.random.default_rng([7, step])
    return rng.standard_normal((ROWS, 4)).astype(dtype), rng.standard_normal((ROWS, 3)).astype(dtype)


def loss_of(model, rows=ALL_ROWS, step=0, dtype=np.float64):
    inputs, targets = (at.asarray(np.ascontiguousarray(array[rows])) for array in batch(step, dtype))
    return ((model(inputs) - targets) ** 2).mean()


def own_rows():
    each = ROWS // dist.get_world_size()
    return slice(dist.get_rank() * each, (dist.get_rank() + 1) * each)


def grads_of(model):
    return {name: None if p.grad is None else np.array(p.grad.numpy()) for name, p in model.named_parameters()}


def assert_same(got, expected, rtol=1e-12):
    assert got.keys() == expected.keys()
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol=rtol, atol=rtol, err_msg=name)


def step_down(model, rate=0.1):
    for _, parameter in model.named_parameters():
        parameter.detach().sub_(rate * parameter.grad)
        parameter.grad = None


def train(rank, cap_mb, dtype, steps):
    dist.init_process_group(timeout=60)
    model = dist.DistributedDataParallel(Perceptron(seed=rank, dtype=dtype), bucket_cap_mb=cap_mb)
    history = []
    for step in range(steps):
        loss_of(model, own_rows(), step, dtype).backward()
        history.append(grads_of(model))
        step_down(model)
    return history


@pytest.mark.parametrize("cap_mb", [1e-6, 0.0002, 25])
@pytest.mark.parametrize(
    ("ranks", "dtype", "rtol"), [(2, np.float64, 1e-12), (3, np.float64, 1e-12), (2, np.float32, 1e-4)]
)
def test_gradients_are_those_of_the_whole_batch(ranks, dtype, rtol, cap_mb):
    histories = dist.spawn(train, (cap_mb, dtype, 3), nprocs=ranks)
    single = Perceptron(seed=0, dtype=dtype)
    for step in range(3):
        loss_of(single, step=step, dtype=dtype).backward()
        for history in histories:
            assert_same(history[step], grads_of(single), rtol)
        step_down(single)


def accumulate(rank):
    dist.init_process_group(timeout=60)
    model = dist.DistributedDataParallel(Perceptron(), bucket_cap_mb=None, gradient_as_bucket_view=True)
    # A method that returns the module must not unwrap it.
    assert model.requires_grad_() is model
    with model.no_sync():
        assert not model.require_backward_grad_sync
        loss_of(model, own_rows(), step=0).backward()
    local = grads_of(model)
    loss_of(model, own_rows(), step=1).backward()
    return local, grads_of(model)


def test_no_sync_adds_up_locally_and_the_next_backward_averages_the_sum():
    (local, first), (_, second) = dist.spawn(accumulate, nprocs=2)
    single = Perceptron()
    loss_of(single, slice(0, ROWS // 2), step=0).backward()
    assert_same(local, grads_of(single))
    loss_of(single, slice(ROWS // 2, ROWS), step=0).backward()
    for _, parameter in single.named_parameters():
        parameter.grad = parameter.grad / 2
    loss_of(single, step=1).backward()
    assert_same(first, grads_of(single))
    assert_same(second, grads_of(single))


def overlap(rank):
    dist.init_process_group(timeout=60)
    module = Perceptron()
    model = dist.DistributedDataParallel(module, bucket_cap_mb=1e-6)
    group, begun = model.process_group, []
    original = group.all_reduce

    def watched(tensor, op):
        begun.append(sum(p.grad is not None for _, p in module.named_parameters()))
        return original(tensor, op)

    group.all_reduce = watched
    loss_of(model, own_rows()).backward()
    return begun


def test_communication_begins_before_backward_has_ended():
    for begun in dist.spawn(overlap, nprocs=2):
        assert len(begun) == 5
        assert begun[0] < 5 and begun == sorted(begun)


def uneven(rank, initial):
    dist.init_process_group(timeout=60)
    model = dist.DistributedDataParallel(Perceptron(), broadcast_buffers=True)
    history = []
    with model.join(divide_by_initial_world_size=initial):
        for step in range([1, 3, 2][rank]):
            loss_of(model, own_rows(), step).backward()
            history.append(grads_of(model))
            step_down(model)
        if rank == 1:
            model.module.mean.fill_(5.0)
    after = {name: parameter.tolist() for name, parameter in model.named_parameters()}
    out = pytest.raises(dist.DistError, match=r"ranks \[0\] have run out of inputs")
    with out, model.join(throw_on_early_termination=True):
        for _ in range(rank):
            loss_of(model, own_rows()).backward()
    dist.barrier()
    return history, after, model.module.mean[0].item()


@pytest.mark.parametrize("initial", [True, False])
def test_ranks_with_fewer_batches_join_in_with_zeros(initial):
    ranks = dist.spawn(uneven, (initial,), nprocs=3)
    single = Perceptron()
    for step, active in enumerate([[0, 1, 2], [1, 2], [1]]):
        for rank in active:
            loss_of(single, slice(rank * ROWS // 3, (rank + 1) * ROWS // 3), step).backward()
        for _, parameter in single.named_parameters():
            parameter.grad = parameter.grad / (3 if initial else len(active))
        for rank in active:
            assert_same(ranks[rank][0][step], grads_of(single))
        step_down(single)
    for _, after, mean in ranks:
        assert mean == 5.0
        for name, parameter in single.named_parameters():
            np.testing.assert_allclose(after[name], parameter.tolist(), rtol=1e-12)


def uneven_modes(rank, mode):
    """Who has run out of inputs joins in steps without buffers, and in buffers without a step."""
    dist.init_process_group(timeout=20)
    model = dist.DistributedDataParallel(Perceptron(seed=rank))
    with model.join():
        for _ in range(2 - rank):
            if mode == "no_grad":
                with at.no_grad():
                    loss_of(model, own_rows())
            else:
                model.eval()
            loss_of(model, own_rows()).backward()
            model.train()
    return model.module.state["0.bias"].tolist()


@pytest.mark.parametrize("mode", ["eval", "no_grad"])
def test_ranks_with_fewer_batches_join_in_what_the_others_do(mode):
    first, second = dist.spawn(uneven_modes, (mode,), nprocs=2)
    assert first == second


def widened(rank, through_wrapper):
    from atled import nn

    dist.init_process_group(timeout=60)
    model = dist.DistributedDataParallel(nn.Linear(3, 2))
    (model if through_wrapper else model.module).to(at.float64)
    model(at.full((1, 3), 1 / 3, dtype=at.float64)).sum().backward()
    return model.module.weight.grad[0, 0].item()


@pytest.mark.parametrize("through_wrapper", [True, False])
def test_gradients_travel_in_the_dtype_that_the_module_was_given_later(through_wrapper):
    pytest.importorskip("atled.nn")
    assert dist.spawn(widened, (through_wrapper,), nprocs=2) == [1 / 3] * 2


def forget_one(rank):
    dist.init_process_group(timeout=60)
    model = dist.DistributedDataParallel(Perceptron())
    model.module.uses_extra = False
    loss_of(model, own_rows()).backward()
    with pytest.raises(dist.DistError, match="no gradient for extra; every parameter"):
        loss_of(model, own_rows())


def test_a_parameter_without_gradient_is_named():
    dist.spawn(forget_one, nprocs=2)


def find_unused(rank, users):
    dist.init_process_group(timeout=60)
    flag = {["find_unused_parameters", "static_graph"][len(users) % 2]: True}
    model = dist.DistributedDataParallel(Perceptron(), **flag)
    model.module.uses_extra = rank in users
    for _ in range(2):
        for _, parameter in model.named_parameters():
            parameter.grad = None
        loss_of(model, own_rows()).backward()
    return grads_of(model)


@pytest.mark.parametrize("users", [[], [0], [0, 1]])
def test_unused_parameters_count_as_zero_where_another_rank_uses_them(users):
    expected = None
    for rank in range(2):
        single = Perceptron()
        single.uses_extra = rank in users
        loss_of(single, slice(rank * ROWS // 2, (rank + 1) * ROWS // 2)).backward()
        half = {name: 0.0 if grad is None else grad / 2 for name, grad in grads_of(single).items()}
        expected = half if expected is None else {name: expected[name] + half[name] for name in half}
    for grads in dist.spawn(find_unused, (users,), nprocs=2):
        if not users:
            assert grads.pop("extra") is None
            expected.pop("extra", None)
        assert_same(grads, expected)


@dataclass
class Output:
    values: at.Tensor


class Selective(Perceptron):
    """Its result is in an object."""

    def __call__(self, x):
        return Output(super().__call__(x))


def accumulate_unused(rank):
    """Of two backwards the second comes by a parameter no more, after a forward without a backward."""
    dist.init_process_group(timeout=20)
    model = dist.DistributedDataParallel(Selective(), find_unused_parameters=True)
    for step in range(2):
        model.module.uses_extra = step == 0
        inputs, targets = (at.asarray(array[own_rows()].copy()) for array in batch(step))
        model(inputs)
        ((model(inputs).values - targets) ** 2).mean().backward()
    return grads_of(model)


def test_gradients_of_parameters_that_are_unused_later_stay():
    single = Perceptron()
    for step in range(2):
        single.uses_extra = step == 0
        loss_of(single, step=step).backward()
    for grads in dist.spawn(accumulate_unused, nprocs=2):
        assert_same(grads, grads_of(single))


def backward_twice(rank):
    dist.init_process_group(timeout=60)
    model = dist.DistributedDataParallel(Perceptron())
    model.module.uses_extra = False
    loss = loss_of(model, own_rows())
    again = loss_of(model.module, own_rows())
    loss.backward()
    with pytest.raises(dist.DistError, match="got its gradient twice"):
        again.backward()


def test_two_backwards_in_one_step_are_refused():
    dist.spawn(backward_twice, nprocs=1)


def buffers_and_names(rank):
    dist.init_process_group(timeout=60)
    module = Perceptron(seed=rank)
    model = dist.DistributedDataParallel(module)
    at_start = module.mean.tolist(), module.state["0.bias"].tolist()
    module.mean.fill_(10.0 + rank)
    model.eval()(at.zeros((1, 4), dtype=at.float64))
    in_eval = module.mean[0].item()
    model.train()(at.zeros((1, 4), dtype=at.float64))
    return at_start, in_eval, module.mean[0].item(), list(model.state_dict()), model.module is module


def test_rank_zero_gives_parameters_and_buffers_and_keys_are_the_modules_own():
    expected_bias = Perceptron(seed=0).state["0.bias"].tolist()
    for rank, (at_start, in_eval, in_train, keys, same) in enumerate(dist.spawn(buffers_and_names, nprocs=2)):
        assert at_start == ([0.0] * 4, expected_bias)
        assert (in_eval, in_train) == (10.0 + rank, 10.0)
        assert keys == ["0.weight", "0.bias", "1.weight", "1.bias", "extra"]
        assert same


def different_modules(rank):
    dist.init_process_group(timeout=60)
    with pytest.raises(dist.MismatchError, match=r"only on rank 1: \['0.bias: atled.float64 \(9,\)'"):
        dist.DistributedDataParallel(Perceptron(width=8 + rank))
    frozen = Perceptron()
    frozen.state["extra"].requires_grad_(rank == 0)
    with pytest.raises(dist.MismatchError, match=r"only on rank 1: \['extra: atled.float64 \(2,\), frozen'\]"):
        dist.DistributedDataParallel(frozen)
    with pytest.raises(dist.MismatchError, match=r"only on rank 1: \['bucket_cap_mb=2'\]"):
        dist.DistributedDataParallel(Perceptron(), bucket_cap_mb=1 + rank)
    with pytest.raises(ValueError, match="a parameter that requires grad"):
        empty = Perceptron()
        empty.state = {}
        dist.DistributedDataParallel(empty)
    with pytest.raises(ValueError, match="bucket_cap_mb > 0"):
        dist.DistributedDataParallel(Perceptron(), bucket_cap_mb=0)
    for device_ids in ([0, 1], ["meta"]):
        with pytest.raises(ValueError, match="device_ids to name one device, the module's"):
            dist.DistributedDataParallel(Perceptron(), device_ids)
    with pytest.raises(TypeError, match="device_ids to be a list, got 0"):
        dist.DistributedDataParallel(Perceptron(), 0)
    mesh = dist.init_device_mesh("cpu", (2, 1))
    with pytest.raises(ValueError, match="device_mesh of one dimension"):
        dist.DistributedDataParallel(Perceptron(), device_mesh=mesh)


def test_modules_that_differ_are_refused():
    dist.spawn(different_modules, nprocs=2)


def lifetime(rank):
    dist.init_process_group(timeout=60)
    module = Perceptron()
    model = dist.DistributedDataParallel(module, [rank], rank, 0, True)
    loss_of(model, own_rows()).backward()
    alive = weakref.ref(model), weakref.ref(module)
    del model, module
    gc.collect()
    return [reference() is None for reference in alive]


def test_the_wrapper_does_not_live_for_ever():
    assert dist.spawn(lifetime, nprocs=1) == [[True, True]]


def with_nn(rank):
    from atled import nn

    dist.init_process_group(timeout=60)
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    model = dist.DistributedDataParallel(module, device_mesh=dist.init_device_mesh("cpu", (2,)))
    # As of a GPU, whose arguments it moves there.
    elsewhere = nn.Linear(4, 3, device="meta")
    moving = dist.DistributedDataParallel(elsewhere, ["meta"], init_sync=False)
    assert moving(at.ones((1, 4))).device.type == "meta"
    inputs, targets = (at.asarray(array[own_rows()].copy()) for array in batch(dtype=np.float32))
    twin = copy.deepcopy(model)
    nn.functional.mse_loss(model(inputs), targets).backward()
    assert twin.module is not module and all(p.grad is None for p in twin.parameters())
    nn.functional.mse_loss(twin(inputs), targets).backward()
    assert_same(grads_of(twin), grads_of(model), 0)
    with pytest.raises(dist.DistError, match="pickle what it wraps"):
        pickle.dumps(model)
    return {k: v.tolist() for k, v in model.state_dict().items()}, grads_of(model)


def test_a_real_module_trains_and_keeps_its_names():
    nn = pytest.importorskip("atled.nn")
    (state, first), (_, second) = dist.spawn(with_nn, nprocs=2)
    single = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    assert list(state) == list(single.state_dict())
    single.load_state_dict({name: at.tensor(value) for name, value in state.items()})
    inputs, targets = (at.asarray(array) for array in batch(dtype=np.float32))
    nn.functional.mse_loss(single(inputs), targets).backward()
    assert_same(first, second, 0)
    assert_same(first, grads_of(single), 1e-5)
