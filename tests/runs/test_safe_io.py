"""A file is the old one or the new one, never something between."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from tlstudio import safe_io
from tlstudio.api import ExitCode


def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path):
    target = tmp_path / "x.json"
    safe_io.write_text(target, "old")

    def fail(file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        safe_io.atomic_write(target, fail)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes")
def test_a_new_file_has_ordinary_permissions_and_an_old_one_keeps_its_own(tmp_path):
    safe_io.write_text(tmp_path / "new", "x")
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o666 & ~mask
    (tmp_path / "new").chmod(0o640)
    safe_io.write_text(tmp_path / "new", "y")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def interrupted():
        with safe_io.atomic_folder(tmp_path / "run") as temporary:
            safe_io.write_text(temporary / "a", "1")
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    with safe_io.atomic_folder(tmp_path / "run") as temporary:
        safe_io.write_text(temporary / "a", "1")
        assert not (tmp_path / "run").exists()
    assert (tmp_path / "run" / "a").read_text() == "1"


def test_appending_after_a_crash_starts_on_a_new_line(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(b'{"whole": 1}\n{"torn')
    with safe_io.open_append(tmp_path / "events.jsonl") as file:
        file.write(b'{"next": 2}\n')
    assert (tmp_path / "events.jsonl").read_bytes() == b'{"whole": 1}\n{"torn\n{"next": 2}\n'


def test_a_full_disk_is_told_as_such(tmp_path):
    error = safe_io.as_user_error(OSError(errno.ENOSPC, "No space left on device"), tmp_path)
    assert error is not None
    assert error.exit_code == ExitCode.DISK_FULL
    assert safe_io.as_user_error(RuntimeError("something else"), tmp_path) is None


def test_nothing_else_in_the_program_writes_files():
    """The one writer: a search for other ways to write. The log of crashes is opened before there is time to import it."""
    pattern = re.compile(
        r"""\.write_text\(|\.write_bytes\(|torch\.save\((?!model)|save_file\("""
        r"""|(?<!crash\.log"\)\.)open\([^)]*["'](?:[wax]\+?[bt]?\+?|[bt][wax]\+?|rb?\+b?)["']"""
    )
    root = Path(safe_io.__file__).parent
    allowed = {"safe_io.py", "bootstrap.py"}
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()}"
        for path in root.rglob("*.py")
        if path.name not in allowed
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line) and "safe_io" not in line
    ]
    assert found == []
