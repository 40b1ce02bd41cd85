"""Browses opened images: classes and issues on the left, thumbnails, filters above. Reads files in the background only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from PySide6.QtCore import QItemSelectionModel, QRect, Qt, Signal, Slot
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QFrame, QLabel, QSplitter, QVBoxLayout, QWidget

from tlstudio.api.dataset import UNLABELLED
from tlstudio.api.errors import UserError
from tlstudio.api.images import printable
from tlstudio.data.query import Known, quoted
from tlstudio.gui import theme
from tlstudio.gui.opening import ANY, Filter, Opened, count_classes, filter_rows
from tlstudio.gui.pages.data_filters import FilterBar, Order
from tlstudio.gui.pages.data_scan import Found
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.cells import CAPTION, MARGIN, caption_font, draw_ground, draw_text, draw_thumbnail
from tlstudio.gui.widgets.class_list import ALL, ClassCount, ClassList
from tlstudio.gui.widgets.grid_view import Cell, GridView, RowsModel
from tlstudio.gui.widgets.thumbnails import SIDES, ThumbnailStore, side_for
from tlstudio.gui.widgets.viewer import About

_MANY = 20_000  # with more rows than this, they are searched and sorted in the background
_SIGN = 16


class DataBrowser(QWidget):
    """The grid and its filters. `opened_image` asks for the large view of a position in the list of shown rows."""

    opened_image = Signal(object)
    issue_chosen = Signal(object)
    """Issue, or None: the user looks at the images of an issue, or of all."""

    def __init__(
        self, queries: Callable[[], Sequence[str]] = tuple, keep_query: Callable[[str], object] = lambda _query: None
    ) -> None:
        super().__init__()
        self.opened: Opened | None = None
        self.store: ThumbnailStore | None = None
        self.known: Known | None = None
        self._search: Task | None = None
        self._shown_side = SIDES[0]
        self.model = RowsModel(self._name, self)
        self.grid = GridView(self._paint_cell)
        self.grid.setModel(self.model)
        self.grid.setAccessibleName(self.tr("Images"))
        self.grid.opened.connect(self.opened_image)
        self.grid.zoomed.connect(lambda step: self.filters.zoom.setValue(self.filters.zoom.value() + 32 * step))
        self.grid.shown.connect(self._want)
        self.grid.selectionModel().selectionChanged.connect(self._tell_counts)
        self.classes = ClassList()
        self.classes.chosen.connect(self.refilter)
        self.issues = ClassList()
        self.issues.setAccessibleName(self.tr("Issues"))
        self.issues.setToolTip(self.tr("Choose an issue to see only the images that have it"))
        self.issues.chosen.connect(self._issue_changed)
        self.filters = FilterBar(queries, keep_query)
        self.filters.changed.connect(self.refilter)
        self.filters.split_changed.connect(self._count_classes)
        self.filters.zoomed.connect(self._apply_zoom)
        self.nothing = QLabel(alignment=Qt.AlignmentFlag.AlignCenter, wordWrap=True)
        self.nothing.setProperty("role", "muted")
        self.nothing.hide()
        self._lay_out()
        self._apply_zoom()

    def _lay_out(self) -> None:
        right = QWidget()
        layout = QVBoxLayout(right)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.filters)
        layout.addWidget(self.grid, 1)
        layout.addWidget(self.nothing, 1)
        self._left = QSplitter(Qt.Orientation.Vertical)
        self._left.setHandleWidth(1)
        self._left.addWidget(self.classes)
        self._left.addWidget(self.issues)
        self._left.setStretchFactor(0, 1)
        self._left.setChildrenCollapsible(False)
        self._left.setMinimumWidth(120)
        self.issues.hide()
        splitter = QSplitter()
        splitter.setHandleWidth(1)
        splitter.addWidget(self._left)
        splitter.addWidget(right)
        splitter.setSizes([208, 900])
        splitter.setStretchFactor(1, 1)
        splitter.setChildrenCollapsible(False)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(splitter)

    # What is shown

    def show_data(self, opened: Opened) -> None:
        """Browse other images."""
        self.close_store()
        self.opened = opened
        self.known = Known(table=opened.table)
        self.store = ThumbnailStore.of_images(opened.images, self)
        self.store.arrived.connect(self.grid.repaint_rows)
        self.filters.clear()
        self._list_issues()
        self._count_all()
        self.refilter()
        self.grid.scrollToTop()
        self.grid.selectionModel().setCurrentIndex(self.model.index(0), QItemSelectionModel.SelectionFlag.NoUpdate)
        self.grid.setFocus()

    def show_edited(self, opened: Opened) -> None:
        """Browse the same images after an edit: what is chosen and where the user is stay."""
        self.opened = opened
        if self.known is not None:
            self.known = replace(self.known, table=opened.table)
        self._count_all()
        self.refilter()
        self.grid.viewport().update()

    def show_found(self, found: Found) -> None:
        """More is known of the images."""
        if self.known is None:
            return
        issues = self.known.issues if found.issues is None else found.issues
        other, kind = issues is not self.known.issues, self.issue
        self.known = replace(self.known, measures=found.measures, issues=issues)
        if other:
            self._list_issues(kind)
            self.refilter()

    def show_issue(self, kind: str) -> None:
        """Show the images that have an issue; empty: all."""
        kinds = [] if self.known is None or self.known.issues is None else [issue.kind for issue in self.known.issues]
        self.filters.clear()
        self.classes.choose(ALL)
        self.issues.choose(kinds.index(kind) if kind in kinds else ALL)

    def close_store(self) -> None:
        """Stop decoding."""
        if self.store is not None:
            self.store.close()
            self.store.deleteLater()
            self.store = None

    @property
    def issue(self) -> str:
        """The kind of issue that is chosen; empty for none."""
        place = self.issues.label()
        issues = None if self.known is None else self.known.issues
        return "" if issues is None or place == ALL or place >= len(issues) else issues.found[place].kind

    @Slot()
    def refilter(self, _changed: object = None) -> None:
        """Show what the filters leave."""
        opened, known = self.opened, self.known
        if opened is None or known is None:
            return
        label = self.classes.label()
        order = self.filters.order
        if self.issue and order.by == "table":
            order = Order("issue")
        wanted = Filter(
            label=ANY if label == ALL else label,
            split=self.filters.split,
            issue=self.issue,
            text=self.filters.text,
            order=order.by,
            descending=order.descending,
        )
        if self._search is not None:
            self._search.cancel()
        if len(opened.images) > _MANY and (wanted.text or wanted.order != "table"):
            self._search = run_in_background(
                self, lambda _task: filter_rows(known, wanted), done=self._show_rows, failed=self._show_problem
            )
            return
        try:
            self._show_rows(filter_rows(known, wanted))
        except UserError as error:
            self._show_problem(error)

    def row_at(self, position: int) -> int:
        """The row of the table at a position of the list."""
        return self.model.row_at(position)

    def chosen_rows(self) -> list[int]:
        """The rows of the table that are selected, else the current one."""
        positions = self.grid.selected()
        if not positions and self.grid.currentIndex().isValid():
            positions = [self.grid.currentIndex().row()]
        return [self.row_at(position) for position in positions]

    def about(self, position: int) -> About:
        """Facts on the image at a position, for the large view."""
        assert self.opened is not None
        row = self.row_at(position)
        images, split = self.opened.images, int(self.opened.splits[row])
        names = dict(enumerate((self.tr("training"), self.tr("validation"), self.tr("test"))))
        facts = [self._class_name(int(images.labels[row])), names.get(split, "")]
        if self.known is not None:
            table, measures, issues = self.known.table, self.known.measures, self.known.issues
            facts.append(self.tr("left out") if table.excluded[row] else "")
            facts += [word for word, rows in table.tags.items() if row in rows]
            facts += [issue.title for issue in issues.issue_of(row)] if issues is not None else []
            facts.append("" if measures is None else measures.reasons.get(row, "") or measures.remarks.get(row, ""))
        return About(self._name(row), tuple(fact for fact in facts if fact))

    # Filling

    def _show_rows(self, rows: object) -> None:
        self.filters.set_problem("")
        before = self.model.rows
        if not isinstance(rows, np.ndarray) or not np.array_equal(np.asarray(before), rows):
            self._replace_rows(rows)
        empty = not self.model.rowCount()
        self.grid.setVisible(not empty)
        self.nothing.setVisible(empty)
        self.nothing.setText(self.tr("No image fits these filters."))
        self._tell_counts()

    def _replace_rows(self, rows: object) -> None:
        """Show other rows, as near to where the user was as can be."""
        current, top = self.grid.currentIndex().row(), self.grid.verticalScrollBar().value()
        self.model.set_rows(rows)
        self.grid.verticalScrollBar().setValue(top)
        if current >= 0 and self.model.rowCount():
            index = self.model.index(min(current, self.model.rowCount() - 1))
            self.grid.selectionModel().setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)

    def _show_problem(self, error: BaseException) -> None:
        if not isinstance(error, UserError):
            raise error
        self.filters.set_problem(str(error))
        self.model.set_rows(())
        self.grid.hide()
        self.nothing.setText(str(error))
        self.nothing.show()
        self._tell_counts()

    def _issue_changed(self, _place: object) -> None:
        issues = None if self.known is None else self.known.issues
        self.issue_chosen.emit(None if issues is None else issues.of_kind(self.issue))
        self.refilter()

    def _list_issues(self, kind: str = "") -> None:
        """List what was found; ``kind`` is what was chosen before and stays so where it is still there."""
        issues = None if self.known is None else self.known.issues
        found = () if issues is None else issues.found
        entries = [ClassCount(ALL, self.tr("All images"), 0 if self.opened is None else len(self.opened.images))]
        entries += [ClassCount(place, issue.title, len(issue.rows)) for place, issue in enumerate(found)]
        self.issues.set_entries(entries)
        kinds = [issue.kind for issue in found]
        self.issues.choose(kinds.index(kind) if kind in kinds else ALL, quietly=True)
        if bool(found) != self.issues.isVisibleTo(self):
            self.issues.setVisible(bool(found))
            self._left.setSizes([320, 240])

    def _count_all(self) -> None:
        assert self.opened is not None
        self.filters.set_counts([int((self.opened.splits == value).sum()) for value in range(3)])
        self._count_classes()

    def _count_classes(self) -> None:
        if self.opened is None:
            return
        images = self.opened.images
        counts = count_classes(self.opened, self.filters.split)
        entries = [ClassCount(ALL, self.tr("All classes"), int(counts.sum()))]
        entries += [ClassCount(i, printable(name), int(counts[i])) for i, name in enumerate(images.classes)]
        if counts[-1]:
            entries.append(ClassCount(UNLABELLED, self.tr("Without a class"), int(counts[-1])))
        self.classes.set_entries(entries)
        issues = None if self.known is None else self.known.issues
        tags = () if self.known is None else self.known.table.tags
        words = [f"class:{quoted(name)}" for name in images.classes[:200]]
        words += [f"tag:{quoted(word)}" for word in tags]
        words += [f"issue:{issue.kind}" for issue in issues or ()]
        self.filters.offer(words)

    def _tell_counts(self, *_selection: object) -> None:
        shown, selected = self.model.rowCount(), self.grid.count_selected()
        text = self.tr("1 image") if shown == 1 else self.tr("{n} images").format(n=f"{shown:,}")
        if selected > 1:
            text += self.tr(" · {n} selected").format(n=f"{selected:,}")
        self.filters.counts.setText(text)

    # Painting

    def _apply_zoom(self) -> None:
        side = self.filters.zoom.value()
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
        return side_for(self.filters.zoom.value() * self.devicePixelRatioF())

    def _paint_cell(self, painter: QPainter, cell: Cell) -> None:
        draw_ground(painter, cell)
        now, inner = theme.colors(), cell.rect.adjusted(MARGIN, MARGIN, -MARGIN, -MARGIN)
        picture = QRect(inner.left(), inner.top(), inner.width(), inner.height() - CAPTION)
        table = None if self.known is None else self.known.table
        out = table is not None and bool(table.excluded[cell.row])
        if self.store is not None:
            if out:
                painter.setOpacity(0.3)
            draw_thumbnail(painter, picture, self.store.get(cell.row, self._shown_side))
            painter.setOpacity(1.0)
        caption = QRect(inner.left() + 2, picture.bottom() + 1, inner.width() - 4, CAPTION)
        if out or (table is not None and table.edited[cell.row]):
            sign = theme.pixmap("prohibit" if out else "pencil-simple", _SIGN, now.error if out else now.accent)
            painter.drawPixmap(caption.right() - _SIGN + 1, caption.top() + (CAPTION - _SIGN) // 2, sign)
            caption.setRight(caption.right() - _SIGN - 4)
        painter.setFont(caption_font())
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
