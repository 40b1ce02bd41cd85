"""The large view of one image: the whole of it on a quiet ground, with its name, size, class and split. Arrows go on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPixmap
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from tlstudio.api.errors import ImageError
from tlstudio.gui import theme
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.cells import draw_picture
from tlstudio.gui.widgets.thumbnails import Thumbnail, to_qimage

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class About:
    """What is told of an image: its name and a line of facts."""

    name: str
    facts: tuple[str, ...]


class Viewer(QWidget):
    """Shows the image at a position of a list. ``load(position)`` runs in the background; ``about(position)`` must be quick."""

    closed = Signal()
    moved = Signal(object)
    """int: the position now shown."""

    def __init__(
        self,
        load: Callable[[int], Image],
        about: Callable[[int], About],
        preview: Callable[[int], Thumbnail | None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._load, self._about, self._preview = load, about, preview
        self._position, self._count = 0, 0
        self._task: Task | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.picture = _Picture()
        self._name = QLabel(textFormat=Qt.TextFormat.PlainText)
        self._name.setProperty("role", "section")
        self._name.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._name.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._facts = QLabel(textFormat=Qt.TextFormat.PlainText)
        self._facts.setProperty("role", "muted")
        self._place = QLabel()
        self._place.setProperty("role", "muted")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._header())
        line = QFrame()
        line.setProperty("line", True)
        line.setFixedHeight(1)
        layout.addWidget(line)
        layout.addWidget(self.picture, 1)

    def _header(self) -> QHBoxLayout:
        header = QHBoxLayout()
        header.setContentsMargins(8, 6, 16, 6)
        header.setSpacing(theme.GRID)
        for icon, tip, run in (
            ("arrow-left", self.tr("Back to all images (Esc)"), self.close_view),
            ("caret-left", self.tr("Previous image (Left)"), lambda: self.step(-1)),
            ("caret-right", self.tr("Next image (Right)"), lambda: self.step(1)),
        ):
            button = QToolButton(toolTip=tip)
            button.setAccessibleName(tip)
            button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            theme.set_icon(button, icon)
            button.clicked.connect(run)
            header.addWidget(button)
        header.addWidget(self._name)
        header.addWidget(self._facts, 1)
        header.addWidget(self._place)
        return header

    def show_image(self, position: int, count: int) -> None:
        """Show the image at this position of ``count``."""
        self._position, self._count = position, count
        about = self._about(position)
        self._name.setText(about.name)
        self._say(about, None)
        self._place.setText(self.tr("{i} of {n}").format(i=f"{position + 1:,}", n=f"{count:,}"))
        preview = self._preview(position)
        self.picture.set_thumbnail(preview)
        if self._task is not None:
            self._task.cancel()
        self._task = run_in_background(self, lambda _task: to_qimage(self._load(position)), done=self._show, failed=self._fail)
        self.setAccessibleName(about.name)

    def step(self, step: int) -> None:
        """Go on, or back."""
        position = self._position + step
        if 0 <= position < self._count:
            self.show_image(position, self._count)
            self.moved.emit(position)

    def close_view(self) -> None:
        """Back to where it came from."""
        if self._task is not None:
            self._task.cancel()
        self.closed.emit()

    def position(self) -> int:
        """The position now shown."""
        return self._position

    def text(self) -> str:
        """Name and facts as shown."""
        return f"{self._name.text()} {self._facts.text()}"

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows, Home, End; Esc, Space and Enter go back."""
        keys = Qt.Key
        step = {keys.Key_Left: -1, keys.Key_Up: -1, keys.Key_Right: 1, keys.Key_Down: 1}.get(keys(event.key()))
        if step is not None:
            self.step(step)
        elif event.key() == keys.Key_Home:
            self.step(-self._position)
        elif event.key() == keys.Key_End:
            self.step(self._count - 1 - self._position)
        elif event.key() in {keys.Key_Escape, keys.Key_Space, keys.Key_Return, keys.Key_Enter}:
            self.close_view()
        else:
            super().keyPressEvent(event)

    def _show(self, image: object) -> None:
        pixmap = QPixmap.fromImage(image)
        self.picture.set_pixmap(pixmap)
        self._say(self._about(self._position), pixmap)

    def _fail(self, error: BaseException) -> None:
        reason = error.title if isinstance(error, ImageError) else str(error)
        self.picture.set_reason(self.tr("This image cannot be read: {reason}").format(reason=reason))

    def _say(self, about: About, pixmap: QPixmap | None) -> None:
        size = () if pixmap is None else (f"{pixmap.width():,} × {pixmap.height():,} px",)
        self._facts.setText("  ·  ".join((*about.facts, *size)))


class _Picture(QWidget):
    def __init__(self) -> None:
        super().__init__()
        self._pixmap, self._whole, self._reason = QPixmap(), True, ""
        theme.changed.connect(self._repaint)

    def set_thumbnail(self, thumbnail: Thumbnail | None) -> None:
        self._reason = ""
        self._pixmap, self._whole = (QPixmap(), True) if thumbnail is None else (thumbnail.pixmap, thumbnail.whole)
        self.update()

    def set_pixmap(self, pixmap: QPixmap) -> None:
        self._pixmap, self._whole, self._reason = pixmap, True, ""
        self.update()

    def set_reason(self, reason: str) -> None:
        self._pixmap, self._reason = QPixmap(), reason
        self.setAccessibleDescription(reason)
        self.update()

    def reason(self) -> str:
        return self._reason

    def has_picture(self) -> bool:
        return not self._pixmap.isNull() and self._whole

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        now = theme.colors()
        painter.fillRect(self.rect(), theme.mix(now.base, now.raised, 0.6))
        if self._reason:
            painter.setPen(now.error)
            painter.drawText(
                self.rect().adjusted(32, 32, -32, -32), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._reason
            )
            return
        draw_picture(painter, self.rect().adjusted(16, 16, -16, -16), self._pixmap, whole=self._whole)

    def _repaint(self, _colors: object) -> None:
        self.update()
