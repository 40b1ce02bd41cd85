"""Backbones of timm: every classification network of its that can be divided into stages, with its published weights.

EfficientNet-Lite0, 1 and 2 are written anew in plain torch, with ImageNet weights that Python packages bring along: the package
of Lite0 is installed with the program, and building these needs no timm. Registering imports neither torch nor timm.
"""

from functools import partial

from tlstudio.api import BackboneSpec, Preprocessing, RefusedBackbone, WeightsSpec, hookimpl
from tlstudio_timm.catalog import backbones, refused
from tlstudio_timm.lite import adapt, build, locate, package

TLSTUDIO_API = 1

_ABOUT = {
    "lite0": "Small, quick and good on photographs; its weights come with the installation.",
    "lite1": "A little deeper than EfficientNet-Lite0, on larger images; its weights are a package of their own.",
    "lite2": "Deeper and wider than EfficientNet-Lite0, on larger images; its weights are a package of their own.",
}
_FLOPS = {"lite0": 385_187_552, "lite1": 600_185_232, "lite2": 859_736_272}
"""Multiply-adds, counted by look.py as for all of timm."""
_TOP1 = {"lite0": 0.751, "lite1": 0.767, "lite2": 0.776}
"""Google's figures for the checkpoints that the packages hold converted, in float32:
https://github.com/tensorflow/tpu/blob/master/models/official/efficientnet/lite/README.md. Of its own conversion, timm's
results-imagenet.csv has 74.83, 76.64 and 77.46 %."""
_PAPER = "Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks."
_LICENCE = "Apache-2.0"


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """EfficientNet-Lite0, 1 and 2, then what timm builds."""
    return [
        _spec("lite0", 4_652_008, 224, 256, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        _spec("lite1", 5_416_680, 240, 272, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        _spec("lite2", 6_092_072, 260, 292, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
        *backbones(),
    ]


@hookimpl
def register_refused_backbones() -> list[RefusedBackbone]:
    """What of timm is not offered, and why."""
    return refused()


def _spec(variant: str, params: int, image_size: int, resize: int, sha256: str) -> BackboneSpec:
    # Trained with values in -1..1, and resized bicubically: anything else costs accuracy.
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(image_size=image_size, resize=resize, interpolation="bicubic", mean=half, std=half)
    weights = WeightsSpec(
        name="imagenet1k",
        title="ImageNet-1k, 1.28 million photographs",
        source=f"Python package {package(variant)}",
        sha256=sha256,
        preprocessing=preprocessing,
        locate=partial(locate, variant, sha256),
        metrics={"ImageNet top-1": _TOP1[variant]},
        licence=_LICENCE,
        adapt=partial(adapt, variant),
    )
    return BackboneSpec(
        name=f"tf_efficientnet_{variant}",
        title=f"EfficientNet-{variant.capitalize()}",
        about=f"{_ABOUT[variant]} {_PAPER}",
        family="EfficientNet",
        params=params,
        build=partial(build, variant),
        weights=(weights,),
        licence=_LICENCE,
        preprocessing=preprocessing,
        flops=_FLOPS[variant],
    )
