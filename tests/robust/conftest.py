"""The small network of the engine's tests, and what compares two runs bit by bit."""

from __future__ import annotations

import pytest
from engine.conftest import _one_thread, gradual_catalog, tiny, tiny_catalog

__all__ = ["_one_thread", "gradual_catalog", "tiny", "tiny_catalog"]


@pytest.fixture
def kills(request) -> int:
    """How often a run is killed: ``--kills N``."""
    return int(request.config.getoption("--kills"))
