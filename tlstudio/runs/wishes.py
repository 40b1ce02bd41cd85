"""How one process steers the run of another: small files in the run's folder, which the process that trains looks for.

Each wish is a file of its own, so that none takes another's place before it is heard. It works where signals do not: on
Windows, for a run that a window trains, and from another machine on a shared disk.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, get_args

from tlstudio import safe_io
from tlstudio.api.errors import UserError
from tlstudio.runs.lock import process_of
from tlstudio.runs.store import RunInfo, heartbeat, is_alive

RunWish = Literal["pause", "continue", "stop", "cancel"]

_FILES = "wish-*.json"
_LOOK_SECONDS = 0.5
_BEAT_SECONDS = 5.0


def send(run: RunInfo, wish: RunWish) -> None:
    """Ask the process that trains a run to pause, go on, stop and keep, or cancel; it obeys after its step.

    Raises:
        UserError: nobody trains it.
        OSError: the folder cannot be written.
    """
    process = process_of(run.folder)
    if process is None or not is_alive(run.folder):
        hint = f"It waits: `tlstudio queue cancel {run.id}` takes it out." if run.status == "queued" else ""
        raise UserError(f"The run {run.id} is not running: it is {run.status}.", hint=hint)
    number = max((time.time_ns(), *(_number(file) + 1 for file in _lying(run.folder))))
    name = f"wish-{number:020d}-{secrets.token_hex(2)}.json"
    safe_io.write_json(run.folder / name, {"wish": wish, "pid": process[0], "host": process[1]})


def is_unheard(folder: Path) -> bool:
    """Whether a wish still lies there."""
    return bool(_lying(folder))


@contextlib.contextmanager
def listen(folder: Path, obey: Callable[[RunWish], object]) -> Iterator[None]:
    """While it lasts, a thread looks for wishes twice a second, and says that this process is alive even while it is paused.

    A wish that was meant for a process which has died since is not obeyed. A folder that cannot be reached is said once.
    """
    over = threading.Event()

    def look() -> None:
        beat, reached = time.monotonic(), True
        while not over.wait(_LOOK_SECONDS):
            try:
                for wish in take(folder):
                    obey(wish)
                if time.monotonic() - beat > _BEAT_SECONDS:
                    beat = time.monotonic()
                    heartbeat(folder)
                    reached = True
            except OSError as error:
                if reached:
                    logging.getLogger(__name__).warning("wishes for a run cannot be read: %s", error)
                reached = False

    thread = threading.Thread(target=look, name="wishes", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with contextlib.suppress(OSError):
            for file in _lying(folder):
                file.unlink(missing_ok=True)


def take(folder: Path) -> Iterator[RunWish]:
    """The wishes that lie there for this run's process, the first first, each taken away; raises `OSError`."""
    for file in _lying(folder):
        try:
            about = json.loads(file.read_bytes())
        except FileNotFoundError:
            continue
        except ValueError:
            about = {}
        file.unlink(missing_ok=True)
        if not isinstance(about, dict) or (about.get("pid"), about.get("host")) != process_of(folder):
            continue
        if about.get("wish") in get_args(RunWish):
            yield about["wish"]


def _lying(folder: Path) -> list[Path]:
    """The files of wishes, the first first."""
    return sorted(folder.glob(_FILES))


def _number(file: Path) -> int:
    try:
        return int(file.name.split("-")[1])
    except ValueError:
        return 0
