"""Does a run again as it was, and says what differs between what it recorded and what is here now. Imports no torch."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tlstudio import safe_io
from tlstudio.api.config import TrainConfig, parse_config
from tlstudio.api.dataset import SPLIT_NAMES
from tlstudio.api.errors import UserError
from tlstudio.api.events import Event
from tlstudio.data.curation import Curation
from tlstudio.data.edits import JOURNAL
from tlstudio.data.index import Index
from tlstudio.data.scan import known_alike
from tlstudio.engine.about import plugin_versions, versions
from tlstudio.engine.control import Control
from tlstudio.engine.fingerprint import some
from tlstudio.engine.run import make_run, resume_run
from tlstudio.registry.catalog import Catalog
from tlstudio.runs.store import PLAN_FILE, SPLIT_FILE, RunInfo

_OF_RUN = (SPLIT_FILE, JOURNAL, PLAN_FILE)
_PARTS = ("train", "val", "test")


def reproduce_run(run: RunInfo, catalog: Catalog, workspace: Path, control: Control) -> Iterator[Event]:
    """The events of a new run with the settings, seeds, images, split and edits of another, which computes in the same way.

    What cannot be as it was, `changes_since` says before. As `start_run`, it never raises once it has a folder.

    Raises:
        ConfigError: its settings are not valid any more.
        UserError: a name or an option is wrong.
        OSError: the workspace cannot be written.
    """
    _, folder = make_run(parse_config(run.config), catalog, workspace, waits=False)
    try:
        for name in _OF_RUN:
            if (run.folder / name).exists():
                safe_io.write_bytes(folder / name, (run.folder / name).read_bytes())
    except BaseException:
        safe_io.remove_folder(folder)  # else a run would be left that nobody begins
        raise
    yield from resume_run(folder, catalog, workspace, control)


def changes_since(run: RunInfo, catalog: Catalog, workspace: Path) -> list[str]:
    """Sentences about what is not as the run records it: versions, the machine, weights, images, classes, split, edits.

    None means that the same configuration trains on the same images in the same split with the same code. Pictures whose
    files changed under the same name are not noticed.

    Raises:
        ConfigError: its settings are not valid any more.
        DataError: the images are not there, or cannot be used.
        WeightsError: its weights are not there any more.
    """
    config, about = parse_config(run.config), _read(run.folder / "run.json")
    return [*_code(run, about, catalog), *_weights(about, config, catalog, workspace), *_data(run, config, catalog, workspace)]


def _code(run: RunInfo, about: Mapping[str, Any], catalog: Catalog) -> Iterator[str]:
    used = {str(name).partition("/")[0] for name in (
        run.config.get("model", {}).get("backbone"), run.config.get("data", {}).get("dataset"),
        run.config.get("freezing", {}).get("strategy"),
    )}  # fmt: skip
    for kind, now in (("versions", versions()), ("plugins", plugin_versions(catalog))):
        then = about.get(kind)
        for name, version in then.items() if isinstance(then, dict) else ():
            if version != now.get(name) and (kind == "versions" or name in used):
                what = f"Plugin {name}" if kind == "plugins" else name
                yield f"{what}: {version} then, {now.get(name) or 'none'} now."
    machine = about.get("machine")
    if machine and machine != platform.node():
        yield f"Another machine: {machine} then, {platform.node()} now."


def _weights(about: Mapping[str, Any], config: TrainConfig, catalog: Catalog, workspace: Path) -> Iterator[str]:
    then = about.get("weights")
    now = catalog.resolve(config, workspace=workspace).weights
    if isinstance(then, dict) and then.get("sha256") != now.sha256:
        same = then.get("title") == now.title
        yield f"Weights: {then.get('title')} then, {now.title} now{', another file' if same else ''}."


def _data(run: RunInfo, config: TrainConfig, catalog: Catalog, workspace: Path) -> Iterator[str]:
    images = catalog.open_images(config.data)
    kept = _read(run.folder / SPLIT_FILE)
    if not kept:
        yield "The run ended before it recorded its split."
        return
    index = Index(config.data)
    curation = Curation(images, config.data, workspace, alike=lambda: known_alike(images, index))
    table = curation.table
    taking_part = table.taking_part()
    if list(taking_part.classes) != kept.get("classes"):
        yield f"Classes: {some(kept.get('classes', []))} then, {some(list(taking_part.classes))} now."
    then = {key: part for part in _PARTS for key in kept.get(part, ())}
    now = {}
    for row in np.flatnonzero((taking_part.labels >= 0) & (table.splits >= 0)):
        now[taking_part.keys[row]] = SPLIT_NAMES[table.splits[row]]
    for key in kept.get("excluded", ()):
        now.pop(key, None)  # could not be read then
    missing = [key for key in then if key not in now]
    new = [key for key in now if key not in then]
    moved = [key for key in then if key in now and now[key] != then[key]]
    for keys, what in (
        (missing, "took part then and do not now"), (new, "are new"), (moved, "are in another split now"),
    ):  # fmt: skip
        if keys:
            yield f"{len(keys):,} images {what}: {some(keys)}."
    edits = [edit.model_dump_json() for edit in curation.edits]
    if edits != _lines(run.folder / JOURNAL):
        yield "Your edits of the images are not those of then."


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} of the run cannot be read.", detail=str(error)) from None
    return value if isinstance(value, dict) else {}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
