"""The stage strip: the network as a row of stages and its head, frozen ones in ice blue, learning ones in warm orange.

Draws `StageState` records; brightness is the learning-rate factor, a hatch says "frozen" without colour. Where it may be
edited, it tells the changes that the user draws as `StageEdit` records and leaves it to others to make them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import (
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QWheelEvent,
)
from PySide6.QtWidgets import QMenu, QSizePolicy, QToolTip, QWidget

from tlstudio.api.events import StageState
from tlstudio.gui import theme
from tlstudio.gui.widgets.stage_look import HEAD, count_text, name_of
from tlstudio.gui.widgets.stage_paint import paint_stage

Kind = Literal["freeze", "thaw", "factor", "levels"]
_GAP = 4
_HEIGHT = 72
_FAR = 8  # pixels from which on a press becomes a drag
_LEVEL = 14  # pixels of a drag up or down for one level of the factor
_NOTCH = 120
_FACTORS = (1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001)


@dataclass(frozen=True, kw_only=True)
class StageEdit:
    """A change that was drawn.

    Args:
        stages: the names of those that change.
        kind: freeze; thaw at the factor that suits; set the factor; go ``levels`` up or down.
        factor: to set.
        levels: counted from the factor that the first stage had when the gesture began.
        gesture: a number; a later edit of the same gesture replaces the earlier one.
    """

    stages: tuple[str, ...]
    kind: Kind
    factor: float = 0.0
    levels: int = 0
    gesture: int = 0


class StageStrip(QWidget):
    """A row of boxes; hover, or Tab and the arrow keys, tell more about each."""

    stage_clicked = Signal(object)
    """str: the name of a stage that was clicked or chosen with the keyboard."""
    edited = Signal(object)
    """StageEdit: the user wants this; only where editing is on."""
    layers_wanted = Signal(object)
    """str: the user wants to see the layers of this stage."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stages: tuple[StageState, ...] = ()
        self._placeholder = ""
        self._current = -1
        self._editable = False
        self._gesture = 0
        self._press: tuple[QPointF, int, StageState] | None = None
        self._last: StageEdit | None = None
        self._notches = 0
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(_HEIGHT)
        self.setMouseTracking(True)
        self.setAccessibleName(self.tr("Stages of the network"))
        theme.changed.connect(self._restyle)

    @property
    def stages(self) -> tuple[StageState, ...]:
        """What is drawn, the head last."""
        return self._stages

    def set_stages(self, stages: Sequence[StageState]) -> None:
        """Draw these stages; a head that learns at full rate is added where the last one is not the head already."""
        wanted = tuple(stages)
        if wanted and wanted[-1].name != HEAD:
            wanted = (*wanted, StageState(name=HEAD, params=0, factor=1.0))
        if wanted == self._stages:
            return
        self._stages = wanted
        self._current = min(self._current, len(wanted) - 1)
        self.setAccessibleDescription("; ".join(self.describe(stage) for stage in wanted))
        self.update()

    @property
    def editable(self) -> bool:
        """Whether the user may change what learns."""
        return self._editable

    def set_editable(self, editable: bool) -> None:
        """Let the user change what learns, or only look."""
        self._editable = editable
        if not editable:
            self._press = None

    def set_placeholder(self, text: str) -> None:
        """One sentence shown while there are no stages yet."""
        self._placeholder = text
        self.update()

    def describe(self, stage: StageState) -> str:
        """One sentence about a stage, for the tooltip and for screen readers."""
        name = name_of(stage)
        factor = f"{stage.factor:.3g}"
        if stage.factor == 0.0:
            state = self.tr("frozen: it stays as it is")
        elif stage.within == "all":
            state = self.tr("learns at {factor} times the learning rate").format(factor=factor)
        else:
            part = {
                "norm": self.tr("only norms learn, at {factor} times the learning rate"),
                "bias": self.tr("only biases learn, at {factor} times the learning rate"),
            }.get(stage.within, self.tr("an adapter learns beside frozen weights, at {factor} times the learning rate"))
            state = part.format(factor=factor)
        text = f"{name}: {state}"
        if stage.params:
            text += self.tr(", {n} parameters").format(n=count_text(stage.params))
        if 0 < stage.trainable_params < stage.params:
            text += self.tr(", {n} of them learn").format(n=count_text(stage.trainable_params))
        return text

    def rectangles(self) -> list[QRectF]:
        """Where each stage is drawn. Widths grow with the logarithm of the parameters, so that small stages stay visible."""
        if not self._stages:
            return []
        room = self.width() - _GAP * (len(self._stages) - 1)
        weights = [1.0 + 0.25 * math.log10(max(stage.params, 1) / 1000 + 1) for stage in self._stages]
        left, result = 0.0, []
        for weight in weights:
            width = room * weight / sum(weights)
            result.append(QRectF(left, 0.5, width, self.height() - 1.0))
            left += width + _GAP
        return result

    def sizeHint(self) -> QSize:
        """A band over the plots."""
        return QSize(480, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        """Even the deepest network has a place."""
        return QSize(200, _HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the row, or the placeholder."""
        painter = QPainter(self)
        now = theme.colors()
        if not self._stages:
            painter.setPen(QPen(now.line))
            painter.drawRoundedRect(QRectF(0.5, 0.5, self.width() - 1, self.height() - 1), 4, 4)
            painter.setPen(now.muted)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self._placeholder)
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for index, (stage, box) in enumerate(zip(self._stages, self.rectangles(), strict=True)):
            paint_stage(painter, stage, box, marked=index == self._current and self.hasFocus())

    def event(self, event: QEvent) -> bool:
        """Tooltips belong to the stage under the mouse."""
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            index = self._index_at(event.pos().x())
            if index >= 0:
                QToolTip.showText(event.globalPos(), self.describe(self._stages[index]), self)
            else:
                QToolTip.hideText()
            return True
        return super().event(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the stage under the mouse; what becomes of it is decided when the mouse moves or is released."""
        index = self._index_at(int(event.position().x()))
        if index < 0 or event.button() != Qt.MouseButton.LeftButton:
            return
        self._choose(index)
        if self._editable:
            self._press, self._last = (event.position(), index, self._stages[index]), None
            self._gesture += 1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A drag sideways gives the stages that it passes the state of the first; one up or down changes the factor."""
        self._point_at(event.position())
        if self._press is None:
            return
        start, index, was = self._press
        here = self._index_at(int(event.position().x()))
        up = start.y() - event.position().y()
        if self._last is not None and self._last.kind == "levels":
            self._drag_factor(index, up)
        elif here not in (-1, index) or (self._last is not None and here >= 0):
            copy = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._drag_over(index, here, was, copy=copy)
        elif abs(up) >= _FAR and self._last is None and self._can_edit(index):
            self._drag_factor(index, up)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Without a drag it was a click: frozen learns, learning freezes; but the head always learns."""
        if self._press is None or event.button() != Qt.MouseButton.LeftButton:
            return
        _, index, was = self._press
        if self._last is None and self._can_edit(index):
            self._toggle((index,), was)
        self._press = self._last = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Two quick clicks are two clicks."""
        self.mousePressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """With Ctrl a notch is one level of the factor."""
        index = self._index_at(int(event.position().x()))
        if not (event.modifiers() & Qt.KeyboardModifier.ControlModifier) or not self._can_edit(index):
            event.ignore()
            return
        self._notches += event.angleDelta().y()
        levels, self._notches = int(self._notches / _NOTCH), math.fmod(self._notches, _NOTCH)
        if levels:
            self._one_edit("levels", index, levels=levels)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """All that a stage can be set to, and its layers."""
        by_key = event.reason() == QContextMenuEvent.Reason.Keyboard
        index = self._current if by_key else self._index_at(event.pos().x())
        if not 0 <= index < len(self._stages):
            return
        place = self.mapToGlobal(self.rectangles()[index].bottomLeft().toPoint()) if by_key else event.globalPos()
        menu = self.menu_for(index)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(place)

    def menu_for(self, index: int) -> QMenu:
        """The context menu of a stage."""
        menu, stage = QMenu(self), self._stages[index]
        if self._can_edit(index):
            for factor in (0.0, *_FACTORS):
                text = self.tr("Freeze") if factor == 0.0 else self.tr("Learn at × {factor}").format(factor=f"{factor:g}")
                action = menu.addAction(text)
                action.setCheckable(True)
                action.setChecked(stage.factor == factor)
                kind = "factor" if factor else "freeze"
                action.triggered.connect(lambda _on=False, kind=kind, f=factor: self._one_edit(kind, index, factor=f))
            menu.addSeparator()
        menu.addAction(self.tr("Show its layers")).triggered.connect(lambda _on=False: self.layers_wanted.emit(stage.name))
        return menu

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right go from stage to stage; Space freezes and thaws, up and down change the factor, Enter shows layers."""
        key = Qt.Key(event.key())
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(key, 0)
        level = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1}.get(key, 0)
        if step and self._stages:
            self._choose(max(0, min(len(self._stages) - 1, self._current + step)))
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._current >= 0:
            self.layers_wanted.emit(self._stages[self._current].name)
            return
        elif key == Qt.Key.Key_Space and self._can_edit(self._current):
            self._gesture += 1
            self._toggle((self._current,), self._stages[self._current])
        elif level and self._can_edit(self._current):
            self._one_edit("levels", self._current, levels=level)
        else:
            super().keyPressEvent(event)
            return
        box = self.rectangles()[self._current]
        QToolTip.showText(self.mapToGlobal(box.bottomLeft().toPoint()), self.describe(self._stages[self._current]), self)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Show where the keyboard is."""
        super().focusInEvent(event)
        if self._current < 0 and self._stages:
            self._current = 0
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the mark away."""
        super().focusOutEvent(event)
        self.update()

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        self.update()

    def _choose(self, index: int) -> None:
        self._current = index
        self.update()
        self.stage_clicked.emit(self._stages[index].name)

    def _can_edit(self, index: int) -> bool:
        return self._editable and 0 <= index < len(self._stages) and self._stages[index].name != HEAD

    def _point_at(self, position: QPointF) -> None:
        on_stage = self._can_edit(self._index_at(int(position.x())))
        self.setCursor(Qt.CursorShape.PointingHandCursor if on_stage else Qt.CursorShape.ArrowCursor)

    def _toggle(self, indices: Sequence[int], was: StageState) -> None:
        self._edit("thaw" if was.factor == 0.0 else "freeze", indices)

    def _drag_over(self, first: int, here: int, was: StageState, *, copy: bool) -> None:
        low, high = sorted((first, here))
        passed = [index for index in range(low, high + 1) if self._can_edit(index)]
        passed.sort(key=lambda index: abs(index - first))
        if was.name == HEAD and not copy:
            self._edit("thaw", passed)
        elif not copy:
            self._toggle(passed, was)
        elif was.factor == 0.0:
            self._edit("freeze", passed)
        else:
            self._edit("factor", passed, factor=was.factor)

    def _drag_factor(self, index: int, up: float) -> None:
        levels = int(up / _LEVEL) or (1 if up >= _FAR else -1 if up <= -_FAR else 0)
        self._edit("levels", (index,), levels=levels)

    def _one_edit(self, kind: Kind, index: int, **values: float) -> None:
        self._gesture += 1
        self._edit(kind, (index,), **values)
        self._last = None

    def _edit(self, kind: Kind, indices: Sequence[int], **values: float) -> None:
        names = tuple(self._stages[index].name for index in indices)
        edit = StageEdit(stages=names, kind=kind, gesture=self._gesture, **values)
        if edit != self._last:
            self._last = edit
            self.edited.emit(edit)

    def _index_at(self, x: int) -> int:
        return next((i for i, box in enumerate(self.rectangles()) if box.left() <= x <= box.right()), -1)
