"""The way through each kind of timm's networks: which of its children run, in which order, and where a stage ends.

Words of a route:

- ``name``: a child of the network; one that it lacks, or that does nothing, is passed over
- ``name*``: a container whose children run one after another, each a stage; ``name*step``: told more than their input
- ``@piece``: a step of `tlstudio_timm.parts` with the children that it needs
- ``+name``: belongs to the stage before
- in a head ``flat`` (a map as tokens), ``mean…`` (over axes), ``slice`` (of tokens) and ``classifiers`` (one, or two whose
  mean it is)
"""

from __future__ import annotations

from dataclasses import dataclass

from tlstudio_timm import parts


@dataclass(frozen=True, kw_only=True)
class Route:
    """How a kind of network runs.

    Args:
        stages: a line of words for each stage.
        head: the words of the head.
        flexible: arguments with which its constructor makes a network for images of any size; tried in this order.
    """

    stages: tuple[str, ...]
    head: str = "head"
    flexible: tuple[dict[str, object], ...] = ()


PIECES: dict[str, tuple[parts.Step, str]] = {
    "@vit": (parts.embed_vit, "patch_embed cls_token reg_token dist_token pos_embed pos_drop patch_drop norm_pre"),
    "@eva": (parts.embed_eva, "patch_embed cls_token reg_token pos_embed pos_drop patch_drop rope norm_pre"),
    "@hiera": (
        parts.embed_hiera,
        "patch_embed pos_embed pos_embed_win pos_embed_spatial pos_embed_temporal unroll",
    ),
    "@hieradet": (parts.embed_hieradet, "patch_embed pos_embed pos_embed_window"),
    "@embed": (parts.embed_simple, "patch_embed cls_token pos_embed pos_drop rel_pos_bias shared_rel_pos"),
    "@patches": (parts.embed_simple, "patch_embed pos_embed pos_drop"),
    "@sam": (parts.embed_sam, "patch_embed pos_embed pos_drop patch_drop norm_pre"),
    "@xcit": (parts.embed_xcit, "patch_embed pos_embed pos_drop"),
    "@naflex": (parts.embed_naflex, "embeds rope patch_drop norm_pre"),
    "@levit": (parts.embed_levit, "stem"),
    "@volo": (parts.embed_volo, "patch_embed"),
    "@class_attention": (parts.class_attention, "cls_token blocks_token_only cls_attn_blocks post_network norm"),
    "@tokens": (parts.as_tokens, ""),
    "@pool": (parts.pool, "attn_pool"),
    "@pool_naflex": (parts.pool_naflex, "attn_pool"),
    "@norm_last": (parts.norm_last, "norm"),
    "@neck": (parts.neck_sam, "neck"),
    "@head": (parts.head, "head_drop head aux_head"),
}
"""A word's step, and the names of what it needs."""

STEPS: dict[str, tuple[parts.Step, str]] = {
    "rope": (parts.blocks_rope, "rope"),
    "beit": (parts.blocks_beit, "rel_pos_bias"),
    "relpos": (parts.blocks_relpos, "shared_rel_pos"),
    "sized": (parts.blocks_sized, ""),
    "mvit": (parts.stages_mvit, ""),
    "volo": (parts.blocks_volo, "pos_embed pos_drop"),
    "convit": (parts.blocks_convit, "cls_token"),
}
"""What blocks are told, and by which child of the network."""

_DYNAMIC = ({"dynamic_img_size": True, "dynamic_img_pad": True}, {"dynamic_img_size": True})
_ANY_SIZE = ({"strict_img_size": False},)
_POOLED = "global_pool head_drop"
_STEM_STAGES = ("stem", "stages*")

