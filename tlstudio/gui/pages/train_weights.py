"""The list of weights in the form: what is published for the chosen backbone and what of it is on this machine."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFileDialog

from tlstudio.api.backbone import BackboneSpec
from tlstudio.gui.widgets.choice_box import Choice, ChoiceBox
from tlstudio.registry.weights import WeightSet, how_to_get, weight_sets

_FILE = object()  # the entry that opens a file dialog


class WeightsBox(ChoiceBox):
    """The weights to start from: the best at hand, a published set, a file, or none."""

    def __init__(self) -> None:
        super().__init__()
        self._backbone: BackboneSpec | None = None
        self._name = ""
        self._sets: list[WeightSet] = []
        self._before: Any = "auto"
        self.activated.connect(self._activated)
        self.set_backbone("", None)

    def set_backbone(self, name: str, backbone: BackboneSpec | None) -> None:
        """Offer the sets of another backbone, which goes by this qualified name."""
        if backbone is self._backbone and self.choices:
            return
        before = {known.name for known in self._sets}
        self._name, self._backbone = name, backbone
        self._sets = weight_sets({name: backbone}) if backbone else []
        kept = self.value()
        self._offer()
        if kept in before and kept not in {known.name for known in self._sets}:
            self.set_value("auto")  # a set of the other backbone's: it would not fit

    def pretrained(self) -> bool:
        """Whether a run would start from trained weights."""
        value = self.value()
        return self._best_at_hand() is not None if value == "auto" else value != "none"

    def at_hand(self) -> bool | None:
        """Whether weights of the backbone are on this machine; ``None`` for a backbone without any."""
        return any(known.path for known in self._sets) if self._sets else None

    def _best_at_hand(self) -> WeightSet | None:
        return next((known for known in self._sets if known.path and known.spec), None)

    def showPopup(self) -> None:
        """Look again: weights may have been imported meanwhile."""
        sets = weight_sets({self._name: self._backbone}) if self._backbone else []
        if [known.path for known in sets] != [known.path for known in self._sets]:
            self._sets = sets
            self._offer()
        super().showPopup()

    def _offer(self) -> None:
        best = self._best_at_hand()
        if best is not None:
            title = self.tr("Best at hand: {weights}").format(weights=_title(best))
        else:
            title = self.tr("None at hand: random values") if self._backbone else self.tr("Best at hand")
        choices = [
            Choice(
                value="auto",
                title=title,
                about=self.tr("The first published set that is on this machine; random values where there is none."),
            )
        ]
        for known in self._sets:
            here = known.path is not None
            title = _title(known) if here else self.tr("{title} (not on this machine)").format(title=_title(known))
            choices.append(Choice(value=known.name, title=title, about=_about_set(known), enabled=here))
        choices += [
            Choice(
                value="none", title=self.tr("None: random values"), about=self.tr("Learn everything anew; needs many images.")
            ),
            Choice(value=_FILE, title=self.tr("A file…"), about=self.tr("A .pth or .safetensors file of this network.")),
        ]
        self.set_choices(choices)

    @Slot(int)
    def _activated(self, _index: int) -> None:
        if self.value() is not _FILE:
            self._before = self.value()
            return
        self._select(self._before)
        path, _ = QFileDialog.getOpenFileName(
            self, self.tr("Weights"), "", self.tr("Weights (*.pth *.pt *.bin *.safetensors);;All files (*)")
        )
        if path:
            self._before = path
            self.set_value(path)


def _title(known: WeightSet) -> str:
    return known.spec.title if known.spec else known.name


def _about_set(known: WeightSet) -> str:
    """Where a set comes from, under what licence; where it is not here, how to get it."""
    about = known.spec or known.entry
    if about is None:
        return ""
    lines = [about.title] if known.spec is None else []
    if known.path is None and known.spec is not None:
        lines.append(how_to_get(known.backbone, known.spec))
    elif about.source:
        lines.append(about.source)
    return "\n".join([*lines, about.licence] if about.licence else lines)
