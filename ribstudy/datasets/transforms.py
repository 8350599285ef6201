"""From uint8 images to network inputs: the views from which maps are computed, and random crops for training."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ribstudy.datasets.base import Dataset
from ribstudy.datasets.pictures import VOID

Normalization = tuple[tuple[float, ...], tuple[float, ...]]


def normalize(image: np.ndarray, normalization: Normalization) -> Tensor:
    """uint8 [H, W, 3] -> float32 [3, H, W]: channels in 0..1, minus their mean, divided by their standard deviation."""
    mean, deviation = (torch.tensor(values, dtype=torch.float32)[:, None, None] for values in normalization)
    return (torch.from_numpy(np.array(image)).permute(2, 0, 1).to(torch.float32) / 255 - mean) / deviation


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 [H, W, 3] -> uint8 [height, width, 3], bicubic interpolation of PIL (reference code, `misc/imutils.py`)."""
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def views(image: np.ndarray, scales: Sequence[float], normalization: Normalization) -> list[Tensor]:
    """The image at each scale, plain and mirrored: a list of [2, 3, round(H s), round(W s)], with halves rounded to even."""
    height, width = image.shape[:2]
    result = []
    for scale in scales:
        scaled = image if scale == 1 else resize(image, max(round(height * scale), 1), max(round(width * scale), 1))
        plain = normalize(scaled, normalization)
        result.append(torch.stack([plain, plain.flip(-1)]))
    return result


def random_crop_view(
    image: np.ndarray, *, long_side: tuple[int, int], crop_size: int, normalization: Normalization, rng: np.random.Generator
) -> Tensor:
    """A training view: resized to a random longer side, normalised, mirrored with probability 0.5, and cropped at random.

    uint8 [H, W, 3] -> float32 [3, crop_size, crop_size]. The longer side is drawn uniformly from `long_side`, both ends
    included. An image smaller than the crop is padded with zeros, at a random position (reference code: `random_resize_long`
    and `random_crop` in `misc/imutils.py`).
    """
    height, width = image.shape[:2]
    factor = rng.integers(long_side[0], long_side[1], endpoint=True) / max(height, width)
    view = normalize(resize(image, max(round(height * factor), 1), max(round(width * factor), 1)), normalization)
    if rng.random() < 0.5:
        view = view.flip(-1)
    return _cut(view, crop_size, _random_windows(view.shape[1:], crop_size, rng))


def crop_batch(
    dataset: Dataset,
    indices: Sequence[int],
    rngs: Iterable[np.random.Generator],
    *,
    long_side: tuple[int, int],
    crop_size: int,
    normalization: Normalization,
) -> tuple[Tensor, Tensor]:
    """Training views of some images, each drawn with its own generator.

    Returns images [B, 3, crop_size, crop_size] and labels [B, C], both float32.
    """
    crops = torch.zeros(len(indices), 3, crop_size, crop_size)
    for place, (index, rng) in enumerate(zip(indices, rngs, strict=False)):
        image = dataset.image(dataset.names[index])
        crops[place] = random_crop_view(image, long_side=long_side, crop_size=crop_size, normalization=normalization, rng=rng)
    return crops, torch.from_numpy(dataset.labels[indices].astype(np.float32))


def masked_crop(
    image: np.ndarray,
    mask: np.ndarray,
    *,
    factor: float,
    crop_size: int,
    normalization: Normalization,
    rng: np.random.Generator,
) -> tuple[Tensor, Tensor]:
    """An image and its mask, both resized by `factor`, mirrored with probability 0.5 and cropped at random in the same way.

    uint8 [H, W, 3] and uint8 [H, W] -> float32 [3, s, s] and int64 [s, s], s = crop_size. The image is resized with bicubic
    and its mask with nearest-neighbour interpolation. If they are smaller than the crop, they are padded at a random position,
    the image with zeros (the mean colour) and the mask with 255.

    Raises ValueError if image and mask differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"the image has {image.shape[:2]} pixels (height, width), but its mask has {mask.shape}")
    height, width = (max(round(length * factor), 1) for length in mask.shape)
    view = normalize(resize(image, height, width), normalization)
    classes = torch.from_numpy(np.array(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST)))[None]
    if rng.random() < 0.5:
        view, classes = view.flip(-1), classes.flip(-1)
    windows = _random_windows(view.shape[1:], crop_size, rng)
    return _cut(view, crop_size, windows), _cut(classes, crop_size, windows, fill=VOID)[0].long()


def _random_windows(shape: Sequence[int], size: int, rng: np.random.Generator) -> list[tuple[slice, slice]]:
    """For each side, the slice of the view and the slice of the crop that it is copied to."""
    windows = []
    for length in shape:
        kept = min(length, size)
        from_ = rng.integers(0, length - kept, endpoint=True)
        to = rng.integers(0, size - kept, endpoint=True)
        windows.append((slice(from_, from_ + kept), slice(to, to + kept)))
    return windows


def _cut(view: Tensor, size: int, windows: list[tuple[slice, slice]], *, fill: int = 0) -> Tensor:
    """Copies the windows into a crop filled with `fill`: [C, H, W] -> [C, size, size]."""
    source, target = zip(*windows, strict=True)
    crop = torch.full((len(view), size, size), fill, dtype=view.dtype)
    crop[:, *target] = view[:, *source]
    return crop
