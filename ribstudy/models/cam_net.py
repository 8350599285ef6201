"""The classifier whose output, before pooling, is its class activation map."""

import torch
from torch import Tensor, nn

from ribstudy.models.backbones import Backbone, Weights, build_backbone
from ribstudy.models.kernels import use_exact_kernels, use_fast_convolutions


class CamNet(nn.Module):
    """Backbone and a bias-free 1x1 classifier: images [N, 3, H, W] -> signed class maps [N, C, h, w] at stride 16.

    Without a bias the mean of a class's map is its logit, so the map says where the logit comes from. Batch norm uses its
    running statistics always, also in training mode (reference code: FixedBatchNorm). Up to stride 8 nothing is trained.
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

    def compute_with(self, *, precision: str = "fp32", compile: bool = False) -> "CamNet":
        """Sets how the numbers are computed from here on (see `ComputeSettings`); maps are float32 in any case."""
        use_exact_kernels(tf32=precision == "tf32")
        self.precision = precision
        use_fast_convolutions(self, str(self.classifier.weight.device))
        if compile:
            self._above_the_cut = torch.compile(self._above_the_cut, dynamic=True)  # views differ in size
        return self

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(self.features(images))

    def features(self, images: Tensor) -> Tensor:
        """What never changes: [N, 3, H, W] -> features at stride 8, without a graph."""
        with torch.no_grad(), self._autocast():
            return self.frozen(images)

    def forward_with_graph(self, images: Tensor) -> Tensor:
        """As `forward`, with a graph through the frozen part too, for gradients with respect to images or early layers."""
        with self._autocast():
            return self.maps(self.frozen(images))

    def maps(self, features: Tensor) -> Tensor:
        """From the features of the frozen part to the signed class maps."""
        with self._autocast():
            return self._above_the_cut(features).float()

    def _above_the_cut(self, features: Tensor) -> Tensor:
        return self.classifier(self.trained(features))

    def _autocast(self) -> torch.autocast:
        """Entered anew for every pass: while it is open, autocast keeps its copies of weights that have changed since."""
        return torch.autocast(self.classifier.weight.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def train(self, mode: bool = True) -> "CamNet":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def parameter_groups(self, learning_rate: float, head_lr_factor: float) -> list[dict]:
        """For an optimiser: the trained part, and the classifier with `head_lr_factor` times its learning rate."""
        return [
            {"params": list(self.trained.parameters()), "lr": learning_rate},
            {"params": list(self.classifier.parameters()), "lr": head_lr_factor * learning_rate},
        ]


def build_cam_net(backbone: str = "resnet50", num_classes: int = 20, weights: Weights = None) -> CamNet:
    """A `CamNet` by the name of its backbone.

    Args:
        backbone: "resnet50" or one of timm's EfficientNets ("tf_efficientnet_lite0").
        num_classes: C.
        weights: of the backbone: None (random), "imagenet", the path of a state dict, or a state dict; of torchvision's
            resnet50, `fc.*` is ignored.

    Raises:
        ValueError: an unknown backbone, or weights that are missing or do not fit.
    """
    return CamNet(build_backbone(backbone, weights), num_classes)


def build_imagenet_cam_net(backbone: str = "tf_efficientnet_lite0") -> CamNet:
    """The untouched ImageNet classifier as a `CamNet` of 1,000 classes; the head's bias, the same everywhere, is left out."""
    parts = build_backbone(backbone, "imagenet")
    if parts.imagenet_head is None:
        raise ValueError(f"the ImageNet head of {backbone!r} is not at hand; known: tf_efficientnet_lite0")
    net = CamNet(parts, num_classes=len(parts.imagenet_head))
    with torch.no_grad():
        net.classifier.weight.copy_(parts.imagenet_head[:, :, None, None])
    return net.eval()
