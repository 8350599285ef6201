"""The choice of torch's kernels: exact kernels on all devices, and fast kernels for small batches on a CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def use_exact_kernels(*, tf32: bool = False) -> None:
    """Makes this process compute float32 exactly and reproducibly on an accelerator too; with `tf32`, only reproducibly.

    By default, torch uses TF32 for convolutions and sums gradients in an arbitrary order.
    """
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


def use_fast_convolutions(net: nn.Module, device: str) -> None:
    """Speeds up 1x1 convolutions of small batches on a CPU two times and many depthwise convolutions two to three times.

    1x1 convolutions are half of ResNet-50's work. On one thread and with fewer than 16 images, torch computes them by its own
    kernel, not by oneDNN, unless they are dilated or strided. A dilation does not change a kernel with a single position.
    Depthwise convolutions take half of an EfficientNet's time at stride 16, see `DepthwiseConv2d`. Parameters and their names
    do not change.
    """
    if torch.device(device).type != "cpu":
        return
    for name, module in list(net.named_modules()):
        if not isinstance(module, nn.Conv2d):
            continue
        if module.kernel_size == (1, 1):
            module.dilation = (2, 2)
        elif DepthwiseConv2d.can_replace(module):
            net.set_submodule(name, DepthwiseConv2d(module))


class DepthwiseConv2d(nn.Conv2d):
    """A dilated or wide depthwise convolution, computed by convolutions for which oneDNN has fast kernels.

    With dilation d, a position interacts only with positions at multiples of d. The d x d interleaved grids can therefore be
    treated as separate images and convolved without dilation; the products are the same. For the gradients of a wide kernel
    see `_WideDepthwise`.

    Args:
        conv: a convolution that `can_replace` accepts. Its parameters are shared.
    """

    def __init__(self, conv: nn.Conv2d):
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
        """Whether `conv` is depthwise, keeps the size of its images, and is dilated (equally in both directions) or wide."""
        (rows, columns), (step, other) = conv.kernel_size, conv.dilation
        return (
            type(conv) is nn.Conv2d
            and conv.groups == conv.in_channels == conv.out_channels
            and step == other
            and (step > 1 or columns > FAST_COLUMNS)
            and columns < 2 * FAST_COLUMNS  # so that the narrowest image is wide enough for `_kernel_gradient`
            and conv.stride == (1, 1)
            and conv.padding_mode == "zeros"
            and rows % 2 == columns % 2 == 1
            and conv.padding == (step * (rows // 2), step * (columns // 2))
        )

    def forward(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W]; channels last, because the grids are split and merged fastest in this layout."""
        step = self.dilation[0]
        if step == 1:
            return self._undilated(images)
        count, channels, height, width = images.shape
        rows, columns = -(-height // step), -(-width // step)
        if (height, width) != (rows * step, columns * step):  # zeros after the last row and column, as in the padding
            images = F.pad(images, (0, columns * step - width, 0, rows * step - height))
        grids = images.permute(0, 2, 3, 1)
        grids = grids.reshape(count, rows, step, columns, step, channels).permute(2, 4, 0, 1, 3, 5)
        grids = grids.reshape(-1, rows, columns, channels).permute(0, 3, 1, 2)
        found = self._undilated(grids).permute(0, 2, 3, 1)
        found = found.reshape(step, step, count, rows, columns, channels).permute(2, 3, 0, 4, 1, 5)
        found = found.reshape(count, rows * step, columns * step, channels).permute(0, 3, 1, 2)
        return found[:, :, :height, :width]

    def _undilated(self, images: Tensor) -> Tensor:
        if self.kernel_size[1] <= FAST_COLUMNS:
            return F.conv2d(images, self.weight, self.bias, padding="same", groups=self.groups)
        found = _WideDepthwise.apply(images, self.weight)
        return found if self.bias is None else found + self.bias[:, None, None].to(found.dtype)


# oneDNN takes ten times as long for the gradient of a depthwise kernel with more columns, and twice as long again if the images
# exceed the processor's cache.
FAST_COLUMNS, CHUNK_VALUES = 3, 2**19


class _WideDepthwise(torch.autograd.Function):
    """An undilated depthwise convolution that keeps the size of its images.

    The gradient of its kernel is computed for a few columns at a time.
    """

    @staticmethod
    def forward(ctx, images: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(images, weight)
        return F.conv2d(images, weight, padding="same", groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        images, weight = (saved.to(gradient.dtype) for saved in ctx.saved_tensors)  # autocast computes in another type
        of_images = of_weight = None
        if ctx.needs_input_grad[0]:
            of_images = F.conv2d(gradient, weight.flip(2, 3), padding="same", groups=len(weight)).to(ctx.saved_tensors[0].dtype)
        if ctx.needs_input_grad[1]:
            of_weight = _kernel_gradient(images, gradient, weight.shape).to(ctx.saved_tensors[1].dtype)
        return of_images, of_weight


def _kernel_gradient(images: Tensor, gradient: Tensor, shape: torch.Size) -> Tensor:
    _, _, rows, columns = shape
    total = images.new_zeros(shape)
    count = max(1, CHUNK_VALUES // images[0].numel())
    for part, of_part in zip(images.split(count), gradient.split(count), strict=True):
        for first in range(0, columns, FAST_COLUMNS):
            some = total[..., first : first + FAST_COLUMNS]
            left = columns // 2 - first
            met = F.pad(part, (left, some.shape[3] - 1 - left))  # the input of these columns; a negative padding crops
            some += torch.nn.grad.conv2d_weight(met, some.shape, of_part, padding=(rows // 2, 0), groups=shape[0])
    return total