ROUTES: dict[str, Route] = {
    "Beit": Route(stages=("@embed", "blocks*beit", "+norm"), head="slice fc_norm head_drop head"),
    "ByobNet": Route(stages=("stem", "stages*", "final_conv")),
    "Cait": Route(stages=("@patches", "blocks*", "@class_attention"), head="slice head_drop head"),
    "ConvMixer": Route(stages=("stem", "blocks*"), head=f"{_POOLED} head"),
    "ConVit": Route(stages=("@patches", "blocks*convit", "+norm"), head="slice head_drop head"),
    "DLA": Route(
        stages=("base_layer level0 level1", "level2", "level3", "level4", "level5"), head=f"{_POOLED} fc flatten"
    ),
    "DPN": Route(stages=("features*",), head="global_pool classifier flatten"),
    "DaVit": Route(stages=("stem", "stages*", "+norm_pre")),
    "DeepseekVitClassifier": Route(stages=("encoder",), head="flat mean1 norm head_drop head"),
    "DenseNet": Route(stages=("features*",), head=f"{_POOLED} classifier"),
    "EfficientFormer": Route(stages=("stem", "stages*", "+norm"), head="mean1 head_drop classifiers"),
    "EfficientFormerV2": Route(stages=("stem", "stages*", "+norm"), head="mean23 head_drop classifiers"),
    "EfficientNet": Route(stages=("conv_stem bn1", "blocks*", "conv_head bn2"), head="global_pool classifier"),
    "EfficientVitMsra": Route(stages=("patch_embed", "stages*"), head="global_pool head"),
    "Eva": Route(stages=("@eva", "blocks*rope", "+norm"), head="@pool fc_norm head_drop head", flexible=_DYNAMIC),
    "FasterNet": Route(stages=("patch_embed", "stages*"), head="global_pool conv_head act flatten classifier"),
    "FocalNet": Route(stages=("stem", "layers*", "+norm")),
    "Gemma4VitClassifier": Route(stages=("encoder",), head="mean1 norm head_drop head"),
    "GhostNet": Route(stages=("conv_stem bn1 act1", "blocks*"), head="global_pool conv_head act2 flatten classifier"),
    "Hiera": Route(stages=("@hiera", "blocks*")),
    "HieraDet": Route(stages=("@hieradet", "blocks*")),
    "HighResolutionNet": Route(stages=("conv1 bn1 act1 conv2 bn2 act2", "@rest"), head=f"{_POOLED} classifier"),
    "IFormer": Route(stages=_STEM_STAGES, head="mean23 head_drop head"),
    "InceptionResnetV2": Route(
        stages=(
            "conv2d_1a conv2d_2a conv2d_2b maxpool_3a conv2d_3b conv2d_4a maxpool_5a", "mixed_5b", "repeat", "mixed_6a",
            "repeat_1", "mixed_7a", "repeat_2", "block8", "conv2d_7b",
        ),
        head=f"{_POOLED} classif",
    ),
    "InceptionV3": Route(
        stages=(
            "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Pool1 Conv2d_3b_1x1 Conv2d_4a_3x3 Pool2",
            "Mixed_5b Mixed_5c Mixed_5d", "Mixed_6a Mixed_6b Mixed_6c Mixed_6d Mixed_6e", "Mixed_7a Mixed_7b Mixed_7c",
        ),
        head=f"{_POOLED} fc",
    ),
    "InceptionV4": Route(stages=("features*",), head=f"{_POOLED} last_linear"),
    "LCNetV2": Route(stages=_STEM_STAGES, head="global_pool conv_head act2 flatten classifier"),
    "Levit": Route(stages=("@levit", "stages*"), head="mean_levit classifiers"),
    "LowFormer": Route(stages=_STEM_STAGES, head="in_conv global_pool flatten pre_classifier classifier"),
    "MetaFormer": Route(stages=_STEM_STAGES),
    "MlpMixer": Route(stages=("stem", "blocks*", "+norm"), head="mean1 head_drop head"),
    "MobileNetV3": Route(
        stages=("conv_stem bn1", "blocks*"), head="global_pool conv_head norm_head act2 flatten classifier"
    ),
    "MobileNetV5": Route(stages=("conv_stem", "@rest"), head="global_pool conv_head norm_head flatten classifier"),
    "MultiScaleVit": Route(stages=("@embed", "stages*mvit", "+norm"), head="slice head"),
    "NASNetALarge": Route(stages=("conv0", "@rest"), head=f"{_POOLED} last_linear"),
    "NaFlexVit": Route(stages=("@naflex", "blocks*rope", "+norm"), head="@pool_naflex fc_norm head_drop head"),
    "Nest": Route(stages=("patch_embed", "levels*", "+@norm_last"), head=f"{_POOLED} head"),
    "NormFreeNet": Route(stages=("stem", "stages*", "final_conv final_act")),
    "PNASNet5Large": Route(stages=("conv_0", "@rest"), head=f"{_POOLED} last_linear"),
    "PyramidVisionTransformerV2": Route(stages=("patch_embed", "stages*"), head="mean23 head_drop head"),
    "Qwen3VitClassifier": Route(stages=("encoder",), head="flat mean1 norm head_drop head"),
    "RDNet": Route(stages=("stem", "dense_stages*", "+norm_pre")),
    "RegNet": Route(stages=("stem", "s1", "s2", "s3", "s4", "final_conv")),
    "RepGhostNet": Route(stages=("conv_stem bn1 act1", "blocks*"), head="global_pool conv_head act2 flatten classifier"),
    "RepVit": Route(stages=_STEM_STAGES, head="mean23 head_drop head"),
    "ResNet": Route(stages=("conv1 bn1 act1 maxpool", "layer1", "layer2", "layer3", "layer4"), head="global_pool fc"),
    "ResNetV2": Route(stages=("stem", "stages*", "+norm")),
    "SENet": Route(stages=("layer0 pool0", "layer1", "layer2", "layer3", "layer4"), head="global_pool last_linear"),
    "SelecSls": Route(stages=("stem", "@rest"), head=f"{_POOLED} fc"),
    "SHViT": Route(stages=("patch_embed", "stages*"), head="global_pool flatten head"),
    "StarNet": Route(stages=("stem", "stages*", "+norm"), head="global_pool flatten head"),
    "SwiftFormer": Route(stages=("stem", "stages*", "+norm"), head="mean23 head_drop classifiers"),
    "SwinTransformer": Route(stages=("patch_embed", "layers*", "+norm"), flexible=_ANY_SIZE),
    "SwinTransformerV2": Route(stages=("patch_embed", "layers*", "+norm"), flexible=_ANY_SIZE),
    "SwinTransformerV2Cr": Route(stages=("patch_embed", "stages*"), flexible=_ANY_SIZE),
    "TNT": Route(stages=("@rest",), head="slice head_drop head"),
    "TResNet": Route(stages=("body*",)),
    "VGG": Route(stages=("features*pools",), head="pre_logits head"),
    "VOLO": Route(stages=("@volo", "network*volo", "@tokens", "@class_attention"), head="@head"),
    "VisionTransformer": Route(
        stages=("@vit", "blocks*", "+norm"), head="@pool fc_norm head_drop head", flexible=_DYNAMIC
    ),
    "VisionTransformerDistilled": Route(
        stages=("@vit", "blocks*", "+norm"), head="tokens2 head_drop classifiers", flexible=_DYNAMIC
    ),
    "VisionTransformerRelPos": Route(stages=("@embed", "blocks*relpos", "+norm"), head="slice fc_norm head_drop head"),
    "VisionTransformerSAM": Route(stages=("@sam", "blocks*", "@neck")),
    "VovNet": Route(stages=_STEM_STAGES),
    "Xception": Route(
        stages=(
            "conv1 bn1 act1 conv2 bn2 act2", "block1", "block2", "block3", "block4 block5 block6 block7",
            "block8 block9 block10 block11", "block12", "conv3 bn3 act3 conv4 bn4 act4",
        ),
        head="global_pool fc",
    ),
    "XceptionAligned": Route(stages=("stem", "blocks*", "+act")),
    "Xcit": Route(stages=("@xcit", "blocks*sized", "@class_attention"), head="slice head_drop head"),
}  # fmt: skip
"""By the name of the network's class, or of one that it derives from."""

