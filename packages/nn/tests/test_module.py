"""Module: registration, state dicts, conversions, hooks and the printed form."""

from __future__ import annotations

import copy
import importlib
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled import nn
from atled.core import _core


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.scale = nn.Parameter(at.ones(1))
        self.register_buffer("table", at.arange(3.0))
        self.register_buffer("scratch", at.zeros(2), persistent=False)

    def forward(self, x: Any) -> Any:
        return self.norm(self.first(x)) * self.scale


KEYS = [
    "scale",
    "table",
    "first.weight",
    "first.bias",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
]


def test_an_attribute_may_become_a_module_or_a_parameter() -> None:
    block = Block()
    block.extra = block.last = None
    block.extra, block.last = nn.Linear(2, 2), nn.Parameter(at.ones(1))
    assert {"extra", "first"} <= set(dict(block.named_children())) and "last" in block.state_dict()
    with pytest.raises(KeyError, match="attribute 'training' exists already; assign to it, or delete it first"):
        block.register_module("training", nn.ReLU())


def test_what_is_registered_may_be_changed_by_pytorchs_private_names() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.BatchNorm1d(2))
    for name, child in model._modules.items():
        if isinstance(child, nn.ReLU):
            model._modules[name] = nn.Tanh()
    assert isinstance(model[1], nn.Tanh)
    weight = model[0]._parameters.pop("weight")
    model[0].weight = weight * 2  # no parameter now
    model[0]._parameters["other"] = weight
    assert [name for name, _ in model[0].named_parameters()] == ["bias", "other"]
    model[2]._buffers["running_mean"] = at.ones(2)
    assert model[2].running_mean.tolist() == [1, 1]
    model._modules.clear()
    assert len(model) == 0 and not hasattr(model, "0")
    model.register_forward_hook(lambda module, args, output: 1 / 0)
    model._forward_hooks.clear()
    assert model(3) == 3


def test_what_belongs_to_a_module() -> None:
    block = Block()
    assert list(dict(block.named_parameters())) == ["scale", "first.weight", "first.bias", "norm.weight", "norm.bias"]
    assert [name for name, _ in block.named_children()] == ["first", "norm"]
    assert [name for name, _ in block.named_modules()] == ["", "first", "norm"]
    assert "scratch" in dict(block.named_buffers())
    assert block.get_parameter("first.weight") is block.first.weight
    assert block.get_submodule("norm") is block.norm
    with pytest.raises(AttributeError, match="no parameter 'missing'"):
        block.get_parameter("first.missing")


def test_shared_parameters_count_once() -> None:
    block = Block()
    block.second = nn.Linear(3, 4)
    block.second.weight = block.first.weight
    assert len(list(block.parameters())) == 6
    assert len(list(block.named_parameters(remove_duplicate=False))) == 7
    moved = block.double()
    assert moved.second.weight is moved.first.weight
    assert moved.first.weight.dtype == at.float64


def test_conversions_keep_the_parameters() -> None:
    pytest.importorskip("atled.autograd")
    block = Block()
    before = list(block.parameters())
    weight = block.first.weight
    block.first(at.ones(2, 3)).sum().backward()
    block.to(at.float64)
    assert all(a is b for a, b in zip(before, block.parameters(), strict=True))
    assert weight.dtype == weight.grad.dtype == at.float64 and weight.requires_grad
    weight.grad = None
    block.first(at.ones(2, 3, dtype=at.float64)).sum().backward()
    assert weight.grad.dtype == at.float64 and weight.grad.tolist() == [[2, 2, 2]] * 4


