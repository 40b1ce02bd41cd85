"""The terminal answers fast, because it imports what a command needs and no more."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_TRAINING = """
import sys
from tlstudio.cli.app import main
status = main(sys.argv[1:])
heavy = ("timm", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "PySide6", "rich")
print("FOUND", status, [name for name in heavy if name in sys.modules], file=sys.stderr)
"""

_LISTING = """
import sys
from tlstudio.cli.app import main
try:
    main(sys.argv[1:])
finally:
    found = sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "torchvision", "timm", "PySide6", "pyqtgraph"})
    print("FOUND", found, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["plugins", "list"],
        ["backbones", "resnet"],
        ["weights", "list"],
        ["runs", "list"],
        ["doctor"],
        ["train", "--help"],
    ],
)
def test_neither_torch_nor_qt_is_imported(arguments):
    done = subprocess.run([sys.executable, "-c", _LISTING, *arguments], capture_output=True, text=True, check=False)
    assert "FOUND []" in done.stderr, done.stderr
    assert done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="measures with getrusage")
def test_help_answers_in_half_a_second():
    """Processor time, so that what else the machine is doing does not count; nothing in it waits."""
    import resource

    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-m", "tlstudio", "--help"], capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert "evaluate" in done.stdout
    assert min(seconds) < 0.5


def test_help_does_not_even_import_the_api():
    code = (
        "import sys, tlstudio.cli.tree; sys.exit(any(n in sys.modules for n in ('pydantic', 'numpy', 'rich', 'tlstudio.api')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("words", [[], ["window"], ["--workspace=/tmp/x"]])
def test_on_the_way_to_the_window_no_command_is_imported(words):
    code = (
        "import sys, types; sys.modules['tlstudio.gui.app'] = types.SimpleNamespace(run_window=lambda **options: 0); "
        "from tlstudio.cli.app import main; status = main(sys.argv[1:]); "
        "sys.exit(status or any(n in sys.modules for n in ('typer', 'tlstudio.cli.tree', 'numpy')))"
    )
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    assert subprocess.run([sys.executable, "-c", code, *words], check=False, env=environment).returncode == 0


@pytest.mark.parametrize("strategy", ["head-only", "full"])
def test_training_the_bundled_backbone_imports_torch_and_no_more(photos, tmp_path, strategy):
    """Each of the others would take as long to import as torch does."""
    command = [sys.executable, "-c", _TRAINING, "train", str(photos), "run.epochs=1", f"freezing.strategy=freezing/{strategy}"]
    done = subprocess.run([*command, "--json", "--workspace", str(tmp_path)], capture_output=True, text=True, check=False)
    assert "FOUND 0 []" in done.stderr, done.stderr
