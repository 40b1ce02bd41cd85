"""The small network of the engine's tests, and what compares two runs bit by bit."""

from __future__ import annotations

from engine.conftest import _one_thread, gradual_catalog, tiny, tiny_catalog

__all__ = ["_one_thread", "gradual_catalog", "tiny", "tiny_catalog"]
