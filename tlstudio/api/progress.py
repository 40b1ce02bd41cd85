"""How far long work has come, from deep inside it to whoever shows it; and the way to end it from there.

The one who shows it calls the work inside of `reporting`; whatever runs in that thread calls `report` now and then. Nobody has
to pass anything along, and where nobody listens, `report` does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tlstudio.api.errors import UserError

Listener = Callable[[int, int], bool]
"""``listener(done, total)``; ``total`` is 0 where it is not known yet. ``False`` ends the work."""

_LISTENER: ContextVar[Listener | None] = ContextVar("listener", default=None)


class CancelledError(UserError):
    """The user gave up; raised by `report`. Let it pass, after tidying up."""

    def __init__(self) -> None:
        super().__init__("Cancelled.")

    def __reduce__(self) -> tuple[object, ...]:
        """It has no parts."""
        return (type(self), ())


@contextmanager
def reporting(listener: Listener) -> Iterator[None]:
    """Hear what is reported in this thread meanwhile."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def report(done: int, total: int = 0) -> None:
    """Tell that ``done`` things (files, rows, bytes) of ``total`` are done. Cheap, but not for every single one.

    Raises:
        CancelledError: nobody waits for the result any more.
    """
    listener = _LISTENER.get()
    if listener is not None and not listener(done, total):
        raise CancelledError
