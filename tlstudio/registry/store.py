"""The weights that were imported: a folder for each file, with a record of what it is and where it came from.

<weights folder>/<first 16 digits of the SHA-256>/
  <file>  about.json

A folder appears whole or not at all. Its file was hashed as it was copied, and is checked by that hash before every use.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tlstudio import paths, safe_io
from tlstudio.api.errors import WeightsError
from tlstudio.api.progress import report

ABOUT = "about.json"
_LOCK = ".lock"
_FOLDER_DIGITS = 16
_FOLDER = re.compile(f"[0-9a-f]{{{_FOLDER_DIGITS}}}")
_BLOCK = 2**20
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")
_LONGEST = 120


class WeightsRecord(BaseModel):
    """What is known of a file of weights: in ``about.json`` of the store, and in the manifest of a bundle.

    Args:
        file: its name, without folders.
        size: in bytes.
        backbone: qualified name of the network it is for.
        name: of the set: the publisher's, or the user's own.
        published: whether it was recognised as the published set of that name, not only called so by its user.
        repository: where it lies on the Hugging Face hub, such as ``timm/resnet18.a1_in1k``; empty elsewhere.
        imported_from: the file or address it was taken from.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    format: int = Field(1, ge=1, le=1)
    file: str = Field(min_length=1, max_length=255)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)
    backbone: str
    name: str = Field(min_length=1, max_length=_LONGEST)
    title: str = ""
    published: bool = False
    source: str = ""
    licence: str = ""
    trained_on: str = ""
    num_classes: int = 0
    repository: str = ""
    imported_from: str = ""


class StoredWeights(WeightsRecord):
    """A record and the file that it describes."""

    path: Path


class WeightsStore:
    """The store in a folder; by default the user's own.

    Several processes may read and import at once: who imports holds a lock, and readers see whole entries only.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or paths.weights()

    def entries(self) -> tuple[StoredWeights, ...]:
        """All imported files, by backbone and name. Quick: the folder is read again only when it changed."""
        try:
            stamp = self.folder.stat().st_mtime_ns
        except OSError:
            return ()
        return _entries(self.folder, stamp)

    def unreadable(self) -> tuple[Path, ...]:
        """Folders of imported files whose record or file is gone; importing the file again mends them."""
        try:
            folders = [path for path in self.folder.iterdir() if _FOLDER.fullmatch(path.name)]
        except OSError:
            return ()
        return tuple(path for path in sorted(folders) if path.is_dir() and _entry(path) is None)

    def add(
        self,
        open_source: Callable[[], AbstractContextManager[IO[bytes]]],
        record: WeightsRecord,
        check: Callable[[Path], object] | None = None,
    ) -> StoredWeights:
        """Copy a file in; it is there whole and as its record says, or not at all. What is there already stays.

        Reports bytes to `tlstudio.api.progress`.

        Args:
            open_source: opens what is copied.
            check: looks at the copy before it counts, and raises what is wrong with it.

        Raises:
            WeightsError: the bytes are not those of the record, or the file was imported as something else before.
            UserError: the disk is full or may not be written.
        """
        target = self.folder / record.sha256[:_FOLDER_DIGITS]
        record = record.model_copy(update={"file": file_name(record.file)})
        with self._writing():
            known = self._intact(target, record)
            if known is not None:
                return known
            with safe_io.atomic_folder(target) as temporary:
                copy = temporary / record.file
                safe_io.atomic_write(copy, functools.partial(_copy, open_source, record))
                if check is not None:
                    check(copy)
                safe_io.write_json(temporary / ABOUT, record.model_dump(mode="json"))
        _entries.cache_clear()
        return StoredWeights(**record.model_dump(), path=target / record.file)

    def remove(self, entry: StoredWeights) -> None:
        """Delete an imported file."""
        with self._writing():
            shutil.rmtree(entry.path.parent, ignore_errors=True)
        _entries.cache_clear()

    def partial(self, address: str) -> Path:
        """Where what was fetched of an address so far is kept; its folder exists."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder / f".partial-{hashlib.sha256(address.encode()).hexdigest()[:_FOLDER_DIGITS]}"

    def _intact(self, target: Path, record: WeightsRecord) -> StoredWeights | None:
        """What lies there already, if it is sound; a damaged entry is cleared away."""
        entry = _entry(target)
        if entry is not None and safe_io.sha256(entry.path) == record.sha256:
            if (entry.backbone, entry.name) != (record.backbone, record.name) and not (entry.published and record.published):
                raise WeightsError(
                    f"This file was imported before, as {entry.name} of {entry.backbone}.",
                    hint=f"To import it as something else, delete {target} first.",
                )
            return entry
        if target.exists():
            shutil.rmtree(target, ignore_errors=True)
        return None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock; clear away what a crash left; tell a full disk in words."""
        import filelock  # readers need none

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with filelock.FileLock(self.folder / _LOCK):
                for left in self.folder.glob(f"{safe_io.TEMPORARY_PREFIX}*"):
                    shutil.rmtree(left, ignore_errors=True)
                yield
        except OSError as error:
            told = safe_io.as_user_error(error, self.folder)
            raise told or WeightsError("The weights could not be copied.", detail=str(error)) from error


def file_name(text: str) -> str:
    """A name that every file system takes, without folders, and with the ending that it had."""
    name = _UNSAFE.sub("-", text.replace("\\", "/").rpartition("/")[2]).lstrip(".-")
    stem, dot, ending = name.rpartition(".")
    name = f"{stem[: _LONGEST - len(ending)]}{dot}{ending[:20]}" if stem else name[:_LONGEST]
    return f"weights-{name}" if not name or name == ABOUT else name


def _copy(open_source: Callable[[], AbstractContextManager[IO[bytes]]], record: WeightsRecord, target: IO[bytes]) -> None:
    digest, done = hashlib.sha256(), 0
    with open_source() as source:
        while block := source.read(_BLOCK):
            done += len(block)
            if done > record.size:
                break
            digest.update(block)
            target.write(block)
            report(done, record.size)
    if done != record.size or digest.hexdigest() != record.sha256:
        raise WeightsError(
            f"{record.file} is damaged: its contents are not what they should be.",
            detail=f"{record.size:,} bytes with SHA-256 {record.sha256[:16]}… were announced.",
            hint="Copy it again from where it came.",
        )


@functools.lru_cache(maxsize=8)
def _entries(folder: Path, _stamp: int) -> tuple[StoredWeights, ...]:
    try:
        folders = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return ()
    found = [entry for path in folders if (entry := _entry(path)) is not None]
    return tuple(sorted(found, key=lambda entry: (entry.backbone, entry.name, entry.sha256)))


def _entry(folder: Path) -> StoredWeights | None:
    try:
        record = WeightsRecord.model_validate_json((folder / ABOUT).read_bytes())
    except (OSError, ValidationError):
        return None
    path = folder / file_name(record.file)
    return StoredWeights(**record.model_dump(), path=path) if path.is_file() else None
