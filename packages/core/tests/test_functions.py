"""Functions that are no ops: dtypes, defaults, settings, questions about tensors."""

import pickle
import threading

import numpy as np
import pytest

import atled.core as at
from atled.testing import ALL

FLOATS = ("float16", "float32", "float64")


@pytest.mark.parametrize("name", FLOATS)
def test_finfo_is_numpys(name: str) -> None:
    ours, numpys = at.finfo(getattr(at, name)), np.finfo(name)
    for field in ("bits", "eps", "max", "min", "smallest_normal", "tiny"):
        assert getattr(ours, field) == float(getattr(numpys, field)), field
    assert ours.resolution == pytest.approx(float(numpys.resolution), rel=1e-3)
    assert ours.dtype == getattr(at, name)


def test_finfo_of_other_things() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    ours, theirs = at.finfo(at.bfloat16), ml_dtypes.finfo("bfloat16")
    assert (ours.eps, ours.max, ours.tiny, ours.bits) == (
        *(float(theirs.eps), float(theirs.max), float(theirs.tiny), theirs.bits),
    )
    assert at.finfo(at.complex128).dtype == at.float64
    assert at.finfo(at.ones(1)).dtype == at.finfo().dtype == at.float32
    with pytest.raises(at.DTypeError, match="finfo: expected a floating-point or complex dtype, got int8; use iinfo"):
        at.finfo(at.int8)
    assert str(at.finfo(at.float32)).startswith("finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38")


@pytest.mark.parametrize("name", [d for d in ALL if "int" in d])
def test_iinfo_is_numpys(name: str) -> None:
    ours, numpys = at.iinfo(getattr(at, name)), np.iinfo(name)
    assert (ours.bits, ours.min, ours.max) == (numpys.bits, numpys.min, numpys.max)


def test_iinfo_refuses_others() -> None:
    with pytest.raises(at.DTypeError, match="iinfo: expected an integer dtype, got bool; use finfo"):
        at.iinfo(at.bool)
    with pytest.raises(at.ArgumentError, match="iinfo: expected a dtype or a tensor, got str"):
        at.iinfo("int8")  # type: ignore[arg-type]


def test_kinds_of_dtypes() -> None:
    assert at.isdtype(at.bfloat16, "real floating") and at.isdtype(at.uint16, "numeric")
    assert not at.isdtype(at.bool, "numeric") and at.isdtype(at.bool, ("integral", "bool"))
    assert at.isdtype(at.int8, at.int8) and not at.isdtype(at.int8, (at.int16, "bool"))
    with pytest.raises(at.InvalidValueError, match="isdtype: expected a dtype or a kind among bool, .* got 'float'"):
        at.isdtype(at.int8, "float")


def test_result_type_takes_numbers_weakly() -> None:
    x = at.ones(2, dtype=at.int8)
    assert at.result_type(x, 300) == at.int8
    assert at.result_type(x, 1.5) == at.float32
    assert at.result_type(1, at.float16, True) == at.float16
    assert at.result_type(at.float64, 1j) == at.complex128
    assert at.result_type(1, 2.0) == at.float32 and at.result_type(True) == at.bool
    with pytest.raises(at.DTypeError, match="promote_types: expected dtypes with a common dtype, got uint64 and int8"):
        at.promote_types(at.uint64, at.int8)
    with pytest.raises(at.ArgumentError, match="result_type: expected at least one"):
        at.result_type()


def test_can_cast_keeps_kinds() -> None:
    # As torch.can_cast answers.
    yes = [(at.int64, at.int8), (at.float64, at.float16), (at.bool, at.uint8), (at.int8, at.uint8)]
    no = [(at.int64, at.bool), (at.complex64, at.float32), (at.float32, at.int64)]
    assert all(at.can_cast(a, b) for a, b in yes) and not any(at.can_cast(a, b) for a, b in no)


