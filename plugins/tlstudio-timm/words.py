"""Words for people, made from timm's names: titles and families of networks, and what a set of weights learned from."""

from __future__ import annotations

import re

_BRANDS = {
    "aimv2": "AIMv2", "bat": "BAT", "beit": "BEiT", "beit3": "BEiT-3", "beitv2": "BEiT v2", "botnet": "BoTNet",
    "caformer": "CAFormer", "cait": "CaiT", "coat": "CoaT", "coatnet": "CoAtNet", "coatnext": "CoAtNeXt",
    "convformer": "ConvFormer", "convit": "ConViT", "convmixer": "ConvMixer", "convnext": "ConvNeXt",
    "convnextv2": "ConvNeXt V2", "cpubone": "CPUBone", "crossvit": "CrossViT", "cs3darknet": "CS3-DarkNet",
    "cs3edgenet": "CS3-EdgeNet", "cs3se": "CS3-SE", "cs3sedarknet": "CS3-SE-DarkNet",
    "cs3sedarknetdw": "CS3-SE-DarkNet-DW", "csatv2": "CSATv2", "cspdarknet": "CSPDarkNet", "cspnext": "CSPNeXt",
    "cspresnet": "CSPResNet", "cspresnext": "CSPResNeXt", "darknet": "DarkNet", "darknetaa": "DarkNet-AA",
    "davit": "DaViT", "deepseek": "DeepSeek", "deit": "DeiT", "deit3": "DeiT III", "densenet": "DenseNet",
    "densenetblur": "DenseNet-Blur", "dla": "DLA", "dm": "DeepMind", "dpn": "DPN", "eca": "ECA",
    "ecaresnet": "ECA-ResNet", "ecaresnetlight": "ECA-ResNet-Light", "ecaresnext": "ECA-ResNeXt",
    "edgenext": "EdgeNeXt", "efficientformer": "EfficientFormer", "efficientformerv2": "EfficientFormerV2",
    "efficientnet": "EfficientNet", "efficientnetv2": "EfficientNetV2", "efficientvim": "EfficientViM",
    "efficientvit": "EfficientViT", "ese": "eSE", "eva": "EVA", "eva02": "EVA-02", "fasternet": "FasterNet",
    "fastvit": "FastViT", "fbnetc": "FBNet-C", "fbnetv3": "FBNetV3", "flexivit": "FlexiViT", "focalnet": "FocalNet",
    "gc": "GC", "gcresnet": "GC-ResNet", "gcresnext": "GC-ResNeXt", "gcvit": "GCViT", "gemma4": "Gemma 4",
    "gernet": "GENet", "ghostnet": "GhostNet", "ghostnetv2": "GhostNetV2", "ghostnetv3": "GhostNetV3",
    "gmixer": "gMixer", "gmlp": "gMLP", "halonet": "HaloNet", "hardcorenas": "HardCoRe-NAS", "hgnet": "PP-HGNet",
    "hgnetv2": "PP-HGNetV2", "hiera": "Hiera", "hieradet": "HieraDet", "hrnet": "HRNet", "iformer": "iFormer",
    "inception": "Inception", "lambda": "Lambda", "lcnet": "PP-LCNet", "lcnetv2": "PP-LCNetV2", "levit": "LeViT",
    "lowformer": "LowFormer", "mambaout": "MambaOut", "maxvit": "MaxViT", "maxxvit": "MaxxViT",
    "maxxvitv2": "MaxxViTV2", "mixer": "MLP-Mixer", "mixnet": "MixNet", "mnasnet": "MNASNet", "mobilenet": "MobileNet",
    "mobilenetv1": "MobileNetV1", "mobilenetv2": "MobileNetV2", "mobilenetv3": "MobileNetV3",
    "mobilenetv4": "MobileNetV4", "mobilenetv5": "MobileNetV5", "mobileone": "MobileOne", "mobilevit": "MobileViT",
    "mobilevitv2": "MobileViTV2", "mvitv2": "MViTv2", "naflexvit": "NaFlexViT", "nasnetalarge": "NASNet-A-Large",
    "nest": "NesT", "nextvit": "Next-ViT", "nf": "NF", "nfnet": "NFNet", "pit": "PiT",
    "pnasnet5large": "PNASNet-5-Large", "poolformer": "PoolFormer", "poolformerv2": "PoolFormerV2", "pvt": "PVT",
    "qwen3": "Qwen3", "rdnet": "RDNet", "regnet": "RegNet", "regnetv": "RegNetV", "regnetx": "RegNetX",
    "regnety": "RegNetY", "regnetz": "RegNetZ", "repghostnet": "RepGhostNet", "repvgg": "RepVGG", "repvit": "RepViT",
    "res2net": "Res2Net", "res2next": "Res2NeXt", "resmlp": "ResMLP", "resnest": "ResNeSt", "resnet": "ResNet",
    "resnetaa": "ResNet-AA", "resnetblur": "ResNet-Blur", "resnetrs": "ResNet-RS", "resnetv2": "ResNetV2",
    "resnext": "ResNeXt", "rexnet": "ReXNet", "rexnetr": "ReXNet-R", "sam2": "SAM 2", "samvit": "SAM ViT",
    "sebotnet": "SE-BoTNet", "sedarknet": "SE-DarkNet", "sehalonet": "SE-HaloNet", "selecsls": "SelecSLS",
    "semnasnet": "SE-MNASNet", "senet": "SENet", "sequencer2d": "Sequencer2D", "seresnet": "SE-ResNet",
    "seresnetaa": "SE-ResNet-AA", "seresnext": "SE-ResNeXt", "seresnextaa": "SE-ResNeXt-AA", "shvit": "SHViT",
    "skresnet": "SK-ResNet", "skresnext": "SK-ResNeXt", "spnasnet": "Single-Path NAS", "starnet": "StarNet",
    "swiftformer": "SwiftFormer", "swin": "Swin", "swinv2": "Swin V2", "test": "Test", "tiny": "Tiny",
    "tinynet": "TinyNet", "tnt": "TNT", "tresnet": "TResNet", "twins": "Twins", "vgg": "VGG", "visformer": "Visformer",
    "vit": "ViT", "vitamin": "ViTamin", "volo": "VOLO", "vovnet": "VoVNet", "wide": "Wide", "xception": "Xception",
    "xcit": "XCiT",
}  # fmt: skip
_WORDS = {
    "clip": "CLIP", "siglip": "SigLIP", "dinov2": "DINOv2", "dinov3": "DINOv3", "gap": "mean pooling", "radio": "RADIO",
    "bn": "with batch norm", "rope": "rotary", "relpos": "relative positions", "srelpos": "shared relative positions",
    "pe": "PE", "tipsv2": "TIPSv2", "sapiens2": "Sapiens2", "distilled": "distilled", "ape": "with positions",
    "mci0": "MCi0", "mci1": "MCi1", "mci2": "MCi2", "quickgelu": "QuickGELU", "gn": "group norm", "cr": "CR",
    "rw": "RW", "nano": "Nano", "lingbot": "LingBot", "vit": "ViT",
}  # fmt: skip
_SIZES = {
    "atto", "base", "betwixt", "enormous", "femto", "giant", "gigantic", "goliath", "huge", "hybrid", "large", "little",
    "medium", "micro", "mini", "nano", "pico", "small", "tiny", "wee", "xlarge", "xsmall", "xxlarge", "xxsmall",
    "zepto",
}  # fmt: skip
_PATCH = re.compile(r"patch(\d+)")
_PREFIXES = {"tf": "TensorFlow's", "legacy": "first"}
_DATA = {
    "in1k": "ImageNet-1k", "in21k": "ImageNet-21k", "in22k": "ImageNet-22k", "in12k": "ImageNet-12k",
    "inw21k": "ImageNet-21k", "lvd142m": "LVD-142M, without labels", "lvd1689m": "LVD-1689M, without labels",
    "sat493m": "493 million satellite images, without labels", "laion2b": "LAION-2B, images with captions",
    "laion400m": "LAION-400M, images with captions", "laiona": "LAION, images with captions",
    "openai": "OpenAI's images with captions", "dfn2b": "DFN-2B, images with captions",
    "dfn5b": "DFN-5B, images with captions", "dfndr2b": "DFN-2B, images with captions",
    "datacompxl": "DataComp-XL, images with captions", "datacomp1b": "DataComp-1B, images with captions",
    "webli": "WebLI, images with captions", "metaclip": "MetaCLIP, images with captions",
    "metaclip2": "MetaCLIP 2, images with captions", "merged2b": "Merged-2B, images with captions",
    "yfcc15m": "YFCC-15M, images with captions", "yfcc100m": "YFCC-100M", "cc12m": "CC-12M, images with captions",
    "ig1b": "a billion images of Instagram", "sa1b": "SA-1B, outlines",
    "swag": "SWAG, 3.6 billion photographs with hashtags", "jft": "JFT-300M",
    "seer": "a billion images, without labels", "m38m": "Merged-38M", "m30m": "Merged-30M", "bamboo": "Bamboo",
    "apple": "Apple's images with captions", "radio": "other networks", "mae": "ImageNet-1k, without labels",
    "fcmae": "ImageNet-1k, without labels", "swsl": "a billion images of Instagram", "ssl": "YFCC-100M",
    "wsl": "940 million images of Instagram", "2b": "images with captions", "coco": "COCO",
}  # fmt: skip
_BY_NAME = (
    ("test_", "test"), ("deit", "deit"), ("beit3", "beit3"), (r"vit_.*(_clip|quickgelu|_xp_)", "clip"),
    ("vit_.*siglip", "siglip"), ("vit_.*dinov2", "dinov2"), ("vit_.*dinov3", "dinov3"), ("aimv2", "aimv2"),
    ("flexivit", "flexivit"), ("vit_.*radio", "radio"), ("vit_.*tips", "tips"), ("vit_.*sapiens", "sapiens"),
    ("vit_.*lingbot", "lingbot"), ("vit_pe_", "pe"), ("vit_intern", "intern"), ("vit_.*_rope_", "rope"),
    ("eva", "eva"), ("resnet.*_clip", "clipresnet"), (r"(tf_)?efficientnetv2", "efficientnetv2"),
    (r"(se)?mnasnet", "mnasnet"), (r"mobilenet_(edgetpu_)?v2|mobilenetv[12]|mobilenet_edgetpu", "mobilenet"),
    (r"(tf_)?mobilenetv3", "mobilenetv3"), ("mobilenetv4", "mobilenetv4"), (r"(tf_)?mixnet", "mixnet"),
    ("tinynet", "tinynet"), ("fbnet|spnasnet|hardcorenas", "search"), ("lcnet", "lcnet"), ("wide_resnet", "wide"),
    (r"(se|legacy_se|skn?)?resnext|ecaresnext", "resnext"), ("legacy_se|seresnet|senet", "senet"),
    ("ecaresnet", "ecaresnet"), ("resnetrs", "resnetrs"), ("repvgg", "repvgg"), ("mobileone", "mobileone"),
    ("gernet", "gernet"), ("regnetz", "regnet"), (r"(eca_)?(dm_)?nfnet", "nfnet"), ("nf_", "nfresnet"),
    ("resmlp", "resmlp"), ("gmlp", "gmlp"), ("coatn", "coatnet"), ("legacy_xception", "xception"),
    ("legacy_se", "senet"),
)  # fmt: skip
"""Where a file holds several families: how a name begins, and the key of its family in ``families.json``."""
_BY_FILE = {
    "vision_transformer": "vit", "vision_transformer_hybrid": "hybrid", "vision_transformer_relpos": "relpos",
    "vision_transformer_sam": "sam", "hieradet_sam2": "sam2", "naflexvit": "naflex", "pvt_v2": "pvt", "mvitv2": "mvit",
    "swin_transformer": "swin", "swin_transformer_v2": "swinv2", "swin_transformer_v2_cr": "swinv2",
    "tiny_vit": "tinyvit", "efficientformer_v2": "efficientformer", "maxxvit": "maxvit", "mlp_mixer": "mlp",
    "inception_next": "inceptionnext", "byobnet": "byob", "byoanet": "attention", "lcnetv2": "lcnet",
    "inception_v3": "inception", "inception_v4": "inception", "inception_resnet_v2": "inception",
    "xception_aligned": "xception", "pnasnet": "nasnet", "qwen3_vit": "encoder", "deepseek_vit": "encoder",
    "gemma4_vit": "encoder",
}  # fmt: skip
"""A file's family, where it is not called like the file."""


