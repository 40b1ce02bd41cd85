"""The settings of a run that begins where another one has come."""

from __future__ import annotations

from collections.abc import Sequence

from tlstudio.api.config import TrainConfig, parse_config, with_overrides
from tlstudio.runs.store import RunInfo


def continued(run: RunInfo, more: Sequence[str] = ()) -> TrainConfig:
    """Those of a new run that begins with the result of another one.

    Args:
        more: other settings, as ``key=value``.

    Raises:
        ConfigError: they are not valid.
    """
    return with_overrides(parse_config(run.config), [f"model.weights={run.id}", 'run.name=""', *more])
