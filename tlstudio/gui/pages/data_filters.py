"""The row above the thumbnails: which split, which images by a line of text, in which order, how large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QStringListModel, Qt, QTimer, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QComboBox, QCompleter, QHBoxLayout, QLabel, QLineEdit, QMenu, QSizePolicy, QSlider, QWidget

from tlstudio.data.query import Sort
from tlstudio.gui import theme
from tlstudio.gui.opening import ANY

_ZOOM = (64, 320)
_TYPING_MS = 150
_EXAMPLES = ("is:edited", "is:excluded", "is:unlabelled", "is:good", "issue:any", "width<200", "size>1MB")


@dataclass(frozen=True)
class Order:
    """A way to sort: by what, and from the large end or not."""

    by: Sort
    descending: bool = False


class FilterBar(QWidget):
    """What the user wants to see, as `split`, `text` and `order`; `changed` when it is something else. It knows no images."""

    changed = Signal()
    split_changed = Signal()
    zoomed = Signal()

    def __init__(self, queries: Callable[[], Sequence[str]], keep_query: Callable[[str], object]) -> None:
        super().__init__()
        self._queries, self._keep_query = queries, keep_query
        self._make_choices()
        self._make_line()
        self.counts = QLabel()
        self.counts.setProperty("role", "caption")
        self.zoom = QSlider(Qt.Orientation.Horizontal, minimum=_ZOOM[0], maximum=_ZOOM[1], value=144)
        self.zoom.setFixedWidth(14 * theme.GRID)
        self.zoom.setAccessibleName(self.tr("Size of thumbnails"))
        self.zoom.setToolTip(self.tr("Size of thumbnails (Ctrl and the wheel)"))
        self.zoom.valueChanged.connect(lambda _value: self.zoomed.emit())
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 12, 6)
        row.setSpacing(theme.GRID)
        row.addWidget(self.splits)
        row.addWidget(self.line, 3)
        row.addWidget(self.sorting)
        row.addWidget(self.counts)
        row.addStretch(1)
        small, large = QLabel(), QLabel()
        theme.set_icon(small, "image", "muted", 12)
        theme.set_icon(large, "image", "muted", 16)
        for widget in (small, self.zoom, large):
            row.addWidget(widget)

    @property
    def split(self) -> int:
        """The split to show, or `ANY`."""
        value = self.splits.currentData()
        return ANY if value is None else int(value)

    @property
    def text(self) -> str:
        """The query."""
        return self.line.text().strip()

    @property
    def order(self) -> Order:
        """How to sort."""
        return self.sorting.currentData() or Order("table")

    def set_counts(self, counts: Sequence[int]) -> None:
        """Offer the splits that there are; ``counts`` of training, validation and test. The choice stays where it can."""
        before = self.split
        blocked = self.splits.blockSignals(True)
        self.splits.clear()
        self.splits.addItem(self.tr("All splits"), ANY)
        for value, name in enumerate((self.tr("Training"), self.tr("Validation"), self.tr("Test"))):
            if counts[value]:
                self.splits.addItem(f"{name} ({counts[value]:,})", value)
        self.splits.setCurrentIndex(max(0, self.splits.findData(before)))
        self.splits.blockSignals(blocked)

    def offer(self, words: Sequence[str]) -> None:
        """Suggest these words, such as ``class:ant``, while a query is typed."""
        self._words = tuple(words)
        self._suggest()

    def clear(self) -> None:
        """Everything, as the data have it."""
        for widget in (self.splits, self.sorting, self.line):
            widget.blockSignals(True)
        self.splits.setCurrentIndex(0)
        self.sorting.setCurrentIndex(0)
        self.line.clear()
        for widget in (self.splits, self.sorting, self.line):
            widget.blockSignals(False)
        self._typing.stop()

    def set_problem(self, reason: str) -> None:
        """Mark the query as one that cannot be understood; empty: it can."""
        if bool(self.line.property("invalid")) != bool(reason):
            self.line.setProperty("invalid", bool(reason))
            self.line.style().polish(self.line)
        self.line.setToolTip(reason or self._tip)
        self.line.setAccessibleDescription(reason)

    def remember(self) -> None:
        """Put the query into the history."""
        if self.text:
            self._keep_query(self.text)
            self._suggest()

    def _make_choices(self) -> None:
        self.splits = QComboBox()
        self.splits.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.splits.setAccessibleName(self.tr("Split"))
        self.splits.setToolTip(self.tr("Show the images of one split: those that train, that measure, or both"))
        self.splits.currentIndexChanged.connect(lambda _index: (self.split_changed.emit(), self.changed.emit()))
        self.sorting = QComboBox()
        self.sorting.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.sorting.setAccessibleName(self.tr("Order"))
        self.sorting.setToolTip(self.tr("Order of the images; by size, date and issue once they are checked"))
        for title, order in (
            (self.tr("As in the data"), Order("table")),
            (self.tr("Name"), Order("name")),
            (self.tr("Newest first"), Order("date", descending=True)),
            (self.tr("Largest first"), Order("pixels", descending=True)),
            (self.tr("Smallest first"), Order("pixels")),
            (self.tr("Largest file first"), Order("size", descending=True)),
            (self.tr("Worst first"), Order("issue")),
        ):
            self.sorting.addItem(title, order)
        self.sorting.currentIndexChanged.connect(lambda _index: self.changed.emit())

    def _make_line(self) -> None:
        self._words: tuple[str, ...] = ()
        self._tip = self.tr(
            "Part of a name, or words such as class:ant split:val issue:blurred tag:seen is:edited width<200; "
            "a minus before a word means not"
        )
        self.line = QLineEdit(placeholderText=self.tr("Filter: a name, class:…, issue:…"), clearButtonEnabled=True)
        self.line.setAccessibleName(self.tr("Filter"))
        self.line.setToolTip(self._tip)
        self.line.setMaximumWidth(48 * theme.GRID)
        self._completions = QStringListModel(self)
        completer = QCompleter(self._completions, self.line)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.line.setCompleter(completer)
        history = QAction(self.tr("Earlier filters"), self.line)
        theme.set_icon(history, "clock-counter-clockwise", "muted")
        history.triggered.connect(self._show_history)
        self.line.addAction(history, QLineEdit.ActionPosition.LeadingPosition)
        self._typing = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._typing.timeout.connect(self.changed)
        self.line.textChanged.connect(lambda _text: self._typing.start())
        self.line.editingFinished.connect(self.remember)

    def _suggest(self) -> None:
        known = dict.fromkeys((*self._queries(), *self._words, *_EXAMPLES))
        self._completions.setStringList(list(known))

    def _show_history(self) -> None:
        menu = QMenu(self)
        for query in self._queries():
            menu.addAction(query.replace("&", "&&"), lambda query=query: self.line.setText(query))
        if menu.isEmpty():
            menu.addAction(self.tr("No filters yet")).setEnabled(False)
        menu.exec(self.line.mapToGlobal(self.line.rect().bottomLeft()))
