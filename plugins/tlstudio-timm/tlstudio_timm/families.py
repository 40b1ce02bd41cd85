"""The families of timm's networks: what people call them, what they are good for, and the paper they come from.

A family is found by the file of timm that a network is written in, and by the beginning of its name where a file holds several.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Family:
    """Networks of one kind: the family's name, one sentence on what it is good for, and author, year and title."""

    name: str
    about: str
    paper: str


FAMILIES: dict[str, Family] = {
    "test": Family("Tiny test networks", "Made to try things out, not to be accurate; they take seconds.", "Wightman 2019, PyTorch image models."),
    "vit": Family("ViT", "A plain transformer on patches; strong with much pretraining.", "Dosovitskiy et al. 2020, An image is worth 16x16 words."),
    "deit": Family("DeiT", "A vision transformer trained on ImageNet alone, the distilled ones with a teacher.", "Touvron et al. 2020, Training data-efficient image transformers; 2022, DeiT III."),
    "clip": Family("CLIP", "Learned from pairs of images and captions; knows far more kinds of things than ImageNet has.", "Radford et al. 2021, Learning transferable visual models from natural language supervision."),
    "siglip": Family("SigLIP", "Learned from pairs of images and captions with a sigmoid loss; strong general features.", "Zhai et al. 2023, Sigmoid loss for language image pre-training."),
    "dinov2": Family("DINOv2", "Learned without labels; excellent features when frozen.", "Oquab et al. 2023, DINOv2: learning robust visual features without supervision."),
    "dinov3": Family("DINOv3", "Learned without labels from 1.7 billion images; excellent features when frozen.", "Siméoni et al. 2025, DINOv3."),
    "aimv2": Family("AIMv2", "Learned to continue images and captions; large, and strong when frozen.", "Fini et al. 2024, Multimodal autoregressive pre-training of large vision encoders."),
    "flexivit": Family("FlexiViT", "A vision transformer made for patches of any size.", "Beyer et al. 2022, FlexiViT: one model for all patch sizes."),
    "radio": Family("RADIO", "One network distilled from several foundation models.", "Ranzinger et al. 2023, AM-RADIO: agglomerative vision foundation model."),
    "tips": Family("TIPS", "Learned from images and captions with attention to where things are.", "Maninis et al. 2024, TIPS: text-image pretraining with spatial awareness."),
    "beit": Family("BEiT", "A vision transformer that learned to fill in masked patches.", "Bao et al. 2021, BEiT: BERT pre-training of image transformers; Peng et al. 2022, BEiT v2."),
    "beit3": Family("BEiT-3", "A vision transformer that learned images and texts alike.", "Wang et al. 2022, Image as a foreign language: BEiT pretraining for all vision tasks."),
    "eva": Family("EVA", "A vision transformer that learned CLIP's features of masked patches; among the most accurate.", "Fang et al. 2022, EVA; 2023, EVA-02: a visual representation for neon genesis."),
    "rope": Family("ViT with rotary positions", "A vision transformer that takes other image sizes well.", "Heo et al. 2024, Rotary position embedding for vision transformer."),
    "pe": Family("Perception Encoder", "Learned from images and captions; strong general features.", "Bolya et al. 2025, Perception encoder: the best visual embeddings are not at the output of the network."),
    "sapiens": Family("Sapiens", "Large transformers pretrained on images of people.", "Khirodkar et al. 2024, Sapiens: foundation for human vision models."),
    "lingbot": Family("LingBot", "A vision transformer with rotary positions, pretrained for perception of robots.", "Wightman 2019, PyTorch image models."),
    "intern": Family("InternViT", "The vision part of a large model of images and text.", "Chen et al. 2023, InternVL: scaling up vision foundation models."),
    "hybrid": Family("ViT hybrid", "A transformer on the features of a small ResNet.", "Dosovitskiy et al. 2020, An image is worth 16x16 words."),
    "relpos": Family("ViT with relative positions", "A vision transformer whose positions are relative.", "Liu et al. 2021, Swin transformer V2; Wightman 2019, PyTorch image models."),
    "sam": Family("SAM", "The encoder of a network that outlines things; for large images.", "Kirillov et al. 2023, Segment anything."),
    "sam2": Family("SAM 2", "The hierarchical encoder of a network that outlines things in videos.", "Ravi et al. 2024, SAM 2: segment anything in images and videos."),
    "naflex": Family("NaFlexViT", "A vision transformer for images of any shape; here for square ones.", "Dehghani et al. 2023, Patch n' pack: NaViT; Tschannen et al. 2025, SigLIP 2."),
    "vitamin": Family("ViTamin", "Convolutions, then a transformer, learned from images and captions.", "Chen et al. 2024, ViTamin: designing scalable vision models in the vision-language era."),
    "cait": Family("CaiT", "A deep transformer with class attention at its end.", "Touvron et al. 2021, Going deeper with image transformers."),
    "xcit": Family("XCiT", "A transformer whose attention is between channels: its cost grows slowly with the image.", "El-Nouby et al. 2021, XCiT: cross-covariance image transformers."),
    "volo": Family("VOLO", "A transformer that looks at neighbours first; accurate for its size.", "Yuan et al. 2021, VOLO: vision outlooker for visual recognition."),
    "tnt": Family("TNT", "A transformer inside each patch of a transformer.", "Han et al. 2021, Transformer in transformer."),
    "convit": Family("ConViT", "A transformer that starts out like a convolution.", "d'Ascoli et al. 2021, ConViT: improving vision transformers with soft convolutional inductive biases."),
    "crossvit": Family("CrossViT", "Two transformers side by side, on small and large patches.", "Chen et al. 2021, CrossViT: cross-attention multi-scale vision transformer."),
    "pit": Family("PiT", "A vision transformer that pools like a convolutional network.", "Heo et al. 2021, Rethinking spatial dimensions of vision transformers."),
    "twins": Family("Twins", "Local and global attention in turns; good for maps.", "Chu et al. 2021, Twins: revisiting the design of spatial attention in vision transformers."),
    "pvt": Family("PVT v2", "A pyramid of transformers; good where things have several sizes.", "Wang et al. 2021, PVT v2: improved baselines with pyramid vision transformer."),
    "mvit": Family("MViTv2", "A pyramid of transformers with pooled attention; accurate.", "Li et al. 2021, MViTv2: improved multiscale vision transformers."),
    "hiera": Family("Hiera", "A plain pyramid of transformers that learned from masked images; quick for its accuracy.", "Ryali et al. 2023, Hiera: a hierarchical vision transformer without the bells-and-whistles."),
    "nest": Family("NesT", "Transformers on blocks of an image, nested.", "Zhang et al. 2021, Nested hierarchical transformer."),
    "coat": Family("CoaT", "A transformer over several scales at once.", "Xu et al. 2021, Co-scale conv-attentional image transformers."),
    "gcvit": Family("GCViT", "Local attention with a global query.", "Hatamizadeh et al. 2022, Global context vision transformers."),
    "davit": Family("DaViT", "Attention over places and over channels in turns.", "Ding et al. 2022, DaViT: dual attention vision transformers."),
    "focalnet": Family("FocalNet", "Focal modulation in place of attention; accurate.", "Yang et al. 2022, Focal modulation networks."),
    "swin": Family("Swin", "A transformer with windows that shift; a strong all-round choice.", "Liu et al. 2021, Swin transformer: hierarchical vision transformer using shifted windows."),
    "swinv2": Family("Swin V2", "Swin made for larger networks and images.", "Liu et al. 2021, Swin transformer V2: scaling up capacity and resolution."),
    "visformer": Family("Visformer", "Convolutions that became a transformer step by step; small.", "Chen et al. 2021, Visformer: the vision-friendly transformer."),
    "nextvit": Family("Next-ViT", "Convolutions and attention arranged for quick deployment.", "Li et al. 2022, Next-ViT: next generation vision transformer for efficient deployment."),
    "tinyvit": Family("TinyViT", "Small transformers distilled from large ones; accurate for their size.", "Wu et al. 2022, TinyViT: fast pretraining distillation for small vision transformers."),
    "levit": Family("LeViT", "A transformer in the shape of a convolutional network; very quick.", "Graham et al. 2021, LeViT: a vision transformer in ConvNet's clothing."),
    "efficientformer": Family("EfficientFormer", "Transformers as quick as MobileNets on a phone.", "Li et al. 2022, EfficientFormer: vision transformers at MobileNet speed."),
    "efficientvit_mit": Family("EfficientViT (MIT)", "Linear attention for large images and small machines.", "Cai et al. 2022, EfficientViT: multi-scale linear attention for high-resolution dense prediction."),
    "efficientvit_msra": Family("EfficientViT (Microsoft)", "Attention in cascaded groups; quick.", "Liu et al. 2023, EfficientViT: memory efficient vision transformer with cascaded group attention."),
    "efficientvim": Family("EfficientViM", "A state space in place of attention; quick.", "Lee et al. 2024, EfficientViM: efficient vision Mamba with hidden state mixer."),
    "mobilevit": Family("MobileViT", "Convolutions with small transformers inside; few parameters.", "Mehta and Rastegari 2021, MobileViT: light-weight, general-purpose, and mobile-friendly vision transformer."),
    "edgenext": Family("EdgeNeXt", "ConvNeXt and attention for phones.", "Maaz et al. 2022, EdgeNeXt: efficiently amalgamated CNN-transformer architecture."),
    "swiftformer": Family("SwiftFormer", "Additive attention for phones.", "Shaker et al. 2023, SwiftFormer: efficient additive attention for transformer-based real-time mobile vision."),
    "shvit": Family("SHViT", "Attention with a single head; quick on any machine.", "Yun and Ro 2024, SHViT: single-head vision transformer with memory efficient macro design."),
    "repvit": Family("RepViT", "A MobileNet rebuilt after transformers; quick on phones.", "Wang et al. 2023, RepViT: revisiting mobile CNN from ViT perspective."),
    "iformer": Family("iFormer", "Convolutions and light attention for phones.", "Zheng 2025, iFormer: integrating ConvNet and transformer for mobile application."),
    "lowformer": Family("LowFormer", "Made for low latency, attention at low resolution.", "Nottebaum et al. 2024, LowFormer: hardware efficient design for convolutional transformer backbones."),
    "cpubone": Family("CPUBone", "Made for processors without a GPU.", "Wightman 2019, PyTorch image models."),
    "fastvit": Family("FastViT", "Attention and convolutions that fold together; a good trade of speed and accuracy.", "Vasu et al. 2023, FastViT: a fast hybrid vision transformer using structural reparameterization."),
    "coatnet": Family("CoAtNet", "Convolutions first, attention later; accurate.", "Dai et al. 2021, CoAtNet: marrying convolution and attention for all data sizes."),
    "maxvit": Family("MaxViT", "Convolution, attention in windows and over a grid; accurate, and heavy.", "Tu et al. 2022, MaxViT: multi-axis vision transformer."),
    "metaformer": Family("MetaFormer", "The shape of a transformer with pooling, convolution or attention inside.", "Yu et al. 2021, MetaFormer is actually what you need for vision; 2022, MetaFormer baselines for vision."),
    "mlp": Family("MLP-Mixer", "Dense layers alone, over patches and over channels.", "Tolstikhin et al. 2021, MLP-Mixer: an all-MLP architecture for vision."),
    "resmlp": Family("ResMLP", "Dense layers alone, without norms.", "Touvron et al. 2021, ResMLP: feedforward networks for image classification."),
    "gmlp": Family("gMLP", "Dense layers with gates between places.", "Liu et al. 2021, Pay attention to MLPs."),
    "sequencer": Family("Sequencer", "Recurrent layers over rows and columns in place of attention.", "Tatsunami and Taki 2022, Sequencer: deep LSTM for image classification."),
    "mambaout": Family("MambaOut", "Gated convolutions, which is Mamba without its state space.", "Yu and Wang 2024, MambaOut: do we really need Mamba for vision?"),
    "starnet": Family("StarNet", "Products of features in place of activations; small.", "Ma et al. 2024, Rewrite the stars."),
    "convmixer": Family("ConvMixer", "Patches and plain convolutions; simple, and slow.", "Trockman and Kolter 2022, Patches are all you need?"),
    "convnext": Family("ConvNeXt", "A convolutional network modernised after transformers; a strong all-round choice.", "Liu et al. 2022, A ConvNet for the 2020s; Woo et al. 2023, ConvNeXt V2."),
    "inceptionnext": Family("InceptionNeXt", "ConvNeXt with its large kernels taken apart: quicker.", "Yu et al. 2023, InceptionNeXt: when Inception meets ConvNeXt."),
    "rdnet": Family("RDNet", "DenseNet revived with today's blocks; accurate.", "Kim et al. 2024, DenseNets reloaded: paradigm shift beyond ResNets and ViTs."),
    "csatv2": Family("CSATv2", "Works on the cosine transform of an image; quick on large ones.", "Wightman 2019, PyTorch image models."),
    "resnet": Family("ResNet", "The field's standard: small ones are quick, 50 layers have strong features at a moderate cost.", "He et al. 2015, Deep residual learning for image recognition."),
    "resnext": Family("ResNeXt", "A ResNet with grouped convolutions: a little more accurate at the same cost.", "Xie et al. 2016, Aggregated residual transformations for deep neural networks."),
    "wide": Family("Wide ResNet", "A ResNet with more channels inside its blocks: accurate, and heavy.", "Zagoruyko and Komodakis 2016, Wide residual networks."),
    "senet": Family("SE-ResNet", "A ResNet that weighs its channels (squeeze and excitation).", "Hu et al. 2017, Squeeze-and-excitation networks."),
    "ecaresnet": Family("ECA-ResNet", "A ResNet that weighs its channels at almost no cost.", "Wang et al. 2019, ECA-Net: efficient channel attention for deep convolutional neural networks."),
    "resnetrs": Family("ResNet-RS", "A ResNet with today's training and scaling.", "Bello et al. 2021, Revisiting ResNets: improved training and scaling strategies."),
    "resnetv2": Family("ResNetV2 (BiT)", "A ResNet with norms before its convolutions; the largest transfer very well.", "He et al. 2016, Identity mappings in deep residual networks; Kolesnikov et al. 2019, Big transfer (BiT)."),
    "resnest": Family("ResNeSt", "A ResNet with attention between groups of channels; accurate.", "Zhang et al. 2020, ResNeSt: split-attention networks."),
    "res2net": Family("Res2Net", "A ResNet with several scales inside each block.", "Gao et al. 2019, Res2Net: a new multi-scale backbone architecture."),
    "sknet": Family("SK-ResNet", "A ResNet that chooses between kernel sizes.", "Li et al. 2019, Selective kernel networks."),
    "tresnet": Family("TResNet", "A ResNet arranged for GPUs.", "Ridnik et al. 2020, TResNet: high performance GPU-dedicated architecture."),
    "attention": Family("ResNet with attention", "ResNets with attention, halos or lambda layers in their last stages.", "Srinivas et al. 2021, Bottleneck transformers; Vaswani et al. 2021, HaloNets; Bello 2021, LambdaNetworks."),
    "byob": Family("ByobNet", "ResNets of blocks that were put together freely.", "Wightman 2019, PyTorch image models."),
    "clipresnet": Family("CLIP", "A ResNet that learned from pairs of images and captions.", "Radford et al. 2021, Learning transferable visual models from natural language supervision."),
    "repvgg": Family("RepVGG", "Trained with branches that fold into plain convolutions.", "Ding et al. 2021, RepVGG: making VGG-style ConvNets great again."),
    "mobileone": Family("MobileOne", "Branches that fold into plain convolutions; below a millisecond on a phone.", "Vasu et al. 2022, MobileOne: an improved one millisecond mobile backbone."),
    "gernet": Family("GENet", "Found by search for speed on GPUs.", "Lin et al. 2020, Neural architecture design for GPU-efficient networks."),
    "regnet": Family("RegNet", "Simple rules for width and depth; good over a wide range of sizes.", "Radosavovic et al. 2020, Designing network design spaces; Dollár et al. 2021, Fast and accurate model scaling."),
    "nfnet": Family("NFNet", "Accurate without batch norm, so that small batches do no harm.", "Brock et al. 2021, High-performance large-scale image recognition without normalization."),
    "nfresnet": Family("NF-ResNet", "ResNets and RegNets without batch norm.", "Brock et al. 2021, Characterizing signal propagation to close the performance gap in unnormalized ResNets."),
    "efficientnet": Family("EfficientNet", "Accurate for its size; the usual choice among small networks.", "Tan and Le 2019, EfficientNet: rethinking model scaling for convolutional neural networks."),
    "efficientnetv2": Family("EfficientNetV2", "Quicker to train than EfficientNet, and more accurate.", "Tan and Le 2021, EfficientNetV2: smaller models and faster training."),
    "mobilenet": Family("MobileNet", "Made for phones: small and quick, also without a GPU.", "Howard et al. 2017, MobileNets; Sandler et al. 2018, MobileNetV2."),
    "mobilenetv3": Family("MobileNetV3", "Made for phones: among the quickest of all.", "Howard et al. 2019, Searching for MobileNetV3."),
    "mobilenetv4": Family("MobileNetV4", "Quick on phones, processors and accelerators alike.", "Qin et al. 2024, MobileNetV4: universal models for the mobile ecosystem."),
    "mobilenetv5": Family("MobileNetV5", "The image encoder of Gemma 3n, with a classifier.", "Gemma team 2025, Gemma 3n."),
    "mnasnet": Family("MNASNet", "Found by search for speed on a phone.", "Tan et al. 2018, MnasNet: platform-aware neural architecture search for mobile."),
    "search": Family("Searched mobile networks", "Found by search for speed on small machines.", "Wu et al. 2018, FBNet; Stamoulis et al. 2019, Single-path NAS; Nayman et al. 2021, HardCoRe-NAS."),
    "mixnet": Family("MixNet", "Several kernel sizes in one layer; small.", "Tan and Le 2019, MixConv: mixed depthwise convolutional kernels."),
    "tinynet": Family("TinyNet", "EfficientNet made smaller than B0 by rule.", "Han et al. 2020, Model Rubik's cube: twisting resolution, depth and width for TinyNets."),
    "lcnet": Family("PP-LCNet", "Quick on processors.", "Cui et al. 2021, PP-LCNet: a lightweight CPU convolutional neural network."),
    "ghostnet": Family("GhostNet", "Half of its features are cheap copies; small and quick.", "Han et al. 2019, GhostNet: more features from cheap operations; Tang et al. 2022, GhostNetV2."),
    "repghost": Family("RepGhostNet", "GhostNet with branches that fold together.", "Chen et al. 2022, RepGhost: a hardware-efficient ghost module via re-parameterization."),
    "fasternet": Family("FasterNet", "Convolutions over a part of the channels; quick on any machine.", "Chen et al. 2023, Run, don't walk: chasing higher FLOPS for faster neural networks."),
    "rexnet": Family("ReXNet", "Channels that grow evenly; small and accurate.", "Han et al. 2020, ReXNet: diminishing representational bottleneck on convolutional neural network."),
    "hgnet": Family("PP-HGNet", "Quick on GPUs; accurate.", "PaddlePaddle 2022, PP-HGNet."),
    "selecsls": Family("SelecSLS", "Quick connections between a few layers.", "Mehta et al. 2019, XNect: real-time multi-person 3D motion capture with a single RGB camera."),
    "vovnet": Family("VoVNet", "Layers gathered once at the end of a stage: quicker than DenseNet.", "Lee et al. 2019, An energy and GPU-computation efficient backbone network."),
    "cspnet": Family("CSPNet", "Half of the channels skip each stage; the backbones of YOLO.", "Wang et al. 2019, CSPNet: a new backbone that can enhance learning capability of CNN."),
    "cspnext": Family("CSPNeXt", "The backbone of RTMDet, with large kernels.", "Lyu et al. 2022, RTMDet: an empirical study of designing real-time object detectors."),
    "densenet": Family("DenseNet", "Every layer sees all before it: few parameters, much memory; liked in medical imaging.", "Huang et al. 2016, Densely connected convolutional networks."),
    "dla": Family("DLA", "Features of all depths joined as a tree.", "Yu et al. 2017, Deep layer aggregation."),
    "dpn": Family("DPN", "Residual and dense paths side by side.", "Chen et al. 2017, Dual path networks."),
    "hrnet": Family("HRNet", "Keeps fine resolution all the way; good for detail.", "Wang et al. 2019, Deep high-resolution representation learning for visual recognition."),
    "vgg": Family("VGG", "Plain and large; the usual choice for style and perceptual features.", "Simonyan and Zisserman 2014, Very deep convolutional networks for large-scale image recognition."),
    "inception": Family("Inception", "Parallel and factorised convolutions, on larger images than most.", "Szegedy et al. 2015, Rethinking the Inception architecture; 2016, Inception-v4, Inception-ResNet."),
    "xception": Family("Xception", "Depthwise convolutions throughout; accurate for its time.", "Chollet 2016, Xception: deep learning with depthwise separable convolutions."),
    "nasnet": Family("NASNet", "Cells found by search; accurate, and slow.", "Zoph et al. 2017, Learning transferable architectures; Liu et al. 2017, Progressive neural architecture search."),
    "encoder": Family("Image encoders of language models", "The eye of a model of images and text.", "Wightman 2019, PyTorch image models."),
}  # fmt: skip

