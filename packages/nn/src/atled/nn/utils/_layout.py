"""How the weights of convolutions lie in memory."""

from __future__ import annotations

from typing import TypeVar

import atled.core as at
from atled.core._explained import explained

from .._module import Module
from .._parameter import detached
from ..modules._convolution import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d

M = TypeVar("M", bound=Module)


@explained
def convert_conv2d_weight_memory_format(module: M, memory_format: at.memory_format) -> M:
    """Puts the weights of all two-dimensional convolutions within into a memory format; answers the module.

    >>> import atled.core as at
    >>> from atled import nn
    >>> layer = nn.utils.convert_conv2d_weight_memory_format(nn.Conv2d(2, 3, 3), at.channels_last)
    >>> layer.weight.is_contiguous(memory_format=at.channels_last)
    True
    """
    return _convert(module, (Conv2d, ConvTranspose2d), memory_format)


@explained
def convert_conv3d_weight_memory_format(module: M, memory_format: at.memory_format) -> M:
    """`convert_conv2d_weight_memory_format` for three dimensions, with ``at.channels_last_3d``.

    >>> import atled.core as at
    >>> from atled import nn
    >>> layer = nn.utils.convert_conv3d_weight_memory_format(nn.Conv3d(2, 3, 3), at.channels_last_3d)
    >>> layer.weight.is_contiguous(memory_format=at.channels_last_3d)
    True
    """
    return _convert(module, (Conv3d, ConvTranspose3d), memory_format)


def _convert(module: M, kinds: tuple[type[Module], ...], memory_format: at.memory_format) -> M:
    for each in module.modules():
        if isinstance(each, kinds):
            weight = each.get_parameter("weight")
            weight.data = detached(weight).contiguous(memory_format=memory_format)
    return module
