"""The tree of layers of the train page: looks into a network in the background, once for each network and image size."""

from __future__ import annotations

from typing import Any

from PySide6.QtWidgets import QWidget

from tlstudio.api.backbone import BackboneSpec
from tlstudio.api.dataset import Options
from tlstudio.api.freezing import FreezingSpec
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.model_tree import ModelTree


class TrainLayers(ModelTree):
    """Stages at once, their layers as soon as they are known; where a network cannot be looked into, stages alone."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._known: dict[object, Any] = {}
        self._shown: object = None
        self._wanted: object = None
        self._task: Task | None = None

    def look(
        self, network: object, spec: BackboneSpec, strategy: tuple[FreezingSpec, Options], *, size: int, classes: int
    ) -> None:
        """Show the layers of a network for images of this size.

        Args:
            network: what the look of it depends on.
        """
        key = (network, size)
        if key in self._known:
            if self._shown != key or not self.tree.has_layers:
                self._shown = key
                self.set_layers(self._known[key])
            return
        if self._task is not None:
            if self._wanted == key:
                return
            self._task.cancel()
        self._wanted = key

        def look(_task: Task) -> object:
            from tlstudio.engine.layers import describe_layers

            return describe_layers(spec, image_size=size, num_classes=classes, strategy=strategy[0], options=strategy[1])

        def seen(layers: Any) -> None:
            self._task = None
            self._known[key] = layers
            self.look(network, spec, strategy, size=size, classes=classes)

        self._task = run_in_background(self, look, done=seen, failed=lambda _error: seen(()))
