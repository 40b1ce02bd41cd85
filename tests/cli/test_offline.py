"""An offline workstation: the main flows run where there is no network, and none of them so much as tries to reach one.

They run in a network namespace without interfaces where the system can make one. Elsewhere they run all the same, watched by
Python's audit hook alone, and the test of the namespace says that it was left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_photos

_ROOT = Path(__file__).resolve().parents[2]


def _without_interfaces() -> list[str]:
    """The command that runs another one in a network namespace of its own, or nothing where that is not permitted."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0:
            return command
    return []


@pytest.fixture(scope="module")
def namespace():
    return _without_interfaces()


@pytest.fixture(scope="module")
def offline(namespace, tmp_path_factory):
    """Runs a part of `offline.py` there; returns what it came to."""
    place = tmp_path_factory.mktemp("offline")

    def call(what: str, *arguments: Path) -> dict:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
            "PYTHONPATH": str(_ROOT), "TLSTUDIO_HOME": str(place / "home"), "QT_QPA_PLATFORM": "offscreen",
            "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        script = Path(__file__).with_name("offline.py")
        command = [*namespace, sys.executable, script, what, *arguments, place]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=200)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return call


@pytest.fixture(scope="module")
def flows(offline, catalog, tmp_path_factory):
    """What came of all commands."""
    place = tmp_path_factory.mktemp("brought")
    (place / "stick").mkdir()
    shutil.copy(catalog.backbones["timm/tf_efficientnet_lite0"].weights[0].locate(), place / "stick" / "lite0.pth")
    return offline("flows", make_photos(place / "photos", {"circles": 24, "stripes": 24}), place / "stick")


@pytest.fixture(scope="module")
def window(offline):
    """What came of the window, from its start with the sample to its end."""
    return offline("window")


def test_the_main_flows_run_without_a_network_and_never_ask_for_one(flows):
    stopped = [words for words, code in flows["codes"].items() if code == 130]
    assert len(stopped) == 1, "a run is stopped, to be resumed"
    assert {code for words, code in flows["codes"].items() if words not in stopped} == {0}, flows["codes"]
    for what in ("export RUN", "runs resume", "find-rate", "queue run"):
        assert any(words.startswith(what) for words in flows["codes"]), what
    assert flows["runs"] == {"trained": "completed", "stopped": "completed", "waiting": "completed"}
    assert flows["exported"]
    assert flows["predicted"][0]["top"][0]["class"] == "circles"
    assert flows["tried"] == []


def test_the_window_opens_the_sample_and_closes_without_a_network_and_never_asks_for_one(window):
    assert (window["code"], window["problems"], window["tried"]) == (0, [], [])
    assert window["images"] == 1797
    assert window["shown"], "the Train page is to be seen, ready to train on the sample"
    assert not window["qt_network"], "Qt's own sockets are not watched"


def test_the_watch_sees_the_one_command_that_asks_for_a_network(flows):
    code, tried = flows["fetch"]
    assert code != 0
    assert tried == [["socket.getaddrinfo", "'download.pytorch.org'"]]


def test_all_of_it_ran_where_there_are_no_interfaces(namespace, flows, window):
    if not namespace:
        pytest.skip("this system makes no network namespace for us: what is no Python has not been watched")
    assert set(flows["interfaces"]) <= {"lo"}
    assert set(window["interfaces"]) <= {"lo"}
