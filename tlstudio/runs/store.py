"""Run folders: create, list, find, delete. Knows files only; every file is written through `tlstudio.safe_io`.

<workspace>/runs/<date>_<backbone>_<dataset>_<id>/
  run.json  config.json  split.json  plan.json  edits.jsonl  events.jsonl  notes.json  queued.json  log.txt
  ckpt/  model.safetensors  model.json
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tlstudio import safe_io
from tlstudio.api.config import TrainConfig
from tlstudio.api.errors import UserError
from tlstudio.api.events import EpochDone, Prepared, RunFailed, RunFinished
from tlstudio.runs.checkpoints import settle_result
from tlstudio.runs.lock import hold_still, is_held
from tlstudio.runs.notes import read_notes
from tlstudio.runs.replay import read_events

Status = Literal["completed", "stopped", "cancelled", "failed", "interrupted", "running", "queued"]
SPLIT_FILE, PLAN_FILE = "split.json", "plan.json"
QUEUED_FILE = "queued.json"
"""In the folder of a run that waits for its turn; has its place in the order."""

_ALIVE_SECONDS = 30.0
_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """A run as a list shows it."""

    id: str
    folder: Path
    created: float
    """Seconds since 1970."""
    status: Status
    config: dict[str, Any]
    metrics: dict[str, float] = field(default_factory=dict)
    """Of the saved model, or of the best epoch so far."""
    epochs_done: int = 0
    best_epoch: int = -1
    seconds: float = 0.0
    error: str = ""
    parent: str = ""
    """Id of the run whose result this one started from; empty for all other weights."""
    group: str = ""
    """Id of the group of repetitions that it belongs to; empty for a run of its own."""
    group_number: int = 0
    """Its seed or fold within the group."""
    images_per_s: float = 0.0
    """Training images in a second of its epochs, measuring included."""
    notes: str = ""
    """The user's own words."""
    tags: tuple[str, ...] = ()

    @property
    def model_file(self) -> Path:
        """The result: weights as safetensors; exists once the run has kept a model."""
        return self.folder / "model.safetensors"

    @property
    def name(self) -> str:
        """The user's name for it, else what it trained on what."""
        run = self.config.get("run", {})
        return str(run.get("name") or f"{self.backbone} on {self.dataset}")

    @property
    def backbone(self) -> str:
        """Qualified name of the backbone."""
        return str(self.config.get("model", {}).get("backbone", "?"))

    @property
    def dataset(self) -> str:
        """The folder's name, or the kind of data where there is no path."""
        data = self.config.get("data", {})
        return Path(data["path"]).name if data.get("path") else str(data.get("dataset") or "?")


def runs_folder(workspace: Path) -> Path:
    """The folder of all runs of a workspace."""
    return workspace / "runs"


def create_run(workspace: Path, config: TrainConfig, about: dict[str, Any], *, place: int | None = None) -> tuple[str, Path]:
    """A new run folder with ``run.json`` and ``config.json``; returns its id and the folder.

    Args:
        about: what else ``run.json`` should keep (versions, device, parent run).
        place: in the order of the queue, for a run that waits (`tlstudio.runs.queue`).

    Raises:
        OSError: the workspace cannot be written.
    """
    run_id = secrets.token_hex(4)
    data = Path(config.data.path).stem if config.data.path else (config.data.dataset or "data").rpartition("/")[2]
    parts = (time.strftime("%Y-%m-%d"), config.model.backbone.rpartition("/")[2], data, run_id)
    folder = runs_folder(workspace) / "_".join(_UNSAFE.sub("-", part).strip("-.")[:40] or "data" for part in parts)
    safe_io.remove_leftovers(runs_folder(workspace))
    with safe_io.atomic_folder(folder) as temporary:
        safe_io.write_json(temporary / "run.json", {"format": 1, "id": run_id, "created": time.time(), **about})
        safe_io.write_json(temporary / "config.json", config.model_dump(mode="json"))
        if place is not None:
            safe_io.write_json(temporary / QUEUED_FILE, {"place": place})
    return run_id, folder


