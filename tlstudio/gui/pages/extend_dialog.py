"""Asks how many epochs more a finished run shall have, and says what that means for its learning rate."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFormLayout, QLabel, QPushButton, QSpinBox, QVBoxLayout, QWidget

from tlstudio.api.config import TrainConfig
from tlstudio.engine.schedule import schedule_factor
from tlstudio.gui import theme
from tlstudio.gui.pages.runs_model import title_of_run
from tlstudio.runs.standing import Standing

_MOST_EPOCHS = 10_000
_WIDTH = 460


class ExtendDialog(QDialog):
    """One number and what follows from it."""

    def __init__(self, standing: Standing, config: TrainConfig, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._standing, self._config = standing, config
        self.setWindowTitle(self.tr("Extend the run"))
        self.setMinimumWidth(_WIDTH)
        done, title = standing.run.epochs_done, title_of_run(standing.run)
        name = QLabel(self.tr("“{name}” has had {n} epochs.").format(name=title, n=done))
        if done < config.run.epochs:
            name.setText(
                self.tr("“{name}” ended early, after {n} of {all} epochs.").format(name=title, n=done, all=config.run.epochs)
            )
        name.setWordWrap(True)
        self._more = QSpinBox()
        self._more.setRange(1, max(1, _MOST_EPOCHS - config.run.epochs))
        self._more.setValue(max(1, config.run.epochs // 2))
        self._more.setMinimumHeight(3 * theme.GRID + theme.HALF)
        self._more.setSuffix(self.tr(" epochs"))
        self._more.setAccessibleName(self.tr("How many epochs more"))
        self._more.valueChanged.connect(self._explain)
        self.meaning = QLabel()
        self.meaning.setWordWrap(True)
        theme.set_role(self.meaning, "muted")
        buttons = QDialogButtonBox()
        buttons.addButton(QPushButton(self.tr("Cancel")), QDialogButtonBox.ButtonRole.RejectRole)
        start = QPushButton(self.tr("Extend"))
        start.setProperty("role", "primary")
        theme.set_icon(start, "fast-forward", "on_accent")
        start.setDefault(True)
        buttons.addButton(start, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout()
        form.addRow(self.tr("More"), self._more)
        layout = QVBoxLayout(self)
        layout.setSpacing(2 * theme.GRID)
        layout.addWidget(name)
        layout.addLayout(form)
        layout.addWidget(self.meaning)
        layout.addStretch(1)
        layout.addWidget(buttons)
        self._explain()

    def epochs(self) -> int:
        """How many epochs more."""
        return self._more.value()

    @Slot()
    def _explain(self) -> None:
        config, more = self._config, self.epochs()
        parts = [
            self.tr("The run goes on in epoch {n} of {all}, with the same settings and images.").format(
                n=self._standing.epoch + 1, all=config.run.epochs + more
            )
        ]
        rates = rates_around(self._standing, config, more)
        if rates is None:
            parts.append(self.tr("The learning rate stays as it was."))
        else:
            parts.append(
                self.tr(
                    "The learning rate follows the length of a run, and so may what learns: it had come to {before:.2g} and"
                    " goes on at {after:.2g}. A run of {all} epochs from the start would differ."
                ).format(before=rates[0], after=rates[1], all=config.run.epochs + more)
            )
        if config.run.patience:
            parts.append(self.tr("Patience ({n} epochs) is counted anew.").format(n=config.run.patience))
        self.meaning.setText("\n\n".join(parts))


def rates_around(standing: Standing, config: TrainConfig, more: int) -> tuple[float, float] | None:
    """The learning rate of the last step that was done, and that of the next; ``None`` where no length of a run matters."""
    optim = config.optim
    if optim.schedule in ("constant", "plateau") or not standing.epoch or not optim.learning_rate:
        return None
    each, step = max(1, standing.step // standing.epoch), standing.step
    before = schedule_factor(optim, max(0, step - 1), each * config.run.epochs, each)
    after = schedule_factor(optim, step, each * (config.run.epochs + more), each)
    return optim.learning_rate * before, optim.learning_rate * after
