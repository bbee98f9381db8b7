"""The checker itself."""

from typing import Any

import pytest

import atled.core as at
from atled.autograd import Function, GradcheckError, gradcheck, gradgradcheck


def leaf(*values: complex, dtype: at.dtype = at.float64) -> at.Tensor:
    return at.tensor(list(values), dtype=dtype, requires_grad=True)


def wrong(factor: float, argument: int = 0) -> Any:
    class Wrong(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor, y: at.Tensor) -> at.Tensor:
            ctx.save_for_backward(x, y)
            return x * y

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> Any:
            x, y = ctx.saved_tensors
            gradients = [g * y, g * x]
            gradients[argument] = gradients[argument] * factor
            return tuple(gradients)

    return Wrong.apply


@pytest.mark.parametrize("factor", [1.01, -1.0, 0.0])
@pytest.mark.parametrize("argument", [0, 1])
def test_names_the_wrong_argument(factor: float, argument: int) -> None:
    with pytest.raises(
        GradcheckError, match=rf"the gradient of input {argument} \(shape \(2,\), float64\) is wrong: .* the tape says"
    ):
        gradcheck(wrong(factor, argument), (leaf(1, 2), leaf(3, 4)))


def test_a_right_one_passes() -> None:
    assert gradcheck(wrong(1.0), (leaf(1, 2), leaf(3, 4)))


def test_a_missing_conjugate_is_caught() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> Any:
            return g * 2 * ctx.saved_tensors[0]

    assert gradcheck(Square.apply, leaf(1, 2))
    assert not gradcheck(Square.apply, leaf(1 + 2j, 2 - 1j, dtype=at.complex128), raise_exception=False)


def test_a_wrong_second_derivative_is_caught() -> None:
    def half(x: at.Tensor) -> at.Tensor:
        return x * x.detach() + x.detach() * x - x.detach() * x.detach()

    assert gradcheck(lambda x: x * x, leaf(1, 2))
    assert not gradgradcheck(half, leaf(1, 2), raise_exception=False)


def test_a_result_that_is_not_recorded_must_be_constant() -> None:
    assert gradcheck(at.floor, leaf(0.5, 1.5))
    with pytest.raises(GradcheckError, match="is wrong"):
        gradcheck(lambda x: (x * 2, x.detach() * 3), leaf(1, 2))


def test_what_is_checked() -> None:
    with pytest.raises(at.InvalidValueError, match="expected at least one input that requires grad"):
        gradcheck(at.sin, at.ones(2, dtype=at.float64))
    with pytest.raises(
        at.DTypeError,
        match="expected inputs of float64 or complex128, whose finite differences are exact enough, got float32",
    ):
        gradcheck(at.sin, leaf(1, dtype=at.float32))


def test_results_that_differ_from_run_to_run() -> None:
    calls = []

    class Noisy(Function):
        @staticmethod
        def forward(ctx: Any, x: at.Tensor) -> at.Tensor:
            return x * 1

        @staticmethod
        def backward(ctx: Any, g: at.Tensor) -> Any:
            calls.append(0)
            return g * (1 + 1e-9 * len(calls))

    with pytest.raises(GradcheckError, match="differs from run to run"):
        gradcheck(Noisy.apply, leaf(1, 2))
