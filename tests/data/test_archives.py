"""Archives unpack whole and inside their folder, or not at all."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tlstudio.api import CancelledError, DataError
from tlstudio.api.progress import reporting
from tlstudio.data import archives
from tlstudio.data.archives import is_archive, unpacked


def make_zip(path, entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in entries:
            file.writestr(name, data)
    return path


def make_tar(path, members):
    with tarfile.open(path, "w:gz") as file:
        for info, data in members:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def nothing_left(folder):
    return not folder.exists() or not any(folder.iterdir())


def test_a_zip_is_unpacked_once_and_its_single_folder_is_the_root(tmp_path):
    path = make_zip(
        tmp_path / "photos.zip", [("photos/ants/1.jpg", b"a"), ("photos/bees/2.jpg", b"b"), ("__MACOSX/._1.jpg", b"x")]
    )
    assert is_archive(path)
    root = unpacked(path, into=tmp_path / "cache")
    assert root.name == "photos"
    assert (root / "ants" / "1.jpg").read_bytes() == b"a"
    before = (root / "ants" / "1.jpg").stat().st_mtime_ns
    assert unpacked(path, into=tmp_path / "cache") == root
    assert (root / "ants" / "1.jpg").stat().st_mtime_ns == before


def test_a_changed_archive_is_unpacked_anew(tmp_path):
    path = make_zip(tmp_path / "p.zip", [("a/1.jpg", b"old"), ("b/1.jpg", b"")])
    unpacked(path, into=tmp_path / "cache")
    make_zip(path, [("a/1.jpg", b"newer"), ("b/1.jpg", b"")])
    assert (unpacked(path, into=tmp_path / "cache") / "a" / "1.jpg").read_bytes() == b"newer"


@pytest.mark.parametrize(
    "name", ["../out.jpg", "a/../../out.jpg", "/etc/out.jpg", "C:/out.jpg", "a\\..\\out.jpg", "a/CON.jpg", "a/nul", "x" * 300]
)
def test_names_that_leave_the_folder_or_are_devices_refuse_the_whole_archive(tmp_path, name):
    path = make_zip(tmp_path / "p.zip", [("a/good.jpg", b"x"), (name, b"y")])
    with pytest.raises(DataError) as caught:
        unpacked(path, into=tmp_path / "cache")
    assert "names in it" in caught.value.title
    assert nothing_left(tmp_path / "cache")
    assert not (tmp_path / "out.jpg").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_refuse_the_whole_archive(tmp_path, kind):
    link = tarfile.TarInfo("a/link.jpg")
    link.type, link.linkname = kind, "a/good.jpg"
    path = make_tar(tmp_path / "p.tar.gz", [(tarfile.TarInfo("a/good.jpg"), b"x"), (link, b"")])
    with pytest.raises(DataError, match="links or devices"):
        unpacked(path, into=tmp_path / "cache")
    assert nothing_left(tmp_path / "cache")


def test_a_symbolic_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("a/link.jpg")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = make_zip(tmp_path / "p.zip", [("a/good.jpg", b"x"), (info, b"/etc/passwd")])
    with pytest.raises(DataError, match="links"):
        unpacked(path, into=tmp_path / "cache")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a/x.jpg", "a/x.jpg"), ("a/x.jpg", "A/X.jpg"), ("a/é.jpg", "a/é.jpg")])
def test_names_that_clash_on_some_computers_are_refused_with_the_pair(tmp_path, names):
    path = make_zip(tmp_path / "p.zip", [(name, b"1") for name in names])
    with pytest.raises(DataError) as caught:
        unpacked(path, into=tmp_path / "cache")
    assert repr(names[1]) in caught.value.detail


def test_an_archive_that_grows_without_end_is_stopped_by_counting(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "p.zip", [("a/big.jpg", b"\0" * 3_000_000)])
    monkeypatch.setattr(archives, "_limit", lambda *_: 1_000_000)
    with pytest.raises(DataError, match="unpacks to more than"):
        unpacked(path, into=tmp_path / "cache")
    assert nothing_left(tmp_path / "cache")


@pytest.mark.parametrize("name", ["p.zip", "p.tar.gz"])
def test_a_cut_archive_leaves_nothing(tmp_path, name):
    data = os.urandom(50_000)
    path = tmp_path / name
    if name.endswith("zip"):
        make_zip(path, [("a/1.jpg", data)], zipfile.ZIP_STORED)
    else:
        make_tar(path, [(tarfile.TarInfo("a/1.jpg"), data)])
    path.write_bytes(path.read_bytes()[:30_000])
    with pytest.raises(DataError, match="damaged"):
        unpacked(path, into=tmp_path / "cache")
    assert nothing_left(tmp_path / "cache")


def test_a_flipped_bit_is_found_by_the_checksum(tmp_path):
    path = make_zip(tmp_path / "p.zip", [("a/1.jpg", b"x" * 5000)], zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[2000] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        unpacked(path, into=tmp_path / "cache")


def test_an_archive_inside_stays_a_file(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", [("../x", b"")]).read_bytes()
    root = unpacked(make_zip(tmp_path / "p.zip", [("a/1.jpg", b"x"), ("b/inner.zip", inner)]), into=tmp_path / "cache")
    assert (root / "b" / "inner.zip").is_file()


def test_an_encrypted_archive_is_said_to_be_one(tmp_path):
    path = make_zip(tmp_path / "a.zip", [("ant/1.txt", b"one")])
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag for encryption, in the local header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="cannot be opened") as raised:
        unpacked(path, into=tmp_path / "out")
    assert "encrypted" in raised.value.detail
    assert nothing_left(tmp_path / "out")


@pytest.mark.parametrize(
    "make", [make_zip, lambda path, entries: make_tar(path, [(tarfile.TarInfo(n), d) for n, d in entries])]
)
def test_giving_up_half_way_leaves_nothing(tmp_path, make):
    path = make(tmp_path / ("a.zip" if make is make_zip else "a.tar.gz"), [(f"ant/{i}.txt", b"one") for i in range(9)])
    seen = []

    def listener(done, total):
        seen.append((done, total))
        return done < 5

    with reporting(listener), pytest.raises(CancelledError):
        unpacked(path, into=tmp_path / "out")
    assert seen[-1] == (5, 9)
    assert nothing_left(tmp_path / "out")


MEMBERS = [("ant/1.txt", b"one" * 50), ("bee/2.txt", b"two"), ("bee/deep/3.txt", b"")]


@given(
    changes=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6)), max_size=4),
    cut=st.one_of(st.none(), st.floats(0, 1)),
    kind=st.sampled_from(["zip", "tar", "tar.gz"]),
)
@settings(deadline=None, max_examples=150)
def test_any_bytes_unpack_inside_or_are_refused(changes, cut, kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / f"a.{kind}"
    if kind == "zip":
        make_zip(path, MEMBERS)
    else:
        with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as file:
            for name, data in MEMBERS:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                file.addfile(info, io.BytesIO(data))
    data = bytearray(path.read_bytes())
    for place, new in changes:
        at = int(place * len(data))
        data[at : at + len(new)] = new
    path.write_bytes(data if cut is None else data[: int(cut * len(data))])
    try:
        root = unpacked(path, into=folder / "out")
    except DataError:
        assert nothing_left(folder / "out")
    else:
        assert root.is_relative_to(folder / "out")
    assert {item.name for item in folder.iterdir()} <= {path.name, "out"}
