"""What the bottleneck does in the real classifier: gradients by region and depth, logits over the steps, leaks, gains.

The High Gradient Ratio is that of the toy (`toy/gradients.py`; paper, Section 3), taken through the whole classifier.

Shapes: C classes, L depths (stages of the network, class maps, evidence, activation), T thresholds, K steps, H x W pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ribstudy.datasets import Dataset
from ribstudy.evaluation.metrics import Estimate
from ribstudy.evaluation.scores import Units, num_steps, predicted_mask
from ribstudy.method.maps import merge_mirrored, seed_maps
from ribstudy.method.pooling import gap, gndrp
from ribstudy.method.rib import AuxiliaryBatch, adapt_features, adapted
from ribstudy.method.settings import RibSettings
from ribstudy.models.backbones import backbone_steps
from ribstudy.models.cam_net import CamNet

HGR_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
MAIN_THRESHOLD = 0.3  # paper: unconfirmed
REGIONS = ("inside the CAM", "rest of the object", "background")
OUTPUTS = ("class maps", "logits", "sigmoid")  # the depths behind the backbone
NUM_SAMPLES = 2000  # of a bootstrap interval


def depth_names(net: CamNet) -> list[str]:
    """The depths [L] that gradients are taken of: stem, every stage of the backbone, and `OUTPUTS`."""
    return [*_stages(net), *OUTPUTS]


def _stages(net: CamNet) -> dict[str, list[nn.Module]]:
    """The backbone's modules by the stage that they belong to, in the order of the forward pass."""
    stages: dict[str, list[nn.Module]] = {"stem": []}
    for name, module in backbone_steps(net):
        if name.startswith(("layer", "blocks.")):
            stages[name.replace("blocks.", "stage ").replace("layer", "stage ")] = []
        elif name == "conv_head":
            stages["head"] = []
        stages[next(reversed(stages))].append(module)
    return stages


def depth_gradients(net: CamNet, image: Tensor, labels: Tensor) -> np.ndarray:
    """[L, H, W] float64: the gradient of the sum of what a depth gives, its Euclidean norm over the three colours.

    The class maps count with all classes and positions. The logits are those of the image's classes, summed; the sigmoid is of
    each of them, summed as well, in double precision (see the toy). A stage counts with its output as the next one reads it.

    Args:
        image: [1, 3, H, W], normalised; labels: [C], nonzero where the class is in the image.
    """
    image = image.detach().clone().requires_grad_()
    sums, values = [], image
    with torch.enable_grad():
        for modules in _stages(net).values():
            for module in modules:
                values = module(values)
            sums.append(values.sum())
        maps = net.classifier(values)
        logits = gap(maps)[0, labels.to(maps.device) > 0]
        sums += [maps.sum(), logits.sum(), logits.double().sigmoid().sum()]
    gradients = [torch.autograd.grad(total, image, retain_graph=True)[0][0].double().norm(dim=0) for total in sums]
    return torch.stack(gradients).cpu().numpy()


def region_masks(truth: np.ndarray, keys: np.ndarray, maps: np.ndarray, threshold: float) -> np.ndarray:
    """bool [3, H, W], in the order of `REGIONS`: object pixels where the map of their class is above the threshold, the others,
    and the background; void is in none.

    Args:
        truth: uint8 [H, W], 0 background, class + 1, 255 void; keys: [n], the image's classes; maps: [n, H, W] in 0..1.
    """
    owners = truth[None] == np.asarray(keys)[:, None, None] + 1
    covered = owners & (maps > threshold)
    return np.stack([covered.any(axis=0), (owners & ~covered).any(axis=0), truth == 0])


def high_counts(gradients: np.ndarray, regions: np.ndarray, thresholds: Sequence[float] = HGR_THRESHOLDS) -> np.ndarray:
    """int64 [L, 3, T]: pixels of each region where a depth's gradient, divided by its maximum, exceeds a threshold.

    gradients: [L, H, W]; regions: bool [3, H, W]. A map that is 0 everywhere has none.
    """
    largest = gradients.max(axis=(1, 2), keepdims=True)
    shares = np.divide(gradients, largest, out=np.zeros_like(gradients), where=largest > 0)
    high = shares[:, None] > np.asarray(thresholds)[None, :, None, None]  # [L, T, H, W]
    return np.einsum("lthw,rhw->lrt", high, regions, dtype=np.int64)


