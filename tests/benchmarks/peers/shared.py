"""What the scripts of this folder have in common: their arguments, and the one network that all of them train."""

from __future__ import annotations

import argparse
from pathlib import Path

import timm
import torch
from torch import nn

HALF = (0.5, 0.5, 0.5)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def read_options(description: str) -> argparse.Namespace:
    """The arguments of every script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=Path, help="train and val folders of class folders")
    parser.add_argument("weights", help="a state dict under timm's names, or none")
    parser.add_argument("--network", choices=["tf_efficientnet_lite0", "resnet18"], default="tf_efficientnet_lite0")
    parser.add_argument("--learns", choices=["head", "last", "all"], default="head", help="last: the last stage and the head")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bf16", action="store_true", help="mixed precision, where the tool offers it")
    return parser.parse_args()


def mean_and_std(options: argparse.Namespace) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What the weights were trained with."""
    return IMAGENET if options.network == "resnet18" else (HALF, HALF)


def build_network(options: argparse.Namespace, classes: int) -> nn.Module:
    """The network with its weights and a new head; what shall not learn has ``requires_grad`` off."""
    model = timm.create_model(options.network, num_classes=1000)
    if options.weights != "none":
        model.load_state_dict(torch.load(options.weights, weights_only=True))
    for parameter in model.parameters():
        parameter.requires_grad = options.learns == "all"
    if options.learns == "last":
        last = [model.layer4] if options.network == "resnet18" else [model.blocks[-1], model.conv_head, model.bn2]
        for stage in last:
            stage.requires_grad_(True)
    model.reset_classifier(classes)
    return model


def report(epoch: int, accuracy: float, seconds: float) -> None:
    """The line that `measure.py` reads; ``accuracy`` is a fraction of the validation images."""
    print(f"epoch {epoch} accuracy {accuracy:.4f} seconds {seconds:.3f}", flush=True)
