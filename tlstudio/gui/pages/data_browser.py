"""Browses opened images: classes on the left, a grid of thumbnails, filters above it. Reads files in the background only."""

from __future__ import annotations

from PySide6.QtCore import QItemSelectionModel, QRect, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QLabel, QLineEdit, QSlider, QSplitter, QVBoxLayout, QWidget

from tlstudio.api.dataset import UNLABELLED
from tlstudio.api.images import printable
from tlstudio.gui import theme
from tlstudio.gui.opening import ANY, Filter, Opened, count_classes, filter_rows
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.cells import CAPTION, MARGIN, caption_font, draw_ground, draw_text, draw_thumbnail
from tlstudio.gui.widgets.class_list import ALL, ClassCount, ClassList
from tlstudio.gui.widgets.grid_view import Cell, GridView, RowsModel
from tlstudio.gui.widgets.thumbnails import SIDES, ThumbnailStore, side_for
from tlstudio.gui.widgets.viewer import About

_ZOOM = (64, 320)
_TYPING_MS = 150
_MANY = 20_000  # with more rows than this, text is searched in the background


class DataBrowser(QWidget):
    """The grid and its filters. `opened_image` asks for the large view of a position in the list of shown rows."""

    opened_image = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.opened: Opened | None = None
        self.store: ThumbnailStore | None = None
        self.unreadable: dict[int, str] = {}
        self._search: Task | None = None
        self._shown_side = SIDES[0]
        self.model = RowsModel(self._name, self)
        self.grid = GridView(self._paint_cell)
        self.grid.setModel(self.model)
        self.grid.setAccessibleName(self.tr("Images"))
        self.grid.opened.connect(self.opened_image)
        self.grid.zoomed.connect(self._step_zoom)
        self.grid.shown.connect(self._want)
        self.grid.selectionModel().selectionChanged.connect(self._tell_counts)
        self.classes = ClassList()
        self.classes.chosen.connect(self.refilter)
        right = QWidget()
        layout = QVBoxLayout(right)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._toolbar())
        layout.addWidget(self.grid, 1)
        self.nothing = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.nothing.setProperty("role", "muted")
        self.nothing.hide()
        layout.addWidget(self.nothing, 1)
        splitter = QSplitter()
        splitter.setHandleWidth(1)
        splitter.addWidget(self.classes)
        splitter.addWidget(right)
        splitter.setSizes([208, 900])
        splitter.setStretchFactor(1, 1)
        splitter.setChildrenCollapsible(False)
        self.classes.setMinimumWidth(120)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)
        self._typing = QTimer(self, singleShot=True, interval=_TYPING_MS)
        self._typing.timeout.connect(self.refilter)
        self.text.textChanged.connect(lambda _text: self._typing.start())
        self._apply_zoom()

    def _toolbar(self) -> QHBoxLayout:
        self.split = QComboBox()
        self.split.setAccessibleName(self.tr("Split"))
        self.split.setToolTip(self.tr("Show the images of one split: those that train, that measure, or both"))
        self.split.currentIndexChanged.connect(self._split_changed)
        self.issue = QComboBox()
        self.issue.setAccessibleName(self.tr("Issues"))
        self.issue.setToolTip(self.tr("Show only the images with an issue"))
        self.issue.currentIndexChanged.connect(self.refilter)
        self.issue.hide()
        self.text = QLineEdit(placeholderText=self.tr("Filter by name"), clearButtonEnabled=True)
        self.text.setAccessibleName(self.tr("Filter by name"))
        self.text.setToolTip(self.tr("Part of the file name or folder"))
        self.text.setMaximumWidth(28 * theme.GRID)
        self.counts = QLabel()
        self.counts.setProperty("role", "caption")
        self.zoom = QSlider(Qt.Orientation.Horizontal, minimum=_ZOOM[0], maximum=_ZOOM[1], value=144)
        self.zoom.setFixedWidth(14 * theme.GRID)
        self.zoom.setAccessibleName(self.tr("Size of thumbnails"))
        self.zoom.setToolTip(self.tr("Size of thumbnails (Ctrl and the wheel)"))
        self.zoom.valueChanged.connect(self._apply_zoom)
        row = QHBoxLayout()
        row.setContentsMargins(12, 6, 12, 6)
        row.setSpacing(theme.GRID)
        for widget in (self.split, self.issue, self.text):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.counts)
        small, large = QLabel(), QLabel()
        theme.set_icon(small, "image", "muted", 12)
        theme.set_icon(large, "image", "muted", 16)
        for widget in (small, self.zoom, large):
            row.addWidget(widget)
        return row

    def show_data(self, opened: Opened) -> None:
        """Browse these images."""
        self.close_store()
        self.opened = opened
        images = opened.images
        self.store = ThumbnailStore.of_images(images, self)
        self.store.arrived.connect(self.grid.repaint_rows)
        self.set_unreadable({})
        blocked = self.split.blockSignals(True)
        self.split.clear()
        self.split.addItem(self.tr("All splits"), ANY)
        for value, name in enumerate((self.tr("Training"), self.tr("Validation"), self.tr("Test"))):
            count = int((opened.splits == value).sum())
            if count:
                self.split.addItem(f"{name} ({count:,})", value)
        self.split.blockSignals(blocked)
        self.text.clear()
        self._typing.stop()
        self._split_changed()
        self.grid.scrollToTop()
        self.grid.selectionModel().setCurrentIndex(self.model.index(0), QItemSelectionModel.SelectionFlag.NoUpdate)
        self.grid.setFocus()

    def close_store(self) -> None:
        """Stop decoding."""
        if self.store is not None:
            self.store.close()
            self.store.deleteLater()
            self.store = None

    def set_unreadable(self, found: dict[int, str]) -> None:
        """Offer a filter for the images that cannot be read: row -> reason."""
        self.unreadable = found
        blocked = self.issue.blockSignals(True)
        self.issue.clear()
        self.issue.addItem(self.tr("All images"), False)
        if found:
            self.issue.addItem(self.tr("Unreadable ({n})").format(n=f"{len(found):,}"), True)
        self.issue.blockSignals(blocked)
        self.issue.setVisible(bool(found))

    def show_unreadable(self) -> None:
        """Set the filter to the images that cannot be read."""
        self.split.setCurrentIndex(0)
        self.text.clear()
        self.issue.setCurrentIndex(self.issue.count() - 1)

    @Slot()
    def refilter(self, _changed: object = None) -> None:
        """Show what the filters leave."""
        if self.opened is None:
            return
        label = self.classes.label()
        wanted = Filter(
            label=ANY if label == ALL else label,
            split=self.split.currentData(),
            rows=frozenset(self.unreadable) if self.issue.currentData() else None,
            text=self.text.text(),
        )
        opened = self.opened
        if self._search is not None:
            self._search.cancel()
        if wanted.text.strip() and len(opened.images) > _MANY:
            self._search = run_in_background(self, lambda _task: filter_rows(opened, wanted), done=self._show_rows)
        else:
            self._show_rows(filter_rows(opened, wanted))

    def row_at(self, position: int) -> int:
        """The row of the table at a position of the list."""
        return self.model.row_at(position)

    def about(self, position: int) -> About:
        """Facts on the image at a position, for the large view."""
        assert self.opened is not None
        row = self.row_at(position)
        images, split = self.opened.images, int(self.opened.splits[row])
        names = dict(enumerate((self.tr("training"), self.tr("validation"), self.tr("test"))))
        facts = (self._class_name(int(images.labels[row])), names.get(split, ""), self.unreadable.get(row, ""))
        return About(self._name(row), tuple(fact for fact in facts if fact))

    def _show_rows(self, rows: object) -> None:
        self.model.set_rows(rows)
        empty = not self.model.rowCount()
        self.grid.setVisible(not empty)
        self.nothing.setVisible(empty)
        self.nothing.setText(self.tr("No image fits these filters."))
        self._tell_counts()

    def _split_changed(self, _index: int = 0) -> None:
        if self.opened is None:
            return
        images, split = self.opened.images, self.split.currentData()
        counts = count_classes(self.opened, ANY if split is None else split)
        entries = [ClassCount(ALL, self.tr("All classes"), int(counts.sum()))]
        entries += [ClassCount(i, printable(name), int(counts[i])) for i, name in enumerate(images.classes)]
        if counts[-1]:
            entries.append(ClassCount(UNLABELLED, self.tr("Without a class"), int(counts[-1])))
        self.classes.set_entries(entries)
        self.refilter()

    def _tell_counts(self, *_selection: object) -> None:
        shown, selected = self.model.rowCount(), self.grid.count_selected()
        text = self.tr("1 image") if shown == 1 else self.tr("{n} images").format(n=f"{shown:,}")
        if selected > 1:
            text += self.tr(" · {n} selected").format(n=f"{selected:,}")
        self.counts.setText(text)

    def _step_zoom(self, step: int) -> None:
        self.zoom.setValue(self.zoom.value() + 32 * step)

    def _apply_zoom(self, _value: int = 0) -> None:
        side = self.zoom.value()
        self.grid.set_cell(side + 2 * MARGIN, side + CAPTION + 2 * MARGIN, stretch=True)
        self._want()

    def _want(self) -> None:
        if self.store is not None:
            self._shown_side = self._side()
            self.store.want([self.row_at(i) for i in self.grid.wanted()], self._shown_side, self._measure())

    def _measure(self) -> tuple[int, int]:
        """Device pixels of a picture's place in its cell."""
        cell, ratio = self.grid.cell_size(), self.devicePixelRatioF()
        return round((cell.width() - 2 * MARGIN) * ratio), round((cell.height() - 2 * MARGIN - CAPTION) * ratio)

    def _side(self) -> int:
        return side_for(self.zoom.value() * self.devicePixelRatioF())

    def _paint_cell(self, painter: QPainter, cell: Cell) -> None:
        draw_ground(painter, cell)
        now, inner = theme.colors(), cell.rect.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        picture = QRect(inner.left(), inner.top(), inner.width(), inner.height() - CAPTION)
        if self.store is not None:
            draw_thumbnail(painter, picture, self.store.get(cell.row, self._shown_side))
        painter.setFont(caption_font())
        caption = QRect(inner.left() + 2, picture.bottom() + 1, inner.width() - 4, CAPTION)
        name = self._name(cell.row).rpartition("/")[2]
        draw_text(painter, caption, name, now.text if cell.selected else now.muted)

    def _name(self, row: int) -> str:
        return "" if self.opened is None else printable(self.opened.images.keys[row])

    def _class_name(self, label: int) -> str:
        assert self.opened is not None
        return self.tr("without a class") if label < 0 else printable(self.opened.images.classes[label])


def separator() -> QFrame:
    """A 1 px line across."""
    line = QFrame()
    line.setProperty("line", True)
    line.setFixedHeight(1)
    return line
