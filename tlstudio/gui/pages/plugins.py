"""The Plugins page: what was found, what it adds, and for one that failed, why. Nothing here runs a plugin."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QSplitter,
    QTableWidget,
    QTableWidgetItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from tlstudio import paths
from tlstudio.api.backbone import BackboneSpec
from tlstudio.gui import theme
from tlstudio.gui.context import AppContext
from tlstudio.gui.pages.data_browser import separator
from tlstudio.gui.widgets.background import run_in_background
from tlstudio.gui.widgets.info_bar import InfoBar
from tlstudio.registry import Catalog, PluginRecord
from tlstudio.registry.observers import Fault

_MOST_NAMED = 200  # networks that have a line of their own; more of them are shown by family
_ICONS = {"loaded": ("check-circle", "accent"), "failed": ("warning-circle", "error")}


class PluginsPage(QWidget):
    """A table of plugins with a pane of details."""

    def __init__(self, context: AppContext, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._records: tuple[PluginRecord, ...] = ()
        title = QLabel(self.tr("Plugins"))
        title.setProperty("role", "title")
        self.summary = QLabel(self.tr("Loading …"))
        self.summary.setProperty("role", "muted")
        folder = QPushButton(self.tr("Open plugin folder"))
        folder.setToolTip(self.tr("Unzip a plugin there; it is loaded at the next start"))
        theme.set_icon(folder, "folder-open")
        folder.clicked.connect(self.open_folder)
        header = QHBoxLayout()
        header.setContentsMargins(16, 10, 16, 10)
        header.setSpacing(theme.GRID)
        header.addWidget(title)
        header.addSpacing(8)
        header.addWidget(self.summary, 1, Qt.AlignmentFlag.AlignBottom)
        header.addWidget(folder)
        note = InfoBar()
        note.show_lines([self.tr("A plugin is a program: it may do whatever you may. Add only those from people you trust.")])
        self.table = self._make_table()
        self.details = QTextBrowser(openLinks=False)
        self.details.setAccessibleName(self.tr("Details of the plugin"))
        self.details.setFrameShape(QTextBrowser.Shape.NoFrame)
        splitter = QSplitter()
        splitter.setHandleWidth(1)
        splitter.addWidget(self.table)
        splitter.addWidget(self.details)
        splitter.setSizes([620, 460])
        splitter.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(header)
        layout.addWidget(separator())
        layout.addWidget(note)
        layout.addWidget(splitter, 1)
        context.catalog_changed.connect(self.show_catalog)
        theme.changed.connect(self._restyle)
        if context.catalog is not None:
            self.show_catalog(context.catalog)

    def _make_table(self) -> QTableWidget:
        table = QTableWidget(0, 5)
        table.setHorizontalHeaderLabels(
            [self.tr("Plugin"), self.tr("Version"), self.tr("From"), self.tr("Status"), self.tr("Adds")]
        )
        table.verticalHeader().hide()
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setAlternatingRowColors(False)
        table.setTabKeyNavigation(False)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        table.horizontalHeader().setHighlightSections(False)
        table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        table.setAccessibleName(self.tr("Plugins"))
        table.itemSelectionChanged.connect(self._show_details)
        return table

    def showEvent(self, event: QShowEvent) -> None:
        """Show what happened in runs meanwhile."""
        super().showEvent(event)
        self._restyle(None)

    @Slot(object)
    def show_catalog(self, catalog: Catalog) -> None:
        """List the plugins of this catalog; failed ones first."""
        order = {"failed": 0, "loaded": 1}
        self._records = tuple(sorted(catalog.plugins, key=lambda record: (order.get(record.status, 2), record.name)))
        failed = sum(record.status == "failed" for record in self._records)
        loaded = sum(record.status == "loaded" for record in self._records)
        text = self.tr("{n} loaded").format(n=loaded)
        self.summary.setText(text + (self.tr(", {n} failed").format(n=failed) if failed else ""))
        self.table.setRowCount(len(self._records))
        for row, record in enumerate(self._records):
            self._fill(row, record)
        if self._records:
            self.table.selectRow(0)
        self._show_details()

    def open_folder(self) -> None:
        """Show the user's plugin folder in the file manager; made where it is not there yet."""
        folder = paths.user_plugins()
        run_in_background(
            self,
            lambda _task: folder.mkdir(parents=True, exist_ok=True),
            done=lambda _none: QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder))),
            failed=self._context.problem.emit,
        )

    def _fill(self, row: int, record: PluginRecord) -> None:
        icon, color = _ICONS.get(record.status, ("circle", "muted"))
        provides = str(len(record.provides)) if record.provides else "–"
        status = self.tr("failed in a run") if self._faults(record) else self._status(record)
        texts = (record.name, record.version or "–", self._origin(record), status, provides)
        if self._faults(record):
            icon, color = _ICONS["failed"]
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            if column == 3:
                item.setIcon(theme.icon(icon, getattr(theme.colors(), color)))
            if column == 4:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.table.setItem(row, column, item)

    def _origin(self, record: PluginRecord) -> str:
        names = {"installed": self.tr("installed"), "user folder": self.tr("plugin folder"), "shipped": self.tr("built in")}
        return names.get(record.origin, record.origin)

    def _status(self, record: PluginRecord) -> str:
        names = {
            "loaded": self.tr("loaded"), "failed": self.tr("failed"), "shadowed": self.tr("hidden by another"),
            "off": self.tr("switched off"),
        }  # fmt: skip
        return names.get(record.status, record.status)

    @Slot()
    def _show_details(self) -> None:
        row = self.table.currentRow()
        if not 0 <= row < len(self._records):
            self.details.clear()
            return
        record = self._records[row]
        now = theme.colors()
        parts = [f"<h3>{_escape(record.name)} {_escape(record.version)}</h3>"]
        if record.error:
            parts.append(f'<p style="color:{now.error.name()}">{_escape(record.error)}</p>')
        parts.append(f'<p style="color:{now.muted.name()}">{_escape(_place(record))}</p>')
        for fault in self._faults(record):
            text = self.tr("{name} failed in a run and hears nothing more until the next start: {error}")
            text = text.format(name=fault.observer, error=fault.error)
            parts.append(f'<p style="color:{now.error.name()}">{_escape(text)}</p><pre>{_escape(fault.details)}</pre>')
        for title, items in self._provided(record):
            parts.append(f"<p><b>{_escape(title)}</b></p><ul>" + "".join(items) + "</ul>")
        if record.details:
            parts.append(f"<p><b>{self.tr('Traceback')}</b></p><pre>{_escape(record.details)}</pre>")
        self.details.setHtml("".join(parts))

    def _faults(self, record: PluginRecord) -> list[Fault]:
        faults = {} if self._context.catalog is None else self._context.catalog.observer_faults
        return [fault for name, fault in list(faults.items()) if name.startswith(f"{record.name}/")]

    def _provided(self, record: PluginRecord) -> list[tuple[str, list[str]]]:
        catalog = self._context.catalog
        if catalog is None or record.status != "loaded":
            return []
        kinds = (
            (self.tr("Backbones"), catalog.backbones),
            (self.tr("Data sets"), catalog.datasets),
            (self.tr("Freezing strategies"), catalog.strategies),
            (self.tr("Observers of runs"), catalog.observers),
        )
        found = []
        muted = theme.colors().muted.name()
        for title, specs in kinds:
            names = [name for name in record.provides if name in specs]
            if len(names) > _MOST_NAMED and title == kinds[0][0]:
                items = [_line(family, members, muted) for family, members in _by_family(names, catalog.backbones).items()]
            else:
                items = [_line(specs[name].title, [name], muted) for name in names]
            if items:
                found.append((f"{title} ({len(names)})", items))
        idle = {name: spec.missing for name, spec in catalog.observers.items() if spec.missing}
        items = [_line(f"{text}:", [name], muted) for name, text in idle.items() if name in record.provides]
        if items:
            found.append((self.tr("Idle"), items))
        reasons: dict[str, list[str]] = {}
        for name, reason in catalog.refused.items():
            if name.startswith(f"{record.name}/"):
                reasons.setdefault(reason, []).append(name)
        if reasons:
            items = [_line(f"{reason}:", names, muted) for reason, names in reasons.items()]
            found.append((f"{self.tr('Not offered')} ({sum(map(len, reasons.values()))})", items))
        return found

    @Slot(object)
    def _restyle(self, _colors: object) -> None:
        for row, record in enumerate(self._records):
            self._fill(row, record)
        self._show_details()


def _by_family(names: list[str], backbones: Mapping[str, BackboneSpec]) -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(backbones[name].family, []).append(name)
    return dict(sorted(families.items()))


def _line(title: str, names: list[str], muted: str) -> str:
    return f'<li>{_escape(title)} <span style="color:{muted}">{_escape(", ".join(names))}</span></li>'


def _place(record: PluginRecord) -> str:
    home = str(Path.home())
    return record.location.replace(home, "~", 1) if record.location.startswith(home) else record.location


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
