"""Mixed precision: what autocast makes of calls, of gradients, and of what runs again or elsewhere."""

import threading

import numpy as np
import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import amp, autocast, checkpoint, func, no_grad
from atled.autograd.amp import custom_bwd, custom_fwd


def leaf(*shape: int, seed: int = 0) -> at.Tensor:
    return at.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32)).requires_grad_()


def test_products_run_in_the_lower_precision_and_gradients_arrive_in_float32() -> None:
    a, b = leaf(3, 4), leaf(4, 5, seed=1)
    with autocast("cpu"):
        c = a @ b
    rounded = [t.detach().to(at.bfloat16).to(at.float64).numpy() for t in (a, b)]
    assert c.dtype is at.bfloat16
    np.testing.assert_allclose(c.detach().to(at.float64).numpy(), rounded[0] @ rounded[1], rtol=2**-8)
    c.sum().backward()
    assert a.grad is not None and a.grad.dtype is at.float32
    expected = np.broadcast_to(rounded[1].sum(1), (3, 4))
    np.testing.assert_allclose(a.grad.numpy(), expected, rtol=2**-7)


@pytest.mark.parametrize("dtype", [at.float16, at.bfloat16], ids=lambda dtype: dtype.name)
def test_policies(dtype: at.dtype) -> None:
    half, single, double = at.ones(3, dtype=dtype), at.ones(3), at.ones(3, dtype=at.float64)
    whole = at.zeros(3, dtype=at.int64)
    with autocast("cpu", dtype=dtype):
        assert (single @ single).dtype is dtype
        assert at.dot(single, half).dtype is at.float32
        assert at.mm(single[None], single[:, None]).dtype is dtype
        assert at.einsum("ij,jk", single[None], half[:, None]).dtype is dtype  # by what it calls
        assert at.exp(half).dtype is at.softmax(half, 0).dtype is at.sum(half).dtype is at.float32
        assert (half**2).dtype is at.float32
        assert (half + half).dtype is at.relu(half).dtype is dtype
        assert at.zeros(3).scatter_add(0, at.arange(3), half).dtype is at.float32
        # What the caller has chosen stays.
        assert at.sum(half, dtype=dtype).dtype is dtype
        assert at.exp(half, out=at.empty(3, dtype=dtype)).dtype is dtype
        assert half.exp_().dtype is dtype
        assert at.mm(double[None], double[:, None]).dtype is at.float64
        assert at.mm(whole[None], whole[:, None]).dtype is at.int64
    assert at.mm(single[None], single[:, None]).dtype is at.float32


def test_float16_does_not_overflow_where_float32_is_asked_for() -> None:
    x = at.full((1000,), 300.0, dtype=at.float16)
    with autocast("cpu", dtype=at.float16):
        assert at.sum(x).item() == 300_000 and (x * 1).square().sum().item() == 9e7


def test_it_nests_and_is_the_threads_own() -> None:
    x = at.ones(2, 2)
    seen: list[at.dtype] = []
    with autocast("cpu"):
        with autocast("cpu", enabled=False):
            assert at.mm(x, x).dtype is at.float32 and not amp.is_autocast_enabled("cpu")
        with autocast("cpu", dtype=at.float16):
            assert at.mm(x, x).dtype is amp.get_autocast_dtype("cpu") is at.float16
        with autocast("cuda"):
            assert at.mm(x, x).dtype is at.bfloat16 and amp.is_autocast_enabled()
        assert at.mm(x, x).dtype is at.bfloat16 and not amp.is_autocast_enabled("cuda")
        thread = threading.Thread(target=lambda: seen.append(at.mm(x, x).dtype))
        thread.start()
        thread.join()
    assert seen == [at.float32] and amp.get_autocast_dtype("cuda") is at.float16

    @autocast("cpu")
    def product() -> at.Tensor:
        return at.mm(x, x)

    assert product().dtype is at.bfloat16
    with pytest.raises(ZeroDivisionError), autocast("cpu"):
        raise ZeroDivisionError
    assert not amp.is_autocast_enabled("cpu")


def test_leaves_are_converted_once() -> None:
    weight, x = leaf(3, 3), at.ones(3, 3)

    def conversions(cache: bool | None) -> int:
        with autocast("cpu", cache_enabled=cache):
            a, b = at.mm(x, weight), at.mm(x, weight)
        nodes = {n.sequence_number for c in (a, b) for n, _ in c.grad_fn.next_functions if n is not None}
        (a.sum() + b.sum()).backward()
        assert weight.grad is not None
        np.testing.assert_array_equal(weight.grad.numpy(), np.full((3, 3), 6.0))
        weight.grad = None
        return len(nodes)

    assert conversions(None) == 1 and conversions(False) == 2
    with autocast("cpu"):
        before = at.mm(x, weight)
        with no_grad():
            weight.mul_(2)  # an optimizer's step: what was converted is no longer the weight
            assert not at.mm(x, weight).requires_grad
        after = at.mm(x, weight)
    assert after.requires_grad
    np.testing.assert_allclose(after.detach().float().numpy(), 2 * before.detach().float().numpy(), rtol=2**-6)


