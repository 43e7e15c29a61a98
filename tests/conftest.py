"""What every test may ask for."""

import pytest
from scene import Scene


@pytest.fixture
def scene() -> Scene:
    """A node with four GPUs, 32 CPUs and nothing to do."""
    return Scene()
