"""What the user does to runs, with undo: notes and tags, and moving them to the trash."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from tlstudio.api.errors import UserError
from tlstudio.runs.notes import RunNotes, write_notes
from tlstudio.runs.store import RunInfo, delete_run, restore_run


@dataclass(frozen=True)
class Said:
    """Other words about a run."""

    run: RunInfo
    before: RunNotes
    after: RunNotes


@dataclass(frozen=True)
class Deleted:
    """Runs, and where each lies in the trash."""

    runs: tuple[tuple[RunInfo, Path], ...]


class RunEdits(QObject):
    """Does, undoes and does again. Files are small or only renamed, so all of it happens at once."""

    said = Signal(object, object)
    """str, RunNotes: the id of a run, and what is said of it from now on."""
    deleted = Signal(object)
    """tuple of RunInfo: they are in the trash now."""
    restored = Signal(object)
    """tuple of RunInfo: they are back."""
    problem = Signal(object)

    def __init__(self, workspace: Callable[[], Path], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._workspace = workspace
        self._done: list[Said | Deleted] = []
        self._undone: list[Said | Deleted] = []

    def say(self, run: RunInfo, notes: RunNotes) -> None:
        """Keep other notes and tags of a run."""
        before = RunNotes(text=run.notes, tags=run.tags)
        if notes != before and self._write(run, notes):
            self._add(Said(run, before, notes))

    def delete(self, runs: Sequence[RunInfo]) -> None:
        """Move runs to the trash."""
        self._add(self._delete(runs))

    def undo(self) -> bool:
        """Take the last thing back; returns whether there was one."""
        if not self._done:
            return False
        edit = self._done.pop()
        if isinstance(edit, Said):
            if self._write(edit.run, edit.before):
                self._undone.append(edit)
        else:
            self._restore(edit)
            self._undone.append(edit)
        return True

    def redo(self) -> bool:
        """Do again what was taken back; returns whether there was something."""
        if not self._undone:
            return False
        edit = self._undone.pop()
        if isinstance(edit, Said):
            if self._write(edit.run, edit.after):
                self._done.append(edit)
        else:
            self._done.append(self._delete([run for run, _ in edit.runs]))
        return True

    def _add(self, edit: Said | Deleted) -> None:
        if isinstance(edit, Said) or edit.runs:
            self._done.append(edit)
            self._undone.clear()

    def _write(self, run: RunInfo, notes: RunNotes) -> bool:
        try:
            write_notes(run.folder, notes)
        except OSError as error:
            self.problem.emit(error)
            return False
        self.said.emit(run.id, notes)
        return True

    def _delete(self, runs: Sequence[RunInfo]) -> Deleted:
        moved = []
        for run in runs:
            try:
                moved.append((run, delete_run(self._workspace(), run)))
            except (UserError, OSError) as error:
                self.problem.emit(error)
        if moved:
            self.deleted.emit(tuple(run for run, _ in moved))
        return Deleted(tuple(moved))

    def _restore(self, edit: Deleted) -> None:
        back = []
        for run, trashed in edit.runs:
            try:
                restore_run(run.folder.parent.parent, trashed)
                back.append(run)
            except (UserError, OSError) as error:
                self.problem.emit(error)
        if back:
            self.restored.emit(tuple(back))
