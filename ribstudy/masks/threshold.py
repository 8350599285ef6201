"""Background thresholds found without true masks (the paper chooses its thresholds with the masks of the training images).

Two rules use a histogram of the map values of all images; one compares the mask of each image with the image's colours. The
histogram has 256 bins and takes one pass over the images.

Shapes: n classes in the image, H x W pixels, T thresholds.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ribstudy.masks.crf import refine_labels
from ribstudy.masks.labelling import mask_of

NUM_BINS = 256
UPPER_EDGES = np.arange(1, NUM_BINS + 1) / NUM_BINS
AGREEMENT_THRESHOLDS = np.arange(1, 9) / 10  # 0.1 to 0.8; above that only the peaks of maps remain


def histogram_of(maps: np.ndarray) -> np.ndarray:
    """Histogram of each pixel's largest value over the classes: [n, H, W] in 0..1 -> int64 [256]; n = 0 gives zeros.

    Add the histograms of several images. Raises ValueError if a value is nan or not in 0..1.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"maps {maps.shape}: expected [n, H, W]")
    if not maps.size:
        return np.zeros(NUM_BINS, dtype=np.int64)
    if not (maps.min() >= 0 and maps.max() <= 1):
        raise ValueError(f"maps range from {maps.min()} to {maps.max()}; expected 0 to 1")
    return np.histogram(maps.max(axis=0), bins=NUM_BINS, range=(0, 1))[0]


def otsu(histogram: np.ndarray) -> float:
    """The threshold with the least variance of values within the two sides (Otsu, 1979).

    It assumes that the values of objects and of background form two modes of similar spread and size. If one of them has most
    of the pixels, the threshold is drawn into its mode; if maps fall off gently from a peak, there are no two modes.

    Args:
        histogram: [256], a sum of results of `histogram_of`.

    Returns:
        The edge of a bin, in 0..1; values above it are objects.

    Raises:
        ValueError: there are no counts, or all of them are in one bin.
    """
    from skimage.filters import threshold_otsu  # takes half a second

    return _split(histogram, threshold_otsu)


def yen(histogram: np.ndarray) -> float:
    """The threshold with the largest sum of -log sum (p_i / P)^2 over the two sides, an entropy (Yen, Chang and Chang, 1995).

    It assumes that values are spread evenly within objects and within background. It does not depend on how many pixels each
    has, and therefore copes with sides of unequal size better than `otsu`. If many values fall into one bin, such as the zeros
    of an empty background, the entropy of that side is small at every threshold, and the other side alone decides. Arguments,
    result and errors: see `otsu`.
    """
    from skimage.filters import threshold_yen

    return _split(histogram, threshold_yen)


RULES: dict[str, Callable[[np.ndarray], float]] = {"otsu": otsu, "yen": yen}


def _split(histogram: np.ndarray, rule: Callable[..., float]) -> float:
    histogram = np.asarray(histogram)
    if histogram.shape != (NUM_BINS,):
        raise ValueError(f"histogram {histogram.shape}: expected ({NUM_BINS},)")
    filled = np.count_nonzero(histogram)
    if filled < 2:
        raise ValueError(f"{filled} of {NUM_BINS} bins contain values, so no threshold divides them; are all maps empty?")
    # The rules return the centre of the lower side's last bin; with upper edges in place of centres, that is the threshold.
    with np.errstate(divide="ignore"):  # an empty side gives log 0, which is never the maximum
        return float(rule(hist=(histogram, UPPER_EDGES)))


def crf_agreement(image: np.ndarray, maps: np.ndarray, thresholds: Sequence[float], **crf: float) -> np.ndarray:
    """Agreement of an image's mask with the mask after the seed CRF, at each threshold; see `most_agreed` for the best one.

    It assumes that objects differ from their surroundings in colour, so that the CRF leaves a correct mask unchanged. The CRF
    also leaves smooth masks unchanged, correct or not, and changes large regions less than small ones. A label that occurs in
    neither mask counts as 0, because the image is known to show its classes and assumed to show background. Otherwise the
    empty mask would win.

    Args:
        image: uint8 [H, W, 3].
        maps: [n, H, W] in 0..1.
        thresholds: [T].
        **crf: keyword arguments of `refine_labels`.

    Returns:
        [T], IoU of the mask and the refined mask, averaged over background and the n classes; nan for an image without a class.
    """
    if not len(maps):
        return np.full(len(thresholds), np.nan)
    order = np.arange(len(maps))
    masks = [mask_of(maps, order, threshold).astype(np.int64) for threshold in thresholds]
    return np.array([_agreement(mask, refine_labels(image, mask, len(maps) + 1, **crf), len(maps) + 1) for mask in masks])


def most_agreed(agreement: np.ndarray) -> float:
    """The threshold of AGREEMENT_THRESHOLDS with the highest mean agreement: `crf_agreement` of N images, [N, T] -> threshold.

    Images without a class (nan) are left out. Raises ValueError if no image has a class.
    """
    means = agreement[~np.isnan(agreement).any(axis=1)]
    if not len(means):
        raise ValueError("none of the images has a class, so there is no mask to refine with the CRF")
    return float(AGREEMENT_THRESHOLDS[means.mean(axis=0).argmax()])


def _agreement(mask: np.ndarray, refined: np.ndarray, num_labels: int) -> float:
    """Mean IoU of two masks over all labels; a label in neither mask counts as 0."""
    in_mask, in_refined = (labels == np.arange(num_labels)[:, None, None] for labels in (mask, refined))
    shared, union = (pixels.sum(axis=(1, 2)) for pixels in (in_mask & in_refined, in_mask | in_refined))
    return float((shared / np.maximum(union, 1)).mean())
