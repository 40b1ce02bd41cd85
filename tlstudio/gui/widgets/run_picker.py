"""A box to choose one of the runs that kept a model, newest first. Reads the run folders in the background."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QComboBox, QWidget

from tlstudio.api.images import printable
from tlstudio.gui.context import AppContext
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.runs.store import RunInfo, list_runs


class RunPicker(QComboBox):
    """Lists the runs when its page says so; keeps the choice while the list changes around it."""

    chosen = Signal(object)
    """RunInfo or None: another run is chosen."""
    listed = Signal()
    """The list was read."""

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._task: Task | None = None
        self._wanted = ""
        self._last = ""
        self.ready = False
        self.setAccessibleName(self.tr("Run"))
        self.setToolTip(self.tr("The trained model to use"))
        self.setMinimumContentsLength(46)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.currentIndexChanged.connect(self._changed)
        context.run_requested.connect(self.choose)

    def run(self) -> RunInfo | None:
        """The run now chosen."""
        data = self.currentData()
        return data if isinstance(data, RunInfo) else None

    @Slot()
    def refresh(self) -> None:
        """Read the list again."""
        if self._task is not None:
            self._task.cancel()
        workspace = self._context.workspace
        self._task = run_in_background(
            self,
            lambda _task: [run for run in list_runs(workspace) if run.status != "running" and run.model_file.is_file()],
            done=self._fill,
            failed=self._context.problem.emit,
        )

    @Slot(object)
    def choose(self, run_id: str) -> None:
        """Choose a run by its id, now or as soon as it is listed."""
        for i in range(self.count()):
            if self.itemData(i).id == run_id:
                self.setCurrentIndex(i)
                return
        self._wanted = run_id
        self.refresh()

    def _fill(self, runs: list[RunInfo]) -> None:
        self.ready = True
        wanted = self._wanted or self._last
        self._wanted = ""
        blocked = self.blockSignals(True)
        self.clear()
        for run in runs:
            self.addItem(_title(run), run)
            self.setItemData(self.count() - 1, str(run.folder), Qt.ItemDataRole.ToolTipRole)
        places = [i for i, run in enumerate(runs) if run.id == wanted]
        self.setCurrentIndex(places[0] if places else (0 if runs else -1))
        self.blockSignals(blocked)
        self.listed.emit()
        self._changed()

    def _changed(self, _index: int = 0) -> None:
        run = self.run()
        name = "" if run is None else run.id
        if name != self._last:
            self._last = name
            self.chosen.emit(run)


def _title(run: RunInfo) -> str:
    accuracy = next((run.metrics[key] for key in ("val_accuracy", "accuracy") if key in run.metrics), None)
    figure = "" if accuracy is None else f"  ·  {100 * accuracy:.1f} %"
    given = run.config.get("run", {}).get("name")
    name = given or f"{run.backbone.rpartition('/')[2]} on {run.dataset.rpartition('/')[2]}"
    return f"{printable(name)}{figure}  ·  {time.strftime('%d %b %H:%M', time.localtime(run.created))}"
