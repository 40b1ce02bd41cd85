"""How long tables of a million images take to open: `python tests/benchmarks/label_files.py [--rows 1000000]`.

Writes a CSV and a JSON-lines table over 1,000 folders, in which one row in a hundred has its file, and opens each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from tlstudio.api.config import DataConfig
from tlstudio.registry import load_catalog


def main() -> int:
    """Make, open, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    catalog = load_catalog()
    names = [f"{i // 1000:04}/{i % 1000:03}.jpg" for i in range(rows)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(-(-rows // 1000)):
            (root / f"{number:04}").mkdir()
        for name in names[::100]:
            (root / name).touch()
        table = root / "labels.csv"
        table.write_text("path,label\n" + "".join(f"{name},c{i // 7 % 10}\n" for i, name in enumerate(names)))
        lines = root / "metadata.jsonl"
        lines.write_text("".join(json.dumps({"file_name": n, "label": f"c{i // 7 % 10}"}) + "\n" for i, n in enumerate(names)))
        for path in (table, lines):
            began, cpu = time.perf_counter(), time.process_time()
            images = catalog.open_images(DataConfig(path=str(path)))
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
            print(f"{path.name}: {rows:,} rows, {len(images):,} images, {wall:.1f} s ({cpu:.1f} s of processor time)")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
