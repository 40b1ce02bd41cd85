"""The help tells the truth: its table of settings, its commands and their settings, its links, the code on its pages."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from help.settings_table import settings_table, shown_table

from tlstudio.api import TrainConfig
from tlstudio.api.config import with_overrides
from tlstudio.cli.tree import app

ROOT = Path(__file__).resolve().parents[2]
HELP = ROOT / "resources" / "help"
PAGES = [*sorted(HELP.glob("*.md")), ROOT / "README.md"]


def commands(page: Path) -> list[list[str]]:
    """The ``tlstudio …`` command lines of a page, from its indented blocks and its inline code."""
    text = re.sub(r" \\\n\s+", " ", page.read_text(encoding="utf-8"))
    lines = [*re.findall(r"^    (?:python3 )?(tlstudio .+)$", text, re.M), *re.findall(r"`(tlstudio [^`]+)`", text)]
    return [shlex.split(line.partition(" | ")[0])[1:] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_exist(page):
    from typer.main import get_command

    groups = get_command(app).commands
    for words in commands(page):
        if not re.fullmatch(r"[a-z][a-z-]*", words[0]):  # an option, or COMMAND
            continue
        command = groups[words[0]]
        if hasattr(command, "commands"):
            command = command.commands[words[1]]
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word.strip("[]").partition("=")[0] for word in words if word.strip("[").startswith("--")} <= options | {
            "--workspace",
            "--no-plugins",
        }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_settings_are_valid(page):
    text = page.read_text(encoding="utf-8")
    settings = re.findall(r"\b((?:data|model|freezing|augment|optim|run)\.[a-z_.]+=[\w./-]+)", text)
    for setting in settings:
        with_overrides(TrainConfig(), [setting.rstrip(".")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_strip_is_shown_light_and_dark():
    shown = set(re.findall(r"\]\(images/(strip-[a-z-]+)\.png\)", "".join(page.read_text(encoding="utf-8") for page in PAGES)))
    there = {file.stem for file in (HELP / "images").glob("strip-*.png")}
    assert there == shown | {f"{name}-dark" for name in shown}


def test_the_table_of_settings_is_up_to_date():
    assert shown_table() == settings_table(), "run: PYTHONPATH=. python tests/help/settings_table.py"


def test_the_table_of_strategies_names_each_with_its_sources(catalog):
    page = (HELP / "strategies.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([a-z0-9-]+)` \|(.*)\|$", page, re.M))
    shipped = {name.partition("/")[2]: spec for name, spec in catalog.strategies.items() if name.startswith("freezing/")}
    assert list(rows) == list(shipped)
    for name, spec in shipped.items():
        papers = [re.search(r"^(\S+?),? .*?(\d{4}), ", paper.strip()) for paper in spec.source.split(";") if paper]
        assert all(f"{paper[1]}" in rows[name] and paper[2] in rows[name] for paper in papers), (name, spec.source)


def test_the_exit_codes_are_those_of_the_program():
    from tlstudio.api import ExitCode

    table = (HELP / "terminal.md").read_text(encoding="utf-8").partition("Exit codes:")[2].partition("##")[0]
    shown = {int(number) for row in re.findall(r"^\| ([\d, ]+) \|", table, re.M) for number in row.split(",")}
    assert shown == {int(code) for code in ExitCode} | {1}


def test_the_plugin_of_the_help_page_works(tlstudio_home):
    """Its files are written as they stand on the page; its own test passes; a run uses all that it adds."""
    page = (HELP / "plugins.md").read_text(encoding="utf-8")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", page, re.S)
    folder = tlstudio_home / "plugins" / "tlstudio-mini"
    for name, text in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    command = next(words for words in commands(HELP / "plugins.md") if words[0] == "train")
    # in a process of its own: a plugin folder stays on sys.path once it is loaded
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(test, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    run = [sys.executable, "-m", "tlstudio", *command, "--json"]
    done = subprocess.run(run, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"RunFinished"' in done.stdout.splitlines()[-1]
    [journal] = tlstudio_home.glob("workspace/runs/*/journal.txt")
    assert len(journal.read_text().splitlines()) == 3


def test_the_help_of_every_command_names_what_the_page_names():
    page = (HELP / "terminal.md").read_text(encoding="utf-8")
    from typer.main import get_command

    for name, command in get_command(app).commands.items():
        subs = getattr(command, "commands", {"": command})
        for sub in subs:
            if name != "window":
                assert f"tlstudio {name} {sub}".strip() in page
