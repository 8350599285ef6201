"""Background thresholds found without any true mask (the paper's are chosen on the training images' masks).

Two rules look at the values of the maps of all images together, and one asks the colours of each image. The former need a pass
over the images that keeps 256 counts.

Shapes: n classes in the image, H x W pixels, T thresholds.
"""

from collections.abc import Callable, Sequence

import numpy as np
from skimage.filters import threshold_otsu, threshold_yen

from ribstudy.evaluation.metrics import ConfusionMatrix, class_scores
from ribstudy.masks.crf import refine_labels
from ribstudy.masks.labelling import mask_of

NUM_BINS = 256
UPPER_EDGES = np.arange(1, NUM_BINS + 1) / NUM_BINS
AGREEMENT_THRESHOLDS = np.arange(1, 9) / 10  # 0.1 to 0.8; above that only peaks are left


def histogram_of(maps: np.ndarray) -> np.ndarray:
    """Counts of the pixels by their largest value over the classes: [n, H, W] in 0..1 -> int64 [256]; no class, no count.

    Histograms of images add up. Raises ValueError where a value lies outside of 0..1 or is nan.
    """
    maps = np.asarray(maps)
    if maps.ndim != 3:
        raise ValueError(f"maps {maps.shape}: expected [n, H, W]")
    if not maps.size:
        return np.zeros(NUM_BINS, dtype=np.int64)
    if not (maps.min() >= 0 and maps.max() <= 1):
        raise ValueError(f"maps reach from {maps.min()} to {maps.max()}; expected 0 to 1")
    return np.histogram(maps.max(axis=0), bins=NUM_BINS, range=(0, 1))[0]


def otsu(histogram: np.ndarray) -> float:
    """The threshold that leaves the least variance of values on either side (Otsu, 1979).

    It assumes that objects and background have values of their own, of like spread and in like numbers. Where one of them has
    most of the pixels, the threshold is drawn into its values; where maps fall off gently from a peak, there are no two sides.

    Args:
        histogram: [256], a sum of what `histogram_of` gives.

    Returns:
        The edge of a bin, in 0..1: what is above it is an object.

    Raises:
        ValueError: no counts, or all of them in one bin.
    """
    return _split(histogram, threshold_otsu)


def yen(histogram: np.ndarray) -> float:
    """The threshold with the largest sum of -log sum (p_i / P)^2 over the two sides, an entropy (Yen, Chang and Chang, 1995).

    It assumes that values are spread evenly within objects and within background, however many pixels each has, and so bears
    sides of unequal size better than `otsu`. Values that pile up in one bin, such as the zeros of an empty background, make
    that side's entropy small wherever it ends, so that the other side alone decides. Arguments, result and errors: see `otsu`.
    """
    return _split(histogram, threshold_yen)


RULES: dict[str, Callable[[np.ndarray], float]] = {"otsu": otsu, "yen": yen}


def _split(histogram: np.ndarray, rule: Callable[..., float]) -> float:
    histogram = np.asarray(histogram)
    if histogram.shape != (NUM_BINS,):
        raise ValueError(f"histogram {histogram.shape}: expected ({NUM_BINS},)")
    filled = np.count_nonzero(histogram)
    if filled < 2:
        raise ValueError(
            f"{filled} of {NUM_BINS} bins hold values: no threshold divides them; are there maps, and not all empty?"
        )
    # The rules name the last bin of the lower side; given upper edges for centres, that is where the two sides meet.
    with np.errstate(divide="ignore"):  # a side that rounds to nothing: log 0, never the maximum
        return float(rule(hist=(histogram, UPPER_EDGES)))


def crf_agreement(image: np.ndarray, maps: np.ndarray, thresholds: Sequence[float], **crf: float) -> np.ndarray:
    """How little the seed CRF changes of an image's mask at each threshold: to be averaged over images, and the best taken.

    It assumes that objects differ from their surroundings in colour, so that a mask that is right is one that the CRF leaves as
    it is. A mask that the CRF leaves because it is smooth is not told from it, and larger regions change less than small ones.
    A class that is in neither mask counts as 0, as does background (else the empty mask would win): the image is known to show
    its classes, and taken to show background.

    Args:
        image: uint8 [H, W, 3].
        maps: [n, H, W] in 0..1.
        thresholds: [T].
        **crf: keyword arguments of `refine_labels`.

    Returns:
        [T], IoU of the mask and its refined version, mean over background and the n classes; nan for an image without a class.
    """
    if not len(maps):
        return np.full(len(thresholds), np.nan)
    order = np.arange(len(maps))
    masks = [mask_of(maps, order, threshold).astype(np.int64) for threshold in thresholds]
    return np.array([_agreement(mask, refine_labels(image, mask, len(maps) + 1, **crf), len(maps) + 1) for mask in masks])


def most_agreed(agreement: np.ndarray) -> float:
    """The one of AGREEMENT_THRESHOLDS at which images agree most on average: `crf_agreement` of images [N, T].

    Raises ValueError where no image has a class.
    """
    means = agreement[~np.isnan(agreement).any(axis=1)]
    if not len(means):
        raise ValueError("none of the images has a class, so that there is no mask to ask the CRF about")
    return float(AGREEMENT_THRESHOLDS[means.mean(axis=0).argmax()])


def _agreement(mask: np.ndarray, refined: np.ndarray, num_labels: int) -> float:
    confusion = ConfusionMatrix(num_labels)
    confusion.update(refined, mask)
    counts = np.stack([np.diag(confusion.counts), confusion.counts.sum(axis=0), confusion.counts.sum(axis=1)])
    return float(np.nan_to_num(class_scores(counts)["iou"]).mean())
