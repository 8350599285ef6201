"""The network that finds the boundaries of objects (IRN, CVPR 2019, `net/resnet50_irn.py`; part of the paper's pipeline).

IRN's second branch, the displacement field, tells the instances of a class apart; for masks of classes it is never used, and it
is left out here.
"""

from collections import OrderedDict
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, pad

from ribstudy.models.backbones import Backbone, Weights, build_backbone

STRIDE = 4  # of the boundaries
BRANCH_CHANNELS = 32
RESNET_STAGES = ("maxpool", "layer1", "layer2", "layer3", "layer4")


class AffinityNet(nn.Module):
    """Images [N, 3, H, W] -> boundary logits [N, 1, ceil(H/4), ceil(W/4)].

    Features of five depths, all brought to 32 channels at stride 4, are weighed by a 1x1 convolution. The backbone stays as it
    is, and its batch norm uses its running statistics always; only the branches are trained.
    """

    def __init__(self, backbone: Backbone, ends: tuple[str, ...]):
        """ends: names of the backbone's modules that a stage ends with; what comes behind the last is not used."""
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
            # Stride 2 (EfficientNets): the mean keeps all four values of a position, where every other one would lose three.
            feature = branch(avg_pool2d(feature, STRIDE // stride, ceil_mode=True) if stride < STRIDE else feature)
            if stride > STRIDE:
                feature = interpolate(feature, scale_factor=stride // STRIDE, mode="bilinear", align_corners=False)
            parts.append(feature.relu()[..., :height, :width])
        return self.merge(torch.cat(parts, dim=1))

    def features(self, images: Tensor) -> list[Tensor]:
        """What never changes: the output of every stage, without a graph."""
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
        """For an optimiser."""
        return [*self.branches.parameters(), *self.merge.parameters()]


def build_affinity_net(backbone: str = "resnet50", weights: Weights = None) -> AffinityNet:
    """An `AffinityNet` by the name of its backbone.

    Args:
        backbone: "resnet50" or one of timm's EfficientNets ("tf_efficientnet_lite0").
        weights: of the backbone: None (random), "imagenet", the path of a state dict, or a state dict.

    Raises:
        ValueError: an unknown backbone, or weights that are missing or do not fit.
    """
    parts = build_backbone(backbone, weights)
    if backbone == "resnet50":
        return AffinityNet(parts, RESNET_STAGES)
    import timm  # see `ribstudy.models.backbones`

    with torch.device("meta"):  # no weights: asked only where its resolution changes, before an output stride hides that
        stages = timm.create_model(backbone).feature_info
    return AffinityNet(parts, tuple(stage["module"] for stage in stages))


def boundary(net: AffinityNet, image: Tensor, pad_to: int | None) -> Tensor:
    """The boundaries of an image, from the mean of the logits of its plain and of its mirrored view (IRN).

    Args:
        net: on the device of the image.
        image: [3, H, W], normalised.
        pad_to: sides shorter than this, in pixels, are padded with zeros at the right and at the bottom first (VOC: 512).

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
    for name, module in backbone_steps(backbone):
        stage[name.replace(".", "_")] = module
        if name in ends:
            stages.append(nn.Sequential(stage))
            stage = OrderedDict()
    assert len(stages) == len(ends), f"of {ends} only {len(stages)} were found"
    return stages


def backbone_steps(backbone: Backbone) -> Iterator[tuple[str, nn.Module]]:
    """The backbone's modules in the order of its forward pass, with an EfficientNet's blocks (`blocks.0`, ...) one by one."""
    for part in (backbone.frozen, backbone.trained):
        for name, module in part.named_children():
            if name == "blocks":
                yield from ((f"blocks.{index}", block) for index, block in module.named_children())
            else:
                yield name, module
