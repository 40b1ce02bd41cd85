"""One plot with a title, values at the cursor and a few named curves. Knows how to draw quickly, not what the numbers mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QColor, QImage, QKeyEvent, QPainter, QPen
from PySide6.QtSvg import QSvgGenerator
from PySide6.QtWidgets import QGraphicsItem, QHBoxLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.curve_style import CurveStyle
from tlstudio.gui.widgets.decimate import Peaks
from tlstudio.gui.widgets.fitting_label import FittingLabel
from tlstudio.gui.widgets.plot_library import pg
from tlstudio.gui.widgets.plot_view import PlotView
from tlstudio.gui.widgets.ranges import range_of, round_range

Array = NDArray[np.float64]

_AXIS_WIDTH = 48
_SYMBOL = 6
_STAR = 14
_MOST_MARKS = 200
_NONE: Array = np.empty(0)


class CurvePlot(QWidget):
    """A plot over epochs. Lines are one pixel wide without antialiasing: anything else costs ten times as much."""

    cursor_moved = Signal(object)
    """float: the place on the horizontal axis under the mouse; ``None`` when it left."""

    def __init__(
        self,
        title: str,
        styles: dict[str, CurveStyle],
        *,
        percent: bool = False,
        legend_below: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._legend_offset = (-8, -8 if legend_below else 8)
        self._styles = dict(styles)
        self._curves: dict[str, pg.PlotDataItem] = {}
        self._shown: dict[str, tuple[Array, Array]] = {}
        self._peaks: dict[str, Peaks] = {}
        self._ranges: dict[str, tuple[float, float] | None] = {}
        self._strong = ""
        self._hidden: set[str] = set()
        self._title, self._percent, self._log = title, percent, False
        self.readout = FittingLabel()
        theme.set_role(self.readout, "caption")
        self._heading = QLabel(title)
        theme.set_role(self._heading, "section")
        self._heading.setMinimumHeight(3 * theme.GRID + 2)  # as high as a tool
        self.tools = QHBoxLayout()
        self.tools.setSpacing(theme.HALF)
        top = QHBoxLayout()
        top.setContentsMargins(theme.HALF, 0, 0, 0)
        top.addWidget(self._heading)
        top.addSpacing(theme.GRID)
        top.addWidget(self.readout, 1)
        top.addLayout(self.tools)
        self._empty: bool | None = None
        self._follows = True
        self._ends: tuple[float, float] | None = None
        self._span = 1.0
        self.view = PlotView(self)
        self.view.setAccessibleName(title)
        self.view.setToolTip(self.tr("Scroll to zoom, drag to move, double click or Home for all of it"))
        self.view.all_wanted.connect(self.show_all)
        self._build()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.HALF)
        layout.addLayout(top)
        layout.addWidget(self.view, 1)
        theme.changed.connect(self._restyle)
        self._restyle(theme.colors())

    def add_tool(self, icon: str, tip: str, *, checkable: bool = False) -> QToolButton:
        """A small button at the right of the title."""
        button = QToolButton()
        button.setCheckable(checkable)
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        theme.set_icon(button, icon, "muted")
        self.tools.addWidget(button)
        return button

    def set_curve(self, name: str, x: Array, y: Array) -> None:
        """Show other numbers; a name that is new needs a style first."""
        self.set_curves({name: (x, y)})

    def set_curves(self, curves: Mapping[str, tuple[Array, Array]]) -> None:
        """The same for several, which is quicker than one after the other."""
        first = [name for name, (x, _) in curves.items() if len(x) and not len(self._shown[name][0])]
        for name, (x, y) in curves.items():
            self._shown[name] = (x, y)
            shown = np.where(y > 0, y, np.nan) if self._log else y  # a logarithm has no place for zero
            self._peaks[name] = Peaks(x, shown)
            self._ranges[name] = range_of(shown) if self._styles[name].counts else None
        self._follow()
        for name in curves:
            self._draw(name)
        if first:  # only a curve with points knows its marks
            for sample, _ in self._legend.items:
                sample.update()

    def _draw(self, name: str) -> None:
        """Give the drawing what can be seen of a curve."""
        curve, peaks, style = self._curves[name], self._peaks[name], self._styles[name]
        if style.marks:
            symbol = "o" if len(peaks.x) <= _MOST_MARKS else None
            if curve.opts["symbol"] != symbol:
                curve.setSymbol(symbol)
        if len(peaks.x) > 2 * self._columns():
            (low, high), _ = self.view.getViewBox().viewRange()
            curve.setData(*peaks.within(low, high, self._columns()))
        else:
            curve.setData(peaks.x, peaks.y)

    def _columns(self) -> int:
        return max(256, self.view.width())

    def _redraw_long(self) -> None:
        """Another part is looked at: draw it anew where not all points were drawn."""
        for name, peaks in self._peaks.items():
            if len(peaks.x) > 2 * self._columns():
                self._draw(name)

    def hide_curves(self, names: Set[str]) -> None:
        """Hide these, and show all others."""
        for name in (names ^ self._hidden) & self._curves.keys():
            self._curves[name].setVisible(name not in names)
        self._hidden = set(names)
        self._follow()

    def emphasize(self, name: str) -> None:
        """Draw one curve thicker than the others, above them; empty for none."""
        before, self._strong = self._strong, name
        for each in {before, name} & self._curves.keys():
            self._curves[each].setPen(self._styles[each].pen(3 if each == name else 1))
            self._curves[each].setZValue(1 if each == name else 0)

    def set_title(self, title: str) -> None:
        """Another title."""
        self._title = title
        self._heading.setText(title)
        self.view.setAccessibleName(title)

    def curve(self, name: str) -> tuple[Array, Array]:
        """The numbers that are shown."""
        return self._shown[name]

    @property
    def names(self) -> set[str]:
        """Names of the curves."""
        return set(self._curves)

    @property
    def paint_ms(self) -> float:
        """How long the last painting took."""
        return self.view.paint_ms

    def set_styles(self, styles: dict[str, CurveStyle]) -> None:
        """Replace all curves by empty ones of these styles."""
        kept = {name for name, style in styles.items() if name in self._curves and style.suits(self._styles[name])}
        for name in self._curves.keys() - kept:
            self.view.removeItem(self._curves.pop(name))
        self._shown.clear()
        self._peaks.clear()
        self._ranges.clear()
        self.hide_curves(set())
        self._strong = ""
        self._styles = dict(styles)
        for name in kept:
            self._curves[name].setData(_NONE, _NONE)
        self._add_curves()
        self._restyle_curves(self._styles)

    def add_styles(self, styles: dict[str, CurveStyle]) -> None:
        """More curves, empty at first."""
        self._styles.update(styles)
        self._add_curves()
        self._restyle_curves(styles)

    def link(self, other: CurvePlot) -> None:
        """Look at the same part of the horizontal axis as another plot."""
        self.view.setXLink(other.view)

    def set_readout(self, text: str, shorter: str = "") -> None:
        """Tell values beside the title, in fewer words where there is no room, and to screen readers."""
        self.readout.set_texts(text, shorter or text)
        if text != self.view.accessibleDescription():
            self.view.setAccessibleDescription(text)

    def set_span(self, right: float) -> None:
        """Show the horizontal axis from 0 to ``right``, until the user zooms."""
        self._span = max(right, 1.0)
        self.view.getViewBox().setXRange(0.0, max(right, 1.0), padding=0.025)

    def set_marks(self, best: float | None, changes: Sequence[float]) -> None:
        """Mark the best epoch, and where more of the network began to learn."""
        self._best.setVisible(best is not None)
        if best is not None:
            self._best.setValue(best)
        while len(self._changes) < len(changes):
            line = pg.InfiniteLine(angle=90)
            self._changes.append(line)
            self.view.addItem(line, ignoreBounds=True)
            line.setPen(self._pen(theme.colors().learn, dashed=True))
        for index, line in enumerate(self._changes):
            line.setVisible(index < len(changes))
            if index < len(changes):
                line.setValue(changes[index])

    @Slot()
    def show_all(self) -> None:
        """Undo zooming."""
        self.set_span(self._span)
        self._follows = True
        self._follow()

    def set_cursor(self, position: float | None) -> None:
        """Move the crosshair's vertical line; ``None`` hides it."""
        self._cursor.setVisible(position is not None)
        if position is not None:
            self._cursor.setValue(position)

    @Slot(bool)
    def set_log(self, on: bool) -> None:
        """Logarithmic vertical axis."""
        self._log = on
        self.view.setLogMode(x=False, y=on)
        self.set_curves(dict(self._shown))
        self._follows = True
        self._follow()

    def to_image(self, scale: float = 2.0) -> QImage:
        """The plot as a picture, ``scale`` times the size on the screen."""
        size = self.view.size() * scale
        image = QImage(size, QImage.Format.Format_RGB32)
        image.fill(theme.colors().base)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.view.render(painter, QRectF(0, 0, size.width(), size.height()))
        painter.end()
        return image

    def draw_on(self, generator: QSvgGenerator) -> None:
        """Draw the plot as vectors; the generator must have its file name."""
        size = self.view.size()
        generator.setSize(size)
        generator.setViewBox(QRectF(0, 0, size.width(), size.height()))
        generator.setTitle(self._title)
        painter = QPainter(generator)
        painter.fillRect(QRectF(0, 0, size.width(), size.height()), theme.colors().base)
        self.view.render(painter, QRectF(0, 0, size.width(), size.height()))
        painter.end()

    def sizeHint(self) -> QSize:
        """Enough for a small window."""
        return QSize(360, 240)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Home shows everything again, as a double click does."""
        if event.key() == Qt.Key.Key_Home:
            self.show_all()
            return
        super().keyPressEvent(event)

    def _build(self) -> None:
        item = self.view.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.setLabel("bottom", self.tr("Epoch"))
        item.getAxis("left").setWidth(_AXIS_WIDTH)
        item.showGrid(x=False, y=True, alpha=0.5)
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setStyle(maxTickLevel=0)
            axis.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)  # text and grid cost most of a painting
        box = item.getViewBox()
        box.setDefaultPadding(0.04)
        box.setLimits(xMin=-0.5)
        box.disableAutoRange()
        box.sigRangeChangedManually.connect(self._zoomed)
        box.sigXRangeChanged.connect(lambda _box, _ends: self._redraw_long())
        self.view.resized.connect(self._redraw_long)
        if self._percent:
            box.setLimits(xMin=-0.5, yMin=-5, yMax=105)
        self._legend = item.addLegend(
            offset=self._legend_offset, labelTextSize=f"{theme.base_points() * 0.9:.0f}pt", verSpacing=-6
        )
        self._legend.setCacheMode(QGraphicsItem.CacheMode.DeviceCoordinateCache)
        self._best = pg.InfiniteLine(angle=90, movable=False)
        self._cursor = pg.InfiniteLine(angle=90, movable=False)
        self._changes: list[pg.InfiniteLine] = []
        for line in (self._best, self._cursor):
            line.setVisible(False)
            self.view.addItem(line, ignoreBounds=True)
        self._add_curves()
        self._proxy = pg.SignalProxy(self.view.scene().sigMouseMoved, rateLimit=30, slot=self._mouse)
        self.view.left.connect(self._mouse_left)

    def _add_curves(self) -> None:
        for name, style in self._styles.items():
            self._shown.setdefault(name, (_NONE, _NONE))
            if name in self._curves:
                continue
            symbol = "star" if style.star else "o" if style.marks else None
            curve = pg.PlotDataItem(antialias=False, symbol=symbol, symbolSize=_SYMBOL, name=style.title or None)
            curve.setZValue(0 if style.counts else -1)
            self.view.addItem(curve, ignoreBounds=not style.counts)
            self._curves[name] = curve
        self._follow()

    def _follow(self) -> None:
        """Without numbers no legend; else a vertical range with round ends, that changes seldom: ticks are costly to draw."""
        empty = not any(len(x) for x, _ in self._shown.values())
        if empty != self._empty:
            self._empty = empty
            self._legend.setVisible(not empty and bool(self._legend.items))
        if not self._follows:
            return
        ends = round_range(self._extent(), log=self._log, from_zero=0.5 if self._percent else 0.9) or (
            0.0,
            100.0 if self._percent else 1.0,
        )
        if self._percent:
            ends = (ends[0], max(ends[1], 100.0)) if ends[1] > 90.0 else ends
        if ends != self._ends:
            self._ends = ends
            self.view.getViewBox().setYRange(*ends)

    def _extent(self) -> tuple[float, float] | None:
        """Lowest and highest number among the curves that count."""
        ranges = [ends for name, ends in self._ranges.items() if ends is not None and name not in self._hidden]
        return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None

    @Slot()
    def _zoomed(self) -> None:
        """The user chose what to look at."""
        self._follows = False
        self._ends = None

    def _restyle_curves(self, styles: Mapping[str, CurveStyle]) -> None:
        now = theme.colors()
        for name, style in styles.items():
            color = style.pen_color()
            curve = self._curves[name]
            curve.setPen(None if style.star else style.pen(3 if name == self._strong else 1))
            if style.star or style.marks:
                curve.setSymbolBrush(pg.mkBrush(color))
                curve.setSymbolPen(pg.mkPen(now.base))
                curve.setSymbolSize(_STAR if style.star else _SYMBOL)

    @Slot(object)
    def _restyle(self, now: theme.Colors) -> None:
        self.view.setBackground(now.base)
        item = self.view.getPlotItem()
        for side in ("left", "bottom"):
            axis = item.getAxis(side)
            axis.setPen(pg.mkPen(now.line))
            axis.setTextPen(pg.mkPen(now.muted))
            axis.setStyle(tickFont=theme.font("caption"), tickLength=-4)
        item.setLabel("left", self._title, units=None, color=now.muted.name())
        item.getAxis("left").showLabel(False)
        item.setLabel("bottom", self.tr("Epoch"), color=now.muted.name())
        self._restyle_curves(self._styles)
        self._best.setPen(self._pen(now.accent, dashed=True))
        self._cursor.setPen(self._pen(now.muted))
        for line in self._changes:
            line.setPen(self._pen(now.learn, dashed=True))
        self._legend.setLabelTextColor(now.muted)
        for _, label in self._legend.items:
            label.setText(label.text)  # a label takes a new colour with its next text only
        self._legend.setBrush(pg.mkBrush(QColor(now.base.red(), now.base.green(), now.base.blue(), 215)))

    def _pen(self, color: QColor, *, dashed: bool = False) -> QPen:
        return pg.mkPen(color, width=1, style=Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine)

    def _mouse(self, arguments: tuple[object, ...]) -> None:
        box = self.view.getViewBox()
        if box.sceneBoundingRect().contains(arguments[0]):
            self.cursor_moved.emit(float(box.mapSceneToView(arguments[0]).x()))

    @Slot()
    def _mouse_left(self) -> None:
        self.cursor_moved.emit(None)
