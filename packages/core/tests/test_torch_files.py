"""PyTorch's files: read as PyTorch reads them, and safe whatever is in them. data/make_torch_files.py made some."""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import atled.core as at
from atled.core._formats import archive as archives
from atled.testing import ALL, numpy_dtype, to_numpy

DATA = Path(__file__).parent / "data"


def values(dtype: str) -> Any:
    real = np.arange(6.0).reshape(2, 3)
    return (real + 1j * (real + 1) if dtype.startswith("complex") else real).astype(numpy_dtype(dtype))


def check(tensor: at.Tensor, expected: Any) -> None:
    assert tuple(tensor.shape) == expected.shape
    np.testing.assert_array_equal(to_numpy(tensor), expected)


@pytest.fixture(params=[False, True], ids=["read", "mapped"])
def tensors(request: pytest.FixtureRequest) -> Any:
    return at.load(DATA / "tensors.pt", mmap=request.param)


@pytest.mark.parametrize("dtype", ALL)
def test_every_dtype(tensors: Any, dtype: str) -> None:
    assert tensors["dtypes"][dtype].dtype.name == dtype
    check(tensors["dtypes"][dtype], values(dtype))


def test_views_share_their_storage(tensors: Any) -> None:
    base = np.arange(24, dtype=np.float32).reshape(4, 6)
    views = tensors["views"]
    expected = {
        "base": base,
        "row": base[2],
        "transposed": base.T,
        "strided": base[1::2, ::3],
        "expanded": np.zeros(5, np.float32),
    }
    assert views.keys() == expected.keys()
    for name, array in expected.items():
        check(views[name], array)
        assert views[name].shares_storage(views["base"])
    assert views["strided"].stride() == (12, 3)
    views["base"][3, 3] = -1.0
    assert views["strided"][1, 1].item() == -1.0


def test_odd_tensors(tensors: Any) -> None:
    check(tensors["scalar"], np.array(7))
    check(tensors["empty"], np.zeros((0, 3)))
    check(tensors["channels_last"], np.arange(24.0).reshape(1, 2, 3, 4))
    assert tensors["channels_last"].stride() == (24, 1, 8, 2)
    z = values("complex64")
    check(tensors["conj"], z.conj())
    check(tensors["imag"], z.imag)
    check(tensors["neg"], -z.imag)
    check(tensors["parameter"], np.full(2, 0.5, np.float32))


def test_what_a_training_script_saves() -> None:
    state = at.load(DATA / "training.pth")
    model = state["model"]
    assert isinstance(model, OrderedDict)
    shapes = {"conv.weight": (2, 1, 3, 3), "conv.bias": (2,), "norm.weight": (2,), "tied.weight": (2, 2)}
    for name, shape in shapes.items():
        check(model[name], (np.arange(np.prod(shape), dtype=np.float32) / 8).reshape(shape))
    assert model["norm.num_batches_tracked"].item() == 0
    assert model._metadata["norm"] == {"version": 2}  # type: ignore[attr-defined]
    optimizer = state["optimizer"]
    assert list(optimizer["state"]) == [0, 1, 2, 3, 4, 5]
    check(optimizer["state"][0]["exp_avg"], np.full((2, 1, 3, 3), 0.5, np.float32))
    check(optimizer["state"][0]["exp_avg_sq"], np.full((2, 1, 3, 3), 0.25, np.float32))
    assert optimizer["state"][5]["step"].item() == 1.0
    (group,) = optimizer["param_groups"]
    assert (group["betas"], group["params"], group["foreach"]) == ((0.5, 0.75), [0, 1, 2, 3, 4, 5], None)
    assert state["scheduler"]["base_lrs"] == [0.0]
    expected = [1, -(2**40), 2**80, 0.1, 1j, "é", b"\x00\xff", None, True, (1, (2,)), {3, 4}, bytearray(b"ab")]
    assert state["plain"] == expected
    assert list(map(type, state["plain"])) == list(map(type, expected))
    assert state["names"] == {"dtype": at.bfloat16, "size": (2, 3), "device": "cuda:1"}
    assert state["keys"] == {1: "int", (1, "a"): "tuple", None: "none"}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("legacy.pt", "before PyTorch 1.6"),
        ("module.pt", "names torch.nn.modules.linear.Linear, which is neither"),
        ("program.pt", "TorchScript program"),
    ],
)
def test_files_that_are_not_read(file: str, message: str) -> None:
    with pytest.raises(at.FormatError, match=message) as caught:
        at.load(DATA / file)
    assert file in str(caught.value)


