"""A linear probe from cold, the whole process, next to the tutorials' loop: `python tests/benchmarks/linear_probe.py [DATA]`.

Both train a new head on the bundled EfficientNet-Lite0 for 5 epochs of ants and bees (or DATA with train and val folders), each
in a process of its own with nothing cached, turn by turn. Prints wall times, their ratio, accuracies and the epochs after the
first one.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT.parent / "shared" / "data" / "hymenoptera"


def write_weights(path: Path) -> None:
    """The bundled weights under timm's names, as a plain state dict; in a process of its own, so that this one stays light."""
    code = (
        "import sys, torch; from tlstudio.registry import load_catalog; "
        "spec = load_catalog().backbones['timm/tf_efficientnet_lite0'].weights[0]; "
        "state = torch.load(spec.locate(), weights_only=True); torch.save(spec.adapt(state), sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, cwd=ROOT)


def tutorial(data: Path, weights: Path, epochs: int) -> tuple[float, float, list[float]]:
    """Seconds of the process, last accuracy, seconds of each epoch."""
    script = Path(__file__).parent / "peers" / "tutorial.py"
    began = time.perf_counter()
    command = [sys.executable, str(script), str(data), str(weights), "--epochs", str(epochs)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    wall = time.perf_counter() - began
    found = re.findall(r"accuracy ([\d.]+) seconds ([\d.]+)", printed)
    return wall, float(found[-1][0]), [float(seconds) for _, seconds in found]


def studio(data: Path, epochs: int) -> tuple[float, float, list[float]]:
    """The same of tlstudio, in a home and a workspace of its own."""
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        command = [sys.executable, "-m", "tlstudio", "train", str(data), f"run.epochs={epochs}", "--json"]
        environment = {"TLSTUDIO_HOME": home, "PATH": "/usr/bin:/bin", "HOME": home}
        printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment).stdout
        wall = time.perf_counter() - began
    events = [json.loads(line) for line in printed.splitlines()]
    done = [event for event in events if event["event"] == "EpochDone"]
    return wall, events[-1]["metrics"]["val_accuracy"], [event["seconds"] for event in done]


def main() -> int:
    """Turn by turn, then medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", default=PHOTOS)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    rows: dict[str, list[tuple[float, float, list[float]]]] = {"tutorial": [], "tlstudio": []}
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "lite0.pth"
        write_weights(weights)
        for _ in range(options.rounds):
            rows["tutorial"].append(tutorial(options.data, weights, options.epochs))
            rows["tlstudio"].append(studio(options.data, options.epochs))
    walls = {}
    for name, found in rows.items():
        walls[name] = statistics.median(wall for wall, _, _ in found)
        later = statistics.median(seconds for _, _, epochs in found for seconds in epochs[1:])
        accuracies = ", ".join(f"{accuracy:.4f}" for _, accuracy, _ in found)
        print(f"{name}: {walls[name]:.1f} s, an epoch after the first {1000 * later:.0f} ms, accuracy {accuracies}")
    print(f"ratio: {walls['tutorial'] / walls['tlstudio']:.1f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
