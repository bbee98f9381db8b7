"""ZeroRedundancyOptimizer steps as the optimizer that it is made of, with a part of the state on each rank."""

import numpy as np
import pytest

pytest.importorskip("atled.optim")

import atled.core as at
from atled import distributed as dist
from atled import optim

SHAPES = [(5, 3), (7,), (2, 2), (1,), (4, 3)]


class Numbers:
    """Parameters, and gradients for some steps; the last parameter never gets one."""

    def __init__(self):
        rng = np.random.default_rng(3)
        self.params = [at.from_numpy(rng.standard_normal(shape)) for shape in SHAPES]
        self.gradients = [[rng.standard_normal(shape) for shape in SHAPES[:-1]] for _ in range(6)]

    def groups(self):
        return [{"params": self.params[:3]}, {"params": self.params[3:4], "lr": 0.3}]

    def run(self, optimizer, schedule, steps):
        for step in steps:
            optimizer.step(grads=[*map(at.from_numpy, self.gradients[step]), None])
            schedule.step()
        return [param.numpy().copy() for param in self.params]


def made(kind, numbers, wrap):
    optimizer_class, settings = {
        "sgd": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
        "adamw": (optim.AdamW, {"lr": 0.1}),
    }[kind]
    optimizer = wrap(numbers.groups(), optimizer_class, **settings)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.add_param_group({"params": numbers.params[4:], "lr": 1.0})
    return optimizer, schedule


def plain(groups, optimizer_class, **settings):
    return optimizer_class(groups, **settings)


def spread(rank):
    dist.init_process_group(timeout=60)
    seen = {}
    for kind in ("sgd", "adamw"):
        numbers = Numbers()
        optimizer, schedule = made(kind, numbers, dist.ZeroRedundancyOptimizer)
        assert isinstance(optimizer, optim.Optimizer) and isinstance(optimizer, dist.ZeroRedundancyOptimizer)
        with pytest.raises(ValueError, match="expected lr at least 0, got -1"):
            optimizer.add_param_group({"params": [at.ones((1,))], "lr": -1})
        first = numbers.run(optimizer, schedule, range(3))
        with pytest.raises(dist.DistError, match="call consolidate_state_dict"):
            optimizer.state_dict()
        with pytest.raises(ValueError, match=r"consolidate_state_dict: expected 0 <= to < \d, got 9"):
            optimizer.consolidate_state_dict(to=9)
        optimizer.consolidate_state_dict(to=1)
        kept = [t for entries in optimizer.state.values() for t in entries.values() if isinstance(t, at.Tensor)]
        state = optimizer.state_dict() if rank == 1 else None
        whole = [state]
        dist.broadcast_object_list(whole, src=1)
        fresh, after = made(kind, numbers, dist.ZeroRedundancyOptimizer)
        fresh.load_state_dict(whole[0])
        after.load_state_dict(schedule.state_dict())
        seen[kind] = first, sum(t.numel() for t in kept), state, numbers.run(fresh, after, range(3, 6))
    with pytest.raises(ValueError, match="overlap_with_ddp=False"):
        dist.ZeroRedundancyOptimizer(Numbers().params, optim.SGD, overlap_with_ddp=True)
    with pytest.raises(TypeError, match="a class of optimizers, got 'sgd'"):
        dist.ZeroRedundancyOptimizer(Numbers().params, "sgd")
    return seen


def as_numbers(state):
    entries = {n: {k: np.asarray(v).tolist() for k, v in each.items()} for n, each in state["state"].items()}
    return {"state": entries, "param_groups": state["param_groups"]}


@pytest.mark.parametrize("ranks", [2, 6])
def test_steps_states_and_schedules_are_those_of_the_optimizer_of_all(ranks):
    found = dist.spawn(spread, nprocs=ranks)
    for kind, tensors_each in (("sgd", 1), ("adamw", 2)):
        numbers = Numbers()
        optimizer, schedule = made(kind, numbers, plain)
        first = numbers.run(optimizer, schedule, range(3))
        state = as_numbers(optimizer.state_dict())
        last = numbers.run(optimizer, schedule, range(3, 6))
        counts = [seen[kind][1] for seen in found]
        # 27 elements have gradients, the largest parameter has 15.
        assert sum(counts) == 27 * tensors_each and max(counts) == 15 * tensors_each
        for rank, seen in enumerate(found):
            got_first, _, got_state, got_last = seen[kind]
            for got, expected in zip([*got_first, *got_last], [*first, *last], strict=True):
                np.testing.assert_array_equal(got, expected)
            if rank == 1:
                assert as_numbers(got_state) == state
