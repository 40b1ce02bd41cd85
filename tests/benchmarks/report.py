"""The help page of a comparison: tables with the commands, the machine and the versions, and the picture beside it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import results as figures
from jobs import JOBS, TLSTUDIO, Job
from plot import Bar, Panel, draw, seconds_text
from results import Record, Results

_PAGE = "speed.md"
_PICTURE = "speed.png"
_COLUMNS = 88

_HEAD = """# How fast it is

Transfer Learning Studio next to the tools that people use for the same work: the training loop of PyTorch's tutorials, a
script in the style of timm's, fastai and Lightning. Each is run as its users run it, in a process of its own with nothing
computed before; the tools take turns on one machine, and medians count. Another machine gives other figures, and may put them
in another order.
"""

_WHY = """## Where the time is saved

- **Images are decoded once.** Their pixels are kept, scaled and uncompressed, and each epoch varies them anew. The next run
  finds them (`run.cache_gigabytes` says how much room they and the features may take).
- **Frozen layers are computed once for each image**, with batch norm folded into the convolutions; what comes out of them is
  kept in memory or on disk. With random variation a few varied versions of each image are kept (`augment.views`). When a
  strategy moves the boundary, what is kept moves with it.
- **The quickest safe way is found by trying**: float32 or 16 bits, the order of pixels in memory, the kernels of depthwise
  layers. Each is compared with plain float32 first; the run says what it chose. The settings under *Speed* force any of it.
- **Nothing waits for anything else**: images are read while PyTorch is imported, varied while the network learns, and curves
  are drawn from what is counted anyway.

