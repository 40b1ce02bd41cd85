"""What is known of the chosen runs: curves by replay, settings and notes of one; overlaid curves and differences of several.

Reading and adding up the events happens in the background; the window only gets the finished `CurveData`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from PySide6.QtCore import QUrl, Signal, Slot
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QButtonGroup,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from tlstudio.gui import theme
from tlstudio.gui.pages.run_difference import DifferenceTable, names_of
from tlstudio.gui.pages.run_group import RUN_LINK, group_html
from tlstudio.gui.pages.run_notes import NotesEdit
from tlstudio.gui.pages.run_replay import Replay, Replays
from tlstudio.gui.pages.run_text import run_html
from tlstudio.gui.pages.runs_model import title_of_run
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.overlay import OverlaidRun, OverlayCurves
from tlstudio.gui.widgets.plots import RunCurves
from tlstudio.gui.widgets.run_looks import run_looks
from tlstudio.gui.widgets.stage_strip import StageStrip
from tlstudio.runs.groups import Group
from tlstudio.runs.store import RunInfo

AT_MOST = 100
"""More runs are not read at once, and no eye could follow them."""


class RunDetails(QWidget):
    """Shows one run, or several beside each other."""

    problem = Signal(object)
    looks_changed = Signal(object)
    """dict of id to `RunLook`: how runs are drawn beside each other; empty where one is alone."""
    group_wanted = Signal()
    """All runs of the group that is shown shall be chosen."""
    run_wanted = Signal(object)
    """str: the run with this id shall be chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._task: Task | None = None
        self._runs: tuple[RunInfo, ...] = ()
        self._left_out = 0
        self._group: Group | None = None
        self._shown: list[Replay] = []
        self._replays = Replays()
        self.strip = StageStrip(self)
        self.curves = RunCurves(self)
        self.notes = NotesEdit(self)
        self.text = self._browser(self.tr("Settings and remarks of the run"))
        self._title = QLabel(self)
        self._title.setProperty("role", "section")
        self._title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._plots = QStackedWidget(self)
        self._plots.addWidget(self.curves)
        self.curves.problem.connect(self.problem)
        theme.changed.connect(self._show_text)
        self._make_tabs()
        self._arrange()

    @cached_property
    def overlay(self) -> OverlayCurves:
        """The curves of several runs; made when they are first asked for."""
        overlay = OverlayCurves(self)
        overlay.put_below_legend(self.group_text)
        self._plots.addWidget(overlay)
        self._controls.setLayout(overlay.controls)
        return overlay

    @cached_property
    def group_text(self) -> QTextBrowser:
        """What several runs of one group say together; made when it is first asked for."""
        return self._browser(self.tr("Result of the group"))

    @cached_property
    def difference(self) -> DifferenceTable:
        """What differs between several runs; made when it is first asked for."""
        table = DifferenceTable(self)
        self._plots.addWidget(table)
        return table

    @property
    def busy(self) -> bool:
        """Whether something is being read."""
        return self._task is not None

    def show_runs(self, runs: Sequence[RunInfo], group: Group | None = None) -> None:
        """Show these runs; their events are read in the background.

        Args:
            runs: the chosen ones.
            group: the one that all of them belong to.
        """
        if self._task is not None:
            self._task.cancel()
            self._task = None
        before, self._runs, self._group = self._runs, tuple(runs[:AT_MOST]), group
        self._left_out = len(runs) - len(self._runs)
        self.notes.show_run(runs[0] if len(runs) == 1 else None)
        if not self._runs:
            self._show([])
            return
        if [run.id for run in before] != [run.id for run in self._runs]:
            self._title.setText(self.tr("Reading …"))
        wanted = self._runs
        self._task = run_in_background(
            self, lambda task: [self._replays.of(run, task) for run in wanted], done=self._arrived, failed=self._failed
        )

    def show_differences(self, on: bool = True) -> None:
        """Of several runs, show the differences instead of the curves."""
        (self._difference_tab if on else self._curves_tab).setChecked(True)

    def _arrived(self, replays: list[Replay]) -> None:
        self._task = None
        self._show(replays)

    def _failed(self, error: BaseException) -> None:
        self._task = None
        self.problem.emit(error)

    def _show(self, replays: list[Replay]) -> None:
        self._shown = replays
        single, several = len(replays) == 1, len(replays) > 1
        self.strip.setVisible(single)
        self._side.setVisible(single)
        for tab in (self._curves_tab, self._difference_tab):
            tab.setVisible(several)
        if single:
            self._show_one(self._runs[0], replays[0])
        elif several:
            text = self.tr("{n} runs").format(n=len(replays))
            if self._left_out:
                text = self.tr("The first {n} of {all} runs").format(n=len(replays), all=f"{len(replays) + self._left_out:,}")
            self._title.setText(text)
            names = names_of(self._runs)
            self.overlay.set_runs(
                [
                    OverlaidRun(run.id, name, found.curves, f"{title_of_run(run)}\n{run.folder.name}")
                    for run, name, found in zip(self._runs, names, replays, strict=True)
                ]
            )
        else:
            self._title.setText(self.tr("Choose a run to see its curves; several, to compare them."))
            self.curves.clear()
        self._show_text()
        self.looks_changed.emit(run_looks([run.id for run in self._runs]) if several else {})
        self._choose_view()

    def _show_one(self, run: RunInfo, found: Replay) -> None:
        self._title.setText(title_of_run(run))
        self.curves.set_data(found.curves)
        self.strip.set_stages(found.stages)
        self.strip.set_placeholder(self.tr("The run ended before the network was built."))

    @Slot()
    def _show_text(self) -> None:
        """Of one run all that is known, its group included; of several their group's result."""
        group = "" if self._group is None else group_html(self._group, {run.id for run in self._runs}, self)
        if len(self._shown) > 1:
            self.group_text.setHtml(group)
            self.group_text.setVisible(bool(group))
        else:
            self.text.setHtml(run_html(self._runs[0], self._shown[0], self, group) if self._shown else "")

    @Slot(QUrl)
    def _link_clicked(self, link: QUrl) -> None:
        target = link.toString()
        if target.startswith(RUN_LINK):
            self.run_wanted.emit(target.removeprefix(RUN_LINK))
        else:
            self.group_wanted.emit()

    @Slot()
    def _choose_view(self) -> None:
        several, differences = len(self._shown) > 1, self._difference_tab.isChecked()
        self._controls.setVisible(several and not differences)
        if several and differences:
            self.difference.set_runs(self._runs)
            self._plots.setCurrentWidget(self.difference)
        else:
            self._plots.setCurrentWidget(self.overlay if several else self.curves)

    def _browser(self, name: str) -> QTextBrowser:
        browser = QTextBrowser(self)
        browser.setAccessibleName(name)
        browser.setOpenLinks(False)
        browser.anchorClicked.connect(self._link_clicked)
        return browser

    def _make_tabs(self) -> None:
        self._controls = QWidget(self)
        self._tabs = QButtonGroup(self)
        self._curves_tab = QPushButton(self.tr("Curves"))
        self._difference_tab = QPushButton(self.tr("Differences"))
        self._difference_tab.setToolTip(self.tr("Only the settings in which they differ, beside their results (Ctrl+D)"))
        self._difference_tab.setShortcut(QKeySequence("Ctrl+D"))
        for tab in (self._curves_tab, self._difference_tab):
            tab.setCheckable(True)
            tab.hide()
            self._tabs.addButton(tab)
        self._curves_tab.setChecked(True)
        self._difference_tab.toggled.connect(self._choose_view)

    def _arrange(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(theme.GRID)
        top.addWidget(self._title, 1)
        top.addWidget(self._controls)
        top.addWidget(self._curves_tab)
        top.addWidget(self._difference_tab)
        left = QVBoxLayout()
        left.setSpacing(theme.GRID)
        left.addLayout(top)
        left.addWidget(self.strip)
        left.addWidget(self._plots, 1)
        self._side = QWidget(self)
        self._side.setMinimumWidth(280)
        self._side.setMaximumWidth(420)
        side = QVBoxLayout(self._side)
        side.setContentsMargins(0, 0, 0, 0)
        side.setSpacing(theme.GRID)
        side.addWidget(self.notes)
        side.addWidget(self.text, 1)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(2 * theme.GRID, theme.GRID, 2 * theme.GRID, theme.GRID)
        layout.setSpacing(2 * theme.GRID)
        layout.addLayout(left, 3)
        layout.addWidget(self._side, 1)
        self._show([])
