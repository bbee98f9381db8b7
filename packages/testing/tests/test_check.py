"""The checker catches kernels that are wrong on purpose, each in another way, and passes the right one."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.testing import ErrorCase, OpSpec, Sample, _check, check_errors, check_op, specs

Call = Callable[..., Any]
ADD = specs.find("core")["add"]


class Corrupted:
    """An op whose calls go through a function that spoils them."""

    def __init__(self, op: Any, call: Call) -> None:
        self._op, self._call = op, call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._op, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(self._op, *args, **kwargs)


def dense(x: at.Tensor) -> at.Tensor:
    """What a kernel sees that takes every tensor for a row-major one."""
    strides = [int(np.prod(x.shape[i + 1 :])) for i in range(x.ndim)]
    try:
        return x.as_strided(x.shape, strides)
    except at.AtledError:
        return x


def inaccurate(op: Call, *args: Any, **kwargs: Any) -> Any:
    result = op(*args, **kwargs)
    return result.mul_(1 + 1e-6) if result.dtype == at.float32 else result


def wrong_dtype(op: Call, *args: Any, **kwargs: Any) -> Any:
    return op(*args, **kwargs).to(at.float64)


def wrong_shape(op: Call, *args: Any, **kwargs: Any) -> Any:
    result = op(*args, **kwargs)
    return result.unsqueeze(0) if "out" not in kwargs else result


def changes_its_argument(op: Call, *args: Any, **kwargs: Any) -> Any:
    result = op(*args, **kwargs)
    if "out" not in kwargs and isinstance(args[0], at.Tensor):
        args[0].fill_(0)
    return result


def ignores_strides(op: Call, *args: Any, **kwargs: Any) -> Any:
    return op(*(dense(a) if isinstance(a, at.Tensor) else a for a in args), **kwargs)


def ignores_offsets_of_out(op: Call, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    if out is not None:
        op(*args, **kwargs, out=dense(out))
        return out
    return op(*args, **kwargs)


def does_not_fill_out(op: Call, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    return op(*args, **kwargs) if out is None else out


def returns_another_tensor(op: Call, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    return op(*args, **kwargs) if out is None else op(*args, **kwargs, out=out).clone()


def writes_before_it_reads(op: Call, *args: Any, out: Any = None, **kwargs: Any) -> Any:
    if out is not None:
        out.fill_(0)
        return op(*args, **kwargs, out=out)
    return op(*args, **kwargs)


def fails_on_nothing(op: Call, *args: Any, **kwargs: Any) -> Any:
    assert all(a.numel() for a in args if isinstance(a, at.Tensor)), "no elements"
    return op(*args, **kwargs)


def loses_nan(op: Call, *args: Any, **kwargs: Any) -> Any:
    result = op(*args, **kwargs)
    zero = at.zeros((), dtype=result.dtype, device=result.device)
    return at.where(result.isnan(), zero, result) if "out" not in kwargs else result


def forgets_the_tail(op: Call, *args: Any, **kwargs: Any) -> Any:
    result = op(*args, **kwargs)
    if result.ndim == 2 and result.shape[1] > 1000:
        result[-1, -1] = 0
    return result


WRONG = [
    inaccurate,
    wrong_dtype,
    wrong_shape,
    changes_its_argument,
    ignores_strides,
    ignores_offsets_of_out,
    does_not_fill_out,
    returns_another_tensor,
    writes_before_it_reads,
    fails_on_nothing,
    loses_nan,
    forgets_the_tail,
]


def corrupt(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    real = ADD.op
    monkeypatch.setattr(OpSpec, "op", property(lambda spec: Corrupted(real, call)))
    inplace = _check._core.inplace_form(real)
    monkeypatch.setattr(_check._core, "inplace_form", lambda op: inplace)


def test_the_right_kernel_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    corrupt(monkeypatch, lambda op, *args, **kwargs: op(*args, **kwargs))
    check_op(ADD, "cpu", "float32")


@pytest.mark.parametrize("call", WRONG, ids=lambda call: call.__name__)
def test_a_wrong_kernel_is_caught(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    corrupt(monkeypatch, call)
    with pytest.raises(AssertionError, match=r"add\(|no elements"):
        check_op(ADD, "cpu", "float32")


@pytest.mark.parametrize(
    "inplace",
    [lambda x, *args, **kwargs: x, lambda x, *args, **kwargs: x.add(*args, **kwargs)],
    ids=["does nothing", "returns a new tensor"],
)
def test_a_wrong_inplace_form_is_caught(inplace: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_check._core, "inplace_form", lambda op: inplace)
    with pytest.raises(AssertionError, match="in place|in-place"):
        check_op(ADD, "cpu", "float32")


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "float16", "bfloat16", "complex64"])
def test_a_wrong_reference_is_caught_in_every_kind_of_dtype(dtype: str) -> None:
    spec = OpSpec(
        name="mul", reference=lambda a, b: np.logical_or(a, b) if a.dtype == bool else a + b, samples=ADD.samples
    )
    with pytest.raises(AssertionError, match=r"mul\("):
        check_op(spec, "cpu", dtype)


def test_a_check_gets_the_arrays_and_the_arguments() -> None:
    seen: list[Any] = []

    def check(outs: Any, x: Any, **kwargs: Any) -> None:
        seen.append((outs[0].dtype.name, x.shape))
        raise AssertionError("the check has a say")

    spec = OpSpec(name="neg", check=check, samples=lambda draw: iter([Sample(draw(3))]))
    with pytest.raises(AssertionError, match="has a say"):
        check_op(spec, "cpu", "bfloat16")
    assert seen == [("bfloat16", (3,))]


def errors(*cases: ErrorCase) -> OpSpec:
    return OpSpec(name="neg", reference=np.negative, samples=lambda draw: iter(()), errors=cases)


def test_an_error_case_that_passes_is_caught() -> None:
    with pytest.raises(AssertionError, match="expected DTypeError, got a result"):
        check_errors(errors(ErrorCase(at.DTypeError, "", np.ones(2))))


def test_an_error_of_another_type_is_caught() -> None:
    with pytest.raises(AssertionError, match=r"expected ShapeError, got DTypeError"):
        check_errors(errors(ErrorCase(at.ShapeError, "", np.ones(2, bool))))


def test_an_error_with_other_words_is_caught() -> None:
    with pytest.raises(AssertionError, match="expected a message like 'complex'"):
        check_errors(errors(ErrorCase(at.DTypeError, "complex", np.ones(2, bool))))


def test_the_right_error_passes() -> None:
    check_errors(errors(ErrorCase(at.DTypeError, "expected numbers, got bool", np.ones(2, bool))))


def test_a_specification_needs_a_reference_or_a_check() -> None:
    with pytest.raises(ValueError, match="expected a reference or else a check"):
        OpSpec(name="neg", samples=lambda draw: iter(()))
