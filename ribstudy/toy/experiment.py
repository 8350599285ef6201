"""One repetition of the simulated experiment, from drawing the data to the numbers in the chapter.

Nothing depends on the global random state. Data, initial weights and the order of the images are functions of the seed and the
same for all networks of a seed, so these networks differ only in their last activation and loss.
"""

import copy
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ribstudy.toy.data import PROBE, REGIONS, SPLIT, Scenes, SeedData, draw_data, load_digits, some_marked
from ribstudy.toy.gradients import LAST_LAYERS, extra_falls, gradient_maps, mean_ratios, threshold_index
from ribstudy.toy.information import Split, information_bits, pooled
from ribstudy.toy.network import (
    ACTIVATIONS,
    LastActivation,
    ToyNet,
    accuracy,
    as_tensors,
    build_net,
    rib_loss,
    train,
    trained_net,
)
from ribstudy.toy.settings import ToySettings

# A network trained with each last activation; the network with the sigmoid before training ("untrained"), and after fine-tuning
# with the RIB objective ("rib") or, as a control, with the cross-entropy of its training ("bce").
NETWORKS = (*ACTIVATIONS, "untrained", "rib", "bce")
MARKERS = ("none", "own", "other")  # the marker in the test images on which accuracy is measured
LABELS = ("marker", "digit")  # labels of the probes: whether there is a marker; whether the digit is an 8
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the High Gradient Ratio, to see how the effect depends on the paper's 0.3
NUM_EXAMPLES = 2  # images of each class that are stored with their maps, by the seed EXAMPLES
EXAMPLES = 0


def train_networks(settings: ToySettings, data: SeedData, *, seed: int) -> tuple[dict[str, ToyNet], dict[str, float]]:
    """The networks of `NETWORKS`, and how far fine-tuning moved the weights of two of them, relative to their norm."""
    nets = {name: trained_net(settings, data.training, activation=of, seed=seed) for name, of in ACTIVATIONS.items()}
    nets["untrained"] = build_net(settings, num_outputs=1, seed=seed)
    steps = {"num_steps": settings.rib_steps, "batch_size": settings.batch_size, "learning_rate": settings.rib_learning_rate}
    steps |= {"weight_decay": settings.weight_decay, "one_cycle": False}
    steps |= {"seed": seed + 1}  # the order of the images is different from the training
    objectives = {"rib": partial(rib_loss, margin=settings.rib_margin), "bce": ACTIVATIONS["sigmoid"].loss_of}
    moved = {}
    for name, loss_of in objectives.items():
        nets[name] = copy.deepcopy(nets["sigmoid"])
        moved[name] = train(nets[name], *as_tensors(data.training), loss_of=loss_of, **steps)
    return nets, moved


def activation_of(network: str) -> LastActivation:
    """The last activation of one of `NETWORKS`."""
    return ACTIVATIONS.get(network, ACTIVATIONS["sigmoid"])


