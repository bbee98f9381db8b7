"""Tensors without data: which ops need it, and what the others check all the same."""

import pytest

import atled.core as at
from atled.core import _core
from atled.testing import Sample, specs
from atled.testing._check import _call_arguments, _without_data

# Their results depend on elements, for all or some arguments.
NEED_DATA = {
    *("nonzero", "nonzero_static", "masked_select", "masked_scatter", "index", "repeat_interleave", "repeat_indices"),
    *("unique_all", "unique_values", "unique_counts", "unique_inverse", "unique_dim", "unique_consecutive_all"),
    *("equal", "allclose", "bincount", "histc", "histogram", "istft"),
}


def needs_data(op: _core.Op, sample: Sample) -> bool:
    args, kwargs = _call_arguments(sample, "cpu", _without_data)
    if "factory" in op.traits:
        return False
    try:
        op(*args, **kwargs)
    except at.DeviceError:
        return True
    return False


def test_only_these_ops_need_data() -> None:
    found = set()
    for name, spec in specs.find("core").items():
        dtype = "float32" if "float32" in spec.dtypes else spec.dtypes[0]
        if spec.reference is not None and any(needs_data(spec.op, sample) for sample in spec.draw(dtype)):
            found.add(name)
    assert found == NEED_DATA


def test_what_needs_data_says_so() -> None:
    x = at.empty(3, device="meta")
    with pytest.raises(at.DeviceError, match="nonzero: expected tensors with data, on which the result depends"):
        x.nonzero()
    with pytest.raises(at.DeviceError, match="index: expected masks with data"):
        x[x > 0]
    with pytest.raises(at.DeviceError, match="item: a meta tensor has no data"):
        x[0].item()


def test_shapes_are_checked_without_data() -> None:
    x = at.empty(2, 3, 4, device="meta")
    i = at.empty(5, dtype=at.int64, device="meta")
    assert x[i].shape == (5, 3, 4) and x[:, i, i].shape == (2, 5) and x[i, :, i[:, None]].shape == (5, 5, 3)
    assert x[:, None, i].shape == (2, 1, 5, 4) and x[1, :, i].shape == (3, 5)
    x[0] = at.empty(4, device="meta")
    x[i] = 3.0
    x[x > 0] = 0
    with pytest.raises(at.ShapeError, match=r"expected other to broadcast to input's shape \(3, 4\), got \(5,\)"):
        x[0] = at.empty(5, device="meta")
    with pytest.raises(at.ShapeError, match=r"copy_: expected other to broadcast .* \(2, 3, 4\), got \(2,\)"):
        x.copy_(at.empty(2, device="meta"))
    with pytest.raises(at.ShapeError, match=r"expected indices that broadcast, got \(5,\) and \(2,\)"):
        x[i, i[:2]]
    with pytest.raises(at.BoundsError, match="index tensor of integers or bool, got float32"):
        x[at.empty(5, device="meta")]


def test_what_is_written_is_nowhere() -> None:
    x = at.empty(2, 3, device="meta")
    assert x.uniform_() is x and x.normal_(0, 1) is x and x.fill_(1).zero_().add_(x).shape == (2, 3)
    assert x._version > 3


def test_the_numbers_of_setitem_match_those_with_data() -> None:
    for key in ((0,), (slice(None), 1), (..., slice(0, 2))):
        with_data, without = at.zeros(2, 3, 4), at.empty(2, 3, 4, device="meta")
        assert with_data[key].shape == without[key].shape