def test_assignments_are_checked() -> None:
    block = Block()
    with pytest.raises(TypeError, match="'scale' to be a Parameter or None, got Tensor"):
        block.scale = at.ones(1)
    with pytest.raises(TypeError, match="'norm' to be a Module or None, got int"):
        block.norm = 3
    block.table = at.zeros(3)
    assert "table" in dict(block.named_buffers())
    block.norm = None
    assert "norm" not in dict(block.named_children())
    with pytest.raises(KeyError, match="not to be empty nor to contain"):
        block.register_buffer("a.b", None)
    with pytest.raises(KeyError, match="exists already"):
        block.register_buffer("forward", None)

    class Forgetful(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Identity()

    with pytest.raises(AttributeError, match=re.escape("super().__init__()")):
        Forgetful()


def test_state_dict_has_pytorchs_keys_and_shares_memory() -> None:
    block = Block()
    state = block.state_dict()
    assert list(state) == KEYS
    assert type(state["scale"]) is at.Tensor
    state["scale"].fill_(5)
    assert block.scale.item() == 5


def test_load_state_dict_copies_and_assigns() -> None:
    source, target = Block(), Block()
    weight = target.first.weight
    assert repr(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert target.first.weight is weight
    np.testing.assert_array_equal(weight.tolist(), source.first.weight.tolist())
    other = {**source.state_dict(), "first.weight": at.zeros(4, 3)}
    target.load_state_dict(other, assign=True)
    assert target.first.weight is not weight
    assert isinstance(target.first.weight, nn.Parameter)
    assert target.first.weight.shares_storage(other["first.weight"])


def test_pytorchs_module_has_what_is_public_here() -> None:
    module = importlib.import_module("atled.nn.parameter")
    assert nn.parameter is module and module.__all__
    assert all(getattr(module, name) is getattr(nn, name) for name in module.__all__)


def test_batch_norms_keep_their_count_where_a_state_dict_has_none() -> None:
    model = nn.Sequential(nn.BatchNorm1d(2))
    model(at.ones(3, 2))
    state = model.state_dict()
    del state["0.num_batches_tracked"]
    assert not any(model.load_state_dict(state)) and model[0].num_batches_tracked.item() == 1
    with at.device("meta"):
        bare = nn.BatchNorm1d(2)
    bare.load_state_dict({key[2:]: value for key, value in state.items()}, assign=True)
    assert bare.num_batches_tracked.item() == 0
    assert not nn.InstanceNorm1d(2, affine=True).load_state_dict(nn.InstanceNorm1d(2, affine=True).state_dict())[0]


def test_load_state_dict_lists_everything_and_changes_nothing() -> None:
    block = Block()
    state = {key: value.clone() + 1 for key, value in block.state_dict().items()}
    before = block.first.bias.tolist()
    del state["norm.bias"]
    state["extra"] = at.zeros(1)
    state["first.weight"] = at.zeros(4, 2)
    with pytest.raises(nn.StateDictError) as caught:
        block.load_state_dict(state)
    message = str(caught.value)
    assert "unexpected keys: extra" in message
    assert "missing keys: norm.bias" in message
    assert "size mismatch for first.weight: expected (4, 3), got (4, 2)" in message
    assert isinstance(caught.value, RuntimeError)
    assert block.first.bias.tolist() == before
    state["first.weight"] = at.zeros(4, 3)
    assert block.load_state_dict(state, strict=False) == (["norm.bias"], ["extra"])
    for wrong, match in ((None, "to be a mapping, got NoneType"), ({0: at.ones(1)}, "names as keys, got the key 0")):
        with pytest.raises(at.ArgumentError, match=f"^load_state_dict: expected .*{match}"):
            block.load_state_dict(wrong)


def test_train_and_eval_reach_everything() -> None:
    block = Block().eval()
    assert not block.training and not block.norm.training
    assert block.train().norm.training
    with pytest.raises(ValueError, match="mode to be a bool"):
        block.train(1)  # type: ignore[arg-type]


def test_to_converts_floats_only() -> None:
    block = Block().to(at.float64)
    assert block.scale.dtype == at.float64
    assert block.norm.num_batches_tracked.dtype == at.int64
    assert block.half().first.weight.dtype == at.float16
    with pytest.raises(at.DTypeError, match="floating or complex"):
        block.to(at.int32)


def test_sharing_memory_between_processes() -> None:
    from atled.core.multiprocessing import Pipe

    block = Block()
    names, before = list(block.state_dict()), [id(p) for p in block.parameters()]
    assert block.share_memory() is block
    assert list(block.state_dict()) == names and [id(p) for p in block.parameters()] == before
    assert all(tensor.is_shared() for tensor in (*block.parameters(), *block.buffers()))
    ours, theirs = Pipe()
    theirs.send(block)
    received = ours.recv()
    received.norm.running_mean.fill_(3)
    assert block.norm.running_mean.tolist() == [3.0] * 4
    assert type(received.scale) is nn.Parameter


def test_pytorchs_ways_to_spread_a_module() -> None:
    layer, x = nn.Linear(3, 2).requires_grad_(False), at.ones(4, 3)
    model = nn.DataParallel(layer)
    assert isinstance(model, nn.parallel.DataParallel) and next(iter(model.state_dict())) == "module.weight"
    for found in (model(x), nn.parallel.data_parallel(layer, x), nn.parallel.data_parallel(layer, (x,))):
        np.testing.assert_array_equal(found.numpy(), layer(x).numpy())
    with pytest.raises(
        at.InvalidValueError, match=r"DataParallel: expected one device, got \[0, 1\]; use atled.distri"
    ):
        nn.DataParallel(layer, device_ids=[0, 1])
    with pytest.raises(at.NotImplementedOpError, match=r"cudnn: expected enabled=True"):
        nn.backends.cudnn.enabled = False


def test_memory_formats() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).requires_grad_(False)
    expected = model.eval()(at.ones(1, 2, 5, 5))
    model.to(at.float64, memory_format=at.channels_last)
    weight, x = model[0].weight, at.ones(1, 2, 5, 5, dtype=at.float64).contiguous(memory_format=at.channels_last)
    assert weight.is_contiguous(memory_format=at.channels_last) and not weight.is_contiguous()
    volume = nn.utils.convert_conv3d_weight_memory_format(nn.Sequential(nn.Conv3d(2, 2, 2)), at.channels_last_3d)
    assert volume[0].weight.is_contiguous(memory_format=at.channels_last_3d)
    np.testing.assert_allclose(model(x).numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


def test_a_module_without_memory() -> None:
    pytest.importorskip("atled.autograd")
    with at.device("meta"):
        block = Block()
    assert {p.device.type for p in (*block.parameters(), *block.buffers())} == {"meta"}
    weight = block.first.weight
    assert block.to_empty(device="cpu").first.weight is weight and weight.device.type == "cpu" and weight.requires_grad
    block.load_state_dict(Block().state_dict())
    with pytest.raises(ValueError, match="recurse=True"):
        block.to_empty(device="cpu", recurse=False)


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    Block().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "BatchNorm1d", "Block"]


def test_hooks_run_in_order_and_can_be_removed() -> None:
    calls: list[str] = []
    layer = nn.Identity()
    before = layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    after = layer.register_forward_hook(lambda module, args, output: output * 10)
    layer.register_forward_hook(lambda module, args, output: calls.append("first"), prepend=True)
    layer.register_forward_hook(lambda module, args, kwargs, output: calls.append("kwargs"), with_kwargs=True)
    assert layer(at.tensor(1.0)).item() == 20
    assert calls == ["first", "kwargs"]
    before.remove()
    after.remove()
    after.remove()
    assert layer(at.tensor(1.0)).item() == 1


class Counted(nn.Linear):
    """Keeps a number in its state, and knows an old name of its weight."""

    count, _version = 0, 2

    def get_extra_state(self) -> Any:
        return {"count": self.count}

    def set_extra_state(self, state: Any) -> None:
        self.count = state["count"]

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: Any, *rest: Any) -> None:
        if f"{prefix}w" in state and metadata["version"] == 2:
            state[f"{prefix}weight"] = state.pop(f"{prefix}w")
        super()._load_from_state_dict(state, prefix, metadata, *rest)


