"""An offline workstation: the main flows run where there is no network, and none of them so much as tries to reach one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_FLOW = """
import contextlib, io, json, socket, sys
tried = []

def hook(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.connect", "socket.bind"):
        address = arguments[1] if event in ("socket.connect", "socket.bind", "socket.sendto") else arguments[0]
        if not isinstance(address, (str, bytes)) or event.startswith("socket.get"):  # a text is a socket of this machine
            tried.append([event, repr(address)])
            raise PermissionError("there is no network here")

sys.addaudithook(hook)
from tlstudio.cli.app import main

photos, stick, image, workspace, bundle = sys.argv[1:]
codes, run = [], ""

def tlstudio(*words):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        codes.append([words[0] + " " + words[1][:20], main([*words, "--workspace", workspace])])
    return out.getvalue()

tlstudio("data", "scan", photos, "--json")
tlstudio("weights", "import", stick)
tlstudio("weights", "list", "--here", "--json")
tlstudio("weights", "verify")
tlstudio("weights", "export", bundle)
tlstudio("weights", "import", bundle)
events = tlstudio("train", photos, "run.epochs=1", "--json").splitlines()
run = json.loads(events[0])["run"]
tlstudio("evaluate", run, "--json")
predicted = tlstudio("predict", run, image, "--json")
tlstudio("runs", "list", "--json")
tlstudio("plugins", "list", "--json")
tlstudio("doctor", "--json")
interfaces = [name for _, name in socket.if_nameindex()]
print(json.dumps({"codes": codes, "tried": tried, "interfaces": interfaces, "predicted": predicted}))
"""


def _without_interfaces() -> list[str]:
    """The command that runs another one in a network namespace of its own, or nothing where that is not permitted."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


@pytest.fixture
def flow(catalog, photos, tmp_path):
    """Runs the flows behind a command; returns what they came to."""
    stick = tmp_path / "stick"
    stick.mkdir()
    shutil.copy(catalog.backbones["timm/tf_efficientnet_lite0"].weights[0].locate(), stick / "lite0.pth")

    def call(*before: str) -> dict:
        arguments = [photos, stick, photos / "circles" / "000.png", tmp_path / "workspace", tmp_path / "bundle.zip"]
        command = [*before, sys.executable, "-c", _FLOW, *map(str, arguments)]
        root = Path(__file__).resolve().parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call


def test_the_main_flows_run_without_a_network_and_never_ask_for_one(flow):
    namespace = _without_interfaces()
    found = flow(*namespace)
    assert [code for _, code in found["codes"]] == [0] * 12, found["codes"]
    assert found["tried"] == []
    assert "circles" in found["predicted"]
    if namespace:
        assert set(found["interfaces"]) <= {"lo"}