def test_broadcast_shapes() -> None:
    for shapes in ([(2, 1), (3,)], [(), (4,)], [(0, 1), (1, 5)], [3, (2, 1)], []):
        assert at.broadcast_shapes(*shapes) == np.broadcast_shapes(*shapes)
    with pytest.raises(at.ShapeError, match=r"broadcast_shapes: expected shapes that broadcast, got \(2,\), \(3,\)"):
        at.broadcast_shapes((2,), (3,))


def test_questions_about_tensors() -> None:
    x = at.ones(2, 3)
    assert at.is_tensor(x) and not at.is_tensor(1)
    assert at.is_floating_point(x) and not at.is_complex(x) and at.is_signed(x) and at.numel(x) == 6
    assert at.get_device(x) == -1 and at.get_device_module("cpu") is at
    assert at.is_nonzero(at.tensor([2])) and not at.is_nonzero(at.tensor(0.0))
    with pytest.raises(at.InvalidValueError, match=r"is_nonzero: expected a tensor of one element, got shape \(2, 3\)"):
        at.is_nonzero(x)
    with pytest.raises(at.ArgumentError, match="numel: expected input to be Tensor, got int"):
        at.numel(3)  # type: ignore[arg-type]


def test_as_tensor_shares() -> None:
    a = np.ones(3)
    assert at.as_tensor(a).data_ptr() == a.ctypes.data
    x = at.ones(3)
    assert at.as_tensor(x) is x and at.as_tensor(x, at.float64).dtype == at.float64
    assert at.from_dlpack(at.to_dlpack(x)).data_ptr() == x.data_ptr()


def test_empty_permuted() -> None:
    x = at.empty_permuted((2, 3, 5), (2, 0, 1), dtype=at.int8)
    assert x.shape == (2, 3, 5) and x.permute(2, 0, 1).is_contiguous() and x.dtype == at.int8
    with pytest.raises(at.InvalidValueError, match="physical_layout to hold each of 0 to 1 once"):
        at.empty_permuted((2, 3), (1, 1))


def test_a_device_as_the_default_of_factories() -> None:
    assert str(at.get_default_device()) == "cpu"
    with at.device("meta"):
        made = [at.ones(2), at.arange(3), at.tensor([1.0]), at.asarray([1]), at.rand(2), at.full((2,), 1), at.eye(2)]
        assert all(t.is_meta for t in made)
        assert at.ones(2, device="cpu").new_zeros(2).device.type == "cpu"
        assert at.from_numpy(np.ones(2)).device.type == "cpu"
        assert at.asarray(at.ones(2, device="cpu")).device.type == "cpu"
        with at.device("cpu"):
            assert at.ones(2).device.type == "cpu"
        assert str(at.get_default_device()) == "meta"
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(str(at.ones(1).device)))
        thread.start()
        thread.join()
        assert seen == ["cpu"]
    assert str(at.get_default_device()) == "cpu"


def test_set_default_device() -> None:
    at.set_default_device("meta")
    try:
        assert at.zeros(3).is_meta
    finally:
        at.set_default_device(None)
    assert not at.zeros(3).is_meta
    with pytest.raises(at.DeviceError, match="'nowhere' is provided by no installed"):
        at.set_default_device("nowhere")
    with pytest.raises(at.ArgumentError, match="set_default_device: expected a device or its name, got float"):
        at.set_default_device(1.5)  # type: ignore[arg-type]


def test_an_error_leaves_the_default_device_as_it_was() -> None:
    with pytest.raises(at.ShapeError), at.device("meta"):
        at.ones(-1)
    assert str(at.get_default_device()) == "cpu"


def test_subnormal_numbers_can_be_flushed_on_every_thread() -> None:
    tiny = at.full((1 << 20,), 1e-40)
    if not at.set_flush_denormal(True):
        pytest.skip("the processor cannot")
    try:
        assert (tiny * 1).any().item() is False
    finally:
        at.set_flush_denormal(False)
    assert (tiny * 1).all().item() is True


