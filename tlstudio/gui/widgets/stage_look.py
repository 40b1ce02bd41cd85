"""How the state of a stage looks and reads, the same in the strip, the model tree and the time axis.

Ice blue with a hatch is frozen, warm is what learns, the fuller the larger its factor. Where only a part of a stage learns (its
norms, its biases, an adapter) the stage stays cold and has a warm band.
"""

from __future__ import annotations

import math

from PySide6.QtCore import QCoreApplication, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPainter

from tlstudio.api.events import StageState
from tlstudio.gui import theme

HEAD = "head"
_FAINTEST = 1e-4  # a factor this small or smaller is drawn palest


def warmth(factor: float) -> QColor:
    """Warm, and the fuller the larger the factor."""
    now = theme.colors()
    share = 1.0 - math.log10(max(min(factor, 1.0), _FAINTEST)) / math.log10(_FAINTEST)
    return theme.mix(now.learn, now.base, (0.88 - 0.32 * share) if now.dark else (0.8 - 0.5 * share))


def cold() -> QColor:
    """The ground of what is frozen."""
    now = theme.colors()
    return theme.mix(now.frozen, now.base, 0.79)


def hatch() -> QBrush:
    """The sign of what is frozen."""
    now = theme.colors()
    return QBrush(theme.mix(now.frozen, now.base, 0.25), Qt.BrushStyle.BDiagPattern)


def in_part(state: StageState) -> bool:
    """Whether only something inside a stage learns."""
    return state.factor > 0.0 and state.within != "all"


def ground(state: StageState) -> QColor:
    """What a stage is painted on."""
    return cold() if state.factor == 0.0 or in_part(state) else warmth(state.factor)


def paint_chip(painter: QPainter, box: QRectF, state: StageState) -> None:
    """A small sign of a state: a hatched cold box, a warm one, or a cold one with a warm band."""
    now = theme.colors()
    painter.setPen(now.frozen if state.factor == 0.0 else now.learn)
    painter.setBrush(ground(state))
    painter.drawRoundedRect(box, 2, 2)
    painter.setPen(Qt.PenStyle.NoPen)
    if state.factor == 0.0:
        painter.setBrush(hatch())
        painter.drawRect(box.adjusted(1, 1, -1, -1))
    else:
        height = box.height() / 3
        share = max(0.15, min(state.factor, 1.0))
        painter.setBrush(now.learn)
        painter.drawRect(QRectF(box.left() + 1, box.bottom() - height, (box.width() - 2) * share, height - 1))


def short_words(state: StageState) -> str:
    """A state in a word: ✻, × 0.1, norms × 1, adapter × 1."""
    if state.factor == 0.0:
        return "✻"
    pace = f"× {state.factor:.2g}"
    words = {"norm": _tr("norms {pace}"), "bias": _tr("biases {pace}"), "adapter": _tr("adapter {pace}")}
    return words.get(state.within, "{pace}").format(pace=pace)


def words(state: StageState) -> str:
    """A state in a few words, such as "learns × 0.1"."""
    if state.factor == 0.0:
        return _tr("frozen")
    texts = {
        "norm": _tr("only norms learn × {factor}"),
        "bias": _tr("only biases learn × {factor}"),
        "adapter": _tr("adapter learns × {factor}"),
    }
    return texts.get(state.within, _tr("learns × {factor}")).format(factor=f"{state.factor:.3g}")


def statistics_words(state: StageState) -> str:
    """What becomes of batch-norm statistics."""
    if state.factor == 0.0:
        return _tr("statistics fixed")
    if state.norm_stats == "fixed":
        return _tr("statistics fixed")
    return _tr("statistics follow") if state.norm_stats == "update" else _tr("statistics recalibrated")


def count_text(count: int) -> str:
    """A number of parameters as people say it: 940, 12 k, 0.9 M, 25 M, 198 M, 1.2 G."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= (0.1 * limit if unit == "M" else limit):
            value = count / limit
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return str(count)


def name_of(state: StageState) -> str:
    """What a stage is called."""
    return _tr("head") if state.name == HEAD else state.name


def _tr(text: str) -> str:
    return QCoreApplication.translate("StageLook", text)
