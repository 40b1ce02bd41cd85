"""The curves of every run as TensorBoard event files in its folder, by TensorBoard's own writer.

It works where the package ``tensorboard`` is installed, and that is its switch: whoever installs it beside tlstudio wants such
files, everybody else has neither the files nor a dependency of 10 MB. ``run.observers=false`` leaves them out of a run.
"""

from __future__ import annotations

from importlib.util import find_spec

from tlstudio.api import ObserverSpec, hookimpl
from tlstudio_tensorboard.files import EventFiles

TLSTUDIO_API = 1


@hookimpl
def register_observers() -> list[ObserverSpec]:
    """Event files, one folder a run."""
    return [
        ObserverSpec(
            name="event-files",
            title="TensorBoard event files",
            about="Loss, accuracy, learning rate and settings of every run, into the folder tensorboard of the run.",
            open=EventFiles,
            missing="" if find_spec("tensorboard") else "it needs TensorBoard; install it with: pip install tensorboard",
        )
    ]
