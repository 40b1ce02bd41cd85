"""Trains the settings of the form several times, as a group of runs: asks how, and puts what is missing into the queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.config import TrainConfig
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.runs.groups import CAVEATS, Kind, Member, missing, plan_more
from tlstudio.runs.store import RunInfo, list_runs

if TYPE_CHECKING:
    from pathlib import Path

    from tlstudio.gui.pages.train import TrainPage

_USUAL, _FEWEST, _MOST = 3, 2, 100
_WIDTH = 480
_INDENT = 3 * theme.GRID


class RepeatDialog(QDialog):
    """Over what, and how often; says what that measures, and how much of it is done.

    Args:
        config: the settings that are repeated.
        begins: whether the first of them would begin at once.
    """

    def __init__(self, config: TrainConfig, *, begins: Callable[[], bool], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._config, self._begins = config, begins
        self._runs: Sequence[RunInfo] | None = None
        self.setWindowTitle(self.tr("Train several times"))
        self.setMinimumWidth(_WIDTH)
        self.seeds = QRadioButton(self.tr("Over seeds"))
        self.folds = QRadioButton(self.tr("Over folds (cross-validation)"))
        self.seeds.setChecked(True)
        self.count = QSpinBox()
        self.count.setRange(_FEWEST, _MOST)
        self.count.setValue(_USUAL)
        self.count.setSuffix(self.tr(" runs"))
        self.count.setMinimumHeight(3 * theme.GRID + theme.HALF)
        self.count.setAccessibleName(self.tr("How many runs"))
        self.state = QLabel(wordWrap=True)
        self.add = QPushButton()
        self.add.setProperty("role", "primary")
        self.add.setDefault(True)
        self._build()
        self.seeds.toggled.connect(self._show)
        self.count.valueChanged.connect(self._show)
        self._show()

    @property
    def kind(self) -> Kind:
        """What the runs differ in."""
        return "seeds" if self.seeds.isChecked() else "folds"

    @property
    def members(self) -> list[Member]:
        """All runs that are wished for, done or not."""
        return plan_more(self._config, self.kind, self.count.value(), self._runs or ())

    @property
    def missing(self) -> list[Member]:
        """Those of them that are to be added."""
        return missing(self.members, self._runs or ())

    @property
    def found(self) -> list[RunInfo]:
        """What is there of the group already, the newest first."""
        group = self.members[0].group
        return [run for run in self._runs or () if run.group == group]

    def set_runs(self, runs: Sequence[RunInfo]) -> None:
        """All runs of the workspace, by which it is known what is done."""
        self._runs = runs
        self._show()

    @Slot()
    def _show(self) -> None:
        members, new = self.members, len(self.missing)
        self.add.setEnabled(self._runs is not None)
        if self._runs is None:
            self.state.setText(self.tr("Looking for runs that are done …"))
            self.add.setText(self.tr("Add runs"))
            return
        theme.set_icon(self.add, "queue" if new else "list-bullets", "on_accent")
        self.add.setText(self.tr("Show the group") if not new else self.tr("Add 1 run"))
        if new > 1:
            self.add.setText(self.tr("Add {n} runs").format(n=new))
        self.state.setText(" ".join((self._what(members), self._there(members), self._when(new))))

    def _what(self, members: Sequence[Member]) -> str:
        if self.kind == "seeds":
            return self.tr("Seeds {first} to {last}.").format(first=members[0].number, last=members[-1].number)
        return self.tr("Each of the {n} parts measures once, the others train.").format(n=len(members))

    def _there(self, members: Sequence[Member]) -> str:
        numbers = {member.number for member in members}
        done = {run.group_number for run in self.found if run.status == "completed"} & numbers
        other = len(members) - len(self.missing) - len(done)
        if len(done) == len(members):
            return self.tr("All are done.")
        text = self.tr("Done already: {n}.").format(n=len(done)) if done else self.tr("None is done yet.")
        return f"{text} {self.tr('Waiting or going: {n}.').format(n=other)}" if other else text

    def _when(self, new: int) -> str:
        if not new:
            return ""
        if not self._begins():
            return self.tr("The new ones wait in the queue for their turn.")
        return self.tr("It begins at once.") if new == 1 else self.tr("The first begins at once, the others wait in the queue.")

    def _build(self) -> None:
        about = QLabel(
            self.tr("One run gives one figure, and the next would give another. Several give a mean with an interval.")
        )
        about.setWordWrap(True)
        buttons = QDialogButtonBox()
        buttons.addButton(QPushButton(self.tr("Cancel")), QDialogButtonBox.ButtonRole.RejectRole)
        buttons.addButton(self.add, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow(self.tr("How many"), self.count)
        layout = QVBoxLayout(self)
        layout.setSpacing(theme.GRID)
        layout.addWidget(about)
        layout.addSpacing(theme.GRID)
        layout.addWidget(self.seeds)
        layout.addWidget(_caption(self.tr("Other random numbers each time."), "seeds"))
        layout.addWidget(self.folds)
        layout.addWidget(_caption(self.tr("Another part of the images measures each time."), "folds"))
        layout.addSpacing(theme.GRID)
        layout.addLayout(form)
        layout.addWidget(self.state)
        layout.addStretch(1)
        layout.addWidget(buttons)


class Repeater(QObject):
    """Opens the dialog on the Train page, and does what it says.

    Args:
        page: the Train page; its queue takes the runs.
    """

    def __init__(self, page: TrainPage, context: AppContext) -> None:
        super().__init__(page)
        self._page, self._context = page, context
        self._reading: Task | None = None
        self.dialog: RepeatDialog | None = None

    @Slot()
    def ask(self) -> None:
        """Ask how the settings of the form are to be repeated."""
        config = self._page.runnable()
        if self._context.catalog is None or config is None or self.dialog is not None:
            return
        self.dialog = RepeatDialog(config, begins=self._may_begin, parent=self._page)
        self.dialog.accepted.connect(self._accepted)
        self.dialog.finished.connect(self._closed)
        self._context.runs_changed.connect(self._read)
        self.dialog.open()
        self._read()

    def _may_begin(self) -> bool:
        now = self._page.elsewhere.runs.now
        return self._context.may_start() and not now.going and not now.holder

    @Slot()
    def _read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        workspace = self._context.workspace
        self._reading = run_in_background(
            self, lambda _task: list_runs(workspace), done=self._arrived, failed=self._context.problem.emit
        )

    def _arrived(self, runs: list[RunInfo]) -> None:
        self._reading = None
        if self.dialog is not None:
            self.dialog.set_runs(runs)

    @Slot()
    def _closed(self) -> None:
        self._context.runs_changed.disconnect(self._read)
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    @Slot()
    def _accepted(self) -> None:
        dialog, catalog, workspace = self.dialog, self._context.catalog, self._context.workspace
        if dialog is None or catalog is None:
            return
        members = dialog.members
        if not dialog.missing:
            self._context.page_requested.emit("runs")
            self._context.run_requested.emit(dialog.found[0].id)
            return

        def add(_task: Task) -> list[tuple[Member, str, Path]]:
            from tlstudio.engine.repeat import enqueue_missing

            return enqueue_missing(members, catalog, workspace)

        run_in_background(self, add, done=self._added, failed=self._failed)

    def _added(self, added: list[tuple[Member, str, Path]]) -> None:
        text = self.tr("1 run was added to the queue.")
        if len(added) != 1:
            text = self.tr("{n} runs were added to the queue.").format(n=len(added))
        self._context.message.emit(text)
        if added and not self._page.is_running():
            self._page.waiting.begin_soon(added[0][1])
        self._context.runs_changed.emit()

    def _failed(self, error: BaseException) -> None:
        self._context.problem.emit(error)
        self._context.runs_changed.emit()  # those before it wait


def _caption(text: str, kind: Kind) -> QLabel:
    label = QLabel(f"{text} {CAVEATS[kind]}", wordWrap=True)
    label.setIndent(_INDENT)
    theme.set_role(label, "muted")
    return label
