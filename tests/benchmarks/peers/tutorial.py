"""The plain loop of the field's tutorials, as its readers run it: frozen trunk or all of it, fp32, two workers, SGD.

    python tests/benchmarks/peers/tutorial.py DATA WEIGHTS [--epochs 5] [--job probe|full]

DATA has train and val folders of class folders; WEIGHTS is a state dict of timm's tf_efficientnet_lite0. Prints the validation
accuracy and the seconds of each epoch.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import timm
import torch
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--job", choices=["probe", "full"], default="probe")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    half = [0.5, 0.5, 0.5]
    bicubic = transforms.InterpolationMode.BICUBIC
    views = {
        "train": [transforms.RandomResizedCrop(224, interpolation=bicubic), transforms.RandomHorizontalFlip()],
        "val": [transforms.Resize(256, interpolation=bicubic), transforms.CenterCrop(224)],
    }
    sets = {
        split: datasets.ImageFolder(
            options.data / split, transforms.Compose([*views[split], transforms.ToTensor(), transforms.Normalize(half, half)])
        )
        for split in views
    }
    loaders = {split: DataLoader(sets[split], batch_size=32, shuffle=split == "train", num_workers=2) for split in sets}
    model = timm.create_model("tf_efficientnet_lite0", num_classes=1000)
    model.load_state_dict(torch.load(options.weights, weights_only=True))
    if options.job == "probe":
        for parameter in model.parameters():
            parameter.requires_grad = False
    model.classifier = nn.Linear(model.num_features, len(sets["train"].classes))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.01 if options.job == "probe" else 0.005, momentum=0.9)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(options.epochs):
        began = time.perf_counter()
        model.train()
        for images, labels in loaders["train"]:
            optimizer.zero_grad()
            loss_of(model(images), labels).backward()
            optimizer.step()
        model.eval()
        right = 0
        with torch.no_grad():
            for images, labels in loaders["val"]:
                right += int((model(images).argmax(1) == labels).sum())
        print(f"epoch {epoch} accuracy {right / len(sets['val']):.4f} seconds {time.perf_counter() - began:.2f}", flush=True)


if __name__ == "__main__":
    main()
