"""The help page of the strategies compared: a table, and a picture with the mean and the spread of each."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import ROOT
from plot import _EDGE, _HEAD, _ROW, GRID, LIGHT, WIDTH, _text
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter, QPen

FOLDER = ROOT / "resources" / "help"
PAGE, PICTURE = "strategy-table.md", "strategy-table.png"
_NAMES = 24 * GRID
_VALUES = 8 * GRID

Record = dict[str, Any]


MEASURED_ON = {"ants": 153, "cifar": 500, "textiles": 375}
"""Validation images of each set."""


def write(records: Sequence[Record], titles: dict[str, str], strategies: dict[str, str], chosen: dict[str, str]) -> None:
    """Write the page and its picture.

    Args:
        records: of single runs.
        titles: of the sets of images, by name, in order.
        strategies: their titles by qualified name.
        chosen: what the default takes, by set of images.
    """
    table = {name: accuracies(records, name) for name in titles}
    draw(table, titles, chosen, FOLDER / PICTURE)
    (FOLDER / PAGE).write_text(page(records, table, titles, strategies, chosen), encoding="utf-8")


def accuracies(records: Sequence[Record], name: str) -> dict[str, list[float]]:
    """Of the last epoch of every seed, by strategy, best mean first."""
    found: dict[str, list[float]] = {}
    for record in records:
        if record["data"] == name:
            found.setdefault(record["strategy"], []).append(record["accuracies"][-1])
    return dict(sorted(found.items(), key=lambda item: -statistics.mean(item[1])))


def page(
    records: Sequence[Record], table: dict[str, dict[str, list[float]]], titles: dict[str, str], strategies: dict[str, str],
    chosen: dict[str, str],
) -> str:  # fmt: skip
    """The page as Markdown."""
    order = sorted(strategies, key=lambda name: -sum(statistics.mean(table[data].get(name, [0.0])) for data in titles))
    rows = ["| Strategy | " + " | ".join(titles.values()) + " |", "|---" * (len(titles) + 1) + "|"]
    for name in order:
        cells = [_cell(table[data].get(name, []), chosen.get(data) == name) for data in titles]
        if any(cells):
            rows.append(f"| `{name.partition('/')[2]}` | " + " | ".join(cells) + " |")
    one = records[0]
    sizes = ", ".join(f"{titles[name]} {next(r['size'] for r in records if r['data'] == name)}" for name in titles)
    seeds = len({record["seed"] for record in records})
    commits = ", ".join(dict.fromkeys(record["commit"] for record in records))
    return "\n".join([
        "# Strategies compared", "",
        "Every [freezing strategy](strategies.md) with its own defaults, the same network, images and budget. Per cent of the "
        "validation images that are right after the last epoch: the mean over the seeds, and from the lowest to the highest. "
        "**Bold**: what the automatic choice takes for these images.", "",
        f"![Accuracy of each strategy on three sets of images, with its spread]({PICTURE})", "",
        *rows, "",
        "- **Ants and bees**: 244 photographs to learn from, 153 to measure, close to what ImageNet shows.",
        "- **CIFAR-10, 50 a class**: 500 small pictures of ten classes to learn from, 500 to measure.",
        "- **Textiles**: 750 pictures of woven cloth without and with small and large defects, 375 to measure; as far from "
        "photographs as can be.", "",
        *(_judged(title, table[name], chosen[name], MEASURED_ON[name])
          for name, title in titles.items() if chosen.get(name) in table[name]), "",
        "A single image of ants and bees is 0.65 %, of the others 0.2 and 0.27 %. A longer budget favours strategies that "
        "change more.", "",
        "## How it was measured", "",
        f"EfficientNet-Lite0 from its ImageNet weights, {one['epochs']} epochs, batches of 32, {seeds} seeds; side of the "
        f"images in pixels: {sizes}. {one['machine']}; tlstudio at {commits}. In a checkout:", "",
        '    pip install -e ".[benchmark]"', "    python tests/benchmarks/strategies.py --write", "",
    ])  # fmt: skip


def _judged(title: str, rows: dict[str, list[float]], chosen: str, images: int) -> str:
    """How far the automatic choice is from the best, what the seeds alone do, and how well so many images tell."""
    best = next(iter(rows))
    gap = statistics.mean(rows[best]) - statistics.mean(rows[chosen])
    spreads = [statistics.stdev(values) for values in rows.values() if len(values) > 1]
    share = statistics.mean(rows[best])
    told = 100 * (share * (1 - share) / images) ** 0.5
    noise = f"; {images} images tell an accuracy to {told:.1f} points"
    noise += f", and seeds alone differ by {100 * statistics.mean(spreads):.1f} (standard deviations)" if spreads else ""
    if best == chosen:
        return f"- {title}: the automatic choice is the best{noise}."
    return f"- {title}: the automatic choice is {100 * gap:.1f} points below the best, `{best.partition('/')[2]}`{noise}."


def draw(
    table: dict[str, dict[str, list[float]]], titles: dict[str, str], chosen: dict[str, str], file: Path
) -> None:  # fmt: skip
    """One panel for each set of images: a line from the lowest to the highest seed, a dot at the mean."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    app = QGuiApplication.instance() or QGuiApplication([])
    height = 2 * _EDGE + sum(_HEAD + _ROW * len(rows) + GRID for rows in table.values())
    image = QImage(WIDTH, height, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.TextAntialiasing)
    painter.setPen(LIGHT.line)
    painter.setBrush(LIGHT.base)
    painter.drawRoundedRect(QRectF(0.5, 0.5, WIDTH - 1, height - 1), GRID, GRID)
    top = _EDGE
    for name, title in titles.items():
        top = _panel(painter, title, table[name], chosen.get(name, ""), top) + GRID
    painter.end()
    image.save(str(file))
    del app


