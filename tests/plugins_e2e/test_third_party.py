"""Plugins that do not ship: dropped into the plugin folder, or installed with pip. Each program runs in its own process."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "resources" / "plugin-template"
ADDED = {"example/tiny-cnn", "example/shapes", "example/thaw-after"}
TRAIN = (
    "train", "example/shapes", "model.backbone=example/tiny-cnn", "freezing.strategy=example/thaw-after",
    "freezing.options.head_epochs=1", "data.options.count=30", "data.image_size=32", "run.epochs=2", "--json",
)  # fmt: skip


def run(*arguments, python=sys.executable, **environment):
    """A command line of tlstudio in a process of its own, in the checkout."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(
        [str(python), "-m", "tlstudio", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
        check=False,
    )


def plugins(**options):
    """The rows of ``tlstudio plugins list`` by name; the shipped ones are there in any case."""
    done = run("plugins", "list", "--json", **options)
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert all(rows[name]["status"] == "loaded" for name in ("datasets", "freezing", "timm", "torchvision")), rows
    return rows


def assert_trains(**options):
    done = run(*TRAIN, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "RunFinished"
    plans = [[stage["factor"] for stage in event["stages"][:3]] for event in events if event["event"] == "EpochStarted"]
    assert plans == [[0.0, 0.0, 0.0], [0.1, 0.1, 0.1]]


def drop_in(home: Path) -> None:
    shutil.copytree(TEMPLATE, home / "plugins" / "tlstudio-example", ignore=shutil.ignore_patterns("__pycache__"))


@pytest.fixture(scope="module")
def clean_python(tmp_path_factory):
    """A new environment without pip, which sees the running one's packages but has none of its own."""
    folder = tmp_path_factory.mktemp("clean") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
    seen = [sysconfig.get_path("purelib"), *site.getsitepackages(), str(ROOT)]
    (packages / "outer.pth").write_text("\n".join(dict.fromkeys(seen)) + "\n", encoding="utf-8")
    return python, packages


@pytest.fixture(scope="module")
def installed(clean_python, tmp_path_factory):
    """That environment with the template installed by pip, as a distribution of a third party."""
    python, packages = clean_python
    source = tmp_path_factory.mktemp("source") / "template"
    shutil.copytree(TEMPLATE, source, ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "--target", str(packages), str(source)], capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("this environment has no pip")
    assert done.returncode == 0, done.stderr
    return python


def test_the_template_passes_the_kit_for_authors(tmp_path):
    drop_in(tmp_path)
    code = """
from tlstudio.testing import check_backbone, check_dataset, check_strategy
import tlstudio_example as plugin
check_backbone(*plugin.register_backbones())
check_dataset(*plugin.register_datasets())
check_strategy(*plugin.register_freezing_strategies())
"""
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'plugins' / 'tlstudio-example'}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_a_drop_in_folder_adds_one_of_each(tlstudio_home):
    drop_in(tlstudio_home)
    row = plugins()["example"]
    assert (row["origin"], row["status"], set(row["provides"])) == ("user folder", "loaded", ADDED)
    assert_trains()


def test_an_installed_distribution_adds_one_of_each(installed):
    row = plugins(python=installed)["example"]
    assert (row["origin"], row["status"], set(row["provides"])) == ("installed", "loaded", ADDED)
    assert (row["location"], row["version"]) == ("tlstudio-example", "0.1.0")
    assert_trains(python=installed)
    assert plugins()  # the environment that this one looks into is as it was
    assert "example" not in plugins()


def test_installed_wins_over_the_folder_and_the_loser_is_listed(installed, tlstudio_home):
    drop_in(tlstudio_home)
    done = run("plugins", "list", "--json", python=installed)
    rows = [row for row in json.loads(done.stdout) if row["name"] == "example"]
    assert [(row["origin"], row["status"]) for row in rows] == [("installed", "loaded"), ("user folder", "shadowed")]


