"""Backbones of torchvision: AlexNet, VGG and ResNet, with the weights that torchvision publishes for them.

Registering them imports neither torch nor torchvision; both wait until a network is built.
"""

from tlstudio.api import BackboneSpec, hookimpl
from tlstudio_torchvision.catalog import backbones

TLSTUDIO_API = 1


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """AlexNet, VGG-11 to VGG-19 with and without batch norm, ResNet-18 to ResNet-152."""
    return backbones()
