"""Brings files of weights into the store: recognised by their hash, or taken as the user's own for a network that they fit."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from tlstudio import safe_io
from tlstudio.api.backbone import BackboneSpec, WeightsSpec
from tlstudio.api.errors import UserError, WeightsError
from tlstudio.api.progress import report
from tlstudio.registry import bundle, places
from tlstudio.registry.places import Candidate
from tlstudio.registry.store import StoredWeights, WeightsRecord, WeightsStore
from tlstudio.registry.weights import published_as

Check = Callable[[Path, BackboneSpec | None], object]
"""Looks into a file without running it, and raises what is wrong with it or why it does not fit a network."""
Outcome = Literal["imported", "already here", "not known", "refused"]


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of one file; ``entry`` is set where it is in the store now, ``reason`` where it is not."""

    file: str
    outcome: Outcome
    entry: StoredWeights | None = None
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Importer:
    """Imports into a store.

    Args:
        backbones: by qualified name; their published weights are what is recognised.
        check: from the engine; what no publisher's hash vouches for is looked into before it counts.
    """

    backbones: Mapping[str, BackboneSpec]
    store: WeightsStore
    check: Check

    def known(self, candidates: Iterable[Candidate]) -> Iterator[Imported]:
        """Import what is recognised as published, and bundles whole. One result for each file; none of them raises."""
        for candidate in candidates:
            if bundle.is_bundle(candidate.path):
                yield from self.bundle(candidate.path)
            elif candidate.path.suffix.lower() in places.SUFFIXES:
                yield self._safely(str(candidate.path), functools.partial(self._known, candidate))

    def own(self, path: Path, backbone: str, name: str = "") -> StoredWeights:
        """Import a file of the user's own for a network, under a name; by default the file's.

        Raises:
            WeightsError: it is unsafe, damaged, or does not fit.
        """
        record = WeightsRecord(
            file=path.name, sha256=_hashed(path), size=path.stat().st_size, backbone=backbone,
            name=self._free_name(name or path.stem, backbone), title=f"imported from {path.name}", imported_from=str(path),
        )  # fmt: skip
        spec = self.backbones[backbone]
        return self.store.add(lambda: path.open("rb"), record, lambda copy: self.check(copy, spec))

    def bundle(self, path: Path) -> Iterator[Imported]:
        """Import every file of a bundle; one result for each.

        A bundle's word is not taken for anything: each file is hashed, recognised or looked into like any other.
        """
        try:
            records = bundle.read_manifest(path)
        except WeightsError as error:
            yield Imported(file=str(path), outcome="refused", reason=error.title, hint=error.hint)
            return
        for record in records:
            yield self._safely(f"{path}: {record.file}", functools.partial(self._of_bundle, path, record))

    def _known(self, candidate: Candidate) -> Imported:
        path, file = candidate.path, str(candidate.path)
        digest = _hashed(path)
        promised = candidate.promised_sha256
        if promised and promised != digest:
            raise WeightsError(f"{path.name} is damaged: Hugging Face's cache keeps it under another SHA-256.")
        found = published_as(digest, self.backbones, candidate.repository)
        if found is None:
            return Imported(file=file, outcome="not known", reason="not known as published weights")
        name = path.name
        if candidate.repository:  # there all are called model.safetensors
            name = candidate.repository.rpartition("/")[2] + path.suffix
        record = record_of(*found, file=name, digest=digest, size=path.stat().st_size, origin=file,
                           repository=candidate.repository)  # fmt: skip
        return self._add(file, lambda: path.open("rb"), record, self._check_of(found[1]))

    def _of_bundle(self, path: Path, record: WeightsRecord) -> Imported:
        file = f"{path}: {record.file}"
        found = published_as(record.sha256, self.backbones)
        if found is None and record.published and record.repository:
            found = published_as(record.sha256, self.backbones, record.repository)
        source = functools.partial(bundle.open_member, path, record)
        if found is not None:
            known = record_of(*found, file=record.file, digest=record.sha256, size=record.size, origin=str(path),
                              repository=record.repository)  # fmt: skip
            return self._add(file, source, known, self._check_of(found[1]))
        spec = self.backbones.get(record.backbone)
        if spec is None:
            raise WeightsError(f"no plugin here offers the backbone {record.backbone}")
        own = record.model_copy(
            update={"published": False, "name": self._free_name(record.name, record.backbone), "imported_from": str(path)}
        )
        return self._add(file, source, own, lambda copy: self.check(copy, spec))

    def _check_of(self, spec: WeightsSpec) -> Callable[[Path], object] | None:
        """A hash vouches for a file; where none is published, look into it."""
        return None if spec.sha256 else lambda copy: self.check(copy, None)

    def _add(
        self,
        file: str,
        source: Callable[[], AbstractContextManager[IO[bytes]]],
        record: WeightsRecord,
        check: Callable[[Path], object] | None,
    ) -> Imported:
        before = {entry.sha256 for entry in self.store.entries()}
        entry = self.store.add(source, record, check)
        return Imported(file=file, outcome="already here" if record.sha256 in before else "imported", entry=entry)

    def _free_name(self, name: str, backbone: str) -> str:
        """Refuse a name that means something else already."""
        taken = {"auto", "none", *(spec.name.lower() for spec in self.backbones[backbone].weights)}
        if name.lower() in taken:
            raise WeightsError(
                f"{name!r} already means something else for {backbone}.", hint="Give the weights another name: --name NAME"
            )
        return name

    def _safely(self, file: str, work: Callable[[], Imported]) -> Imported:
        """The result of importing one file; a full disk is the only thing that ends the rest too."""
        try:
            return work()
        except WeightsError as error:
            return Imported(file=file, outcome="refused", reason=error.title, hint=error.hint)
        except UserError:
            raise
        except OSError as error:
            return Imported(file=file, outcome="refused", reason=f"it cannot be read: {error.strerror or error}")


def record_of(
    backbone: str, spec: WeightsSpec, *, file: str, digest: str, size: int, origin: str, repository: str = ""
) -> WeightsRecord:
    """The record of a published set."""
    return WeightsRecord(
        file=file, sha256=digest, size=size, backbone=backbone, name=spec.name, title=spec.title, published=True,
        source=spec.source, licence=spec.licence, trained_on=spec.trained_on, num_classes=spec.num_classes,
        repository=repository, imported_from=origin,
    )  # fmt: skip


def _hashed(path: Path) -> str:
    size, done = path.stat().st_size, 0

    def count(read: int) -> None:
        nonlocal done
        done += read
        report(done, size)

    return safe_io.sha256(path, count)
