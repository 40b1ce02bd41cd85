"""What every start does: all plugins are imported and every backbone is listed, in a fresh interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTING = """
import json, sys, time
from tlstudio.registry.backbones import list_backbones
from tlstudio.registry.manager import load_catalog
start = time.process_time()
listed = list_backbones(load_catalog().backbones)
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "count": len(listed), "modules": sorted(sys.modules)}))
"""


def test_listing_every_backbone_is_quick_and_without_torch(tmp_path):
    """The CPU time of the process, which other programs hardly change; the best of three, as the first may compile files."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TLSTUDIO_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", LISTING]
    runs = [
        json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert runs[0]["count"] > 1400
    heavy = {"torch", "torchvision", "timm", "PySide6", "sklearn", "pandas"}
    assert not [heavy.intersection(run["modules"]) for run in runs if heavy.intersection(run["modules"])]
    assert min(run["seconds"] for run in runs) < 0.3  # a fifth of it where the machine is not busy
