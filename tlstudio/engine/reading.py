"""Threads that read files which may never answer: a drive that hangs holds up neither the user nor the end of the process.

Nobody can end a read that hangs. Its thread is left behind, another takes its place, and the process ends without it: these are
daemon threads, which those of a `ThreadPoolExecutor` are not.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_Job = tuple[Future[Any], Callable[..., object], tuple[object, ...]]

SLICE = 0.1
"""Seconds that one waits before one asks again whether to go on waiting."""
_GRACE = 1.0  # seconds that threads have to end what they are at when nobody needs it any more
_ROOT_SECONDS = 5.0  # that a folder has to say what is in it

_guard = threading.Lock()
_unanswered: dict[Path, Future[bool]] = {}


class Abandoned(Exception):
    """The user has ended the run while a read did not come back; nobody waits for it any more."""


class Readers:
    """Threads that do what is submitted, in that order.

    Args:
        count: how many; they begin when there is something to do.
        name: what their names begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._count, self._name = count, name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._guard, self._closed = threading.Lock(), False
        weakref.finalize(self, _dismiss, self._jobs, self._threads)

    def submit(self, work: Callable[..., _Result], *arguments: object) -> Future[_Result]:
        """Have it done; what comes of it is in a future as `concurrent.futures` has them, cancelled where all has ended."""
        future: Future[_Result] = Future()
        with self._guard:
            if self._closed:  # nobody would do it, and who waits for it would wait for ever
                future.cancel()
                return future
            self._jobs.put((future, work, arguments))
            if len(self._threads) < self._count:
                self._begin()
        return future

    def map(self, work: Callable[..., _Result], *arguments: Iterable[object]) -> list[_Result]:
        """What comes of each, in order, when all are done; as many as the shortest of the arguments has."""
        return [future.result() for future in [self.submit(work, *one) for one in zip(*arguments, strict=False)]]

    def replace(self) -> None:
        """A thread does not come back: another takes its place."""
        with self._guard:
            if not self._closed:
                self._count += 1
                self._begin()

    def close(self) -> None:
        """End the threads, and cancel what has not begun; a thread that does not come back is left behind."""
        with self._guard:
            self._closed = True
        with contextlib.suppress(Empty):
            while True:
                job = self._jobs.get_nowait()
                if job is not None:
                    job[0].cancel()
        _dismiss(self._jobs, self._threads)
        until = time.monotonic() + _GRACE
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _begin(self) -> None:
        name = f"{self._name}_{len(self._threads)}"
        thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def is_gone(root: Path, unwanted: Callable[[], bool] = lambda: False) -> bool:
    """Whether a folder is not there at all: an unplugged drive leaves nothing, or an empty folder, or gives no answer.

    Args:
        unwanted: asked meanwhile whether nobody waits for the answer any more.
    """
    with _guard:  # a folder that has not answered yet is not asked once more
        look = _unanswered.get(root)
        if look is None:
            look = _unanswered[root] = Future()
            threading.Thread(target=_look, args=(root, look), name="look", daemon=True).start()
    until = time.monotonic() + _ROOT_SECONDS
    while not look.done():
        if time.monotonic() > until or unwanted():
            return True
        wait([look], timeout=SLICE)
    return look.result()


def _look(root: Path, look: Future[bool]) -> None:
    try:
        with os.scandir(root) as entries:
            empty = next(entries, None) is None
    except OSError:
        empty = True
    with _guard:
        del _unanswered[root]
    look.set_result(empty)


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        future, work, arguments = job
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work(*arguments))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the result gets it
                future.set_exception(error)
        del job, future, work, arguments  # while there is nothing to do, nothing is held


def _dismiss(jobs: SimpleQueue[_Job | None], threads: list[threading.Thread]) -> None:
    for _ in threads:
        jobs.put(None)
