"""How the window looks: light and dark, the product's colours, sizes, type and icons. Knows nothing of pages.

Ice blue means frozen and warm orange means learning, everywhere. Colours come from `colors()` at paint time, icons from
`icon` or `set_icon` (which follows the theme); `changed` fires after light and dark were switched.

Labels and buttons take their look from a property: ``label.setProperty("role", "title")``; see `ROLES`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from PySide6.QtCore import QObject, QRect, QSize, Qt, Signal
from PySide6.QtGui import QAction, QColor, QFont, QFontDatabase, QGuiApplication, QIcon, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QPushButton

from tlstudio.gui.style import stylesheet

Choice = Literal["system", "light", "dark"]

GRID = 8
"""Everything sits on multiples of this many pixels."""
HALF = GRID // 2
ICON = 16
RAIL_ICON = 24

ROLES = ("title", "section", "caption", "muted", "mono", "primary", "danger", "flat", "link", "fold")
"""Values of ``role``: labels (title, section, caption, muted, mono), buttons (primary, danger, flat, link, fold)."""


@dataclass(frozen=True, kw_only=True)
class Colors:
    """The colours of one theme. Text colours have at least 4.5:1 against ``base`` and ``window``, marks 3:1."""

    dark: bool
    frozen: QColor
    """Ice blue: stages and phases that do not learn."""
    learn: QColor
    """Warm orange: what is being trained."""
    frozen_text: QColor
    learn_text: QColor
    accent: QColor
    """The one colour of actions and selection."""
    on_accent: QColor
    error: QColor
    text: QColor
    muted: QColor
    window: QColor
    """Ground of the window and of panels."""
    base: QColor
    """Ground of lists, fields, plots."""
    raised: QColor
    """Ground of what lies above: hover, chips, picture mats."""
    line: QColor
    """1 px separators and frames."""
    selection: QColor
    series: tuple[QColor, ...]
    """For curves of different runs; the same run keeps its colour everywhere."""


def _colors(dark: bool, *, series: tuple[str, ...], **names: str) -> Colors:
    return Colors(dark=dark, series=tuple(map(QColor, series)), **{key: QColor(name) for key, name in names.items()})


LIGHT = _colors(
    False,
    frozen="#3a92c5", learn="#d9692a", frozen_text="#1f6c99", learn_text="#a8480f", accent="#4a55c8", on_accent="#ffffff",
    error="#c22f3d", text="#1c2128", muted="#59626d", window="#f5f6f8", base="#ffffff", raised="#e9ecf0", line="#d5dae1",
    selection="#dfe2fa",
    series=("#4a55c8", "#0f8a7e", "#b0408f", "#8a6d00", "#5d6b7a", "#7a4fd0", "#2f7d32", "#a04a3c"),
)  # fmt: skip
DARK = _colors(
    True,
    frozen="#79c4ec", learn="#ff9b5c", frozen_text="#8fd0f2", learn_text="#ffac77", accent="#98a2ff", on_accent="#14161c",
    error="#ff8087", text="#e5e8ec", muted="#9aa4b0", window="#17191e", base="#1e2127", raised="#2a2e36", line="#363b45",
    selection="#343a66",
    series=("#98a2ff", "#4fd0c0", "#f08bd0", "#d8bd55", "#a6b3c2", "#bf9cff", "#80d084", "#f2957f"),
)  # fmt: skip


class _Theme(QObject):
    changed = Signal(object)
    """Colors: the theme or the font size was switched."""

    def __init__(self) -> None:
        super().__init__()
        self.colors = LIGHT
        self.choice: Choice = "system"
        self.points = 0.0
        self.system_points = 0.0
        self.connected = False


_theme = _Theme()
changed = _theme.changed
"""Signal(object): fires with the new `Colors` after a switch; custom-painted widgets update themselves on it."""


def colors() -> Colors:
    """The colours now in force."""
    return _theme.colors


def choice() -> Choice:
    """What the user chose: system, light or dark."""
    return _theme.choice


def base_points() -> float:
    """Size of body text in points."""
    return _theme.points or QGuiApplication.font().pointSizeF()


def apply(choice: Choice = "system", points: float = 0.0) -> None:
    """Give the application its look.

    Args:
        choice: follow the system, or always light or dark.
        points: size of body text in points; 0 = the system's.
    """
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    hints = app.styleHints()
    if not _theme.connected:
        _theme.connected = True
        _theme.system_points = app.font().pointSizeF()
        app.setStyle("Fusion")
        hints.colorSchemeChanged.connect(_system_switched)
    _theme.choice, _theme.points = choice, points or _theme.system_points
    if choice == "system":
        hints.unsetColorScheme()
    else:
        hints.setColorScheme(Qt.ColorScheme.Dark if choice == "dark" else Qt.ColorScheme.Light)
    _paint(app)


def font(role: Literal["title", "section", "body", "caption", "mono"] = "body") -> QFont:
    """A font of the type scale, with figures of equal width."""
    result = QFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont) if role == "mono" else QGuiApplication.font())
    scale = {"title": 1.6, "section": 1.15, "caption": 0.9}.get(role, 1.0)
    result.setPointSizeF(base_points() * scale)
    if role in {"title", "section"}:
        result.setWeight(QFont.Weight.DemiBold)
    result.setFeature(QFont.Tag("tnum"), 1)
    return result


def icon(name: str, color: QColor | None = None, *, checked: QColor | None = None, gap: int = 0, size: int = ICON) -> QIcon:
    """An icon of the family by its name, such as ``play``; coloured once, so prefer `set_icon` for what stays on screen.

    Args:
        color: by default that of text.
        checked: another colour while the button is checked.
        gap: empty pixels on its right, towards a button's text.
        size: in pixels; each picture costs 0.2 ms at the start, so there is only this one.
    """
    now = colors()
    result = QIcon()
    result.addPixmap(_pixmap(name, size, (color or now.text).name(), gap))
    result.addPixmap(_pixmap(name, size, _faded(now).name(), gap), QIcon.Mode.Disabled)
    if checked is not None:
        result.addPixmap(_pixmap(name, size, checked.name(), gap), QIcon.Mode.Normal, QIcon.State.On)
    return result


def pixmap(name: str, size: int, color: QColor | None = None) -> QPixmap:
    """An icon as a picture of ``size`` device-independent pixels."""
    return _pixmap(name, size, (color or colors().text).name())


def set_icon(target: QAbstractButton | QAction | QLabel, name: str, color: str = "text", size: int = ICON) -> None:
    """Give a button, an action or a label an icon that follows the theme.

    Args:
        color: a field of `Colors`: text, muted, accent, on_accent, error, frozen, learn.
    """
    target.setProperty("tlstudio_icon", [name, color, size])
    _refresh_icon(target)


def set_role(widget: QObject, role: str) -> None:
    """Give a label or button another role of `ROLES` and restyle it."""
    widget.setProperty("role", role)
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def mix(first: QColor, second: QColor, share: float) -> QColor:
    """A colour between two: 0 gives the first, 1 the second."""
    a, b = first.getRgbF(), second.getRgbF()
    return QColor.fromRgbF(*(x + (y - x) * share for x, y in zip(a[:3], b[:3], strict=True)))


def _system_switched(_scheme: Qt.ColorScheme) -> None:
    app = QApplication.instance()
    if isinstance(app, QApplication) and (colors().dark != _is_dark(app)):
        _paint(app)


def _is_dark(app: QApplication) -> bool:
    if _theme.choice != "system":
        return _theme.choice == "dark"
    return app.styleHints().colorScheme() == Qt.ColorScheme.Dark


def _paint(app: QApplication) -> None:
    _theme.colors = DARK if _is_dark(app) else LIGHT
    app.setPalette(_palette(_theme.colors))
    app.setFont(font("body"))
    app.setStyleSheet(stylesheet(_theme.colors, base_points()))
    for window in app.topLevelWidgets():
        for target in (*window.findChildren(QAbstractButton), *window.findChildren(QLabel), *window.findChildren(QAction)):
            _refresh_icon(target)
    _theme.changed.emit(_theme.colors)


def _refresh_icon(target: QObject) -> None:
    stored = target.property("tlstudio_icon")
    if not stored:
        return
    name, color, size = stored
    if isinstance(target, QLabel):
        target.setPixmap(pixmap(name, int(size), getattr(colors(), color)))
        return
    gap = HALF if isinstance(target, QPushButton) else 0
    target.setIcon(icon(name, getattr(colors(), color), gap=gap, size=int(size)))
    if isinstance(target, QAbstractButton):
        target.setIconSize(QSize(int(size) + gap, int(size)))


def _faded(now: Colors) -> QColor:
    return mix(now.muted, now.window, 0.5)


def _palette(now: Colors) -> QPalette:
    palette = QPalette()
    role = QPalette.ColorRole
    for key, color in {
        role.Window: now.window, role.WindowText: now.text, role.Base: now.base, role.AlternateBase: now.window,
        role.Text: now.text, role.Button: now.window, role.ButtonText: now.text, role.BrightText: now.error,
        role.ToolTipBase: now.raised, role.ToolTipText: now.text, role.PlaceholderText: now.muted,
        role.Highlight: now.accent, role.HighlightedText: now.on_accent, role.Accent: now.accent, role.Link: now.accent,
        role.LinkVisited: now.accent, role.Light: now.base, role.Midlight: now.raised, role.Mid: now.line,
        role.Dark: mix(now.line, now.text, 0.25), role.Shadow: QColor("#000000"),
    }.items():  # fmt: skip
        palette.setColor(key, color)
    for key in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText, role.PlaceholderText):
        palette.setColor(QPalette.ColorGroup.Disabled, key, _faded(now))
    palette.setColor(QPalette.ColorGroup.Disabled, role.Highlight, now.line)
    return palette


@lru_cache(maxsize=512)
def _pixmap(name: str, size: int, color: str, gap: int = 0) -> QPixmap:
    """Draw a glyph of the icon font; a name that is not in it gives an empty picture."""
    app = QGuiApplication.instance()
    ratio = app.devicePixelRatio() if isinstance(app, QGuiApplication) else 1.0
    result = QPixmap(round((size + gap) * ratio), round(size * ratio))
    result.setDevicePixelRatio(ratio)
    result.fill(Qt.GlobalColor.transparent)
    family, glyphs = _glyphs()
    if family and name in glyphs:
        painter = QPainter(result)
        painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
        glyph_font = QFont(family)
        glyph_font.setPixelSize(size)
        glyph_font.setStyleStrategy(QFont.StyleStrategy.NoFontMerging)
        painter.setFont(glyph_font)
        painter.setPen(QColor(color))
        painter.drawText(QRect(0, 0, size, size), Qt.AlignmentFlag.AlignCenter, glyphs[name])
        painter.end()
    return result


@lru_cache(maxsize=1)
def _glyphs() -> tuple[str, dict[str, str]]:
    """The icon font's family and its glyph by name; the font lies in qtawesome, whose own code is not needed (0.3 s)."""
    spec = find_spec("qtawesome")
    for place in spec.submodule_search_locations or () if spec else ():
        folder = Path(place) / "fonts"
        fonts, maps = sorted(folder.glob("phosphor-*.ttf")), sorted(folder.glob("phosphor-charmap-*.json"))
        if not fonts or not maps:
            continue
        families = QFontDatabase.applicationFontFamilies(QFontDatabase.addApplicationFont(str(fonts[-1])))
        if families:
            table = json.loads(maps[-1].read_text(encoding="utf-8"))
            return families[0], {key: chr(int(code, 16)) for key, code in table.items()}
    return "", {}