def test_state_dicts_pass_hooks_and_methods() -> None:
    model, calls = nn.Sequential(Counted(1, 1)), list[Any]()
    model[0].count = 3
    model.register_state_dict_pre_hook(lambda module, prefix, keep_vars: calls.append((prefix, keep_vars)))
    model[0].register_state_dict_post_hook(lambda module, state, prefix, _: state.update({f"{prefix}note": 1}))
    state = model.state_dict()
    assert list(state) == ["0.weight", "0.bias", "0._extra_state", "0.note"] and calls == [("", False)]
    state["0.w"] = state.pop("0.weight") + 1
    other = nn.Sequential(Counted(1, 1))
    with pytest.raises(nn.StateDictError, match="unexpected keys: 0.note"):
        other.load_state_dict(state)
    assert other[0].count == 0
    with other.register_load_state_dict_pre_hook(lambda module, state, prefix, *_: state.pop("0.note")):
        assert not any(other.load_state_dict(state))
    assert other[0].count == 3 and other[0].weight.item() == model[0].weight.item() + 1
    other.register_load_state_dict_post_hook(lambda module, keys: keys.unexpected_keys.remove("0.note"))
    assert not any(other.load_state_dict(state)) and "0.note" in state


def test_always_called_hooks_run_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self) -> None:
            raise ValueError("broken")

    calls: list[Any] = []
    layer = Broken()
    layer.register_forward_hook(lambda module, args, output: calls.append(output), always_call=True)
    with pytest.raises(ValueError, match="broken"):
        layer()
    assert calls == [None]


def test_copies_are_independent() -> None:
    block = Block()
    twin = copy.deepcopy(block)
    twin.scale.data_ptr()
    nn.init.zeros_(twin.scale)
    assert block.scale.item() == 1
    assert isinstance(twin.scale, nn.Parameter)


