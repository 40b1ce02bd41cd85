"""A form built from a pydantic model: one row a field, with its label, editor, a mark where it was changed, and what is wrong.

Knows models and editors, nothing of training; the caller may replace the editor of a field by one that knows more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from tlstudio.api.errors import Problem
from tlstudio.api.problems import problems_of
from tlstudio.gui import theme
from tlstudio.gui.widgets.editors import Editor
from tlstudio.gui.widgets.fields import default_of, help_of, make_editor, problem_with, title_of
from tlstudio.gui.widgets.fold import Fold

LABEL_WIDTH = 104
_INDENT = 12


@dataclass(frozen=True, kw_only=True)
class Section:
    """Some fields of a model under a heading; ``more`` ones stay away at first, and each is unfolded by its heading.

    Args:
        below: something that belongs under the fields, such as a picture of what they do.
    """

    fields: tuple[str, ...]
    title: str = ""
    more: bool = False
    below: QWidget | None = None


class FieldRow:
    """The widgets of one field in a grid: mark and label, editor, reset button, and below them the reason it is wrong."""

    def __init__(self, name: str, info: FieldInfo, editor: Editor, changed: Callable[[FieldRow], None]) -> None:
        self.name, self.info, self.editor = name, info, editor
        self.default = default_of(info)
        self.resettable = getattr(editor, "resettable", True)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.reset = QToolButton()
        self.reset.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.set_icon(self.reset, "arrow-counter-clockwise", "muted")
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.reset.setSizePolicy(policy)
        self.error = QLabel()
        self.error.setWordWrap(True)
        self.error.setProperty("role", "error")
        self.error.hide()
        self.note = QLabel()
        self.note.setWordWrap(True)
        self.note.setProperty("role", "caption")
        self.note.hide()
        self._title = title_of(name, info)
        self.help = help_of(name, info)
        self.label.setToolTip(self.help)
        self.label.setBuddy(editor)
        editor.setAccessibleName(self._title)
        editor.setAccessibleDescription(help_of(name, info))
        editor.setToolTip(help_of(name, info))
        self.reset.setToolTip(_tr("Back to the default"))
        self.reset.setAccessibleName(_tr("Reset {field}").format(field=self._title))
        self.reset.clicked.connect(self.set_default)
        editor.changed.connect(lambda: changed(self))
        self.set_default()
        self.refresh()

    def add_to(self, grid: QGridLayout, *, wide: bool) -> None:
        """Put the widgets into the next rows of a grid."""
        row = grid.rowCount()
        if wide:
            self.resettable = False  # its parts have reset buttons of their own
            grid.addWidget(self.editor, row, 0, 1, 3)
        else:
            grid.addWidget(self.label, row, 0, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(self.editor, row, 1)
            grid.addWidget(self.reset, row, 2)
        grid.addWidget(self.error, row + 1, 0 if wide else 1, 1, 2)
        grid.addWidget(self.note, row + 2, 0 if wide else 1, 1, 2)

    def set_shown(self, shown: bool) -> None:
        """Show or hide all of it; hidden, it takes no room."""
        for widget in (self.label, self.editor):
            widget.setVisible(shown)
        policy = self.reset.sizePolicy()
        policy.setRetainSizeWhenHidden(shown)
        self.reset.setSizePolicy(policy)
        self.reset.setVisible(shown and self.is_changed and self.resettable)
        self.error.setVisible(shown and bool(self.error.text()))
        self.note.setVisible(shown and bool(self.note.text()))

    def set_matters(self, matters: bool) -> None:
        """A field without an effect is not shown, or pale where its value was changed."""
        self.set_shown(matters or self.is_changed)
        role = "" if matters else "muted"
        if (self.label.property("role") or "") != role:
            theme.set_role(self.label, role)
            self.label.setToolTip(
                self.help if matters else f"{_tr('It has no effect beside the other settings.')}\n{self.help}"
            )

    def set_default(self) -> None:
        """Back to the model's default."""
        self.editor.set_value(self.default)

    @property
    def is_changed(self) -> bool:
        """Whether the value is not the default."""
        return bool(self.editor.value() != self.default)

    def refresh(self) -> None:
        """Redraw the mark of a changed value."""
        changed = self.is_changed and self.resettable
        self.label.setText(f"• {self._title}" if changed else self._title)
        self.reset.setVisible(changed and self.resettable)

    def show_problem(self, message: str) -> None:
        """Say at the field what is wrong; empty takes it away."""
        self.error.setText(message)
        self.error.setVisible(bool(message))
        self.editor.set_invalid(bool(message))

    def show_note(self, text: str) -> None:
        """Say something about the value below it, such as why it was chosen; empty takes it away."""
        if text != self.note.text():
            self.note.setText(text)
            self.note.setVisible(bool(text))


