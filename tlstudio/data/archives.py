"""Unpacks zip and tar archives safely, once, into the cache folder. All or nothing; nothing outside the target.

Links, devices, paths that leave the folder, names that clash and archives that unpack without end are refused whole.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tlstudio import paths, safe_io
from tlstudio.api.errors import DataError
from tlstudio.api.images import is_ignored_name
from tlstudio.api.progress import CancelledError, report

_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_DEVICE_NAMES = {"con", "prn", "aux", "nul", *(f"com{i}" for i in range(1, 10)), *(f"lpt{i}" for i in range(1, 10))}
_MAX_MEMBERS = 2_000_000
_MAX_DEPTH = 32
_MAX_NAME = 255
_MAX_RATIO = 200
_MAX_BYTES = 200 * 2**30
_RESERVE = 2 * 2**30
_CHUNK = 2**20


@dataclass(frozen=True)
class _Member:
    name: str
    parts: tuple[str, ...]
    source: zipfile.ZipInfo | tarfile.TarInfo


def is_archive(path: Path) -> bool:
    """Whether a path is an archive, going by its name."""
    return path.name.lower().endswith(_SUFFIXES) and path.is_file()


def unpacked(archive: Path, *, into: Path | None = None) -> Path:
    """The folder with an archive's contents, unpacked now or before.

    Where the archive holds a single top folder, that one is returned. A changed archive is unpacked anew.

    Args:
        into: the parent folder; by default in the cache.

    Raises:
        DataError: unsafe, damaged, encrypted, or larger than what is free.
    """
    stat = archive.stat()
    key = f"{archive.absolute()}\0{stat.st_size}\0{stat.st_mtime_ns}".encode("utf-8", "surrogateescape")
    target = (into or paths.cache() / "archives") / f"{archive.name.split('.')[0][:40]}-{hashlib.sha256(key).hexdigest()[:16]}"
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with safe_io.atomic_folder(target) as temporary:
                _unpack(archive, temporary, _limit(stat.st_size, target.parent))
        except (DataError, CancelledError):
            raise
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, ValueError, NotImplementedError) as error:
            raise DataError(
                f"The archive {archive.name} is damaged.", detail=str(error), hint="Copy or download it again."
            ) from None
        except RuntimeError as error:  # zipfile's way to say "encrypted"
            raise DataError(
                f"The archive {archive.name} cannot be opened.",
                detail=str(error),
                hint="Unpack it by hand and open the folder.",
            ) from None
        except OSError as error:
            raise safe_io.as_user_error(error, target.parent) or DataError(
                f"The archive {archive.name} cannot be unpacked.", detail=str(error)
            ) from None
    return _single_root(target)


def _limit(size: int, folder: Path) -> int:
    return max(0, min(max(size, 2**20) * _MAX_RATIO, _MAX_BYTES, shutil.disk_usage(folder).free - _RESERVE))


def _unpack(archive: Path, target: Path, limit: int) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as file:
            members = _checked(
                [(info.filename, info.is_dir(), _zip_is_regular(info), info) for info in file.infolist()], archive
            )
            _write(members, lambda member: file.open(member.source), target, limit, archive)  # type: ignore[arg-type]
        return
    with tarfile.open(archive) as file:
        infos = [(info.name, info.isdir(), info.isreg() and not info.issparse(), info) for info in file]
        members = _checked(infos, archive)
        _write(members, lambda member: file.extractfile(member.source), target, limit, archive)  # type: ignore[arg-type]


def _zip_is_regular(info: zipfile.ZipInfo) -> bool:
    kind = (info.external_attr >> 16) & 0o170000
    return kind in {0, 0o100000}


def _checked(entries: Sequence[tuple[str, bool, bool, zipfile.ZipInfo | tarfile.TarInfo]], archive: Path) -> list[_Member]:
    """The regular files of an archive, after every name of it has been found safe."""
    if len(entries) > _MAX_MEMBERS:
        raise _refused(archive, f"it has {len(entries):,} members; the limit is {_MAX_MEMBERS:,}", [])
    bad = [name for name, is_dir, is_regular, _ in entries if not is_dir and not is_regular]
    if bad:
        raise _refused(archive, "it holds links or devices", bad)
    bad = [name for name, *_ in entries if not _is_safe(name)]
    if bad:
        raise _refused(archive, "names in it leave the folder or are not allowed", bad)
    members: list[_Member] = []
    seen: dict[str, str] = {}
    for name, is_dir, _, source in entries:
        parts = tuple(part for part in name.split("/") if part not in {"", "."})
        if is_dir or any(is_ignored_name(part) for part in parts):
            continue
        folded = unicodedata.normalize("NFC", "/".join(parts)).casefold()
        if folded in seen:
            raise _refused(archive, "two names in it are the same on some computers", [seen[folded], name])
        seen[folded] = name
        members.append(_Member(name, parts, source))
    return members


def _is_safe(name: str) -> bool:
    if not name or "\0" in name or "\\" in name or name.startswith("/") or (len(name) > 1 and name[1] == ":"):
        return False
    parts = name.rstrip("/").split("/")
    return len(parts) <= _MAX_DEPTH and all(_is_safe_part(part) for part in parts)


def _is_safe_part(part: str) -> bool:
    long = len(part.encode("utf-8", "surrogateescape")) > _MAX_NAME
    return part != ".." and not long and part.split(".")[0].strip().lower() not in _DEVICE_NAMES


def _write(
    members: Sequence[_Member], open_member: Callable[[_Member], IO[bytes] | None], target: Path, limit: int, archive: Path
) -> None:
    """Stream members to files; the bytes are counted as they come, since sizes in headers lie."""
    written = 0
    made: set[Path] = set()
    for number, member in enumerate(members, 1):
        source = open_member(member)
        if source is None:
            raise ValueError(f"{member.name} has no content")
        path = target.joinpath(*member.parts)
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        with source, open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > limit:
                    raise _refused(archive, f"it unpacks to more than {limit / 2**30:.1f} GB", [])
                file.write(chunk)
        report(number, len(members))


def _refused(archive: Path, reason: str, names: list[str]) -> DataError:
    shown = "\n".join(repr(name) for name in names[:10]) + (f"\nand {len(names) - 10} more" if len(names) > 10 else "")
    return DataError(
        f"The archive {archive.name} was not unpacked: {reason}.",
        detail=shown,
        hint="Unpack it by hand, look at it, and open the folder.",
    )


def _single_root(folder: Path) -> Path:
    children = [child for child in folder.iterdir() if not is_ignored_name(child.name)]
    return children[0] if len(children) == 1 and children[0].is_dir() else folder
