"""What an offline workstation does, in a process of its own that notes every try to reach a network, and refuses it.

``python offline.py flows PHOTOS STICK FOLDER`` in the terminal, ``python offline.py window FOLDER`` in the real window, drawn
into memory; the last line that it prints is a JSON object. Python's own sockets are watched, wherever they are made from.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import socket
import sys
from pathlib import Path

_TRIES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.connect", "socket.bind")
tried: list[list[str]] = []


def watch(event: str, arguments: tuple) -> None:
    """An audit hook; an address that is a text is one of a socket within this machine."""
    if event in _TRIES:
        address = arguments[0] if event.startswith("socket.get") else arguments[1]
        if event.startswith("socket.get") or not isinstance(address, str | bytes):
            tried.append([event, repr(address)])
            raise PermissionError("there is no network here")


class Screen(io.StringIO):
    """What a command prints; once it has told of an epoch, somebody presses Ctrl+C."""

    def __init__(self, *, impatient: bool = False) -> None:
        super().__init__()
        self._impatient = impatient

    def write(self, text: str) -> int:
        if self._impatient and '"EpochDone"' in text:
            self._impatient = False
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def flows(photos: str, stick: str, folder: str) -> dict:
    from tlstudio.cli.app import main

    workspace, bundle = f"{folder}/workspace", f"{folder}/bundle.zip"
    image = f"{photos}/circles/000.png"
    quick = ("freezing.strategy=head-only", "run.plan=reference")
    codes = {}

    def tlstudio(*words: str, impatient: bool = False) -> str:
        out = Screen(impatient=impatient)
        with contextlib.redirect_stdout(out):
            codes[" ".join(word for word in words if "/" not in word)] = main([*words, "--workspace", workspace])
        return out.getvalue()

    def run_of(printed: str) -> str:
        return json.loads(printed.splitlines()[0])["run"]

    tlstudio("data", "scan", photos, "--json")
    tlstudio("weights", "import", stick)
    tlstudio("weights", "list", "--here", "--json")
    tlstudio("weights", "verify")
    tlstudio("weights", "export", bundle)
    tlstudio("weights", "import", bundle, "--json")
    tlstudio("find-rate", photos, *quick, "--json")
    run = run_of(tlstudio("train", photos, "run.epochs=1", "--json"))
    tlstudio("evaluate", run, "--json")
    predicted = tlstudio("predict", run, image, "--json")
    tlstudio("export", run, f"{folder}/model.safetensors")
    stopped = run_of(tlstudio("train", photos, "run.epochs=3", *quick, "--json", impatient=True))
    tlstudio("runs", "resume", stopped, "--json")
    waits = json.loads(tlstudio("train", photos, "run.epochs=1", *quick, "--queue", "--json"))["run"]
    tlstudio("queue", "list", "--json")
    tlstudio("queue", "run", "--json")
    status = {info["id"]: info["status"] for info in json.loads(tlstudio("runs", "list", "--json"))}
    tlstudio("plugins", "list", "--json")
    tlstudio("doctor", "--json")
    before = list(tried)
    fetched = main(["weights", "fetch", "torchvision/resnet18", "--workspace", workspace])
    return {
        "codes": {words.replace(run, "RUN").replace(stopped, "STOPPED"): code for words, code in codes.items()},
        "runs": {name: status[key] for name, key in (("trained", run), ("stopped", stopped), ("waiting", waits))},
        "exported": Path(folder, "model.safetensors").is_file(), "predicted": json.loads(predicted),
        "tried": before, "fetch": [fetched, tried[len(before) :]],
    }  # fmt: skip


def window(folder: str) -> dict:
    from tlstudio.cli import screen
    from tlstudio.cli.session import split_arguments
    from tlstudio.gui import startup

    seen: dict = {"problems": []}
    make_pages, load = startup.Startup._make_pages, startup.Startup._plugins_loaded

    def loaded(self, found):
        self._window.context.problem.connect(lambda error: seen["problems"].append(repr(error)))
        load(self, found)

    def made(self, names):
        make_pages(self, names)
        if not names:  # the last step of the start: data, torch and all pages are there
            opened = self._window.data_page.opened
            seen.update(images=len(opened.images), shown=self._window.train_page.isVisible())
            self._window.closer.close_quietly()

    startup.Startup._make_pages, startup.Startup._plugins_loaded = made, loaded
    _, session = split_arguments(["--workspace", f"{folder}/workspace"])
    return {
        "code": screen.open_window(session, demo=True),
        **seen,
        "tried": tried,
        "qt_network": "PySide6.QtNetwork" in sys.modules,
    }


if __name__ == "__main__":
    sys.addaudithook(watch)
    what, *places = sys.argv[1:]
    found = {"flows": flows, "window": window}[what](*places)
    print(json.dumps({**found, "interfaces": [name for _, name in socket.if_nameindex()]}), flush=True)