def test_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(at.ArgumentError, match="read and not written"):
        at.save({"x": at.ones(1)}, tmp_path / "x.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("weights_only", [True, False])
def test_no_code_is_run_whatever_weights_only_says(weights_only: bool) -> None:
    at.load(DATA / "tensors.pt", weights_only=weights_only)
    with pytest.raises(at.FormatError):
        at.load(DATA / "module.pt", weights_only=weights_only)


# ---- forged files ----


def forge(content: bytes, records: dict[str, bytes] | None = None, **extra: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        for name, record in (records or {}).items():
            archive.writestr(f"archive/data/{name}", record)
        for name, record in extra.items():
            archive.writestr(f"archive/{name}", record)
    return file.getvalue()


def read(content: bytes) -> Any:
    return at.load(io.BytesIO(content), format=".pt")


class Call:
    """Pickles as a call of a name."""

    def __init__(self, name: str, *arguments: Any, state: Any = None) -> None:
        self.name, self.arguments, self.state = name, arguments, state


class Id:
    """Pickles as a persistent id."""

    def __init__(self, *key: Any) -> None:
        self.key = key


def written(value: Any) -> bytes:
    """A small pickler of forgeries: data, names, calls and persistent ids."""
    if isinstance(value, Call):
        module, name = value.name.rsplit(".", 1)
        called = f"c{module}\n{name}\n".encode() + written(value.arguments) + b"R"
        return called if value.state is None else called + written(value.state) + b"b"
    if isinstance(value, Id):
        return written(value.key) + b"Q"
    if isinstance(value, type(Ellipsis)):
        return b"ctorch\nFloatStorage\n"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(written, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(written, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(written(part) for item in value.items() for part in item) + b"u"
    return pickle.dumps(value, protocol=2)[2:-1]


def pickled(value: Any) -> bytes:
    return b"\x80\x02" + written(value) + b"."


STORAGE = Id("storage", ..., "0", "cpu", 4)
FOUR = {"0": np.arange(4, dtype="<f4").tobytes()}


def tensor(*arguments: Any, storage: Any = STORAGE, rest: tuple[Any, ...] = ()) -> Call:
    offset, size, stride = arguments
    return Call("torch._utils._rebuild_tensor_v2", storage, offset, size, stride, False, (), *rest)


def test_a_forgery_that_is_sound() -> None:
    assert read(forge(pickled(tensor(1, (3,), (1,))), FOUR)).tolist() == [1.0, 2.0, 3.0]
    # A storage that no tensor uses, as torch.save(x.untyped_storage()) writes it.
    assert read(forge(pickled(STORAGE), FOUR)).tolist() == [0.0, 1.0, 2.0, 3.0]


def test_the_other_byte_order() -> None:
    records = {"0": np.arange(4, dtype=">f4").tobytes()}
    assert read(forge(pickled(tensor(0, (4,), (1,))), records, byteorder=b"big")).tolist() == [0.0, 1.0, 2.0, 3.0]


def nested(depth: int) -> bytes:
    return b"\x80\x02N" + b"\x85" * depth


ran: list[str] = []
HOSTILE_PICKLES: dict[str, tuple[bytes, str]] = {
    "runs a command": (pickled(Call("os.system", "echo")), "names os.system"),
    "runs code": (pickled(Call("builtins.eval", "1")), "names builtins.eval"),
    "appends to a list of ours": (b"ctest_torch_files\nran\n.", "names test_torch_files.ran"),
    "reaches through a module": (pickled(Call("torch.serialization.os.system", "x")), "names torch.serialization.os"),
    "getattr": (pickled(Call("builtins.getattr", "a", "b")), "names builtins.getattr"),
    "a stack name": (b"\x80\x04\x8c\x02os\x8c\x06systemq\x00\x93)R.", "names os.system"),
    "a name of numbers": (b"\x80\x04K\x01K\x02\x93.", "names 1.2"),
    "an instance": (b"(ios\nsystem\n.", "instruction INST"),
    "an object": (b"(cos\nsystem\no.", "names os.system"),
    "an extension": (b"\x82\x01.", "instruction EXT1"),
    "a persistent id of text": (b"Pname\n.", "instruction PERSID"),
    "calls data": (b"]N\x85R.", "calls what is no function"),
    "calls a dtype": (b"ctorch\nfloat32\n)R.", "calls what is no function"),
    "a function as a value": (b"]c_codecs\nencode\na.", "got the function or class _codecs.encode"),
    "a class as the object": (b"ccollections\nOrderedDict\n.", "got the function or class"),
    "state of a list": (b"]}b.", "expected a OrderedDict"),
    "state with methods": (
        pickled(Call("collections.OrderedDict", state={"items": 1})),
        "but a state_dict's _metadata",
    ),
    "empty": (b"", "pickle exhausted|damaged|end"),
    "no end": (b"\x80\x02N", "damaged|end"),
    "nothing on the stack": (b".", "stack is empty"),
    "a mark as a value": (b"(.", "stack is empty"),
    "a missing mark": (b"t.", "mark is missing"),
    "append to a number": (b"K\x01K\x02a.", "expected a list"),
    "append a list's mark": (b"](a.", "stack is empty"),
    "an odd number of items": (b"}(K\x01u.", "a key has no value"),
    "an unknown memo": (b"h\x05.", "damaged"),
    "a large memo": (b"Nr\xff\xff\xff\xff0j\xff\xff\xff\xfe.", "damaged"),
    "a memo that collides": (b"Np%d\n." % (2**61 - 1), "expected keys"),
    "a long string": (b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.", "damaged"),
    "a frame of 2^62 bytes": (b"\x80\x04\x95" + struct.pack("<Q", 2**62), "damaged|end"),
    "a long of many digits": (b"L" + b"9" * 10_000 + b"L\n.", "damaged"),
    "text that is not UTF-8": (b"X\x01\x00\x00\x00\xff.", "damaged"),
    "an unknown instruction": (b"\xff.", "damaged"),
    "keys of nested tuples": (b"}" + nested(100_000)[2:] + b"Ns.", "expected keys"),
    "a set of nested tuples": (b"\x80\x04\x8f(" + nested(100_000)[2:] + b"\x90.", "expected keys"),
    "keys that collide": (pickled({2**61 - 1: 1}), "expected keys"),
    "many tuples as keys": (pickled({(i,): 0 for i in range(10_001)}), "at most 10000 keys"),
    "a list as a key": (b"}]Ns.", "expected keys"),
    "a set made again and again": (
        b"c__builtin__\nset\nq\x07" + written((list(range(1000)),)) + b"q\x08" + b"h\x07h\x08R0" * 1000 + b"N.",
        "copies more than it holds",
    ),
    "bytes made again and again": (
        b"c_codecs\nencode\nq\x07" + written(("x" * 1000, "latin1")) + b"q\x08" + b"h\x07h\x08R0" * 1000 + b"N.",
        "copies more than it holds",
    ),
    "a bytearray of a length": (pickled(Call("builtins.bytearray", 2**40)), "a bytearray of bytes"),
    "another codec": (pickled(Call("_codecs.encode", "x", "rot13")), "of latin1"),
    "too many arguments": (pickled(Call("builtins.complex", 1.0, 2.0, 3.0)), "damaged"),
    "a complex number of text": (pickled(Call("builtins.complex", "1", "2")), "two floats"),
    "pairs of three": (pickled(Call("collections.OrderedDict", [(1, 2, 3)])), "of pairs"),
    "an unknown storage": (pickled(Id("storage", ..., "9", "cpu", 4)), "'9' is not in the archive"),
    "a path as a storage": (pickled(Id("storage", ..., "../data.pkl", "cpu", 1)), "is not in the archive"),
    "a storage of text": (pickled(Id("storage", "x", "0", "cpu", 4)), "of a class and a number"),
    "a storage of too many elements": (pickled(Id("storage", ..., "0", "cpu", 5)), "expected 20 bytes"),
    "a storage of 2^62 elements": (pickled(Id("storage", ..., "0", "cpu", 2**62)), "truncated"),
    "a storage of -1 elements": (pickled(Id("storage", ..., "0", "cpu", -1)), "truncated"),
    "an id of something else": (pickled(Id("module", 1)), "the id of a storage"),
    "a tensor of a list": (pickled(tensor(0, (1,), (1,), storage=[1])), "to have a storage"),
    "a tensor of a view": (pickled(tensor(0, (1,), (1,), storage=tensor(0, (1,), (1,)))), "to have a storage"),
    "past the end": (pickled(tensor(1, (4,), (1,))), "outside its storage"),
    "far past the end": (pickled(tensor(0, (2,), (2**62,))), "outside its storage"),
    "before the beginning": (pickled(tensor(-1, (1,), (1,))), "offset, sizes and strides"),
    "backwards": (pickled(tensor(3, (4,), (-1,))), "offset, sizes and strides"),
    "a size of 2^70": (pickled(tensor(0, (2**70,), (0,))), "offset, sizes and strides"),
    "sizes that overflow": (pickled(tensor(0, (2**40, 2**40), (0, 0))), "that memory can hold"),
    "sizes without strides": (pickled(tensor(0, (1, 1), (1,))), "offset, sizes and strides"),
    "65 dimensions": (pickled(tensor(0, (1,) * 65, (1,) * 65)), "at most 64"),
    "a size of text": (pickled(tensor(0, ("1",), (1,))), "offset, sizes and strides"),
    "a size of True": (pickled(tensor(0, (True,), (1,))), "offset, sizes and strides"),
    "copies of an expanded tensor": (
        pickled(tensor(0, (2**40,), (0,), rest=({"neg": True},))),
        "far more than it holds",
    ),
    "unknown metadata": (pickled(tensor(0, (1,), (1,), rest=({"x": 1},))), "no metadata"),
    "a quantized tensor": (pickled(Call("torch._utils._rebuild_qtensor")), "names torch._utils._rebuild_qtensor"),
}


@pytest.mark.parametrize("name", HOSTILE_PICKLES)
def test_hostile_pickles(name: str) -> None:
    content, message = HOSTILE_PICKLES[name]
    with pytest.raises(at.FormatError, match=message):
        read(forge(content, FOUR))
    assert ran == []


def test_depth_alone_does_no_harm() -> None:
    value = read(forge(nested(50_000) + b"."))
    assert isinstance(value, tuple)
    del value


def test_a_bool_of_two() -> None:
    content = pickled(tensor(0, (1,), (1,))).replace(b"FloatStorage", b"BoolStorage")
    with pytest.raises(at.FormatError, match="'0': expected bytes 0 and 1"):
        read(forge(content, {"0": b"\x02\x02\x02\x02"}))


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    return content[:offset] + value + content[offset + len(value) :]


SOUND = forge(pickled(tensor(0, (4,), (1,))), FOUR)
DIRECTORY = SOUND.index(b"PK\x01\x02")
HOSTILE_ARCHIVES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no PyTorch file"),
    "no zip": (b"PK\x03\x04 and nothing more", "expected a zip archive"),
    "an archive of something else": (forge(b"").replace(b"data.pkl", b"data.txt"), "expected one data.pkl"),
    "a name twice": (SOUND.replace(b"archive/data/0", b"archive/data.pkl"[:14]), "."),
    "a member that overlaps": (patched(SOUND, SOUND.rindex(b"PK\x01\x02") + 42, b"\x00\x00\x00\x00"), "overlaps"),
    "a member past the end": (patched(SOUND, DIRECTORY + 20, b"\xff\xff\xff\x7f" * 2), "truncated|overlaps"),
    "a stored member with two sizes": (patched(SOUND, DIRECTORY + 24, b"\x01\x00\x00\x00"), "one size"),
    "an encrypted member": (patched(SOUND, DIRECTORY + 8, b"\x01"), "encrypted"),
    "an unknown method": (patched(SOUND, DIRECTORY + 10, b"\x0e"), "stored or deflated"),
    "a wrong checksum": (SOUND.replace(FOUR["0"], FOUR["0"][::-1]), "checksum is wrong"),
    "a header elsewhere": (patched(SOUND, DIRECTORY + 42, b"\x01"), "header where the directory says|."),
    "a byte order": (forge(pickled(None), byteorder=b"middle"), "expected byteorder"),
}


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", HOSTILE_ARCHIVES)
def test_hostile_archives(name: str, mmap: bool, tmp_path: Path) -> None:
    content, message = HOSTILE_ARCHIVES[name]
    if mmap and "checksum" in name:
        pytest.skip("checking would read all of a mapped file")
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(at.FormatError, match=message):
        at.load(tmp_path / "x.pt", mmap=mmap)


def test_a_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "_EXPANDED_BYTES", 2**20)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled(None))
        archive.writestr("archive/data/0", bytes(2**21))
    with pytest.raises(at.FormatError, match="far more than the file's"):
        read(file.getvalue())


def test_a_member_that_lies_about_its_size() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickled(None) + bytes(1000))
    content = bytearray(file.getvalue())
    struct.pack_into("<I", content, content.index(b"PK\x01\x02") + 24, 10)
    with pytest.raises(at.FormatError, match="expected 10 bytes, got 11"):
        read(bytes(content))


def test_truncations_and_flipped_bytes() -> None:
    for n in range(0, len(SOUND), 3):
        with pytest.raises(at.FormatError):
            read(SOUND[:n])
    rng = np.random.default_rng(0)
    whole = (DATA / "training.pth").read_bytes()
    for n in range(0, len(whole), 17):
        broken = bytearray(whole)
        broken[n] ^= int(rng.integers(1, 256))
        # A checksum catches most; anything but a FormatError is a fault of ours.
        try:
            read(bytes(broken))
        except at.FormatError:
            continue


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
def test_flipped_bytes_of_a_pickle() -> None:
    with zipfile.ZipFile(DATA / "tensors.pt") as archive:
        names = {n.partition("/")[2]: archive.read(n) for n in archive.namelist()}
    records = {n.removeprefix("data/"): content for n, content in names.items() if n.startswith("data/")}
    rng = np.random.default_rng(0)
    for n in range(0, len(names["data.pkl"]), 7):
        broken = bytearray(names["data.pkl"])
        broken[n] ^= int(rng.integers(1, 256))
        try:
            read(forge(bytes(broken), records))
        except at.FormatError:
            continue