class Form(QWidget):
    """The fields of a model, nested models as dotted names.

    Args:
        model: the pydantic model.
        sections: which fields stand where; by default all in one.
        editors: replaces the editor of a field.
        wide: fields whose editor brings its own labels and takes the whole width.
        units: shown inside number fields.
        indent: how many pixels the labels stand further right; the editors stay in line.
    """

    changed = Signal()
    """A value is another now."""

    def __init__(
        self,
        model: type[BaseModel],
        *,
        sections: Sequence[Section] = (),
        editors: Mapping[str, Editor] | None = None,
        wide: Iterable[str] = (),
        units: Mapping[str, str] | None = None,
        indent: int = 0,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.model = model
        self._indent = indent
        self.rows: dict[str, FieldRow] = {}
        self._fields = fields_of(model)
        self._more: list[Fold] = []
        self._folds: dict[str, Fold] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(theme.GRID)
        for section in sections or (Section(fields=tuple(self._fields)),):
            part = self._build(section, editors or {}, frozenset(wide), units or {})
            if section.more:
                part = Fold(section.title, part, self)
                self._more.append(part)
                self._folds.update(dict.fromkeys(section.fields, part))
                part.hide()
            layout.addWidget(part)

    def values(self) -> dict[str, Any]:
        """All values, valid or not, nested as the model is."""
        result: dict[str, Any] = {}
        for name, row in self.rows.items():
            *parents, last = name.split(".")
            node = result
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = row.editor.value()
        return result

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Show nested values; a field that is not among them gets its default."""
        for name, row in self.rows.items():
            node: Any = values
            for part in name.split("."):
                node = node.get(part, row.default) if isinstance(node, Mapping) else row.default
            row.editor.set_value(node)

    def check(self) -> tuple[Problem, ...]:
        """Everything that is wrong, each shown at its field as well."""
        problems = self.problems()
        self.show_problems(problems)
        return problems

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong; in plain words where it is about numbers, else in those of the model."""
        found: dict[str, Problem] = {}
        for name, row in self.rows.items():
            message = problem_with(row.info, row.editor.value())
            if message:
                found[name] = Problem(field=name, message=message)
        try:
            self.model.model_validate(self.values())
        except ValidationError as error:
            for problem in problems_of(error):
                found.setdefault(problem.field, problem)
        return tuple(found.values())

    def show_problems(self, problems: Iterable[Problem]) -> tuple[Problem, ...]:
        """Mark fields; returns the problems that belong to no field of this form."""
        messages: dict[str, list[str]] = {}
        strays = []
        for problem in problems:
            name = self._row_of(problem.field)
            if name:
                rest = problem.field[len(name) :].lstrip(".")
                messages.setdefault(name, []).append(f"{rest}: {problem.message}" if rest else problem.message)
            else:
                strays.append(problem)
        for name, row in self.rows.items():
            row.show_problem("\n".join(messages.get(name, ())))
        return tuple(strays)

    def set_more(self, open_: bool) -> None:
        """Show the headings of the rest, or no longer; those with changed values come unfolded."""
        for part in self._more:
            part.setVisible(open_)
            if open_ and any(row.is_changed and self._fold_of(row) is part for row in self.rows.values()):
                part.set_open(True)

    def unfold(self, name: str) -> None:
        """Show a field that is folded away."""
        fold = self._fold_of(self.rows[name]) if name in self.rows else None
        if fold is not None:
            fold.show()
            fold.set_open(True)

    def unfold_all(self) -> None:
        """Show every field."""
        for name in self.rows:
            self.unfold(name)

    def changed_count(self, *, more: bool) -> int:
        """How many values differ from their defaults, among the folded ones or the others; and say it at each heading."""
        counts: dict[Fold | None, int] = {}
        for row in self.rows.values():
            fold = self._fold_of(row)
            counts[fold] = counts.get(fold, 0) + row.is_changed
        for part in self._more:
            part.set_changed(counts.get(part, 0))
        return sum(count for fold, count in counts.items() if (fold is not None) == more)

    def _fold_of(self, row: FieldRow) -> Fold | None:
        return self._folds.get(row.name)

    def _row_of(self, field: str) -> str:
        while field and field not in self.rows:
            field = field.rpartition(".")[0]
        return field

    def _build(
        self, section: Section, editors: Mapping[str, Editor], wide: frozenset[str], units: Mapping[str, str]
    ) -> QWidget:
        part = QWidget(self)
        grid = QGridLayout(part)
        grid.setContentsMargins(self._indent, 0, 0, 0)
        grid.setHorizontalSpacing(theme.GRID)
        grid.setVerticalSpacing(theme.HALF + 2)
        grid.setColumnStretch(1, 1)
        if section.title and not section.more:
            heading = QLabel(section.title)
            heading.setProperty("role", "section")
            grid.addWidget(heading, 0, 0, 1, 3)
        for name in section.fields:
            info = self._fields[name]
            row = FieldRow(name, info, editors.get(name) or make_editor(info, unit=units.get(name, "")), self._row_changed)
            row.label.setFixedWidth(LABEL_WIDTH - self._indent)
            row.add_to(grid, wide=name in wide)
            self.rows[name] = row
        if section.below is not None:
            grid.addWidget(section.below, grid.rowCount(), 0, 1, 3)
        return part

    def _row_changed(self, row: FieldRow) -> None:
        row.refresh()
        if not row.error.isHidden():
            row.show_problem(problem_with(row.info, row.editor.value()))
        self.changed.emit()


class OptionsEditor(QWidget):
    """The options of a plugin's record, as a small form of its own; hands out only what differs from the defaults."""

    changed = Signal()

    def __init__(self, *, hidden: Iterable[str] = ("path",), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._hidden = frozenset(hidden)
        self._form: Form | None = None
        self._other: dict[str, Any] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Maximum)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.hide()  # until there are options to show

    @property
    def form(self) -> Form | None:
        """The form of the options; ``None`` where there are none."""
        return self._form

    def set_model(self, model: type[BaseModel] | None) -> None:
        """Show the fields of another options model, with their defaults; values of the same name are kept."""
        if model is (self._form.model if self._form else None):
            return
        if self._form is not None:
            self._layout.removeWidget(self._form)
            self._form.setParent(None)
            self._form.deleteLater()
        names = tuple(name for name in (model.model_fields if model else ()) if name not in self._hidden)
        self._form = Form(model, sections=(Section(fields=names),), indent=_INDENT) if model and names else None
        self._other = {}
        if self._form is not None:
            self._layout.addWidget(self._form)
            self._form.changed.connect(self.changed)
        self.setVisible(self._form is not None)
        self.changed.emit()

    def value(self) -> dict[str, Any]:
        """Options that differ from their defaults, and those given that the model does not know."""
        own = {} if self._form is None else {n: row.editor.value() for n, row in self._form.rows.items() if row.is_changed}
        return {**self._other, **own}

    def set_value(self, value: Any) -> None:
        """Show these options; the rest at their defaults."""
        given = dict(value or {})
        known = self._form.rows if self._form is not None else {}
        self._other = {name: item for name, item in given.items() if name not in known}
        for name, row in known.items():
            row.editor.set_value(given.get(name, row.default))
        self.changed.emit()

    def set_invalid(self, invalid: bool) -> None:
        """The fields mark themselves."""

    def check(self, prefix: str) -> tuple[Problem, ...]:
        """Problems of the options at their dotted names; marked at the fields as well."""
        if self._form is None:
            return ()
        found = [problem for problem in self._form.problems() if problem.field not in self._hidden]
        self._form.show_problems(found)
        return tuple(Problem(field=f"{prefix}.{problem.field}", message=problem.message) for problem in found)


def fields_of(model: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """All fields of a model by dotted name, in order."""
    result: dict[str, FieldInfo] = {}
    for name, info in model.model_fields.items():
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            result.update(fields_of(inner, f"{prefix}{name}."))
        else:
            result[f"{prefix}{name}"] = info
    return result


def _tr(text: str) -> str:
    return QCoreApplication.translate("Form", text)
