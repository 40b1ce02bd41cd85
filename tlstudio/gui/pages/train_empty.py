"""What stands in the place of the Train page while no images are open."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from tlstudio.api.config import SAMPLE_DATASET, DataConfig
from tlstudio.gui.context import AppContext
from tlstudio.gui.widgets.empty_state import EmptyState


def nothing_to_train_on(context: AppContext) -> EmptyState:
    """Says what is missing, with a way to open images and one to try the sample."""

    def open_images() -> None:
        context.page_requested.emit("data")

    def try_sample() -> None:
        context.page_requested.emit("data")
        context.data_requested.emit(DataConfig(dataset=SAMPLE_DATASET))

    empty = EmptyState(
        "graduation-cap",
        _tr("Nothing to train on yet"),
        _tr("Open images sorted into classes; then one click on Start trains a model on them."),
    )
    empty.add_button(_tr("Open a folder of images"), open_images, "folder-open")
    empty.add_button(_tr("Try the sample"), try_sample, "sparkle", _tr("Small images of digits, ready to train"))
    return empty


def _tr(text: str) -> str:
    return QCoreApplication.translate("TrainPage", text)
