"""What tests of several packages ask pytest for; a package's ``conftest.py`` imports what it needs."""

import pytest

import atled.core as at


@pytest.fixture(scope="session")
def gpu() -> str:
    """The name of a usable device; tests skip, with the device's own reason, without one."""
    try:
        at.device("cuda")
    except at.DeviceError as error:
        pytest.skip(str(error))
    return "cuda"
