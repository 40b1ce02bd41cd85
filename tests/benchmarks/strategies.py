"""Every freezing strategy at equal budget: `python tests/benchmarks/strategies.py [DATA ...] [--write]`.

Three small sets of images: ants and bees (close to ImageNet's photographs), CIFAR-10 with 50 images of each class (small
pictures), 750 woven textiles, most with defects (far from photographs; the defects are fine, so at full size). Each strategy
runs with its own defaults, the bundled backbone and the same epochs, image size and seeds; the accuracy is that of the last
epoch on images that decided nothing. Figures go into a file (``--results``); the same command goes on where it was stopped.
``--write`` puts all that the file has into the help (resources/help/strategy-table.md and its picture).

The textiles come with `pip install -e ".[benchmark]"`; data that are not here are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from jobs import CIFAR, PHOTOS
from results import _commit, machine, versions

from tlstudio import paths

EPOCHS = 6
SEEDS = (0, 1, 2)
MEASURED = Path(__file__).with_suffix(".json")
"""What has been measured, of which a new file of results begins."""
DRAWN = "freezing/custom"
"""What the user draws: it has no defaults worth comparing."""


@dataclass(frozen=True, kw_only=True)
class Images:
    """A set of images to compare on.

    Args:
        make: writes it, with train and val folders, to a folder; returns whether what it needs is here.
        size: input side length in pixels, smaller than the weights' own where that suffices: many runs shall fit into hours.
    """

    name: str
    title: str
    size: int
    make: Callable[[Path], bool]


def _photos(folder: Path) -> bool:
    if not PHOTOS.is_dir():
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(PHOTOS, target_is_directory=True)
    return True


def _cifar(folder: Path) -> bool:
    if not CIFAR.is_file():
        return False
    seen: dict[Path, int] = {}
    with zipfile.ZipFile(CIFAR) as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".jpg")):
            split, kind, file = Path(name).parts[-3:]
            target, step = folder / ("val" if split == "test" else split) / kind, 20 if split == "test" else 100
            if seen.get(target, 0) % step == 0:
                target.mkdir(parents=True, exist_ok=True)
                (target / file).write_bytes(archive.read(name))
            seen[target] = seen.get(target, 0) + 1
    return True


def _textiles(folder: Path) -> bool:
    found = importlib.util.find_spec("conformal_clip_data")
    if found is None or not found.submodule_search_locations:
        return False
    source = Path(found.submodule_search_locations[0]) / "data" / "textile_images" / "simulated"
    for kind in sorted(path for path in source.iterdir() if path.is_dir()):
        files = sorted(path for path in kind.iterdir() if path.is_file())
        for number, file in enumerate(files[:: max(1, len(files) // 500)][:500]):
            if number % 4 == 3:
                continue  # enough to judge by: 125 of a class
            target = folder / ("val" if number % 4 == 1 else "train") / kind.name
            target.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / file.name)
    return True


SETS = {
    images.name: images
    for images in (
        Images(name="ants", title="Ants and bees", size=128, make=_photos),
        Images(name="cifar", title="CIFAR-10, 50 a class", size=96, make=_cifar),
        Images(name="textiles", title="Textiles", size=224, make=_textiles),
    )
}


def main() -> int:
    """Measure what is missing, then print or write."""
    options = _options()
    source = options.results if options.results.exists() else MEASURED
    records: list[dict[str, Any]] = json.loads(source.read_text()) if source.exists() else []
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    folders = _folders(options.data, options.results.parent / "strategies")
    os.environ["TLSTUDIO_HOME"] = str(options.results.parent / "strategies" / "home")
    from tlstudio.registry import load_catalog

    catalog = load_catalog()
    known = {(record["data"], record["strategy"], record["seed"]) for record in records}
    for seed in SEEDS[: options.seeds]:
        for name in folders:
            for strategy in options.only or [name for name in catalog.strategies if name != DRAWN]:
                if (name, strategy, seed) in known:
                    continue
                if time.monotonic() > until:
                    print("The time is up; the same command goes on from here.")
                    return 0
                record = _measure(catalog, folders[name], SETS[name], strategy, seed)
                records.append(record)
                options.results.parent.mkdir(parents=True, exist_ok=True)
                part = options.results.with_suffix(".part")
                part.write_text(json.dumps(records, indent=1), encoding="utf-8")
                part.replace(options.results)
                print(
                    f"{name:9} seed {seed} {strategy:26} {record['accuracies'][-1]:.4f}  {record['seconds']:.0f} s", flush=True
                )
    _print(records)
    if options.write:
        from strategy_report import write

        measured = {name: SETS[name].title for name in SETS if any(record["data"] == name for record in records)}
        strategies = {name: spec.title for name, spec in catalog.strategies.items()}
        write(records, measured, strategies, {name: _chosen(catalog, folders[name], SETS[name]) for name in measured})
    return 0


def _chosen(catalog: Any, folder: Path, images: Images) -> str:
    """The strategy that is chosen for these images where the user leaves it open."""
    from tlstudio.api.config import parse_config
    from tlstudio.data.curation import Curation
    from tlstudio.engine.likeness import look_at

    config = parse_config({"data": {"path": str(folder), "image_size": images.size}})
    recipe = catalog.resolve(config, workspace=paths.workspace())
    found = recipe.open_images()
    splits = Curation(found, recipe.config.data, paths.workspace()).table.splits
    situation = look_at(recipe, found, splits)
    return str(catalog.resolve(config, workspace=paths.workspace(), situation=situation).config.freezing.strategy)


def _measure(catalog: Any, folder: Path, images: Images, strategy: str, seed: int) -> dict[str, Any]:
    from tlstudio.api.config import parse_config
    from tlstudio.api.events import EpochDone, RunFailed
    from tlstudio.engine.control import Control
    from tlstudio.engine.run import start_run

    config = parse_config({
        "data": {"path": str(folder), "image_size": images.size}, "freezing": {"strategy": strategy},
        "run": {"epochs": EPOCHS, "seed": seed},
    })  # fmt: skip
    began = time.monotonic()
    accuracies, losses = [], []
    for event in start_run(config, catalog, paths.home() / "workspace", Control()):
        if isinstance(event, RunFailed):
            raise SystemExit(f"{images.name}, {strategy}: {event.error}\n{event.detail}")
        if isinstance(event, EpochDone):
            accuracies.append(event.val["accuracy"])
            losses.append(event.val["loss"])
    shutil.rmtree(paths.home() / "workspace" / "runs", ignore_errors=True)
    return {
        "data": images.name, "strategy": strategy, "seed": seed, "epochs": EPOCHS, "size": images.size,
        "accuracies": accuracies, "losses": losses, "seconds": time.monotonic() - began,
        "date": date.today().isoformat(), "commit": _commit(), "machine": machine(), "versions": versions(),
    }  # fmt: skip


def _folders(names: list[str], place: Path) -> dict[str, Path]:
    folders = {}
    for name in names:
        folder = place / name
        if not folder.exists() and not SETS[name].make(folder):
            print(f"{name} is left out, since its images are not here.")
            continue
        folders[name] = folder
    return folders


def _print(records: list[dict[str, Any]]) -> None:
    for name in SETS:
        for strategy, values in _by_strategy(records, name):
            shown = ", ".join(f"{100 * value:.1f}" for value in values)
            print(f"{name:9} {strategy:26} {100 * sum(values) / len(values):5.1f} %   ({shown})")


def _by_strategy(records: list[dict[str, Any]], name: str) -> Iterator[tuple[str, list[float]]]:
    found: dict[str, list[float]] = {}
    for record in records:
        if record["data"] == name:
            found.setdefault(record["strategy"], []).append(record["accuracies"][-1])
    yield from sorted(found.items(), key=lambda item: -sum(item[1]) / len(item[1]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", metavar="DATA", choices=[*SETS, []], help=", ".join(SETS))
    parser.add_argument("--only", nargs="+", default=[], metavar="STRATEGY", help="qualified names, such as freezing/full")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many, at most 3")
    parser.add_argument("--results", type=Path, default=paths.cache() / "benchmarks" / "strategies.json")
    parser.add_argument("--minutes", type=float, default=0.0, help="begin no further run after so many")
    parser.add_argument("--write", action="store_true", help="write the help page and its picture")
    options = parser.parse_args()
    options.data = options.data or list(SETS)
    options.results = options.results.resolve()
    return options


if __name__ == "__main__":
    raise SystemExit(main())
