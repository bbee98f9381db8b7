"""Settings of what computes, with the names of ``torch.backends``.

``backends.cudnn`` is `atled.nn.backends.cudnn` and comes with atled-nn.

>>> import atled.core as at
>>> at.backends.cuda.matmul.allow_tf32
False
>>> at.backends.mps.is_available()
False
"""

from __future__ import annotations

from typing import Any

from atled.core import _settings


class _MatrixProducts:
    """What products of matrices on a GPU may do."""

    # Permissions that are not made use of: sums of halves are float32.
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True

    @property
    def allow_tf32(self) -> bool:
        """Whether factors of float32 may round to TensorFloat-32: another name of `set_float32_matmul_precision`."""
        return _settings.get_float32_matmul_precision() != "highest"

    @allow_tf32.setter
    def allow_tf32(self, value: bool) -> None:
        _settings.set_float32_matmul_precision("high" if value else "highest")


class cuda:
    """GPUs of NVIDIA."""

    #: ``matmul.allow_tf32`` says whether products of float32 matrices may be less exact and faster.
    matmul = _MatrixProducts()

    @staticmethod
    def _choose(enabled: bool) -> None:
        """Nothing: attention goes by its arguments alone."""

    @staticmethod
    def _enabled() -> bool:
        return True

    enable_flash_sdp = enable_mem_efficient_sdp = enable_math_sdp = enable_cudnn_sdp = _choose
    flash_sdp_enabled = mem_efficient_sdp_enabled = math_sdp_enabled = cudnn_sdp_enabled = _enabled


class mps:
    """GPUs of Apple, which no wheel computes on."""

    @staticmethod
    def is_available() -> bool:
        """False.

        >>> at.backends.mps.is_available()
        False
        """
        return False

    @staticmethod
    def is_built() -> bool:
        """False.

        >>> at.backends.mps.is_built()
        False
        """
        return False


class mkldnn:
    """Tensors in MKL-DNN's layouts, which there are none of; nn computes with oneDNN by itself."""

    @staticmethod
    def is_available() -> bool:
        """False.

        >>> at.backends.mkldnn.is_available()
        False
        """
        return False


def __getattr__(name: str) -> Any:
    from atled.core import _registry

    found = globals()[name] = _registry.module_function(f"backends.{name}")
    return found
