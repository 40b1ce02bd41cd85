"""Shows the events of a run: as JSON lines, as plain lines, or as bars where the output is a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from tlstudio.api.events import (
    EpochDone,
    EpochStarted,
    Event,
    Note,
    Prepared,
    Progress,
    RunFailed,
    RunFinished,
    RunResumed,
    RunStarted,
    StepDone,
)
from tlstudio.cli import output

if TYPE_CHECKING:
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID

_NAMED_IN_NOTE = 3
_SHOWN_EXCLUDED = 20


class Display(Protocol):
    """What shows events."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


def choose(*, as_json: bool) -> Display:
    """The display that fits the output."""
    if as_json:
        return JsonLines()
    return Bars() if sys.stdout.isatty() else PlainLines()


class JsonLines:
    """One JSON object a line, as in ``events.jsonl``."""

    def show(self, event: Event) -> None:
        """Print the event."""
        output.print_line(event.model_dump_json())

    def close(self) -> None:
        """Nothing to do."""


class PlainLines:
    """A line an epoch, for files and pipes."""

    def __init__(self) -> None:
        self._epochs = 0
        self._task = ""
        self._images = 0

    def show(self, event: Event) -> None:
        """Print what is worth a line."""
        if isinstance(event, RunStarted):
            self._epochs = event.epochs
        elif isinstance(event, Progress):
            if event.task != self._task:
                self._task = event.task
                output.print_line(f"{event.task}: {event.total:,} …")
        elif (text := describe(event, epochs=self._epochs, images=self._images)) is not None:
            output.print_line(text)
        if isinstance(event, Prepared):
            self._images = event.images.get("train", 0)

    def close(self) -> None:
        """Nothing to do."""


