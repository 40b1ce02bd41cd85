"""Puts the shipped plugins on the path as the program does in a checkout, and makes small folders of images."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
PLUGIN_FOLDERS = sorted(str(folder.parent) for folder in (ROOT / "plugins").glob("*/pyproject.toml"))
sys.path[:0] = [folder for folder in PLUGIN_FOLDERS if folder not in sys.path]

_LISTING = """
import json, sys, time
from tlstudio.api import *  # all of it, as in the program, where the registry has imported it before any plugin
start = time.process_time()
module = __import__(sys.argv[1])
records = [record for name in dir(module) if name.startswith("register_") for record in getattr(module, name)()]
seconds = time.process_time() - start
print(json.dumps({"seconds": seconds, "names": [record.name for record in records], "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="session")
def photo():
    """The bytes of a small JPEG."""
    stream = io.BytesIO()
    Image.effect_noise((24, 16), 60).convert("RGB").save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def make_files(tmp_path, photo):
    """Make files below a folder: images, or the bytes that are given for a name."""

    def make(*names, root=None, **contents):
        root = root or tmp_path / "data"
        root.mkdir(parents=True, exist_ok=True)
        for name in names:
            file = os.path.join(os.fsencode(root), os.fsencode(name))
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "wb") as stream:
                stream.write(photo)
        for name, data in contents.items():
            (root / name).write_bytes(data)
        return root

    return make


@pytest.fixture(scope="session")
def list_plugin():
    """Import a plugin in a fresh interpreter and call its hooks; tells the names, the modules and the CPU seconds it took."""

    def listing(module):
        path = os.pathsep.join([str(ROOT), *PLUGIN_FOLDERS])
        command = [sys.executable, "-W", "error", "-c", _LISTING, module]
        environment = {**os.environ, "PYTHONPATH": path}
        runs = [
            json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)
            for _ in range(2)  # the first may have to compile the plugin
        ]
        heavy = {"torch", "torchvision", "timm", "PySide6", "sklearn", "pandas"} & set(runs[0]["modules"])
        assert not heavy
        return {**runs[0], "seconds": min(run["seconds"] for run in runs)}

    return listing


@pytest.fixture(scope="session")
def hymenoptera():
    """The photographs of ants and bees that lie beside the checkout during development."""
    folder = ROOT.parent / "shared" / "data" / "hymenoptera"
    if not folder.is_dir():
        pytest.skip("the photographs of ants and bees are not here")
    return folder
