"""Strategies that a user has saved under a name: files in the workspace, used as ``freezing.strategy=custom:NAME``."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pydantic import ValidationError

from tlstudio import safe_io
from tlstudio.api.config import FreezingConfig, TrainConfig
from tlstudio.api.errors import Problem, UserError

PREFIX = "custom:"
_FOLDER = "strategies"
_NAME = re.compile(r"\w[\w .+-]{0,59}")


def folder_of(workspace: Path) -> Path:
    """Where they lie; perhaps not there yet."""
    return workspace / _FOLDER


def saved_strategies(workspace: Path) -> dict[str, FreezingConfig]:
    """All that can be read, by name."""
    found = {path.stem: _read(path) for path in sorted(folder_of(workspace).glob("*.json")) if _NAME.fullmatch(path.stem)}
    return {name: config for name, config in found.items() if config is not None}


def save_strategy(workspace: Path, name: str, config: FreezingConfig) -> Path:
    """Keep a strategy and its options under a name; returns the file.

    Raises:
        UserError: the name cannot be the name of a file, or the file cannot be written.
    """
    if not _NAME.fullmatch(name) or name.endswith((" ", ".")):
        raise UserError(f"{name!r} cannot be a name.", hint="Use letters, digits, spaces, '-', '_', '+' and '.', at most 60.")
    path = folder_of(workspace) / f"{name}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        safe_io.write_json(path, config.model_dump(mode="json"))
    except OSError as error:
        raise safe_io.as_user_error(error, path.parent) or UserError(f"{path} cannot be written.", str(error)) from error
    return path


def with_saved(config: TrainConfig, workspace: Path, problems: list[Problem]) -> TrainConfig:
    """A configuration in which the name of a saved strategy is replaced by what it stands for; options given besides win."""
    wanted = config.freezing.strategy
    if not wanted.startswith(PREFIX):
        return config
    name = wanted.removeprefix(PREFIX)
    known = saved_strategies(workspace)
    if name not in known:
        have = ", ".join(known) or "none"
        problems.append(Problem(field="freezing.strategy", message=f"there is no saved strategy {name!r}; saved: {have}"))
        return config
    saved = known[name]
    freezing = saved.model_copy(update={"options": {**saved.options, **config.freezing.options}})
    return config.model_copy(update={"freezing": freezing})


def _read(path: Path) -> FreezingConfig | None:
    try:
        return FreezingConfig.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, RecursionError, ValidationError):
        return None
