import os

import pytest


@pytest.fixture
def broker():
    """The address of the broker."""
    return os.environ["BROKER"]
