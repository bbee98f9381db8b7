"""Bad input: every case has a typed error that says what was expected and what was given, and nothing crashes."""

from collections.abc import Callable
from typing import Any

import pytest

import atled.core as at

ERRORS: dict[type[Exception], Any] = {
    at.OperationError: RuntimeError,
    at.ShapeError: ValueError,
    at.DTypeError: TypeError,
    at.DeviceError: RuntimeError,
    at.BoundsError: IndexError,
    at.ArgumentError: TypeError,
    at.InvalidValueError: ValueError,
    at.NotImplementedOpError: NotImplementedError,
    at.OutOfMemoryError: MemoryError,
    at.ABIError: ImportError,
    at.PluginError: ImportError,
    at.AutogradError: RuntimeError,
    at.FormatError: ValueError,
    at.LinAlgError: (RuntimeError, ValueError),
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_each_error_is_ours_and_the_builtin(error: type[Exception]) -> None:
    assert issubclass(error, at.AtledError)
    builtins = ERRORS[error]
    assert all(issubclass(error, builtin) for builtin in (builtins if isinstance(builtins, tuple) else (builtins,)))
    assert error.__module__ == "atled.core" and error.__doc__


def x() -> at.Tensor:
    return at.ones(3, 4)


def assign(key: Any, value: Any, target: at.Tensor | None = None) -> None:
    (x() if target is None else target)[key] = value


Case = tuple[Callable[[], Any], type[Exception], str]
CASES: dict[str, Case] = {
    # shapes
    "add of shapes that do not broadcast": (lambda: x() + at.ones(5), at.ShapeError, r"add: .*\(3, 4\) and \(5,\)"),
    "matmul": (
        lambda: x() @ at.ones(5, 6),
        at.ShapeError,
        r"matmul: expected input\.shape\[-1\] == other\.shape\[-2\]",
    ),
    "reshape": (lambda: x().reshape(5, 5), at.ShapeError, r"(reshape|view): .*\(5, 5\)"),
    "in-place with a larger operand": (lambda: at.ones(4).add_(x()), at.ShapeError, r"add: .*\(3, 4\).*\(4,\)"),
    "out= of another shape": (
        lambda: at.add(x(), 1, out=at.ones(4)),
        at.ShapeError,
        r"add: expected out of shape \(3, 4\)",
    ),
    "cat": (lambda: at.cat([x(), at.ones(2, 5)]), at.ShapeError, "cat: expected shapes that agree but for dim 0"),
    "too many dimensions": (lambda: at.ones(*[1] * 65), at.ShapeError, "ones: expected at most 64 dimensions"),
    "a triangle of too many elements": (
        lambda: at.tril_indices(2**40, 2**40),
        at.ShapeError,
        "tril_indices: expected a matrix of fewer elements",
    ),
    "negative size": (lambda: at.zeros(-1), at.ShapeError, "zeros: expected sizes >= 0"),
    "ragged list": (lambda: at.tensor([[1, 2], [3]]), at.ShapeError, "tensor: expected"),
    "sum with a product that it is larger than": (
        lambda: at.addr(at.ones(2, 1, 4), at.ones(3), at.ones(4)),
        at.ShapeError,
        r"^addr: expected input to broadcast to shape \(3, 4\), got \(2, 1, 4\)",
    ),
    "input that does not count": (
        lambda: at.addbmm(x(), at.ones(2, 3, 1), at.ones(2, 1, 5), beta=0),
        at.ShapeError,
        r"^addbmm: expected input to broadcast to shape \(3, 5\)",
    ),
    # dtypes
    "in-place that would lose the fraction": (
        lambda: at.ones(3, dtype=at.int32).add_(0.5),
        at.DTypeError,
        "add: .*int32",
    ),
    "out= of a lower kind": (
        lambda: at.exp(at.ones(3), out=at.ones(3, dtype=at.int64)),
        at.DTypeError,
        "exp: expected out",
    ),
    "bitwise on floats": (lambda: x() & x(), at.DTypeError, "bitwise_and: expected integers or bool, got float32"),
    "order of complex numbers": (lambda: at.tensor([1j]) < 1, at.DTypeError, "lt: .*no order"),
    "mean of integers": (lambda: at.arange(3).mean(), at.DTypeError, "mean: expected input to be floating, got int64"),
    "default dtype": (lambda: at.set_default_dtype(at.int32), at.DTypeError, "set_default_dtype: .*got int32"),
    "dtype that is none": (lambda: at.ones(3, dtype="float33"), at.ArgumentError, "ones: expected dtype to be dtype"),
    # bounds
    "index": (lambda: x()[3], at.BoundsError, r"index: expected an index for dim 0 in \[-3, 3\), got 3"),
    "negative index": (lambda: x()[-4], at.BoundsError, "got -4"),
    "too many indices": (lambda: x()[0, 0, 0], at.BoundsError, "index"),
    "index tensor": (lambda: x()[at.tensor([0, 7])], at.BoundsError, "index: .*got 7"),
    "mask of another shape": (lambda: x()[at.ones(4, dtype=at.bool)], at.BoundsError, "index"),
    "float index": (lambda: x()[1.5], at.BoundsError, "index: expected integers, slices, .*, got float"),
    "string index": (lambda: x()["a"], at.BoundsError, "got str"),
    "slice of step 0": (lambda: x()[::0], ValueError, "slice step cannot be zero"),
    "size": (lambda: x().size(2), at.BoundsError, r"size: expected dim in \[-2, 1\], got 2"),
    "stride": (lambda: x().stride(dim=-3), at.BoundsError, r"stride: expected dim in \[-2, 1\], got -3"),
    "axis": (lambda: x().sum(2), at.BoundsError, r"sum: expected dim in \[-2, 1\], got 2"),
    "repeated axis": (lambda: x().sum((0, 0)), at.InvalidValueError, "sum: "),
    "gather": (lambda: x().gather(1, at.tensor([[9]])), at.BoundsError, "gather: .*got 9"),
    "as_strided outside": (lambda: x().as_strided((5, 5), (4, 1)), at.BoundsError, "as_strided: "),
    "assignment outside": (lambda: assign(3, 1.0), at.BoundsError, "got 3"),
    "assignment that does not broadcast": (lambda: assign(0, at.ones(3)), at.ShapeError, r"\(4,\).*\(3,\)"),
    # arguments
    "unknown argument": (
        lambda: at.exp(x(), colour=1),
        at.ArgumentError,
        r"exp: got an unexpected argument colour; .*exp\(",
    ),
    "missing argument": (lambda: at.add(x()), at.ArgumentError, "add: missing argument other"),
    "too many": (lambda: at.exp(x(), 1), at.ArgumentError, "exp: expected at most 1 positional arguments, got 2"),
    "twice": (lambda: at.exp(x(), input=x()), at.ArgumentError, "exp: got several values for argument input"),
    "list for tensor": (
        lambda: at.exp([1.0]),
        at.ArgumentError,
        "exp: expected input to be Tensor, got list; make a tensor",
    ),
    "None for tensor": (lambda: at.exp(None), at.ArgumentError, "exp: expected input to be Tensor, got NoneType"),
    "string for int": (lambda: x().unsqueeze("0"), at.ArgumentError, "unsqueeze: expected dim to be int, got str"),
    "float for int": (lambda: x().unsqueeze(0.5), at.ArgumentError, "unsqueeze: expected dim to be int, got float"),
    "bool for int": (lambda: x().unsqueeze(True), at.ArgumentError, "^unsqueeze: expected dim to be int, got bool"),
    "bool among sizes": (lambda: at.zeros((2, True)), at.ArgumentError, "^zeros: expected size"),
    "complex number for a real one": (
        lambda: at.scalar_tensor(1j, dtype=at.float32),
        at.DTypeError,
        "^scalar_tensor: expected a real number for float32",
    ),
    "number for tensors": (lambda: at.block_diag(1), at.ArgumentError, "expected tensors to be Tensor"),
    "numbers for tensors": (lambda: at.meshgrid(2, 3), at.ArgumentError, "expected tensors to be Tensor"),
    "huge int": (
        lambda: x().unsqueeze(2**70),
        at.InvalidValueError,
        "^unsqueeze: expected dim to be an integer that fits 64 bits",
    ),
    "no out form": (lambda: at.transpose(x(), 0, 1, out=x()), at.ArgumentError, "transpose: has no out= form"),
    "out is no tensor": (lambda: at.exp(x(), out=[1]), at.ArgumentError, "exp: expected out to be a Tensor, got list"),
    "two numbers": (lambda: at.add(1, 2), at.ArgumentError, "add: expected a Tensor among the arguments"),
    "operand of a foreign type": (lambda: x() + "text", TypeError, "unsupported operand|expected"),
    # values
    "step 0": (lambda: at.arange(0, 5, 0), at.InvalidValueError, "arange: expected a step other than 0"),
    "integer division by zero": (
        lambda: at.arange(3) // 0,
        at.InvalidValueError,
        "floor_divide: .*divisor other than 0",
    ),
    "negative integer power": (
        lambda: at.arange(3) ** -1,
        at.InvalidValueError,
        "pow: expected an exponent of at least 0",
    ),
    "several elements as bool": (
        lambda: bool(x()),
        at.InvalidValueError,
        r"bool: expected a tensor of one element.*any\(\)",
    ),
    "several elements as number": (
        lambda: x().item(),
        at.InvalidValueError,
        r"item: expected a tensor of one element.*\(3, 4\)",
    ),
    "float as index": (
        lambda: [1, 2][at.ones(())],
        at.ArgumentError,
        "index: expected a tensor of one integer, got float32",
    ),
    "len of 0-d": (lambda: len(at.ones(())), at.ArgumentError, "len: expected a tensor of at least one dimension"),
    "iteration of 0-d": (
        lambda: list(at.ones(())),
        at.ArgumentError,
        "iter: expected a tensor of at least one dimension",
    ),
    "writing an expanded tensor": (lambda: at.ones(1).expand(3).add_(1), at.InvalidValueError, "share memory"),
    "unknown rounding mode": (lambda: at.div(x(), x(), rounding_mode="up"), at.InvalidValueError, 'div: .*got "up"'),
    # memory
    "more than there is": (lambda: at.empty(2**45), at.OutOfMemoryError, "empty: "),
    "more than can be counted": (lambda: at.empty(2**40, 2**40), at.AtledError, "empty: "),
    # functions made of others: the user's call is named, not what failed inside
    "an op that calls others": (lambda: x().dist(at.ones(5)), at.ShapeError, r"^dist: .* broadcast, got \(3, 4\)"),
    "by way of another": (lambda: at.linalg.norm(x() > 0), at.DTypeError, "^norm: expected .* got bool"),
    "over two levels": (lambda: at.linalg.tensorinv(at.ones(2, 2) > 0, 1), at.DTypeError, "^tensorinv: .*got bool"),
    "of bad indices": (lambda: x().put(at.tensor([12]), at.ones(1)), at.BoundsError, "^put: .*got 12"),
    "of no elements": (lambda: at.ones(0).aminmax(), at.ShapeError, r"^aminmax: expected .* got shape \(0,\)"),
    "that picks an op": (lambda: at.norm(x(), "nuc", (0, 5)), at.BoundsError, "^norm: expected dim"),
    "that picks it by a number": (lambda: at.max(x(), 7), at.BoundsError, r"^max: expected dim in \[-2, 1\], got 7"),
    "method that picks an op": (lambda: x().median("1"), at.ArgumentError, "^median: expected dim to be int, got str"),
    "method written in Python": (
        lambda: x().new_empty_strided((2, 3), (1,)),
        at.ShapeError,
        "^new_empty_strided: expected size and stride of one length",
    ),
    "method by way of another": (lambda: x().map_(at.ones(5), max), at.ShapeError, "^map_: expected .* got"),
    # devices and names
    "unknown device": (lambda: at.ones(2, device="warp"), at.DeviceError, "warp"),
    "malformed device": (lambda: at.device("cpu:x"), at.InvalidValueError, 'expected a device such as .*got "cpu:x"'),
    "device index": (lambda: at.device("cpu:7"), at.DeviceError, "cpu"),
    "unknown attribute": (lambda: x().transmogrify, AttributeError, "transmogrify"),
    "unknown op": (lambda: at.ops.core.transmogrify, AttributeError, "transmogrify"),
    "assignment to a property": (lambda: setattr(x(), "shape", (4, 3)), AttributeError, "shape|writable"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input(name: str) -> None:
    provoke, error, message = CASES[name]
    with pytest.raises(error, match=message) as caught:
        provoke()
    assert len(str(caught.value)) < 500
    # The next call finds nothing of it.
    assert (x() + 1).tolist() == [[2.0] * 4] * 3


def test_a_note_says_what_failed_inside_of_what_was_called() -> None:
    with pytest.raises(at.ShapeError) as caught:
        x().dist(at.ones(5))
    assert caught.value.__notes__ == ["in sub, which dist calls"]
    with pytest.raises(at.ShapeError) as caught:
        x().sub_(at.ones(5))
    assert not hasattr(caught.value, "__notes__")


def test_a_triangle_costs_what_it_holds() -> None:
    """Not the rows that have nothing in it."""
    assert at.triu_indices(2**60, 2).tolist() == [[0, 0, 1], [0, 1, 1]]
    assert at.tril_indices(2, 2**60, -1).tolist() == [[1], [0]]
    assert at.tril_indices(2**60, 3, -(2**63)).shape == (2, 0)


def test_an_error_leaves_the_target_as_it_was() -> None:
    target = at.ones(3, dtype=at.int32)
    with pytest.raises(at.DTypeError):
        target.add_(0.5)
    assert target.tolist() == [1, 1, 1]


def test_an_exception_in_a_python_kernel_travels_through() -> None:
    op = at._core.define_op("errors_test::fails(Tensor input) -> Tensor", "Fails on purpose.")

    def kernel(input: at.Tensor) -> at.Tensor:
        raise LookupError("from the kernel")

    at._core.add_kernel(op, "any", kernel)
    with pytest.raises(LookupError, match="from the kernel"):
        op(x())


def test_a_python_kernel_that_returns_nonsense() -> None:
    op = at._core.define_op("errors_test::nonsense(Tensor input) -> Tensor", "Returns no tensor.")
    at._core.add_kernel(op, "any", lambda input: "text")
    with pytest.raises(at.AtledError, match="expected the Python kernel to return Tensor, got str"):
        op(x())


@pytest.mark.parametrize(
    "schema",
    [
        "",
        "f",
        "ns::f(",
        "ns::f()",
        "ns::f(Tensor) -> Tensor",
        "ns::f(Tenso x) -> Tensor",
        "ns::f(int x=) -> Tensor",
        "::",
    ],
)
def test_schemas_that_do_not_parse(schema: str) -> None:
    with pytest.raises(at.InvalidValueError, match="schema|expected"):
        at._core.define_op(schema)


def test_an_op_cannot_be_defined_twice() -> None:
    at._core.define_op("errors_test::twice(Tensor input) -> Tensor")
    with pytest.raises(at.PluginError, match=r"errors_test::twice is defined already"):
        at._core.define_op("errors_test::twice(Tensor input) -> Tensor")


def test_an_op_without_a_kernel() -> None:
    op = at._core.define_op("errors_test::empty(Tensor input) -> Tensor")
    with pytest.raises(at.NotImplementedOpError, match="empty: .* device cpu, but there is none; load"):
        op(x())
