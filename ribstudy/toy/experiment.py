"""One repetition of the simulated experiment, from drawing the data to the numbers in the chapter.

Nothing depends on the global random state. Data, initial weights and the order of the images are functions of the seed and the
same for all networks of a seed, so these networks differ only in their last activation and loss.
"""

import copy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ribstudy.toy.data import Digits, Scenes, choose_marked, compose, load_digits
from ribstudy.toy.gradients import gradient_maps, mean_ratios, threshold_index
from ribstudy.toy.information import Split, information_bits, pooled
from ribstudy.toy.network import ACTIVATIONS, LastActivation, ToyNet, accuracy, build_net, rib_loss, train
from ribstudy.toy.settings import ToySettings

# A network trained with each last activation; the network with the sigmoid before training ("untrained"), and after fine-tuning
# with the RIB objective ("rib") or, as a control, with the cross-entropy of its training ("bce").
NETWORKS = (*ACTIVATIONS, "untrained", "rib", "bce")
MARKERS = ("none", "own", "other")  # the marker in the test images on which accuracy is measured
LABELS = ("marker", "digit")  # labels of the probes: whether there is a marker; whether the digit is an 8
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the High Gradient Ratio, to see how the effect depends on the paper's 0.3
NUM_EXAMPLES = 2  # images of each class that are stored with their maps

# Numbers of a seed's random streams, so that no stream is used twice.
TRAINING, TESTING, MAPS, PROBE, SPLIT = range(5)


@dataclass(frozen=True)
class SeedData:
    """The images of one seed. Only `training` has digits from MNIST's training images.

    Args:
        training, test: with markers at the marker rate.
        maps: all with a marker.
        unmarked, other: the digits of `maps` at the same positions, without a marker and with the marker of the other class.
    """

    training: Scenes
    test: Scenes
    maps: Scenes
    unmarked: Scenes
    other: Scenes


def draw_data(settings: ToySettings, *, seed: int) -> SeedData:
    """The images of a seed."""
    test = load_digits("test")
    chosen = test.take(np.random.default_rng([seed, MAPS]).permutation(len(test))[: settings.num_map_images])
    everywhere = np.ones(len(chosen), dtype=bool)
    shared = {"settings": settings, "seed": [seed, MAPS]}
    return SeedData(
        training=_some_marked(load_digits("train"), settings, rate=settings.marker_rate, seed=[seed, TRAINING]),
        test=_some_marked(test, settings, rate=settings.marker_rate, seed=[seed, TESTING]),
        maps=compose(chosen, **shared, marked=everywhere),
        unmarked=compose(chosen, **shared, marked=~everywhere),
        other=compose(chosen, **shared, marked=everywhere, marker_labels=1 - chosen.labels),
    )


def _some_marked(digits: Digits, settings: ToySettings, *, rate: float, seed: list[int]) -> Scenes:
    """Images of the digits, of which a share `rate` has a marker."""
    return compose(digits, settings, marked=choose_marked(digits.labels, rate=rate, seed=seed), seed=seed)


def as_tensors(scenes: Scenes) -> tuple[Tensor, Tensor]:
    """Images [N, 1, H, W] and labels [N]."""
    return torch.from_numpy(scenes.images)[:, None], torch.from_numpy(scenes.labels)


def train_networks(settings: ToySettings, data: SeedData, *, seed: int) -> tuple[dict[str, ToyNet], dict[str, float]]:
    """The networks of `NETWORKS`, and how far fine-tuning moved the weights of two of them, relative to their norm."""
    batches = {"batch_size": settings.batch_size, "learning_rate": settings.learning_rate, "seed": seed}
    nets = {}
    for name, activation in ACTIVATIONS.items():
        nets[name] = build_net(settings, num_outputs=activation.num_outputs, seed=seed)
        train(nets[name], *as_tensors(data.training), loss_of=activation.loss_of, num_steps=settings.training_steps, **batches)
    nets["untrained"] = build_net(settings, num_outputs=1, seed=seed)
    # The order of the images is different from the training.
    batches.update(learning_rate=settings.rib_learning_rate, seed=seed + 1, one_cycle=False)
    objectives = {"rib": partial(rib_loss, margin=settings.rib_margin), "bce": ACTIVATIONS["sigmoid"].loss_of}
    moved = {}
    for name, loss_of in objectives.items():
        nets[name] = copy.deepcopy(nets["sigmoid"])
        moved[name] = train(nets[name], *as_tensors(data.training), loss_of=loss_of, num_steps=settings.rib_steps, **batches)
    return nets, moved


def activation_of(network: str) -> LastActivation:
    """The last activation of one of `NETWORKS`."""
    return ACTIVATIONS.get(network, ACTIVATIONS["sigmoid"])


