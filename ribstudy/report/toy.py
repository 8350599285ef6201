"""Results of the simulated experiment over all seeds: means, 95 % intervals and the tables of the chapter.

The seeds are the independent observations: an interval is Student's t over the seeds, not over images. `runs` has the arrays of
each seed (`read_seed`). Shapes: S seeds, L layers.
"""

import numpy as np
import pandas as pd

from ribstudy.evaluation.statistics import Estimate, student_mean
from ribstudy.report import paper
from ribstudy.toy.data import REGIONS
from ribstudy.toy.experiment import LABELS, MARKERS, NETWORKS, THRESHOLDS, reading_names
from ribstudy.toy.gradients import NORMALIZATIONS, threshold_index
from ribstudy.toy.information import PROBES
from ribstudy.toy.network import ACTIVATIONS

Run = dict[str, np.ndarray]

# The last gradient map of each row of the comparison: (network, before or after the last activation).
READINGS: dict[str, tuple[str, str]] = {
    "sigmoid": ("sigmoid", "after"),
    "sigmoid, read before it": ("sigmoid", "before"),
    "fine-tuned with RIB": ("rib", "before"),
    "fine-tuned with cross-entropy": ("bce", "before"),
    "softmax": ("softmax", "after"),
    "sigmoid, squared error": ("sigmoid_mse", "after"),
    "tanh": ("tanh", "after"),
    "hard sigmoid": ("hard_sigmoid", "after"),
    "softplus": ("softplus", "after"),
    "ReLU": ("relu", "after"),
    "none": ("none", "after"),
    "untrained": ("untrained", "after"),
}

# Numbers in the text: readings by a short name, and pairs of readings whose effects are subtracted for each seed.
HEADLINE_READINGS = {
    "sigmoid": "sigmoid",
    "rib": "fine-tuned with RIB",
    "bce": "fine-tuned with cross-entropy",
    "none": "none",
    "softplus": "softplus",
    "untrained": "untrained",
}
HEADLINE_PAIRS = {
    "sigmoid_none": ("sigmoid", "none"),
    "sigmoid_untrained": ("sigmoid", "untrained"),
    "sigmoid_softplus": ("sigmoid", "softplus"),
    "bce_rib": ("fine-tuned with cross-entropy", "fine-tuned with RIB"),
}


def stack(runs: list[Run], name: str) -> np.ndarray:
    """One array of all seeds, [S, ...]."""
    return np.stack([run[name] for run in runs]).astype(np.float64)


def hgr_curves(runs: list[Run], *, normalization: str = "per_map") -> np.ndarray:
    """High Gradient Ratios of G_1 .. G_K and of the last map after the activation, for a sigmoid: [S, L - 1, 3]."""
    return np.delete(stack(runs, "hgr_by_layer")[:, NORMALIZATIONS.index(normalization)], -2, axis=1)


def _falls(ratios: np.ndarray, *, last: int) -> np.ndarray:
    """[..., L, 3] -> [..., 2]: the fall of HGR from the last convolution to the output, in the digit and in the marker."""
    return (ratios[..., -3, :] - ratios[..., last, :])[..., :2]


def falls(runs: list[Run], *, reading: str, normalization: str) -> np.ndarray:
    """The fall of HGR in the last layer, in the discriminative and in the non-discriminative region, [S, 2]."""
    network, side = READINGS[reading]
    ratios = stack(runs, "hgr")[:, NETWORKS.index(network), NORMALIZATIONS.index(normalization)]
    return _falls(ratios, last=-1 if side == "after" else -2)


def extra_fall(runs: list[Run], *, reading: str = "sigmoid", normalization: str = "per_map") -> np.ndarray:
    """The fall in the non-discriminative region minus the fall in the discriminative one, [S]; the paper claims > 0."""
    return -falls(runs, reading=reading, normalization=normalization) @ np.array([1.0, -1.0])


def extra_fall_by_threshold(runs: list[Run]) -> np.ndarray:
    """`extra_fall` of the network with a sigmoid, per map, at each of `THRESHOLDS`: [S, thresholds]."""
    places = [threshold_index(value) for value in THRESHOLDS]
    return stack(runs, "effects")[:, NETWORKS.index("sigmoid"), NORMALIZATIONS.index("per_map"), places]


