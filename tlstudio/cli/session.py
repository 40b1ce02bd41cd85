"""What every command shares: the workspace and the plugins, both looked up only when a command needs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from tlstudio.registry import Catalog
    from tlstudio.runs.store import RunInfo


@dataclass(frozen=True, kw_only=True)
class Session:
    """The options that stand anywhere on the command line."""

    workspace_option: str | None = None
    plugins_off: tuple[str, ...] = ()
    all_plugins_off: bool = False

    @property
    def workspace(self) -> Path:
        """The folder in which runs are kept, absolute."""
        from tlstudio import paths

        return self.given_workspace or paths.workspace()

    @property
    def given_workspace(self) -> Path | None:
        """The same where the command line names one."""
        return Path(self.workspace_option).expanduser().absolute() if self.workspace_option else None

    def options(self) -> list[str]:
        """These options for another command line, absolute."""
        off = [f"--no-plugins={name}" for name in self.plugins_off] + ["--no-plugins"] * self.all_plugins_off
        return ["--workspace", str(self.workspace), *off]

    def catalog(self) -> Catalog:
        """Find and load the plugins; those that fail are in it as rows, so this never raises for one of them."""
        from tlstudio.registry import load_catalog

        return load_catalog(off=self.plugins_off, all_off=self.all_plugins_off)

    def run(self, text: str) -> RunInfo:
        """The run that a user means; raises `UserError` where there is none."""
        from tlstudio.runs.store import require_run

        return require_run(self.workspace, text)


def session_of(context: typer.Context) -> Session:
    """The session of a running command."""
    session = context.find_root().obj
    assert isinstance(session, Session)
    return session


class MissingValue(Exception):
    """An option that needs a value has none; the message names it."""


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], Session]:
    """Take the options that may stand anywhere out of the command line.

    Raises:
        MissingValue: ``--workspace`` without a folder.
    """
    rest: list[str] = []
    workspace: str | None = None
    off: list[str] = []
    all_off = False
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            rest += [word, *words]
        elif name == "--workspace":
            workspace = value if equals else next(words, "")
            if not workspace:
                raise MissingValue("--workspace needs a folder, such as --workspace ~/experiments")
        elif name == "--no-plugins":
            off += [value] if value else []
            all_off = all_off or not value
        else:
            rest.append(word)
    return rest, Session(workspace_option=workspace, plugins_off=tuple(off), all_plugins_off=all_off)