def test_printed_form() -> None:
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ModuleList([nn.ReLU()]), nn.Dropout(0.2))
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1))\n"
        "  (1): ModuleList(\n"
        "    (0): ReLU()\n"
        "  )\n"
        "  (2): Dropout(p=0.2, inplace=False)\n"
        ")"
    )
    blocks = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.ModuleList(), nn.ReLU()])
    assert repr(blocks) == "ModuleList(\n  (0-1): 2 x ReLU()\n  (2): ModuleList()\n  (3): ReLU()\n)"


def test_containers() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    model.append(nn.Linear(3, 1))
    assert len(model) == 3 and isinstance(model[-1], nn.Linear) and len(model[:2]) == 2
    model.insert(1, nn.Tanh())
    assert [type(m).__name__ for m in model] == ["Linear", "Tanh", "ReLU", "Linear"]
    del model[1]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    named = nn.Sequential({"a": nn.ReLU(), "b": nn.Tanh()})
    assert isinstance(named.b, nn.Tanh)
    table = nn.ModuleDict({"x": nn.ReLU()})
    table["y"] = nn.Tanh()
    assert list(table) == ["x", "y"] and "x" in table and len(table) == 2
    values = nn.ParameterList([at.ones(1), at.zeros(2)])
    assert [name for name, _ in values.named_parameters()] == ["0", "1"]
    assert list(nn.ParameterDict({"p": at.ones(1)}).state_dict()) == ["p"]
    with pytest.raises(IndexError, match="expected an index"):
        model[7]


def test_summary() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(18, 4))
    model[4].requires_grad_(False)
    assert str(nn.summary(model, at.zeros(1, 1, 5, 5))) == (
        "Layer              Output shape  Parameters\n"
        "-------------------------------------------\n"
        "Sequential         (1, 4)                 0\n"
        "  0 (Conv2d)       (1, 2, 3, 3)          20\n"
        "  1 (BatchNorm2d)  (1, 2, 3, 3)           4\n"
        "  2 (ReLU)         (1, 2, 3, 3)           0\n"
        "  3 (Flatten)      (1, 18)                0\n"
        "  4 (Linear)       (1, 4)                76\n"
        "-------------------------------------------\n"
        "Parameters: 100 (24 trainable, 76 frozen)\n"
        "Memory: 400 B parameters, 24 B buffers, 100 B input, 304 B outputs"
    )
    assert model.training and not model[0]._hooks.after


def test_registering_over_something_of_another_kind() -> None:
    layer = nn.Linear(2, 2)
    layer.plain = 1  # type: ignore[assignment]
    for call in (
        lambda: layer.register_buffer("weight", at.ones(1)),
        lambda: layer.register_module("bias", nn.ReLU()),
        lambda: layer.register_parameter("plain", None),
    ):
        with pytest.raises(KeyError, match="exists already"):
            call()
    layer.register_parameter("weight", nn.Parameter(at.ones(2, 2)))
    assert layer.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_a_parameter_is_printed_as_one() -> None:
    assert str(nn.Parameter(at.ones(1))).startswith("Parameter containing:\n")


def test_sums_of_lists_of_modules() -> None:
    one, two = nn.ReLU(), nn.Tanh()
    listed = nn.ModuleList([one]) + nn.ModuleList([two])
    assert isinstance(listed, nn.ModuleList) and list(listed) == [one, two]
    chained = nn.Sequential(one) + nn.Sequential(two)
    assert isinstance(chained, nn.Sequential) and list(chained) == [one, two]
    listed += [one]
    assert list(listed) == [one, two, one] and list(listed._modules) == ["0", "1", "2"]


