"""What scripts rely on: commands, options that stand anywhere, JSON on the standard output, exit codes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

import tlstudio
from tlstudio.api.events import EpochDone, EpochStarted, Note, Prepared, Progress, RunFailed, RunFinished, RunStarted, StepDone
from tlstudio.cli import progress, screen, signals
from tlstudio.cli.app import main
from tlstudio.cli.session import MissingValue, split_arguments
from tlstudio.engine.control import Control
from tlstudio.registry import load_catalog


def fake_events(run="abcd1234", **finish):
    """The events of a short run."""
    yield RunStarted(run=run, folder="/runs/x", config={}, epochs=2)
    yield Progress(run=run, task="Reading images", done=0, total=10)
    yield Progress(run=run, task="Reading images", done=10, total=10)
    yield Prepared(run=run, classes=("a", "b"), images={"train": 8, "val": 2}, stages=(), device="CPU", weights="x",
                   steps_per_epoch=1)  # fmt: skip
    yield Note(run=run, level="warning", text="Beware [of] brackets.")
    for epoch in range(2):
        yield EpochStarted(run=run, epoch=epoch, stages=())
        yield StepDone(run=run, epoch=epoch, step=epoch + 1, steps=2, loss=0.5, lr=0.1, images_per_s=123.0)
        yield EpochDone(run=run, epoch=epoch, step=epoch + 1, train={"loss": 0.5, "accuracy": 0.7},
                        val={"loss": 0.4, "accuracy": 0.8}, seconds=1.0, best=epoch == 1)  # fmt: skip
    details = {"outcome": "completed", "model": "/runs/x/model.safetensors", **finish}
    yield RunFinished(run=run, metrics={"val_accuracy": 0.8}, best_epoch=1, epochs=2, seconds=2.0, **details)


@pytest.fixture
def fake_run(monkeypatch):
    """Replaces the engine; collects the configurations that it was asked for."""
    import tlstudio.engine.run as engine

    asked = []

    def start_run(config, catalog, workspace, control):
        asked.append(config)
        return fake_events()

    monkeypatch.setattr(engine, "start_run", start_run)
    return asked


def test_version_and_help(cli):
    assert cli("--version").out.strip() == f"tlstudio {tlstudio.__version__}"
    text = cli("--help").out
    for word in ("train", "find-rate", "demo", "evaluate", "predict", "export", "runs", "plugins", "weights", "data", "doctor",
                 "--workspace", "--no-plugins"):  # fmt: skip
        assert word in text
    assert cli("no-such-command").code == 2


@pytest.mark.parametrize(
    ("arguments", "rest", "workspace", "off", "all_off"),
    [
        (["runs", "list"], ["runs", "list"], None, (), False),
        (["--workspace", "w", "runs", "list"], ["runs", "list"], "w", (), False),
        (["runs", "list", "--workspace=w"], ["runs", "list"], "w", (), False),
        (["--no-plugins", "train", "x"], ["train", "x"], None, (), True),
        (["train", "--no-plugins=a", "x", "--no-plugins=b"], ["train", "x"], None, ("a", "b"), False),
        (["predict", "r", "--", "--workspace"], ["predict", "r", "--", "--workspace"], None, (), False),
    ],
)
def test_some_options_stand_anywhere(arguments, rest, workspace, off, all_off):
    words, session = split_arguments(arguments)
    assert (words, session.workspace_option) == (rest, workspace)
    assert (session.plugins_off, session.all_plugins_off) == (off, all_off)


def test_workspace_without_a_folder_is_a_usage_error(cli):
    with pytest.raises(MissingValue):
        split_arguments(["runs", "list", "--workspace"])


def test_train_takes_dotted_settings(cli, fake_run, photos):
    result = cli("train", photos, "run.epochs=3", "optim.learning_rate=1e-4", "model.backbone=torchvision/resnet18")
    assert result.code == 0
    [config] = fake_run
    assert config.data.path == str(photos)
    assert (config.run.epochs, config.optim.learning_rate) == (3, 1e-4)
    assert "Validation accuracy 80.0 %" in result.out
    assert "Beware [of] brackets." in result.out
    assert "tlstudio evaluate abcd1234" in result.out


def test_train_repeats_a_configuration(cli, fake_run, photos, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"data": {"path": str(photos)}, "run": {"epochs": 7, "seed": 5}}))
    assert cli("train", file, "run.epochs=2").code == 0
    assert (fake_run[0].run.epochs, fake_run[0].run.seed, fake_run[0].data.path) == (2, 5, str(photos))


def test_train_takes_a_data_set_that_needs_no_path(cli, fake_run):
    assert cli("train", "datasets/digits").code == 0
    assert cli("train", "data.dataset=digits", "run.epochs=1").code == 0
    assert [config.data.dataset for config in fake_run] == ["datasets/digits", "digits"]


def test_demo_trains_on_the_sample_where_there_is_no_screen(cli, fake_run, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    result = cli("demo")
    assert result.code == 0
    assert fake_run[0].data.dataset == "datasets/digits"
    assert "The model lies in /runs/x" in result.out


def test_train_json_prints_events_and_nothing_else(cli, fake_run, photos):
    result = cli("train", photos, "--json")
    names = [event["event"] for event in result.events]
    assert names[0] == "RunStarted"
    assert names[-1] == "RunFinished"
    assert result.events[-1]["metrics"] == {"val_accuracy": 0.8}


def test_a_failed_run_ends_with_its_exit_code(cli, monkeypatch, photos):
    import tlstudio.engine.run as engine

    failed = RunFailed(error="The loss is not finite.", hint="Use a smaller learning rate.", exit_code=5)
    monkeypatch.setattr(engine, "start_run", lambda *_, **__: iter([failed]))
    result = cli("train", photos)
    assert result.code == 5
    assert result.err == "The loss is not finite.\nUse a smaller learning rate.\n"
    result = cli("train", photos, "--json")
    assert (result.code, result.events[-1]["event"]) == (5, "RunFailed")


def test_what_plugins_print_does_not_reach_the_json(cli, monkeypatch):
    import tlstudio.registry as registry

    load = registry.load_catalog
    monkeypatch.setattr(registry, "load_catalog", lambda **options: print("noise") or load(**options))
    result = cli("plugins", "list", "--json")
    assert {plugin["name"] for plugin in result.json} >= {"datasets", "freezing", "timm", "torchvision"}
    assert "noise" in result.err


def test_the_list_of_plugins_is_short_unless_all_is_wanted(cli):
    short, whole = cli("plugins", "list").out, cli("plugins", "list", "--all").out
    assert "--all" in short
    assert len(short) < 8000
    assert "timm/vit_tiny_patch16_224" in whole
    name, reason = next(iter(load_catalog().refused.items()))
    assert f"{name}: {reason}" in " ".join(whole.split())


def test_the_list_of_plugins_shows_how_an_observer_failed_in_the_last_run(cli, tlstudio_home):
    place = tlstudio_home / "plugins" / "deaf"
    place.mkdir(parents=True)
    (place / "pyproject.toml").write_text(
        '[project]\nname = "deaf"\nversion = "1"\n[project.entry-points."tlstudio.plugins"]\ndeaf = "plugin_that_is_deaf"\n'
    )
    (place / "plugin_that_is_deaf.py").write_text(
        "from tlstudio.api import ObserverSpec, hookimpl\n\n\nclass Deaf:\n    def on_event(self, event):\n"
        "        raise LookupError('no ears')\n\n    def close(self):\n        pass\n\n\n@hookimpl\ndef register_observers():\n"
        "    return [ObserverSpec(name='ears', title='Ears', about='', open=lambda folder: Deaf())]\n"
    )
    train = ("train", "datasets/digits", "model.backbone=torchvision/resnet18", "model.weights=none", "run.epochs=1",
             "freezing.strategy=freezing/head-only", "data.image_size=32", "--json")  # fmt: skip
    told = cli(*train)
    assert told.code == 0
    assert any("The observer Ears (deaf/ears) failed" in event.get("text", "") for event in told.events)
    text = cli("plugins", "list").out
    assert "1 observer of runs: ears" in text
    assert "LookupError: no ears" in text
    assert "Traceback" in text
    [row] = [row for row in cli("plugins", "list", "--json").json if row["name"] == "deaf"]
    assert (row["status"], row["faults"][0]["run"]) == ("loaded", told.events[0]["run"])


def test_no_plugins_leaves_one_out(cli):
    states = {plugin["name"]: plugin["status"] for plugin in cli("plugins", "list", "--json", "--no-plugins=timm").json}
    assert states["timm"] == "off"
    assert states["datasets"] == "loaded"


def test_data_scan(cli, photos):
    (photos / "circles" / "broken.png").write_bytes(b"not a picture")
    found = cli("data", "scan", photos, "--json").json
    assert found["unreadable"] == [{"key": "circles/broken.png", "reason": "not an image"}]
    assert {name: sum(splits.values()) for name, splits in found["classes"].items()} == {"circles": 24, "stripes": 24}
    text = cli("data", "scan", photos)
    assert text.code == 0
    assert "circles/broken.png: not an image" in text.out


def test_doctor(cli):
    result = cli("doctor", "--json")
    assert result.code == 0, result.out
    found = result.json
    assert found["problems"] == []
    assert found["libraries"]["torch"]
    assert all(weights["intact"] for weights in found["weights"])
    assert "All is well." in cli("doctor").out


def test_weights_list_says_where_weights_come_from(cli):
    rows = cli("weights", "list", "--json").json
    bundled = next(row for row in rows if row["backbone"] == "timm/tf_efficientnet_lite0")
    assert bundled["path"].endswith(".pth")
    assert all(row["source"] for row in rows)
    assert all(row["sha256"] for row in rows if not row["backbone"].startswith("timm/") or row is bundled)  # the hub has none


def test_the_window_needs_a_screen(cli, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    if not sys.platform.startswith("linux"):
        pytest.skip("elsewhere there always is one")
    assert not screen.has_screen()
    result = cli()
    assert result.code == 2
    assert "no screen" in result.err
    monkeypatch.setenv("DISPLAY", ":987")
    assert not screen.has_screen()
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert screen.has_screen()


def test_no_command_opens_the_window(cli, monkeypatch, tmp_path):
    import types

    calls = []
    fake = types.SimpleNamespace(run_window=lambda **options: calls.append(options) or 7)
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setitem(sys.modules, "tlstudio.gui.app", fake)
    assert cli("--no-plugins=x").code == 7
    assert cli("window", tmp_path).code == 7
    assert calls[0] == {"open_path": None, "demo": False, "workspace": tmp_path / "workspace", "plugins_off": ("x",),
                        "all_plugins_off": False}  # fmt: skip
    assert calls[1]["open_path"] == tmp_path
    assert main(["window"]) == 7
    assert calls[2]["workspace"] is None  # the window knows which one was chosen last


_INTERRUPTED = """
import sys, time
import tlstudio.engine.run as engine
from tlstudio.api.events import RunStarted, RunFinished
from tlstudio.cli.app import main

