"""The real window in a process of its own, without a screen, that trains the tests' small network and says what it does.

``python windowed.py FOLDERS-FOR-SYS.PATH... -- WHAT WORKSPACE PHOTOS``; WHAT is ``train``, or ``resume``: take what is offered.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
EPOCHS = 12
SETTINGS = {
    "model": {"backbone": "test/tiny", "weights": "none"}, "freezing": {"strategy": "freezing/full"},
    "optim": {"learning_rate": 0.01}, "run": {"epochs": EPOCHS, "batch_size": 4, "checkpoint_minutes": 0.002},
}  # fmt: skip


def start(what: str, workspace: Path, photos: Path) -> subprocess.Popen[str]:
    """A window at work; it prints a line for every event of its run, for what it offers, and for what it is asked."""
    command = [sys.executable, __file__, str(TESTS), str(TESTS.parent), "--", what, str(workspace), str(photos)]
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True, env=environment)


def read_until(window: subprocess.Popen[str], *wanted: str) -> str:
    """The next line that begins with one of these words; fails with all that came where the window ends before."""
    lines: list[str] = []
    for line in window.stdout:
        lines.append(line)
        if line.startswith(wanted):
            return line.rstrip("\n")
    raise AssertionError("".join(lines) or "the window said nothing")


def main(what: str, workspace: str, photos: str) -> int:
    from engine.conftest import build_tiny

    import tlstudio.registry as registry
    from tlstudio.api import BackboneSpec, Preprocessing
    from tlstudio.gui import startup
    from tlstudio.gui.app import run_window

    tiny = BackboneSpec(name="tiny", title="Tiny", about="For tests.", family="Test", params=3000, build=build_tiny,
                        preprocessing=Preprocessing(image_size=32, resize=36))  # fmt: skip
    load = registry.load_catalog

    def load_catalog(**options):
        loaded = load(**options)
        return replace(loaded, backbones={**loaded.backbones, "test/tiny": tiny})

    registry.load_catalog = load_catalog
    warmed = startup.Startup._warmed

    def ready(self, device):
        import torch

        torch.set_num_threads(1)
        self._window.context.run_event.connect(lambda event: print(event.event, getattr(event, "step", ""), flush=True))
        bar = self._window.offer.bar
        bar.shown = lambda text: (real(text), print("offer", text, flush=True), what == "resume" and bar.resume.click())
        real, bar.show_text = bar.show_text, bar.shown
        warmed(self, device)
        if what == "train":
            train(self._window)

    def train(window):
        from tlstudio.api.config import parse_config

        window.show_page("train")
        window.train_page.set_config(parse_config({**SETTINGS, "data": {"path": photos}}))
        window.train_page.run_ended.connect(lambda _end: print("ended", flush=True))
        assert window.train_page.start()

    startup.Startup._warmed = ready
    return run_window(open_path=Path(photos) if what == "train" else None, workspace=Path(workspace))


if __name__ == "__main__":
    split = sys.argv.index("--")
    sys.path[:0] = sys.argv[1:split]
    from tlstudio.cli import leave

    leave.at_once(main(*sys.argv[split + 1 :]))  # as the program ends
