"""What there is to know of one backbone, beside the list: what it is good for, its figures, its weights and how to get them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton, QTextBrowser, QVBoxLayout, QWidget

from tlstudio.gui import theme
from tlstudio.gui.widgets.stage_look import count_text
from tlstudio.registry.backbones import TOP1, Listed
from tlstudio.registry.weights import WeightSet, how_to_get


class BackboneDetails(QWidget):
    """A text to read and copy from, and a button for the command that gets the weights."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._command = ""
        self.text = QTextBrowser()
        self.text.setOpenLinks(False)
        self.text.setFrameShape(QTextBrowser.Shape.NoFrame)
        self.text.setAccessibleName(self.tr("About the backbone"))
        self.text.document().setDocumentMargin(2 * theme.HALF)
        self.copy = QPushButton(self.tr("Copy the command that fetches them"))
        theme.set_icon(self.copy, "copy")
        self.copy.setAutoDefault(False)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._command))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.GRID)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.copy, 0, Qt.AlignmentFlag.AlignLeft)
        self.show_item(None, None)

    def show_item(self, item: Listed | None, sets: Sequence[WeightSet] | None) -> None:
        """Tell about this one.

        Args:
            sets: its weights with their places; ``None`` while nobody has looked yet.
        """
        missing = [known for known in sets or () if known.path is None and known.spec is not None]
        none_here = bool(missing) and len(missing) == len(sets or ())
        self._command = f"tlstudio weights fetch {missing[0].backbone}:{missing[0].name}" if none_here else ""
        self.copy.setVisible(none_here and "weights fetch" in _how(missing[0]))
        self.copy.setToolTip(self._command)
        self.text.setHtml(_html(item, sets, missing[0] if none_here else None) if item else "")


def _html(item: Listed, sets: Sequence[WeightSet] | None, missing: WeightSet | None) -> str:
    spec, now = item.spec, theme.colors()
    muted = now.muted.name()
    figures = [(_tr("Parameters"), f"{count_text(spec.params)} ({spec.params:,})")]
    if spec.flops:
        figures.append((_tr("Multiply-adds"), _tr("{n} an image").format(n=count_text(spec.flops))))
    size = _tr("{n} px, no other") if spec.fixed_size else _tr("{n} px")
    figures.append((_tr("Input"), size.format(n=item.image_size)))
    figures.append((_tr("Licence"), spec.licence or _tr("none stated")))
    rows = "".join(
        f'<tr><td style="color:{muted}; padding-right:12px">{escape(name)}</td><td>{escape(value)}</td></tr>'
        for name, value in figures
    )
    parts = [
        f'<p style="font-size:large"><b>{escape(spec.title)}</b></p>',
        f'<p style="color:{muted}">{escape(item.name)}</p>',
        f"<p>{escape(spec.about)}</p>",
        f'<table style="margin-top:8px">{rows}</table>',
        f"<p><b>{escape(_tr('Weights'))}</b></p>",
    ]
    if sets is None:
        parts.append(f'<p style="color:{muted}">{escape(_tr("Looking on this machine …"))}</p>')
    elif not sets:
        parts.append(f"<p>{escape(_tr('None published: it starts from random values, or from a file of yours.'))}</p>")
    parts += [_set_html(known, muted) for known in sets or ()]
    if missing is not None:
        first, *rest = _how(missing).splitlines()  # where they come from stands above
        lines = "<br>".join(escape(line) for line in rest or (first,))
        parts.append(f"<p><b>{escape(_tr('How to get them'))}</b></p><p>{lines}</p>")
    return "".join(parts)


def _set_html(known: WeightSet, muted: str) -> str:
    about = known.spec or known.entry
    lines = [f"<b>{escape((about.title if about else '') or known.name)}</b>"]
    facts = [known.name]
    if known.spec is not None:
        facts += [f"{name} {100 * value:.1f} %" for name, value in known.spec.metrics.items() if name == TOP1]
        facts.append(f"{known.spec.preprocessing.image_size} px")
        facts += [_tr("trained on {data}").format(data=known.spec.trained_on)] if known.spec.trained_on else []
    lines.append(escape(" · ".join(facts)))
    if known.path is not None:
        lines.append(escape(_tr("✓ here: {path}").format(path=known.path)))
    elif about is not None and about.source:
        lines.append(escape(_tr("↓ from {source}").format(source=about.source)))
    licence = about.licence if about is not None and about.licence else _tr("none stated")
    lines.append(escape(_tr("Licence: {licence}").format(licence=licence)))
    first, *rest = lines
    return f'<p>{first}<br><span style="color:{muted}">{"<br>".join(rest)}</span></p>'


def _how(known: WeightSet) -> str:
    return how_to_get(known.backbone, known.spec) if known.spec is not None else ""


def _tr(text: str) -> str:
    return QCoreApplication.translate("Backbones", text)
