"""Imports pyqtgraph without what the window never uses of it, which is two thirds of what its import takes.

``from tlstudio.gui.widgets.plot_library import pg`` instead of ``import pyqtgraph as pg``.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

_UNUSED = ("RawImageWidget", "ColorMapWidget", "ScatterPlotWidget", "DataFilterWidget")
"""Widgets that nothing else in pyqtgraph needs. The first imports NVIDIA's bindings where torch brought them, the others the
editor of parameters."""
_MIRRORED = ("QtCore", "QtGui", "QtWidgets")


@contextlib.contextmanager
def _lean() -> Iterator[None]:
    """While pyqtgraph is imported: leave the unused widgets out, and have Qt's classes made when they are asked for.

    pyqtgraph copies every name of Qt into modules of its own, and PySide makes a class when it is first touched: several
    hundred classes, of which the plots use few. So ``dir()`` of Qt's modules is empty meanwhile, which leaves nothing to
    copy, and pyqtgraph's modules pass on to Qt's.
    """
    for name in _UNUSED:
        _stand_in(f"pyqtgraph.widgets.{name}")
    listings = {}
    for name in _MIRRORED:
        qt = importlib.import_module(f"PySide6.{name}")
        _stand_in(f"pyqtgraph.Qt.{name}").__getattr__ = functools.partial(getattr, qt)
        listings[qt] = vars(qt).get("__dir__")
        qt.__dir__ = list
    try:
        yield
    finally:
        for qt, listing in listings.items():
            if listing is None:
                del qt.__dir__
            else:
                qt.__dir__ = listing


def _stand_in(name: str) -> ModuleType:
    sys.modules[name] = ModuleType(name, "Stands in for the module of this name; see tlstudio.gui.widgets.plot_library.")
    return sys.modules[name]


def _import() -> ModuleType:
    if "pyqtgraph" in sys.modules:
        return sys.modules["pyqtgraph"]
    try:
        with _lean():
            return importlib.import_module("pyqtgraph")
    except (ImportError, AttributeError):  # another release, which needs what is left out
        for name in [name for name in sys.modules if name.partition(".")[0] == "pyqtgraph"]:
            del sys.modules[name]
        return importlib.import_module("pyqtgraph")


pg = _import()
