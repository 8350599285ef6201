"""Which of torch's kernels compute a network: exact ones everywhere, on a CPU fast ones for what small batches are made of."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def use_exact_kernels(*, tf32: bool = False) -> None:
    """For this process: float32 means float32 on an accelerator too (`tf32`: not quite), and the same input the same output.

    torch's own defaults take TF32 for convolutions, and gradients whose sums come in any order.
    """
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def use_fast_convolutions(net: nn.Module, device: str) -> None:
    """On a CPU: twice the speed of 1x1 convolutions on small batches, and three times that of dilated depthwise ones.

    1x1 (half of ResNet-50's work): on one thread torch hands one of fewer than 16 images to its own kernel, not to oneDNN,
    unless it is dilated or strided; the single position of the kernel stays where it is under any dilation. Depthwise (a third
    of an EfficientNet's time at stride 16): see `PhasedConv2d`. Parameters and their names stay as they are.
    """
    if torch.device(device).type != "cpu":
        return
    for name, module in list(net.named_modules()):
        if not isinstance(module, nn.Conv2d):
            continue
        if module.kernel_size == (1, 1):
            module.dilation = (2, 2)
        elif PhasedConv2d.can_replace(module):
            net.set_submodule(name, PhasedConv2d(module))


class PhasedConv2d(nn.Conv2d):
    """A dilated depthwise convolution as an undilated one, of images that hold every d-th row and column each.

    Under a dilation of d a position meets only those at distances of multiples of d, so the d x d interleaved grids can be
    taken for images of their own. The products are the same; oneDNN has no fast backward pass for the dilated form.
    """

    def __init__(self, conv: nn.Conv2d):
        """The same as `conv`, whose parameters it takes over; one that `can_replace` accepts."""
        with torch.device("meta"):
            super().__init__(
                conv.in_channels,
                conv.out_channels,
                conv.kernel_size,
                padding=conv.padding,
                dilation=conv.dilation,
                groups=conv.groups,
                bias=conv.bias is not None,
            )
        self.weight, self.bias = conv.weight, conv.bias

    @staticmethod
    def can_replace(conv: nn.Conv2d) -> bool:
        """Whether it is depthwise, dilated alike in both directions, and keeps the size of its images."""
        (rows, columns), (step, other) = conv.kernel_size, conv.dilation
        return (
            type(conv) is nn.Conv2d
            and conv.groups == conv.in_channels == conv.out_channels
            and step == other > 1
            and conv.stride == (1, 1)
            and conv.padding_mode == "zeros"
            and rows % 2 == columns % 2 == 1
            and conv.padding == (step * (rows // 2), step * (columns // 2))
        )

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]; channels last, in which the grids are cut and put together fastest."""
        step = self.dilation[0]
        count, channels, height, width = images.shape
        rows, columns = -(-height // step), -(-width // step)
        if (height, width) != (rows * step, columns * step):  # zeros behind the last row and column, as the padding has
            images = F.pad(images, (0, columns * step - width, 0, rows * step - height))
        grids = images.permute(0, 2, 3, 1)
        grids = grids.reshape(count, rows, step, columns, step, channels).permute(2, 4, 0, 1, 3, 5)
        grids = grids.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
        padding = [side // step for side in self.padding]
        found = F.conv2d(grids, self.weight, self.bias, padding=padding, groups=self.groups).permute(0, 2, 3, 1)
        found = found.reshape(step, step, count, rows, columns, channels).permute(2, 3, 0, 4, 1, 5)
        found = found.reshape(count, rows * step, columns * step, channels).permute(0, 3, 1, 2)
        return found[:, :, :height, :width]
