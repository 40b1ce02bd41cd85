"""What a run's model says of images, kept in the run's folder, so that it is asked once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tlstudio import safe_io
from tlstudio.api.dataset import ImageSet
from tlstudio.engine.predict import load_model, read_result
from tlstudio.evaluation.report import predict_rows
from tlstudio.registry.catalog import Catalog

FILE = "predicted.json"
_FORMAT = 1


def predicted_classes(
    run_folder: Path,
    catalog: Catalog,
    images: ImageSet,
    rows: Sequence[int],
    progress: Callable[[int, int], bool] | None = None,
) -> dict[int, str]:
    """The class that the model of a run gives to each of these rows; those that cannot be read are not in it.

    An answer that is kept counts as long as the model is the same and the image's file has its size and its time.

    Args:
        progress: ``progress(done, total)`` over what is not known yet; ``False`` ends it early, with what there is by then.

    Raises:
        UserError: the run kept no model.
        WeightsError: it is damaged.
    """
    about = read_result(run_folder)
    classes = [str(name) for name in about["classes"]]
    kept = _read(run_folder, str(about["sha256"]), len(classes))
    stamps = {row: _stamp(images, row) for row in rows}
    known = {row: kept[images.keys[row]][1] for row in rows if kept.get(images.keys[row], ("", 0))[0] == stamps[row]}
    unknown = [row for row in rows if row not in known]
    if unknown:
        found, probabilities = predict_rows(load_model(run_folder, catalog), images, unknown, progress)
        known.update(zip(found.tolist(), probabilities.argmax(1).tolist(), strict=True))
        kept.update({images.keys[row]: (stamps[row], known[row]) for row in found.tolist()})
        record = {"format": _FORMAT, "model": about["sha256"], "images": kept}
        with contextlib.suppress(OSError):  # a run on a medium that cannot be written is asked again the next time
            safe_io.write_json(run_folder / FILE, record)
    return {row: classes[label] for row, label in known.items()}


def _read(run_folder: Path, model: str, classes: int) -> dict[str, tuple[str, int]]:
    """Key -> stamp and number of the class; nothing where the file is not there, or of another model."""
    try:
        kept: dict[str, Any] = json.loads((run_folder / FILE).read_bytes())
        if kept["format"] != _FORMAT or kept["model"] != model:
            return {}
        found = {key: (str(stamp), int(label)) for key, (stamp, label) in kept["images"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {key: item for key, item in found.items() if 0 <= item[1] < classes}


def _stamp(images: ImageSet, row: int) -> str:
    """What changes with the image; empty where it has no file."""
    path = images.path(row)
    if path is None:
        return ""
    try:
        state = path.stat()
    except OSError:
        return "gone"
    box = "" if images.boxes is None else " " + " ".join(f"{side:g}" for side in images.boxes[row].tolist())
    return f"{state.st_size} {state.st_mtime_ns}{box}"
