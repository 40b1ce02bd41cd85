"""Images of the data that is open, varied as the form says: what the network will see. Read in the background."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QWidget

from tlstudio.api.config import AugmentConfig
from tlstudio.api.dataset import ImageSet
from tlstudio.api.events import StageState
from tlstudio.gui.pages.train_form import TrainForm
from tlstudio.gui.widgets.background import Task, run_in_background
from tlstudio.gui.widgets.preview_strip import COUNT, PreviewStrip
from tlstudio.gui.widgets.stage_look import HEAD

_SETTLE_MS = 250  # typing must not start work with every key


class TrainPreview(PreviewStrip):
    """The preview strip of the train page."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.images: ImageSet | None = None
        self._form: TrainForm | None = None
        self._plans: Sequence[Sequence[StageState]] = ()
        self._draw = 0
        self._previewing: Task | None = None
        self._previewed: object = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(_SETTLE_MS)
        self._settle.timeout.connect(self._update)
        self.another_wanted.connect(self._draw_anew)

    def set_source(self, images: ImageSet) -> None:
        """Show some of these."""
        self.images = images
        self._previewed = None
        self._settle.start()

    def follow(self, form: TrainForm, plans: Sequence[Sequence[StageState]]) -> None:
        """Vary them as this form says, with what learns in each epoch."""
        self._form, self._plans = form, plans
        self._settle.start()

    @Slot()
    def _draw_anew(self) -> None:
        self._draw += 1
        self._previewed = None
        self._update()

    @Slot()
    def _update(self) -> None:
        images, form = self.images, self._form
        spec = form.backbone() if form is not None else None
        if images is None or form is None or spec is None or not len(images) or not self.isVisible():
            return
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

        from tlstudio.engine.augment import varies

        varied = varies(wanted.preset, wanted)
        caption = (
            self.tr("As the network sees them: one random draw") if varied else self.tr("As the network sees them: not varied")
        )
        self._previewing = run_in_background(self, work, done=lambda found: self.set_images(found, caption, random=varied))

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
