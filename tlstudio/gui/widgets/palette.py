"""The command palette: type a few letters of any action, Enter runs it. Everything that is in a menu is here."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.actions import Action, matches


class CommandPalette(QDialog):
    """A frameless dialog at the top of its window."""

    def __init__(self, actions: Sequence[Action], parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._width = 480
        self._actions = [action for action in actions if action.enabled()]
        self.setObjectName("palette")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAccessibleName(self.tr("Command palette"))
        self.edit = QLineEdit(placeholderText=self.tr("What do you want to do?"), clearButtonEnabled=True)
        self.edit.setAccessibleName(self.tr("Search for an action"))
        self.edit.installEventFilter(self)
        self.edit.textChanged.connect(self._fill)
        self.edit.returnPressed.connect(self._run)
        self.list = QListWidget(uniformItemSizes=True)
        self.list.setAccessibleName(self.tr("Actions"))
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.itemClicked.connect(lambda _item: self._run())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.edit)
        layout.addWidget(self.list)
        self._fill("")

    def open_at_top(self) -> None:
        """Show it in the upper middle of the window."""
        window = self.parentWidget()
        width = min(72 * theme.GRID, window.width() - 32)
        self._width = width
        self.resize(width, self.height())
        corner = window.mapToGlobal(window.rect().topLeft())
        self.move(corner.x() + (window.width() - width) // 2, corner.y() + 56)
        self.show()
        self.edit.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows move in the list while typing goes on."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}.get(
                Qt.Key(event.key())
            )
            if step is not None and self.list.count():
                row = max(0, min(self.list.count() - 1, self.list.currentRow() + step))
                self.list.setCurrentRow(row)
                return True
        return super().eventFilter(watched, event)

    def _fill(self, query: str) -> None:
        self.list.clear()
        found = [(score, i) for i, action in enumerate(self._actions) if (score := matches(query, _title(action))) is not None]
        for _, i in sorted(found):
            action = self._actions[i]
            item = QListWidgetItem(self.list)
            item.setData(Qt.ItemDataRole.UserRole, i)
            item.setData(Qt.ItemDataRole.AccessibleTextRole, _title(action))
            row = _Row(action)
            item.setSizeHint(row.sizeHint())
            self.list.setItemWidget(item, row)
        self.list.setCurrentRow(0)
        rows = max(1, min(12, self.list.count()))
        self.list.setFixedHeight(rows * max(24, self.list.sizeHintForRow(0)) + 4)
        self.adjustSize()
        self.resize(self._width, self.height())

    def _run(self) -> None:
        item = self.list.currentItem()
        if item is None:
            return
        action = self._actions[item.data(Qt.ItemDataRole.UserRole)]
        self.close()
        action.run()


class _Row(QWidget):
    def __init__(self, action: Action) -> None:
        super().__init__()
        picture = QLabel()
        picture.setFixedSize(theme.ICON, theme.ICON)
        if action.icon:
            theme.set_icon(picture, action.icon, "muted")
        keys = QLabel(QKeySequence(action.keys[0]).toString(QKeySequence.SequenceFormat.NativeText) if action.keys else "")
        keys.setProperty("role", "caption")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 5, 8, 5)
        layout.setSpacing(theme.GRID)
        layout.addWidget(picture)
        layout.addWidget(QLabel(_title(action)), 1)
        layout.addWidget(keys)


def _title(action: Action) -> str:
    return action.title.replace("&", "")
