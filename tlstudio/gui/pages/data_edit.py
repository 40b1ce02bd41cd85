"""What the user changes in the opened images: labels, splits, tags, what is left out. Every step is saved and can be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget

from tlstudio.api.dataset import SPLIT_NAMES
from tlstudio.api.images import printable
from tlstudio.data.curation import Curation
from tlstudio.data.edits import Edit, Exclude, MoveToSplit, Relabel, RenameClass, Tag, Together
from tlstudio.gui import theme
from tlstudio.gui.widgets.background import run_in_background

_IN_MENU = 40  # classes beyond are chosen from a list


class Editing(QObject):
    """Edits of one set of images. Rows are those of the table; ``rows()`` says which ones the user means now."""

    changed = Signal()
    """The table is another one."""
    said = Signal(object)
    """str: what was done, in a few words."""
    failed = Signal(object)
    """Exception: it could not be saved, and was not done."""

    def __init__(self, rows: Callable[[], Sequence[int]], parent: QWidget) -> None:
        super().__init__(parent)
        self._rows, self._window = rows, parent
        self.curation: Curation | None = None

    def begin(self, curation: Curation | None) -> None:
        """Edit these from now on."""
        self.curation = curation

    def look(self) -> None:
        """See in the background whether another program edited the same images, and take that in."""
        curation = self.curation
        if curation is not None:
            run_in_background(self, lambda _task: curation.journal.is_behind(), done=lambda behind: behind and self._catch_up())

    def _catch_up(self) -> None:
        try:
            new = self.curation is not None and self.curation.catch_up()
        except OSError:
            return  # its drive is gone: whoever edits next says so
        if new:
            self.said.emit(self.tr("Edits that another program made are shown now"))
            self.changed.emit()

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes now in force."""
        return () if self.curation is None else self.curation.table.images.classes

    # What can be done

    def do(self, edit: Edit, words: str) -> None:
        """Do something; ``words`` tell it."""
        if self.curation is None:
            return
        try:
            self.curation.add(edit)
        except OSError as error:
            self.failed.emit(error)
            self._catch_up()  # before it failed it may have read what others did
            return
        self.said.emit(words)
        self.changed.emit()

    def relabel(self, label: str | None) -> None:
        """Give the chosen images a class."""
        keys = self._keys()
        if keys:
            name = self.tr("no class") if label is None else printable(label)
            self.do(Relabel(keys=keys, label=label), self.tr("{what} labelled {name}").format(what=self._many(keys), name=name))

    def relabel_by_digit(self, digit: int) -> None:
        """Give them the class with this number in the list: 1 is the first, 0 the tenth."""
        place = (digit - 1) % 10
        if place < len(self.classes):
            self.relabel(self.classes[place])

    def toggle_excluded(self) -> None:
        """Leave the chosen images out, or take them back in where all of them are out already."""
        keys = self._keys()
        if not keys or self.curation is None:
            return
        excluded = self.curation.table.excluded
        out = not all(excluded[row] for row in self._rows())
        words = self.tr("{what} left out") if out else self.tr("{what} taken back in")
        self.do(Exclude(keys=keys, out=out), words.format(what=self._many(keys)))

    def move(self, split: int) -> None:
        """Let the chosen images train, validate or test."""
        keys = self._keys()
        if keys:
            words = self.tr("{what} moved to {split}").format(what=self._many(keys), split=self.split_name(split))
            self.do(MoveToSplit(keys=keys, split=SPLIT_NAMES[split]), words)

    def tag(self, word: str, *, on: bool = True) -> None:
        """Put a word on the chosen images, or take it off."""
        keys = self._keys()
        if keys and word.strip():
            words = self.tr("{what} tagged {tag}") if on else self.tr("{tag} taken off {what}")
            self.do(Tag(keys=keys, tag=word.strip(), on=on), words.format(what=self._many(keys), tag=word.strip()))

    def rename(self, old: str, new: str) -> None:
        """Give a class another name; where that is taken, the two become one."""
        new = new.strip()
        if new and new != old:
            words = self.tr("{old} merged into {new}") if new in self.classes else self.tr("{old} renamed to {new}")
            self.do(RenameClass(old=old, new=new), words.format(old=printable(old), new=printable(new)))

    def undo(self) -> None:
        """Take the last step back."""
        self._travel(self.curation.undo if self.curation else None, self.tr("Undone: {what}"), self.tr("Nothing to undo"))

    def redo(self) -> None:
        """Do it again."""
        self._travel(self.curation.redo if self.curation else None, self.tr("Done again: {what}"), self.tr("Nothing to redo"))

    # Asking

    def fill_menu(self, menu: QMenu) -> None:
        """Everything that can be done with the chosen images."""
        chosen = self._rows()
        if self.curation is None or not chosen:
            return
        table = self.curation.table
        labels = menu.addMenu(self.tr("Label as"))
        theme.set_icon(labels.menuAction(), "tag")
        for place, name in enumerate(self.classes[:_IN_MENU]):
            title = printable(name).replace("&", "&&") + (f"\t{(place + 1) % 10}" if place < 10 else "")
            labels.addAction(title, lambda name=name: self.relabel(name))
        labels.addSeparator()
        if len(self.classes) > _IN_MENU:
            labels.addAction(self.tr("Another class…"), self._ask_class)
        labels.addAction(self.tr("New class…"), self._ask_new_class)
        labels.addAction(self.tr("No class"), lambda: self.relabel(None))
        out = all(table.excluded[row] for row in chosen)
        leave = menu.addAction(self.tr("Take back in") if out else self.tr("Leave out"), self.toggle_excluded)
        leave.setText(leave.text() + "\tDel")
        splits = menu.addMenu(self.tr("Move to"))
        for split in range(len(SPLIT_NAMES)):
            splits.addAction(self.split_name(split), lambda split=split: self.move(split))
        tags = menu.addMenu(self.tr("Tags"))
        for word in table.tags:
            tagged = set(table.tags[word].tolist())
            action = tags.addAction(word.replace("&", "&&"))
            action.setCheckable(True)
            action.setChecked(all(row in tagged for row in chosen))
            action.triggered.connect(lambda on, word=word: self.tag(word, on=on))
        tags.addAction(self.tr("New tag…"), self.ask_tag)

    def fill_class_menu(self, menu: QMenu, name: str) -> None:
        """What can be done with a class."""
        menu.addAction(self.tr("Rename…"), lambda: self.ask_rename(name))
        merge = menu.addMenu(self.tr("Merge into"))
        for other in self.classes[:_IN_MENU]:
            if other != name:
                merge.addAction(printable(other).replace("&", "&&"), lambda other=other: self.rename(name, other))
        merge.setEnabled(len(self.classes) > 1)

    def ask_rename(self, name: str) -> None:
        """Ask for another name of a class."""
        new, ok = QInputDialog.getText(self._window, self.tr("Rename class"), self.tr("New name:"), text=name)
        if ok:
            self.rename(name, new)

    def ask_tag(self) -> None:
        """Ask for a word to put on the chosen images."""
        word, ok = QInputDialog.getText(self._window, self.tr("Tag"), self.tr("A word for these images:"))
        if ok:
            self.tag(word)

    def _ask_new_class(self) -> None:
        name, ok = QInputDialog.getText(self._window, self.tr("New class"), self.tr("Name of the class:"))
        if ok and name.strip():
            self.relabel(name.strip())

    def _ask_class(self) -> None:
        name, ok = QInputDialog.getItem(self._window, self.tr("Label as"), self.tr("Class:"), list(self.classes))
        if ok and name.strip():
            self.relabel(name.strip())

    def split_name(self, split: int) -> str:
        """Training, validation or test, in words."""
        return (self.tr("training"), self.tr("validation"), self.tr("test"))[split]

    def _travel(self, step: Callable[[], Edit | None] | None, words: str, nothing: str) -> None:
        if step is None or self.curation is None:
            return
        before = self.curation.edits
        try:
            edit = step()
        except OSError as error:
            self.failed.emit(error)
            self._catch_up()  # before it failed it may have read what others did
            return
        self.said.emit(nothing if edit is None else words.format(what=self._describe(edit)))
        if self.curation.edits != before:  # another program's may be among them
            self.changed.emit()

    def _describe(self, edit: Edit) -> str:
        if isinstance(edit, RenameClass):
            return self.tr("rename {old} to {new}").format(old=printable(edit.old), new=printable(edit.new))
        keys = [key for part in edit.edits for key in getattr(part, "keys", ())] if isinstance(edit, Together) else edit.keys
        kinds = {
            "relabel": self.tr("label {what}"),
            "exclude": self.tr("leave out {what}"),
            "tag": self.tr("tag {what}"),
            "split": self.tr("move {what}"),
        }
        return kinds.get(edit.op, self.tr("change {what}")).format(what=self._many(keys))

    def _keys(self) -> tuple[str, ...]:
        if self.curation is None:
            return ()
        keys = self.curation.original.keys
        return tuple(keys[row] for row in self._rows())

    def _many(self, keys: Sequence[str]) -> str:
        return self.tr("1 image") if len(keys) == 1 else self.tr("{n} images").format(n=f"{len(keys):,}")
