"""What every test may ask for."""

import pytest
from hypothesis import settings
from scene import Scene

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture
def scene() -> Scene:
    """A node with four GPUs, 32 CPUs and nothing to do."""
    return Scene()
