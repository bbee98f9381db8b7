"""at.cuda.make_graphed_callables: what a replayed call and its backward do, and what is refused."""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.autograd import graphed, no_grad

make = graphed.make_graphed_callables


def numbers(*shape: int, seed: int = 0) -> at.Tensor:
    return at.tensor(np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32"))


def test_core_hands_it_on() -> None:
    assert at.cuda.make_graphed_callables is make
    with pytest.raises(AttributeError, match=r"module 'atled.core.cuda' has no attribute 'make_graphs'"):
        _ = at.cuda.make_graphs


def test_results_and_gradients_are_the_functions(gpu: str) -> None:
    def function(x: at.Tensor, w: at.Tensor, n: at.Tensor) -> dict[str, Any]:
        y = (x @ w).tanh()
        return {"y": y, "more": [y * n, n + 1]}

    graph = make(function, (numbers(2, 3).to(gpu), numbers(3, 4).to(gpu).requires_grad_(), at.arange(4, device=gpu)))
    for seed in range(3):
        given = [numbers(2, 3, seed=seed), numbers(3, 4, seed=seed + 5), at.arange(4) + seed]
        found = []
        for call, device in ((function, "cpu"), (graph, gpu)):
            x, w, n = (t.detach().to(device) for t in given)
            w.requires_grad_()
            out = call(x, w, n)
            (out["y"].exp().sum() + out["more"][0].sum() * 2).backward()
            assert not out["more"][1].requires_grad and x.grad is None
            found.append([out["y"], *out["more"], w.grad])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(b.detach().cpu().numpy(), a.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_gradients_accumulate_and_stay(gpu: str) -> None:
    w = at.ones(3, device=gpu, requires_grad=True)
    graph = make(lambda w: w * w, (w,))
    graph(w).sum().backward()
    first = w.grad
    graph(w).backward(at.full((3,), 2.0, device=gpu))
    assert w.grad is first and first.tolist() == [6, 6, 6]
    w.grad = None
    graph(w).sum().backward()
    assert first.tolist() == [6, 6, 6] and w.grad.tolist() == [2, 2, 2]


def test_arguments_are_copied_and_samples_left_alone(gpu: str) -> None:
    sample = at.zeros(3, device=gpu)
    graph = make(lambda x: x.add_(1), (sample,))
    x = at.full((6,), 5.0, device=gpu)[::2]
    assert graph(x).tolist() == [6, 6, 6]
    assert x.tolist() == [5, 5, 5] and sample.tolist() == [0, 0, 0]


def test_without_recording(gpu: str) -> None:
    w = at.ones(3, device=gpu, requires_grad=True)
    graph = make(lambda w: w * 3, w)
    with no_grad():
        out = graph(w.detach())
    assert not out.requires_grad and out.tolist() == [3, 3, 3]
    assert not make(lambda x: x * 3, (at.ones(3, device=gpu),))(at.ones(3, device=gpu)).requires_grad


def test_random_numbers_go_on(gpu: str) -> None:
    x = at.ones(16, device=gpu, requires_grad=True)
    graph = make(lambda x: x * at.rand_like(x), (x,))
    first, second = graph(x).tolist(), graph(x).tolist()
    assert first != second
    out = graph(x)
    out.sum().backward()
    assert x.grad.tolist() == out.tolist()


def test_several_in_a_row(gpu: str) -> None:
    w = at.full((3,), 2.0, device=gpu, requires_grad=True)
    x = at.ones(3, device=gpu, requires_grad=True)
    one, two = make((lambda x, w: x * w, lambda x: x * x), ((x, w), (x,)))
    for _ in range(2):
        two(one(x, w) + 1).sum().backward()
    assert w.grad.tolist() == [12] * 3 and x.grad.tolist() == [24] * 3


def test_what_nothing_depends_on(gpu: str) -> None:
    x, w = (at.ones(2, device=gpu, requires_grad=True) for _ in range(2))
    with pytest.raises(at.AutogradError):
        make(lambda x, w: x * 2, (x, w))
    make(lambda x, w: x * 2, (x, w), allow_unused_input=True)(x, w).sum().backward()
    assert x.grad.tolist() == [2, 2] and w.grad is None


def test_one_backward_before_the_next_call(gpu: str) -> None:
    x = at.ones(2, device=gpu, requires_grad=True)
    graph = make(lambda x: x.exp(), (x,))
    old = graph(x)
    new = graph(x)
    with pytest.raises(at.AutogradError, match="expected one backward for each call, before the next call"):
        old.sum().backward()
    new.sum().backward(retain_graph=True)
    with pytest.raises(at.AutogradError, match="expected one backward for each call"):
        new.sum().backward()
    kept = graph(x)
    square = kept * kept
    graph(x)
    with pytest.raises(at.AutogradError, match="changed|modified"):
        square.sum().backward()
    with pytest.raises(at.AutogradError, match="got one that was changed in place; change a clone"):
        graph(x).add_(1).sum().backward()


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda g, x: g(), at.ArgumentError, "expected 1 arguments, got 0"),
        (lambda g, x: g(x=x), at.ArgumentError, "expected positional arguments alone, got x"),
        (lambda g, x: g(3.0), at.ArgumentError, "expected a Tensor as argument 0, got float"),
        (lambda g, x: g(x.cpu()), at.DeviceError, r"expected argument 0 as it was captured, cuda:0, got cpu"),
        (lambda g, x: g(x[:1]), at.ShapeError, r"expected argument 0 as it was captured, \(2,\), got \(1,\)"),
        (lambda g, x: g(x.double()), at.DTypeError, "expected argument 0 as it was captured, .*float32, got .*float64"),
        (lambda g, x: g(x.requires_grad_()), at.AutogradError, "expected argument 0 not to require grad"),
    ],
)
def test_calls_unlike_the_sample(gpu: str, call: Callable[..., Any], kind: type[Exception], text: str) -> None:
    def double(x: at.Tensor) -> at.Tensor:
        return x * 2

    graph = make(double, (at.ones(2, device=gpu),))
    with pytest.raises(kind, match=f"double: {text}"):
        call(graph, at.ones(2, device=gpu))
    assert graph(at.ones(2, device=gpu)).tolist() == [2, 2]


