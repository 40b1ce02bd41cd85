"""Actions as data: one record serves the menu, the keyboard and the command palette. Knows nothing of pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu

from tlstudio.gui import theme
from tlstudio.gui.widgets.first_paint import after_first_paint


def _always() -> bool:
    return True


@dataclass(frozen=True, kw_only=True)
class Action:
    """Something that the user can do.

    Args:
        id: stable, such as ``file.open``; the part before the dot is the menu.
        title: as in the menu, with ``…`` where it asks for more.
        keys: shortcuts, the first one is shown.
        icon: a name of the icon family, may be empty.
        tip: one sentence for the status bar and the palette.
        enabled: asked whenever something changed.
        run: does it.
        separated: a line above it in the menu.
    """

    id: str
    title: str
    run: Callable[[], object]
    keys: tuple[str, ...] = ()
    icon: str = ""
    tip: str = ""
    enabled: Callable[[], bool] = _always
    separated: bool = False


class ActionSet:
    """Turns records into `QAction` objects of a window, once each, and keeps them enabled as they say."""

    def __init__(self, window: QMainWindow, records: Iterable[Action]) -> None:
        self._window = window
        self.records = tuple(records)
        self._actions = {record.id: self._make(record) for record in self.records}
        after_first_paint(window, self._draw_icons)  # no menu is open before

    def __getitem__(self, key: str) -> QAction:
        """The action with this id."""
        return self._actions[key]

    def fill(self, menu: QMenu, prefix: str) -> None:
        """Put all actions with this beginning of their id into a menu."""
        for record in self.records:
            if record.id.startswith(prefix):
                if record.separated:
                    menu.addSeparator()
                menu.addAction(self._actions[record.id])
        menu.aboutToShow.connect(self.refresh)

    def refresh(self) -> None:
        """Ask every record whether it can be done now."""
        for record in self.records:
            self._actions[record.id].setEnabled(record.enabled())

    def _draw_icons(self) -> None:
        for record in self.records:
            if record.icon:
                theme.set_icon(self._actions[record.id], record.icon)

    def _make(self, record: Action) -> QAction:
        action = QAction(record.title, self._window)
        action.setShortcuts([QKeySequence(key) for key in record.keys])
        action.setStatusTip(record.tip)
        action.setToolTip(record.tip or record.title)
        action.triggered.connect(lambda _checked=False: record.run())
        self._window.addAction(action)
        return action


def matches(query: str, title: str) -> int | None:
    """How well a title fits what was typed: smaller is better, ``None`` for not at all.

    Whole words and beginnings come first; letters in order count as well, so that ``optr`` finds *Open training*.
    """
    wanted, text = query.casefold().strip(), title.casefold()
    if not wanted:
        return 0
    place = text.find(wanted)
    if place == 0:
        return 0
    if place > 0:
        return 1 if text[place - 1] == " " else 2
    position, gaps = -1, 0
    for letter in wanted:
        if letter == " ":
            continue
        found = text.find(letter, position + 1)
        if found < 0:
            return None
        gaps += found - position - 1
        position = found
    return 10 + gaps
