"""The grid: a million cells are as quick as a hundred, all of it by mouse and by keys."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QWheelEvent
from PySide6.QtWidgets import QApplication

from tlstudio.gui.widgets.cells import draw_ground
from tlstudio.gui.widgets.grid_view import GridView, RowsModel

MILLION = 1_000_000
SHIFT, CONTROL = Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier


class Painted:
    """Notes which rows were painted, and paints them in plain colours."""

    def __init__(self):
        self.rows = []

    def __call__(self, painter, cell):
        self.rows.append(cell.row)
        painter.fillRect(cell.rect.adjusted(8, 8, -8, -8), QColor.fromHsv(cell.row * 7 % 360, 200, 200))
        draw_ground(painter, cell)


@pytest.fixture
def painted():
    return Painted()


@pytest.fixture
def grid(qtbot, painted):
    """A million cells of 100 pixels, 6 beside each other and 4 lines in sight."""
    grid = GridView(painted)
    qtbot.addWidget(grid)
    model = RowsModel(str, grid)
    grid.setModel(model)
    grid.set_cell(100, 100)
    grid.resize(612, 400)
    with qtbot.waitExposed(grid):
        grid.show()
    model.set_rows(range(MILLION))
    grid.setFocus()
    qtbot.waitUntil(lambda: painted.rows != [] and grid.columns() == 6)
    return grid


def quick(act):
    """Within a tenth of a second of this thread's own time, which a walk through a million cells would exceed."""
    began = time.thread_time()
    act()
    assert time.thread_time() - began < 0.1


def click(qtbot, grid, position, modifiers=Qt.KeyboardModifier.NoModifier):
    at = grid.visualRect(grid.model().index(position, 0)).center()
    qtbot.mouseClick(grid.viewport(), Qt.MouseButton.LeftButton, modifiers, at)


def test_selecting_a_million_is_as_quick_as_selecting_one(qtbot, grid):
    quick(lambda: qtbot.keyClick(grid, Qt.Key.Key_A, CONTROL))
    assert grid.count_selected() == MILLION
    quick(lambda: grid.viewport().repaint())
    quick(lambda: click(qtbot, grid, 3, CONTROL))
    assert grid.count_selected() == MILLION - 1
    assert [(part.start, part.stop) for part in grid.selected_ranges()] == [(0, 3), (4, MILLION)]


def test_shift_extends_from_the_first_to_the_last_in_reading_order(qtbot, grid):
    click(qtbot, grid, 4)
    click(qtbot, grid, 13, SHIFT)
    assert grid.selected() == list(range(4, 14))
    qtbot.keyClick(grid, Qt.Key.Key_Right, SHIFT)
    assert grid.selected() == list(range(4, 15))
    qtbot.keyClick(grid, Qt.Key.Key_Up, SHIFT)
    assert grid.selected() == list(range(4, 9))
    click(qtbot, grid, 1, SHIFT)
    assert grid.selected() == [1, 2, 3, 4]


def test_shift_and_end_select_to_the_end_at_once(qtbot, grid):
    click(qtbot, grid, 10)
    quick(lambda: qtbot.keyClick(grid, Qt.Key.Key_End, SHIFT))
    assert grid.count_selected() == MILLION - 10
    assert grid.currentIndex().row() == MILLION - 1


def test_dragging_selects_what_lies_between(qtbot, grid):
    first, last = (grid.visualRect(grid.model().index(i, 0)).center() for i in (1, 9))
    qtbot.mousePress(grid.viewport(), Qt.MouseButton.LeftButton, pos=first)
    qtbot.mouseMove(grid.viewport(), first + QPoint(30, 30))
    qtbot.mouseMove(grid.viewport(), last)
    qtbot.mouseRelease(grid.viewport(), Qt.MouseButton.LeftButton, pos=last)
    assert grid.selected() == list(range(1, 10))


