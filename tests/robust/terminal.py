"""A process that has loaded the program once and forks: each child runs a command line as `tlstudio` does, and can be killed.

Run as a script with folders for `sys.path`: reads a command line as JSON from each line of standard input; answers with the
child's number and, once it has ended, with its exit status.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent


@dataclass
class Child:
    pid: int
    server: subprocess.Popen[str]

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit status; ``None`` where it is still at work after that time."""
        there, _, _ = select.select([self.server.stdout], [], [], seconds)
        return int(self.server.stdout.readline()) if there else None

    def kill(self, number: int = signal.SIGKILL) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(self.pid, number)


@dataclass
class Terminal:
    server: subprocess.Popen[str]
    workspace: Path

    def start(self, *words: str | Path, fault: str = "") -> Child:
        line = [*map(str, words), "--workspace", str(self.workspace)]
        self.server.stdin.write(json.dumps([fault, line]) + "\n")
        self.server.stdin.flush()
        return Child(int(self.server.stdout.readline()), self.server)

    def call(self, *words: str | Path, fault: str = "") -> int:
        return self.start(*words, fault=fault).wait()


@contextlib.contextmanager
def terminal(workspace: Path) -> Iterator[Terminal]:
    """While it lasts, command lines run in children with a workspace of their own."""
    command = [sys.executable, __file__, str(TESTS), str(TESTS.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as server:
        try:
            yield Terminal(server, workspace)
        finally:
            server.stdin.close()


def serve() -> None:
    from engine.conftest import build_tiny

    import tlstudio.engine.session  # noqa: F401 - so that no child has to import torch
    import tlstudio.registry as registry
    from tlstudio import faults
    from tlstudio.api import BackboneSpec, Preprocessing
    from tlstudio.cli.app import main

    tiny = BackboneSpec(name="tiny", title="Tiny", about="For tests.", family="Test", params=3000, build=build_tiny,
                        preprocessing=Preprocessing(image_size=32, resize=36))  # fmt: skip
    loaded = registry.load_catalog()
    catalog = replace(loaded, backbones={**loaded.backbones, "test/tiny": tiny})
    registry.load_catalog = lambda **_: catalog
    answers = os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.environ.get("TLSTUDIO_TEST_OUTPUT", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            import torch

            torch.set_num_threads(1)
            fault, words = json.loads(line)
            os.environ["TLSTUDIO_FAULT"] = fault
            faults.active = faults.from_environment()
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            os._exit(main(words))
        print(pid, file=answers, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), file=answers, flush=True)


if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:]
    serve()
