"""The field of the form that shows the chosen backbone and opens the list of all. Costs the same for ten and for thousands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtGui import QEnterEvent, QFocusEvent, QIcon, QKeyEvent

from tlstudio.api.backbone import BackboneSpec
from tlstudio.gui import theme
from tlstudio.gui.widgets.backbone_chooser import BackboneChooser, Looked
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.choice_box import Choice, ChoiceBox
from tlstudio.gui.widgets.stage_look import count_text
from tlstudio.registry.backbones import Listed, all_sets, list_backbones

_LOOK_AFTER_MS = 50


class BackboneBox(ChoiceBox):
    """Looks like a list of choices; what opens is a dialog with a search. A name that no plugin offers is shown as it is."""

    def __init__(self) -> None:
        self._name = ""
        self._backbones: Mapping[str, BackboneSpec] = {}
        self._items: list[Listed] | None = None
        self._known: Looked | None = None
        self._looking: Task | None = None
        self._recent: Callable[[], Sequence[str]] = tuple
        self._here: bool | None = None
        self.chooser: BackboneChooser | None = None
        """The open dialog."""
        super().__init__([Choice(value="", title="")])
        theme.changed.connect(self._refresh)

    def set_backbones(self, backbones: Mapping[str, BackboneSpec]) -> None:
        """Offer these."""
        self._backbones, self._items, self._known = backbones, None, None
        self._refresh()

    def set_recent(self, recent: Callable[[], Sequence[str]]) -> None:
        """Ask for the names of those used last by this; it is called in another thread."""
        self._recent = recent

    def set_here(self, here: bool | None) -> None:
        """Whether weights of the chosen one are on this machine; ``None`` where that does not matter."""
        if here != self._here:
            self._here = here
            self._refresh()

    def value(self) -> Any:
        """The qualified name."""
        return self._name

    def set_value(self, value: Any) -> None:
        """Choose it."""
        name = "" if value is None else str(value)
        if name != self._name:
            self._name = name
            self._refresh()
            self.changed.emit()

    def showPopup(self) -> None:
        """Open the list."""
        self.open_chooser()

    def open_chooser(self, text: str = "") -> None:
        """Open the list, with this already searched for."""
        if self.chooser is not None or not self._backbones:
            return
        if self._items is None:
            self._items = list_backbones(self._backbones)
        self.chooser = BackboneChooser(self._items, self._name, self.window(), known=self._known)
        self.chooser.chosen.connect(self.set_value)
        self.chooser.finished.connect(self._closed)
        self.chooser.open_over(self.window(), text)
        QTimer.singleShot(_LOOK_AFTER_MS, self, self._look)  # not while it is drawn: both want Python

    def enterEvent(self, event: QEnterEvent) -> None:
        """Whoever points at it will want the list: look what is on this machine."""
        super().enterEvent(event)
        self._prepare()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """The same by keyboard."""
        super().focusInEvent(event)
        self._prepare()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter opens the list, and so does the beginning of a name."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Down):
            self.showPopup()
        elif event.text().strip() and event.text().isprintable() and not event.modifiers() & ~Qt.KeyboardModifier.ShiftModifier:
            self.open_chooser(event.text())
        else:
            super().keyPressEvent(event)

    def _prepare(self) -> None:
        if self._known is None and self.isEnabled():
            self._look()

    @Slot()
    def _look(self) -> None:
        """In the background, one look at a time."""
        if self._looking is None or not self._looking.running:
            backbones, recent = self._backbones, self._recent
            self._looking = run_in_background(self, lambda _task: (all_sets(backbones), tuple(recent())), done=self._looked)

    def _looked(self, found: Looked) -> None:
        if set(found[0]) == set(self._backbones):  # else plugins were loaded anew meanwhile
            self._known = found
            if self.chooser is not None:
                self.chooser.take(found)

    @Slot()
    def _closed(self) -> None:
        self.chooser = None
        self.setFocus()

    @Slot()
    def _refresh(self) -> None:
        spec = self._backbones.get(self._name)
        text = f"{spec.title} · {count_text(spec.params)}" if spec else self._name
        blocked = self.blockSignals(True)
        self.setItemText(0, text)
        sign = {True: "check-circle", False: "download-simple"}.get(self._here) if spec and self._here is not None else None
        icon = theme.icon(sign, theme.colors().muted) if sign else QIcon()
        self.setItemIcon(0, icon)
        self.blockSignals(blocked)
        self.setToolTip(self._tip(spec))
        self.setAccessibleDescription(self._tip(spec))

    def _tip(self, spec: BackboneSpec | None) -> str:
        lines = [spec.about if spec else "", self._name]
        if self._here is not None and spec:
            here = self.tr("Its weights are on this machine.")
            lines.append(here if self._here else self.tr("Its weights are not on this machine."))
        lines.append(self.tr("Click, or type a part of a name, to choose another."))
        return "\n".join(line for line in lines if line)
