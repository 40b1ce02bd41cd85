"""Help without a network: the pages in ``resources/help`` and a list of all keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Slot
from PySide6.QtGui import QDesktopServices, QKeySequence, QShowEvent
from PySide6.QtWidgets import QDialog, QListWidget, QListWidgetItem, QSplitter, QTextBrowser, QVBoxLayout, QWidget

from tlstudio import paths
from tlstudio.gui import theme
from tlstudio.gui.actions import Action
from tlstudio.gui.widgets.background import run_in_background


class HelpText(QTextBrowser):
    """A page with pictures from the folder of the help; one beside it with ``-dark`` in its name is shown in the dark theme."""

    def loadResource(self, kind: int, name: QUrl) -> object:
        """A picture, as it suits the theme."""
        if theme.colors().dark:
            place, dot, ending = name.path().rpartition(".")
            dark = f"{place}-dark{dot}{ending}"
            if (paths.resources() / "help" / dark).is_file():
                return super().loadResource(kind, QUrl(dark))
        return super().loadResource(kind, name)


class HelpWindow(QDialog):
    """Topics on the left, text on the right. ``show_topic`` opens one by the beginning of its file name."""

    def __init__(self, actions: Sequence[Action], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Help"))
        self.resize(1040, 680)
        self._actions = actions
        self._wanted = ""
        self.topics = QListWidget()
        self.topics.setSpacing(3)
        self.topics.setWordWrap(True)
        self.topics.setAccessibleName(self.tr("Topics"))
        self.text = HelpText()
        self.text.setOpenExternalLinks(False)
        self.text.setOpenLinks(False)
        self.text.anchorClicked.connect(self._follow)
        self.text.setSearchPaths([str(paths.resources() / "help")])
        self.text.setAccessibleName(self.tr("Text"))
        self.text.document().setDocumentMargin(16)
        self.topics.currentItemChanged.connect(self._show)
        splitter = QSplitter()
        splitter.setHandleWidth(1)
        splitter.addWidget(self.topics)
        splitter.addWidget(self.text)
        splitter.setSizes([220, 820])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(splitter)
        self._add(self.tr("Keys"), "keys", self._keys())
        theme.changed.connect(self._restyle)

    def showEvent(self, event: QShowEvent) -> None:
        """Read the pages when they are first wanted."""
        super().showEvent(event)
        if self.topics.count() == 1:
            run_in_background(self, lambda _task: _read(paths.resources() / "help"), done=self._fill)

    def show_topic(self, name: str) -> None:
        """Show the window at a topic, such as ``keys``."""
        self._wanted = name
        self.show()
        self.raise_()
        self._choose()

    def _fill(self, pages: list[tuple[str, str, str]]) -> None:
        for place, (name, title, text) in enumerate(pages):
            self._add(title, name, text, place)
        self._choose()

    def _add(self, title: str, name: str, text: str, place: int = -1) -> None:
        item = QListWidgetItem(title)
        item.setData(Qt.ItemDataRole.UserRole, name)
        item.setData(Qt.ItemDataRole.UserRole + 1, text)
        self.topics.insertItem(self.topics.count() if place < 0 else place, item)

    def _choose(self) -> None:
        for i in range(self.topics.count()):
            name = self.topics.item(i).data(Qt.ItemDataRole.UserRole)
            if self._wanted and (name.startswith(self._wanted) or name.lstrip("0123456789-_").startswith(self._wanted)):
                self.topics.setCurrentRow(i)
                return
        self.topics.setCurrentRow(0)

    def _show(self, item: QListWidgetItem | None, _previous: object = None) -> None:
        if item is not None:
            self.text.setMarkdown(item.data(Qt.ItemDataRole.UserRole + 1))
            self.text.verticalScrollBar().setValue(0)

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        """Show the page with the pictures of the other theme, where it was."""
        bar = self.text.verticalScrollBar()
        before = bar.value()
        self._show(self.topics.currentItem())
        bar.setValue(before)

    def _follow(self, url: QUrl) -> None:
        if url.scheme() in {"http", "https"}:
            QDesktopServices.openUrl(url)  # the user's browser, at the user's click
            return
        name = url.path().rpartition("/")[2].removesuffix(".md")
        for i in range(self.topics.count()):
            if self.topics.item(i).data(Qt.ItemDataRole.UserRole) == name:
                self.topics.setCurrentRow(i)

    def _keys(self) -> str:
        lines = [f"# {self.tr('Keys')}", "", f"| {self.tr('What')} | {self.tr('Keys')} |", "|---|---|"]
        extra = (
            (self.tr("Large view of an image"), "Space"),
            (self.tr("Next and previous image"), "Left, Right"),
            (self.tr("Back from the large view"), "Esc"),
            (self.tr("Larger and smaller thumbnails"), "Ctrl + wheel"),
        )
        for action in self._actions:
            if action.keys:
                keys = ", ".join(QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText) for key in action.keys)
                lines.append(f"| {action.title.replace('&', '')} | {keys} |")
        lines += [f"| {title} | {keys} |" for title, keys in extra]
        return "\n".join(lines)


def _read(folder: Path) -> list[tuple[str, str, str]]:
    """Name, title and text of each page, in order of file name."""
    try:
        files = sorted(folder.glob("*.md"), key=lambda file: (file.stem != "index", file.name))
    except OSError:
        return []
    pages = []
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        first = next((line for line in text.splitlines() if line.strip()), file.stem)
        pages.append((file.stem, first.lstrip("# ").strip(), text))
    return pages
