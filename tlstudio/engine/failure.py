"""The one funnel for errors: whatever goes wrong becomes an event, in words that say what to do."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

from tlstudio import safe_io
from tlstudio.api.errors import ExitCode, UserError
from tlstudio.api.events import RunFailed


def failed(error: BaseException, folder: Path) -> RunFailed:
    """Any error as an event: what happened, and what to do."""
    if isinstance(error, UserError):
        return RunFailed(error=error.title, detail=error.detail, hint=error.hint, exit_code=int(error.exit_code))
    if isinstance(error, KeyboardInterrupt):
        return RunFailed(error="Interrupted.", exit_code=int(ExitCode.INTERRUPTED))
    storage = safe_io.as_user_error(error, folder)
    if storage is not None:
        return failed(storage, folder)
    if is_out_of_memory(error):
        return RunFailed(
            error="There is not enough memory for this batch size.",
            detail=str(error).splitlines()[0],
            hint="Use a smaller batch size or a smaller image size.",
        )
    return RunFailed(
        error=f"{type(error).__name__}: {error}",
        detail=traceback.format_exc(),
        hint="This is a fault in tlstudio or in a plugin. Help > Copy diagnostics has what is needed to report it.",
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that there is no memory left, of whatever device."""
    signs = ("out of memory", "can't allocate memory", "DefaultCPUAllocator", "CUDNN_STATUS_ALLOC_FAILED")
    torch = sys.modules.get("torch")
    kinds = (MemoryError,) if torch is None else (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or (isinstance(error, RuntimeError) and any(sign in str(error) for sign in signs))
