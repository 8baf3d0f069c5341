"""A fresh FlexCore in memory for each test."""

import pytest

from tests.gateway.memory_stack import MemoryStack


@pytest.fixture
def stack() -> MemoryStack:
    return MemoryStack()
