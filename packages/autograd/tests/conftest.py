"""Fixtures of autograd's tests."""

from atled.testing.fixtures import gpu as gpu