def test_a_compiled_module_is_itself() -> None:
    net = nn.Sequential(nn.Linear(64, 256), nn.SiLU(), nn.Linear(256, 64))
    x = at.randn(300, 64)
    expected, keys = net(x), list(net.state_dict())
    net.compile()
    assert at.equal(net(x), expected)
    assert at.equal(copy.deepcopy(net)(x), expected)
    assert at.equal(pickle.loads(pickle.dumps(net))(x), expected)
    other = nn.Sequential(nn.Linear(64, 256), nn.SiLU(), nn.Linear(256, 64))
    other.load_state_dict(net.state_dict())
    whole = nn.Sequential(at.compile(other, mode="max-autotune"), nn.Flatten())
    assert whole[0] is other and at.equal(whole(x), expected)
    assert [*net.state_dict()] == keys and len([*whole.parameters()]) == 4
    with pytest.raises(at.InvalidValueError, match="mode"):
        net.compile(mode="fast")
    with pytest.raises(TypeError, match="speed"):
        net.compile(speed=9)
    before = _core._fusion_counts()
    net(at.randn(3000, 64))
    during = _core._fusion_counts()
    net.compile(disable=True)
    net(at.randn(3000, 64))
    assert before < during == _core._fusion_counts()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(2, 3)(None), "linear: expected input to be Tensor, got NoneType"),
        (lambda: nn.Linear(2, 3)(), r"Linear: missing a required argument: 'input'; it takes \(input\)"),
        (lambda: nn.Linear(2, 3)(at.ones(2), 1), "Linear: too many positional arguments"),
        (lambda: nn.Sequential(nn.Conv2d(1, 2, 3))(np.ones((1, 1, 4, 4))), "conv2d: .* got ndarray; make a tensor"),
        (lambda: nn.GRU(2, 3)("x"), r"GRU: expected input to be Tensor \| PackedSequence, got 'x'"),
        (lambda: nn.MultiheadAttention(4, 2)(None, at.ones(2, 4), at.ones(2, 4)), "MultiheadAttention: expected query"),
        (lambda: nn.BCELoss()(at.ones(2), None), "binary_cross_entropy: expected target to be Tensor, got None"),
        (lambda: nn.Conv1d("1", 2, 3), "Conv1d: expected in_channels to be int, got '1'"),
        (lambda: nn.Dropout(None), "Dropout: expected p to be float, got None"),
        (lambda: nn.LSTM(2, 3, num_layers=[1]), r"LSTM: expected num_layers to be int, got \[1\]"),
        (lambda: nn.Embedding.from_pretrained(None), "from_pretrained: expected embeddings to be Tensor, got None"),
        (lambda: nn.Linear(True, 3), "Linear: expected in_features to be int, got True"),
        (lambda: nn.Conv1d(at.zeros(0), 2, 3), "Conv1d: expected in_channels to be int, got Tensor"),
        (lambda: nn.init.ones_(np.zeros(2)), "init: expected tensor to be Tensor, got ndarray"),
        (lambda: nn.Linear(2, 3).get_submodule(None), "get_submodule: expected target to be str, got None"),
    ],
)
def test_a_bad_argument_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(at.ArgumentError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Linear(-1, 3), at.ShapeError, r"Linear: expected sizes >= 0, got \(3, -1\)"),
        (lambda: nn.Conv2d(2, 2, (1, 2, 3)), at.InvalidValueError, "Conv2d: kernel_size: expected one int or 2"),
        (
            lambda: nn.functional.adaptive_avg_pool2d(at.tensor(1.0), None),
            at.ShapeError,
            "another number of dimensions",
        ),
        (
            lambda: nn.functional.kl_div(at.tensor(1.0), at.tensor(1.0), reduction="batchmean"),
            at.ShapeError,
            "kl_div: ",
        ),
        (lambda: nn.MultiheadAttention(4, 2)(*[at.tensor(1.0)] * 3), at.ShapeError, "MultiheadAttention: .* query of"),
        (lambda: nn.Embedding.from_pretrained(at.ones(3)), at.ShapeError, r"embeddings of shape \(3,\)"),
        (
            lambda: nn.init.dirac_(at.ones(2, 2, 3), 0),
            at.InvalidValueError,
            "groups to be a number other than 0, got 0",
        ),
        (lambda: nn.init.trunc_normal_(at.ones(2), std=0), at.InvalidValueError, "std to be a number other than 0"),
    ],
)
def test_a_bad_value_is_named(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_errors_of_a_users_own_module_stay() -> None:
    class Doubled(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.size = size // 2

        def forward(self, x: at.Tensor) -> at.Tensor:
            return x.nothing  # type: ignore[attr-defined, no-any-return]

    with pytest.raises(AttributeError, match="nothing"):
        Doubled(2)(at.ones(2))
    with pytest.raises(AttributeError, match="'int' object has no attribute 'nothing'"):
        Doubled(2)(3)
    with pytest.raises(TypeError, match="unsupported operand"):
        Doubled("a")  # type: ignore[arg-type]


def test_a_mistake_in_a_layer_of_the_users_is_told_as_it_is() -> None:
    class Head(nn.Module):
        def forward(self, batch: dict[str, at.Tensor]) -> at.Tensor:
            return batch["image"]

    with pytest.raises(KeyError, match="image"):
        nn.Sequential(Head())({"images": at.ones(2)})  # type: ignore[arg-type]