def test_a_leaf_with_other_memory_is_converted_anew() -> None:
    x, weight = at.ones(2, 2), at.ones(2, 2, requires_grad=True)
    with autocast("cpu"):
        assert at.mm(x, weight)[0, 0].item() == 2
        weight.data = at.full((2, 2), 5.0)
        assert at.mm(x, weight)[0, 0].item() == 10
        weight.data = at.ones(2, 5)
        assert at.mm(x, weight).shape == (2, 5)


def test_blocks_inside_keep_what_was_converted() -> None:
    weight, x = leaf(3, 3), at.ones(3, 3)
    with autocast("cpu"):
        first = at.mm(x, weight)
        with autocast("cpu", enabled=False):
            pass
        second = at.mm(x, weight)
        with no_grad():
            assert not at.mm(x, weight).requires_grad
        third = at.mm(x, weight)
    nodes = [
        {node.sequence_number for node, _ in c.grad_fn.next_functions if node is not None}
        for c in (first, second, third)
    ]
    assert nodes[0] == nodes[1] == nodes[2]


def test_complex_numbers_are_left_alone() -> None:
    a, c = leaf(3, 3).detach(), at.complex(at.ones(3, 3), at.zeros(3, 3))
    with autocast("cpu"):
        mixed = at.matmul(c, a)
    np.testing.assert_array_equal(mixed.numpy(), at.matmul(c, a).numpy())


def test_hooks_of_backward_see_no_autocast() -> None:
    seen: list[object] = []
    x = leaf(2, 2)
    with autocast("cpu"):
        y = at.mm(x, x)
        y.register_hook(lambda g: seen.extend([g.dtype, amp.is_autocast_enabled("cpu"), at.mm(x, x).dtype]))
        y.sum().backward()
        assert at.mm(x, x).dtype is at.bfloat16
    assert seen == [at.bfloat16, False, at.float32]


def test_an_op_without_a_gradient_may_have_a_policy() -> None:
    twice = at.define_op("amp_test::twice(Tensor input) -> Tensor", "For a test.")
    at.add_kernel(twice, "cpu", lambda input: input * 2)
    half = at.ones(2, dtype=at.bfloat16)
    with autocast("cpu"):
        assert twice(half).dtype is at.bfloat16
        autograd.rule.autocast("float32", "amp_test::twice")
        assert twice(half).dtype is at.float32
    with pytest.raises(at.AutogradError, match="no gradient rule is registered"):
        twice(at.ones(2, requires_grad=True))
    autograd.rule.non_differentiable("amp_test::twice")
    assert not twice(at.ones(2, requires_grad=True)).requires_grad


def test_two_backward_runs_share_a_conversion() -> None:
    weight = leaf(2, 2)
    with autocast("cpu"):
        for _ in range(2):
            at.mm(at.ones(2, 2), weight).sum().backward()
    assert weight.grad is not None
    np.testing.assert_array_equal(weight.grad.numpy(), np.full((2, 2), 4.0))


def test_backward_inside_is_as_outside() -> None:
    grads = []
    for inside in (True, False):
        x = leaf(4, 4)
        with autocast("cpu"):
            loss = (at.mm(x, x).exp() * 0.1).sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        assert x.grad is not None and x.grad.dtype is at.float32
        grads.append(x.grad.numpy())
    np.testing.assert_array_equal(*grads)


@pytest.mark.parametrize("inside", [True, False])
def test_a_checkpoint_runs_again_in_the_mode_of_its_first_run(inside: bool) -> None:
    grads = []
    for again in (True, False):
        x, w = leaf(4, 4), leaf(4, 4, seed=1)

        def body(x: at.Tensor, w: at.Tensor = w) -> at.Tensor:
            return at.mm(at.mm(x, w).tanh(), w)

        with autocast("cpu"):
            y = checkpoint.checkpoint(body, x, use_reentrant=False) if again else body(x)
            loss = y.sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        assert w.grad is not None
        grads.append(w.grad.numpy())
    np.testing.assert_array_equal(*grads)