_BY_NAME = (
    ("test_", "test"), ("deit", "deit"), ("beit3", "beit3"), (r"vit_.*(_clip|quickgelu|_xp_)", "clip"), (r"vit_.*siglip", "siglip"),
    (r"vit_.*dinov2", "dinov2"), (r"vit_.*dinov3", "dinov3"), ("aimv2", "aimv2"), ("flexivit", "flexivit"), (r"vit_.*radio", "radio"),
    (r"vit_.*tips", "tips"), (r"vit_.*sapiens", "sapiens"), (r"vit_.*lingbot", "lingbot"), ("vit_pe_", "pe"), (r"vit_intern", "intern"),
    (r"vit_.*_rope_", "rope"), ("eva", "eva"), (r"resnet.*_clip", "clipresnet"), (r"(tf_)?efficientnetv2", "efficientnetv2"),
    (r"(se)?mnasnet", "mnasnet"), (r"mobilenet_(edgetpu_)?v2|mobilenetv[12]|mobilenet_edgetpu", "mobilenet"),
    (r"(tf_)?mobilenetv3", "mobilenetv3"), ("mobilenetv4", "mobilenetv4"), (r"(tf_)?mixnet", "mixnet"), ("tinynet", "tinynet"),
    (r"fbnet|spnasnet|hardcorenas", "search"), ("lcnet", "lcnet"), ("wide_resnet", "wide"), (r"(se|legacy_se|skn?)?resnext|ecaresnext", "resnext"),
    (r"legacy_se|seresnet|senet", "senet"), ("ecaresnet", "ecaresnet"), ("resnetrs", "resnetrs"), ("repvgg", "repvgg"),
    ("mobileone", "mobileone"), ("gernet", "gernet"), ("regnetz", "regnet"), (r"(eca_)?(dm_)?nfnet", "nfnet"), ("nf_", "nfresnet"),
    ("resmlp", "resmlp"), ("gmlp", "gmlp"), ("coatn", "coatnet"), ("legacy_xception", "xception"), (r"legacy_se", "senet"),
)  # fmt: skip
_BY_FILE = {
    "vision_transformer": "vit", "vision_transformer_hybrid": "hybrid", "vision_transformer_relpos": "relpos",
    "vision_transformer_sam": "sam", "hieradet_sam2": "sam2", "naflexvit": "naflex", "pvt_v2": "pvt", "mvitv2": "mvit",
    "swin_transformer": "swin", "swin_transformer_v2": "swinv2", "swin_transformer_v2_cr": "swinv2", "tiny_vit": "tinyvit",
    "efficientformer_v2": "efficientformer", "maxxvit": "maxvit", "mlp_mixer": "mlp", "inception_next": "inceptionnext",
    "byobnet": "byob", "byoanet": "attention", "lcnetv2": "lcnet", "inception_v3": "inception", "inception_v4": "inception",
    "inception_resnet_v2": "inception", "xception_aligned": "xception", "pnasnet": "nasnet", "qwen3_vit": "encoder",
    "deepseek_vit": "encoder", "gemma4_vit": "encoder",
}  # fmt: skip


def family_of(name: str, file: str) -> str:
    """The key in `FAMILIES` of a network.

    Args:
        name: as timm registers it.
        file: of timm's that it is written in, without folder and ending.
    """
    found = next((key for start, key in _BY_NAME if re.match(start, name)), "")
    if found in ("clip", "siglip") and file == "naflexvit":
        found = ""
    return found or _BY_FILE.get(file, file)