@pytest.mark.parametrize(
    ("key", "leads_to"),
    [(Qt.Key.Key_Right, 9), (Qt.Key.Key_Left, 7), (Qt.Key.Key_Down, 14), (Qt.Key.Key_Up, 2), (Qt.Key.Key_PageDown, 32),
     (Qt.Key.Key_Home, 0), (Qt.Key.Key_End, MILLION - 1)],
)  # fmt: skip
def test_keys_lead_everywhere_and_what_they_lead_to_is_in_sight(qtbot, grid, key, leads_to):
    grid.go_to(8)
    qtbot.keyClick(grid, key)
    assert grid.currentIndex().row() == leads_to
    assert leads_to in grid.visible()
    assert grid.viewport().rect().contains(grid.visualRect(grid.currentIndex()))
    assert grid.accessibleDescription() == str(leads_to)


@pytest.mark.parametrize("key", [Qt.Key.Key_Space, Qt.Key.Key_Return])
def test_space_and_enter_open_a_cell(qtbot, grid, key):
    grid.go_to(5)
    with qtbot.waitSignal(grid.opened) as opened:
        qtbot.keyClick(grid, key)
    assert opened.args == [5]


def test_a_notch_of_the_wheel_paints_only_what_comes_into_sight(qtbot, grid, painted):
    painted.rows.clear()
    bar = grid.verticalScrollBar()
    before = bar.value()
    _wheel(grid, -120)
    moved = bar.value() - before
    assert moved > 0
    qtbot.waitUntil(lambda: painted.rows != [])
    assert set(painted.rows) >= set(range(4 * 6, 5 * 6))
    assert not set(painted.rows) & set(range(1 * 6, 3 * 6))  # the first line may: there the pointer is


def test_what_scrolling_moves_looks_as_if_painted_anew(qtbot, grid, painted):
    for delta in (-120, -240, 120):
        _wheel(grid, delta)
        QApplication.processEvents()
    after_scrolling = grid.viewport().grab().toImage()
    grid.viewport().repaint()
    assert grid.viewport().grab().toImage() == after_scrolling


def test_the_screen_ahead_is_wanted_after_what_is_in_sight(grid):
    bar = grid.verticalScrollBar()
    bar.setValue(50_000)
    assert grid.wanted()[: len(grid.visible())] == list(grid.visible())
    assert grid.wanted()[-1] >= grid.visible().stop + 4 * 6 - 6
    bar.setValue(49_900)
    assert grid.wanted()[-1] < grid.visible().start - 3 * 6
    assert grid.wanted()[len(grid.visible())] == grid.visible().start - 1


def test_new_thumbnails_repaint_their_own_cells_only(qtbot, grid, painted):
    qtbot.waitUntil(lambda: len(set(painted.rows)) >= 24)
    QApplication.processEvents()
    painted.rows.clear()
    grid.repaint_rows(frozenset({7, 500_000}))
    qtbot.waitUntil(lambda: painted.rows != [])
    assert painted.rows == [7]


def test_a_screen_of_very_many_cells_is_painted_in_turns(qtbot, grid, painted, monkeypatch):
    monkeypatch.setattr("tlstudio.gui.widgets.grid_view._PAINT_SECONDS", 0.0)
    grid._paint_cell = lambda painter, cell: (time.sleep(0.001), painted(painter, cell))
    monkeypatch.setattr("tlstudio.gui.widgets.grid_view._PAINT_SECONDS", 0.005)
    painted.rows.clear()
    grid.viewport().repaint()
    assert 0 < len(painted.rows) < 24
    qtbot.waitUntil(lambda: set(range(24)) <= set(painted.rows))


def _wheel(grid, delta):
    at = QPointF(grid.viewport().rect().center())
    event = QWheelEvent(at, grid.viewport().mapToGlobal(at), QPoint(), QPoint(0, delta), Qt.MouseButton.NoButton,
                        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)  # fmt: skip
    QApplication.sendEvent(grid.viewport(), event)
