"""Fetching from a server on this machine: whole, broken off and resumed, changed on the way, not there."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from connections import connections
from published import make_lab

import tlstudio
from tlstudio.api import WeightsError
from tlstudio.api.progress import reporting
from tlstudio.engine.weights import check_weights
from tlstudio.registry.fetch import fetch
from tlstudio.registry.store import WeightsStore
from tlstudio.registry.weights import WeightSet, locate


class Server(ThreadingHTTPServer):
    """Gives files away; ``breaks`` is how many answers end after 1000 bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.breaks = 0
        self.ranges = True
        self.asked: list[tuple[str, str]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        wanted = self.headers.get("Range", "")
        server.asked.append((self.path, wanted))
        data = server.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        part = data[start:]
        if server.breaks:
            server.breaks -= 1
            part = part[:1000]
        self.wfile.write(part)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def lab(server, tmp_path):
    lab = make_lab(tmp_path / "publisher", f"{server.address}/models/net-v1.pth")
    server.files["/models/net-v1.pth"] = lab.file.read_bytes()
    return lab


def get(lab, spec=None, backbone="test/net"):
    spec = spec or lab.spec
    return fetch(WeightSet(backbone=backbone, name=spec.name, path=None, spec=spec), WeightsStore(), check_weights)


def partials():
    return list(WeightsStore().folder.glob(".partial-*"))


def test_what_is_fetched_is_in_the_store_with_its_source_and_licence(lab, server):
    seen = []
    with reporting(lambda done, total: seen.append((done, total)) or True):
        entry = get(lab)
    assert entry.path.read_bytes() == lab.file.read_bytes()
    assert locate(lab.spec) == entry.path
    assert (entry.source, entry.licence, entry.path.name) == (lab.spec.source, "CC-BY-4.0", "net-v1.pth")
    size = lab.file.stat().st_size
    assert (size, size) in seen
    assert partials() == []


def test_a_connection_that_breaks_is_opened_anew_where_it_broke(lab, server):
    server.breaks = 2
    assert get(lab).sha256 == lab.sha256
    assert [wanted for _, wanted in server.asked] == ["", "bytes=1000-", "bytes=2000-"]


def test_what_came_before_serves_the_next_try(lab, server):
    server.breaks = 99
    with pytest.raises(WeightsError, match="no connection") as caught:
        get(lab)
    assert "broke off" in caught.value.detail
    [partial] = partials()
    came = partial.stat().st_size
    assert came >= 1000
    assert locate(lab.spec) is None, "half a file is no weights"
    server.breaks, server.asked = 0, []
    assert get(lab).sha256 == lab.sha256
    assert server.asked == [("/models/net-v1.pth", f"bytes={came}-")]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_that_was_whole_already_or_a_server_that_cannot_resume(lab, server, ranges):
    server.ranges = ranges
    partial = WeightsStore().partial(lab.spec.source)
    partial.write_bytes(lab.file.read_bytes() if ranges else b"x" * 500)
    assert get(lab).sha256 == lab.sha256


def test_another_file_than_the_published_one_is_deleted_and_told(lab, server):
    data = lab.file.read_bytes()
    server.files["/models/net-v1.pth"] = data[:-1] + bytes([data[-1] ^ 1])
    with pytest.raises(WeightsError, match="not the published file V1"):
        get(lab)
    assert partials() == []
    assert WeightsStore().entries() == ()


def test_a_file_that_is_not_there_any_more(lab, server):
    server.files.clear()
    with pytest.raises(WeightsError, match="does not have the file") as caught:
        get(lab)
    assert "404" in caught.value.detail


def test_no_network_is_told_with_the_way_around_it(lab, server):
    unreachable = replace(lab.spec, source="http://127.0.0.1:9/net-v1.pth")
    with pytest.raises(WeightsError, match=r"no connection to 127\.0\.0\.1:9") as caught:
        get(lab, unreachable)
    for words in ("weights fetch test/net:V1", "weights export", "weights import"):
        assert words in caught.value.hint


def test_the_proxy_of_the_environment_is_used(lab, server, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("no_proxy", "")
    server.files["http://far.example/net-v1.pth"] = lab.file.read_bytes()
    assert get(lab, replace(lab.spec, source="http://far.example/net-v1.pth")).sha256 == lab.sha256
    assert server.asked[0][0] == "http://far.example/net-v1.pth"


@pytest.mark.parametrize("source", ["file:///etc/passwd", "ftp://127.0.0.1/x.pth", "Python package some-weights"])
def test_only_web_addresses_are_fetched(lab, source):
    with pytest.raises(WeightsError, match="not for download"):
        get(lab, replace(lab.spec, source=source))


def test_from_the_hub_the_hash_of_its_own_list_is_checked(lab, server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    listing = [
        {"type": "file", "path": "README.md", "size": 3},
        {"type": "file", "path": "pytorch_model.bin", "size": 1, "lfs": {"oid": lab.sha256, "size": 1}},
    ]
    server.files["/api/models/lab/net.a1/tree/main"] = json.dumps(listing).encode()
    server.files["/lab/net.a1/resolve/main/pytorch_model.bin"] = lab.file.read_bytes()
    entry = get(lab, lab.hub_spec, "test/hubnet")
    assert (entry.repository, entry.path.name) == ("lab/net.a1", "net.a1.bin")
    assert locate(lab.hub_spec) == entry.path
    WeightsStore().remove(entry)
    listing[1]["lfs"]["oid"] = "0" * 64
    server.files["/api/models/lab/net.a1/tree/main"] = json.dumps(listing).encode()
    with pytest.raises(WeightsError, match="not the published file"):
        get(lab, lab.hub_spec, "test/hubnet")
    server.files["/api/models/lab/net.a1/tree/main"] = b"<html>"
    with pytest.raises(WeightsError):
        get(lab, lab.hub_spec, "test/hubnet")


def test_nothing_else_in_the_program_and_its_plugins_can_open_a_connection():
    """Bootstrap runs pip, before there is a program; the window asks whether its own screen answers; processes that torchrun
    has started speak with each other. That is all.
    """
    root = Path(tlstudio.__file__).resolve().parents[1]
    files = [path for folder in ("tlstudio", "plugins") for path in (root / folder).rglob("*.py")]
    found = {path.relative_to(root).as_posix(): connections(path.read_text(encoding="utf-8")) for path in files}
    assert {name: what for name, what in found.items() if what} == {
        "tlstudio/registry/fetch.py": {"http.client", "urllib.request"},
        "tlstudio/bootstrap.py": {"pip", "apt-get"},
        "tlstudio/cli/screen.py": {"socket"},
        "tlstudio/engine/parallel.py": {"torch.distributed"},
        "tlstudio/engine/world.py": {"torch.distributed"},
    }