def list_runs(workspace: Path) -> list[RunInfo]:
    """All readable runs, newest first; a folder that is no run is passed over."""
    folders = [entry for entry in run_folders(workspace) if entry.is_dir()]
    if not folders:
        return []
    from tlstudio.runs.summaries import Summaries

    summaries = Summaries(workspace)
    infos = (summaries.read(folder, _read_training, is_alive) for folder in folders)
    runs = [_with_notes(info) for info in infos if info is not None]
    summaries.save()
    return sorted(runs, key=lambda info: info.created, reverse=True)


def run_folders(workspace: Path) -> list[Path]:
    """What may be run folders: all entries but hidden ones, which are not finished; none where there is no workspace."""
    try:
        return [entry for entry in runs_folder(workspace).iterdir() if not entry.name.startswith(".")]
    except OSError:
        return []


def newest_folders(workspace: Path) -> list[Path]:
    """Run folders, those on which somebody worked last first."""
    worked: list[tuple[float, Path]] = []
    for entry in run_folders(workspace):
        with contextlib.suppress(OSError):  # it is no run, or was just taken away
            worked.append(((entry / "run.json").stat().st_mtime, entry))
    return [folder for _, folder in sorted(worked, reverse=True)]


def recent_backbones(workspace: Path, runs: int = 20) -> tuple[str, ...]:
    """Qualified names of the networks of the newest runs, the last used first. Reads their settings alone."""
    folders: list[tuple[float, Path]] = []
    for entry in run_folders(workspace):
        with contextlib.suppress(OSError):  # it was just taken away
            folders.append((entry.stat().st_ctime, entry))
    found: dict[str, None] = {}
    for _, folder in sorted(folders, reverse=True)[:runs]:
        try:
            found[str(json.loads((folder / "config.json").read_bytes())["model"]["backbone"])] = None
        except (OSError, ValueError, KeyError, TypeError):
            continue  # no run, or one that cannot be read
    return tuple(found)


def read_run(folder: Path) -> RunInfo | None:
    """One run from its folder; ``None`` where there is no readable ``run.json``."""
    info = _read_training(folder)
    return None if info is None else _with_notes(info)


def _with_notes(info: RunInfo) -> RunInfo:
    said = read_notes(info.folder)
    return replace(info, notes=said.text, tags=said.tags) if said.text or said.tags else info


