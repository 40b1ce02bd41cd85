"""What learns: the list of strategies below *Automatic* and the presets, and the look at the images behind *Automatic*.

Looks in the background at what is open, as a run would at its start, so that the window shows the choice and its reason
beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent, QWheelEvent
from PySide6.QtWidgets import QWidget

from tlstudio.api.config import AUTO_STRATEGY, SAMPLE_DATASET, SAMPLE_STRATEGY, DataConfig, ModelConfig, TrainConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.api.freezing import FreezingSpec
from tlstudio.gui.pages.train_presets import about_of, title_of
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.choice_box import Choice, ChoiceBox
from tlstudio.registry.presets import PRESETS, WHAT_LEARNS, Preset, Situation, preset_for, why

if TYPE_CHECKING:
    from tlstudio.gui.context import AppContext, OpenedData
    from tlstudio.gui.pages.train_form import TrainForm
    from tlstudio.registry import Catalog

_SETTLE_MS = 250
_MAX_VISIBLE = 24


def usual_strategy(data: DataConfig) -> str:
    """What the form offers for these images before anybody chooses."""
    return SAMPLE_STRATEGY if data.dataset == SAMPLE_DATASET and data.path is None else AUTO_STRATEGY


class StrategyBox(ChoiceBox):
    """The strategies of the plugins, *Automatic*, which names the one that it comes to, and presets.

    A preset is never its value: it is taken from the open list, and the list then shows the strategy of the preset.
    """

    preset_picked = Signal(object)
    """Preset: the user wants its settings; the list stays where it is until they are put into it."""

    def __init__(self) -> None:
        super().__init__()
        self._strategies: Mapping[str, FreezingSpec] = {}
        self._situation: Situation | None = None
        self._before: Any = AUTO_STRATEGY
        self.setMaxVisibleItems(_MAX_VISIBLE)
        self._offer()

    @property
    def chosen(self) -> str:
        """The qualified name of the strategy that a run would take; empty while the program has not looked yet."""
        value = self.value()
        if value != AUTO_STRATEGY:
            return str(value)
        return "" if self._situation is None else str(preset_for(self._situation).settings[WHAT_LEARNS])

    @property
    def reason(self) -> str:
        """Why that one, where the program has chosen it."""
        if self.value() != AUTO_STRATEGY or self._situation is None:
            return ""
        return f"{why(self._situation)} {about_of(preset_for(self._situation))}"

    def set_strategies(self, strategies: Mapping[str, FreezingSpec]) -> None:
        """Offer these."""
        self._strategies = strategies
        self._offer()

    def set_situation(self, situation: Situation | None) -> None:
        """What the images are like; ``None`` while nobody has looked."""
        if situation == self._situation:
            return
        self._situation = situation
        self._offer()
        if self.value() == AUTO_STRATEGY:
            self.changed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The arrow keys on the closed list pass over the presets, which change more than the list shows."""
        with self._presets_aside():
            super().keyPressEvent(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """So does the wheel."""
        with self._presets_aside():
            super().wheelEvent(event)

    @contextmanager
    def _presets_aside(self) -> Iterator[None]:
        self._let_presets(False)
        try:
            yield
        finally:
            self._let_presets(True)  # a key may have brought other entries

    def _let_presets(self, on: bool) -> None:
        for row, choice in enumerate(self.choices):
            if isinstance(choice.value, Preset):
                self._item(row).setEnabled(on and choice.enabled)

    def _picked(self, index: int) -> None:
        value = self.value()
        if not isinstance(value, Preset):
            self._before = value
            super()._picked(index)
            return
        blocked = self.blockSignals(True)
        self._select(self._before)
        self.blockSignals(blocked)
        self.update()
        self.preset_picked.emit(value)

    def _offer(self) -> None:
        title = self.tr("Automatic: by your images")
        if self._situation is not None:
            spec = self._strategies.get(str(preset_for(self._situation).settings[WHAT_LEARNS]))
            title = self.tr("Automatic: {strategy}").format(strategy=spec.title) if spec else title
        about = self.tr("By how many images there are, and how near they are to those that the weights were trained on.")
        automatic = Choice(value=AUTO_STRATEGY, title=title, about=about)
        if not self._strategies:  # nobody has looked for plugins yet
            self.set_choices([automatic])
            return
        presets = [self._entry(preset) for preset in PRESETS]
        rest = [Choice(value=key, title=spec.title, about=_about(spec)) for key, spec in self._strategies.items()]
        above = [self._heading(self.tr("By situation")), *presets, self._heading(self.tr("By strategy"))]
        self.set_choices([automatic, *above, *rest])

    def _entry(self, preset: Preset) -> Choice:
        offered = preset.settings[WHAT_LEARNS] in self._strategies  # its plugin may be off
        return Choice(value=preset, title=title_of(preset), about=about_of(preset), enabled=offered)

    @staticmethod
    def _heading(title: str) -> Choice:
        return Choice(value=object(), title=title, heading=True)


class SituationLook(QObject):
    """Keeps the situation of the form's images and weights up to date; `wanted` is asked before it looks.

    Args:
        form: gets the situation.
        wanted: whether to look now; a look runs the network, which a run in progress must not be slowed by.
    """

    failed = Signal(object)
    """Exception: why the images or the weights cannot be looked at."""

    def __init__(self, owner: QWidget, context: AppContext, form: TrainForm, wanted: Callable[[], bool]) -> None:
        super().__init__(owner)
        self._context, self._form, self._wanted = context, form, wanted
        self._known: dict[object, Situation] = {}
        self._looking: tuple[object, Task] | None = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._look)

    @Slot()
    def follow(self) -> None:
        """Something may be another now: show what is known, or look a little later."""
        opened, catalog = self._context.data, self._context.catalog
        if opened is None or catalog is None:
            return
        key = self._key(opened)
        situation = self._known.get(key)
        self._form.set_situation(situation)
        if situation is None and self._form.value("freezing.strategy") == AUTO_STRATEGY:
            self._settle.start()

    def _key(self, opened: OpenedData) -> object:
        """What the look depends on: the images as they were opened, the network, its weights, the size."""
        names = ("model.backbone", "model.weights", "data.image_size")
        return (id(opened.images), repr(opened.config), *(repr(self._form.value(name)) for name in names))

    @Slot()
    def _look(self) -> None:
        opened, catalog = self._context.data, self._context.catalog
        if opened is None or catalog is None or not self._wanted():
            return
        key = self._key(opened)
        if key in self._known or (self._looking is not None and self._looking[0] == key):
            return
        if self._looking is not None:
            self._looking[1].cancel()
        config, images, workspace = self._config(opened), opened.images, self._context.workspace
        task = run_in_background(
            self,
            lambda _task: _look_at(config, images, catalog, workspace),
            done=lambda situation: self._seen(key, situation),
            failed=lambda error: self._failed(key, error),
        )
        self._looking = (key, task)

    def _config(self, opened: OpenedData) -> dict[str, Any]:
        form = self._form
        model = {name: form.value(f"model.{name}") for name in ModelConfig.model_fields}
        size = form.value("data.image_size")
        data = opened.config.model_dump()
        return {"data": {**data, "image_size": size}, "model": model}

    def _seen(self, key: object, situation: Situation) -> None:
        self._looking = None
        self._known[key] = situation
        self.follow()

    def _failed(self, key: object, error: Exception) -> None:
        """Settings that are not valid, weights that do not fit: the strip says it, and so do their fields or the run."""
        if self._looking is not None and self._looking[0] == key:
            self._looking = None
            self.failed.emit(error)


def _look_at(config: dict[str, Any], images: ImageSet, catalog: Catalog, workspace: Path) -> Situation:
    from tlstudio.data.curation import Curation
    from tlstudio.engine.likeness import look_at

    asked = TrainConfig.model_validate(config)
    recipe = catalog.resolve(asked, workspace=workspace)
    table = Curation(images, asked.data, workspace).table
    return look_at(recipe, table.taking_part(), table.splits)


def _about(spec: FreezingSpec) -> str:
    return f"{spec.about}\n{spec.source}" if spec.source else spec.about
