"""Random crops of an image together with its mask."""

import numpy as np
import pytest
import torch

from ribstudy.datasets.transforms import masked_crop

PLAIN = ((0.0,) * 3, (1.0,) * 3)


def painted(height=20, width=30):
    """An image whose pixels have the colour that belongs to their class, in blocks, and the mask of the classes."""
    mask = np.random.default_rng(3).integers(0, 5, (height // 10, width // 10)).repeat(10, axis=0).repeat(10, axis=1)
    return np.stack([mask * 50] * 3, axis=-1).astype(np.uint8), mask.astype(np.uint8)


def test_image_and_mask_are_placed_and_mirrored_alike():
    image, mask = painted()
    mirrored = set()
    for seed in range(12):
        crop, classes = masked_crop(image, mask, factor=1.0, crop_size=40, normalization=PLAIN, rng=np.random.default_rng(seed))
        assert crop.shape == (3, 40, 40)
        assert classes.shape == (40, 40)
        assert (crop.dtype, classes.dtype) == (torch.float32, torch.int64)
        known = classes != 255
        assert known.sum() == 20 * 30
        assert torch.count_nonzero(crop[:, ~known]) == 0  # the mean colour
        assert torch.equal((crop[0] * 255 / 50).round().long()[known], classes[known])
        found = classes[known].view(20, 30).numpy()
        assert (found == mask).all() or (found == mask[:, ::-1]).all()
        mirrored.add(bool((found == mask).all()))
    assert mirrored == {True, False}


def test_image_and_mask_are_resized_and_cut_alike():
    image, mask = painted()
    for seed in range(6):
        crop, classes = masked_crop(image, mask, factor=2.0, crop_size=24, normalization=PLAIN, rng=np.random.default_rng(seed))
        assert (classes != 255).all()
        agreeing = (crop[0] * 255 / 50).round() == classes
        assert agreeing.float().mean() > 0.75  # colours blend where blocks meet


def test_an_image_and_a_mask_of_different_size_are_refused():
    image, mask = painted()
    with pytest.raises(ValueError, match=r"the image has \(20, 30\) pixels .* its mask has \(20, 29\)"):
        masked_crop(image, mask[:, 1:], factor=1.0, crop_size=9, normalization=PLAIN, rng=np.random.default_rng(0))
