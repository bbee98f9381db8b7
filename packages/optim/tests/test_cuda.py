"""The CUDA kernels beside the CPU's: many tensors in a call, odd sizes, dtypes and layouts; and captured graphs."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import atled.core as at
from atled import optim
from atled.core import Tensor

DTYPES = [at.float16, at.bfloat16, at.float32, at.float64]
# More than one launch takes, sizes around vectors' and chunks', and nothing.
SHAPES = [(n,) for n in range(150)] + [(8191,), (8192,), (8193,), (3, 5, 7), (257, 129), (0, 4), (), (20_001,)]


def laid_out(x: np.ndarray, i: int, device: str, dtype: at.dtype) -> Tensor:
    """x in one of several layouts: as it is, transposed, with gaps, reversed where it can be, not aligned."""
    t = at.tensor(x).to(dtype).to(device)
    if i % 5 == 1 and t.ndim > 1:
        return t.transpose(0, -1).contiguous().transpose(0, -1)
    if i % 5 == 2 and t.ndim > 0:
        wide = at.zeros((*t.shape[:-1], 2 * t.shape[-1]), dtype=dtype, device=device)
        wide[..., ::2] = t
        return wide[..., ::2]
    if i % 5 == 3 and t.ndim == 1:
        longer = at.zeros((len(t) + 1,), dtype=dtype, device=device)
        longer[1:] = t
        return longer[1:]
    return t


def lists(count: int, device: str, mixed: bool = True) -> list[list[Tensor]]:
    """`count` lists of tensors of all shapes, the same numbers on every device."""
    rng = np.random.default_rng(0)
    found: list[list[Tensor]] = []
    for k in range(count):
        tensors = []
        for i, shape in enumerate(SHAPES):
            dtype = DTYPES[i % 4] if mixed else at.float32
            x = np.asarray(rng.uniform(0.1, 1.0, shape))
            tensors.append(laid_out(x, i + k * (i % 2), device, dtype))
        found.append(tensors)
    return found


def compare(lists_cpu: list[list[Tensor]], lists_gpu: list[list[Tensor]], exact: bool = True) -> None:
    for cpu, gpu in zip(lists_cpu, lists_gpu, strict=True):
        for a, b in zip(cpu, gpu, strict=True):
            assert a.dtype is b.dtype and b.device.type == "cuda"
            tolerance = 0.0 if exact else {2: 1e-2, 4: 1e-5, 8: 1e-12}[a.itemsize]
            np.testing.assert_allclose(
                b.to(at.float64).cpu().numpy(), a.to(at.float64).numpy(), rtol=tolerance, atol=tolerance
            )


@pytest.mark.parametrize("momentum", [False, True])
def test_sgd(gpu: str, momentum: bool) -> None:
    both = [lists(3, device) for device in ("cpu", gpu)]
    for params, grads, buffers in both:
        settings = {"momentum": 0.9, "dampening": 0.25} if momentum else {}
        at.ops.optim.sgd_(params, grads, buffers if momentum else [], False, lr=0.1, weight_decay=0.25, **settings)
    compare(both[0], both[1])


@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("counted", [False, True])
def test_adam(gpu: str, amsgrad: bool, counted: bool) -> None:
    both = [lists(5, device) for device in ("cpu", gpu)]
    settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.1, "decoupled": amsgrad}
    steps = [1 + i % 3 for i in range(len(SHAPES))]
    for (params, grads, means, squares, maxima), device in zip(both, ("cpu", gpu), strict=True):
        counts = [at.tensor(step - 1.0, device=device) for step in steps] if counted else None
        given = [] if counted else steps
        tops = maxima if amsgrad else []
        at.ops.optim.adam_(params, grads, means, squares, tops, given, **settings, counts=counts)
        if counts:
            assert [int(count) for count in counts] == steps
    compare(both[0], both[1], exact=not counted)


#: Beside SGD and Adam: the op, how many lists it has, and its settings; whether it goes by steps.
OTHERS: dict[str, tuple[str, int, dict[str, float], bool]] = {
    "adamax": ("adamax_", 4, {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3}, True),
    "radam": ("radam_", 4, {"lr": 0.1, "beta1": 0.9, "beta2": 0.75, "eps": 1e-3, "decoupled": True}, True),
    "adadelta": ("adadelta_", 4, {"lr": 0.5, "rho": 0.9, "eps": 1e-3, "weight_decay": 0.1}, False),
    "rmsprop": ("rmsprop_", 3, {"lr": 0.1, "alpha": 0.9, "eps": 1e-3}, False),
    "centered": ("rmsprop_", 5, {"lr": 0.1, "alpha": 0.9, "eps": 1e-3, "momentum": 0.5}, False),
    "rprop": ("rprop_", 4, {"shrink": 0.5, "grow": 1.5, "smallest": 0.1, "largest": 1.0}, False),
}


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_other_steps(gpu: str, name: str, counted: bool) -> None:
    op, count, settings, by_step = OTHERS[name]
    both = [lists(count, device) for device in ("cpu", gpu)]
    steps = [1 + i % 9 for i in range(len(SHAPES))]
    for given, device in zip(both, ("cpu", gpu), strict=True):
        counts = [at.tensor(step - 1.0, device=device) for step in steps] if counted else None
        empty: list[list[Tensor]] = [[], []] if name == "rmsprop" else []
        numbers = [[] if counted else steps] if by_step else []
        getattr(at.ops.optim, op)(*given, *empty, *numbers, **settings, counts=counts)
        if counts:
            assert [int(number) for number in counts] == steps
    compare(both[0], both[1], exact=not (counted and by_step))


@pytest.mark.parametrize("counted", [False, True])
def test_nadam_asgd_and_adagrad(gpu: str, counted: bool) -> None:
    steps = [1 + i % 9 for i in range(len(SHAPES))]
    products = [0.5 ** (1 + i % 3) for i in range(len(SHAPES))]
    both = [lists(10, device) for device in ("cpu", gpu)]
    for given, device in zip(both, ("cpu", gpu), strict=True):
        settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "weight_decay": 0.1}
        if counted:
            counts = [at.tensor(step - 1.0, device=device) for step in steps]
            there = [at.tensor(product, device=device) for product in products]
            at.ops.optim.nadam_(*given[:4], [], [], **settings, counts=counts, product_counts=there)
            at.ops.optim.asgd_(*given[4:7], [], [], lambd=0.1, eta_counts=there, mu_counts=there)
        else:
            at.ops.optim.nadam_(*given[:4], steps, products, **settings)
            at.ops.optim.asgd_(*given[4:7], products, products, lambd=0.1)
        at.ops.optim.adagrad_(*given[7:], steps, lr=0.1, lr_decay=0.1, eps=1e-3)
    compare(both[0], both[1], exact=not counted)


@pytest.mark.parametrize("order", [1.0, 2.0, 2.5, float("inf")])
def test_norm(gpu: str, order: float) -> None:
    for mixed in (False, True):
        (cpu,), (device,) = lists(1, "cpu", mixed), lists(1, gpu, mixed)
        norm = at.ops.optim.grad_norm(device, order)
        expected = at.ops.optim.grad_norm(cpu, order)
        assert norm.dtype is expected.dtype and norm.shape == ()
        np.testing.assert_allclose(norm.item(), expected.item(), rtol=1e-6)
        assert norm.item() == at.ops.optim.grad_norm(device, order).item()


def test_norm_of_nothing_and_nan(gpu: str) -> None:
    assert at.ops.optim.grad_norm([at.zeros(0, device=gpu)]).item() == 0
    for order in (2.0, float("inf")):
        grads = [at.ones(9000, device=gpu), at.tensor([1.0, float("nan")], device=gpu)]
        norm = at.ops.optim.grad_norm(grads, order)
        assert np.isnan(norm.item())
        at.ops.optim.scale_by_norm_(grads, norm, 1.0)
        assert at.isnan(grads[0]).all().item()


@pytest.mark.parametrize("bad", [None, np.inf, np.nan])
def test_unscaling(gpu: str, bad: float | None) -> None:
    both = [lists(1, device) for device in ("cpu", gpu)]
    found = []
    for (grads,) in both:
        if bad is not None:
            grads[-1][20_000] = bad  # of the last launch of its dtype
        found.append(at.ops.optim.unscale_(grads, 1 / 3).item())
    assert found == [float(bad is not None)] * 2
    compare(*both)


@pytest.mark.parametrize("wide", [False, True])
def test_scale(gpu: str, wide: bool) -> None:
    dtype = at.float64 if wide else at.float32
    for limit in (0.5, 1e9):
        (cpu,), (device,) = lists(1, "cpu"), lists(1, gpu)
        at.ops.optim.scale_by_norm_(cpu, at.tensor(7.25, dtype=dtype), limit)
        at.ops.optim.scale_by_norm_(device, at.tensor(7.25, dtype=dtype, device=gpu), limit)
        compare([cpu], [device])


def steps_of(
    make: Callable[[list[Tensor]], optim.Optimizer], device: str, replays: int, captured: bool
) -> Iterator[np.ndarray]:
    """The parameter after each of several steps, the first outside of the graph."""
    param, grad = at.tensor([1.0, -2.0, 3.0], device=device), at.zeros(3, device=device)
    optimizer = make([param])
    graph = at.cuda.CUDAGraph() if captured else None

    def step() -> None:
        param.grad = grad * 1
        optim.clip_grad_norm_([param], 1.0)
        optimizer.step()

    for k in range(1 + replays):
        grad.copy_(at.tensor([0.5, -0.25 * k, 1.0]))
        if k == 0 or graph is None:
            step()
        else:
            if k == 1:
                with at.cuda.graph(graph):
                    step()
            graph.replay()
        yield param.cpu().numpy().copy()


@pytest.mark.parametrize(
    "make",
    [
        lambda params: optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.5),
        lambda params: optim.Adam(params, lr=0.1, capturable=True),
        lambda params: optim.AdamW(params, lr=0.1, amsgrad=True, capturable=True),
        lambda params: optim.Adamax(params, lr=0.1, capturable=True),
        lambda params: optim.NAdam(params, lr=0.1, capturable=True),
        lambda params: optim.RAdam(params, lr=0.1, betas=(0.8, 0.75), capturable=True),
        lambda params: optim.Adadelta(params, eps=1e-3, capturable=True),
        lambda params: optim.RMSprop(params, momentum=0.9, centered=True, capturable=True),
        lambda params: optim.Rprop(params, capturable=True),
        lambda params: optim.ASGD(params, lr=0.1, lambd=0.1, t0=2, capturable=True),
    ],
    ids=["sgd", "adam", "adamw", "adamax", "nadam", "radam", "adadelta", "rmsprop", "rprop", "asgd"],
)
def test_captured_steps_are_the_steps(gpu: str, make: Callable[[list[Tensor]], optim.Optimizer]) -> None:
    captured = list(steps_of(make, gpu, 4, captured=True))
    for found, expected in zip(captured, steps_of(make, "cpu", 4, captured=False), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_what_a_graph_would_repeat_is_refused(gpu: str) -> None:
    param = at.ones(3, device=gpu)
    grads = [at.ones(3, device=gpu)]
    fresh = optim.Adam([param], capturable=True)
    with pytest.raises(at.OperationError, match="expected step to be there when a graph is captured"):  # noqa: SIM117
        with at.cuda.graph(at.cuda.CUDAGraph()):
            fresh.step(grads=grads)
    plain = optim.Adam([param])
    plain.step(grads=grads)
    with pytest.raises(at.InvalidValueError, match="adam_: expected counts on the device.*capturable=True"):  # noqa: SIM117
        with at.cuda.graph(at.cuda.CUDAGraph()):
            plain.step(grads=grads)
    plain.step(grads=grads)
    assert plain.state[param]["step"] == 2


def test_complex_parameters(gpu: str) -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) + 1j * rng.standard_normal(shape) for shape in ((3, 5, 7), (257, 129), (0, 4))]
    after = []
    for device in ("cpu", gpu):
        params, grads = ([at.tensor(a, device=device).transpose(0, -1) for a in arrays] for _ in range(2))
        norm = at.ops.optim.grad_norm(grads)
        at.ops.optim.scale_by_norm_(grads, norm, 1.0)
        optim.Adam(params, lr=0.1).step(grads=grads)
        after.append([norm, *params])
    for cpu, cuda in zip(*after, strict=True):
        assert cuda.device.type == "cuda"
        np.testing.assert_allclose(cuda.cpu().numpy(), cpu.numpy(), rtol=1e-12)


def test_parameters_that_require_gradients(gpu: str) -> None:
    """Those that are copied to be stepped, too."""
    pytest.importorskip("atled.autograd")
    param = at.zeros((4, 6), device=gpu)[:, ::2].requires_grad_()
    optim.SGD([param], lr=1.0).step(grads=[at.ones((4, 3), device=gpu)])
    assert param.requires_grad and (param == -1).all().item()


@pytest.mark.parametrize("op", ["adam", "sgd", "clip"])
def test_no_memory_for_copies_changes_nothing(gpu: str, op: str) -> None:
    n = 1024
    params = [at.ones(8, device=gpu), at.ones(n, n, device=gpu)]
    others = [[at.ones(8, device=gpu), at.ones(n, 2 * n, device=gpu)[:, ::2]] for _ in range(3)]
    counts = [at.ones((), device=gpu) for _ in params]
    norm = at.full((), 8.0, device=gpu)

    def step() -> None:
        if op == "adam":
            settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 1e-3, "counts": counts}
            at.ops.optim.adam_(params, *others, [], [], **settings)
        elif op == "sgd":
            at.ops.optim.sgd_(params, *others[:2], False, lr=0.1, momentum=0.5)
        else:
            at.ops.optim.scale_by_norm_(others[0], norm, 1.0)

    def changed() -> bool:
        every = [*params, *counts, *(t for tensors in others for t in tensors)]
        return any((t != 1).any().item() for t in every)

    at.cuda.empty_cache()
    _, total = at.cuda.mem_get_info()
    reserved = at.cuda.memory_reserved()
    at.cuda.set_per_process_memory_fraction((reserved + n * n * 2) / total)
    try:
        with pytest.raises(at.OutOfMemoryError):
            step()
        assert not changed()
    finally:
        at.cuda.set_per_process_memory_fraction(1.0)
    step()
    assert changed()
