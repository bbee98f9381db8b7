"""Communication hooks of DistributedDataParallel: gradients as by NumPy, and hooks that do not do what they should."""

import gc
import pickle
import time
import weakref

import numpy as np
import pytest

pytest.importorskip("atled.autograd")

import atled.core as at
from atled import distributed as dist
from atled.distributed.algorithms.ddp_comm_hooks import debugging_hooks, default_hooks
from atled.distributed.algorithms.ddp_comm_hooks.powerSGD_hook import PowerSGDState, powerSGD_hook
from atled.distributed.futures import Future, collect_all, wait_all

SHAPES = {"weight": (24, 4, 5), "bias": (24,), "scale": (), "last": (3, 40)}


class Chosen:
    """A module whose gradients are what it is called with."""

    def __init__(self, dtype=at.float32):
        self.state = {name: at.zeros(shape, dtype=dtype).requires_grad_() for name, shape in SHAPES.items()}

    def named_parameters(self):
        return list(self.state.items())

    def buffers(self):
        return []

    def __call__(self, gradients):
        parts = [(self.state[name] * at.asarray(array)).sum() for name, array in gradients.items()]
        return sum(parts[1:], parts[0])


def gradients(rank, step=0, dtype=np.float32):
    rng = np.random.default_rng([rank, step])
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def backward(model, step=0, names=tuple(SHAPES)):
    for parameter in model.module.state.values():
        parameter.grad = None
    model({name: array for name, array in gradients(dist.get_rank(), step).items() if name in names}).backward()
    return {name: None if p.grad is None else np.array(p.grad.numpy()) for name, p in model.module.state.items()}


def mean(ranks=2, step=0):
    return {name: sum(gradients(rank, step)[name] for rank in range(ranks)) / ranks for name in SHAPES}


def assert_close(got, expected, rtol=1e-6):
    for name in expected:
        np.testing.assert_allclose(got[name], expected[name], rtol, rtol, err_msg=name)


def own_hook(calls, bucket):
    """Sums by two collectives, of which the second comes after the first."""
    calls.append((bucket.index(), bucket.is_last(), len(bucket.parameters())))
    for gradient, parameter in zip(bucket.gradients(), bucket.parameters(), strict=True):
        assert gradient.shape == parameter.shape
    first = dist.all_reduce(bucket.buffer(), async_op=True).get_future()
    return first.then(lambda future: dist.all_reduce(future.value()[0], async_op=True).get_future().wait()[0])


def numbers(rank):
    dist.init_process_group(timeout=30)
    found = {}
    for name, hook, options in (
        ("average", default_hooks.allreduce_hook, {"bucket_cap_mb": 1e-6, "gradient_as_bucket_view": True}),
        ("float16", default_hooks.fp16_compress_hook, {}),
        ("float16 of a hook", default_hooks.fp16_compress_wrapper(default_hooks.allreduce_hook), {}),
        ("bfloat16", default_hooks.bf16_compress_hook, {}),
        ("none", debugging_hooks.noop_hook, {"static_graph": True}),
    ):
        model = dist.DistributedDataParallel(Chosen(), **options)
        model.register_comm_hook(None, hook)
        found[name] = backward(model)
    # Nobody uses one parameter, one rank another.
    model = dist.DistributedDataParallel(Chosen(), find_unused_parameters=True, bucket_cap_mb=1e-6)
    calls = []
    model.register_comm_hook(calls, own_hook)
    found["own"] = backward(model, names=["weight", "bias"] if rank else ["weight"]), calls
    with model.no_sync():
        before = len(calls)
        backward(model)
        assert len(calls) == before
    model({"weight": gradients(rank, 1)["weight"]}).backward()
    found["after no_sync"] = np.array(model.module.state["weight"].grad.numpy())
    model = dist.DistributedDataParallel(Chosen())
    model.register_comm_hook(None, default_hooks.allreduce_hook)
    with model.join(divide_by_initial_world_size=False):
        for step in range(1 + rank):
            found["join"] = backward(model, step)
    state = PowerSGDState(None, 2, start_powerSGD_iter=1, random_seed=3)
    model = dist.DistributedDataParallel(Chosen())
    model.register_comm_hook(state, powerSGD_hook)
    found["power"] = [backward(model, step) for step in range(4)]
    again = pickle.loads(pickle.dumps(state))
    assert again.process_group is None and again.iter == state.iter == 4 and state.compression_stats()[0] > 2
    # What is of rank two comes through, and zeros do not become NaN.
    exact = PowerSGDState(None, 2, start_powerSGD_iter=0, use_error_feedback=False, warm_start=False)
    model = dist.DistributedDataParallel(Chosen())
    model.register_comm_hook(exact, powerSGD_hook)
    for factor in (rank + 1.0, 0.0):
        model.module.state["weight"].grad = None
        model({name: np.full(shape, factor, np.float32) for name, shape in SHAPES.items()}).backward()
        np.testing.assert_allclose(model.module.state["weight"].grad.numpy(), 1.5 * bool(factor), 1e-5)
    return found