def _read_training(folder: Path) -> RunInfo | None:
    """What training left in a run's folder, without the user's notes."""
    with contextlib.suppress(OSError):
        settle_result(folder)
    try:
        about = json.loads((folder / "run.json").read_bytes())
        config = json.loads((folder / "config.json").read_bytes())
        run_id, created = str(about["id"]), float(about["created"])
        parent = str(about["parent"]["run"]) if "parent" in about else ""
        group, number = (str(about["group"]["id"]), int(about["group"]["number"])) if "group" in about else ("", 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not isinstance(config, dict):
        return None
    status: Status = "interrupted"
    metrics: dict[str, float] = {}
    done, best, seconds, error = 0, -1, 0.0, ""
    images, speed, epochs_seconds = 0, 0.0, 0.0
    for event in read_events(folder, steps=False):
        if isinstance(event, Prepared):
            images = event.images.get("train", 0)
        elif isinstance(event, EpochDone):
            done, seconds = event.epoch + 1, seconds + event.seconds
            epochs_seconds += event.seconds
            speed = done * images / epochs_seconds if epochs_seconds > 0 else 0.0
            if event.best:
                best, metrics = event.epoch, _metrics(event)
        elif isinstance(event, RunFinished):
            status, metrics, best, seconds = event.outcome, dict(event.metrics), event.best_epoch, event.seconds
        elif isinstance(event, RunFailed):
            status, error = "failed", event.error
    if status == "interrupted":
        status = _without_end(folder)
    return RunInfo(
        id=run_id, folder=folder, created=created, status=status, config=config, metrics=metrics,
        epochs_done=done, best_epoch=best, seconds=seconds, error=error, parent=parent,
        group=group, group_number=number, images_per_s=speed,
    )  # fmt: skip


def read_id(folder: Path) -> str:
    """The id of a run from its folder; empty where that is none."""
    try:
        return str(json.loads((folder / "run.json").read_bytes())["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def find_run(workspace: Path, text: str) -> RunInfo | None:
    """A run by its id, the unique beginning of its id or folder name, or the path of its folder.

    Raises:
        UserError: the beginning fits more than one run.
    """
    if not text:
        return None
    folder = Path(os.path.expanduser(text))
    if (folder / "run.json").is_file():
        return read_run(folder)
    named = [entry for entry in run_folders(workspace) if _may_be(entry.name, text)]
    runs = [run for entry in named if (run := read_run(entry)) is not None] or list_runs(workspace)  # one may be renamed
    matches = [run for run in runs if run.id.startswith(text) or run.folder.name.startswith(text)]
    exact = [run for run in matches if text in {run.id, run.folder.name}]
    if len(exact or matches) > 1:
        raise UserError(
            f"{text!r} is the beginning of {len(matches)} runs.",
            detail="\n".join(run.folder.name for run in matches[:10]),
            hint="Give more of the id.",
        )
    found = exact or matches
    return found[0] if found else None


def _may_be(name: str, text: str) -> bool:
    """Whether this may be the folder of the run that is meant: its name ends in the id, as `create_run` made it."""
    return name.startswith(text) or name.rpartition("_")[2].startswith(text)


def require_run(workspace: Path, text: str) -> RunInfo:
    """As `find_run`, but a missing run is a `UserError`."""
    run = find_run(workspace, text)
    if run is None:
        raise UserError(f"There is no run {text!r} in {workspace}.", hint="`tlstudio runs list` shows them.")
    return run


def delete_run(workspace: Path, run: RunInfo) -> Path:
    """Move a run's folder to the workspace's ``trash``; returns where it lies now. What it does now counts, not what was read.

    Raises:
        UserError: the run is going, is none any more, or does not lie in this workspace.
        OSError: it cannot be moved.
    """
    if is_alive(run.folder):
        raise UserError(f"The run {run.id} is still going.", hint="Stop it first.")
    with hold_still(run.folder):
        return to_trash(workspace, run)


def to_trash(workspace: Path, run: RunInfo) -> Path:
    """The moving of `delete_run`; the caller sees to it that nobody works on the run."""
    if run.folder.resolve().parent != runs_folder(workspace).resolve():
        raise UserError(f"{run.folder} is not a run of the workspace {workspace}.")
    trash = workspace / "trash"
    trash.mkdir(parents=True, exist_ok=True)
    target = trash / run.folder.name
    if target.exists():
        target = trash / f"{run.folder.name}_{secrets.token_hex(2)}"
    shutil.move(run.folder, target)
    return target


def restore_run(workspace: Path, trashed: Path) -> Path:
    """Take what `delete_run` moved back; returns the run's folder.

    Raises:
        UserError: it is no longer in the trash, or another folder has its place.
    """
    target = runs_folder(workspace) / re.sub(r"_[0-9a-f]{4}$", "", trashed.name)
    if not (trashed / "run.json").is_file():
        raise UserError(f"{trashed.name} is no longer in the trash.")
    if target.exists():
        raise UserError(f"There is a run in {target} already.", hint=f"The deleted one stays in {trashed}.")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(trashed, target)
    return target


def heartbeat(folder: Path) -> None:
    """Say that this process is working on the run, for other machines; every few seconds (`tlstudio.runs.wishes.listen`)."""
    os.utime(folder / "run.json")


def is_alive(folder: Path) -> bool:
    """Whether a process is working on a run, whatever its events tell: one that had ended may just go on."""
    held = is_held(folder)
    return _beats(folder) if held is None else held


def _beats(folder: Path) -> bool:
    try:
        return abs(time.time() - (folder / "run.json").stat().st_mtime) < _ALIVE_SECONDS
    except OSError:
        return False


def _without_end(folder: Path) -> Status:
    """The status of a run that has told of no end."""
    if is_alive(folder):
        return "running"
    return "queued" if (folder / QUEUED_FILE).is_file() else "interrupted"


def _metrics(event: EpochDone) -> dict[str, float]:
    return {
        f"{split}_{name}": value for split, part in (("train", event.train), ("val", event.val)) for name, value in part.items()
    }