def run_seed(settings: ToySettings, seed: int) -> dict[str, np.ndarray]:
    """All numbers of one seed, a function of the settings (except `hgr_threshold`, see `read_seed`) and the seed only.

    Returns:
        Arrays by name. V are the `NETWORKS`, L the layers of `layer_names`, R the readings of `reading_names`.
        accuracy [V]: on test images with the usual share of markers; accuracy_by_marker [3]: of the network with a sigmoid.
        ratios [V, 2, L, 3, T]: mean High Gradient Ratios by normalisation, layer, region and each of T thresholds
        (`gradients.THRESHOLDS`); blind [V]: share of images whose last map is zero everywhere. example_images [E, H, W],
        example_maps [E, L, H, W], largest [L] (the largest gradient of each layer over all images), slopes [N] (the factor
        between an image's last two maps): of the network with a sigmoid. moved [2]: by fine-tuning with the RIB objective and
        with the cross-entropy.
        bits [R, 2, 2]: by reading, label and probe.
    """
    data = draw_data(settings, seed=seed)
    nets, moved = train_networks(settings, data, seed=seed)
    test = as_tensors(data.test)
    results = {
        "accuracy": [accuracy(nets[name], *test, activation=activation_of(name)) for name in NETWORKS],
        "accuracy_by_marker": [
            accuracy(nets["sigmoid"], *as_tensors(scenes), activation=ACTIVATIONS["sigmoid"])
            for scenes in (data.unmarked, data.maps, data.other)
        ],
        "moved": list(moved.values()),
        **_measure_gradients(nets, data.maps),
        "bits": _measure_information(nets, settings, seed=seed),
    }
    return {name: np.asarray(values, dtype=np.float32) for name, values in results.items()}


def _measure_gradients(nets: dict[str, ToyNet], scenes: Scenes) -> dict[str, np.ndarray]:
    images, _ = as_tensors(scenes)
    results = {"ratios": [], "blind": []}
    for name in NETWORKS:
        maps = gradient_maps(nets[name], images, activation=activation_of(name))
        results["ratios"].append(mean_ratios(maps, scenes.regions))
        results["blind"].append((maps[-1].max(axis=(-2, -1)) == 0).mean())
        if name == "sigmoid":
            shown = np.concatenate([np.flatnonzero(scenes.labels == label)[:NUM_EXAMPLES] for label in (0, 1)])
            results["example_images"] = scenes.images[shown]
            results["example_maps"] = np.moveaxis(maps[:, shown], 0, 1)
            results["largest"] = maps.max(axis=(1, 2, 3))
            results["slopes"] = maps[-1].max(axis=(1, 2)) / maps[-2].max(axis=(1, 2))
    return results


def read_seed(arrays: dict[str, np.ndarray], settings: ToySettings) -> dict[str, np.ndarray]:
    """The arrays of `run_seed`, with the High Gradient Ratios at the threshold of the settings.

    In place of `ratios` there are hgr [V, 2, L, 3] and, of the network with a sigmoid and for each of `THRESHOLDS`,
    hgr_by_threshold [thresholds, 2, L, 3].
    """
    read = dict(arrays)
    ratios = read.pop("ratios")
    read["hgr"] = ratios[..., threshold_index(settings.hgr_threshold)]
    of_sigmoid = ratios[NETWORKS.index("sigmoid")]
    read["hgr_by_threshold"] = np.stack([of_sigmoid[..., threshold_index(value)] for value in THRESHOLDS])
    return read


def reading_names(depth: int) -> list[str]:
    """The inputs of the probes: the layers after their ReLU, the outputs, and the outputs after fine-tuning."""
    return [*(f"T{k}" for k in range(1, depth + 1)), "logit", "sigmoid", "logit_rib", "logit_bce"]


def _measure_information(nets: dict[str, ToyNet], settings: ToySettings, *, seed: int) -> np.ndarray:
    """[R, 2, 2] bits, on the digits of the test images, each at several positions and half of them with a marker."""
    digits = load_digits("test")
    split, repeated = draw_split(len(digits), settings.probe.placements, seed=seed)
    scenes = _some_marked(digits.take(repeated), settings, rate=0.5, seed=[seed, PROBE])
    images, _ = as_tensors(scenes)
    targets = np.stack([scenes.marked, scenes.labels], axis=1).astype(np.float32)
    bits = [
        information_bits(reading, targets, split=split, settings=settings.probe, seed=seed)
        for reading in _readings(nets, images, settings)
    ]
    return np.stack(bits)


def draw_split(count: int, placements: int, *, seed: int) -> tuple[Split, np.ndarray]:
    """Splits the digits: half to train the probe (a quarter of them for early stopping), half to measure the bits.

    Each digit occurs `placements` times, always in the same part. Returns the split of the samples, and their digits.
    """
    order = np.random.default_rng([seed, SPLIT]).permutation(count)
    part_of_digit = np.empty(count, dtype=int)
    part_of_digit[order] = np.digitize(np.arange(count), [count * 3 // 8, count // 2])
    repeated = np.repeat(np.arange(count), placements)
    return Split(*(np.flatnonzero(part_of_digit[repeated] == part) for part in range(3))), repeated


@torch.no_grad()
def _readings(nets: dict[str, ToyNet], images: Tensor, settings: ToySettings) -> list[Tensor]:
    """The features [N, F] of each reading of `reading_names`."""
    batches = []
    for batch in images.split(500):
        before_relu, logit = nets["sigmoid"].layers(batch)
        layers = [pooled(values.relu(), grid=settings.probe.grid) for values in before_relu]
        batches.append([*layers, logit, logit.sigmoid(), nets["rib"](batch), nets["bce"](batch)])
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]
