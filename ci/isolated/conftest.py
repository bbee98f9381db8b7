"""What a wheel does when none of its siblings is there; the session ``isolated`` runs each test in its place."""

from importlib import metadata

import pytest

SIBLINGS = ("autograd", "nn", "optim", "data", "distributed")


@pytest.fixture(scope="session", autouse=True)
def alone(request: pytest.FixtureRequest) -> None:
    """Fails where a sibling of the wheel under test is installed: the session would prove nothing."""
    tested = request.config.invocation_params.args[-1]
    installed = {d.metadata["Name"] for d in metadata.distributions()}
    others = [name for name in SIBLINGS if name not in str(tested) and f"atled-{name}" in installed]
    assert not others, f"expected no sibling of the wheel under test, got {others}"
