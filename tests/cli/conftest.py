"""Runs command lines in this process, as the console script does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tlstudio.cli.app import main


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def cli(capsys, tmp_path):
    """``cli("runs", "list")``; runs are kept in a workspace of the test's own."""

    def call(*arguments: str | Path, workspace: Path = tmp_path / "workspace") -> Result:
        capsys.readouterr()
        code = main([*map(str, arguments), "--workspace", str(workspace)])
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call
