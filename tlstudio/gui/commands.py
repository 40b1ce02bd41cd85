"""All actions of the window as records: what menus, keys and the command palette offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication

from tlstudio.gui import theme
from tlstudio.gui.actions import Action

if TYPE_CHECKING:
    from tlstudio.gui.main_window import MainWindow

_PAGES = ("data", "train", "runs", "evaluate", "predict", "plugins", "settings")


def commands(window: MainWindow) -> list[Action]:
    """The records, in the order of the menus."""
    return [*_file(window), *_edit(window), *_view(window), *_run(window), *_help(window)]


def _tr(text: str) -> str:
    return QCoreApplication.translate("Commands", text)


def _file(window: MainWindow) -> list[Action]:
    return [
        Action(
            id="file.open", title=_tr("&Open folder…"), keys=("Ctrl+O",), icon="folder-open",
            tip=_tr("Open a folder with one subfolder of images for each class"),
            run=lambda: (window.show_page("data"), window.data_page.ask_folder()),
        ),
        Action(
            id="file.open-file", title=_tr("Open &file of labels or archive…"), keys=("Ctrl+Shift+O",), icon="table",
            tip=_tr("Open a table of image paths and labels, COCO, YOLO, JSON lines, or a zip or tar archive"),
            run=lambda: (window.show_page("data"), window.data_page.ask_file()),
        ),
        Action(
            id="file.sample", title=_tr("Open the &sample"), icon="sparkle", tip=_tr("Small images of digits, ready to train"),
            run=lambda: (window.show_page("data"), window.data_page.open_sample()),
        ),
        Action(
            id="file.workspace", title=_tr("Open &workspace…"), icon="briefcase", separated=True,
            tip=_tr("Work with the runs, edits and splits of another folder, now and after the next start"),
            enabled=lambda: not window.context.run_active, run=window.ask_workspace,
        ),
        Action(
            id="file.check", title=_tr("Chec&k images"), icon="check-circle", separated=True,
            tip=_tr("Look for unreadable images, duplicates, leaks between splits and odd pictures"),
            enabled=lambda: window.context.data is not None,
            run=lambda: (window.show_page("data"), window.data_page.check_images()),
        ),
        Action(
            id="file.export", title=_tr("&Export images…"), icon="export",
            tip=_tr("Write the images as they stand after your edits: class folders of copies or links, or a table"),
            enabled=lambda: window.context.data is not None,
            run=lambda: (window.show_page("data"), window.data_page.export()),
        ),
        Action(id="file.quit", title=_tr("&Quit"), keys=("Ctrl+Q",), icon="sign-out", separated=True, run=window.close),
    ]  # fmt: skip


def _edit(window: MainWindow) -> list[Action]:
    return [
        Action(
            id="edit.undo", title=_tr("&Undo"), keys=("Ctrl+Z",), icon="arrow-u-up-left",
            tip=_tr("Take the last edit of the images, of the drawn strategy, or of runs back"),
            enabled=lambda: _may_edit(window), run=lambda: _edited_page(window).undo(),
        ),
        Action(
            id="edit.redo", title=_tr("&Redo"), keys=("Ctrl+Shift+Z", "Ctrl+Y"), icon="arrow-u-up-right",
            tip=_tr("Do again what was undone"), enabled=lambda: _may_edit(window),
            run=lambda: _edited_page(window).redo(),
        ),
    ]  # fmt: skip


def _edited_page(window: MainWindow) -> Any:
    """The page whose edits are meant: the Train or the Runs page while it is shown, else the Data page."""
    if window.current_page() == "runs":
        return window.page("runs")
    return window.train_page if window.current_page() == "train" else window.data_page


def _may_edit(window: MainWindow) -> bool:
    return window.context.data is not None or window.current_page() == "runs"


def _view(window: MainWindow) -> list[Action]:
    titles = {
        "data": (_tr("&Data"), "squares-four"), "train": (_tr("&Train"), "graduation-cap"),
        "runs": (_tr("&Runs"), "list-bullets"), "evaluate": (_tr("&Evaluate"), "chart-bar"),
        "predict": (_tr("&Predict"), "crosshair"), "plugins": (_tr("P&lugins"), "puzzle-piece"),
        "settings": (_tr("&Settings"), "gear"),
    }  # fmt: skip
    pages = [
        Action(
            id=f"view.{name}",
            title=titles[name][0],
            icon=titles[name][1],
            keys=(f"Ctrl+{i}", "Ctrl+,") if name == "settings" else (f"Ctrl+{i}",),
            run=lambda name=name: window.show_page(name),
        )
        for i, name in enumerate(_PAGES, 1)
    ]
    return [
        *pages,
        Action(
            id="view.palette", title=_tr("Command p&alette…"), keys=("Ctrl+Shift+P",), icon="magnifying-glass", separated=True,
            tip=_tr("Find any action by a few letters"), run=window.show_palette,
        ),
        Action(
            id="view.theme", title=_tr("S&witch between light and dark"), icon="moon",
            run=lambda: _switch_theme(window),
        ),
        Action(
            id="view.full", title=_tr("&Full screen"), keys=("F11",), icon="corners-out",
            run=lambda: window.showNormal() if window.isFullScreen() else window.showFullScreen(),
        ),
    ]  # fmt: skip


def _run(window: MainWindow) -> list[Action]:
    return [
        Action(
            id="run.start", title=_tr("&Start training"), keys=("F5",), icon="play",
            tip=_tr("Train with the settings of the Train page"),
            enabled=lambda: window.context.data is not None and not window.context.run_active,
            run=window.start_training,
        ),
        Action(
            id="run.background", title=_tr("Start in the &background"),
            tip=_tr("Train in a process of its own, which goes on when the window is closed"),
            enabled=lambda: window.context.data is not None and not window.context.run_active,
            run=lambda: (window.show_page("train"), window.page("train").elsewhere.start()),
        ),
        Action(
            id="run.queue", title=_tr("Add to &queue"), icon="queue",
            tip=_tr("A run with the settings of the Train page waits for its turn"),
            enabled=lambda: window.context.data is not None and _may_queue(window),
            run=lambda: (window.show_page("train"), window.page("train").waiting.add_to_queue()),
        ),
        Action(
            id="run.repeat", title=_tr("Train several ti&mes…"), icon="arrows-clockwise",
            tip=_tr("The same settings over seeds or folds, as a group of runs with mean and interval"),
            enabled=lambda: window.context.data is not None and _may_queue(window),
            run=lambda: (window.show_page("train"), window.page("train").waiting.ask_repeat()),
        ),
        Action(
            id="run.next", title=_tr("Start the ne&xt of the queue"), icon="skip-forward",
            enabled=lambda: window.train_page is not None and window.train_page.waiting.may_start(),
            run=lambda: (window.show_page("train"), window.page("train").waiting.start_next()),
        ),
        Action(
            id="run.watch", title=_tr("&Watch the run of another process"), icon="eye",
            tip=_tr("Show on the Train page what another process trains in this workspace"),
            enabled=lambda: window.train_page is not None and window.train_page.elsewhere.may_watch(),
            run=lambda: window.page("train").elsewhere.watch_first(),
        ),
        Action(
            id="run.unwatch", title=_tr("Stop watc&hing"), icon="eye-slash",
            tip=_tr("Leave the run of another process alone; it goes on"),
            enabled=lambda: window.train_page is not None and window.train_page.is_watching(),
            run=lambda: window.page("train").stop_watching(),
        ),
        Action(
            id="run.stop", title=_tr("S&top and keep"), keys=("Shift+F5",), icon="stop",
            tip=_tr("End the run after this step and keep the best model so far"),
            enabled=lambda: window.context.run_active, run=window.stop_training,
        ),
        Action(
            id="run.pause", title=_tr("&Pause or go on"), keys=("F6",), icon="pause",
            tip=_tr("Hold the run after the current step and save it; once more goes on"),
            enabled=lambda: window.context.run_active and window.train_page is not None,
            run=lambda: window.train_page.toggle_pause(),
        ),
        *_going_on(window),
        Action(
            id="run.rate", separated=True, title=_tr("Find a &learning rate…"), icon="chart-line-up",
            tip=_tr("Try rising learning rates on some of the images; nothing of it is kept"),
            enabled=lambda: window.context.data is not None and not window.context.run_active,
            run=lambda: (window.show_page("train"), window.page("train").find_rate()),
        ),
        Action(
            id="run.backbone", title=_tr("Choose a &backbone…"), keys=("Ctrl+B",), icon="magnifying-glass", separated=True,
            tip=_tr("Find a pretrained network by its name or family"),
            enabled=lambda: window.context.catalog is not None and not window.context.run_active,
            run=lambda: (window.show_page("train"), window.page("train").form.choose_backbone()),
        ),
        *_runs(window),
    ]  # fmt: skip


def _runs(window: MainWindow) -> list[Action]:
    """What can be done with the run that is chosen on the Runs page, while that page is shown."""

    def page() -> Any:
        return window.page("runs")

    def can(what: str) -> bool:
        return window.current_page() == "runs" and page().can(what)

    return [
        Action(
            id="run.reproduce", title=_tr("Re&produce the chosen run"), icon="repeat", separated=True,
            tip=_tr("Train once more with the same settings, seed and split; says before if anything differs"),
            enabled=lambda: can("reproduce"), run=lambda: page().reproduce(),
        ),
        Action(
            id="run.again", title=_tr("Train a&gain with changes…"), icon="sliders-horizontal",
            tip=_tr("Put the settings of the chosen run into the Train page"),
            enabled=lambda: can("again"), run=lambda: page().train_again(),
        ),
        Action(
            id="run.group", title=_tr("Choose the whole gro&up"), icon="selection-all",
            tip=_tr("All runs that repeat the configuration of the chosen one over seeds or folds"),
            enabled=lambda: can("group"), run=lambda: page().choose_group(),
        ),
        Action(
            id="run.differences", title=_tr("&Differences of the chosen runs"), icon="git-diff",
            tip=_tr("Only the settings in which they differ, beside their results"),
            enabled=lambda: can("compare"), run=lambda: page().compare(),
        ),
        Action(
            id="run.judge", title=_tr("&Compare the models of two runs"), icon="scales",
            tip=_tr("Which is better on the images that neither has learned from, and how sure that is"),
            enabled=lambda: can("judge"), run=lambda: page().judge(),
        ),
        Action(
            id="run.notes", title=_tr("Write &notes of the chosen run"), icon="note-pencil",
            enabled=lambda: can("notes"), run=lambda: page().view.write("notes"),
        ),
        Action(
            id="run.tags", title=_tr("Write ta&gs of the chosen run"), icon="tag",
            enabled=lambda: can("tags"), run=lambda: page().view.write("tags"),
        ),
        Action(
            id="run.table", title=_tr("E&xport the table of runs…"), icon="export",
            tip=_tr("Save the visible columns as CSV: the chosen runs if several are, else all that are shown"),
            enabled=lambda: can("export"), run=lambda: page().ask_export(),
        ),
        Action(
            id="run.reveal", title=_tr("Re&veal the run's folder"), icon="folder-open",
            enabled=lambda: can("reveal"), run=lambda: page().reveal(),
        ),
        Action(
            id="run.delete", title=_tr("De&lete the chosen runs…"), icon="trash",
            tip=_tr("Move them to the trash of the workspace; Ctrl+Z brings them back"),
            enabled=lambda: can("delete"), run=lambda: page().ask_delete(),
        ),
    ]  # fmt: skip


def _going_on(window: MainWindow) -> list[Action]:
    """What goes on with the run that is chosen on the Runs page, while that page is shown."""

    def bar() -> Any:
        return window.page("runs").going_on

    def can(what: str) -> bool:
        return window.current_page() == "runs" and bar().can(what)

    return [
        Action(
            id="run.resume", title=_tr("&Resume the chosen run"), icon="clock-counter-clockwise", separated=True,
            tip=_tr("Go on where its newest checkpoint is"), enabled=lambda: can("resume"), run=lambda: bar().go_on(),
        ),
        Action(
            id="run.extend", title=_tr("Ext&end the chosen run…"), icon="fast-forward",
            tip=_tr("Give a finished run more epochs, and go on with it"),
            enabled=lambda: can("extend"), run=lambda: bar().go_on(),
        ),
        Action(
            id="run.continue", title=_tr("Continue with &other settings…"), icon="git-branch",
            tip=_tr("Begin a new run from the chosen run's model"),
            enabled=lambda: can("continue"), run=lambda: bar().continue_with(),
        ),
    ]  # fmt: skip


def _may_queue(window: MainWindow) -> bool:
    return not window.context.run_active or (window.train_page is not None and window.train_page.waiting.may_add())


def _help(window: MainWindow) -> list[Action]:
    return [
        Action(id="help.help", title=_tr("&Help"), keys=("F1",), icon="question", run=window.show_help),
        Action(id="help.keys", title=_tr("&Keys"), icon="keyboard", run=lambda: window.show_help("keys")),
        Action(
            id="help.copy", title=_tr("&Copy diagnostics"), icon="copy", separated=True,
            tip=_tr("Versions and the last problem, as text for a report"), run=window.diagnostics.copy,
        ),
        Action(
            id="help.save", title=_tr("&Save diagnostics…"), icon="floppy-disk",
            tip=_tr("The same with the logs and the newest run's story, as a zip file without images"),
            enabled=lambda: window.context.catalog is not None, run=window.diagnostics.save,
        ),
        Action(id="help.logs", title=_tr("Open &log folder"), icon="file-text", run=_open_logs),
        Action(id="help.about", title=_tr("&About"), icon="info", separated=True, run=window.about),
    ]  # fmt: skip


def _switch_theme(window: MainWindow) -> None:
    choice = "light" if theme.colors().dark else "dark"
    window.memory.theme = choice
    theme.apply(choice, window.memory.points)


def _open_logs() -> None:
    from PySide6.QtCore import QUrl
    from PySide6.QtGui import QDesktopServices

    from tlstudio import paths

    QDesktopServices.openUrl(QUrl.fromLocalFile(str(paths.logs())))
