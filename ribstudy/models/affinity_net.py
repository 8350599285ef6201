"""The affinity network, which finds object boundaries (IRN, CVPR 2019, `net/resnet50_irn.py`; part of the paper's pipeline).

IRN's second branch, the displacement field, separates instances of a class. Masks of classes do not need it, so it is omitted.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad

from ribstudy.models.backbones import Backbone, backbone_steps, build_backbone
from ribstudy.models.weights import Weights
from ribstudy.runtime import torchvision_operators  # noqa: F401  (before timm)

STRIDE = 4  # of the boundaries
BRANCH_CHANNELS = 32
RESNET_STAGES = ("maxpool", "layer1", "layer2", "layer3", "layer4")


class AffinityNet(nn.Module):
    """Images [N, 3, H, W] -> boundary logits [N, 1, ceil(H/4), ceil(W/4)].

    Features of five depths are brought to 32 channels at stride 4 and merged by a 1x1 convolution. Only the branches and the
    merging convolution are trained. The backbone is frozen, and its batch norm always uses its running statistics.

    Args:
        backbone: see `build_backbone`.
        ends: names of the last module of every stage of the backbone; modules after the last of them are not used.
    """

    def __init__(self, backbone: Backbone, ends: tuple[str, ...]):
        super().__init__()
        self.stages = nn.ModuleList(_stages(backbone, ends)).requires_grad_(False).eval()
        self.normalization = backbone.normalization
        probe = self.features(torch.zeros(1, 3, 32, 32))
        self._strides = [32 // feature.shape[-1] for feature in probe]
        self.branches = nn.ModuleList(_branch(feature.shape[1]) for feature in probe)
        self.merge = nn.Conv2d(BRANCH_CHANNELS * len(self.branches), 1, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        height, width = (-(-length // STRIDE) for length in images.shape[-2:])
        parts = []
        for feature, stride, branch in zip(self.features(images), self._strides, self.branches, strict=True):
            # At stride 2 (EfficientNets) the mean keeps all four values of a position; subsampling would discard three.
            feature = branch(avg_pool2d(feature, STRIDE // stride, ceil_mode=True) if stride < STRIDE else feature)
            if stride > STRIDE:
                feature = interpolate(feature, scale_factor=stride // STRIDE, mode="bilinear", align_corners=False)
            parts.append(feature.relu()[..., :height, :width])
        return self.merge(torch.cat(parts, dim=1))

    def features(self, images: Tensor) -> list[Tensor]:
        """The output of every stage of the frozen backbone, without a graph."""
        outputs = []
        with torch.no_grad():
            for stage in self.stages:
                images = stage(images)
                outputs.append(images)
        return outputs

    def train(self, mode: bool = True) -> "AffinityNet":
        super().train(mode)
        self.stages.eval()
        return self

    def trained_parameters(self) -> list[nn.Parameter]:
        """The parameters for an optimiser."""
        return [*self.branches.parameters(), *self.merge.parameters()]


def build_affinity_net(backbone: str = "resnet50", weights: Weights = None) -> AffinityNet:
    """Builds an `AffinityNet` from the name of its backbone.

    Args:
        backbone: "resnet50" or one of timm's EfficientNets ("tf_efficientnet_lite0").
        weights: of the backbone: None (random), "imagenet", the path of a state dict, or a state dict.

    Raises:
        ValueError: an unknown backbone, or weights that are missing or do not fit.
    """
    parts = build_backbone(backbone, weights)
    if backbone == "resnet50":
        return AffinityNet(parts, RESNET_STAGES)
    import timm  # takes seconds to import

    # The stages are read from a network without an output stride, which would hide where the resolution changes.
    with torch.device("meta"):  # allocates no weights
        stages = timm.create_model(backbone).feature_info
    return AffinityNet(parts, tuple(stage["module"] for stage in stages))


def boundary(net: AffinityNet, image: Tensor, pad_to: int | None) -> Tensor:
    """The boundaries of an image, from the mean logits of its plain and its mirrored view (IRN).

    Args:
        net: on the device of the image.
        image: [3, H, W], normalised.
        pad_to: sides shorter than this, in pixels, are first padded with zeros on the right and at the bottom (VOC: 512).

    Returns:
        [(H-1)//4+1, (W-1)//4+1] in 0..1.

    Raises:
        ValueError: the image has another shape.
    """
    if image.ndim != 3 or len(image) != 3:
        raise ValueError(f"image {tuple(image.shape)}: expected [3, H, W]")
    height, width = image.shape[1:]
    missing = [max((pad_to or 0) - length, 0) for length in (width, height)]
    views = pad(torch.stack([image, image.flip(-1)]), (0, missing[0], 0, missing[1]))
    with torch.no_grad():
        logits = net(views)[:, 0, : (height - 1) // STRIDE + 1, : (width - 1) // STRIDE + 1]
    return (logits[0] / 2 + logits[1].flip(-1) / 2).sigmoid()


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, BRANCH_CHANNELS, kernel_size=1, bias=False), nn.GroupNorm(4, BRANCH_CHANNELS))


def _stages(backbone: Backbone, ends: tuple[str, ...]) -> list[nn.Sequential]:
    stages, stage = [], OrderedDict()
    for name, module in backbone_steps(backbone.frozen, backbone.trained):
        stage[name.replace(".", "_")] = module
        if name in ends:
            stages.append(nn.Sequential(stage))
            stage = OrderedDict()
    assert len(stages) == len(ends), f"found only {len(stages)} of the stages that end with {ends}"
    return stages