def bottleneck_unit(
    net: CamNet,
    view: Tensor,
    features: Sequence[Tensor],
    label: np.ndarray,
    truth: np.ndarray,
    aux_features: Sequence[AuxiliaryBatch],
    settings: RibSettings,
) -> dict[str, np.ndarray]:
    """What the stage `bottleneck` stores of an image; `net` is the same before and after.

    `label` [C]; `depths` [L]; `pixels` [3] of the regions; `high` [2, L, 3, T], see `high_counts`, at theta_0 and at the last
    theta_k whose map RIB counts; at every theta_k `gap` and `gndrp` [K, C], the pooled logits of scale 1, mean of both views.
    An image without a class has its label alone.

    Args:
        view: [2, 3, H, W], the image at scale 1 and its mirror; features: of the views at `settings.scales`
            (see `adapt_features`).
        truth: uint8 [H, W].
    """
    if not label.any():
        return {"label": label}
    labels = torch.as_tensor(label, dtype=torch.float32, device=features[0].device)
    keys = np.flatnonzero(label)
    gaps, pooled, last = [], [], {}

    def observe() -> None:
        with torch.no_grad():
            maps = net.maps(features[0])
        gaps.append(gap(maps).mean(dim=0))
        pooled.append(gndrp(maps, labels.expand(2, -1), settings.tau, settings.denominator).mean(dim=0))
        last.update({name: value.detach().clone() for name, value in net.named_parameters() if value.requires_grad})

    with torch.no_grad():
        maps = seed_maps([merge_mirrored(net.maps(features[0]))[keys].cpu()], truth.shape).numpy()
    regions = region_masks(truth, keys, maps, settings.spread_threshold)
    before = high_counts(depth_gradients(net, view[:1], labels), regions)
    adapt_features(net, features, labels, aux_features, settings, observe=observe)
    with adapted(net, settings):
        net.load_state_dict(last, strict=False)
        after = high_counts(depth_gradients(net, view[:1], labels), regions)
    return {
        "label": label,
        "depths": np.array(depth_names(net)),
        "pixels": regions.sum(axis=(1, 2)),
        "high": np.stack([before, after]),
        "gap": torch.stack(gaps).cpu().numpy(),
        "gndrp": torch.stack(pooled).cpu().numpy(),
    }


def bootstrap(statistic: Callable[[np.ndarray], float], n: int, *, seed: int = 0) -> Estimate:
    """A statistic of n independent pieces with its percentile bootstrap interval; `statistic` gets the indices of the pieces.

    No interval for fewer than two pieces, and for a statistic that no sample has.
    """
    value = float(statistic(np.arange(n)))
    if n < 2:
        return Estimate(value, n=n)
    draws = np.random.default_rng(seed).integers(n, size=(NUM_SAMPLES, n))
    sample = np.array([statistic(draw) for draw in draws])
    if np.isnan(sample).all():
        return Estimate(value, n=n)
    low, high = np.nanquantile(sample, [0.025, 0.975])
    return Estimate(value, float(low), float(high), n)


def mean_estimate(values: np.ndarray) -> Estimate:
    """The mean of [N] values with its bootstrap interval; those that are nan are left out."""
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(float("nan"), n=0)
    return bootstrap(lambda drawn: values[drawn].mean(), len(values))


def phrase(estimate: Estimate) -> str:
    """A share or a difference of shares with its interval, as a sentence has it."""
    if estimate.low is None:
        return f"{estimate.value:+.3f} (no interval, n = {estimate.n})"
    return f"{estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f}, n = {estimate.n})"


def estimates_table(estimates: Mapping[tuple[str, str], Estimate]) -> pd.DataFrame:
    """`phrase` of estimates by (row, column)."""
    rows: dict[str, dict[str, str]] = {}
    for (row, column), estimate in estimates.items():
        rows.setdefault(row, {})[column] = phrase(estimate)
    return pd.DataFrame.from_dict(rows, orient="index")


def hgr(units: Sequence[dict[str, np.ndarray]]) -> np.ndarray:
    """[N, 2, L, 3, T]: the High Gradient Ratio of every image, before and after; nan where an image lacks the region."""
    pixels = np.stack([unit["pixels"] for unit in units])[:, None, None, :, None]
    high = np.stack([unit["high"] for unit in units])
    return np.divide(high, pixels, out=np.full(high.shape, np.nan), where=pixels > 0)


def last_fall(ratios: np.ndarray, *, first: str, second: str, depths: Sequence[str]) -> np.ndarray:
    """[N]: by how much more the rest of the object loses than the inside, between two depths.

    ratios: [N, L, 3]. The effect that the paper names, positive where its account holds.
    """
    fall = ratios[:, list(depths).index(first)] - ratios[:, list(depths).index(second)]
    return fall[:, REGIONS.index("rest of the object")] - fall[:, REGIONS.index("inside the CAM")]