USUAL = Route(
    stages=(
        "stem stem_dct patch_embed conv_stem bn1 act1", "stages* layers* levels* blocks* features*", "+norm", "+norm_pre",
        "final_conv", "conv_head",
    ),
    head="head",
)  # fmt: skip
"""For networks of other classes: a beginning, a container whose children follow one another, an end, a head."""

HEADS: dict[str, str] = {
    "classifier.ClassifierHead": "global_pool drop fc flatten",
    "classifier.NormMlpClassifierHead": "global_pool norm flatten pre_logits drop fc",
    "classifier.ClNormMlpClassifierHead": "@_global_pool norm pre_logits drop fc",
    "cpubone.ClsHead": "in_conv global_pool flatten pre_classifier classifier",
    "efficientvit_mit.ClassifierHead": "in_conv global_pool classifier*",
    "hgnet.ClassifierHead": "global_pool last_conv dropout flatten fc",
    "inception_next.MlpClassifierHead": "global_pool fc1 act norm drop fc2",
    "mambaout.MlpHead": "mean12 norm pre_logits head_dropout fc",
    "metaformer.MlpHead": "fc1 act norm head_drop fc2",
    "iformer.RepVitClassifier": "head_drop classifiers",
    "repvit.RepVitClassifier": "head_drop classifiers",
}
"""The order in which the layers of timm's heads run, by module and class."""