def power_reference(steps):
    """Algorithm 1 with error feedback (Vogels et al. 2019), of two ranks and rank 2, in float64 with NumPy's QR."""
    rng = np.random.RandomState(3)
    wholes = [{rank: gradients(rank, step)["weight"].reshape(24, 20) for rank in range(2)} for step in range(steps)]
    yield (wholes[0][0] + wholes[0][1]) / 2
    q, errors = rng.standard_normal(40).reshape(20, 2), {0: 0.0, 1: 0.0}
    for whole in wholes[1:]:
        given = {rank: whole[rank] + errors[rank] for rank in whole}
        p = np.linalg.qr(sum(matrix @ q for matrix in given.values()))[0]
        q = sum(matrix.T @ p for matrix in given.values()) / 2
        errors = {rank: given[rank] - p @ q.T for rank in given}
        yield p @ q.T


def test_hooks_give_what_numpy_gives():
    first, second = dist.spawn(numbers, nprocs=2)
    for rank, found in enumerate((first, second)):
        assert_close(found["average"], mean())
        for name in ("float16", "float16 of a hook"):
            halves = [{n: (g.astype(np.float16) / np.float16(2)) for n, g in gradients(r).items()} for r in range(2)]
            assert_close(found[name], {n: halves[0][n].astype(np.float32) + halves[1][n] for n in SHAPES}, 1e-3)
            assert all((np.float32(np.float16(each)) == each).all() for each in found[name].values())
        assert_close(found["bfloat16"], mean(), 2e-2)
        assert_close(found["none"], gradients(rank), 0)
        # own_hook sums, and sums that.
        got, calls = found["own"]
        assert got["last"] is None and got["scale"] is None
        assert_close(got, {"weight": 4 * mean()["weight"], "bias": 2 * gradients(1)["bias"]})
        assert calls[:4] == [(0, False, 1), (1, False, 1), (2, False, 1), (3, True, 1)]
        expected = 4 * (mean()["weight"] + mean(step=1)["weight"])
        np.testing.assert_allclose(found["after no_sync"], expected, 1e-5, 1e-5)
        for step, reference in enumerate(power_reference(4)):
            got = found["power"][step]
            assert_close(got, {name: mean(step=step)[name] for name in ("bias", "scale", "last")})
            np.testing.assert_allclose(got["weight"].reshape(24, 20), reference, 1e-4, 1e-4)
    # The hook divides by two also where one rank is left.
    assert_close(second["join"], {name: array / 2 for name, array in gradients(1, 1).items()})


def beginnings(rank):
    """What comes of a second step where the first one's gradients find nothing, or are not finite."""
    dist.init_process_group(timeout=30)
    found = []
    for first in (0.0, np.nan, np.inf):
        for use_error_feedback in (True, False):
            model = dist.DistributedDataParallel(Chosen())
            state = PowerSGDState(None, 2, start_powerSGD_iter=0, use_error_feedback=use_error_feedback)
            model.register_comm_hook(state, powerSGD_hook)
            for factor in (first, 1.0):
                for parameter in model.module.state.values():
                    parameter.grad = None
                model({name: factor * array for name, array in gradients(rank).items()}).backward()
            found.append(np.array(model.module.state["weight"].grad.numpy()).reshape(24, 20))
            # What travels whole loses nothing.
            assert all(np.count_nonzero(error.numpy()) <= 24 * 20 for error in state.error_dict.values())
    return found


def test_powers_come_back_from_gradients_of_zero_and_such_as_are_not_finite():
    for found in zip(*dist.spawn(beginnings, nprocs=2), strict=True):
        np.testing.assert_array_equal(*found)
        sizes = np.linalg.svd(found[0], compute_uv=False)
        assert sizes[1] > 0.1 and sizes[2] < 1e-4 * sizes[0]


