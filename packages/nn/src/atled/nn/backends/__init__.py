"""The libraries that layers compute with, and their settings, with the names of ``torch.backends``."""

from atled.nn.backends import cudnn as cudnn

__all__ = ["cudnn"]
