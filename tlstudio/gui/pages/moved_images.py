"""Asks where images are that are gone from their place, says what is found there, and has the workspace remember it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QFileDialog, QMessageBox, QWidget

from tlstudio.api.dataset import SPLIT_NAMES
from tlstudio.data.moved import Move, count_found, remember, widest
from tlstudio.gui.context import AppContext
from tlstudio.gui.widgets.background import run_in_background
from tlstudio.runs.image_paths import image_paths


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a place has of what is gone.

    Args:
        images: how many of the images that were looked for are there, and how many were; zeros where none were.
        paths: how many of the workspace's folders and files of images that are gone are there, and how many are gone.
    """

    move: Move
    images: tuple[int, int]
    paths: tuple[int, int]


class MovedImages(QObject):
    """One search at a time; looks at the disk in the background."""

    remembered = Signal()
    """The workspace knows the new place."""

    def __init__(self, context: AppContext, parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._widget = context, parent
        self.question: QMessageBox | None = None

    def ask(self, path: str, run: Path | None = None) -> None:
        """Ask where a folder or file of images is now.

        Args:
            path: where it was.
            run: the folder of a run whose images shall be there.
        """
        title = self.tr("Where is “{name}” now?").format(name=Path(path).name)
        if Path(path).suffix:
            new, _ = QFileDialog.getOpenFileName(self._widget, title)
        else:
            new = QFileDialog.getExistingDirectory(self._widget, title)
        if new:
            self.try_place(path, new, run)

    def try_place(self, path: str, new: str, run: Path | None = None) -> None:
        """See what is there, and ask whether to go by it."""
        workspace = self._context.workspace
        run_in_background(
            self, lambda _task: look(path, new, workspace, run), done=self._confirm, failed=self._context.problem.emit
        )

    def _confirm(self, found: Found) -> None:
        box = self.question = QMessageBox(self._widget)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Moved images"))
        box.setText(self.tr("What was in {old} is in {new} now?").format(old=found.move.old, new=found.move.new))
        lines = [self.tr("{n} of {all} folders and files of images that are gone are found there.").format(
            n=found.paths[0], all=found.paths[1])]  # fmt: skip
        if found.images[1]:
            lines.insert(0, self.tr("{n} of {all} images of this run are there.").format(
                n=f"{found.images[0]:,}", all=f"{found.images[1]:,}"))  # fmt: skip
        lines.append(self.tr("The workspace remembers it; runs, edits and splits of the old place go on working."))
        box.setInformativeText("\n".join(lines))
        yes = box.addButton(self.tr("Use this place"), QMessageBox.ButtonRole.AcceptRole)
        box.addButton(self.tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        yes.setEnabled(found.paths[0] > 0)
        box.setDefaultButton(yes)

        def answered() -> None:
            self.question = None
            box.deleteLater()
            if box.clickedButton() is yes:
                self._remember(found.move)

        box.finished.connect(lambda _result: answered())
        box.open()

    def _remember(self, move: Move) -> None:
        try:
            remember(self._context.workspace, move)
        except OSError as error:
            self._context.problem.emit(error)
            return
        self.remembered.emit()
        self._context.runs_changed.emit()


def look(path: str, new: str, workspace: Path, run: Path | None) -> Found:
    """What a new place has; reads the disk."""
    move = widest(path, new)
    return Found(move=move, images=_images(new, run), paths=count_found(move, [path, *image_paths(workspace)]))


def _images(new: str, run: Path | None) -> tuple[int, int]:
    """How many of a run's images lie in a folder, and how many it has."""
    if run is None or not os.path.isdir(new):
        return 0, 0
    keys = _from_json(run / "split.json", lambda kept: [key for name in SPLIT_NAMES for key in kept[name]])
    if not isinstance(keys, list):
        return 0, 0
    return sum(os.path.exists(os.path.join(new, key)) for key in keys), len(keys)


def _from_json(path: Path, pick: Callable[[dict[str, Any]], object]) -> object:
    try:
        return pick(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None
