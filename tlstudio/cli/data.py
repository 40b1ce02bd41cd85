"""``tlstudio data``: look at images before training on them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of
from tlstudio.cli.use import counting

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tlstudio.data.curation import Curation
    from tlstudio.data.edits import Table
    from tlstudio.data.index import Index

app = typer.Typer(help="Look at images before training on them.", no_args_is_help=True, rich_markup_mode=None)

_SHOWN_UNREADABLE = 20
_SHOWN_KEYS = 5

Source = Annotated[str, typer.Argument(metavar="DATA", help="A folder, an archive, or a file of labels (CSV, JSON, YAML).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


@app.callback()
def _group() -> None:
    """Look at images before training on them."""


@app.command()
def moved(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="OLD", help="Where images were: a folder, an archive or a file of labels.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where they are now.")],
    as_json: AsJson = False,
) -> None:
    """Let the workspace know where images went: its runs, edits and splits of the old place go on working."""
    from tlstudio.api.errors import UserError
    from tlstudio.data.moved import count_found, remember, widest
    from tlstudio.runs.image_paths import image_paths

    workspace, now = session_of(context).workspace, Path(new).expanduser().absolute()
    if not now.exists():
        raise UserError(f"There is nothing at {now}.", hint="Give the place where the images are now.")
    foreign = "\\" in old or old[1:2] == ":"  # of another system
    move = widest(old if foreign else str(Path(old).expanduser().absolute()), str(now))
    found, gone = count_found(move, image_paths(workspace))
    remember(workspace, move)
    if as_json:
        output.print_json({"old": move.old, "new": move.new, "found": found, "gone": gone})
        return
    output.print_line(f"What was in {move.old} is looked for in {move.new} from now on.")
    if gone:
        output.print_line(f"{found} of {gone} folders and files of images that runs miss are found there.")


@app.command()
def scan(
    context: typer.Context,
    source: Source,
    as_json: AsJson = False,
    flips: Annotated[bool, typer.Option("--flips", help="Mirrored pictures count as duplicates, too.")] = False,
) -> None:
    """Count the images by class and split, and look for what is wrong: unreadable, duplicates, leaks, odd pictures.

    Ends with 4 where nothing can be trained.
    """
    from tlstudio.api.errors import DataError
    from tlstudio.data.index import forget
    from tlstudio.data.measure import UNREADABLE
    from tlstudio.data.quality import find_issues
    from tlstudio.data.scan import duplicates_in, look_up, measure_missing

    curation, index = _open(context, source)
    table, original = curation.table, curation.original
    images = table.taking_part()
    with counting("Reading") as progress:
        measures = measure_missing(original, look_up(original, index), index, progress=progress)
    taking_part = forget(measures, table.excluded.nonzero()[0])
    with counting("Comparing") as progress:
        pairs = duplicates_in(measures, index, flips=flips, progress=progress)
    issues = find_issues(images, table.splits, taking_part, pairs=pairs)
    bad = taking_part.state == UNREADABLE
    found = {"source": source, "images": len(images), **_counts(table, bad), "notes": list(images.notes)}
    found["unreadable"] = [{"key": images.keys[row], "reason": taking_part.reasons[row]} for row in bad.nonzero()[0].tolist()]
    found |= {"summary": issues.summary(), "issues": issues.to_dict()["issues"]}
    if as_json:
        output.print_json(found)
    else:
        _print(found)
    usable = [name for name, splits in found["classes"].items() if sum(splits.values())]
    if len(usable) < 2:
        if not as_json:
            raise DataError(
                "None of the images can be read." if not usable else f"All readable images are of one class ({usable[0]}).",
                hint="A classifier needs readable images of at least two classes.",
            )
        raise typer.Exit(4)


@app.command()
def export(
    context: typer.Context,
    source: Source,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="What is to appear: a folder, or a CSV file.")],
    how: Annotated[
        str, typer.Option("--how", help="copy, link or csv; by default csv for a TARGET that ends so, else copy.")
    ] = "",
) -> None:
    """Write the images as they stand after your edits: class folders of copies or links in train, val and test, or a table."""
    from tlstudio.data.export import export as write

    wanted = how or ("csv" if target.lower().endswith(".csv") else "copy")
    if wanted not in {"copy", "link", "csv"}:
        raise typer.BadParameter(f"--how must be copy, link or csv, not {how!r}")
    curation, _ = _open(context, source)
    path = Path(target).expanduser().absolute()
    with counting("Writing") as progress:
        count = write(curation.table, path, wanted, progress=progress)  # type: ignore[arg-type]
    output.print_line(f"{count:,} images written to {path}")


def _open(context: typer.Context, source: str) -> tuple[Curation, Index]:
    """The images that a user names, with their edits, and what is known of them."""
    from tlstudio.api.config import DataConfig
    from tlstudio.data.curation import Curation
    from tlstudio.data.index import Index
    from tlstudio.data.scan import known_alike

    session = session_of(context)
    catalog = session.catalog()
    config = DataConfig(path=os.path.abspath(os.path.expanduser(source)))
    if source in catalog.datasets and not os.path.exists(source):
        config = DataConfig(dataset=source)
    index = Index(config, kinds=catalog.datasets)
    images = catalog.open_images(config)
    return Curation(images, config, session.workspace, alike=lambda: known_alike(images, index)), index


def _counts(table: Table, bad: NDArray[np.bool_]) -> dict[str, Any]:
    """Readable images by class and split; where the data have no validation split, as training would draw it."""
    from tlstudio.api.dataset import SPLIT_NAMES, VAL

    images, splits = table.taking_part(), table.splits
    own = images.splits is not None and bool((images.splits == VAL).any())
    readable = ~bad
    classes = {
        name: {split: int((readable & (images.labels == label) & (splits == i)).sum()) for i, split in enumerate(SPLIT_NAMES)}
        for label, name in enumerate(images.classes)
    }
    unlabelled = int(((table.images.labels < 0) & ~table.excluded).sum())
    counts = {"unlabelled": unlabelled, "excluded": int(table.excluded.sum()), "edited": int(table.edited.sum())}
    return {"own_validation_split": own, **counts, "classes": classes}


def _print(found: dict[str, Any]) -> None:
    output.print_line(f"{found['images']:,} images in {len(found['classes'])} classes.\n")
    rows = [[name, *(f"{count:,}" if count else "–" for count in splits.values())] for name, splits in found["classes"].items()]
    output.print_table(["class", "train", "val", "test"], rows, right=(1, 2, 3))
    if not found["own_validation_split"]:
        output.print_line("\nThe data have no validation split: a share of each class would be kept aside, as counted here.")
    if found["unlabelled"]:
        output.print_line(f"\n{found['unlabelled']:,} images have no label.")
    if found["edited"]:
        output.print_line(f"\n{found['edited']:,} images are edited, {found['excluded']:,} of them left out.")
    for note in found["notes"]:
        output.print_line(f"\n{note}")
    if found["unreadable"]:
        output.print_line(f"\n{len(found['unreadable']):,} images cannot be read; training leaves them out:")
        for item in found["unreadable"][:_SHOWN_UNREADABLE]:
            output.print_line(f"  {item['key']}: {item['reason']}")
        if len(found["unreadable"]) > _SHOWN_UNREADABLE:
            output.print_line(f"  and {len(found['unreadable']) - _SHOWN_UNREADABLE:,} more (all with --json)")
    _print_issues(found)


def _print_issues(found: dict[str, Any]) -> None:
    others = [issue for issue in found["issues"] if issue["kind"] not in {"unreadable", "truncated", "empty"}]
    for issue in others:
        output.print_line(f"\n{issue['title']}: {issue['sentence']} {issue['advice']}")
        for image in issue["images"][:_SHOWN_KEYS]:
            partner = f"  (like {image['partner']})" if "partner" in image else ""
            output.print_line(f"  {image['key']}{partner}")
        if len(issue["images"]) > _SHOWN_KEYS:
            output.print_line(f"  and {len(issue['images']) - _SHOWN_KEYS:,} more (all with --json)")
    output.print_line(f"\n{found['summary']}")