def wrong(rank):
    dist.init_process_group(timeout=30)
    model = dist.DistributedDataParallel(Chosen())
    mode = {}

    def hook(state, bucket):
        if mode["raises"]:
            raise KeyError("in the hook")
        future = Future()
        future.set_result(mode["result"](bucket))
        return future if mode["wraps"] else mode["result"](bucket)

    for bad, message in ((7, "hook to be callable, got 7"), (lambda bucket: None, "a hook that takes a state and a b")):
        with pytest.raises(TypeError, match=message):
            model.register_comm_hook(None, bad)
    model.register_comm_hook(None, hook)
    with pytest.raises(dist.DistError, match="expected one call, got a second"):
        model.register_comm_hook(None, hook)
    for result, wraps, kind, message in (
        (lambda b: b.buffer(), False, TypeError, "hook .*hook: .* a Future of a tensor, got Tensor; put"),
        (lambda b: [b.buffer()], True, TypeError, r"hold a tensor, got list; .* .then\(lambda future"),
        (lambda b: b.buffer()[1:], True, ValueError, r"of shape \(625,\), as those of the bucket, got \(624,\)"),
        (lambda b: b.buffer().double(), True, TypeError, "of atled.float32 on cpu, .* got atled.float64"),
        (lambda b: b.set_buffer(b.buffer()[:2]), True, ValueError, r"a buffer of shape \(625,\), got \(2,\)"),
        (lambda b: b.set_buffer(None), True, TypeError, "expected a Tensor, got NoneType"),
    ):
        mode.update(raises=False, result=result, wraps=wraps)
        with pytest.raises(kind, match=message):
            backward(model)
    # One rank's hook raises, and that rank goes on to something else.
    mode.update(raises=rank == 1, wraps=True, result=lambda b: dist.all_reduce(b.buffer()) or b.buffer())
    if rank == 1:
        with pytest.raises(KeyError, match="in the hook"):
            backward(model)
    with pytest.raises(dist.MismatchError, match=r"rank 0: all_reduce[^\n]*\n  rank 1: barrier\(\)"):
        dist.barrier() if rank == 1 else backward(model)
    mode.update(raises=False)
    assert_close(backward(model), {name: 2 * array for name, array in mean().items()})
    late = dist.DistributedDataParallel(Chosen())
    backward(late)
    with pytest.raises(dist.DistError, match="before the first backward"):
        late.register_comm_hook(None, hook)
    with pytest.raises(TypeError, match="expected a PowerSGDState, got NoneType"):
        powerSGD_hook(None, None)
    with pytest.raises(ValueError, match="start_powerSGD_iter >= 0, got -1"):
        PowerSGDState(None, start_powerSGD_iter=-1)
    with pytest.raises(TypeError, match="matrix_approximation_rank of type int, got 1.5"):
        PowerSGDState(None, 1.5)


def test_wrong_hooks_are_explained_and_leave_the_ranks_in_step():
    dist.spawn(wrong, nprocs=2)


def incomplete(rank):
    """A backward that does not come by the last bucket leaves the others on their way."""
    dist.init_process_group(timeout=30)
    model = dist.DistributedDataParallel(Chosen(), bucket_cap_mb=1e-6)
    sent = []

    def hook(state, bucket):
        sent.append((bucket.buffer(), bucket.buffer().tolist()))
        return debugging_hooks.noop_hook(state, bucket)

    model.register_comm_hook(None, hook)
    backward(model, names=["bias", "scale", "last"])
    with pytest.raises(dist.DistError, match="made no gradient for weight; every"):
        backward(model, step=1)
    assert_close(backward(model, step=1), gradients(rank, 1), 0)
    assert len(sent) == 7 and all(buffer.tolist() == values for buffer, values in sent[:3])


def test_what_is_on_its_way_is_not_written_over():
    dist.spawn(incomplete, nprocs=1)


def dies(rank):
    dist.init_process_group(timeout=300)
    model = dist.DistributedDataParallel(Chosen())

    def hook(state, bucket):
        assert rank == 0, "only rank 0 has it"
        return default_hooks.allreduce_hook(None, bucket)

    model.register_comm_hook(None, hook)
    backward(model)


def test_a_hook_that_raises_ends_the_job():
    start = time.monotonic()
    with pytest.raises(dist.RankFailedError, match="rank 1 failed first(.|\n)*only rank 0 has it"):
        dist.spawn(dies, nprocs=2)
    assert time.monotonic() - start < 60


def test_futures_chain_and_pass_errors_on():
    first, second = Future(), Future()
    following = first.then(lambda future: future.value() + 1)
    both = collect_all([following, second])
    seen = []
    both.add_done_callback(lambda future: seen.append([each.done() for each in future.value()]))
    first.set_result(1)
    assert following.wait() == 2 and not both.done()
    with pytest.raises(dist.DistError, match="is not; call wait"):
        both.value()
    second.set_exception(KeyError("k"))
    assert seen == [[True, True]]
    with pytest.raises(KeyError):
        wait_all([following, second])
    with pytest.raises(KeyError):
        second.then(lambda future: future.value()).wait()
    for call, kind, message in (
        (lambda: first.set_result(2), RuntimeError, "expected a future that is not done"),
        (lambda: following.set_result(2), RuntimeError, "this one ends by itself"),
        (lambda: Future().set_exception("no"), TypeError, "expected an exception, got str"),
        (lambda: Future().then(None), TypeError, "then: expected a callback, got None"),
        (lambda: wait_all([1]), TypeError, "a list of futures, got one of int"),
    ):
        with pytest.raises(kind, match=message):
            call()


def test_futures_end_whatever_another_callback_raises_and_leave_nothing_behind():
    first, seen = Future(), []
    first.add_done_callback(lambda future: 1 / 0)
    following = first.then(lambda future: seen.append(future.value()))
    with pytest.raises(ZeroDivisionError):
        first.set_result(1)
    assert seen == [1] and following.wait() is None
    gc.disable()
    try:
        both = collect_all([first, following])
        assert both.done()
        left = weakref.ref(both)
        del both
        assert left() is None
    finally:
        gc.enable()
