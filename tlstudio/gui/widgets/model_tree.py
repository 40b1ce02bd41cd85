"""The network as a tree: stages, and in each its layers with parameters, output and state.

A model of plain records: a row costs nothing until it is seen, so that a network of a thousand layers opens at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractItemModel, QMargins, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QPainter
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTreeView, QWidget

from tlstudio.api.events import StageState
from tlstudio.gui import theme
from tlstudio.gui.widgets import stage_look
from tlstudio.gui.widgets.stage_look import HEAD

if TYPE_CHECKING:
    from tlstudio.engine.layers import LayerInfo, StageLayers

LAYER, PARAMETERS, OUTPUT, STATE = range(4)
STATE_ROLE = Qt.ItemDataRole.UserRole
_Index = QModelIndex | QPersistentModelIndex
_CHIP = 14


def layer_state(layer: LayerInfo, stage: StageState) -> StageState | None:
    """What becomes of a layer while its stage is in this state; ``None`` for one without parameters."""
    if not layer.params:
        return None
    counts = {"norm": layer.norm_params, "bias": layer.bias_params, "adapter": layer.adapter_params}
    learns = stage.factor > 0.0 and counts.get(stage.within, layer.params) > 0
    within = "all" if stage.within == "norm" else stage.within  # of a norm layer all learns
    return stage.model_copy(
        update={"name": layer.name, "params": layer.params, "factor": stage.factor if learns else 0.0, "within": within}
    )


class TreeModel(QAbstractItemModel):
    """Stages as top rows, layers inside them."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._stages: tuple[StageState, ...] = ()
        self._layers: dict[str, StageLayers] = {}

    def set_stages(self, stages: Sequence[StageState]) -> None:
        """Show these; other states of the same stages leave the tree as open as it is."""
        if [stage.name for stage in stages] == [stage.name for stage in self._stages]:
            self._stages = tuple(stages)
            self._refresh()
            return
        self.beginResetModel()
        self._stages, self._layers = tuple(stages), {}
        self.endResetModel()

    def set_layers(self, layers: Sequence[StageLayers]) -> None:
        """Show what is inside the stages."""
        self.beginResetModel()
        self._layers = {stage.name: stage for stage in layers}
        self.endResetModel()

    @property
    def has_layers(self) -> bool:
        """Whether the layers are known."""
        return bool(self._layers)

    def row_of(self, stage: str) -> int:
        """The row of a stage; -1 where it is not here."""
        return next((row for row, state in enumerate(self._stages) if state.name == stage), -1)

    def index(self, row: int, column: int, parent: _Index = QModelIndex()) -> QModelIndex:  # noqa: B008 - Qt's own form
        """A top row has the number 0, a layer one more than its stage's row."""
        if not self.hasIndex(row, column, parent):
            return QModelIndex()
        return self.createIndex(row, column, parent.row() + 1 if parent.isValid() else 0)

    def parent(self, index: _Index = QModelIndex()) -> QModelIndex:  # noqa: B008
        """The stage of a layer."""
        stage = index.internalId() if index.isValid() else 0
        return self.createIndex(stage - 1, 0, 0) if stage else QModelIndex()

    def rowCount(self, parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Stages, or the layers of one."""
        if not parent.isValid():
            return len(self._stages)
        if parent.internalId() or parent.column():
            return 0
        inside = self._layers.get(self._stages[parent.row()].name)
        return len(inside.layers) if inside else 0

    def columnCount(self, _parent: _Index = QModelIndex()) -> int:  # noqa: B008
        """Layer, parameters, output, state."""
        return 4

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles of the columns."""
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int((Qt.AlignmentFlag.AlignRight if section == PARAMETERS else Qt.AlignmentFlag.AlignLeft).value)
        titles = (self.tr("Layer"), self.tr("Parameters"), "  " + self.tr("Output"), self.tr("State"))
        return titles[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: _Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Texts, and at `STATE_ROLE` the state to draw."""
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() == PARAMETERS:
            return int((Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter).value)
        state, layer = self._at(index)
        if role == STATE_ROLE:
            return state if index.column() == STATE else None
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole):
            return self._text(index, state, layer)
        return None

    def _at(self, index: _Index) -> tuple[StageState | None, LayerInfo | None]:
        number = index.internalId()
        if not number:
            return self._stages[index.row()], None
        stage = self._stages[number - 1]
        layer = self._layers[stage.name].layers[index.row()]
        return layer_state(layer, stage), layer

    def _text(self, index: _Index, state: StageState | None, layer: LayerInfo | None) -> str:
        column = index.column()
        if column == LAYER:
            if layer is not None:
                return f"{layer.name}   {layer.kind}"
            name = self._stages[index.row()].name
            return self.tr("head") if name == HEAD else name
        if column == PARAMETERS:
            count = layer.params if layer is not None else self._stages[index.row()].params
            return f"{count:,}" if count else ""
        if column == OUTPUT:
            inside = layer if layer is not None else self._layers.get(self._stages[index.row()].name)
            return shape_text(inside.shape) if inside is not None else "" if self._layers else "…"
        return self._state_text(state, layer)

    def _state_text(self, state: StageState | None, layer: LayerInfo | None) -> str:
        if state is None:
            return ""
        text = stage_look.words(state)
        if layer is not None:
            told = layer.keeps_statistics
            state = state if state.factor else state.model_copy(update={"norm_stats": "fixed"})
        else:
            inside = self._layers.get(state.name)
            told = state.factor > 0.0 and inside is not None and any(one.keeps_statistics for one in inside.layers)
        return f"{text}, {stage_look.statistics_words(state)}" if told else text

    def _refresh(self) -> None:
        if not self._stages:
            return
        self.dataChanged.emit(self.index(0, 0), self.index(len(self._stages) - 1, STATE))
        for row in range(len(self._stages)):
            parent = self.index(row, 0)
            count = self.rowCount(parent)
            if count:
                self.dataChanged.emit(self.index(0, STATE, parent), self.index(count - 1, STATE, parent))


class ModelTree(QTreeView):
    """The tree, with the strip's two colours and signs before each state."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tree = TreeModel(self)
        self._asked = ""
        self.setModel(self.tree)
        self.setItemDelegate(_RowDelegate(self))
        self.setItemDelegateForColumn(STATE, _StateDelegate(self))
        self.setUniformRowHeights(True)
        self.setAllColumnsShowFocus(True)
        self.setAccessibleName(self.tr("Layers of the network"))
        header = self.header()
        header.setStretchLastSection(True)
        header.setSectionResizeMode(LAYER, QHeaderView.ResizeMode.Stretch)
        for column, width in ((PARAMETERS, 88), (OUTPUT, 128), (STATE, 240)):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Interactive)
            header.resizeSection(column, width)
        theme.changed.connect(self._restyle)

    def set_layers(self, layers: Sequence[StageLayers]) -> None:
        """Show what is inside the stages; those that were open stay open."""
        opened = [row for row in range(self.tree.rowCount()) if self.isExpanded(self.tree.index(row, 0))]
        self.tree.set_layers(layers)
        for row in opened:
            self.expand(self.tree.index(row, 0))
        if self._asked:
            self.show_stage(self._asked)

    def show_stage(self, stage: str) -> None:
        """Open a stage and bring it into view, now or as soon as its layers are known."""
        self._asked = "" if self.tree.has_layers else stage
        row = self.tree.row_of(stage)
        if row >= 0:
            index = self.tree.index(row, 0)
            self.setCurrentIndex(index)
            self.expand(index)
            self.scrollTo(index, QTreeView.ScrollHint.PositionAtTop)

    @Slot(object)
    def _restyle(self, _now: object) -> None:
        self.viewport().update()


class _RowDelegate(QStyledItemDelegate):
    """A little air between rows and columns."""

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:
        return super().sizeHint(option, index).grownBy(QMargins(0, 2, 0, 2))

    def initStyleOption(self, option: QStyleOptionViewItem, index: _Index) -> None:
        super().initStyleOption(option, index)
        if index.column() == OUTPUT:
            option.text = f"   {option.text}"


class _StateDelegate(_RowDelegate):
    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        state = index.data(STATE_ROLE)
        shifted = QStyleOptionViewItem(option)
        if state is not None:
            shifted.rect = option.rect.adjusted(_CHIP + 8, 0, 0, 0)
        super().paint(painter, shifted, index)
        if state is None:
            return
        if option.state & QStyle.StateFlag.State_Selected:
            painter.fillRect(option.rect.adjusted(0, 0, _CHIP + 8 - option.rect.width(), 0), theme.colors().selection)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        top = option.rect.center().y() - (_CHIP - 4) / 2
        stage_look.paint_chip(painter, QRectF(option.rect.left() + 4.5, top + 0.5, _CHIP, _CHIP - 4), state)
        painter.restore()


def shape_text(shape: tuple[int, ...] | None) -> str:
    """The shape of an output, such as 64 × 56 × 56."""
    return "" if shape is None else " × ".join(str(side) for side in shape)
