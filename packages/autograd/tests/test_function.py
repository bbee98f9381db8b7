"""Function: steps with gradients of their own."""

import gc
import importlib
import weakref
from typing import Any

import pytest

import atled.autograd as autograd
import atled.core as at
from atled.autograd import Function, gradcheck, gradgradcheck


def leaf(*values: float) -> at.Tensor:
    return at.tensor(list(values), dtype=at.float64, requires_grad=True)


class Product(Function):
    @staticmethod
    def forward(ctx: Any, x: at.Tensor, y: at.Tensor, power: int) -> at.Tensor:
        ctx.save_for_backward(x, y)
        ctx.power = power
        return x * y**power

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> Any:
        x, y = ctx.saved_tensors
        first = g * y**ctx.power if ctx.needs_input_grad[0] else None
        return first, g * x * ctx.power * y ** (ctx.power - 1), None


class Exp(Function):
    @staticmethod
    def forward(x: at.Tensor) -> at.Tensor:
        return x.exp()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx: Any, g: at.Tensor) -> Any:
        (out,) = ctx.saved_tensors
        return g * out


def test_first_and_second_order() -> None:
    x, y = leaf(1.5, -2), leaf(0.5, 3)
    assert gradcheck(lambda x, y: Product.apply(x, y, 3), (x, y))
    assert gradgradcheck(lambda x, y: Product.apply(x, y, 3), (x, y))
    assert gradgradcheck(Exp.apply, x)


def test_third_order_through_a_saved_output() -> None:
    x = leaf(0.5)
    y = Exp.apply(x)
    for _ in range(3):
        (y,) = autograd.grad(y, x, create_graph=True)
    assert y.item() == pytest.approx(at.tensor(0.5, dtype=at.float64).exp().item(), rel=1e-14)


def test_only_what_is_needed() -> None:
    x, y = at.ones(2, dtype=at.float64), leaf(1, 2)
    out = Product.apply(x, y, 2)
    assert out.grad_fn.name() == "ProductBackward"
    assert [node is not None for node, _ in out.grad_fn.next_functions] == [False, True]
    out.sum().backward()
    assert y.grad.tolist() == [2, 4]
    assert not Product.apply(x, x, 2).requires_grad
    with autograd.no_grad():
        assert not Product.apply(x, y, 2).requires_grad


