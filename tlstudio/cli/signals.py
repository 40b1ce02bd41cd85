"""What Ctrl+C, termination and the closing of the terminal do while a command shows a run."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")


@contextlib.contextmanager
def caught(act: Callable[[], object], words: str, *, quits: bool = False) -> Iterator[list[int]]:
    """While it lasts, a signal calls ``act`` and says ``words``; yields the list of the signals that came, by number.

    The closing of the terminal is left alone where it shall not end the process (``nohup``).

    Args:
        act: what to do.
        words: for the standard error.
        quits: whether a second signal ends the process at once.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if came and quits:
            os._exit(128 + number)
        came.append(number)
        act()
        with contextlib.suppress(OSError):  # nobody reads it: what runs here must not hear of that
            os.write(2, f"\n{words}\n".encode())

    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    wanted = [n for n in numbers if n in {signal.SIGINT, signal.SIGTERM} or signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in wanted}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
