"""The network above the curves: the stage strip, the epoch it stands for, and images as the network will see them.

Looks at a network in the background, since building one imports torch; what a strategy does to it needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSlider, QVBoxLayout, QWidget

from tlstudio.api.backbone import BackboneSpec
from tlstudio.api.config import AugmentConfig
from tlstudio.api.dataset import ImageSet, Options
from tlstudio.api.events import StageState
from tlstudio.api.freezing import FreezingSpec, StageInfo
from tlstudio.gui import theme
from tlstudio.gui.pages.train_form import TrainForm
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.preview_strip import COUNT, PreviewStrip
from tlstudio.gui.widgets.stage_strip import HEAD, StageStrip, count_text

_SETTLE_MS = 250  # typing must not start work with every key
_PLANS_LOOKED_AT = 200


class NetworkView(QWidget):
    """Shows what the form would train; while a run is going, what it does train."""

    planned = Signal()
    """`plans` are others now."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.strip = StageStrip()
        self.preview = PreviewStrip()
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
        self._images: ImageSet | None = None
        self._draw = 0
        self._looking: Task | None = None
        self._previewing: Task | None = None
        self._previewed: object = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._update_preview)
        self.preview.another_wanted.connect(self._another)
        self._build()

    def follow(self, form: TrainForm) -> None:
        """Show what these settings mean."""
        self._form = form
        spec = form.backbone()
        if spec is None or self._running:
            return
        self._title.setText(spec.title)
        chosen = self._strategy(form)
        if chosen is None:
            return  # the field says what is wrong
        strategy, options = chosen
        key = self._key(spec, strategy, options)
        if key in self._known:
            self._update_plans()
            return
        self.strip.set_stages(())
        self.strip.set_placeholder(self.tr("Looking at the network …"))
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
        self._images = images
        self._previewed = None
        self._settle.start()

    def show_states(self, stages: Sequence[StageState], *, running: bool) -> None:
        """Show a plan as the run tells it."""
        self._running = running
        self._slider.hide()
        self._epoch_label.hide()
        self._show(tuple(stages))

    def set_running(self, running: bool) -> None:
        """A run began or ended; afterwards the strip follows the form again when that changes."""
        self._running = running

    @property
    def plans(self) -> tuple[tuple[StageState, ...], ...]:
        """The states for each epoch that was looked at."""
        return tuple(self._plans)

    def _key(self, spec: BackboneSpec, strategy: FreezingSpec, options: Options) -> tuple[str, int, str]:
        """What the look of a network depends on; of the strategy only where it adds something to the network."""
        added = f"{strategy.name} {options!r}" if strategy.prepare is not None else ""
        return (f"{spec.family}/{spec.name}", len(self._images.classes) if self._images is not None else 2, added)

    @staticmethod
    def _strategy(form: TrainForm) -> tuple[FreezingSpec, Options] | None:
        """The strategy of the form and its options; ``None`` where they are not valid."""
        strategy = form.strategy()
        try:
            return None if strategy is None else (strategy, strategy.options.model_validate(form.value("freezing.options")))
        except ValidationError:
            return None

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
        from tlstudio.engine.freeze import plan_states

        stages = self._known[self._key(spec, strategy, options)]
        try:
            self._plans = [
                plan_states(strategy, options, stages, epoch=epoch, epochs=epochs, pretrained=form.pretrained())
                for epoch in range(min(epochs, _PLANS_LOOKED_AT))
            ]
        except Exception as error:  # noqa: BLE001 - a plugin's plan may raise anything; the strip says it
            self.strip.set_stages(())
            self.strip.set_placeholder(self.tr("The strategy fails: {reason}").format(reason=error))
            return
        varies = any(plan != self._plans[0] for plan in self._plans)
        self._slider.setVisible(varies)
        self._epoch_label.setVisible(varies)
        self._slider.setRange(0, len(self._plans) - 1)
        self._slide(self._slider.value())
        self._settle.start()
        self.planned.emit()

    @Slot(int)
    def _slide(self, epoch: int) -> None:
        if not self._plans or self._running:
            return
        epoch = min(epoch, len(self._plans) - 1)
        self._epoch_label.setText(self.tr("Epoch {n}").format(n=epoch + 1))
        self._show(self._plans[epoch])

    def _show(self, stages: tuple[StageState, ...]) -> None:
        self.strip.set_stages(stages)
        total = sum(stage.params for stage in stages)
        learning = sum(stage.trainable_params for stage in stages)
        self._facts.setText(self.tr("{n} of {all} parameters learn").format(n=count_text(learning), all=count_text(total)))

    @Slot()
    def _another(self) -> None:
        self._draw += 1
        self._previewed = None
        self._update_preview()

    @Slot()
    def _update_preview(self) -> None:
        images, form = self._images, self._form
        spec = form.backbone() if form is not None else None
        if images is None or form is None or spec is None or not len(images) or not self.isVisible():
            return
        from tlstudio.engine.augment import varies

        wanted = self._augment(form)
        size = form.value("data.image_size")
        preprocessing = (spec.weights[0].preprocessing if spec.weights else spec.preprocessing).at(
            size if isinstance(size, int) and 16 <= size <= 2048 else None
        )
        now = (id(images), wanted, preprocessing, self._draw)
        if now == self._previewed:
            return
        self._previewed = now
        if self._previewing is not None:
            self._previewing.cancel()
        draw = self._draw

        def work(task: Task) -> list[object]:
            from tlstudio.engine.augment import preview

            rows = [round((i + 0.5) * len(images) / COUNT) for i in range(COUNT)]
            pictures: list[object] = []
            for row in dict.fromkeys(min(row, len(images) - 1) for row in rows):
                if task.cancelled:
                    break
                try:
                    pictures += preview(images, [row], preprocessing, wanted, seed=0, draw=draw)
                except Exception:  # noqa: BLE001 - an unreadable image is told elsewhere
                    continue
            return pictures

        varied = varies(wanted.preset, wanted)
        caption = (
            self.tr("As the network sees them: one random draw") if varied else self.tr("As the network sees them: not varied")
        )
        self._previewing = run_in_background(
            self, work, done=lambda found: self.preview.set_images(found, caption, random=varied)
        )

    def _augment(self, form: TrainForm) -> AugmentConfig:
        """The augmentation of the form, with ``auto`` decided as the engine will."""
        from tlstudio.engine.augment import effective_preset

        learns = any(stage.factor > 0.0 for plan in self._plans for stage in plan if stage.name != HEAD)
        names = ("preset", "vertical_flip", "policy", "magnitude", "erase")
        try:
            config = AugmentConfig.model_validate({name: form.value(f"augment.{name}") for name in names})
        except ValidationError:  # a number that is not valid is marked at its field
            config = AugmentConfig(preset=form.value("augment.preset"))
        return config.model_copy(update={"preset": effective_preset(config, learns_stages=learns)})

    def _build(self) -> None:
        top = QHBoxLayout()
        top.setSpacing(theme.GRID)
        top.addWidget(self._title)
        top.addWidget(self._facts, 1)
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
        layout.addWidget(self.preview)
