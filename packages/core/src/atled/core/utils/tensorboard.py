"""Curves, images and texts for TensorBoard, with the names of ``torch.utils.tensorboard``.

The files are written by tensorboardX (``pip install 'atled-core[tensorboard]'``); TensorBoard itself shows them:
``tensorboard --logdir runs``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from atled.core._core import ArgumentError, Tensor, float32

try:
    import tensorboardX
except ImportError as error:
    raise ImportError(
        "atled.core.utils.tensorboard needs tensorboardX, which cannot be imported "
        f"({error}): pip install 'atled-core[tensorboard]'"
    ) from error

__all__ = ["SummaryWriter"]


def _plain(value: Any) -> Any:
    """Tensors, wherever they are, as NumPy arrays of a dtype that NumPy has itself; all else as it is."""
    if isinstance(value, Tensor):
        narrow = value.dtype.is_floating_point and value.dtype.itemsize <= 2
        return (value.to(float32) if narrow else value).numpy(force=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _number(method: str, value: Any) -> Any:
    """A tensor with one element, or another number, as a number of Python."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ArgumentError(f"{method}: expected a number or a tensor of one element, got shape {tuple(value.shape)}")
    return value.item() if isinstance(value, Tensor) else value


class SummaryWriter:
    """Writes what TensorBoard shows into a folder, ``runs/<time>_<host><comment>`` where ``log_dir`` is not given.

    Tensors are taken as they are: of any dtype, on any device, whether or not they require gradients. ``global_step``
    is where on the horizontal axis a value stands, ``walltime`` its time in seconds, now by default. With
    ``purge_step``, what a former run wrote from that step on is hidden. Up to ``max_queue`` entries wait to be written,
    and no longer than ``flush_secs``.

    >>> import atled.core as at
    >>> with SummaryWriter(folder) as writer:
    ...     for step in range(3):
    ...         writer.add_scalar("loss", at.tensor(1.0 / (step + 1)), step)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str] | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
    ) -> None:
        folder = None if log_dir is None else os.fspath(log_dir)
        self._writer = tensorboardX.SummaryWriter(
            folder, comment, purge_step, max_queue, flush_secs, filename_suffix=filename_suffix
        )
        self.log_dir: str = self._writer.logdir

    def get_logdir(self) -> str:
        """The folder that is written to."""
        return self.log_dir

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds a number, or a tensor of one element, to the curve ``tag``; ArgumentError for several elements."""
        self._writer.add_scalar(tag, _number("add_scalar", scalar_value), global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Adds numbers to curves that are drawn together: name to number. Each has a run of its own in the folder."""
        numbers = {tag: _number("add_scalars", value) for tag, value in tag_scalar_dict.items()}
        self._writer.add_scalars(main_tag, numbers, global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: str = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Adds how the elements of a tensor of any shape are distributed."""
        self._writer.add_histogram(tag, _plain(values), global_step, bins, walltime, max_bins)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Adds an image: uint8, or floats from 0 to 1; ``dataformats`` names its dimensions. Needs Pillow."""
        self._writer.add_image(tag, _plain(img_tensor), global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Adds a batch of images, as one beside the other."""
        self._writer.add_images(tag, _plain(img_tensor), global_step, walltime, dataformats)

    def add_figure(
        self, tag: str, figure: Any, global_step: int | None = None, close: bool = True, walltime: float | None = None
    ) -> None:
        """Adds one of Matplotlib's figures, or a list of them, as images."""
        self._writer.add_figure(tag, figure, global_step, close, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Adds a text, in Markdown."""
        self._writer.add_text(tag, text_string, global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Adds precision over recall, for labels of 0 or 1 and predicted probabilities."""
        given = _plain(labels), _plain(predictions)
        self._writer.add_pr_curve(tag, *given, global_step, num_thresholds, _plain(weights), walltime)

    def add_embedding(
        self,
        mat: Any,
        metadata: Any = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Any = None,
    ) -> None:
        """Adds points of a space, one a row, for the projector."""
        self._writer.add_embedding(_plain(mat), metadata, _plain(label_img), global_step, tag, metadata_header)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Adds the settings of a run and what came of them, as a run of its own in the folder."""
        metrics = {name: _number("add_hparams", value) for name, value in metric_dict.items()}
        settings = {name: value.item() if isinstance(value, Tensor) else value for name, value in hparam_dict.items()}
        self._writer.add_hparams(settings, metrics, run_name, global_step)

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """NotImplementedError: TensorBoard's graphs are made of PyTorch's traces, which there are none of."""
        raise NotImplementedError(
            "add_graph: expected a trace by PyTorch, which atled has none of; print a model with "
            "atled.nn.summary, or draw the graph of its gradients with atled.autograd.graph.render"
        )

    def flush(self) -> None:
        """Writes what waits."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what waits, and closes the files."""
        self._writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