With `run.plan=reference run.cache=off` a run computes plainly, to compare with.
"""

_PICTURE_TEXT = f"![Seconds of each tool, job by job; the tables below have the same figures]({_PICTURE})\n"


def write(results: Results, folder: Path) -> None:
    """Write the page and its picture from all that was measured."""
    panels = [_panel(job, results) for job in JOBS.values() if job.measure != "facts" and results.contestants(job.name)]
    if panels:
        draw(panels, folder / _PICTURE)
    (folder / _PAGE).write_text(page(results, picture=bool(panels)), encoding="utf-8")


def page(results: Results, *, picture: bool) -> str:
    """The page as Markdown; what was not measured is not on it."""
    sections = [_section(job, results) for job in JOBS.values() if results.contestants(job.name)]
    return "\n".join([_HEAD, *([_PICTURE_TEXT] if picture else []), *sections, _WHY, _measured_on(results)])


def _section(job: Job, results: Results) -> str:
    special: dict[str, Callable[[Job, Results], str]] = {
        "limit": _limit, "limit-resnet18": _limit, "overhead": _overhead,
    }  # fmt: skip
    if job.name in special:
        return special[job.name](job, results)
    rows = {name: results.of(job.name, name) for name in results.contestants(job.name)}
    base = _value(job, next(iter(rows.values())))
    if job.measure == "wall":
        epochs = len(next(reversed(rows.values()))[0]["seconds"])
        head = ["", f"{epochs} epochs, all in all", "times as fast", "first result", "a later epoch", "accuracy", "memory"]
    else:
        head = ["", "a later epoch", "times as fast", "first epoch", "memory"]
    lines = [f"## {job.title}", "", job.about, "", _row(head), _row(["---"] * len(head))]
    for name, records in rows.items():
        cells = [name, seconds_text(_value(job, records)), f"{base / _value(job, records):.1f}"]
        if job.measure == "steady":
            cells.append(seconds_text(figures.first_epoch(records)))
        elif records[0]["times"] != 1.0:
            cells += ["", "", ""]  # those of a part say nothing about the whole
        else:
            later = figures.steady(records)
            cells += [seconds_text(figures.first(records)), "" if later is None else seconds_text(later), _accuracy(records)]
        lines.append(_row([*cells, f"{figures.peak(records):,.0f} MiB"]))
    return "\n".join([*lines, "", _rounds(rows), "", *_commands(rows), ""])


def _rounds(rows: dict[str, list[Record]]) -> str:
    """How often each was run, since a single run says less than a median."""
    counts = {name: len(records) for name, records in rows.items()}
    if len(set(counts.values())) == 1:
        count = next(iter(counts.values()))
        return "Each was run once." if count == 1 else f"Medians of {count} runs."
    return "Runs of each: " + "; ".join(f"{name} {count}" for name, count in counts.items()) + "."


def _value(job: Job, records: list[Record]) -> float:
    """What a job compares, in seconds."""
    if job.measure == "wall":
        return figures.wall(records)
    return figures.steady(records) or figures.first_epoch(records)


def _limit(job: Job, results: Results) -> str:
    records = results.of(job.name, TLSTUDIO)
    reached, limit, share = (figures.fact(records, name) for name in ("reached", "limit", "share"))
    part = {name: figures.fact(records, "parts", name) for name in records[0]["facts"]["parts"]}
    learning = figures.fact(records, "at_limit")
    slower = part["steps"] - learning
    other = part["whole"] - sum(part[name] for name in ("pixels", "steps", "validation", "events", "checkpoint"))
    return "\n".join([
        f"## {job.title}", "",
        "Everything learns. Where a step has its batch ready in memory and nothing runs beside it, it trains "
        f"{limit:.1f} images a second; a later epoch of a real run trains {reached:.1f}, which is {100 * share:.0f} %. "
        f"({records[0]['facts']['device']})", "",
        "| seconds of a later epoch | |", "|---|---|",
        f"| training at the limit | {learning:.2f} |",
        f"| steps slower than that, since images are varied beside them | {slower:.2f} |",
        f"| waiting for images (alone they are made at {figures.fact(records, 'pixels_alone'):,.0f} a second) | "
        f"{part['pixels']:.2f} |",
        f"| validation ({figures.fact(records, 'validation_images'):.0f} images) | {part['validation']:.2f} |",
        f"| recording what happens | {part['events']:.3f} |",
        f"| saving | {part['checkpoint']:.2f} |",
        f"| the rest | {other:.2f} |", "",
        *_commands({TLSTUDIO: records}), "",
    ])  # fmt: skip


def _overhead(job: Job, results: Results) -> str:
    rows = {name: results.of(job.name, name) for name in results.contestants(job.name)}
    lines = [
        f"## {job.title}", "",
        "Everything learns, EfficientNet-Lite0, followed in three ways. The share counts the seconds in which training waits "
        "for an event to be recorded and sent, those of saving, and all processor time of the window's thread.", "",
        "| | training | events | saving | window's thread | share | recorded |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, records in rows.items():
        seconds = [seconds_text(figures.fact(records, key)) for key in ("seconds", "events", "checkpoints", "window_thread")]
        recorded = f"{figures.fact(records, 'lines'):.0f} lines, {figures.fact(records, 'bytes') / 1024:.1f} KiB"
        lines.append(_row([name, *seconds, f"{100 * figures.fact(records, 'share'):.2f} %", recorded]))
    return "\n".join([*lines, "", *_commands(rows), ""])


def _panel(job: Job, results: Results) -> Panel:
    what = "the whole process" if job.measure == "wall" else "an epoch later than the first"
    values = {name: _value(job, results.of(job.name, name)) for name in results.contestants(job.name)}
    return Panel(f"{job.title}: {what}", [Bar(name, value, name.startswith(TLSTUDIO)) for name, value in values.items()])


def _commands(rows: dict[str, list[Record]]) -> list[str]:
    """The commands of a table, each once, as an indented block."""
    shown = dict.fromkeys(records[0]["command"].replace(" --seed 0", "") for records in rows.values())
    return [f"    {line}" for command in shown for line in _folded(command)]


def _folded(command: str) -> list[str]:
    """A command in lines that fit, each but the last with a backslash at its end."""
    lines = textwrap.wrap(command, _COLUMNS, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]


def _accuracy(records: list[Record]) -> str:
    found = [f"{100 * value:.1f}" for value in figures.accuracies(records)]
    return f"{', '.join(found)} %" if found else ""


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _measured_on(results: Results) -> str:
    latest = max(results.records, key=lambda record: record["date"], default=None)
    if latest is None:
        return ""
    versions: dict[str, str] = {}
    for record in results.records:
        versions.update(record["versions"])
    machines = " and ".join(dict.fromkeys(record["machine"] for record in results.records))
    dates = sorted({record["date"] for record in results.records})
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    commits = ", ".join(dict.fromkeys(record["commit"] for record in results.records))
    return "\n".join([
        "## How it was measured", "",
        f"On {days}, on this machine: {machines}. " + ", ".join(f"{name} {number}" for name, number in versions.items())
        + f"; tlstudio at {commits}.", "",
        "- Accuracy is that of the last epoch on the 153 validation images, once for each seed; one image is 0.65 %.",
        "- Memory is the largest of all processes of a tool together, shared pages counted in part, sampled once a second.",
        "- *First run* begins with nothing kept from earlier; *next run* finds the images and features of the run before it.",
        "- DATA is a folder with `train` and `val`, WEIGHTS a file with the network's weights.", "",
        "In a checkout:", "",
        '    pip install -e ".[benchmark]"',
        "    python tests/benchmarks/compare.py --write", "",
    ])  # fmt: skip
