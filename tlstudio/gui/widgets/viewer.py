"""The large view of one image: name, size, class and split above it, position and value at the pointer below. Arrows go on.

The neighbours of what is shown are loaded ahead. A 16-bit grey picture gets a control of which greys are shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QSize, Qt, Signal, Slot
from PySide6.QtGui import QImage, QKeyEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from tlstudio.api.errors import ImageError
from tlstudio.gui import theme
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.cells import draw_text
from tlstudio.gui.widgets.levels import FULL, LevelsBar, apply_range, auto_range
from tlstudio.gui.widgets.picture import Picture, make_levels
from tlstudio.gui.widgets.thumbnails import Thumbnail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_MAX_AHEAD = 160 * 2**20
"""Bytes of a decoded picture beyond which its neighbours are not loaded ahead."""
_PAN = 64


@dataclass(frozen=True)
class About:
    """What is told of an image: its name and a line of facts."""

    name: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class _Loaded:
    """A picture ready to be shown, its 16-bit greys and their range, or the reason why there is none."""

    levels: tuple[QImage, ...] = ()
    greys: NDArray[np.uint16] | None = None
    shown: tuple[int, int] = FULL
    reason: str = ""


class Viewer(QWidget):
    """Shows the image at a position of a list.

    Args:
        load: ``load(position)``: the image; runs in the background.
        about: ``about(position)``: must be quick.
        preview: ``preview(position)``: a thumbnail to show meanwhile.
        greys: ``greys(position)``: the pixels of a 16-bit grey picture, ``None`` for others; runs in the background.
    """

    closed = Signal()
    moved = Signal(object)
    """int: the position now shown."""

    def __init__(
        self,
        load: Callable[[int], Image],
        about: Callable[[int], About],
        preview: Callable[[int], Thumbnail | None],
        parent: QWidget | None = None,
        *,
        greys: Callable[[int], NDArray[np.uint16] | None] = lambda _position: None,
    ) -> None:
        super().__init__(parent)
        self._load, self._about, self._preview, self._greys = load, about, preview, greys
        self._position, self._count, self._direction = 0, 0, 1
        self._loaded: dict[int, _Loaded] = {}
        self._tasks: dict[int, Task] = {}
        self._shading: Task | None = None
        self._shade_again = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.picture = Picture()
        self.picture.pointed.connect(self._tell_pixel)
        self.picture.zoomed.connect(self._tell_zoom)
        self.levels = LevelsBar()
        self.levels.changed.connect(self._shade)
        self.levels.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(self._header())
        layout.addWidget(_line())
        layout.addWidget(self.picture, 1)
        layout.addWidget(_line())
        layout.addWidget(self.levels)
        layout.addLayout(self._status())

    # Going from image to image

    def show_image(self, position: int, count: int) -> None:
        """Show the image at this position of ``count``; the list may have changed."""
        self._forget(set())
        self._count = count
        self._go(position)

    def step(self, step: int) -> None:
        """Go on, or back."""
        position = self._position + step
        if 0 <= position < self._count:
            self._direction = 1 if step > 0 else -1
            self._go(position)
            self.moved.emit(position)

    def close_view(self) -> None:
        """Back to where it came from."""
        self._forget(set())
        self.closed.emit()

    def position(self) -> int:
        """The position now shown."""
        return self._position

    def text(self) -> str:
        """Name and facts as shown."""
        return f"{self._name.text()} {self._facts.text()}"

    def _go(self, position: int) -> None:
        self._position = position
        self._forget({position - 1, position, position + 1})
        about = self._about(position)
        self._name.setText(about.name)
        self._place.setText(self.tr("{i} of {n}").format(i=f"{position + 1:,}", n=f"{self._count:,}"))
        self.setAccessibleName(about.name)
        if position in self._loaded:
            self._show()
            return
        self._say(about)
        self.picture.set_preview(self._preview(position))
        self._fetch(position)

    def _forget(self, but: set[int]) -> None:
        for position in self._tasks.keys() - but:
            self._tasks.pop(position).cancel()
        for position in self._loaded.keys() - but:
            del self._loaded[position]

    def _fetch(self, position: int) -> None:
        if not 0 <= position < self._count or position in self._loaded or position in self._tasks:
            return
        automatic, shown = self.levels.auto.isChecked(), self.levels.values()

        def work(_task: Task) -> _Loaded:
            image = self._load(position)
            greys = self._greys(position)
            if greys is None:
                return _Loaded(make_levels(image))
            return _shaded(greys, auto_range(greys) if automatic else shown)

        def failed(error: BaseException) -> None:
            reason = error.title if isinstance(error, ImageError) else str(error) or type(error).__name__
            self._arrive(position, _Loaded(reason=reason))

        self._tasks[position] = run_in_background(self, work, done=lambda new: self._arrive(position, new), failed=failed)

    def _arrive(self, position: int, new: _Loaded) -> None:
        self._tasks.pop(position, None)
        self._loaded[position] = new
        if position == self._position:
            self._show()
        else:
            self._fetch_neighbours()

    def _show(self) -> None:
        new = self._loaded[self._position]
        if new.reason:
            self.picture.set_reason(self.tr("This image cannot be read: {reason}").format(reason=new.reason))
        else:
            self.picture.set_levels(new.levels, keep_view=not self.picture.is_fitted())
        self.levels.setVisible(new.greys is not None)
        if new.greys is not None and new.shown != self.levels.values():
            if self.levels.auto.isChecked():
                self.levels.set_range(*new.shown)
            else:
                self._shade()
        self._say(self._about(self._position))
        self._fetch_neighbours()

    def _fetch_neighbours(self) -> None:
        """One after the other, first the one that the next arrow key is likely to ask for."""
        here = self._loaded.get(self._position)
        if here is None or sum(level.sizeInBytes() for level in here.levels) > _MAX_AHEAD:
            return
        for position in (self._position + self._direction, self._position - self._direction):
            if 0 <= position < self._count and position not in self._loaded:
                self._fetch(position)
                return

    # 16-bit greys

    @Slot()
    def _shade(self) -> None:
        """Show another range of greys; while one is being made, only the last one asked for is made next."""
        position = self._position
        here = self._loaded.get(position)
        if here is None or here.greys is None:
            return
        if self._shading is not None and self._shading.running:
            self._shade_again = True
            return
        greys, automatic, shown = here.greys, self.levels.auto.isChecked(), self.levels.values()

        def work(_task: Task) -> _Loaded:
            return _shaded(greys, auto_range(greys) if automatic else shown)

        self._shade_again = False
        self._shading = run_in_background(self, work, done=lambda new: self._shade_done(position, new))

    def _shade_done(self, position: int, new: _Loaded) -> None:
        if self._shade_again or position != self._position:
            self._shade()
        if position != self._position:
            return
        self._forget({position})  # the neighbours were made for the range before
        self._loaded[position] = new
        if not self._shade_again and new.shown != self.levels.values() and self.levels.auto.isChecked():
            self.levels.set_range(*new.shown)
        self.picture.set_levels(new.levels, keep_view=True)
        self._fetch_neighbours()

    # Words

    def _say(self, about: About) -> None:
        size = self.picture.picture_size() if self._position in self._loaded and self.picture.has_picture() else None
        facts = [] if size is None else [f"{size.width():,} × {size.height():,} px"]
        here = self._loaded.get(self._position)
        if here is not None and here.greys is not None:
            facts.append(self.tr("16 bit"))
        text = "  ·  ".join((*facts, *about.facts))
        self._facts.setText(text)
        self._facts.setToolTip(text)

    @Slot(object)
    def _tell_pixel(self, pixel: QPoint | None) -> None:
        here = self._loaded.get(self._position)
        if pixel is None or here is None or not self.picture.has_picture():
            self._pixel.setText("")
            return
        if here.greys is not None:
            value = self.tr("grey {value}").format(value=f"{int(here.greys[pixel.y(), pixel.x()]):,}")
        else:
            red, green, blue, _ = self.picture.color_at(pixel).getRgb()
            value = self.tr("R {r}  G {g}  B {b}").format(r=red, g=green, b=blue)
        self._pixel.setText(self.tr("x {x}  y {y}").format(x=f"{pixel.x():,}", y=f"{pixel.y():,}") + f"   {value}")

    @Slot()
    def _tell_zoom(self) -> None:
        percent = 100 * self.picture.zoom()
        figures = f"{percent:,.0f}" if percent >= 10 else f"{percent:.1f}"
        self._zoom.setText(self.tr("{n} %").format(n=figures) if self.picture.has_picture() else "")

    # Keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Arrows, Home and End go on; + - F Z zoom (digits label); Shift and arrows pan; Esc, Space and Enter go back."""
        keys, key = Qt.Key, Qt.Key(event.key())
        ways = {keys.Key_Left: (-1, 0), keys.Key_Up: (0, -1), keys.Key_Right: (1, 0), keys.Key_Down: (0, 1)}
        if key in ways:
            across, down = ways[key]
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self.picture.pan(-_PAN * across, -_PAN * down)
            else:
                self.step(across + down)
        elif key in {keys.Key_PageUp, keys.Key_PageDown}:
            self.step(1 if key == keys.Key_PageDown else -1)
        elif key in {keys.Key_Home, keys.Key_End}:
            self.step((0 if key == keys.Key_Home else self._count - 1) - self._position)
        elif key in {keys.Key_Escape, keys.Key_Space, keys.Key_Return, keys.Key_Enter}:
            self.close_view()
        elif not self._zoom_key(key):
            super().keyPressEvent(event)

    def _zoom_key(self, key: Qt.Key) -> bool:
        picture, keys = self.picture, Qt.Key
        act = {
            keys.Key_Plus: lambda: picture.zoom_by(1), keys.Key_Equal: lambda: picture.zoom_by(1),
            keys.Key_Minus: lambda: picture.zoom_by(-1), keys.Key_F: picture.fit, keys.Key_Z: lambda: picture.set_zoom(1.0),
        }.get(key)  # fmt: skip
        if act is not None:
            act()
        return act is not None

    # Parts

    def _header(self) -> QHBoxLayout:
        self._name = QLabel(textFormat=Qt.TextFormat.PlainText)
        self._name.setProperty("role", "section")
        self._name.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._name.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._facts = _Facts()
        self._place = QLabel()
        self._place.setProperty("role", "muted")
        header = QHBoxLayout()
        header.setContentsMargins(8, 6, 16, 6)
        header.setSpacing(theme.GRID)
        for icon, tip, run in (
            ("arrow-left", self.tr("Back to all images (Esc)"), self.close_view),
            ("caret-left", self.tr("Previous image (Left)"), lambda: self.step(-1)),
            ("caret-right", self.tr("Next image (Right)"), lambda: self.step(1)),
        ):
            header.addWidget(_button(icon, tip, run))
        header.addWidget(self._name)
        header.addWidget(self._facts, 1)
        header.addWidget(self._place)
        return header

    def _status(self) -> QHBoxLayout:
        self._pixel, self._zoom = QLabel(), QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self._zoom.setMinimumWidth(7 * theme.GRID)
        for label in (self._pixel, self._zoom):
            label.setProperty("role", "caption")
        picture = self.picture
        status = QHBoxLayout()
        status.setContentsMargins(16, 4, 8, 4)
        status.setSpacing(theme.HALF)
        status.addWidget(self._pixel, 1)
        status.addWidget(_button("magnifying-glass-minus", self.tr("Smaller (−, or the wheel)"), lambda: picture.zoom_by(-1)))
        status.addWidget(self._zoom)
        status.addWidget(_button("magnifying-glass-plus", self.tr("Larger (+, or the wheel)"), lambda: picture.zoom_by(1)))
        status.addWidget(_button("corners-out", self.tr("The whole image (F)"), picture.fit))
        actual = _button("", self.tr("One pixel of the image on one of the screen (Z)"), lambda: picture.set_zoom(1.0))
        actual.setText(self.tr("1:1"))
        status.addWidget(actual)
        return status


class _Facts(QLabel):
    """A muted line that ends in dots where it has no room, so that it never makes the window wider."""

    def __init__(self) -> None:
        super().__init__(textFormat=Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        draw_text(QPainter(self), self.rect(), self.text(), theme.colors().muted, elide=Qt.TextElideMode.ElideRight)


def _shaded(greys: NDArray[np.uint16], shown: tuple[int, int]) -> _Loaded:
    return _Loaded(make_levels(apply_range(greys, *shown)), greys, shown)


def _button(icon: str, tip: str, run: Callable[[], object]) -> QToolButton:
    button = QToolButton(toolTip=tip)
    button.setAccessibleName(tip)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    if icon:
        theme.set_icon(button, icon)
    button.clicked.connect(lambda: run())
    return button


def _line() -> QFrame:
    line = QFrame()
    line.setProperty("line", True)
    line.setFixedHeight(1)
    return line
