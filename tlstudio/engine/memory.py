"""How the C library hands out memory while a network computes. Linux with glibc only; elsewhere nothing happens. No torch."""

from __future__ import annotations

import contextlib
import ctypes
import sys
import threading
from collections.abc import Iterator

_M_MMAP_MAX, _M_TRIM_THRESHOLD, _M_TOP_PAD, _M_ARENA_MAX = -4, -1, -2, -8
_GIVE_BACK_SECONDS = 1.0
_memory_lock = threading.Lock()
_memory_users: list[object] = []


def one_arena() -> None:
    """Let all threads that are still to come share the main thread's memory, which `freed_memory_kept` is about.

    A thread has memory of its own otherwise, which goes back to the kernel at every layer: training in a thread then takes
    nearly twice as long as in the main one (tests/benchmarks/allocator.py). To be called before the first thread is started.
    """
    libc = _glibc()
    if libc is not None:
        libc.mallopt(_M_ARENA_MAX, 1)


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Let glibc reuse the memory of activations instead of asking the kernel for fresh pages at every layer.

    Forward passes on a CPU spend half of their time in page faults otherwise (tests/benchmarks/allocator.py). It holds for the
    whole process, from the first run that enters to the last that leaves. What is free then goes back to the system a little
    later: that blocks every other thread's allocations for some 50 ms, just when a window wants to show how the run ended.
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    with _memory_lock:
        _memory_users.append(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(_M_TOP_PAD, 64 * 2**20)
    try:
        yield
    finally:
        with _memory_lock:
            _memory_users.pop()
        timer = threading.Timer(_GIVE_BACK_SECONDS, _give_memory_back, (libc,))
        timer.daemon = True
        timer.start()


def _give_memory_back(libc: ctypes.CDLL) -> None:
    with _memory_lock:
        if not _memory_users:
            libc.mallopt(_M_MMAP_MAX, 65536)  # glibc's own defaults
            libc.mallopt(_M_TRIM_THRESHOLD, 128 * 1024)
            libc.mallopt(_M_TOP_PAD, 0)
            libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return None
    return libc if hasattr(libc, "malloc_trim") else None
