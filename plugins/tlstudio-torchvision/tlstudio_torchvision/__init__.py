"""Backbones of torchvision: all its classification networks, with every set of weights that it publishes for them.

Registering them imports neither torch nor torchvision; both wait until a network is built.
"""

from tlstudio.api import BackboneSpec, hookimpl
from tlstudio_torchvision.catalog import backbones

TLSTUDIO_API = 1


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """Every classification network, from AlexNet to MaxViT."""
    return backbones()
