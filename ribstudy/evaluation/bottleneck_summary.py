"""The bottleneck in the real classifier, over all images: High Gradient Ratios and logits from the arrays of `bottleneck`.

Shapes: N images, L depths, T thresholds, K steps; the 3 regions are `bottleneck.REGIONS`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from ribstudy.evaluation.bottleneck import REGIONS

Arrays = Mapping[str, np.ndarray]  # of one image, see `bottleneck.measure_image`


def hgr(images: Sequence[Arrays]) -> np.ndarray:
    """The High Gradient Ratio of every image before and after the adaptation; nan if the image has no pixel of the region.

    Returns:
        float64 [N, 2, L, 3, T].
    """
    pixels = np.stack([arrays["pixels"] for arrays in images])[:, None, None, :, None]
    high = np.stack([arrays["high"] for arrays in images])
    return np.divide(high, pixels, out=np.full(high.shape, np.nan), where=pixels > 0)


def last_fall(ratios: np.ndarray, *, first: str, second: str, depths: Sequence[str]) -> np.ndarray:
    """How much more the ratio falls in the rest of the object than inside the CAM, between two depths: [N, ...].

    It is positive if the paper's explanation is right.

    Args:
        ratios: [N, L, 3, ...], such as [N, L, 3, T].
        first, second: two of `depths`.
    """
    fall = ratios[:, list(depths).index(first)] - ratios[:, list(depths).index(second)]
    return fall[:, REGIONS.index("rest of the object")] - fall[:, REGIONS.index("inside the CAM")]


def logit_courses(images: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """Logits of each image over the steps, [N, K] each; after an early end the last value is repeated.

    `present` is the mean over the image's classes, `present, GNDRP` the same pooled by GNDRP, `absent` the mean over the other
    classes (nan if there are none), and `highest absent` their maximum.
    """
    num_steps = max(len(arrays["gap"]) for arrays in images)
    rows: dict[str, list[np.ndarray]] = {"present": [], "present, GNDRP": [], "absent": [], "highest absent": []}
    for arrays in images:
        shown = arrays["label"] > 0
        steps = np.minimum(np.arange(num_steps), len(arrays["gap"]) - 1)
        absent = arrays["gap"][steps][:, ~shown] if not shown.all() else np.full((num_steps, 1), np.nan)
        rows["present"].append(arrays["gap"][steps][:, shown].mean(axis=1))
        rows["present, GNDRP"].append(arrays["gndrp"][steps][:, shown].mean(axis=1))
        rows["absent"].append(absent.mean(axis=1))
        rows["highest absent"].append(absent.max(axis=1))
    return {name: np.stack(courses) for name, courses in rows.items()}