def test_settings_are_kept() -> None:
    assert at.get_float32_matmul_precision() == "highest"
    at.set_float32_matmul_precision("high")
    assert at.get_float32_matmul_precision() == "high" and at.backends.cuda.matmul.allow_tf32
    at.backends.cuda.matmul.allow_tf32 = False
    assert at.get_float32_matmul_precision() == "highest"
    with pytest.raises(at.InvalidValueError, match="one of highest, high, medium, got 'low'"):
        at.set_float32_matmul_precision("low")
    at.backends.cuda.enable_flash_sdp(False)
    assert at.backends.cuda.flash_sdp_enabled() and at.backends.cuda.math_sdp_enabled()
    at.use_deterministic_algorithms(True, warn_only=True)
    assert at.are_deterministic_algorithms_enabled() and at.is_deterministic_algorithms_warn_only_enabled()
    at.use_deterministic_algorithms(False)
    assert not at.are_deterministic_algorithms_enabled()
    assert not at.is_deterministic_algorithms_warn_only_enabled()


def test_the_state_of_the_default_generator() -> None:
    at.manual_seed(7)
    assert at.initial_seed() == 7
    state = at.get_rng_state()
    assert state.dtype == at.uint8
    first = at.rand(5).tolist()
    at.set_rng_state(pickle.loads(pickle.dumps(state)))
    assert at.rand(5).tolist() == first
    assert at.seed() == at.initial_seed()
    with pytest.raises(at.ArgumentError, match="expected a uint8 tensor of shape"):
        at.set_rng_state(at.ones(16))


def test_functions_with_other_signatures_than_their_ops() -> None:
    x = at.tensor([[0, 1], [2, 0]])
    assert [t.tolist() for t in x.nonzero(as_tuple=True)] == [[0, 1], [1, 0]]
    assert at.nonzero(at.tensor(3), as_tuple=True)[0].tolist() == [0]
    assert at.repeat(at.tensor([1, 2]), at.tensor([2, 1])).tolist() == [1, 1, 2]
    assert at.repeat(x, 2, axis=1).shape == (2, 4)
    a, b = np.arange(24.0).reshape(2, 3, 4), np.arange(12.0).reshape(4, 3)
    for axes in (1, ([2], [0]), ([1, 2], [1, 0]), (2, 0)):
        expected = np.tensordot(a, b, axes) if axes != 1 else np.tensordot(a, b, 1)
        np.testing.assert_array_equal(at.tensordot(at.tensor(a), at.tensor(b), axes).numpy(), expected)
    assert at.tensordot(at.ones(2, 3), at.ones(3), axes=1).tolist() == [3, 3]
    with pytest.raises(at.ArgumentError, match="two lists of ints"):
        at.tensordot(at.ones(2), at.ones(2), ([0],))


def test_numbers_in_tensors() -> None:
    two, half = at.tensor(2), at.tensor(0.5)
    assert at.arange(two).tolist() == [0, 1] and at.arange(0, at.tensor(4), two).tolist() == [0, 2]
    assert at.linspace(0, half, 2).tolist() == [0.0, 0.5]
    assert at.full((2,), at.tensor(True)).dtype == at.bool and at.full((1,), at.tensor(1j)).tolist() == [1j]
    x = at.ones(2)
    assert x.add(x, alpha=half).tolist() == [1.5, 1.5] and x.norm(two).item() == at.norm(x).item()
    assert x.nan_to_num(half).tolist() == [1.0, 1.0] and x.std(correction=at.tensor(0)).item() == 0
    with pytest.raises(at.ArgumentError, match="arange: expected start to be Scalar, got Tensor"):
        at.arange(at.ones(1))
    with pytest.raises(at.DeviceError):
        at.arange(at.empty((), device="meta"))
    with pytest.raises(at.InvalidValueError, match="full: expected fill_value to be an integer that fits 64"):
        at.full((1,), 10**30)


def test_another_librarys_tensor_is_named_in_full() -> None:
    tensor = type("Tensor", (), {"__module__": "other"})
    with pytest.raises(at.ArgumentError, match="exp: expected input to be Tensor, got other.Tensor"):
        at.exp(tensor())
