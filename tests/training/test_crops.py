import numpy as np
import torch
from helpers.arrays import ArrayDataset

from ribstudy.training.crops import masked_crops

PLAIN = ((0.0,) * 3, (1.0,) * 3)


def crops_of(dataset, indices, seeds, draw_factor=lambda rng: rng.uniform(0.5, 1.5)):
    rngs = [np.random.default_rng(seed) for seed in seeds]
    options = {"draw_factor": draw_factor, "crop_size": 32, "normalization": PLAIN}
    return masked_crops(dataset, dataset.names, dataset.mask, indices, rngs, **options)


def test_a_crop_depends_on_its_own_generator_only():
    dataset = ArrayDataset()
    images, masks = crops_of(dataset, [3, 5], [1, 2])
    assert (images.shape, masks.shape) == ((2, 3, 32, 32), (2, 32, 32))
    assert (images.dtype, masks.dtype) == (torch.float32, torch.int64)
    alone = [crops_of(dataset, [index], [seed]) for index, seed in ((3, 1), (5, 2))]
    assert torch.equal(images, torch.cat([image for image, _ in alone]))
    assert torch.equal(masks, torch.cat([mask for _, mask in alone]))


def test_the_drawn_factor_resizes_image_and_mask():
    dataset = ArrayDataset(1)  # 40 x 60 pixels
    _, masks = crops_of(dataset, [0], [0], draw_factor=lambda rng: 0.1)
    assert set(masks.unique().tolist()) <= {0, 1, 2, 3, 255}
    assert (masks != 255).sum() <= 4 * 6
