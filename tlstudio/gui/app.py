"""Opens the window and runs it until it is closed. The only place where a `QApplication` is made."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tlstudio.gui.main_window import MainWindow

_GOODBYE_SECONDS = 5.0


def run_window(
    open_path: Path | None = None,
    demo: bool = False,
    workspace: Path | None = None,
    plugins_off: Iterable[str] = (),
    all_plugins_off: bool = False,
) -> int:
    """Show the window until the user closes it.

    Args:
        open_path: a folder, an archive or a CSV file to open.
        demo: open the sample and show the Train page, ready to train.
        workspace: where runs are kept; by default the one that the user chose last in the window. This one is not remembered.
        plugins_off: names of plugins not to load.
        all_plugins_off: load only what ships.

    Returns:
        The exit status; 0 when all went well.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # none is used; looking for them reads 90 files
    gc.disable()  # the net below collects in this thread alone; and importing is a tenth faster without
    if sys.platform == "win32":
        importlib.import_module("torch")  # on Windows its libraries must be loaded before Qt's
    from PySide6.QtWidgets import QApplication

    from tlstudio.engine.memory import one_arena

    one_arena()
    _look_into_no_sources()
    from tlstudio import __version__, paths
    from tlstudio.gui import safety, theme
    from tlstudio.gui.context import AppContext
    from tlstudio.gui.main_window import MainWindow
    from tlstudio.gui.memory import Memory
    from tlstudio.gui.startup import Startup
    from tlstudio.gui.widgets.background import finish_all
    from tlstudio.gui.widgets.first_paint import after_first_paint

    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    app.setApplicationName("tlstudio")
    app.setApplicationDisplayName("Transfer Learning Studio")
    app.setApplicationVersion(__version__)
    net = safety.install(write=False)
    memory = Memory()
    theme.apply(memory.theme, memory.points)
    app.setWindowIcon(theme.icon("stack", theme.colors().accent, size=64))
    remembered = None if workspace is not None else memory.workspace
    context = AppContext(workspace or remembered or paths.workspace())
    window = MainWindow(context, memory)
    net.fault.connect(context.problem)
    startup = Startup(
        window, open_path=open_path, demo=demo, plugins_off=plugins_off, all_plugins_off=all_plugins_off, remembered=remembered
    )
    startup.warm.connect(net.settled)
    after_first_paint(window, net.write_log)
    _close_on_signals(window)
    app.commitDataRequest.connect(window.closer.session_ends)
    window.show()
    status = app.exec()
    window.hide()
    finished = finish_all(_GOODBYE_SECONDS)
    net.uninstall()
    if not finished:  # a folder on a drive that does not answer, or an import: nothing is lost by not waiting for it
        os._exit(status)
    return status


def _look_into_no_sources() -> None:
    """Keep Qt's binding from reading the source of every imported module: 40 ms for the window, 0.7 s and 110 MB for torch.

    It looks for its own ``__feature__`` switch, which nothing here uses.
    """
    feature = sys.modules.get("shibokensupport.feature")
    if hasattr(feature, "_mod_uses_pyside"):
        feature._mod_uses_pyside = lambda _module: False


def _close_on_signals(window: MainWindow) -> None:
    """End as after a click on the cross, but without asking: a run is saved. The timers let Python see signals.

    A signal may come in the middle of a painting: what it asks for is done from the event loop.
    """
    from PySide6.QtCore import QTimer

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, lambda _number, _frame: QTimer.singleShot(0, window.closer, window.closer.close_quietly))
