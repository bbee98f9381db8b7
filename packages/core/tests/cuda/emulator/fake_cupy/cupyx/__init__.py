"""How errors of the libraries are met."""

from contextlib import contextmanager


@contextmanager
def errstate(*, divide=None, over=None, under=None, invalid=None, linalg=None):
    assert linalg in (None, "ignore", "raise")
    yield