def test_transforms_and_autocast_go_together() -> None:
    x = at.tensor(np.random.default_rng(2).normal(size=(5, 3, 3)).astype(np.float32))
    with autocast("cpu"):
        batched = func.vmap(lambda m: at.mm(m, m))(x)
        one_by_one = at.stack([at.mm(m, m) for m in x])
        gradient = func.grad(lambda m: at.mm(m, m).sum())(x[0])
        _, tangent = func.jvp(lambda m: at.mm(m, m), (x[0],), (x[1],))
    assert batched.dtype is at.bfloat16 and batched.tolist() == one_by_one.tolist()
    assert gradient.dtype is at.float32 and tangent.dtype is at.bfloat16
    m, t = x[0].numpy().astype(np.float64), x[1].numpy().astype(np.float64)
    np.testing.assert_allclose(gradient.numpy(), np.ones((3, 3)) @ m.T + m.T @ np.ones((3, 3)), rtol=0.05, atol=0.05)
    np.testing.assert_allclose(tangent.to(at.float64).numpy(), m @ t + t @ m, rtol=0.05, atol=0.05)


def test_functions_say_what_they_run_in() -> None:
    seen: dict[str, object] = {}

    class Widened(autograd.Function):
        @staticmethod
        @custom_fwd(device_type="cpu", cast_inputs=at.float32)
        def forward(ctx: autograd.FunctionContext, x: at.Tensor) -> at.Tensor:
            seen["forward"] = (x.dtype, at.mm(x, x).dtype)
            ctx.save_for_backward(x)
            return x * 2

        @staticmethod
        @custom_bwd(device_type="cpu")
        def backward(ctx: autograd.FunctionContext, g: at.Tensor) -> at.Tensor:
            (x,) = ctx.saved_tensors
            assert x is not None
            seen["backward"] = at.mm(x, x).dtype
            return g * 2

    class AsFound(Widened):
        @staticmethod
        @custom_fwd(device_type="cpu")
        def forward(ctx: autograd.FunctionContext, x: at.Tensor) -> at.Tensor:
            seen["forward"] = (x.dtype, at.mm(x, x).dtype)
            ctx.save_for_backward(x)
            return x * 2

    x = at.ones(2, 2, dtype=at.bfloat16, requires_grad=True)
    with autocast("cpu"):
        y = Widened.apply(x)
    y.sum().backward()
    assert seen == {"forward": (at.float32, at.float32), "backward": at.float32}
    assert x.grad is not None and x.grad.dtype is at.bfloat16
    x = at.ones(2, 2, requires_grad=True)
    with autocast("cpu"):
        y = AsFound.apply(x)
    y.sum().backward()
    assert seen == {"forward": (at.float32, at.bfloat16), "backward": at.bfloat16}


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(at.DTypeError, match="expected dtype float16 or bfloat16, got float32"):
        autocast("cpu", dtype=at.float32)
    with pytest.raises(at.DeviceError, match="nowhere"):
        autocast("nowhere")
    with pytest.raises(at.DeviceError, match="expected a device type with numbers"):
        autocast("meta")
    with pytest.raises(at.ArgumentError, match="expected device_type to be a string"):
        autocast(at.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected 'lower', 'float32' or 'widest'"):
        autograd.rule.autocast("half", "core::exp")
    assert amp.is_autocast_available("cpu") and not amp.is_autocast_available("nowhere")


def test_core_has_the_names() -> None:
    assert at.amp.autocast is autocast
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        at.amp.nothing  # noqa: B018


def test_older_names_are_for_cuda() -> None:
    modes: list[bool] = []

    class Asks(autograd.Function):
        @staticmethod
        @at.cuda.amp.custom_fwd(cast_inputs=at.float32)
        def forward(ctx: autograd.FunctionContext, x: at.Tensor) -> at.Tensor:
            modes.append(amp.is_autocast_enabled("cuda"))
            return x.clone()

        @staticmethod
        @at.cuda.amp.custom_bwd
        def backward(ctx: autograd.FunctionContext, grad: at.Tensor) -> at.Tensor:
            modes.append(amp.is_autocast_enabled("cuda"))
            return grad

    with at.cuda.amp.autocast():
        assert amp.is_autocast_enabled("cuda") and not amp.is_autocast_enabled("cpu")
        assert amp.get_autocast_dtype("cuda") is at.float16
        Asks.apply(leaf(2)).sum().backward()
        with at.cuda.amp.autocast(enabled=False):
            assert not amp.is_autocast_enabled("cuda")
    assert modes == [False, False]
    with at.cuda.amp.autocast(dtype=at.bfloat16):
        assert amp.get_autocast_dtype("cuda") is at.bfloat16
