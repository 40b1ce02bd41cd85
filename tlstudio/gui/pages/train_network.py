"""The network above the curves: the stage strip, the strategy over the epochs, and images as the network will see them.

What is drawn on the strip or on the time axis goes to `Drawer`; the tree of layers is made here and placed by the page.
Looks at a network in the background, since building one imports torch; what a strategy does to it needs no torch.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMenu, QSizePolicy, QSlider, QToolButton, QVBoxLayout, QWidget

from tlstudio.api.backbone import BackboneSpec
from tlstudio.api.config import AUTO_STRATEGY
from tlstudio.api.dataset import ImageSet, Options
from tlstudio.api.errors import ConfigError, Problem
from tlstudio.api.events import StageState
from tlstudio.api.freezing import FreezingSpec, StageInfo
from tlstudio.engine.custom import STRATEGY, rows_of, without_strangers
from tlstudio.gui import theme
from tlstudio.gui.pages.train_drawing import Drawer, Shown
from tlstudio.gui.pages.train_form import TrainForm
from tlstudio.gui.pages.train_layers import TrainLayers
from tlstudio.gui.pages.train_preview import TrainPreview
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.plan_raster import PlanRaster
from tlstudio.gui.widgets.stage_look import count_text
from tlstudio.gui.widgets.stage_strip import StageStrip

_PLANS_LOOKED_AT = 200


class NetworkView(QWidget):
    """Shows what the form would train; while a run is going, what it does train."""

    layers_shown = Signal(object)
    """bool: the tree of layers is wanted, or no longer."""
    problem = Signal(object)
    """UserError: a strategy could not be saved."""
    planned = Signal()
    """`plans` are others now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.strip = StageStrip()
        self.preview = TrainPreview()
        self.raster = PlanRaster()
        self.tree = TrainLayers()
        self.drawer: Drawer | None = None
        self.problems: tuple[Problem, ...] = ()
        """What in the options of the strategy does not fit the network."""
        self._epochs: tuple[int, ...] = ()
        self._shown_key: tuple[str, int, str] | None = None
        self._drawing = False
        self._title = QLabel()
        self._title.setProperty("role", "section")
        self._facts = QLabel()
        self._facts.setProperty("role", "muted")
        self._facts.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self._epoch_label = QLabel()
        self._epoch_label.setProperty("role", "caption")
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setFixedWidth(120)
        self._slider.setAccessibleName(self.tr("Epoch to look at"))
        self._slider.setToolTip(self.tr("What learns changes from epoch to epoch; look ahead here"))
        self._slider.valueChanged.connect(self._slide)
        self._known: dict[tuple[str, int, str], tuple[StageInfo, ...]] = {}
        self._plans: list[tuple[StageState, ...]] = []
        self._running = False
        self._form: TrainForm | None = None
        self._looking: Task | None = None
        self._build()

    def follow(self, form: TrainForm) -> None:
        """Show what these settings mean."""
        self._form = form
        spec = form.backbone()
        if spec is None or self._running:
            return
        self._title.setText(spec.title)
        chosen = self._strategy(form)
        if chosen is None:  # the field says what is wrong, or the program has not chosen yet
            if form.value("freezing.strategy") == AUTO_STRATEGY:
                self.strip.set_stages(())
                self.strip.set_placeholder(self.tr("Looking at the images …"))
            return
        strategy, options = chosen
        key = self._key(spec, strategy, options)
        if self._drawing and key not in self._known and self._shown_key in self._known:
            self._known[key] = self._known[self._shown_key]  # a drawing adds to the network what its start did
        if key in self._known:
            self._shown_key = key
            self._update_plans()
            return
        self.strip.set_editable(False)
        self.raster.set_editable(False)
        self.strip.set_stages(())
        self.strip.set_placeholder(self.tr("Looking at the network …"))
        self.raster.hide()
        self.tree.tree.set_stages(())
        self._facts.setText("")
        if self._looking is not None:
            self._looking.cancel()
        classes = key[1]

        def look(_task: Task) -> tuple[StageInfo, ...]:
            from tlstudio.engine.describe import describe_stages

            return describe_stages(spec, num_classes=classes, strategy=strategy, options=options)

        self._looking = run_in_background(
            self, look, done=lambda stages: self._seen(key, stages), failed=lambda error: self._unseen(error)
        )

    def set_images(self, images: ImageSet) -> None:
        """Show some of these, and count the head's classes by them."""
        self.preview.set_source(images)

    def make_drawable(self, form: TrainForm, workspace: Callable[[], Path]) -> None:
        """Let what is drawn here change this form; drawings are kept in the workspace."""
        self._form = form
        self.drawer = drawer = Drawer(self, form, workspace)
        drawer.changed.connect(self._show_way_back)
        drawer.problem.connect(self.problem)
        self.strip.edited.connect(self._draw_strategy)
        self.raster.edited.connect(self._draw_strategy)

    def look_at_saved(self) -> None:
        """Read the strategies that are kept in the workspace."""
        if self.drawer is not None:
            self.drawer.look()

    def undo(self) -> None:
        """Take the last change that was drawn back."""
        if self.drawer is not None and not self._running:
            self.drawer.undo()

    def redo(self) -> None:
        """Make it again."""
        if self.drawer is not None and not self._running:
            self.drawer.redo()

    def show_states(self, stages: Sequence[StageState], *, running: bool, epoch: int | None = None) -> None:
        """Show a plan as the run tells it, and where on the time axis it is."""
        self._running = running
        self._slider.hide()
        self._epoch_label.hide()
        self.raster.set_running(epoch)
        self._show(tuple(stages))

    def set_running(self, running: bool) -> None:
        """A run began or ended; afterwards all shows what the form says again."""
        self._running = running
        self._show_way_back()
        if not running:
            self.raster.set_running(None)
            if self._plans:
                self._update_plans()
        self._set_editable()

    @property
    def plans(self) -> tuple[tuple[StageState, ...], ...]:
        """The states for each epoch; where not all of a long run were looked at, those of the one before it that was."""
        looked_at = self._epochs[: len(self._plans)]
        return tuple(self._plans[bisect_right(looked_at, epoch) - 1] for epoch in range(looked_at[-1] + 1 if looked_at else 0))

    def _key(self, spec: BackboneSpec, strategy: FreezingSpec, options: Options) -> tuple[str, int, str]:
        """What the look of a network depends on; of the strategy only where it adds something to the network."""
        added = f"{strategy.name} {options!r}" if strategy.prepare is not None else ""
        if self.drawer is not None and self.drawer.is_custom:  # what is drawn adds nothing, but for adapters
            given = options.model_dump()
            added = f"{given['rank']} {given['alpha']}" if given["within"] == "adapter" else ""
        return (f"{spec.family}/{spec.name}", len(self.preview.images.classes) if self.preview.images is not None else 2, added)

    @staticmethod
    def _strategy(form: TrainForm) -> tuple[FreezingSpec, Options] | None:
        """The strategy of the form and its options; ``None`` where they are not valid."""
        strategy = form.strategy()
        try:
            return None if strategy is None else (strategy, strategy.options.model_validate(form.value("freezing.options")))
        except ValidationError:
            return None

    @Slot(object)
    def show_unchosen(self, error: Exception) -> None:
        """Say why the program cannot choose what learns."""
        if self._form is not None and not self._running and self._strategy(self._form) is None:
            title = getattr(error, "title", "") or str(error)
            self.strip.set_placeholder(self.tr("What learns cannot be chosen: {reason}").format(reason=title))

    def _seen(self, key: tuple[str, int, str], stages: tuple[StageInfo, ...]) -> None:
        self._known[key] = stages
        self._looking = None
        if self._form is not None:
            self.follow(self._form)

    def _unseen(self, error: BaseException) -> None:
        self._looking = None
        self.strip.set_placeholder(self.tr("The network cannot be built: {reason}").format(reason=error))

    def _update_plans(self) -> None:
        form = self._form
        spec, chosen = (form.backbone(), self._strategy(form)) if form is not None else (None, None)
        epochs = form.value("run.epochs") if form is not None else 1
        if form is None or spec is None or chosen is None or not isinstance(epochs, int) or epochs < 1:
            return
        strategy, options = chosen
        stages = self._known.get(self._key(spec, strategy, options))
        if stages is None:
            return
        self._epochs = rows_of(epochs, _PLANS_LOOKED_AT)
        try:
            self._plans = self._planned(form, strategy, options, stages, epochs)
        except Exception as error:  # noqa: BLE001 - a plugin's plan may raise anything; the strip says it
            self.strip.set_editable(False)
            self.strip.set_stages(())
            self.raster.hide()
            self.strip.set_placeholder(self.tr("The strategy fails: {reason}").format(reason=error))
            return
        varies = any(plan != self._plans[0] for plan in self._plans)
        self._slider.setVisible(varies)
        self._epoch_label.setVisible(varies)
        custom = self.drawer is not None and self.drawer.is_custom
        self.raster.set_plans(self._plans, self._epochs)
        self.raster.setVisible(len(self._plans) > 1 and (varies or custom))
        self._slider.setRange(0, len(self._plans) - 1)
        if not varies:
            self._slider.setValue(0)
        self._slide(self._slider.value())
        self._set_editable()
        self._show_way_back()
        self.preview.follow(form, self._plans)
        self.planned.emit()

    def _planned(
        self, form: TrainForm, strategy: FreezingSpec, options: Options, stages: tuple[StageInfo, ...], epochs: int
    ) -> list[tuple[StageState, ...]]:
        """The states for each epoch to look at; stages that the network does not have are marked in the form and left out."""
        from tlstudio.engine.freeze import plan_epochs

        def plans(options: Options) -> list[tuple[StageState, ...]]:
            found = plan_epochs(strategy, options, stages, epochs=self._epochs, budget=epochs, pretrained=form.pretrained())
            return list(found)

        before, self.problems = self.problems, ()
        try:
            result = plans(options)
        except ConfigError as error:
            self.problems = error.problems
            form.show_option_problems(self.problems)
            if form.value("freezing.strategy") != STRATEGY:
                raise
            names = [stage.name for stage in stages]
            result = plans(strategy.options.model_validate(without_strangers(options.model_dump(), names)))
        else:
            if before:
                form.show_option_problems(())
        return result

    def _set_editable(self) -> None:
        editable = self.drawer is not None and self.drawer.possible and not self._running and bool(self._plans)
        self.strip.set_editable(editable)
        self.raster.set_editable(editable)

    @Slot(object)
    def _draw_strategy(self, edit: Any) -> None:
        epochs = self._form.value("run.epochs") if self._form is not None else 0
        if self.drawer is None or self._form is None or self._running or not self._plans or not isinstance(epochs, int):
            return
        row = self._slider.value() if not self._slider.isHidden() else 0
        pretrained = self._form.pretrained()
        shown = Shown(plans=self._plans, epochs=self._epochs, budget=max(1, epochs), row=row, pretrained=pretrained)
        self._drawing = True
        self.drawer.draw(edit, shown)
        self._drawing = False

    @Slot()
    def _show_way_back(self) -> None:
        """A button that leads back to the strategy that a drawing began from."""
        drawer = self.drawer
        self._saved.setVisible(drawer is not None)
        self._saved.setEnabled(not self._running)
        self._reset.setVisible(drawer is not None and bool(drawer.before) and not self._running)
        if drawer is not None and drawer.before:
            self._reset.setToolTip(self.tr("Back to “{title}” (Ctrl+Z takes back one change)").format(title=drawer.before))

    @Slot(int)
    def _slide(self, epoch: int) -> None:
        if not self._plans or self._running:
            return
        epoch = min(epoch, len(self._plans) - 1)
        self._epoch_label.setText(self.tr("Epoch {n}").format(n=self._epochs[epoch] + 1))
        self.raster.set_column(epoch)
        self._show(self._plans[epoch])

    def _show(self, stages: tuple[StageState, ...]) -> None:
        self.strip.set_stages(stages)
        self.tree.tree.set_stages(stages)
        if self._open_layers.isChecked():
            self._look_at_layers()
        total = sum(stage.params for stage in stages)
        learning = sum(stage.trainable_params for stage in stages)
        self._facts.setText(self.tr("{n} of {all} parameters learn").format(n=count_text(learning), all=count_text(total)))

    @Slot(object)
    def show_layers(self, stage: str) -> None:
        """Open the tree at a stage."""
        self._open_layers.setChecked(True)
        self.tree.show_stage(stage)
        self.tree.setFocus()

    @Slot(bool)
    def _toggle_layers(self, on: bool) -> None:
        theme.set_icon(self._open_layers, "caret-down" if on else "caret-right", "muted")
        self.preview.setVisible(not on)
        self.layers_shown.emit(on)
        if on:
            self._look_at_layers()
        elif self._form is not None:
            self.preview.follow(self._form, self._plans)

    def _look_at_layers(self) -> None:
        """Fill the tree; what is inside a network of an image size is looked up once."""
        form = self._form
        spec, chosen = (form.backbone(), self._strategy(form)) if form is not None else (None, None)
        if form is None or spec is None or chosen is None:
            return
        key = self._key(spec, *chosen)
        self.tree.look(key, spec, chosen, size=self._image_size(form, spec), classes=key[1])

    @staticmethod
    def _image_size(form: TrainForm, spec: BackboneSpec) -> int:
        size = form.value("data.image_size")
        preprocessing = spec.weights[0].preprocessing if spec.weights else spec.preprocessing
        return size if isinstance(size, int) and 16 <= size <= 2048 else preprocessing.image_size

    def _build(self) -> None:
        self._make_buttons()
        top = QHBoxLayout()
        top.setSpacing(theme.GRID)
        top.addWidget(self._title)
        top.addWidget(self._facts, 1)
        for button in (self._reset, self._saved, self._open_layers):
            top.addWidget(button)
        top.addWidget(self._epoch_label)
        top.addWidget(self._slider)
        self._slider.hide()
        self._epoch_label.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.HALF)
        layout.addLayout(top)
        layout.addWidget(self.strip)
        layout.addSpacing(theme.HALF)
        layout.addWidget(self.raster)
        layout.addWidget(self.preview)
        self.raster.hide()
        self.raster.epoch_chosen.connect(self._slider.setValue)
        self.strip.layers_wanted.connect(self.show_layers)
        self.strip.stage_clicked.connect(lambda name: self._open_layers.isChecked() and self.tree.show_stage(name))

    def _make_buttons(self) -> None:
        def button(text: str, icon: str, tip: str) -> QToolButton:
            made = QToolButton()
            made.setText(text)
            made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            made.setAutoRaise(True)
            made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
            made.setToolTip(tip)
            made.setAccessibleName(text)
            theme.set_icon(made, icon, "muted")
            return made

        self._reset = button(self.tr("Reset"), "arrow-counter-clockwise", "")
        self._reset.clicked.connect(lambda: self.drawer is not None and self.drawer.reset())
        self._reset.hide()
        self._saved = button(self.tr("Saved"), "floppy-disk", self.tr("Save this strategy under a name, or use a saved one"))
        self._saved.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self._saved)
        menu.aboutToShow.connect(lambda: self.drawer is not None and self.drawer.fill(menu))
        self._saved.setMenu(menu)
        self._open_layers = button(
            self.tr("Layers"), "caret-right", self.tr("Show the layers of each stage: parameters, output, state")
        )
        self._open_layers.setCheckable(True)
        self._open_layers.toggled.connect(self._toggle_layers)
