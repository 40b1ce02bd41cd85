"""Runs a function off the GUI thread and delivers its result, progress or error back in the GUI thread; cancellable.

    task = run_in_background(self, work, done=self._show, failed=self._complain)

``work(task)`` runs in a pool of threads; it may ask ``task.cancelled`` and call ``task.report(value)``. After `Task.cancel`,
or once the owner is gone, nothing is delivered any more. Plain Python threads and one immortal relay, so that no Qt object
can ever be destroyed in the wrong thread.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import Any

import shiboken6
from PySide6.QtCore import QObject, Signal, Slot

Work = Callable[["Task"], Any]
_THREADS = 4


class _Relay(QObject):
    """Lives in the GUI thread for as long as the program; a signal from another thread is queued to its slot."""

    arrived = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[Task, Future[None]] = {}
        self.arrived.connect(self._deliver)

    @Slot(object)
    def _deliver(self, message: tuple[Task, str, Any]) -> None:
        task, kind, value = message
        receiver = task._receivers.get(kind)
        wanted = not task.cancelled and task._owner is not None and shiboken6.isValid(task._owner)
        if kind != "progress":
            task.running = False
            self.live.pop(task, None)
            task._release()
        if not wanted:
            return
        if receiver is not None:
            receiver(value)
        elif kind == "failed":
            raise value  # nobody asked for errors: the application's hook shows it


class Task:
    """One piece of background work."""

    def __init__(self, owner: QObject, work: Work, receivers: dict[str, Callable[[Any], object] | None]) -> None:
        self._owner: QObject | None = owner
        self._work: Work | None = work
        self._receivers = receivers
        self.cancelled = False
        self.running = True

    def cancel(self) -> None:
        """Deliver nothing more, and let the work know."""
        self.cancelled = True

    def report(self, value: object) -> None:
        """From the work: hand a value to the ``progress`` callback."""
        if not self.cancelled:
            _relay().arrived.emit((self, "progress", value))

    def _run(self) -> None:
        kind, value = "done", None
        try:
            if not self.cancelled and self._work is not None:
                value = self._work(self)
        except BaseException as error:  # noqa: BLE001 - no exception crosses the thread; it is delivered
            kind, value = "failed", error
        _relay().arrived.emit((self, kind, value))

    def _release(self) -> None:
        """Let go of all that belongs to the GUI thread, while in it."""
        self._owner = self._work = None
        self._receivers = {}


@lru_cache(maxsize=1)
def _relay() -> _Relay:
    return _Relay()


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="background")


def run_in_background(
    owner: QObject,
    work: Work,
    *,
    done: Callable[[Any], object] | None = None,
    failed: Callable[[BaseException], object] | None = None,
    progress: Callable[[Any], object] | None = None,
    pool: ThreadPoolExecutor | None = None,
) -> Task:
    """Start ``work(task)`` in another thread; the callbacks run in the GUI thread. Call it from the GUI thread.

    Args:
        owner: whose callbacks these are; when it is destroyed, they are not called.
        pool: instead of the application's.
    """
    task = Task(owner, work, {"done": done, "failed": failed, "progress": progress})
    relay = _relay()  # before the work starts: whoever asks first decides in which thread it lives
    relay.live[task] = (pool or _pool()).submit(task._run)
    return task


def finish_all(seconds: float) -> bool:
    """At the end of the program: cancel what is still going and wait for it; ``False`` where some of it does not end."""
    tasks = dict(_relay().live)
    for task in tasks:
        task.cancel()
    return not wait(tasks.values(), timeout=seconds).not_done
