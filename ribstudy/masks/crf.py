"""Dense conditional random fields, which snap a labelling to the colours of the image (Krähenbühl and Koltun, NIPS 2011).

There are two: the seed CRF for label maps (IRN, `misc/imutils.py`) and DeepLab's CRF for probabilities (deeplab-pytorch,
`libs/utils/crf.py`). Both minimise, in a few mean-field iterations, a cost for each pixel's label plus two costs for every pair
of pixels with different labels. One pair cost falls with the distance of the pixels, the other with their distance and the
difference of their colours.

Shapes: H x W pixels, C labels.
"""

from importlib import import_module
from types import ModuleType

import numpy as np

from ribstudy.runtime import limits

Kernel = dict[str, float]  # standard deviations in pixels (sxy) and grey values of 0..255 (srgb), and the weight (compat)

BYTES_OF_A_LABEL, BYTES_OF_A_PIXEL = 76, 600  # see `crf_memory`


def refine_labels(
    image: np.ndarray,
    labels: np.ndarray,
    num_labels: int,
    iterations: int = 10,
    gt_prob: float = 0.7,
    gaussian_sxy: float = 3,
    gaussian_compat: float = 3,
    bilateral_sxy: float = 50,
    bilateral_srgb: float = 5,
    bilateral_compat: float = 10,
) -> np.ndarray:
    """The seed CRF: a pixel costs -log gt_prob with its given label, -log((1 - gt_prob) / (num_labels - 1)) with any other.

    Args:
        image: uint8 [H, W, 3].
        labels: integers [H, W] in 0..num_labels-1.
        num_labels: background included; with a single label the result is 0 everywhere.
        iterations: number of mean-field iterations.
        gt_prob: confidence in the given labels, between 0 and 1.
        gaussian_sxy, bilateral_sxy: standard deviations in pixels.
        bilateral_srgb: standard deviation in grey values of 0..255.
        gaussian_compat, bilateral_compat: weights of the two kernels.

    Returns:
        int64 [H, W].

    Raises:
        ValueError: shapes or types do not match, a label or gt_prob is out of range, or pydensecrf is not installed.
    """
    image, labels = _checked_image(image), np.asarray(labels)
    _check_labels(image, labels, num_labels)
    if not 0 < gt_prob < 1:
        raise ValueError(f"gt_prob {gt_prob}: expected a probability above 0 and below 1")
    if num_labels == 1:
        return np.zeros(labels.shape, dtype=np.int64)
    unary = _pydensecrf("utils").unary_from_labels(labels, num_labels, gt_prob=gt_prob, zero_unsure=False)
    gaussian = {"sxy": gaussian_sxy, "compat": gaussian_compat}
    bilateral = {"sxy": bilateral_sxy, "srgb": bilateral_srgb, "compat": bilateral_compat}
    return _infer(image, unary, iterations, gaussian, bilateral).argmax(axis=0)


def refine_probabilities(image: np.ndarray, probabilities: np.ndarray, pos_w: float = 3, bi_w: float = 4) -> np.ndarray:
    """DeepLab's CRF, applied to its predictions: a pixel costs -log max(p, 1e-5), with p the probability of its label.

    It takes 10 mean-field iterations, with the standard deviations of deeplab-pytorch.

    Args:
        image: uint8 [H, W, 3].
        probabilities: [C, H, W] in 0..1.
        pos_w, bi_w: weights of the two kernels.

    Returns:
        float32 [C, H, W], probabilities.

    Raises:
        ValueError: shapes or types do not match, values are nan or not in 0..1, or pydensecrf is not installed.
    """
    image, probabilities = _checked_image(image), np.asarray(probabilities)
    if probabilities.ndim != 3 or not len(probabilities) or probabilities.shape[1:] != image.shape[:2]:
        raise ValueError(f"probabilities {probabilities.shape} and image {image.shape}: expected [C, H, W] and [H, W, 3]")
    low, high = probabilities.min(), probabilities.max()
    if not (low >= 0 and high <= 1 + 1e-3):  # a sum over classes may round to a little more than 1
        raise ValueError(f"probabilities range from {low} to {high}; expected 0 to 1 (after the softmax)")
    unary = _pydensecrf("utils").unary_from_softmax(probabilities)
    return _infer(image, unary, 10, {"sxy": 1, "compat": pos_w}, {"sxy": 67, "srgb": 3, "compat": bi_w})


def crf_memory(num_labels: int, num_pixels: int) -> int:
    """The most bytes that a CRF takes for an image, on top of its process; measured with pydensecrf2 1.1.

    Costs, probabilities and copies of them take 76 bytes for each label and pixel, and the positions in colour and space take
    600 bytes for each pixel, if no two pixels of the image share one.
    """
    return num_pixels * (BYTES_OF_A_LABEL * num_labels + BYTES_OF_A_PIXEL)


def _check_labels(image: np.ndarray, labels: np.ndarray, num_labels: int) -> None:
    if labels.shape != image.shape[:2] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels {labels.dtype} {labels.shape}: expected integers of shape {image.shape[:2]}, as the image")
    if not 0 <= labels.min() <= labels.max() < num_labels:
        raise ValueError(f"labels range from {labels.min()} to {labels.max()}; expected 0 to {num_labels - 1}")


def _infer(image: np.ndarray, unary: np.ndarray, iterations: int, gaussian: Kernel, bilateral: Kernel) -> np.ndarray:
    """Costs of the labels, [C, H*W] -> probabilities of the labels, float32 [C, H, W].

    Raises ValueError if the memory of this machine does not suffice: pydensecrf itself would end the process.
    """
    height, width = image.shape[:2]
    needed, here = crf_memory(len(unary), height * width), limits.memory()
    if needed > here:
        raise ValueError(
            f"the CRF for {len(unary)} labels on an image of {width} x {height} px needs about {limits.as_text(needed)} of "
            f"memory, but there are {limits.as_text(here)}; shrink the image (data.max_side of own images)"
        )
    field = _pydensecrf("densecrf").DenseCRF2D(width, height, len(unary))
    field.setUnaryEnergy(np.ascontiguousarray(unary))
    field.addPairwiseGaussian(**gaussian)
    field.addPairwiseBilateral(rgbim=image, **bilateral)
    return np.array(field.inference(iterations), dtype=np.float32).reshape(-1, height, width)


def _checked_image(image: np.ndarray) -> np.ndarray:
    """A copy for pydensecrf, which only takes contiguous and writable arrays (it does not write to them)."""
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image {image.dtype} {image.shape}: expected uint8 [H, W, 3] with at least one pixel")
    return np.array(image, order="C")


def require_crf() -> None:
    """Raises ValueError if pydensecrf is not installed, or cannot be imported."""
    for module in ("densecrf", "utils"):
        _pydensecrf(module)


def _pydensecrf(module: str) -> ModuleType:
    """Imports a module of pydensecrf on first use, so that everything else works without a C++ compiler."""
    try:
        return import_module(f"pydensecrf.{module}")
    except ImportError as error:
        raise ValueError(f"the dense CRF is missing ({error}): pip install pydensecrf2==1.1 (needs a C++ compiler)") from error
