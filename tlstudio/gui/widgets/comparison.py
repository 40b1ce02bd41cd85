"""Which of two runs' models is better on the same images: computed in the background, shown as a sentence and a small table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QGridLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.images import printable
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.error_view import ErrorView
from tlstudio.runs.store import RunInfo

if TYPE_CHECKING:
    from tlstudio.evaluation.compare import Comparison

_SIZE = (620, 380)


class ComparisonView(QWidget):
    """Call `show_runs`; ``found`` holds the result (a `tlstudio.evaluation.compare.Comparison`) once it is there."""

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._work: Task | None = None
        self._runs: tuple[RunInfo, RunInfo] | None = None
        self.found: Comparison | None = None
        self.error = ErrorView()
        self.stack = QStackedWidget()
        for widget in (self._make_busy(), self._make_result(), self.error):
            self.stack.addWidget(widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.stack)
        context.catalog_changed.connect(self._start)

    def show_runs(self, first: RunInfo, second: RunInfo) -> None:
        """Compare these two; the first is A."""
        self._runs, self.found = (first, second), None
        for name, run, label in zip("AB", (first, second), self.names, strict=True):
            label.setText(f"{name}   {printable(run.name)}   {run.id}")
            label.setToolTip(str(run.folder))
        self.progress.setRange(0, 0)
        self.stack.setCurrentWidget(self.busy)
        self._start()

    def cancel(self) -> None:
        """Ask no more."""
        if self._work is not None:
            self._work.cancel()
            self._work = None

    def verdict(self) -> str:
        """The sentence now shown."""
        return self.sentence.text()

    @Slot(object)
    def _start(self, _catalog: object = None) -> None:
        """Begin, as soon as there are plugins to build the networks with."""
        self.cancel()
        catalog, workspace = self._context.catalog, self._context.workspace
        if catalog is None or self._runs is None or self.found is not None:
            return
        first, second = self._runs

        def work(task: Task) -> Comparison:
            from tlstudio.evaluation.compare import compare_runs

            def progress(done: int, total: int) -> bool:
                task.report((done, total))
                return not task.cancelled

            return compare_runs(first, second, catalog, workspace, progress=progress)

        self._work = run_in_background(self, work, done=self._show, failed=self._failed, progress=self._advance)

    def _make_busy(self) -> QWidget:
        self.busy = QWidget()
        text = QLabel(self.tr("Asking both models about the same images …"))
        self.progress = QProgressBar(textVisible=False)
        self.progress.setFixedWidth(30 * theme.GRID)
        self.progress.setAccessibleName(self.tr("Progress of the comparison"))
        layout = QVBoxLayout(self.busy)
        layout.setSpacing(2 * theme.GRID)
        layout.addStretch(2)
        for widget in (text, self.progress):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addStretch(3)
        return self.busy

    def _make_result(self) -> QWidget:
        self.result = QWidget()
        self.names = (_label(), _label())
        self.rates = (_label(), _label())
        self.sentence = _label("section")
        self.cells = {name: _label() for name in ("both", "only_first", "only_second", "neither")}
        self.figures = _label()
        self.notes = _label("muted")
        runs = QGridLayout()
        runs.setHorizontalSpacing(3 * theme.GRID)
        runs.setVerticalSpacing(theme.GRID // 2)
        runs.setColumnStretch(0, 1)
        for row, (name, rate) in enumerate(zip(self.names, self.rates, strict=True)):
            runs.addWidget(name, row, 0)
            runs.addWidget(rate, row, 1, Qt.AlignmentFlag.AlignRight)
        layout = QVBoxLayout(self.result)
        layout.setContentsMargins(3 * theme.GRID, 2 * theme.GRID, 3 * theme.GRID, theme.GRID)
        layout.setSpacing(2 * theme.GRID)
        layout.addLayout(runs)
        layout.addWidget(self.sentence)
        layout.addWidget(self._make_table(), 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(self.figures)
        layout.addWidget(self.notes)
        layout.addStretch(1)
        return self.result

    def _make_table(self) -> QWidget:
        table = QFrame()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(4 * theme.GRID)
        right = Qt.AlignmentFlag.AlignRight
        for column, text in enumerate((self.tr("B right"), self.tr("B wrong")), 1):
            grid.addWidget(_label("muted", text), 0, column, right)
        for row, (text, cells) in enumerate(
            ((self.tr("A right"), ("both", "only_first")), (self.tr("A wrong"), ("only_second", "neither"))), 1
        ):
            grid.addWidget(_label("muted", text), row, 0)
            for column, name in enumerate(cells, 1):
                grid.addWidget(self.cells[name], row, column, right)
        return table

    def _advance(self, at: tuple[int, int]) -> None:
        self.progress.setRange(0, at[1])
        self.progress.setValue(at[0])

    def _failed(self, error: BaseException) -> None:
        self._work = None
        self.error.show_problem(error)
        self.stack.setCurrentWidget(self.error)

    def _show(self, found: Comparison) -> None:
        self._work, self.found = None, found
        for label, rate in zip(self.rates, found.accuracies, strict=True):
            label.setText(f"{100 * rate:.1f} %")
        for name, label in self.cells.items():
            label.setText(f"{getattr(found, name):,}")
        self.sentence.setText(self._verdict(found))
        self.figures.setText(
            self.tr(
                "B − A: {difference} points, 95 % interval {low} to {high} (paired bootstrap).\n"
                "Exact McNemar test, two-sided: p = {p}."
            ).format(difference=_points(found.difference), low=_points(found.low), high=_points(found.high), p=f"{found.p:.3g}")
        )
        notes = "\n".join(self._left_out(found))
        self.notes.setText(notes)
        self.notes.setVisible(bool(notes))
        self.stack.setCurrentWidget(self.result)

    def _verdict(self, found: Comparison) -> str:
        splits = {"val": self.tr("validation"), "test": self.tr("test")}
        values = {"n": f"{found.images:,}", "split": splits.get(found.split, found.split)}
        if not found.only_first + found.only_second:
            return self.tr("A and B are right and wrong alike on {n} {split} images: nothing tells them apart.").format(
                **values
            )
        if not found.difference:
            return self.tr("A and B are equally often right on {n} {split} images.").format(**values)
        cases = round(100 * found.p)
        values |= {
            "better": "B" if found.difference > 0 else "A",
            "points": f"{100 * abs(found.difference):.1f}",
            "cases": self.tr("fewer than 1") if cases < 1 else str(cases),
        }
        values["doubt"] = self.tr(", so they may be equally good") if found.doubtful else ""
        return self.tr(
            "{better} is ahead on {n} {split} images by {points} points; between two equally good models a difference as "
            "large as this arises by chance in {cases} of 100 cases{doubt}."
        ).format(**values)

    def _left_out(self, found: Comparison) -> list[str]:
        out = found.left_out
        lines = [
            (out.trained_on, self.tr("Images left out because one of the runs has learned from them: {n}.")),
            (out.elsewhere, self.tr("Images left out because only one of the runs keeps them aside: {n}.")),
            (out.unusable, self.tr("Images left out because they are gone, have no class now, or cannot be read: {n}.")),
        ]
        texts = [text.format(n=f"{n:,}") for n, text in lines if n]
        if found.unknown_parents:
            texts.append(self.tr("One started from a run that is gone; which images that has seen is not known."))
        return texts


def open_comparison(context: AppContext, first: RunInfo, second: RunInfo, parent: QWidget | None = None) -> QDialog:
    """A dialog with the comparison of two runs, shown at once; closing it ends the work."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    view = ComparisonView(context, dialog)
    dialog.setWindowTitle(view.tr("Compare two models"))
    close = QPushButton(view.tr("Close"))
    close.clicked.connect(dialog.reject)
    dialog.finished.connect(view.cancel)
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(0, 0, 2 * theme.GRID, 2 * theme.GRID)
    layout.addWidget(view, 1)
    layout.addWidget(close, 0, Qt.AlignmentFlag.AlignRight)
    dialog.resize(*_SIZE)
    view.show_runs(first, second)
    dialog.show()
    return dialog


def _label(role: str = "", text: str = "") -> QLabel:
    label = QLabel(text, wordWrap=role != "" and not text, textFormat=Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    if role:
        label.setProperty("role", role)
    return label


def _points(value: float) -> str:
    text = f"{100 * value:+.1f}".replace("-", "−")
    return "0.0" if text[1:] == "0.0" else text
