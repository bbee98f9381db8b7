"""Curves, images and texts for TensorBoard, with the names of ``torch.utils.tensorboard``.

The files are written by tensorboardX (``pip install 'atled-core[tensorboard]'``); TensorBoard itself shows them:
``tensorboard --logdir runs``.
"""

from __future__ import annotations

import itertools
import os
import time
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

_files = itertools.count()


def _plain(value: Any) -> Any:
    """Tensors, wherever they are, as NumPy arrays of a dtype that NumPy has itself; all else as it is."""
    if isinstance(value, Tensor):
        narrow = value.dtype.is_floating_point and value.dtype.itemsize <= 2
        return (value.to(float32) if narrow else value).numpy(force=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return type(value)(map(_plain, value)) if type(value) in (list, tuple) else value


def _pixels(value: Any) -> Any:
    """Pixels other than uint8 from 0 to 1, since tensorboardX lets those beyond wrap around."""
    plain = _plain(value)
    if isinstance(plain, list):
        return [_pixels(one) for one in plain]
    return plain if str(getattr(plain, "dtype", "uint8")) in ("uint8", "bool") else plain.clip(0, 1)


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
        self._options = None if log_dir is None else os.fspath(log_dir), comment, purge_step, max_queue, flush_secs
        self._suffix = filename_suffix
        self._open: Any = None
        self.log_dir: str = self._writer.logdir
        self._options = self.log_dir, comment, None, max_queue, flush_secs

    @property
    def _writer(self) -> Any:
        """tensorboardX's, a new one after `close`; with a file of its own, since tensorboardX names files by the second
        and overwrites one that is there."""
        if self._open is None:
            suffix = f".{os.getpid()}.{next(_files)}{self._suffix}"
            self._open = tensorboardX.SummaryWriter(*self._options, filename_suffix=suffix)
        return self._open

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
        self._writer.add_image(tag, _pixels(img_tensor), global_step, walltime, dataformats)

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Adds a batch of images, as one beside the other."""
        self._writer.add_images(tag, _pixels(img_tensor), global_step, walltime, dataformats)

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
        hparam_domain_discrete: Mapping[str, list[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
    ) -> None:
        """Adds the settings of a run and what came of them, as a run of its own in the folder.

        ``hparam_domain_discrete`` is for PyTorch's signature and changes nothing: tensorboardX does not write domains.
        """
        metrics = {name: _number("add_hparams", value) for name, value in metric_dict.items()}
        settings = {name: value.item() if isinstance(value, Tensor) else value for name, value in hparam_dict.items()}
        with SummaryWriter(os.path.join(self.log_dir, run_name or str(time.time()))) as run:
            for summary in tensorboardX.summary.hparams(settings, metrics):
                run._writer.file_writer.add_summary(summary)
            for name, value in metrics.items():
                run.add_scalar(name, value, global_step)

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
        if self._open is not None:
            self._open.flush()

    def close(self) -> None:
        """Writes what waits, and closes the files; what is added later goes to new ones."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