def run_seed(settings: ToySettings, seed: int) -> dict[str, np.ndarray]:
    """All numbers of one seed, a function of the settings (except `hgr_threshold`, see `read_seed`) and the seed only.

    Returns:
        Arrays by name. V are the `NETWORKS`, L the layers of `layer_names`, R the readings of `reading_names`.
        accuracy [V]: on test images with the usual share of markers; accuracy_by_marker [3]: of the network with a sigmoid.
        last_ratios [V, 2, 3, 3, T]: mean High Gradient Ratios by normalisation, layer (`gradients.LAST_LAYERS`), region and
        each of T thresholds (`gradients.THRESHOLDS`); ratios [2, L, 3, T]: the same for all layers of the network with a
        sigmoid. blind [V]: share of images whose last map is zero everywhere. slopes [N] (the factor between an image's last
        two maps), and only for the seed `EXAMPLES` example_images [E, H, W] and example_maps [E, L, H, W]: of the network with
        a sigmoid. moved [2]: by fine-tuning with the RIB objective and with the cross-entropy.
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
        **(_show_examples(nets["sigmoid"], data.maps) if seed == EXAMPLES else {}),
        "bits": _measure_information(nets, settings, seed=seed),
    }
    return {name: np.asarray(values, dtype=np.float32) for name, values in results.items()}


def _measure_gradients(nets: dict[str, ToyNet], scenes: Scenes) -> dict[str, np.ndarray]:
    images, _ = as_tensors(scenes)
    results = {"last_ratios": [], "blind": []}
    for name in NETWORKS:
        maps = gradient_maps(nets[name], images, activation=activation_of(name))
        ratios = mean_ratios(maps, scenes.regions)
        results["last_ratios"].append(ratios[:, LAST_LAYERS])
        results["blind"].append((maps[-1].max(axis=(-2, -1)) == 0).mean())
        if name == "sigmoid":
            results["ratios"] = ratios
            results["slopes"] = maps[-1].max(axis=(1, 2)) / maps[-2].max(axis=(1, 2))
    return results


def _show_examples(net: ToyNet, scenes: Scenes) -> dict[str, np.ndarray]:
    """The first images of each class, with the gradient maps of a network with a sigmoid."""
    shown = np.concatenate([np.flatnonzero(scenes.labels == label)[:NUM_EXAMPLES] for label in (0, 1)])
    maps = gradient_maps(net, as_tensors(scenes)[0][shown], activation=ACTIVATIONS["sigmoid"])
    return {"example_images": scenes.images[shown], "example_maps": np.moveaxis(maps, 0, 1)}


def read_seed(arrays: dict[str, np.ndarray], settings: ToySettings) -> dict[str, np.ndarray]:
    """The arrays of `run_seed`, with the High Gradient Ratios at the threshold of the settings.

    In place of the ratios there are hgr [V, 2, 3, 3], hgr_by_layer [2, L, 3], and at every threshold the paper's effect
    effects [V, 2, T] (`gradients.extra_falls`, over the last step).
    """
    read = dict(arrays)
    last, place = read.pop("last_ratios"), threshold_index(settings.hgr_threshold)
    read["hgr"], read["hgr_by_layer"] = last[..., place], read.pop("ratios")[..., place]
    read["effects"] = extra_falls(last[:, :, 0], last[:, :, -1])
    return read


def run_condition(settings: ToySettings, seed: int) -> dict[str, np.ndarray]:
    """The accuracy and the gradients of one network, a function of the settings (except `hgr_threshold`) and the seed only.

    Returns:
        accuracy: on test images; ratios [2, 2, 2, T]: mean High Gradient Ratios by normalisation, layer (the
        last convolution, and the output after the sigmoid), region (digit and marker) and each of T thresholds. `run_seed`
        measures the same of its network with a sigmoid.
    """
    activation = ACTIVATIONS["sigmoid"]
    data = draw_data(settings, seed=seed)
    net = trained_net(settings, data.training, activation=activation, seed=seed)
    maps = gradient_maps(net, as_tensors(data.maps)[0], activation=activation)[[-3, -1]]
    ratios = mean_ratios(maps, {name: data.maps.regions[name] for name in REGIONS[:2]})
    found = {"accuracy": accuracy(net, *as_tensors(data.test), activation=activation), "ratios": ratios}
    return {name: np.asarray(values, dtype=np.float32) for name, values in found.items()}


def read_condition(arrays: Mapping[str, np.ndarray], settings: ToySettings) -> dict[str, np.ndarray]:
    """The arrays of `run_condition`, read as `read_seed` does for one network: accuracy, hgr [2, 2, 2], effects [2, T]."""
    ratios = arrays["ratios"]
    return {
        "accuracy": arrays["accuracy"],
        "hgr": ratios[..., threshold_index(settings.hgr_threshold)],
        "effects": extra_falls(ratios[:, 0], ratios[:, 1]),
    }


def reading_names(depth: int) -> list[str]:
    """The inputs of the probes: the layers after their ReLU, the outputs, and the outputs after fine-tuning."""
    return [*(f"T{k}" for k in range(1, depth + 1)), "logit", "sigmoid", "logit_rib", "logit_bce"]


def _measure_information(nets: dict[str, ToyNet], settings: ToySettings, *, seed: int) -> np.ndarray:
    """[R, 2, 2] bits, on the digits of the test images, each at several positions and half of them with a marker."""
    digits = load_digits("test")
    split, repeated = draw_split(len(digits), settings.probe.placements, seed=seed)
    scenes = some_marked(digits.take(repeated), settings, rate=0.5, seed=[seed, PROBE])
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
        _, activated, logit = nets["sigmoid"].layers(batch)
        layers = [pooled(values, grid=settings.probe.grid) for values in activated]
        batches.append([*layers, logit, logit.sigmoid(), nets["rib"](batch), nets["bce"](batch)])
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]
