"""Fixtures of optim's tests."""

from atled.testing.fixtures import gpu as gpu
