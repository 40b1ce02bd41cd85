"""``tlstudio data``: look at images before training on them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tlstudio.cli import output
from tlstudio.cli.session import session_of
from tlstudio.cli.use import counting

if TYPE_CHECKING:
    from tlstudio.data.edits import Table

app = typer.Typer(help="Look at images before training on them.", no_args_is_help=True, rich_markup_mode=None)

_SHOWN_UNREADABLE = 20


@app.callback()
def _group() -> None:
    """Look at images before training on them."""


@app.command()
def scan(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="DATA", help="A folder, an archive or a CSV file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Count the images by class and split, and find those that cannot be read. Ends with 4 where nothing can be trained."""
    from tlstudio.api.config import DataConfig
    from tlstudio.api.errors import DataError
    from tlstudio.data.check import find_unreadable
    from tlstudio.data.curation import Curation

    catalog = session_of(context).catalog()
    config = DataConfig(path=os.path.abspath(os.path.expanduser(source)))
    if source in catalog.datasets and not os.path.exists(source):
        config = DataConfig(dataset=source)
    table = Curation(catalog.open_images(config), config, session_of(context).workspace).table
    images = table.taking_part()
    with counting("Reading") as progress:
        bad = find_unreadable(images, progress=progress)
    found = {"source": source, "images": len(images), **_counts(table, bad), "notes": list(images.notes)}
    found["unreadable"] = [{"key": images.keys[row], "reason": reason} for row, reason in sorted(bad.items())]
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


def _counts(table: Table, bad: dict[int, str]) -> dict[str, Any]:
    """Readable images by class and split; where the data have no validation split, as training would draw it."""
    import numpy as np

    from tlstudio.api.dataset import SPLIT_NAMES, VAL

    images, splits = table.taking_part(), table.splits
    own = images.splits is not None and bool((images.splits == VAL).any())
    readable = np.ones(len(images), dtype=bool)
    readable[list(bad)] = False
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