def paper_curve() -> pd.DataFrame:
    """The paper's High Gradient Ratios, read off its figure: regions x G1..G6."""
    return paper.values("toy_hgr").pivot(index="row", columns="column", values="value").loc[list(REGIONS)]


def paper_extra_fall() -> float:
    """`extra_fall` of the paper's curve."""
    curve = paper_curve()
    fall = curve["G5"] - curve["G6"]
    return float(fall["non_discriminative"] - fall["discriminative"])


def paper_error() -> float:
    """The error of `paper_extra_fall`: its four values were read off a figure."""
    rows = paper.values("toy_hgr").query("row in @REGIONS[:2] and column in ['G5', 'G6']")
    return float(np.sqrt((rows["error"] ** 2).sum()))


def claim_table(runs: list[Run], *, normalization: str = "per_map") -> pd.DataFrame:
    """HGR before and after the last layer in digit and marker, and `extra_fall`: the mean, and the seeds at both ends."""
    curves = hgr_curves(runs, normalization=normalization)[:, -2:]
    extra = extra_fall(runs, normalization=normalization)
    ends = {"smallest": extra.argmin(), "largest": extra.argmax()}
    shown = {f"{name}: seed {seed}": (curves[seed], f"{extra[seed]:+.2f}") for name, seed in ends.items()}
    shown[f"mean of {len(runs)} seeds"] = (curves.mean(axis=0), student_mean(extra).text(2))
    rows = {name: [*(f"{a:.2f} → {b:.2f}" for a, b in ratios.T[:2]), effect] for name, (ratios, effect) in shown.items()}
    if normalization == "per_map":
        published = paper_curve()[["G5", "G6"]].to_numpy()[:2]
        rows["paper's figure"] = [*(f"{a:.2f} → {b:.2f}" for a, b in published), f"{paper_extra_fall():+.2f}"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["digit", "marker", "fall in marker − digit"])


def accuracy_table(runs: list[Run]) -> pd.DataFrame:
    """Test accuracy of each trained network: mean and minimum over the seeds, and the share of last maps that are all zero."""
    accuracy, blind = stack(runs, "accuracy"), stack(runs, "blind")
    rows = {}
    for name, (network, side) in READINGS.items():
        if side == "after" or network in ("rib", "bce"):
            column = NETWORKS.index(network)
            zero = f"{100 * blind[:, column].mean():.0f} %" if side == "after" else "–"
            rows[name] = [f"{accuracy[:, column].mean():.4f}", f"{accuracy[:, column].min():.4f}", zero]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["accuracy", "worst seed", "G6 all zero"])


def comparison_table(runs: list[Run]) -> pd.DataFrame:
    """A row for each of `READINGS`: the fall of HGR in the last layer in digit and marker, and `extra_fall`."""
    rows = {}
    for name in READINGS:
        digit, marker = falls(runs, reading=name, normalization="per_map").mean(axis=0)
        rows[name] = [f"{digit:.2f}", f"{marker:.2f}", student_mean(extra_fall(runs, reading=name)).text(2)]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["fall in digit", "fall in marker", "fall in marker − digit"])


def last_ratio(runs: list[Run], *, reading: str, region: str, normalization: str = "per_map") -> np.ndarray:
    """HGR of a region in the last map: [S]."""
    network, side = READINGS[reading]
    ratios = stack(runs, "hgr")[:, NETWORKS.index(network), NORMALIZATIONS.index(normalization)]
    return ratios[:, -1 if side == "after" else -2, REGIONS.index(region)]


def bits(runs: list[Run], *, reading: str, label: str, probe: str, depth: int) -> np.ndarray:
    """The bits that a probe finds about a label in a reading of `reading_names`: [S]."""
    return stack(runs, "bits")[:, reading_names(depth).index(reading), LABELS.index(label), PROBES.index(probe)]


