"""What can go wrong, in words for the person at the screen. Everything below the window and the terminal raises these."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """How a terminal command ends; scripts rely on these numbers."""

    OK = 0
    USAGE = 2
    WEIGHTS = 3
    DATA = 4
    DIVERGED = 5
    DISK_FULL = 28
    RETRY = 75
    HUNG_UP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class UserError(Exception):
    """An expected problem that the user can act on.

    Args:
        title: what happened, to which thing, in one sentence.
        detail: more lines (a list of files, a report), may be empty.
        hint: what to do about it, may be empty.
        exit_code: how a terminal command that meets it ends.
    """

    def __init__(self, title: str, detail: str = "", hint: str = "", exit_code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        """The title, the detail and the hint, one under the other."""
        return "\n".join(part for part in (self.title, self.detail, self.hint) if part)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all parts, so that it crosses a process boundary whole."""
        return (type(self), (self.title, self.detail, self.hint, self.exit_code))


class DataError(UserError):
    """The images or their labels cannot be used as they are."""

    def __init__(self, title: str, detail: str = "", hint: str = "", exit_code: ExitCode = ExitCode.DATA) -> None:
        super().__init__(title, detail, hint, exit_code)


class ImageError(DataError):
    """One image cannot be read; ``title`` says why in a few words."""


class WeightsError(UserError):
    """A file of weights is missing, unsafe, damaged or made for another network."""

    def __init__(self, title: str, detail: str = "", hint: str = "", exit_code: ExitCode = ExitCode.WEIGHTS) -> None:
        super().__init__(title, detail, hint, exit_code)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong with a configuration: the dotted field and what is wrong with it."""

    field: str
    message: str


class ConfigError(UserError):
    """Everything that is wrong with a configuration, at once; ``problems`` names each field."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        count = "One setting is" if len(problems) == 1 else f"{len(problems)} settings are"
        super().__init__(
            title=f"{count} not valid.",
            detail="\n".join(f"{problem.field}: {problem.message}" for problem in problems),
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by its problems."""
        return (type(self), (self.problems,))
