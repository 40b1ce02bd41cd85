"""A script in the style of timm's train.py: its data sets, loaders with a prefetcher, optimiser factory and cosine schedule.

    python tests/benchmarks/peers/timm_style.py DATA WEIGHTS [--learns head|last|all] [--epochs 5] [--bf16]

timm's own train.py cannot freeze; here what is frozen does not ask for gradients, as people add it. ``--bf16`` is its
``--amp --amp-dtype bfloat16 --channels-last``. As there, the last incomplete batch of an epoch is left out.
"""

from __future__ import annotations

import contextlib
import time

import torch
from shared import build_network, mean_and_std, read_options, report
from timm.data import create_dataset, create_loader
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, accuracy, random_seed
from torch import nn


def main() -> None:
    """Train and print."""
    options = read_options(__doc__.splitlines()[0])
    random_seed(options.seed)
    device = torch.device("cpu")
    mean, std = mean_and_std(options)
    sets = {
        split: create_dataset("", root=str(options.data), split=split, is_training=split == "train", batch_size=32)
        for split in ("train", "val")
    }
    common = {"input_size": (3, 224, 224), "batch_size": 32, "interpolation": "bicubic", "mean": mean, "std": std,
              "num_workers": 2, "device": device}  # fmt: skip
    train = create_loader(sets["train"], is_training=True, hflip=0.5, **common)
    val = create_loader(sets["val"], is_training=False, crop_pct=0.875, **common)
    model = build_network(options, len(sets["train"].reader.class_to_idx)).to(device)
    layout = torch.channels_last if options.bf16 else torch.contiguous_format
    model = model.to(memory_format=layout)
    amp = torch.autocast("cpu", torch.bfloat16) if options.bf16 else contextlib.nullcontext()
    optimizer = create_optimizer_v2(model, opt="sgd", lr=0.01 if options.learns == "head" else 0.005, momentum=0.9)
    schedule, epochs = create_scheduler_v2(optimizer, sched="cosine", num_epochs=options.epochs, min_lr=0.0)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(epochs):
        began = time.perf_counter()
        model.train()
        for images, labels in train:
            with amp:
                loss = loss_of(model(images.contiguous(memory_format=layout)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        top1 = AverageMeter()
        with torch.no_grad(), amp:
            for images, labels in val:
                top1.update(accuracy(model(images.contiguous(memory_format=layout)), labels)[0].item(), len(labels))
        schedule.step(epoch + 1)
        report(epoch, top1.avg / 100, time.perf_counter() - began)


if __name__ == "__main__":
    main()
