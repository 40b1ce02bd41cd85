"""One file that carries weights to a machine without a network: a plain zip of the files and a manifest in JSON.

Any program can unpack it. Nothing in it is trusted: sizes, names and hashes are checked as it is read.
"""

from __future__ import annotations

import contextlib
import json
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from tlstudio import __version__, safe_io
from tlstudio.api.backbone import WeightsSpec
from tlstudio.api.errors import UserError, WeightsError
from tlstudio.api.progress import report
from tlstudio.registry import places
from tlstudio.registry.store import WeightsRecord, file_name
from tlstudio.registry.weights import WeightSet, is_published

MANIFEST = "tlstudio-weights.json"
_LARGEST_MANIFEST = 16 * 2**20


def export_bundle(sets: Iterable[WeightSet], target: Path) -> list[WeightsRecord]:
    """Write these sets into one file; each is hashed first, and a damaged one ends the export.

    Returns:
        What is in it; sets that share one file take its space once.

    Raises:
        WeightsError: a set is not on this machine, or its file is not what it should be.
        UserError: the target cannot be written.
    """
    chosen: dict[str, tuple[WeightsRecord, Path]] = {}
    names: set[str] = set()
    for known in sets:
        record, path = _verified(known)
        if record.sha256 in chosen:
            continue
        if record.file in names | {MANIFEST}:
            record = record.model_copy(update={"file": f"{record.sha256[:8]}-{record.file}"})
        names.add(record.file)
        chosen[record.sha256] = (record, path)
    if not chosen:
        raise WeightsError(
            "There are no weights on this machine to export.", hint="`tlstudio weights list` shows what there is."
        )
    records = [record for record, _ in chosen.values()]

    def write(file: IO[bytes]) -> None:
        total, done = sum(record.size for record in records), 0
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # weights do not get smaller
            about = {"format": 1, "made_by": f"tlstudio {__version__}", "made_at": int(time.time()),
                     "weights": [record.model_dump(mode="json", exclude={"imported_from"}) for record in records]}  # fmt: skip
            archive.writestr(MANIFEST, json.dumps(about, indent=2))
            for record, path in chosen.values():
                archive.write(path, record.file)
                done += record.size
                report(done, total)

    try:
        safe_io.atomic_write(target, write)
    except OSError as error:
        raise safe_io.as_user_error(error, target.parent) or UserError(
            f"{target} cannot be written.", detail=error.strerror or str(error), hint="Check that the folder exists."
        ) from None
    return records


def is_bundle(path: Path) -> bool:
    """Whether a file is a zip with a manifest of weights; torch's files are zips too, but have none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return False


def read_manifest(path: Path) -> list[WeightsRecord]:
    """What a bundle says it holds.

    Raises:
        WeightsError: it cannot be read, or is of a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(MANIFEST)
            if info.file_size > _LARGEST_MANIFEST:
                raise ValueError("its manifest is too large")
            about = json.loads(archive.read(info))
        if about["format"] != 1:
            raise WeightsError(f"{path.name} was made by a newer tlstudio.", hint="Update tlstudio on this machine.")
        return [WeightsRecord.model_validate(item) for item in about["weights"]]
    except WeightsError:
        raise
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, KeyError, TypeError) as error:
        reason = "its manifest is not valid" if isinstance(error, ValidationError) else str(error)
        raise WeightsError(f"{path.name} is not a readable bundle of weights.", detail=reason, hint="Copy it again.") from None


@contextlib.contextmanager
def open_member(path: Path, record: WeightsRecord) -> Iterator[IO[bytes]]:
    """A file of a bundle, to be read once.

    Raises:
        WeightsError: it is not there, claims another size than the manifest, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(record.file)
            if info.file_size != record.size:
                raise WeightsError(f"{path.name} is damaged: {record.file} has another size than its manifest says.")
            with archive.open(info) as file:
                yield file
    except (KeyError, NotImplementedError, RuntimeError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path.name} is damaged: {record.file} cannot be read.", detail=str(error)) from None


def _verified(known: WeightSet) -> tuple[WeightsRecord, Path]:
    who = f"{known.name} of {known.backbone}"
    if known.path is None:
        raise WeightsError(f"The weights {who} are not on this machine.", hint="`tlstudio weights list --here` shows what is.")
    digest = safe_io.sha256(known.path)
    if not digest.startswith(known.sha256):
        raise WeightsError(f"The weights {who} are damaged: {known.path}", hint="Import them again, then export.")
    if known.entry is not None:
        return WeightsRecord(**known.entry.model_dump(exclude={"path"})), known.path
    spec = known.spec
    assert isinstance(spec, WeightsSpec)
    repository = places.repository_of_path(known.path)
    name = repository.rpartition("/")[2] + known.path.suffix if repository else known.path.name
    record = WeightsRecord(
        file=file_name(name), sha256=digest, size=known.path.stat().st_size, backbone=known.backbone, name=spec.name,
        title=spec.title, published=is_published(spec, digest, repository), source=spec.source, licence=spec.licence,
        trained_on=spec.trained_on, num_classes=spec.num_classes, repository=repository,
    )  # fmt: skip
    return record, known.path
