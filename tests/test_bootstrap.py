"""The set-up of a fresh checkout, as far as it can be checked without a network."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tlstudio import bootstrap

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path):
    """A folder with what the set-up looks at: a declaration and an environment."""
    (tmp_path / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "pyvenv.cfg").write_text("version = 3.11.2\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["tlstudio/__init__.py", "tlstudio/__main__.py", "tlstudio/bootstrap.py", "tests/__main__.py"])
def test_an_old_python_can_parse_it(name):
    ast.parse((ROOT / name).read_text(encoding="utf-8"), feature_version=(3, 8))


def test_it_needs_the_standard_library_only():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import tlstudio.bootstrap"
    subprocess.run([sys.executable, "-S", "-I", "-c", code, str(ROOT)], check=True)


def test_an_old_python_gets_one_line(monkeypatch, capsys):
    bootstrap.check_python((3, 11))
    bootstrap.check_python((4, 0))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: name if name == "python3.12" else None)
    with pytest.raises(bootstrap.SetupError, match=r"needs Python 3\.11 or newer, this is 3\.9: run it with python3\.12\."):
        bootstrap.check_python((3, 9))
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 1))
    assert bootstrap.start(["--help"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_the_stamp_says_when_nothing_is_to_do(checkout):
    venv = checkout / ".venv"
    assert not bootstrap.is_ready(venv, checkout, ())
    bootstrap.write_stamp(venv, checkout, ())
    assert bootstrap.is_ready(venv, checkout, ())
    assert not bootstrap.is_ready(venv, checkout, ("test",))
    bootstrap.write_stamp(venv, checkout, ("test",))
    assert bootstrap.is_ready(venv, checkout, ())
    assert bootstrap.is_ready(venv, checkout, ("test",))


@pytest.mark.parametrize(
    ("file", "text"), [("pyproject.toml", "[project]\nname='x'\n"), (".venv/pyvenv.cfg", "version = 3.12\n")]
)
def test_a_change_is_noticed(checkout, file, text):
    venv = checkout / ".venv"
    bootstrap.write_stamp(venv, checkout, ())
    (checkout / file).write_text(text, encoding="utf-8")
    assert not bootstrap.is_ready(venv, checkout, ())


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"fingerprint": 1}'])
def test_a_torn_stamp_counts_as_none(checkout, text):
    (checkout / ".venv" / bootstrap.STAMP).write_text(text, encoding="utf-8")
    assert not bootstrap.is_ready(checkout / ".venv", checkout, ())


def test_the_stamp_is_written_last(checkout, monkeypatch):
    """What breaks off in the middle is taken up again, with the same extras as before."""
    done = []
    python = checkout / ".venv" / "bin" / "python"
    python.parent.mkdir()
    python.touch()
    monkeypatch.setattr(bootstrap, "missing_system_packages", list)
    monkeypatch.setattr(bootstrap, "_make_environment", lambda venv, python: None)

    def break_off(venv, python, root, extras):
        raise bootstrap.SetupError("no network")

    monkeypatch.setattr(bootstrap, "_install", break_off)
    with pytest.raises(bootstrap.SetupError):
        bootstrap.set_up(("test",), checkout)
    assert not bootstrap.is_ready(checkout / ".venv", checkout, ())
    monkeypatch.setattr(bootstrap, "_install", lambda venv, python, root, extras: done.append(extras))
    bootstrap.set_up(("test",), checkout)
    bootstrap.set_up((), checkout)
    assert done == [("test",)]
    (checkout / "pyproject.toml").write_text("[project]\nname='x'\n", encoding="utf-8")
    bootstrap.set_up((), checkout)
    assert done == [("test",), ("test",)]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_missing_libraries_are_named_by_their_package():
    libraries = {"libc.so.6": "libc6", "libnone-such.so.1": "libnone-such1", "libnone-other.so.1": "libnone-such1"}
    assert bootstrap.missing_system_packages(libraries) == ["libnone-such1"]


def test_without_root_the_line_to_copy_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(bootstrap, "_apt_install", lambda *_: pytest.fail("must not install"))
    bootstrap.install_system_packages(["libegl1", "libgl1"])
    assert "  sudo apt-get install -y libegl1 libgl1\n" in capsys.readouterr().err
    bootstrap.install_system_packages([])
    assert capsys.readouterr().err == ""


def test_as_root_on_debian_they_are_installed(monkeypatch):
    asked = []
    monkeypatch.setattr(bootstrap.os, "geteuid", lambda: 0, raising=False)
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(bootstrap, "_apt_install", lambda apt, packages: asked.extend(packages) or True)
    bootstrap.install_system_packages(["libegl1"])
    assert asked[0] == "libegl1"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads ELF files")
def test_the_list_of_libraries_is_what_qt_asks_for():
    """Every outside library that Qt's window, drawing and X11 parts name is in the list (or in every system's C library)."""
    import importlib.util
    import re

    spec = importlib.util.find_spec("PySide6")
    qt = Path(spec.submodule_search_locations[0]) / "Qt"
    files = [qt / "lib" / f"libQt6{name}.so.6" for name in ("Core", "Gui", "Widgets", "DBus", "XcbQpa")]
    files += [qt / "plugins" / "platforms" / f"libq{name}.so" for name in ("xcb", "offscreen")]
    files += (qt / "plugins" / "xcbglintegrations").glob("*.so")
    named = set()
    for file in files:
        named |= set(re.findall(rb"\0(lib[A-Za-z0-9_.+-]+\.so\.[0-9]+)(?=\0)", file.read_bytes()))
    own = {path.name for path in (qt / "lib").iterdir()}
    always = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libgcc_s.so.1", "libstdc++.so.6"}
    asked = {name.decode() for name in named} - own - always
    loaded_late = {name for name in asked if not _is_needed(name, files)}
    assert asked - loaded_late <= set(bootstrap.QT_LIBRARIES)


def _is_needed(name, files):
    """Whether one of the files lists a library as needed, and does not just mention its name."""
    import shutil

    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf is not here")
    for file in files:
        text = subprocess.run([readelf, "-d", str(file)], capture_output=True, text=True, check=True).stdout
        if f"[{name}]" in text:
            return True
    return False


@pytest.mark.parametrize(
    ("torch", "vision", "fits"),
    [
        ("2.10.0", "0.25.0", True),
        ("2.14.1+cu130", "0.29.2", True),
        ("2.15.0", "0.29.2", False),
        ("", "0.29.2", False),
        ("2.10.0", "", False),
    ],
)
def test_torch_and_torchvision_belong_together(torch, vision, fits):
    assert bootstrap.belong_together(torch, vision) is fits


def test_the_second_command_stops_with_a_failing_step(tmp_path):
    """``python3 tests`` passes its arguments to pytest and ends as pytest does."""
    code = (
        "import sys, runpy; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from tlstudio import bootstrap;"
        "bootstrap.set_up = lambda extras: Path(sys.executable); root = sys.argv.pop(1); sys.argv[0] = root + '/tests';"
        "runpy.run_path(root + '/tests', run_name='__main__')"
    )
    test = tmp_path / "test_it.py"
    for body, status in (("assert True", 0), ("assert False", 1)):
        test.write_text(f"def test_it():\n    {body}\n", encoding="utf-8")
        arguments = [sys.executable, "-c", code, str(ROOT), "-p", "no:cacheprovider", str(test)]
        done = subprocess.run(arguments, capture_output=True, text=True, env=dict(os.environ), check=False)
        assert done.returncode == status, done.stdout + done.stderr
        assert ("FAILED" in done.stdout) == bool(status)
