"""tlstudio next to the tools that people use: `python tests/benchmarks/compare.py [JOB ...] [--rounds 3] [--write]`.

The peers (the tutorials' loop, a script in timm's style, fastai, Lightning) come with `pip install -e ".[benchmark]"`; one that
is not installed is left out. Each run is a process of its own with nothing cached; the tools take turns, round by round, and
medians count. Figures go into a file (``--results``, by default in the user's cache): the same command goes on where it was
stopped, ``--minutes`` stops it in time, ``--fresh`` begins anew. ``--write`` puts all that the file has into the help
(resources/help/speed.md, speed.png); without a job nothing is measured for it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import results as figures
from jobs import CIFAR, JOBS, PHOTOS, Contestant, Job, Settings
from measure import ROOT, Failed, Measured, environment, run
from results import Results

sys.path.insert(0, str(ROOT))
from tlstudio import paths
from tlstudio.engine.processor import native_bfloat16

_CIFAR_IMAGES = 60_000
_SAVE_WEIGHTS = (
    "import sys, torch; from tlstudio.registry import load_catalog; "
    "spec = load_catalog().backbones['timm/tf_efficientnet_lite0'].weights[0]; "
    "torch.save(spec.adapt(torch.load(spec.locate(), weights_only=True)), sys.argv[1])"
)
"""In a process of its own, so that this one needs no torch."""


def main() -> int:
    """Measure what is asked for, then print or write."""
    options = _options()
    folder = options.results.parent
    results = Results(options.results)
    jobs = [JOBS[name] for name in options.jobs]
    settings = Settings(
        data=options.data, weights=folder / "lite0.pth", epochs=options.epochs, cifar=folder / f"cifar-{options.images}"
    )
    _prepare(jobs, settings, options.images)
    if options.fresh:
        for job in jobs:
            results.forget(job)
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    failed = False
    for job, contestant, number in _turns(jobs, settings, options.rounds):
        if options.only and not any(contestant.name.startswith(name) for name in options.only):
            continue
        if results.find(job, contestant, number):
            continue
        if time.monotonic() > until:
            print("The time is up; the same command goes on from here.")
            return 0
        try:
            measured = _measure(contestant, number, folder / "homes" / job.name)
        except Failed as error:
            print(f"{job.name}: {contestant.name} failed: {error}", file=sys.stderr)
            failed = True
            continue
        results.add(job, contestant, number, measured)
        print(f"{job.name}, round {number + 1}: {contestant.name}: {_line(measured)}", flush=True)
    shutil.rmtree(folder / "homes", ignore_errors=True)
    for job in jobs:
        _print_medians(job, results)
    if options.write:
        from report import write

        write(results, ROOT / "resources" / "help")
    return int(failed)


def _turns(jobs: Sequence[Job], settings: Settings, rounds: int) -> Iterator[tuple[Job, Contestant, int]]:
    """Job by job, and in each of them round by round; who is not installed is named once."""
    native = native_bfloat16()
    for job in jobs:
        taking_part = []
        for contestant in job.contestants(settings):
            if contestant.needs and find_spec(contestant.needs) is None:
                print(f"{job.name}: {contestant.name} is left out, since {contestant.needs} is not installed.")
            elif contestant.half and not native:
                print(f"{job.name}: {contestant.name} is left out, since this processor has no bfloat16.")
            else:
                taking_part.append(contestant)
        for number in range(rounds):
            for contestant in taking_part:
                yield job, contestant, number


def _measure(contestant: Contestant, seed: int, homes: Path) -> Measured:
    """Run it, as the first thing in a new home or as the second thing in one that has just been used."""
    home = homes / str(seed)
    command = [sys.executable, *(word.replace("{seed}", str(seed)) for word in contestant.command)]
    if contestant.home == "fresh":
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
    elif not (home / "workspace").exists():
        home.mkdir(parents=True, exist_ok=True)
        run(command, environment(home))
    return run(command, environment(home))


def _prepare(jobs: Sequence[Job], settings: Settings, images: int) -> None:
    settings.weights.parent.mkdir(parents=True, exist_ok=True)
    if jobs and not settings.weights.exists():
        subprocess.run([sys.executable, "-c", _SAVE_WEIGHTS, str(settings.weights)], check=True, cwd=ROOT)
    if JOBS["cifar"] in jobs and not settings.cifar.exists():
        for folder, step in ((settings.cifar, _CIFAR_IMAGES // images), (Path(f"{settings.cifar}-tenth"), 10)):
            _unpack(folder, step if folder == settings.cifar else 10 * (_CIFAR_IMAGES // images))


def _unpack(folder: Path, step: int) -> None:
    """Every ``step``-th image of each split and class; test images are what the peers validate on."""
    seen: dict[Path, int] = {}
    with zipfile.ZipFile(CIFAR) as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".jpg")):
            split, kind, file = Path(name).parts[-3:]
            target = folder / ("val" if split == "test" else split) / kind
            if not seen.setdefault(target, 0):
                target.mkdir(parents=True, exist_ok=True)
            if seen[target] % step == 0:
                (target / file).write_bytes(archive.read(name))
            seen[target] += 1


def _line(measured: Measured) -> str:
    if not measured.seconds:
        return ", ".join(f"{name} {value:.4g}" for name, value in measured.facts.items() if isinstance(value, int | float))
    epochs = " ".join(f"{seconds:.3g}" for seconds in measured.seconds)
    accuracy = f"{measured.accuracies[-1]:.4f}"
    return (
        f"{measured.wall:.1f} s, first epoch's result after {measured.first:.1f} s, epochs {epochs} s, accuracy {accuracy}, "
        f"{measured.peak_mib:.0f} MiB"
    )


def _print_medians(job: Job, results: Results) -> None:
    if job.measure == "facts":
        return
    print(f"\n{job.title}, medians:")
    for name in results.contestants(job.name):
        records = results.of(job.name, name)
        later = figures.steady(records)
        print(
            f"  {name:44} {figures.wall(records):8.1f} s, a later epoch {'-' if later is None else f'{later:.3f}'} s, "
            f"{figures.peak(records):.0f} MiB"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", choices=[*JOBS, []], help=", ".join(JOBS))
    parser.add_argument("--rounds", type=int, default=3, help="also the seeds: 0, 1, 2")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="tools whose names begin so, such as tlstudio")
    parser.add_argument("--epochs", type=int, default=5, help="of a job; at most 2 or 3 where only a steady epoch counts")
    parser.add_argument("--data", type=Path, default=PHOTOS, help="train and val folders of class folders")
    parser.add_argument("--images", type=int, default=_CIFAR_IMAGES, help="how many of CIFAR-10's images")
    parser.add_argument("--results", type=Path, default=paths.cache() / "benchmarks" / "results.json")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no further run after so many")
    parser.add_argument("--fresh", action="store_true", help="forget earlier figures of these jobs")
    parser.add_argument("--write", action="store_true", help="write the help page and its picture")
    options = parser.parse_args()
    if not options.jobs and not options.write:
        options.jobs = list(JOBS)
    if not 600 <= options.images <= _CIFAR_IMAGES:
        parser.error("--images must be between 600 and 60000")
    if options.jobs and not (options.data / "train").is_dir():
        parser.error(f"there is no data at {options.data}: give a folder with train and val by --data")
    options.results, options.data = options.results.resolve(), options.data.resolve()
    return options


if __name__ == "__main__":
    raise SystemExit(main())
