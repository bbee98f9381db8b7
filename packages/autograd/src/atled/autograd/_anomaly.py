"""Anomaly mode: which op made the first NaN, and where it was called."""

from atled.autograd import _tape
from atled.core import ArgumentError


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on, in any thread.

    >>> from atled.autograd import is_anomaly_enabled, set_detect_anomaly
    >>> with set_detect_anomaly(True):
    ...     is_anomaly_enabled()
    True
    """
    return _tape.anomaly()[0]


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode is on and looks for NaN.

    >>> from atled.autograd import is_anomaly_check_nan_enabled, set_detect_anomaly
    >>> with set_detect_anomaly(True, check_nan=False):
    ...     is_anomaly_check_nan_enabled()
    False
    """
    return _tape.anomaly()[1]


class set_detect_anomaly:
    """Switches anomaly mode on or off, at once, for all threads; as a context manager, until its end.

    In anomaly mode the first recorded call whose result has a NaN though its arguments have none, and the first node
    that makes one in backward, raise AutogradError. The message names the op, the element, and the file and line that
    called the op. It looks at every result, so it is slow.

    check_nan: False leaves the looking out. (Errors in backward name the call in either case, in any mode.)

    >>> import atled.core as at
    >>> from atled.autograd import set_detect_anomaly
    >>> with set_detect_anomaly(True):
    ...     is_anomaly_enabled(), is_anomaly_check_nan_enabled()
    (True, True)
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        for name, value in (("mode", mode), ("check_nan", check_nan)):
            if not isinstance(value, bool):
                raise ArgumentError(f"{type(self).__name__}: expected {name} to be bool, got {type(value).__name__}")
        self._before = _tape.anomaly()
        _tape.set_anomaly(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        _tape.set_anomaly(*self._before)


class detect_anomaly(set_detect_anomaly):
    """A context manager in which anomaly mode is on; see `set_detect_anomaly`.

    >>> import atled.core as at
    >>> from atled.autograd import detect_anomaly
    >>> x = at.tensor([1.0, -1.0], requires_grad=True)
    >>> with detect_anomaly():  # doctest: +ELLIPSIS
    ...     x.log()
    Traceback (most recent call last):
        ...
    atled.core.AutogradError: log: expected a result without NaN, since its arguments have none, got 1 of 2 ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
