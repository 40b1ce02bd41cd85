"""Drawing a strategy: what is done on the strip and on the time axis becomes options of the custom strategy in the form.

Keeps what was before, so that it can be taken back; keeps drawings in the workspace, under a name and between sessions.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from tlstudio.api.config import FreezingConfig
from tlstudio.api.events import StageState
from tlstudio.engine.custom import FROM_SCRATCH, STRATEGY, USUAL, Drawing, next_level, options_like
from tlstudio.gui.pages.train_form import TrainForm
from tlstudio.gui.widgets.background import run_in_background
from tlstudio.gui.widgets.plan_raster import RasterEdit
from tlstudio.gui.widgets.stage_strip import StageEdit
from tlstudio.registry.strategies import folder_of, save_strategy, saved_strategies

_KEEP_MS = 300
_PRESENT = ".present.json"  # the form's choice, from session to session


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What the window shows of the present strategy: a plan for each epoch looked at, and which of them."""

    plans: Sequence[Sequence[StageState]]
    epochs: Sequence[int]
    budget: int
    row: int
    pretrained: bool


class Drawer(QObject):
    """Makes edits, takes them back, saves them."""

    changed = Signal()
    """What can be taken back is another now."""
    problem = Signal(object)
    """UserError: a drawing could not be saved."""

    def __init__(self, owner: QWidget, form: TrainForm, workspace: Callable[[], Path]) -> None:
        super().__init__(owner)
        self._owner, self._form, self._workspace = owner, form, workspace
        self._undo: list[FreezingConfig] = []
        self._redo: list[FreezingConfig] = []
        self._before: tuple[FreezingConfig, str] | None = None
        self._own: FreezingConfig | None = None
        self._putting = False
        self._gesture: tuple[type, int] | None = None
        self._base: Drawing | None = None
        self._besides: dict[str, Any] = {}
        self._saved: dict[str, FreezingConfig] = {}
        self._kept: FreezingConfig | None = None
        self._keep = QTimer(self)
        self._keep.setSingleShot(True)
        self._keep.setInterval(_KEEP_MS)
        self._keep.timeout.connect(self._write)
        form.changed.connect(self.follow)

    @property
    def possible(self) -> bool:
        """Whether the custom strategy is there."""
        return self._form.offers(STRATEGY)

    @property
    def is_custom(self) -> bool:
        """Whether the form has the custom strategy."""
        return bool(self._form.value("freezing.strategy") == STRATEGY)

    @property
    def before(self) -> str:
        """The title of the strategy that the drawing began from; empty where there is none to go back to."""
        return self._before[1] if self._before is not None and self.is_custom else ""

    @property
    def saved(self) -> dict[str, FreezingConfig]:
        """Strategies saved in the workspace, as last looked at."""
        return self._saved

    def draw(self, edit: StageEdit | RasterEdit, shown: Shown) -> None:
        """Make a change; the later ones of a gesture start from where the gesture began."""
        gesture = (type(edit), edit.gesture)
        if gesture != self._gesture or self._base is None:
            self._begin(shown)
            self._gesture = gesture
        base = self._base
        assert base is not None
        fallback = USUAL if shown.pretrained else FROM_SCRATCH
        if isinstance(edit, RasterEdit):
            drawing = base.learning_from(edit.stages, edit.column, fallback)
        else:
            drawing = _edited(base, edit, min(shown.row, len(base.factors) - 1), fallback)
        self._put(FreezingConfig(strategy=STRATEGY, options={**self._besides, **drawing.options()}))

    def undo(self) -> None:
        """Take the last change back."""
        self._swap(self._undo, self._redo)

    def redo(self) -> None:
        """Make it again."""
        self._swap(self._redo, self._undo)

    def reset(self) -> None:
        """Back to the strategy that the drawing began from; this can be taken back as well."""
        if self.before and self._before is not None:
            self._undo.append(self._form.freezing())
            self._redo.clear()
            self._put(self._before[0])

    def follow(self) -> None:
        """The form changed: what was drawn before cannot be taken back once others have changed it."""
        now = self._form.freezing()
        if now != self._own and not self._putting:
            self._own, self._gesture = None, None
            self._undo.clear()
            self._redo.clear()
            if now.strategy != STRATEGY:
                self._before = None
        if now != self._kept:
            self._keep.start()
        self.changed.emit()

    def pick(self, config: FreezingConfig) -> None:
        """Use a saved strategy."""
        self._undo.append(self._form.freezing())
        self._redo.clear()
        self._put(config)

    def save_as(self, name: str) -> None:
        """Keep the present strategy under a name."""
        config, workspace = self._form.freezing(), self._workspace()

        def saved(_path: object) -> None:
            self._saved = {**self._saved, name: config}

        run_in_background(
            self,
            lambda _task: save_strategy(workspace, name, config),
            done=saved,
            failed=lambda error: self.problem.emit(error),
        )

    def ask_name(self) -> None:
        """Ask under which name to save."""
        name, wanted = QInputDialog.getText(
            self._owner,
            self.tr("Save as strategy"),
            self.tr("Name; in the terminal it is used as freezing.strategy=custom:NAME"),
        )
        if wanted and name.strip():
            self.save_as(name.strip())

    def fill(self, menu: QMenu) -> None:
        """Save, and what was saved."""
        menu.clear()
        menu.addAction(self.tr("Save as strategy…")).triggered.connect(lambda _on=False: self.ask_name())
        menu.addSeparator()
        for name, config in sorted(self._saved.items()):
            menu.addAction(name).triggered.connect(lambda _on=False, config=config: self.pick(config))
        if not self._saved:
            menu.addAction(self.tr("Nothing saved yet")).setEnabled(False)

    def look(self) -> None:
        """Read what is saved in the workspace, and the choice of the last session where the form has none yet."""
        workspace = self._workspace()

        def read(_task: object) -> tuple[dict[str, FreezingConfig], FreezingConfig | None]:
            present = None
            with contextlib.suppress(OSError, ValueError):
                present = FreezingConfig.model_validate(json.loads((folder_of(workspace) / _PRESENT).read_bytes()))
            return saved_strategies(workspace), present

        run_in_background(self, read, done=self._found)

    def _found(self, found: tuple[dict[str, FreezingConfig], FreezingConfig | None]) -> None:
        self._saved, present = found
        untouched = not self._form.form.rows["freezing.strategy"].is_changed and not self._form.freezing().options
        if present is not None and untouched and self._form.offers(present.strategy):
            self._kept = present
            self._form.set_freezing(present)

    def _begin(self, shown: Shown) -> None:
        now = self._form.freezing()
        self._base = Drawing.of(shown.plans, shown.epochs, shown.budget)
        if now.strategy == STRATEGY:
            self._besides = {name: value for name, value in now.options.items() if name not in ("stages", "phases")}
        else:
            strategy = self._form.strategy()
            self._besides = options_like(shown.plans, self._form.strategy_options())
            self._before = (now, strategy.title if strategy is not None else now.strategy)
        self._undo.append(now)
        self._redo.clear()

    def _swap(self, source: list[FreezingConfig], target: list[FreezingConfig]) -> None:
        if source:
            target.append(self._form.freezing())
            self._put(source.pop())

    def _put(self, config: FreezingConfig) -> None:
        self._putting = True
        self._form.set_freezing(config)
        self._putting = False
        self._own = self._form.freezing()
        self.changed.emit()

    def _write(self) -> None:
        self._kept = config = self._form.freezing()
        folder = folder_of(self._workspace())

        def write(_task: object) -> None:
            from tlstudio import safe_io

            with contextlib.suppress(OSError):  # the next change tries again
                folder.mkdir(parents=True, exist_ok=True)
                safe_io.write_json(folder / _PRESENT, config.model_dump(mode="json"))

        run_in_background(self, write)


def _edited(base: Drawing, edit: StageEdit, row: int, fallback: float) -> Drawing:
    if not edit.stages:  # a drag from the head that came back to it
        return base
    first = edit.stages[0]
    usual = base.usual_factor(first, row, fallback)
    if edit.kind == "freeze":
        return base.with_factor(edit.stages, 0.0, row)
    if edit.kind == "thaw":
        return base.with_factor(edit.stages, usual, row)
    if edit.kind == "factor":
        return base.with_pace(edit.stages, edit.factor, row)
    if edit.levels == 0 or (edit.levels < 0 and not base.factor(first, row)):  # less than frozen there is not
        return base
    return base.with_pace(edit.stages, next_level(base.factor(first, row), edit.levels, usual), row)