def title_of(name: str) -> str:
    """A network's name for people: ``vit_base_patch16_224`` is "ViT-Base/16 224"."""
    words = name.split("_")
    before = _PREFIXES.get(words[0], "")
    words = words[1:] if before else words
    text = ""
    for index, word in enumerate(words):
        text = _joined(text, word, first=index == 0)
    text = text.strip()
    return f"{text} ({before})" if before else text


def _joined(text: str, word: str, *, first: bool) -> str:
    if word in _SIZES:
        return f"{text}-{word.capitalize()}" if text else word.capitalize()
    if patch := _PATCH.fullmatch(word):
        return f"{text}/{patch[1]}"
    if word in _BRANDS:
        return f"{text} {_BRANDS[word]}"
    if word in _WORDS:
        return f"{text} {_WORDS[word]}"
    brand, rest = _brand(word)
    if brand:
        return f"{text} {brand}-{rest}" if rest else f"{text} {brand}"
    if re.fullmatch(r"[bfl]\d+", word) and text and not first:
        return f"{text}-{word.upper()}"
    if len(word) <= 2 and word.isalpha() and text:
        return f"{text}-{word.upper()}"
    return f"{text} {word}"


def _brand(word: str) -> tuple[str, str]:
    """A word that begins with a brand and goes on with a number: ``resnet50d``."""
    for end in range(len(word) - 1, 2, -1):
        if word[:end] in _BRANDS and word[end].isdigit():
            return _BRANDS[word[:end]], word[end:]
    return "", ""


def trained_on(tag: str, classes: int) -> str:
    """What a set of weights learned from, in order, from timm's tag; empty where the tag does not tell and no classes do."""
    steps: list[str] = []
    for part in re.split(r"_ft_", tag):
        found = [_DATA[word] for word in part.split("_") if word in _DATA]
        if found and (not steps or steps[-1] != found[-1]):
            steps.append(found[-1])
    if classes == 1000 and not (steps and steps[-1] == "ImageNet-1k"):
        steps.append("ImageNet-1k")
    return ", then ".join(steps)


def family_of(name: str, file: str) -> str:
    """The key in ``families.json`` of a network.

    Args:
        name: as timm registers it.
        file: of timm's that it is written in, without folder and ending.
    """
    found = next((key for start, key in _BY_NAME if re.match(start, name)), "")
    return found or _BY_FILE.get(file, file)