def test_what_cannot_be_captured(gpu: str) -> None:
    x = at.ones(2, device=gpu)
    w = at.ones(2, device=gpu, requires_grad=True)
    with pytest.raises(at.DeviceError, match="expected all tensors on one CUDA device, got argument 1 on cpu"):
        make(lambda x, y: x, (x, at.ones(2)))
    with pytest.raises(at.ArgumentError, match="expected Tensors as arguments, got int for 0"):
        make(lambda n: x * n, (2,))
    with pytest.raises(at.ArgumentError, match="expected results that are Tensors on the CUDA device, got int"):
        make(lambda x: (x, 2), (x,))
    with pytest.raises(at.ArgumentError, match="expected sample_args for each of 2 callables, got 1"):
        make((lambda x: x, lambda x: x), ((x,),))
    with pytest.raises(at.InvalidValueError, match="expected num_warmup_iters >= 1, got 0"):
        make(lambda x: x, (x,), num_warmup_iters=0)
    with pytest.raises(at.AtledError):
        make(lambda x: x * x.sum().item(), (x,))
    assert make(lambda x: x * 2, (x,))(w.detach()).tolist() == [2, 2]


# ---- modules ----


def network(device: str) -> Any:
    nn = pytest.importorskip("atled.nn")
    at.manual_seed(3)
    layers = [nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2)]
    return nn.Sequential(*layers).to(device)


def test_a_module_trains_as_without(gpu: str) -> None:
    plain, fast = network(gpu), network(gpu)
    before = [b.tolist() for b in fast.buffers()]
    assert make(fast, (numbers(6, 4).to(gpu),)) is fast
    assert [b.tolist() for b in fast.buffers()] == before
    for step in range(6):
        x, y = numbers(6, 4, seed=step).to(gpu), numbers(6, 2, seed=step + 50).to(gpu)
        for model in (plain, fast):
            ((model(x) - y) ** 2).mean().backward()
            if step % 2:  # gradients of two steps
                with no_grad():
                    for p in model.parameters():
                        p -= 0.1 * p.grad
                        p.grad = None
    for a, b in zip((*plain.parameters(), *plain.buffers()), (*fast.parameters(), *fast.buffers()), strict=True):
        np.testing.assert_allclose(b.detach().cpu().numpy(), a.detach().cpu().numpy(), rtol=1e-4, atol=1e-6)
    assert sorted(fast.state_dict()) == sorted(plain.state_dict())
    for model in (plain, fast):
        model.eval()
    x = numbers(3, 4).to(gpu)  # eager, so of another shape
    np.testing.assert_allclose(fast(x).detach().cpu().numpy(), plain(x).detach().cpu().numpy(), rtol=1e-4, atol=1e-6)


def test_parameters_that_are_frozen_afterwards(gpu: str) -> None:
    x = at.ones(6, 4, device=gpu)
    plain, fast = network(gpu), make(network(gpu), (x,))
    for model in (plain, fast):
        model[0].weight.requires_grad_(False)
        model(x).exp().sum().backward()
    assert fast[0].weight.grad is None
    for a, b in zip(list(plain.parameters())[1:], list(fast.parameters())[1:], strict=True):
        np.testing.assert_allclose(b.grad.cpu().numpy(), a.grad.cpu().numpy(), rtol=1e-4, atol=1e-5)


def test_hooks(gpu: str) -> None:
    x, calls = at.ones(6, 4, device=gpu), []
    model = network(gpu)
    with (
        model[2].register_forward_hook(lambda *_: None),
        pytest.raises(at.ArgumentError, match="Sequential: expected no hooks on the modules within, .* some on 2"),
    ):
        make(model, (x,))
    handle = model[0].weight.register_hook(lambda g: g * 2)
    with pytest.raises(at.AutogradError, match="expected no hook on parameter 0"):
        make(model, (x,))
    handle.remove()
    model.register_forward_hook(lambda *_: calls.append(1))
    make(model, (x,))
    model[0].weight.register_hook(lambda g: calls.append(2))
    before = list(calls)
    with contextlib.suppress(StopIteration):
        model(x).sum().backward()
    assert calls == [*before, 1, 2]


def test_on_the_second_device(gpu: str) -> None:
    if at.cuda.device_count() < 2:
        pytest.skip("one GPU")
    w = at.ones(3, device="cuda:1", requires_grad=True)
    graph = make(lambda w: w * w, (w,))
    graph(w).sum().backward()
    assert w.grad.tolist() == [2, 2, 2] and at.cuda.current_device() == 0