def _panel(painter: QPainter, title: str, rows: dict[str, list[float]], chosen: str, top: int) -> int:
    _text(painter, QRectF(_EDGE, top, WIDTH - 2 * _EDGE, _HEAD - GRID), title, LIGHT.text, bold=True)
    top += _HEAD - GRID // 2
    every = [value for values in rows.values() for value in values]
    low, high = (min(every), max(every)) if every else (0.0, 1.0)
    left, room = _EDGE + _NAMES, WIDTH - 2 * _EDGE - _NAMES - _VALUES

    def place(value: float) -> float:
        return left + room * (value - low) / max(high - low, 1e-9)

    for name, values in rows.items():
        bold = name == chosen
        color = LIGHT.accent if bold else LIGHT.muted
        middle = top + GRID
        _text(painter, QRectF(_EDGE, top, _NAMES - GRID, 2 * GRID), name.partition("/")[2], LIGHT.text, bold=bold)
        painter.setPen(QPen(LIGHT.line, 1))
        painter.drawLine(QPointF(left, middle), QPointF(left + room, middle))
        painter.setPen(QPen(color, 3))
        painter.drawLine(QPointF(place(min(values)), middle), QPointF(place(max(values)), middle))
        painter.setBrush(color)
        painter.setPen(Qt.PenStyle.NoPen)
        mean = statistics.mean(values)
        painter.drawEllipse(QPointF(place(mean), middle), 5, 5)
        value = QRectF(left + room + 2 * GRID, top, _VALUES, 2 * GRID)
        _text(painter, value, f"{100 * mean:.1f} %", LIGHT.text, bold=bold)
        top += _ROW
    return top + GRID // 2


def _cell(values: list[float], bold: bool) -> str:
    if not values:
        return ""
    text = f"{100 * statistics.mean(values):.1f}"
    if len(values) > 1:
        text += f" ({100 * min(values):.1f} to {100 * max(values):.1f})"
    return f"**{text}**" if bold else text