def headline(runs: list[Run], *, depth: int) -> dict[str, Estimate]:
    """The numbers in the text of the chapter, by name."""
    numbers = {
        **_of_accuracy(runs),
        **_of_effect(runs),
        **_of_curves(runs),
        **_of_fine_tuning(runs),
        **_of_bits(runs, depth=depth),
    }
    estimates = {name: student_mean(values) for name, values in numbers.items()}
    estimates["accuracy_worst"] = Estimate(float(numbers["accuracy"].min()), n=len(runs))
    estimates["rest_second_largest"] = Estimate(float(numbers["rest_second"].max()), n=len(runs))
    accuracies = stack(runs, "accuracy")[:, : len(ACTIVATIONS)].mean(axis=0)
    estimates["accuracy_lowest"], estimates["accuracy_highest"] = (Estimate(float(of(accuracies))) for of in (np.min, np.max))
    estimates["extra_fall_paper"] = Estimate(paper_extra_fall())
    estimates["seeds"] = Estimate(len(runs))
    return estimates


def _of_accuracy(runs: list[Run]) -> dict[str, np.ndarray]:
    """The accuracy of the network with a sigmoid, also by marker, and the share of maps of zeros with a flat activation."""
    numbers = {"accuracy": stack(runs, "accuracy")[:, NETWORKS.index("sigmoid")]}
    unmarked, own, other = stack(runs, "accuracy_by_marker").T
    numbers |= {f"accuracy_{marker}_marker": values for marker, values in zip(MARKERS, (unmarked, own, other), strict=True)}
    numbers["accuracy_gain_own"], numbers["accuracy_gain_other"] = own - unmarked, other - unmarked
    for network in ("hard_sigmoid", "relu"):
        numbers[f"blind_{network}"] = stack(runs, "blind")[:, NETWORKS.index(network)]
    return numbers


def _of_effect(runs: list[Run]) -> dict[str, np.ndarray]:
    """`extra_fall` of some readings and differences between two of them, and its two parts for the sigmoid."""
    numbers = {}
    for name, reading in HEADLINE_READINGS.items():
        numbers[f"extra_fall_{name}"] = extra_fall(runs, reading=reading)
        numbers[f"extra_fall_{name}_common"] = extra_fall(runs, reading=reading, normalization="common")
    for name, (first, second) in HEADLINE_PAIRS.items():
        numbers[f"difference_{name}"] = extra_fall(runs, reading=first) - extra_fall(runs, reading=second)
    numbers["fall_digit"], numbers["fall_marker"] = falls(runs, reading="sigmoid", normalization="per_map").T
    return numbers


def _of_curves(runs: list[Run]) -> dict[str, np.ndarray]:
    """Some points of the curves over the layers, for the network with a sigmoid, and the slopes of its sigmoid."""
    slopes = stack(runs, "slopes")
    last = {name: last_ratio(runs, reading="sigmoid", region=name, normalization="common") for name in REGIONS[:2]}
    return {
        "rest_second": hgr_curves(runs)[:, 1, REGIONS.index("irrelevant")],
        "digit_after_common": last["discriminative"],
        "marker_after_common": last["non_discriminative"],
        "slope_median": np.median(slopes, axis=1),
        "slope_below_1e3": (slopes < 1e-3).mean(axis=1),
    }


def _of_fine_tuning(runs: list[Run]) -> dict[str, np.ndarray]:
    """The changes by fine-tuning with RIB and with cross-entropy."""
    tuned, control = (
        last_ratio(runs, reading=f"fine-tuned with {name}", region="non_discriminative") for name in ("RIB", "cross-entropy")
    )
    moved_rib, moved_bce = stack(runs, "moved").T
    return {
        "marker_after_rib": tuned,
        "marker_after_bce": control,
        "marker_rib_gain": tuned - control,
        "moved_rib": moved_rib,
        "moved_bce": moved_bce,
    }


def _of_bits(runs: list[Run], *, depth: int) -> dict[str, np.ndarray]:
    """The bits in some layers that the non-linear probe finds, and their changes from layer to layer."""
    names = {"T1": "first_layer", f"T{depth}": "last_layer", **dict.fromkeys(("logit", "sigmoid", "logit_rib", "logit_bce"))}
    numbers = {}
    for label in LABELS:
        of_probe = {"label": label, "probe": "mlp", "depth": depth}
        found = {name or reading: bits(runs, reading=reading, **of_probe) for reading, name in names.items()}
        numbers |= {f"bits_{label}_{name}": values for name, values in found.items()}
        numbers[f"bits_{label}_change_layers"] = found["last_layer"] - found["first_layer"]
        numbers[f"bits_{label}_lost"] = found["last_layer"] - found["logit"]
    return numbers
