"""The form of the train page: `TrainConfig` as rows, with lists of what the plugins offer. Decides nothing about training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pydantic import ValidationError
from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtWidgets import (
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from tlstudio.api.backbone import BackboneSpec
from tlstudio.api.config import (
    AUTO_STRATEGY,
    SPLIT_FIELDS,
    DataConfig,
    FreezingConfig,
    OptimConfig,
    TrainConfig,
    field_names,
    parse_config,
)
from tlstudio.api.errors import ConfigError, Problem
from tlstudio.api.events import StageState
from tlstudio.api.freezing import FreezingSpec
from tlstudio.gui import theme
from tlstudio.gui.pages.data_row import DataRow
from tlstudio.gui.pages.train_matters import depending, without_effect
from tlstudio.gui.pages.train_presets import PresetChoice
from tlstudio.gui.pages.train_situation import StrategyBox, usual_strategy
from tlstudio.gui.pages.train_weights import WeightsBox
from tlstudio.gui.widgets.backbone_box import BackboneBox
from tlstudio.gui.widgets.choice_box import Choice, ChoiceBox
from tlstudio.gui.widgets.editors import NumberBox
from tlstudio.gui.widgets.fields import UNITS
from tlstudio.gui.widgets.form import Form, OptionsEditor, Section
from tlstudio.gui.widgets.schedule_curve import Planned
from tlstudio.gui.widgets.schedule_plot import SchedulePlot
from tlstudio.registry import Catalog
from tlstudio.registry.catalog import usual_rate
from tlstudio.registry.presets import Preset, Situation

WIDTH = 376
_ESSENTIALS = (
    "data.path", "model.backbone", "model.weights", "freezing.strategy", "freezing.options", "run.epochs", "run.batch_size",
    "optim.learning_rate", "augment.preset",
)  # fmt: skip
_OPTIMISER = ("optim.optimizer", "optim.weight_decay", "optim.momentum")
_SCHEDULE = ("optim.schedule", "optim.step_epochs", "optim.decay_factor", "optim.plateau_patience", "optim.warmup_steps")
_SPEED = (
    "run.device", "run.precision", "run.plan", "run.frozen_path", "run.channels_last", "run.depthwise",
    "run.cudnn_benchmark", "run.tf32", "run.deterministic", "run.compile", "run.cache", "run.cache_gigabytes", "augment.views",
    "run.observers",
)  # fmt: skip
_USUAL_IMAGES = 1000  # to draw a schedule before images are opened
_USUAL_RATE = 1e-3


class TrainForm(QWidget):
    """All settings of a run; the essentials first, the rest under *More*."""

    changed = Signal()
    """A setting is another now."""
    data_wanted = Signal()
    """The user wants to choose other images."""
    rate_wanted = Signal()
    """The user wants a learning rate to be searched for."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._catalog: Catalog | None = None
        self.schedule = SchedulePlot(self)
        self._images = 0
        self._plans: Sequence[Sequence[StageState]] = ()
        self._split: dict[str, Any] = {}
        """How the images are split: that is decided on the data page."""
        self._editors = {
            "data.path": DataRow(),
            "data.dataset": ChoiceBox(),
            "data.options": OptionsEditor(),
            "model.backbone": BackboneBox(),
            "model.weights": WeightsBox(),
            "freezing.strategy": StrategyBox(),
            "freezing.options": OptionsEditor(hidden=()),
        }
        self._scroll = QScrollArea(self)  # every part is made within its parent: put there later, it would be styled anew
        self._scroll.setWidget(QWidget())
        self.form = Form(
            TrainConfig,
            sections=self._sections(),
            editors=self._editors,
            wide=("data.options", "freezing.options"),
            units=UNITS,
            parent=self._scroll.widget(),
        )
        self._more = QPushButton(self.tr("More"))
        self._more.setCheckable(True)
        theme.set_role(self._more, "flat")
        theme.set_icon(self._more, "caret-right", "muted")
        self._more.setToolTip(self.tr("Show the settings that rarely need a change"))
        self._more.toggled.connect(self._toggle_more)
        self._build()
        self._preset = PresetChoice(self.form.rows)
        self._editors["freezing.strategy"].preset_picked.connect(self._use_preset)
        self._editors["data.path"].wanted.connect(self.data_wanted)
        rate = self.form.rows["optim.learning_rate"].editor
        if isinstance(rate, NumberBox):
            rate.add_tool("magnifying-glass", self.tr("Find a learning rate…"), self.rate_wanted.emit)
        self.form.changed.connect(self._form_changed)
        self._quiet = False
        self._follow()

    def set_catalog(self, catalog: Catalog) -> None:
        """Offer what these plugins bring."""
        self._catalog = catalog
        self._editors["model.backbone"].set_backbones(catalog.backbones)
        self._editors["freezing.strategy"].set_strategies(catalog.strategies)
        automatic = Choice(value=None, title=self.tr("recognise it"), about=self.tr("The plugin that knows the path best."))
        kinds = [Choice(value=k, title=s.title, about=s.about) for k, s in catalog.datasets.items()]
        self._editors["data.dataset"].set_choices([automatic, *kinds])
        self._follow()

    def config(self) -> TrainConfig:
        """The settings as a configuration.

        Raises:
            ConfigError: with everything that is wrong, each already marked at its field.
        """
        problems = [*self.form.check()]
        for name in ("freezing.options", "data.options"):
            problems += self._editors[name].check(name)
        if problems:
            self._open_more_for(problems)
            raise ConfigError(tuple(problems))
        values = self.form.values()
        values["data"] |= self._split
        return parse_config(values)

    def set_config(self, config: TrainConfig) -> None:
        """Show another configuration."""
        values = config.model_dump(mode="python")
        self._split = {name: values["data"][name] for name in SPLIT_FIELDS}
        self._quiet = True
        self._preset.forget()
        self.form.set_values(values)
        self._quiet = False
        self._follow()  # the options' fields exist only once the strategy and the kind of data are known
        self._editors["freezing.options"].set_value(config.freezing.options)
        self._editors["data.options"].set_value(config.data.options)
        self.changed.emit()

    def freezing(self) -> FreezingConfig:
        """The strategy and those of its options that are not the defaults, valid or not."""
        return FreezingConfig(strategy=self.value("freezing.strategy"), options=self.value("freezing.options"))

    def set_freezing(self, freezing: FreezingConfig) -> None:
        """Choose a strategy with these options; one change, however many fields it touches."""
        for name, value in (("freezing.strategy", freezing.strategy), ("freezing.options", freezing.options)):
            self._quiet = True
            self._editors[name].set_value(value)
            self._quiet = False
            self._follow()  # the options' fields exist only once the strategy is known
        self.changed.emit()

    def offers(self, strategy: str) -> bool:
        """Whether a plugin offers this strategy."""
        return self._catalog is not None and strategy in self._catalog.strategies

    def set_data(self, data: DataConfig, summary: str = "") -> None:
        """Train on these images, split as they are; settings that the data do not decide stay."""
        self._split = {name: getattr(data, name) for name in SPLIT_FIELDS}
        self._quiet = True
        kind = self._catalog.datasets.get(data.dataset or "") if self._catalog else None
        self._editors["data.path"].set_words(kind.title if kind else data.dataset or "", summary)
        for name in ("path", "dataset", "options"):
            row = self.form.rows[f"data.{name}"]
            row.default = getattr(data, name)  # what was opened is where a reset leads back to
            row.editor.set_value(row.default)
        row, usual = self.form.rows["freezing.strategy"], usual_strategy(data)
        if not row.is_changed:
            row.editor.set_value(usual)
        row.default = usual
        row.refresh()
        self._quiet = False
        self._follow()
        self._editors["data.options"].set_value(data.options)
        self.changed.emit()

    def show_problems(self, problems: Iterable[Problem]) -> None:
        """Mark fields that turned out wrong later."""
        found = list(problems)
        self.form.show_problems(found if self._editors["freezing.options"].form is None else self._show_inside(found))
        self._open_more_for(found)

    def show_option_problems(self, problems: Iterable[Problem]) -> None:
        """Mark the options of the strategy that do not fit the network; none takes the marks away."""
        if self._editors["freezing.options"].form is not None:
            self._show_inside(list(problems))

    def _show_inside(self, problems: list[Problem]) -> list[Problem]:
        """Mark fields among the strategy's options; returns the problems of other fields."""
        prefix = "freezing.options."
        mine = [problem for problem in problems if problem.field.startswith(prefix)]
        inside = [Problem(field=problem.field.removeprefix(prefix), message=problem.message) for problem in mine]
        strays = self._editors["freezing.options"].form.show_problems(inside)
        others = [problem for problem in problems if problem not in mine]
        return others + [Problem(field=prefix + problem.field, message=problem.message) for problem in strays]

    def set_locked(self, locked: bool) -> None:
        """Settings cannot be changed while they are in use."""
        self.form.setEnabled(not locked)

    def backbone(self) -> BackboneSpec | None:
        """The chosen backbone, where a plugin offers it."""
        return self._catalog.backbones.get(self._editors["model.backbone"].value()) if self._catalog else None

    def strategy(self) -> FreezingSpec | None:
        """The strategy that a run would take, where a plugin offers it and it is known already."""
        return self._catalog.strategies.get(self._editors["freezing.strategy"].chosen) if self._catalog else None

    def set_situation(self, situation: Situation | None) -> None:
        """What the images are like, where what learns is left to the program; ``None`` while nobody has looked."""
        self._editors["freezing.strategy"].set_situation(situation)

    def strategy_options(self) -> dict[str, Any]:
        """All options of the strategy with their values, valid or not."""
        form = self._editors["freezing.options"].form
        return {} if form is None else form.values()

    def pretrained(self) -> bool:
        """Whether a run with these settings would start from trained weights."""
        starts_trained: bool = self._editors["model.weights"].pretrained()
        return starts_trained

    @Slot(object)
    def set_learning_rate(self, rate: float) -> None:
        """Put it into its field."""
        self.form.rows["optim.learning_rate"].editor.set_value(rate)

    def choose_backbone(self) -> None:
        """Open the list of all backbones."""
        self._editors["model.backbone"].open_chooser()

    def set_recent(self, recent: Callable[[], Sequence[str]]) -> None:
        """Where to ask, in another thread, which backbones were used last."""
        self._editors["model.backbone"].set_recent(recent)

    def value(self, name: str) -> Any:
        """What is entered in one field."""
        return self.form.rows[name].editor.value()

    def sizeHint(self) -> QSize:
        """A column of fixed width."""
        return QSize(WIDTH, 480)

    @Slot()
    def _form_changed(self) -> None:
        if not self._quiet:
            self._follow()
            self.changed.emit()

    @Slot(object)
    def _use_preset(self, preset: Preset) -> None:
        self._quiet = True
        changed = self._preset.put(preset)
        self._quiet = False
        self._follow()
        if changed:
            self.changed.emit()

    def _follow(self) -> None:
        """Let fields that depend on others follow them."""
        if self._quiet:
            return
        self._quiet = True
        self._preset.follow()
        backbone, strategy = self.backbone(), self.strategy()
        self._editors["model.weights"].set_backbone(self._editors["model.backbone"].value(), backbone)
        self._editors["model.backbone"].set_here(self._editors["model.weights"].at_hand())
        automatic = self.value("freezing.strategy") == AUTO_STRATEGY
        self._editors["freezing.options"].set_model(strategy.options if strategy and not automatic else None)
        self.form.rows["freezing.strategy"].show_note(self._preset.note or self._editors["freezing.strategy"].reason)
        kind = self._catalog.datasets.get(self._editors["data.dataset"].value()) if self._catalog else None
        self._editors["data.options"].set_model(kind.options if kind else None)
        self._automatic("data.image_size", _preprocessing_size(backbone, self.value("model.weights")))
        self._automatic("optim.learning_rate", usual_rate(strategy, self.value("optim.optimizer")) if strategy else None)
        idle = without_effect(self.value)
        for name in depending():
            self.form.rows[name].set_matters(name not in idle)
        self._draw_schedule()
        count = self.form.changed_count(more=True)
        self._more.setText(self.tr("More ({n} changed)").format(n=count) if count else self.tr("More"))
        self._quiet = False

    def _automatic(self, name: str, value: float | None) -> None:
        editor = self.form.rows[name].editor
        if isinstance(editor, NumberBox):
            editor.set_automatic(value)

    def _open_more_for(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            if not problem.field.startswith(_ESSENTIALS):
                self._more.setChecked(True)
                self.form.unfold(problem.field)

    def set_plans(self, plans: Sequence[Sequence[StageState]]) -> None:
        """What each stage does in each epoch, for the picture of the schedule."""
        self._plans = plans
        self._draw_schedule()

    def set_training_images(self, count: int) -> None:
        """How many images an epoch has."""
        self._images = count
        self._draw_schedule()

    def _draw_schedule(self) -> None:
        values, rate = self.form.values(), self.form.rows["optim.learning_rate"].editor
        batch, epochs, accumulate = (self.value(f) for f in ("run.batch_size", "run.epochs", "optim.accumulate"))
        try:
            optim = OptimConfig.model_validate(values["optim"])
            optim_ok = all(isinstance(n, int) and n > 0 for n in (batch, epochs, accumulate))
        except ValidationError:
            optim_ok = False
        if not optim_ok:
            self.schedule.show_planned(None)
            return
        steps = max(1, math.ceil((self._images or _USUAL_IMAGES) / (batch * accumulate)))
        learning_rate = optim.learning_rate or (rate.automatic if isinstance(rate, NumberBox) else None) or _USUAL_RATE
        self.schedule.show_planned(
            Planned(optim=optim, rate=learning_rate, epochs=epochs, steps_per_epoch=steps, plans=self._plans)
        )

    @Slot(bool)
    def _toggle_more(self, open_: bool) -> None:
        self.form.set_more(open_)
        theme.set_icon(self._more, "caret-down" if open_ else "caret-right", "muted")

    def _sections(self) -> tuple[Section, ...]:
        def rest(*groups: str) -> tuple[str, ...]:
            elsewhere = (*_ESSENTIALS, *_OPTIMISER, *_SCHEDULE, *_SPEED)
            shown = (name for name in field_names(TrainConfig) if name.startswith(groups) and name not in elsewhere)
            return tuple(name for name in shown if name.removeprefix("data.") not in SPLIT_FIELDS)

        return (
            Section(fields=_ESSENTIALS),
            Section(title=self.tr("Images"), fields=rest("data."), more=True),
            Section(title=self.tr("Augmentation"), fields=rest("augment."), more=True),
            Section(title=self.tr("Optimiser"), fields=_OPTIMISER, more=True),
            Section(title=self.tr("Schedule"), fields=_SCHEDULE, more=True, below=self.schedule),
            Section(title=self.tr("Loss and steps"), fields=rest("optim."), more=True),
            Section(title=self.tr("Run"), fields=rest("model.", "freezing.", "run."), more=True),
            Section(title=self.tr("Speed"), fields=_SPEED, more=True),
        )

    def _build(self) -> None:
        scroll = self._scroll
        column = QVBoxLayout(scroll.widget())
        column.setContentsMargins(2 * theme.GRID, theme.GRID, theme.GRID, 2 * theme.GRID)
        column.setSpacing(theme.GRID)
        # *More* stands between the essentials and what it unfolds
        layout = self.form.layout()
        assert isinstance(layout, QVBoxLayout)
        layout.insertWidget(1, self._more, 0, Qt.AlignmentFlag.AlignLeft)
        title = QLabel(self.tr("Train"))
        title.setProperty("role", "title")
        column.addWidget(title)
        column.addWidget(self.form)
        column.addStretch(1)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        self.setFixedWidth(WIDTH)


def _about(text: str, source: str) -> str:
    return f"{text}\n{source}" if source else text


def _preprocessing_size(backbone: BackboneSpec | None, weights: Any) -> int | None:
    if backbone is None:
        return None
    chosen = next((spec for spec in backbone.weights if spec.name == weights), None)
    if chosen is None and backbone.weights:
        chosen = backbone.weights[0]
    return (chosen.preprocessing if chosen else backbone.preprocessing).image_size
