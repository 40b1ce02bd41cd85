"""Opens the images of a run, wherever they are now."""

from __future__ import annotations

from tlstudio.api.config import DataConfig, parse_config
from tlstudio.api.errors import ConfigError
from tlstudio.data.moved import relocated
from tlstudio.gui.context import AppContext
from tlstudio.runs.store import RunInfo


def show_images_of(context: AppContext, run: RunInfo) -> None:
    """Have the Data page open them, unless they are open."""
    try:
        data = relocated(parse_config(run.config).data, context.workspace)
    except ConfigError:
        return  # whoever trains says what is wrong
    opened = None if context.data is None else (context.data.config.path, context.data.config.dataset)
    if opened != (data.path, data.dataset) and (data.path is not None or data.dataset is not None):
        context.data_requested.emit(DataConfig(path=data.path, dataset=data.dataset, options=data.options))