def test_no_call_in_forward_is_recorded() -> None:
    seen = []

    class Look(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            seen.append(((x * 2).requires_grad, autograd.is_grad_enabled()))
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
            seen.append(autograd.is_grad_enabled())
            return g * 2

    Look.apply(leaf(1)).backward()
    assert seen == [(False, False), False]


def test_several_results() -> None:
    class Split(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> Any:
            low = x < 0
            ctx.mark_non_differentiable(low)
            return x * 2, low, "text", x * 3

        @staticmethod
        def backward(ctx: Any, g2: Any, g_low: Any, g_text: Any, g3: Any) -> Any:
            return g2 * 2 + g3 * 3

    x = leaf(1, -1)
    double, low, text, triple = Split.apply(x)
    assert text == "text" and not low.requires_grad and triple.requires_grad
    double.sum().backward()
    assert x.grad.tolist() == [2, 2]


def test_undefined_gradients_can_stay_none() -> None:
    class Two(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> Any:
            ctx.set_materialize_grads(False)
            return x * 1, x * 2

        @staticmethod
        def backward(ctx: Any, a: Any, b: Any) -> Any:
            assert a is None
            return b * 2

    x = leaf(3)
    Two.apply(x)[1].backward()
    assert x.grad.item() == 2


def test_dirty_arguments() -> None:
    class Double(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
            return g * 2

    x = leaf(1, 2)
    y = x * 3
    z = Double.apply(y)
    assert z is y
    z.sum().backward()
    assert x.grad.tolist() == [6, 6]
    with pytest.raises(at.AutogradError, match="Double: a leaf that requires grad was marked dirty"):
        Double.apply(leaf(1))


def test_an_argument_handed_back() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            return x

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
            return g * 7

    x = leaf(1)
    y = Same.apply(x)
    assert y is not x and x.is_leaf
    y.backward()
    assert x.grad.item() == 7


def test_mistakes() -> None:
    class Wrong(Function):
        answer: Any = ()

        @staticmethod
        def forward(ctx: Any, x: at.Tensor, n: int) -> at.Tensor:
            return x * n

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> Any:
            return Wrong.answer

    x = leaf(1, 2)
    for answer, message in (
        ((x.detach(),), "Wrong.backward: expected 2 gradients, one for each argument of forward, got 1"),
        ((x.detach(), x.detach()), "Wrong.backward: expected None for argument 1, which is no tensor"),
        (
            (at.ones(3), None),
            r"Wrong: expected a gradient that broadcasting could have made from shape \(2,\), got \(3,\)",
        ),
    ):
        Wrong.answer = answer
        with pytest.raises(at.AutogradError, match=message):
            Wrong.apply(x, 2).sum().backward()


def test_saved_tensors_are_watched_and_freed() -> None:
    x, y = leaf(1, 2), leaf(3, 4)
    middle = x * 1
    out = Product.apply(middle, y, 2)
    middle.add_(1)
    with pytest.raises(at.AutogradError, match=r"^Product: its gradient needs a tensor of shape \(2,\) as it was"):
        out.sum().backward()
    out = Product.apply(x, y, 2)
    out.sum().backward()
    with pytest.raises(at.AutogradError, match="Product: its saved tensors were freed by an earlier backward"):
        out.sum().backward()


def test_no_cycle_keeps_a_graph_alive() -> None:
    gc.disable()
    try:
        x = leaf(1, 2)
        out = Exp.apply(x)
        gone = weakref.ref(out)
        del out
        assert gone() is None
    finally:
        gc.enable()


def test_a_python_error_in_backward_travels() -> None:
    class Broken(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> at.Tensor:
            raise LookupError("of mine")

    with pytest.raises(LookupError, match="of mine"):
        Broken.apply(leaf(1)).backward()


def test_a_backward_that_is_differentiable_once() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor, factor: float) -> at.Tensor:
            ctx.save_for_backward(x)
            ctx.factor = factor
            return x * x * factor

        @staticmethod
        @autograd.once_differentiable
        def backward(ctx: Any, g: at.Tensor) -> Any:
            assert not autograd.is_grad_enabled()
            return 2 * ctx.factor * g * ctx.saved_tensors[0], None

    x = leaf(3)
    (first,) = autograd.grad(Square.apply(x, 2.0) ** 2, x, create_graph=True)
    assert first.item() == 2 * 18 * 12
    with pytest.raises(at.AutogradError, match="Square: its backward is marked once_differentiable"):
        first.backward()
    Square.apply(x, 2.0).backward()
    assert x.grad.item() == 12


def test_pytorchs_module_has_what_is_public_here() -> None:
    module = importlib.import_module("atled.autograd.function")
    assert autograd.function is module
    assert (module.Function, module.FunctionCtx) == (Function, autograd.FunctionContext)
    assert module.once_differentiable is autograd.once_differentiable


def test_results_without_a_gradient() -> None:
    class Top(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> Any:
            values, indices = x.sort()
            ctx.mark_non_differentiable(indices, mask := values > 0)
            scaled = values * 2
            ctx.mark_non_differentiable(indices, mask, scaled)
            ctx.save_for_backward(indices)
            return values, indices, mask, scaled

        @staticmethod
        def backward(ctx: Any, g: at.Tensor, *others: Any) -> at.Tensor:
            assert all(other.eq(0).all().item() for other in others)  # zeros stand for what has no gradient
            (indices,) = ctx.saved_tensors
            return at.zeros_like(g).scatter(0, indices, g)

    x = leaf(3, -1)
    values, indices, mask, scaled = Top.apply(x)
    assert values.requires_grad and not (indices.requires_grad or mask.requires_grad or scaled.requires_grad)
    (values * at.tensor([10.0, 20.0], dtype=at.float64)).sum().backward()
    assert x.grad.tolist() == [20, 10]


def test_which_arguments_need_a_gradient_is_known_in_forward_and_backward() -> None:
    seen: list[Any] = []

    class Add(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor, name: str, y: at.Tensor) -> at.Tensor:
            seen.append(ctx.needs_input_grad)
            return x + y

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> Any:
            seen.append(ctx.needs_input_grad)
            return g, None, None

    Add.apply(leaf(1), "name", at.ones(1)).backward()
    assert seen == [(True, False, False)] * 2
    with autograd.no_grad():
        assert not Add.apply(leaf(1), "name", at.ones(1)).requires_grad
