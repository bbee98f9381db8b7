"""utils.tensorboard: what is written, as TensorBoard's own reader sees it."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

import atled.core as at

pytest.importorskip("tensorboardX")
accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(folder: Path) -> accumulators.EventAccumulator:
    return accumulators.EventAccumulator(str(folder)).Reload()


@pytest.mark.parametrize("dtype", [at.float64, at.bfloat16, at.float8_e4m3fn, at.int32, at.bool])
def test_numbers_and_histograms(tmp_path: Path, dtype: at.dtype) -> None:
    values = at.tensor([0.0, 1.0, 1.0, 1.0]).to(dtype)
    with at.utils.tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_scalar("loss", values[1], 3, walltime=1.5)
        writer.add_scalars("both", {"a": values[0], "b": 2})
        writer.add_histogram("weights", values.reshape(2, 2), 1)
    found = read(tmp_path)
    assert [(e.step, e.value, e.wall_time) for e in found.Scalars("loss")] == [(3, 1.0, 1.5)]
    (histogram,) = (event.histogram_value for event in found.Histograms("weights"))
    assert (histogram.num, histogram.sum, histogram.min, histogram.max) == (4, 3.0, 0.0, 1.0)
    assert read(tmp_path / "both" / "b").Scalars("both")[0].value == 2.0


def test_images_texts_and_settings(tmp_path: Path) -> None:
    from PIL import Image

    pixels = at.arange(2 * 3 * 3, dtype=at.uint8).reshape(2, 3, 3) * 10
    with at.utils.tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_image("image", pixels, dataformats="HWC")
        writer.add_text("note", "*begun*")
        writer.add_hparams({"lr": at.tensor(0.5), "kind": "sgd"}, {"score": at.tensor(2.0)}, run_name="run")
        with pytest.raises(at.ArgumentError, match=r"add_scalar: expected a number or a tensor of one element"):
            writer.add_scalar("loss", at.ones(2))
        with pytest.raises(NotImplementedError, match="add_graph"):
            writer.add_graph(None)
    found = read(tmp_path)
    (tmp_path / "image.png").write_bytes(found.Images("image")[0].encoded_image_string)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "image.png")), pixels.numpy())
    assert found.Tensors("note/text_summary")[0].tensor_proto.string_val == [b"*begun*"]
    assert read(tmp_path / "run").Scalars("score")[0].value == 2.0


def test_writers_of_one_folder_keep_what_others_wrote(tmp_path: Path) -> None:
    writer = at.utils.tensorboard.SummaryWriter(tmp_path)
    for tag in ("first", "later"):
        writer.add_scalar(tag, 1.0, 0)
        writer.close()
    with at.utils.tensorboard.SummaryWriter(tmp_path) as second:
        second.add_scalar("second", 1.0, 0)
    assert set(read(tmp_path).Tags()["scalars"]) == {"first", "later", "second"}


def test_pixels_beyond_the_ends_are_clipped(tmp_path: Path) -> None:
    from PIL import Image

    with at.utils.tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_image("image", at.tensor([[-0.1, 0.0, 1.0, 1.2]]), dataformats="HW")
    (tmp_path / "image.png").write_bytes(read(tmp_path).Images("image")[0].encoded_image_string)
    assert np.asarray(Image.open(tmp_path / "image.png"))[0, :, 0].tolist() == [0, 0, 255, 255]


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "atled.core.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install 'atled-core\[tensorboard\]'"):
        importlib.import_module("atled.core.utils.tensorboard")
