"""Compares runs bit by bit, whatever time they took and wherever they lie; and goes on with one."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from tlstudio.engine.checkpoint import load_state
from tlstudio.engine.control import Control
from tlstudio.engine.run import resume_run
from tlstudio.runs.checkpoints import newest_intact, read_meta

_OF_TIME = ("run", "time", "seconds", "images_per_s", "folder", "model")
_OF_THE_BREAK = {"CheckpointSaved", "RunResumed"}


def folder_of(events) -> Path:
    return Path(next(event.folder for event in events if event.event == "RunStarted"))


def newest(folder: Path) -> tuple[dict, dict]:
    """State and meta of the checkpoint that a run would go on from."""
    found, _ = newest_intact(folder)
    assert found is not None
    return load_state(found), read_meta(found)


def resume(catalog, workspace, folder, *, control=None, epochs=None, on_event=None):
    """All events of a run that goes on."""
    events = []
    for event in resume_run(folder, catalog, workspace, control or Control(), epochs):
        events.append(event)
        if on_event is not None:
            on_event(event)
    return events


def story(folder: Path, *, steps: bool = True) -> list[dict]:
    """What a run's folder tells, without what is of time or of a break."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    kept = [line for line in lines if line["event"] not in _OF_THE_BREAK and (steps or line["event"] != "StepDone")]
    return [{key: value for key, value in line.items() if key not in _OF_TIME} for line in kept]


def steps(folder: Path) -> dict[int, dict]:
    return {line["step"]: line for line in story(folder) if line["event"] == "StepDone"}


def assert_same_weights(one: Path, other: Path) -> None:
    first, second = load_file(one / "model.safetensors"), load_file(other / "model.safetensors")
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert not different


def assert_same_run(one: Path, other: Path) -> None:
    """Weights and events; of the steps, which are told by time, those that both have told."""
    assert_same_weights(one, other)
    assert story(one, steps=False) == story(other, steps=False)
    first, second = steps(one), steps(other)
    both = first.keys() & second.keys()
    assert [first[step] for step in both] == [second[step] for step in both]
