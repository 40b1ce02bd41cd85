"""What every test gets: a tlstudio home of its own, no window system needed, and the places of real data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(ROOT / ".venv" / "hypothesis"))

import numpy as np  # noqa: E402 - hypothesis reads its folder when it is imported
import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from PIL import Image  # noqa: E402

SHARED_DATA = ROOT.parent / "shared" / "data"

settings.register_profile(
    "tlstudio", deadline=None, database=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("tlstudio")


def pytest_addoption(parser):
    parser.addoption("--kills", type=int, default=10, help="how often tests/robust/test_kill.py kills a run")


@pytest.fixture(autouse=True)
def tlstudio_home(tmp_path_factory, monkeypatch):
    """No test touches the user's own folders."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("TLSTUDIO_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def hymenoptera():
    """The folder of ants and bees; a test that needs it is skipped where it is missing."""
    folder = SHARED_DATA / "hymenoptera"
    if not folder.is_dir():
        pytest.skip("the ants and bees are not on this machine")
    return folder


@pytest.fixture(scope="session")
def catalog():
    """All shipped plugins, loaded the way the program loads them."""
    from tlstudio.registry import load_catalog

    loaded = load_catalog()
    assert all(plugin.status == "loaded" for plugin in loaded.plugins), loaded.plugins
    return loaded


@pytest.fixture
def photos(tmp_path):
    """A folder of two easily told classes, 24 images of 64 x 48 pixels each: reddish circles and bluish stripes."""
    return make_photos(tmp_path / "photos", {"circles": 24, "stripes": 24})


def make_photos(folder: Path, counts: dict[str, int], *, size: tuple[int, int] = (64, 48), seed: int = 0) -> Path:
    """Write noisy but separable images: the class decides colour and pattern."""
    rng = np.random.default_rng(seed)
    width, height = size
    y, x = np.mgrid[:height, :width]
    for number, (name, count) in enumerate(counts.items()):
        (folder / name).mkdir(parents=True, exist_ok=True)
        colour = np.roll([210, 90, 60], number)
        for i in range(count):
            circle = (x - width * rng.uniform(0.3, 0.7)) ** 2 + (y - height * rng.uniform(0.3, 0.7)) ** 2 < (height / 4) ** 2
            stripes = (x + int(rng.integers(8))) % 8 < 4
            mask = (circle if number % 2 == 0 else stripes)[..., None]
            pixels = np.where(mask, colour, 128) + rng.normal(0, 12, (height, width, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / name / f"{i:03}.png")
    return folder


sys.path.insert(0, str(ROOT / "tests"))
