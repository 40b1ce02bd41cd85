"""The plain loop of the field's tutorials, as its readers run it: ImageFolder, two workers, float32, SGD.

    python tests/benchmarks/peers/tutorial.py DATA WEIGHTS [--network resnet18] [--learns head|last|all] [--epochs 5]

``--bf16`` is not for it: the tutorials do without.
"""

from __future__ import annotations

import time

import torch
from shared import build_network, mean_and_std, read_options, report
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms


def main() -> None:
    """Train and print."""
    options = read_options(__doc__.splitlines()[0])
    torch.manual_seed(options.seed)
    mode = transforms.InterpolationMode.BICUBIC
    views = {
        "train": [transforms.RandomResizedCrop(224, interpolation=mode), transforms.RandomHorizontalFlip()],
        "val": [transforms.Resize(256, interpolation=mode), transforms.CenterCrop(224)],
    }
    to_input = [transforms.ToTensor(), transforms.Normalize(*mean_and_std(options))]
    sets = {
        split: datasets.ImageFolder(options.data / split, transforms.Compose([*views[split], *to_input])) for split in views
    }
    loaders = {split: DataLoader(sets[split], batch_size=32, shuffle=split == "train", num_workers=2) for split in sets}
    model = build_network(options, len(sets["train"].classes))
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.01 if options.learns == "head" else 0.005, momentum=0.9)
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
        report(epoch, right / len(sets["val"]), time.perf_counter() - began)


if __name__ == "__main__":
    main()
