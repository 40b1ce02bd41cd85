"""An example plugin: its hooks. Keep this module light: it is imported at every start, also just to list plugins."""

from tlstudio.api import BackboneSpec, DatasetSpec, FreezingSpec, hookimpl
from tlstudio_example.backbone import build_tiny_cnn
from tlstudio_example.dataset import ShapesOptions, open_shapes
from tlstudio_example.freezing import ThawOptions, thaw_after

TLSTUDIO_API = 1


@hookimpl
def register_backbones() -> list[BackboneSpec]:
    """One small network."""
    return [
        BackboneSpec(
            name="tiny-cnn",
            title="Tiny CNN",
            about="Three convolutions, without pretrained weights: quick to try things with.",
            family="Example",
            params=88_696,
            build=build_tiny_cnn,
        )
    ]


@hookimpl
def register_datasets() -> list[DatasetSpec]:
    """One data set that is drawn, not read."""
    return [
        DatasetSpec(
            name="shapes",
            title="Drawn shapes",
            about="Discs, squares and triangles in random places and colours.",
            options=ShapesOptions,
            open=open_shapes,
        )
    ]


@hookimpl
def register_freezing_strategies() -> list[FreezingSpec]:
    """One strategy."""
    return [
        FreezingSpec(
            name="thaw-after",
            title="Head first, then everything (two-phase fine-tuning)",
            about="Trains the head alone for some epochs, then the whole network gently.",
            plan=thaw_after,
            options=ThawOptions,
        )
    ]