def logit_courses(units: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """[N, K] each: an image's mean logit over its classes (`present`), over the others (`absent`), the largest of the others
    (`highest absent`), and the mean over its classes pooled by GNDRP; after an early end the last value stays.
    """
    num_steps = max(len(unit["gap"]) for unit in units)
    rows: dict[str, list[np.ndarray]] = {"present": [], "present, GNDRP": [], "absent": [], "highest absent": []}
    for unit in units:
        shown = unit["label"] > 0
        steps = np.minimum(np.arange(num_steps), len(unit["gap"]) - 1)
        absent = unit["gap"][steps][:, ~shown] if not shown.all() else np.full((num_steps, 1), np.nan)
        rows["present"].append(unit["gap"][steps][:, shown].mean(axis=1))
        rows["present, GNDRP"].append(unit["gndrp"][steps][:, shown].mean(axis=1))
        rows["absent"].append(absent.mean(axis=1))
        rows["highest absent"].append(absent.max(axis=1))
    return {name: np.stack(courses) for name, courses in rows.items()}


def painted_share(predicted: np.ndarray, truth: np.ndarray, class_index: int) -> float:
    """The share of the true background's pixels [H, W] that are painted as a class; nan where there is no background."""
    background = truth == 0
    return float((predicted[background] == class_index + 1).mean()) if background.any() else float("nan")


@dataclass(frozen=True)
class Leak:
    """Shares of the background that are painted as a class: `cam` [N], and `rib` [N, K], summed over the first 1, 2, ... maps.

    The CAM is the first of RIB's maps at the CAM's threshold; RIB's sums are all at RIB's threshold.
    """

    cam: np.ndarray
    rib: np.ndarray

    @property
    def extra(self) -> np.ndarray:
        """[N]: what all of RIB's maps paint beyond the CAM, each at its own threshold."""
        return self.rib[:, -1] - self.cam

    @property
    def growth(self) -> np.ndarray:
        """[N]: what all of RIB's maps paint beyond the first of them, at one threshold."""
        return self.rib[:, -1] - self.rib[:, 0]


def leak(dataset: Dataset, units: Units, names: Sequence[str], class_index: int, *, cam: float, rib: float) -> Leak:
    """How much of the background of the images `names` is painted as a class; `cam`, `rib`: thresholds in 0..1.

    units: of the stage `rib`; after an early end the last value stays, up to the longest of them.
    """
    num_maps = max(map(num_steps, units.values()))
    first, courses = [], []
    for name in names:
        unit, truth = units[name], dataset.mask(name)
        first.append(painted_share(predicted_mask(unit, cam, steps=1), truth, class_index))
        steps = range(1, num_steps(unit) + 1)
        course = [painted_share(predicted_mask(unit, rib, steps=step), truth, class_index) for step in steps]
        courses.append(course + course[-1:] * (num_maps - len(course)))
    return Leak(np.array(first), np.array(courses))


def gains_table(
    dataset: Dataset, repetitions: Sequence[tuple[Mapping[str, Units], Mapping[str, float]]], names: Sequence[str]
) -> pd.DataFrame:
    """A row for each class of each image: `image`, `class`, `size`, `num_classes`, and `gain`, the IoU of RIB less that of CAM.

    repetitions: for each seed the units and the thresholds of "CAM" and "RIB"; the gain is the mean over them.
    """
    rows = []
    for units, thresholds in repetitions:
        for name in names:
            masks = [predicted_mask(units[method][name], thresholds[method]) for method in ("CAM", "RIB")]
            keys = units["CAM"][name]["keys"]
            rows += [{"image": name, **row} for row in object_gains(dataset.mask(name), keys, *masks)]
    table = pd.DataFrame(rows)
    table["gain"] = table["second"] - table["first"]
    return table.groupby(["image", "class"], sort=False, as_index=False)[
        ["size", "num_classes", "first", "second", "gain"]
    ].mean()


def object_gains(truth: np.ndarray, keys: np.ndarray, first: np.ndarray, second: np.ndarray) -> list[dict[str, float]]:
    """A row for each class of an image: `size`, its share of the pixels, and IoU `first` and `second` of two masks [H, W].

    Each class of an image counts as one object. Void pixels are left out of the IoU.
    """
    known, rows = truth != 255, []
    for value in np.asarray(keys) + 1:
        region = truth == value
        if not region.any():
            continue
        row = {"class": int(value) - 1, "size": float(region.mean()), "num_classes": len(keys)}
        for name, mask in (("first", first), ("second", second)):
            painted = (mask == value) & known
            row[name] = float((painted & region).sum() / (painted | region).sum())
        rows.append(row)
    return rows


def rank_correlation(table: pd.DataFrame, x: str, y: str) -> Estimate:
    """Spearman's correlation of two columns, with an interval from images drawn with replacement (column `image`)."""
    from scipy.stats import spearmanr  # takes a second to import, and most of what imports this module has no table

    groups = [group[[x, y]].to_numpy() for _, group in table.groupby("image", sort=False)]

    def correlation(drawn: np.ndarray) -> float:
        values = np.concatenate([groups[index] for index in drawn])
        if len(np.unique(values[:, 0])) < 2 or len(np.unique(values[:, 1])) < 2:
            return float("nan")
        return spearmanr(values[:, 0], values[:, 1]).statistic

    return bootstrap(correlation, len(groups))


def binned_means(table: pd.DataFrame, x: str, y: str, *, num_bins: int = 4) -> pd.DataFrame:
    """The mean of y in bins of x with about as many rows each: columns `x` (mean), `mean`, `low`, `high`, `n`.

    Where x has no more than `num_bins` values, each is a bin.
    """
    few = table[x].nunique() <= num_bins
    bins = table[x] if few else pd.qcut(table[x], num_bins, labels=False, duplicates="drop")
    rows = []
    for _, group in table.groupby(bins):
        found = mean_estimate(group.groupby("image")[y].mean().to_numpy())
        rows.append({"x": group[x].mean(), "mean": found.value, "low": found.low, "high": found.high, "n": found.n})
    return pd.DataFrame(rows, dtype=float)