def start_run(config, catalog, workspace, control):
    yield RunStarted(run="r", folder="/x", config={}, epochs=1)
    while control.wish == "go" or %(deaf)r:
        time.sleep(0.01)
    yield RunFinished(run="r", outcome="stopped", metrics={}, best_epoch=0, epochs=1, seconds=0.0, model="/x/model.safetensors")

engine.start_run = start_run
sys.exit(main(["train", "datasets/digits", "--json"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("deaf", [False, True])
def test_the_first_signal_stops_and_keeps_the_second_quits(name, code, deaf):
    number = getattr(signal, name)
    if signal.getsignal(number) is signal.SIG_IGN and name == "SIGHUP":
        pytest.skip("these tests outlive their terminal")
    script = textwrap.dedent(_INTERRUPTED) % {"deaf": deaf}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline())["event"] == "RunStarted"
        process.send_signal(number)
        if deaf:
            while "Once more" not in process.stderr.readline():
                pass
            process.send_signal(number)
            assert process.stdout.read() == ""
        else:
            assert json.loads(process.stdout.readline())["outcome"] == "stopped"
        assert process.wait(20) == code


@pytest.mark.skipif(os.name == "nt", reason="pipes of a POSIX shell")
def test_a_closed_pipe_ends_quietly():
    with subprocess.Popen(
        [sys.executable, "-m", "tlstudio", "weights", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) in {1, 141}


def test_who_stops_a_run_need_not_be_there_to_read_that(monkeypatch):
    """Ctrl+C in ``train … 2>&1 | tee log`` ends tee as well."""

    def nobody(*_):
        raise BrokenPipeError

    control = Control()
    monkeypatch.setattr(signals.os, "write", nobody)
    with signals.caught(control.stop, "Stopping.") as came:
        signal.raise_signal(signal.SIGINT)
    assert came == [signal.SIGINT]
    assert control.wish == "stop"


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_run_under_nohup_outlives_its_terminal():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.caught(pytest.fail, "no") as came:
            signal.raise_signal(signal.SIGHUP)
        assert came == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_goes_on_when_nothing_can_be_printed_any_more(monkeypatch):
    class Full(progress.PlainLines):
        def show(self, event):
            raise OSError(errno.ENOSPC, "the log's disk is full")

        def close(self):
            self.show(None)

    monkeypatch.setattr(progress, "choose", lambda **_: Full())
    events = [Note(text="one"), Note(text="two")]
    assert progress.follow(iter(events), as_json=False) == (events[1], False)
