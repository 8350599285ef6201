"""The classifier whose output, before pooling, is its class activation map."""

from pathlib import Path

import torch
from torch import Tensor, nn

from ribstudy.models.backbones import Backbone, build_backbone
from ribstudy.models.batch_norm import FixedStatistics
from ribstudy.models.imagenet_classifiers import PACKAGED, imagenet_classifier
from ribstudy.models.kernels import use_exact_kernels, use_fast_convolutions
from ribstudy.models.weights import Weights


class CamNet(FixedStatistics):
    """Backbone and a bias-free 1x1 classifier: images [N, 3, H, W] -> signed class maps [N, C, h, w] at stride 16.

    Without a bias, the mean of a class's map is its logit, so the map shows which positions the logit comes from. Batch norm
    always uses its running statistics, even in training mode (reference code: FixedBatchNorm). The layers up to stride 8 are
    not trained.

    Args:
        backbone: see `build_backbone`.
        num_classes: C.
    """

    def __init__(self, backbone: Backbone, num_classes: int):
        super().__init__()
        self.frozen = backbone.frozen
        self.trained = backbone.trained
        self.classifier = nn.Conv2d(backbone.channels, num_classes, kernel_size=1, bias=False)
        self.normalization = backbone.normalization
        self.frozen.requires_grad_(False)
        self.last_stage = backbone.last_stage  # in a tuple, so that its modules are not registered twice
        self.precision = "fp32"
        self.train()

    def compute_with(self, *, precision: str = "fp32", compile: bool = False) -> "CamNet":
        """Sets how all later passes are computed (see `ComputeSettings`); maps are float32 in any case."""
        use_exact_kernels(tf32=precision == "tf32")
        self.precision = precision
        use_fast_convolutions(self, str(self.classifier.weight.device))
        if compile:
            self._above_the_cut = torch.compile(self._above_the_cut, dynamic=True)  # views differ in size
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """The output of the frozen part: [N, 3, H, W] -> features at stride 8, without a graph."""
        with torch.no_grad(), self._autocast():
            return self.frozen(images)

    def forward_with_graph(self, images: Tensor) -> Tensor:
        """Like `forward`, but with a graph through the frozen part, for gradients with respect to images or early layers."""
        with self._autocast():
            return self.maps(self.frozen(images))

    def maps(self, features: Tensor) -> Tensor:
        """From the features of the frozen part to the signed class maps."""
        with self._autocast():
            return self._above_the_cut(features).float()

    def _above_the_cut(self, features: Tensor) -> Tensor:
        return self.classifier(self.trained(features))

    def _autocast(self) -> torch.autocast:
        """A new context for every pass: an open one keeps casting weights to copies from before an update."""
        return torch.autocast(self.classifier.weight.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def parameter_groups(self, learning_rate: float, head_lr_factor: float) -> list[dict]:
        """Parameter groups for an optimiser: the trained part, and the classifier at `head_lr_factor` times its rate."""
        return [
            {"params": list(self.trained.parameters()), "lr": learning_rate},
            {"params": list(self.classifier.parameters()), "lr": head_lr_factor * learning_rate},
        ]


def build_cam_net(backbone: str = "resnet50", num_classes: int = 20, weights: Weights = None) -> CamNet:
    """Builds a `CamNet` from the name of its backbone.

    Args:
        backbone: "resnet50" or one of timm's EfficientNets ("tf_efficientnet_lite0").
        num_classes: C.
        weights: of the backbone: None (random), "imagenet", the path of a state dict, or a state dict. In a state dict of
            torchvision's resnet50, `fc.*` is ignored. The classifier's weights are random.

    Raises:
        ValueError: an unknown backbone, or weights that are missing or do not fit.
    """
    return CamNet(build_backbone(backbone, weights), num_classes)


def build_imagenet_cam_net(name: str = PACKAGED, weights: str | Path = "imagenet") -> CamNet:
    """An unchanged ImageNet classifier as a `CamNet` of 1,000 classes, in evaluation mode.

    The head's bias is omitted because a map with the same value everywhere shows no position. Arguments and errors: see
    `imagenet_classifier`.
    """
    backbone = imagenet_classifier(name, weights)
    net = CamNet(backbone, num_classes=len(backbone.imagenet_head))
    with torch.no_grad():
        net.classifier.weight.copy_(backbone.imagenet_head[:, :, None, None])
    return net.eval()
