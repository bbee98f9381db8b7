"""Fixtures of nn's tests."""

from atled.testing.fixtures import gpu as gpu
