"""The menu of a right click on the table of runs: its actions by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QAction

from tlstudio.gui import theme

if TYPE_CHECKING:
    from tlstudio.gui.pages.runs import RunsPage

_LINES_BEFORE = ("reproduce", "notes", "reveal")


def make_menu(page: RunsPage) -> dict[str, QAction]:
    """The actions, which the page's table offers from now on."""
    view, tr = page.view, page.tr
    actions = {
        name: _action(page, title, icon, run)
        for name, title, icon, run in (
            ("watch", tr("Watch"), "eye", page.open_chosen),
            ("predict", tr("Predict"), "image", page.predict),
            ("evaluate", tr("Evaluate"), "chart-bar", page.evaluate),
            ("group", tr("Choose the whole group"), "selection-all", page.choose_group),
            ("compare", tr("Differences"), "git-diff", page.compare),
            ("judge", tr("Compare models"), "scales", page.judge),
            ("reproduce", tr("Reproduce"), "repeat", page.reproduce),
            ("again", tr("Train again …"), "sliders-horizontal", page.train_again),
            ("notes", tr("Write notes"), "note-pencil", lambda: view.write("notes")),
            ("tags", tr("Write tags"), "tag", lambda: view.write("tags")),
            ("reveal", tr("Reveal folder"), "folder-open", page.reveal),
            ("delete", tr("Delete …"), "trash", page.ask_delete),
        )
    }
    menu: list[QAction | None] = []
    for name, action in actions.items():
        menu += [None, action] if name in _LINES_BEFORE else [action]
    view.menu_actions = menu
    return actions


def _action(page: RunsPage, title: str, icon: str, run: object) -> QAction:
    action = QAction(title, page)
    theme.set_icon(action, icon)
    action.triggered.connect(lambda _checked=False: run())
    return action
