"""The observer: figures as scalars at the optimiser step that they belong to, settings and notes as text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlstudio.api import EpochDone, Event, Note, RunFailed, RunFinished, RunResumed, RunStarted, StepDone

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

FOLDER = "tensorboard"


class EventFiles:
    """Writes the event file of one run.

    TensorBoard is imported with the first figure: until then images are read and torch is imported, which should not wait.

    Args:
        folder: of the run; the files go into ``tensorboard`` below it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._writer: Any = None
        self._waiting: list[tuple[float, str, str]] = []  # time, tag and text of what came before the first figure
        self._step = 0
        self._resumed = 0  # the first step after a break

    def on_event(self, event: Event) -> None:
        """Write what has a figure or a text."""
        if isinstance(event, StepDone):
            self._step = event.step
            figures = {"loss": event.loss, "learning_rate": event.lr, "images_per_s": event.images_per_s}
            self._scalars(event.time, {f"step/{name}": value for name, value in figures.items()})
        elif isinstance(event, EpochDone):
            self._step = event.step
            for split, metrics in (("train", event.train), ("val", event.val)):
                self._scalars(event.time, {f"{split}/{name}": value for name, value in metrics.items()})
            self._scalars(event.time, {"epoch/number": event.epoch + 1, "epoch/seconds": event.seconds})
            self._writer.flush()
        elif isinstance(event, RunResumed):
            self._step, self._resumed = event.step, event.step + 1
        elif isinstance(event, RunStarted):
            self._text(event.time, "settings", _indented(json.dumps(event.config, indent=2)))
        elif isinstance(event, Note):
            self._text(event.time, "notes", event.text)
        elif isinstance(event, RunFinished | RunFailed):
            told = event.outcome if isinstance(event, RunFinished) else f"failed: {event.error}"
            self._text(event.time, "outcome", told)

    def close(self) -> None:
        """Write all down and close the file; a run without a figure leaves none."""
        if self._writer is not None:
            self._writer.close()

    def _scalars(self, time: float, figures: dict[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures.items()]
        self._write(time, Summary(value=values))

    def _text(self, time: float, tag: str, text: str) -> None:
        if self._writer is None:
            self._waiting.append((time, tag, text))
            return
        from tensorboard.plugins.text.summary import text_pb

        self._write(time, text_pb(tag, text))

    def _write(self, time: float, summary: Summary) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Record
        from tensorboard.compat.proto.event_pb2 import SessionLog

        if self._writer is None:
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            self._writer = EventFileWriter(str(self._folder))
            if self._resumed:  # readers forget what an earlier file has from this step on
                begins = SessionLog(status=SessionLog.START)
                self._writer.add_event(Record(wall_time=time, step=self._resumed, session_log=begins))
            waiting, self._waiting = self._waiting, []
            for text in waiting:
                self._text(*text)
        self._writer.add_event(Record(wall_time=time, step=self._step, summary=summary))


def _indented(code: str) -> str:
    """As Markdown that is shown as it stands."""
    return "\n".join(f"    {line}" for line in code.splitlines())
