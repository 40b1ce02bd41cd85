"""How one process steers the run of another: a small file in the run's folder, which the process that trains looks for.

It works where signals do not: on Windows, for a run that a window trains, and from another machine on a shared disk.
"""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

from tlstudio import safe_io
from tlstudio.api.errors import UserError
from tlstudio.runs.lock import process_of
from tlstudio.runs.store import RunInfo, heartbeat

RunWish = Literal["pause", "continue", "stop", "cancel"]

WISH_FILE = "wish.json"
_LOOK_SECONDS = 0.5
_BEAT_SECONDS = 5.0


def send(run: RunInfo, wish: RunWish) -> None:
    """Ask the process that trains a run to pause, go on, stop and keep, or cancel; it obeys after its step.

    Raises:
        UserError: nobody trains it.
        OSError: the folder cannot be written.
    """
    process = process_of(run.folder)
    if run.status != "running" or process is None:
        hint = f"It waits: `tlstudio queue cancel {run.id}` takes it out." if run.status == "queued" else ""
        raise UserError(f"The run {run.id} is not running: it is {run.status}.", hint=hint)
    safe_io.write_json(run.folder / WISH_FILE, {"wish": wish, "pid": process[0], "host": process[1]})


def is_unheard(folder: Path) -> bool:
    """Whether a wish still lies there."""
    return (folder / WISH_FILE).exists()


@contextlib.contextmanager
def listen(folder: Path, obey: Callable[[RunWish], object]) -> Iterator[None]:
    """While it lasts, a thread looks for wishes twice a second, and says that this process is alive even while it is paused.

    A wish that was meant for a process which has died since is not obeyed.
    """
    over = threading.Event()

    def look() -> None:
        beat = time.monotonic()
        while not over.wait(_LOOK_SECONDS):
            try:
                if (wish := take(folder)) is not None:
                    obey(wish)
                if time.monotonic() - beat > _BEAT_SECONDS:
                    beat = time.monotonic()
                    heartbeat(folder)
            except OSError as error:
                logging.getLogger(__name__).warning("wishes for a run cannot be read: %s", error)

    thread = threading.Thread(target=look, name="wishes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(OSError):
            (folder / WISH_FILE).unlink()


def take(folder: Path) -> RunWish | None:
    """The wish that lies there for this run's process, taken away; ``None`` where there is none."""
    file = folder / WISH_FILE
    try:
        about = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        about = {}
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    if not isinstance(about, dict) or (about.get("pid"), about.get("host")) != process_of(folder):
        return None
    return about["wish"] if about.get("wish") in get_args(RunWish) else None
