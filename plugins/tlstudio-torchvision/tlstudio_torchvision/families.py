"""The families of torchvision's networks: what people call them, what they are good for, and how they are divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tlstudio_torchvision import adapt, networks


@dataclass(frozen=True, kw_only=True)
class Family:
    """Networks of one kind.

    Args:
        name: of the family.
        paper: author, year and title.
        about: one sentence on what they are good for.
        members: torchvision's name -> title.
        divide: into stages.
        arguments: for the constructor.
        adapt: of the files' names, by one of the functions of `tlstudio_torchvision.adapt`.
        fixed_size: whether a network takes images of one size only.
    """

    name: str
    paper: str
    about: str
    members: Mapping[str, str]
    divide: networks.Divide
    arguments: Mapping[str, object] = field(default_factory=dict)
    adapt: adapt.Adapt | None = None
    fixed_size: bool = False


FAMILIES = (
    Family(
        name="AlexNet",
        paper="Krizhevsky 2014, One weird trick for parallelizing convolutional neural networks.",
        about="Small convolutions, large dense layers; of historical interest, and quick.",
        members={"alexnet": "AlexNet"},
        divide=networks.alexnet,
    ),
    Family(
        name="VGG",
        paper="Simonyan and Zisserman 2014, Very deep convolutional networks for large-scale image recognition.",
        about="Plain and large; the usual choice for style and perceptual features. Batch norm makes it easier to train.",
        members={
            f"vgg{depth}{norm}": f"VGG-{depth}{' with batch norm' if norm else ''}"
            for depth in (11, 13, 16, 19)
            for norm in ("", "_bn")
        },
        divide=networks.vgg,
    ),
    Family(
        name="ResNet",
        paper="He et al. 2015, Deep residual learning for image recognition.",
        about="The field's standard: 18 and 34 layers are small and quick, 50 have strong features at a moderate cost.",
        members={f"resnet{depth}": f"ResNet-{depth}" for depth in (18, 34, 50, 101, 152)},
        divide=networks.resnet,
    ),
    Family(
        name="ResNeXt",
        paper="Xie et al. 2016, Aggregated residual transformations for deep neural networks.",
        about="A ResNet with grouped convolutions: a little more accurate at the same cost.",
        members={
            "resnext50_32x4d": "ResNeXt-50 32x4d", "resnext101_32x8d": "ResNeXt-101 32x8d",
            "resnext101_64x4d": "ResNeXt-101 64x4d",
        },
        divide=networks.resnet,
    ),
    Family(
        name="Wide ResNet",
        paper="Zagoruyko and Komodakis 2016, Wide residual networks.",
        about="A ResNet with twice as many channels inside its blocks: accurate, and heavy.",
        members={"wide_resnet50_2": "Wide ResNet-50-2", "wide_resnet101_2": "Wide ResNet-101-2"},
        divide=networks.resnet,
    ),
    Family(
        name="SqueezeNet",
        paper="Iandola et al. 2016, SqueezeNet: AlexNet-level accuracy with 50x fewer parameters.",
        about="As accurate as AlexNet in five megabytes; for the smallest machines.",
        members={"squeezenet1_0": "SqueezeNet 1.0", "squeezenet1_1": "SqueezeNet 1.1"},
        divide=networks.squeezenet,
    ),
    Family(
        name="DenseNet",
        paper="Huang et al. 2016, Densely connected convolutional networks.",
        about="Every layer sees all before it: few parameters, much memory; liked in medical imaging.",
        members={f"densenet{depth}": f"DenseNet-{depth}" for depth in (121, 161, 169, 201)},
        divide=networks.densenet,
        adapt=adapt.dense_layers,
    ),
    Family(
        name="Inception",
        paper="Szegedy et al. 2014, Going deeper with convolutions.",
        about="Parallel convolutions of several sizes; small and quick for its time.",
        members={"googlenet": "GoogLeNet"},
        divide=networks.googlenet,
        arguments={"aux_logits": False, "init_weights": False, "transform_input": True},
        adapt=adapt.without_auxiliary,
    ),
    Family(
        name="Inception",
        paper="Szegedy et al. 2015, Rethinking the Inception architecture for computer vision.",
        about="Parallel and factorised convolutions, on larger images than most.",
        members={"inception_v3": "Inception-v3"},
        divide=networks.inception,
        arguments={"aux_logits": False, "init_weights": False, "transform_input": True},
        adapt=adapt.without_auxiliary,
    ),
    Family(
        name="MobileNet",
        paper="Sandler et al. 2018, MobileNetV2: inverted residuals and linear bottlenecks.",
        about="Made for phones: small and quick, also without a GPU.",
        members={"mobilenet_v2": "MobileNetV2"},
        divide=networks.mobilenet_v2,
    ),
    Family(
        name="MobileNet",
        paper="Howard et al. 2019, Searching for MobileNetV3.",
        about="Made for phones: among the quickest of all.",
        members={"mobilenet_v3_small": "MobileNetV3-Small", "mobilenet_v3_large": "MobileNetV3-Large"},
        divide=networks.mobilenet_v3,
    ),
    Family(
        name="MNASNet",
        paper="Tan et al. 2018, MnasNet: platform-aware neural architecture search for mobile.",
        about="Found by a search for quick networks on a phone.",
        members={f"mnasnet{width.replace('.', '_')}": f"MNASNet {width}" for width in ("0.5", "0.75", "1.0", "1.3")},
        divide=networks.mnasnet,
    ),
    Family(
        name="ShuffleNet",
        paper="Ma et al. 2018, ShuffleNet V2: practical guidelines for efficient CNN architecture design.",
        about="Very small and quick; mixes groups of channels by shuffling them.",
        members={
            f"shufflenet_v2_x{width.replace('.', '_')}": f"ShuffleNetV2 x{width}" for width in ("0.5", "1.0", "1.5", "2.0")
        },
        divide=networks.shufflenet,
    ),
    Family(
        name="EfficientNet",
        paper="Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks.",
        about="Accurate for its size; the larger ones take larger images.",
        members={f"efficientnet_b{size}": f"EfficientNet-B{size}" for size in range(8)},
        divide=networks.efficientnet,
    ),
    Family(
        name="EfficientNet",
        paper="Tan and Le 2021, EfficientNetV2: smaller models and faster training.",
        about="Accurate, and quicker to train than the first EfficientNets.",
        members={f"efficientnet_v2_{size}": f"EfficientNetV2-{size.upper()}" for size in "sml"},
        divide=networks.efficientnet,
    ),
    Family(
        name="RegNet",
        paper="Radosavovic et al. 2020, Designing network design spaces.",
        about="Regular and quick on GPUs, in sizes from 0.4 to 128 billion multiply-adds; Y has squeeze-and-excitation.",
        members={
            f"regnet_{kind}_{size.replace('.', '_')}": f"RegNet{kind.upper()}-{size.upper()}"
            for kind, sizes in (
                ("x", ("400mf", "800mf", "1.6gf", "3.2gf", "8gf", "16gf", "32gf")),
                ("y", ("400mf", "800mf", "1.6gf", "3.2gf", "8gf", "16gf", "32gf", "128gf")),
            )
            for size in sizes
        },
        divide=networks.regnet,
    ),
    Family(
        name="ConvNeXt",
        paper="Liu et al. 2022, A ConvNet for the 2020s.",
        about="Convolutions in the shape of a transformer: accurate, with strong features for fine-tuning.",
        members={f"convnext_{size}": f"ConvNeXt-{size.capitalize()}" for size in ("tiny", "small", "base", "large")},
        divide=networks.convnext,
    ),
    Family(
        name="ViT",
        paper="Dosovitskiy et al. 2020, An image is worth 16x16 words: transformers for image recognition at scale.",
        about="A plain transformer over patches; takes images of one size only.",
        members={
            f"vit_{size}_{patch}": f"ViT-{size.upper()}/{patch}"
            for size, patch in (("b", 16), ("b", 32), ("l", 16), ("l", 32), ("h", 14))
        },
        divide=networks.vit,
        fixed_size=True,
    ),
    Family(
        name="Swin",
        paper="Liu et al. 2021, Swin transformer: hierarchical vision transformer using shifted windows.",
        about="A transformer that looks through shifting windows: accurate, and slow without a GPU.",
        members={f"swin_{size}": f"Swin-{size.upper()}" for size in "tsb"},
        divide=networks.swin,
    ),
    Family(
        name="Swin",
        paper="Liu et al. 2021, Swin transformer V2: scaling up capacity and resolution.",
        about="The second version of Swin, steadier in training and for larger images.",
        members={f"swin_v2_{size}": f"SwinV2-{size.upper()}" for size in "tsb"},
        divide=networks.swin,
    ),
    Family(
        name="MaxViT",
        paper="Tu et al. 2022, MaxViT: multi-axis vision transformer.",
        about="Convolutions and two kinds of attention in turn; takes images of one size only.",
        members={"maxvit_t": "MaxViT-T"},
        divide=networks.maxvit,
        arguments={"input_size": (224, 224)},
        fixed_size=True,
    ),
)  # fmt: skip
