"""Memory shared with other libraries: DLPack and __cuda_array_interface__, with their streams, both ways."""

from typing import Any

import pytest

import atled.core as at
from atled.core.cuda import ExternalStream, Stream


class Producer:
    """Another library's array: its work is on a stream of its own."""

    def __init__(self, tensor: at.Tensor, stream: Stream | None = None) -> None:
        self.tensor, self.stream, self.asked = tensor, stream, list[Any]()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.tensor.__dlpack_device__()

    def __dlpack__(self, *, stream: int | None = None, max_version: tuple[int, int] | None = None) -> Any:
        self.asked.append(stream)
        with at.cuda.stream(self.stream):
            return self.tensor.__dlpack__(stream=stream, max_version=max_version)


class OldProducer(Producer):
    """Of before DLPack 1.0."""

    def __dlpack__(self, *, stream: int | None = None) -> Any:  # type: ignore[override]
        return super().__dlpack__(stream=stream)


class Interface:
    """An array that has __cuda_array_interface__ alone, as Numba's do."""

    def __init__(self, tensor: at.Tensor, **said: Any) -> None:
        self.tensor = tensor
        self.said = dict(tensor.__cuda_array_interface__) | said

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return self.said


@pytest.mark.parametrize("producer", [Producer, OldProducer])
def test_from_dlpack_passes_the_current_stream(gpu: str, producer: type[Producer]) -> None:
    theirs, ours = Stream(), Stream()
    x = at.zeros(1000, device=gpu)
    theirs.wait_stream(at.cuda.current_stream())
    with at.cuda.stream(theirs):
        for _ in range(20):
            x += 1
    source = producer(x, theirs)
    with at.cuda.stream(ours):
        y = at.from_dlpack(source)
        assert y.data_ptr() == x.data_ptr()
        z = y * 2
    ours.synchronize()
    assert z.tolist() == [40] * 1000
    default = producer(x, theirs)
    assert (at.from_dlpack(default) + 1).tolist() == [21] * 1000
    assert source.asked == [ours.cuda_stream] and default.asked == [1]
    assert at.asarray(default).data_ptr() == x.data_ptr()


def test_streams_of_another_device_than_the_current_one(gpu: str) -> None:
    if at.cuda.device_count() < 2:
        pytest.skip("one GPU")
    x, side = at.zeros(100, device="cuda:1"), Stream("cuda:1")
    x += 1
    capsule = x.__dlpack__(stream=side.cuda_stream, max_version=(1, 0))
    with at.cuda.stream(side):
        y = at.from_dlpack(capsule) * 2
    side.synchronize()
    assert at.cuda.current_device() == 0 and y.device.index == 1 and y.tolist() == [2] * 100


def test_dlpack_makes_the_consumers_stream_wait(gpu: str) -> None:
    ours, theirs = Stream(), Stream()
    with at.cuda.stream(ours):
        x = at.zeros(1000, device=gpu)
        for _ in range(20):
            x += 1
        capsule = x.__dlpack__(stream=theirs.cuda_stream, max_version=(1, 0))
    with at.cuda.stream(theirs):
        y = at.from_dlpack(capsule) * 2
    theirs.synchronize()
    assert y.tolist() == [40] * 1000
    with at.cuda.stream(ours):
        x += 1
        for stream in (None, 1, -1):
            x.__dlpack__(stream=stream)
    for wrong, text in ((0, "may mean several"), (-2, "expected stream"), ("x", "expected stream")):
        with pytest.raises(at.InvalidValueError, match=text):
            x.__dlpack__(stream=wrong)
    with pytest.raises(at.InvalidValueError):
        at.ones(3).__dlpack__(stream=1)


def test_memory_lent_outlives_its_tensor(gpu: str) -> None:
    x = at.full((1 << 20,), 5.0, device=gpu)
    y = at.from_dlpack(x.__dlpack__(max_version=(1, 0)))
    address = x.data_ptr()
    del x
    others = [at.zeros(1 << 20, device=gpu) for _ in range(3)]
    assert y.data_ptr() == address and y[:2].tolist() == [5, 5] and others[0][0].item() == 0


