"""Writes ``tlstudio_torchvision/table.json`` from the installed torchvision: ``python make_table.py``.

The table holds facts only, so that the plugin can list its backbones without importing torchvision. A test compares it with
the installed torchvision, and says when this has to run again.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TABLE = HERE / "tlstudio_torchvision" / "table.json"


def table() -> dict[str, Any]:
    """Every classification network by name: its parameters, by input size where they depend on it, and its published files."""
    import torchvision

    rows: dict[str, Any] = {}
    for name in sorted(torchvision.models.list_models(module=torchvision.models)):
        found = torchvision.models.get_model_weights(name)
        best = found.DEFAULT
        files = [_file(weights) for weights in sorted(found, key=lambda weights: weights is not best)]
        params = {str(file["size"] if name.startswith("vit_") else 0): _params(name, file["set"]) for file in files}
        rows[name] = {"params": params, "files": files}
    return rows


def _params(name: str, version: str) -> int:
    """Parameters with the head for ImageNet; torchvision counts an auxiliary classifier in one case, which is left out here."""
    import torch
    import torchvision

    if name == "inception_v3":
        with torch.device("meta"):
            module = torchvision.models.inception_v3(weights=None, aux_logits=False, init_weights=False)
        return sum(parameter.numel() for parameter in module.parameters())
    count: int = torchvision.models.get_model_weights(name)[version].meta["num_params"]
    return count


def _file(weights: Any) -> dict[str, Any]:
    transform, meta = weights.transforms(), weights.meta
    accuracy = meta["_metrics"]["ImageNet-1K"]
    row: dict[str, Any] = {
        "set": weights.name,
        "url": weights.url,
        "size": transform.crop_size[0],
        "resize": transform.resize_size[0],
        "interpolation": transform.interpolation.value,
        "flops": round(meta["_ops"] * 1e9),
        "classes": len(meta["categories"] or ()),
    }
    if not math.isnan(accuracy["acc@1"]):
        row |= {"top1": accuracy["acc@1"], "top5": accuracy["acc@5"]}
    if (list(transform.mean), list(transform.std)) != ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]):
        row |= {"mean": list(transform.mean), "std": list(transform.std)}
    if "license" in meta:
        row["licence"] = meta["license"]
    return row


def text(rows: dict[str, Any]) -> str:
    """The table as JSON, one network a line."""
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items()) + "\n}\n"


if __name__ == "__main__":
    TABLE.write_text(text(table()), encoding="utf-8")
    sys.stdout.write(f"{TABLE}\n")