def test_it_can_be_left_out(tlstudio_home):
    drop_in(tlstudio_home)
    done = run(*TRAIN, "--no-plugins=example")
    assert done.returncode == 2
    for field in ("data.path", "model.backbone", "freezing.strategy"):
        assert field in json.loads(done.stdout)["detail"]
    done = run("--no-plugins", "plugins", "list", "--json")
    states = {row["name"]: row["status"] for row in json.loads(done.stdout)}
    assert states["example"] == "off"
    assert states["timm"] == "loaded"


HOOK = "from tlstudio.api import BackboneSpec, hookimpl\n\n\n@hookimpl\ndef register_backbones():\n    "
SPEC = "BackboneSpec(name='x', title='X', about='', family='', params=1, build=None)"
BROKEN = {
    "import-error": ("import a_module_that_is_not_there", "a_module_that_is_not_there"),
    "raises-at-import": ("raise RuntimeError('broken at import')", "broken at import"),
    "syntax-error": ("def (:", "SyntaxError"),
    "exits": ("import sys\nsys.exit(3)", "SystemExit"),
    "raises-in-hook": (HOOK + "raise RuntimeError('broken in hook')", "broken in hook"),
    "raises-while-listed": (HOOK + "yield " + SPEC + "\n    raise RuntimeError('broken half-way')", "broken half-way"),
    "exits-in-hook": (HOOK + "raise SystemExit('bye')", "bye"),
    "returns-none": (HOOK + "return None", "must return a list of BackboneSpec"),
    "returns-strings": (HOOK + "return ['resnet']", "one is a str"),
    "bad-name": (HOOK + "return [" + SPEC.replace("'x'", "'X y'") + "]", "not a valid name"),
    "twice": (HOOK + f"return [{SPEC}, {SPEC}]", "twice"),
    "too-new": ("TLSTUDIO_API = 99", "plugin API 99"),
    "unknown-hook": (HOOK.replace("backbones", "teapots") + "return []", "register_teapots"),
    "wrong-signature": (HOOK.replace("()", "(catalog)") + "return []", "catalog"),
}  # fmt: skip


def write_plugin(home: Path, name: str, code: str, *, folder: str = "", declaration: str = "") -> None:
    module = f"tlstudio_broken_{name.replace('-', '_')}"
    place = home / "plugins" / (folder or name)
    (place / module).mkdir(parents=True)
    (place / module / "__init__.py").write_text(code + "\n", encoding="utf-8")
    text = f'[project]\nname = "{name}"\nversion = "1"\n[project.entry-points."tlstudio.plugins"]\n{name} = "{module}"\n'
    (place / "pyproject.toml").write_text(declaration or text, encoding="utf-8")


def test_broken_plugins_are_listed_each_with_its_reason_and_stop_nothing(tlstudio_home, photos):
    for name, (code, _) in BROKEN.items():
        write_plugin(tlstudio_home, name, code)
    write_plugin(tlstudio_home, "garbled", "", declaration="[project\nname = ")
    drop_in(tlstudio_home)
    rows = plugins()
    for name, (_, reason) in {**BROKEN, "garbled": ("", "pyproject.toml")}.items():
        assert rows[name]["status"] == "failed", rows[name]
        assert reason in rows[name]["error"], rows[name]
        assert rows[name]["provides"] == []
    assert rows["example"]["status"] == "loaded"
    text = run("plugins", "list").stdout
    assert "broken in hook" in text
    assert run("data", "scan", photos).returncode == 0


def test_two_plugins_of_one_name(tlstudio_home):
    write_plugin(tlstudio_home, "same", HOOK + f"return [{SPEC}]", folder="a")
    write_plugin(tlstudio_home, "same", HOOK + f"return [{SPEC}]", folder="b")
    done = run("plugins", "list", "--json")
    rows = [row for row in json.loads(done.stdout) if row["name"] == "same"]
    assert [row["status"] for row in rows] == ["loaded", "shadowed"]
    assert rows[0]["location"] in rows[1]["error"]