def test_cuda_array_interface(gpu: str) -> None:
    x = at.arange(6, dtype=at.float32, device=gpu).reshape(2, 3)
    said = x.__cuda_array_interface__
    assert said["version"] == 3 and said["typestr"] == "<f4" and said["shape"] == (2, 3) and said["strides"] is None
    assert said["data"] == (x.data_ptr(), False) and said["stream"] == 1
    assert x.T.__cuda_array_interface__["strides"] == (4, 12)
    assert at.empty((0, 2), device=gpu).__cuda_array_interface__["data"][0] == 0
    side = Stream()
    with at.cuda.stream(side):
        assert x.__cuda_array_interface__["stream"] == side.cuda_stream
    for dtype, text in ((at.bool, "|b1"), (at.uint8, "|u1"), (at.int64, "<i8"), (at.complex64, "<c8")):
        assert at.empty(2, dtype=dtype, device=gpu).__cuda_array_interface__["typestr"] == text
    for wrong in (at.ones(3), at.ones(3, dtype=at.bfloat16, device=gpu)):
        assert not hasattr(wrong, "__cuda_array_interface__")


def test_asarray_takes_the_interface(gpu: str) -> None:
    x = at.arange(12, device=gpu).reshape(3, 4)
    for view in (x, x.T, x[1:, ::2], x[:0]):
        source = Interface(view)
        y = at.asarray(source)
        assert y.shape == view.shape and y.dtype == view.dtype and y.tolist() == view.tolist()
        assert not view.numel() or y.data_ptr() == view.data_ptr()
    kept = at.asarray(Interface(at.full((1 << 20,), 2.0, device=gpu)))
    others = [at.zeros(1 << 20, device=gpu) for _ in range(3)]
    assert kept[:2].tolist() == [2, 2] and len(others) == 3
    assert at.asarray(Interface(x, data=(x.data_ptr(), True))).is_readonly
    for said, error in (
        ({"typestr": ">i8"}, at.DTypeError),
        ({"typestr": "<V8"}, at.DTypeError),
        ({"mask": x}, at.DTypeError),
        ({"strides": (33, 8)}, at.DTypeError),
        ({"stream": 0}, at.InvalidValueError),
        ({"data": (at.ones(3).data_ptr(), False)}, at.DeviceError),
    ):
        with pytest.raises(error):
            at.asarray(Interface(x, **said))


def test_the_interfaces_stream_is_waited_for(gpu: str) -> None:
    theirs, ours = Stream(), Stream()
    with at.cuda.stream(theirs):
        x = at.zeros(1000, device=gpu)
        for _ in range(20):
            x += 1
        source = Interface(x)
    with at.cuda.stream(ours):
        y = at.asarray(source) + 1
    ours.synchronize()
    assert y.tolist() == [21] * 1000
    assert at.asarray(Interface(x, stream=None)).data_ptr() == x.data_ptr()


def test_to_device_takes_a_stream(gpu: str) -> None:
    side = Stream()
    x = at.ones(3)
    for stream in (side, side.cuda_stream):
        there = x.to_device(gpu, stream=stream)
        side.synchronize()
        assert there.tolist() == [1] * 3
    with pytest.raises(at.InvalidValueError, match="which has none"):
        x.to_device("cpu", stream=1)


def test_torch(gpu: str) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch sees no GPU")
    x = at.arange(6, dtype=at.float32, device=gpu)
    there = torch.from_dlpack(x)
    assert there.data_ptr() == x.data_ptr() and there.device.type == "cuda"
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(20):
            there += 1
        with at.cuda.stream(ExternalStream(side.cuda_stream)):
            back = at.from_dlpack(there)
            assert (back * 2).tolist() == [40, 42, 44, 46, 48, 50]
    assert back.data_ptr() == x.data_ptr()
    assert at.asarray(torch.ones(3, device="cuda")).tolist() == [1] * 3
    assert torch.as_tensor(x, device="cuda").data_ptr() == x.data_ptr()


def test_cupy(gpu: str) -> None:
    cupy = pytest.importorskip("cupy")
    try:
        cupy.zeros(1)
    except Exception as error:
        pytest.skip(f"this CuPy sees no GPU: {error}")
    x = at.arange(6, dtype=at.float32, device=gpu)
    there = cupy.from_dlpack(x)
    there += 1
    assert there.data.ptr == x.data_ptr() == cupy.asarray(x).data.ptr
    assert at.from_dlpack(there).tolist() == at.asarray(there).tolist() == [1, 2, 3, 4, 5, 6]