class Bars:
    """Bars for epochs and steps, with loss, accuracy, images a second, the time left and the best so far."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bars: RichBars = RichProgress(
            TextColumn("{task.description:8}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[info]}"),
            console=Console(highlight=False),
            transient=True,
        )
        self._bars.start()
        self._reading: TaskID | None = None
        self._epoch: TaskID | None = None
        self._step: TaskID | None = None
        self._epochs = 0
        self._started = 0.0
        self._images = 0
        self._best = ""
        self._from = 0

    def show(self, event: Event) -> None:
        """Move the bars; print what stays above them."""
        if isinstance(event, RunStarted):
            self._epochs = event.epochs
        elif isinstance(event, Progress):
            self._read(event)
        elif isinstance(event, EpochStarted):
            self._begin(event)
        elif isinstance(event, StepDone):
            self._advance(event)
        elif isinstance(event, EpochDone):
            self._finish(event)
        elif isinstance(event, Prepared):
            self._images = event.images.get("train", 0)
        elif isinstance(event, RunResumed):
            self._from = event.step
        self._print(describe(event, epochs=self._epochs, images=self._images))

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()

    def _read(self, event: Progress) -> None:
        if self._reading is None:
            self._reading = self._bars.add_task("prepare", total=event.total, info="")
        self._bars.update(
            self._reading, completed=event.done, total=event.total, info=event.task, visible=event.done < event.total
        )

    def _begin(self, event: EpochStarted) -> None:
        if self._epoch is None:
            self._started = time.monotonic()
            self._epoch = self._bars.add_task("epochs", total=self._epochs, info="")
            self._step = self._bars.add_task("steps", total=None, info="")
        self._bars.update(self._epoch, completed=event.epoch)

    def _advance(self, event: StepDone) -> None:
        if self._step is None or self._epoch is None:
            return
        left = (time.monotonic() - self._started) / max(event.step - self._from, 1) * (event.steps - event.step)
        info = f"loss {event.loss:.4f}  {event.images_per_s:,.0f} images/s"
        self._bars.update(self._step, completed=event.step, total=event.steps, info=info)
        self._bars.update(self._epoch, info=f"{output.duration(left)} left{self._best}")

    def _finish(self, event: EpochDone) -> None:
        if event.best:
            self._best = f"  best {_measure(event.val or event.train)}"
        if self._epoch is not None:
            self._bars.update(self._epoch, completed=event.epoch + 1)

    def _print(self, text: str | None) -> None:
        if text is not None:
            self._bars.console.print(text, markup=False, soft_wrap=True)


def follow(events: Iterable[Event], *, as_json: bool) -> tuple[Event | None, bool]:
    """Show all events to the end, in the way that fits the output.

    Returns:
        The last event, and whether it could be shown: where the pipe broke, the terminal was closed or the log's disk was full,
        the run went on all the same.
    """
    display = choose(as_json=as_json)
    last: Event | None = None
    heard = True
    try:
        for event in events:
            last = event
            if heard:
                try:
                    display.show(event)
                except OSError:
                    heard = False
    finally:
        with contextlib.suppress(OSError):
            display.close()
    return last, heard


def describe(event: Event, *, epochs: int, images: int = 0) -> str | None:
    """An event as a line for people; ``None`` for those that are not worth one.

    Args:
        epochs: of the whole run.
        images: training images in an epoch.
    """
    if isinstance(event, Prepared):
        return _prepared(event)
    if isinstance(event, EpochDone):
        return _epoch(event, epochs, images)
    if isinstance(event, RunResumed):
        place = f"Goes on at epoch {event.epoch + 1}, after step {event.step}" if event.step else "Begins anew"
        return f"{place}." if event.exact else f"{place}. Not exact: {event.why}."
    if isinstance(event, Note):
        return {"info": "", "advice": "Advice: ", "warning": "Warning: "}[event.level] + event.text
    return None


def _prepared(event: Prepared) -> str:
    images = ", ".join(f"{count:,} {split}" for split, count in event.images.items() if count)
    lines = [f"{len(event.classes)} classes; images: {images}. Weights: {event.weights}. Device: {event.device}."]
    if len(event.excluded) > _NAMED_IN_NOTE:  # a note names the first few
        lines.append("Left out:")
        lines += [f"  {key}: {reason}" for key, reason in list(event.excluded.items())[:_SHOWN_EXCLUDED]]
        if len(event.excluded) > _SHOWN_EXCLUDED:
            lines.append(f"  and {len(event.excluded) - _SHOWN_EXCLUDED} more; split.json of the run lists all")
    return "\n".join(lines)


def _epoch(event: EpochDone, epochs: int, images: int) -> str:
    width = len(str(epochs))
    parts = [f"epoch {event.epoch + 1:{width}}/{epochs}", f"train {_measure(event.train)}"]
    if event.val:
        parts.append(f"val {_measure(event.val)}")
    parts.append(output.duration(event.seconds))
    if images and event.seconds > 0:
        parts.append(f"{images / event.seconds:,.0f} images/s")
    return "   ".join(parts) + ("   * best" if event.best else "")


def _measure(metrics: dict[str, float]) -> str:
    parts = []
    if "loss" in metrics:
        parts.append(f"loss {metrics['loss']:.4f}")
    if "accuracy" in metrics:
        parts.append(f"accuracy {output.percent(metrics['accuracy'])}")
    return " ".join(parts)


def summary(event: RunFinished) -> str:
    """How a run ended, in a sentence or two."""
    how = {"completed": "Done", "stopped": "Stopped; the model is kept", "cancelled": "Cancelled; nothing is kept"}
    best = ""
    for key, name in (("train_accuracy", "Training accuracy"), ("val_accuracy", "Validation accuracy")):
        if key in event.metrics:
            best = f" {name} {output.percent(event.metrics[key])} (epoch {event.best_epoch + 1})."
    return f"{how[event.outcome]}: {event.epochs} epochs in {output.duration(event.seconds)}.{best}"


def failure(event: RunFailed) -> None:
    """Explain a run that could not go on; where nobody can be told, its exit code still can."""
    with contextlib.suppress(OSError):
        output.print_error(event.error, event.detail, event.hint)
