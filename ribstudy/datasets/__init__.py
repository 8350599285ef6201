"""The data sets of the study by their settings: MiniVOC, drawn where it is not there yet, and PASCAL VOC 2012."""

import hashlib
from pathlib import Path

from ribstudy import paths
from ribstudy.config import DataSettings, digest
from ribstudy.datasets import minivoc, voc12
from ribstudy.datasets.base import DataError, Dataset
from ribstudy.datasets.voc12 import VocDataset

__all__ = ["DataError", "Dataset", "check", "class_names", "data_folder", "fingerprint", "open_dataset", "prepare"]


def class_names(settings: DataSettings) -> tuple[str, ...]:
    return minivoc.CLASS_NAMES if settings.name == "minivoc" else voc12.VOC_CLASSES


def data_folder(settings: DataSettings) -> Path:
    """The folder of the devkit: data.root, or for MiniVOC without one a folder of its own for every description."""
    if settings.root is not None:
        return settings.root.expanduser()
    if settings.name == "minivoc":
        return paths.DATA / f"minivoc-{digest(minivoc.describe(settings.minivoc))}"
    raise DataError("data.root is not set: pass the folder of the VOC 2012 devkit, such as /data/VOCdevkit/VOC2012")


def prepare(settings: DataSettings) -> Path:
    """The folder of the devkit, ready to be read: MiniVOC is drawn where it is not there yet.

    Raises DataError where a folder or list of VOC 2012 is missing, or where MiniVOC's root holds other data.
    """
    root = data_folder(settings)
    if settings.name == "minivoc":
        _prepare_minivoc(root, settings.minivoc)
        return root
    if problems := voc12.missing_parts(root):
        raise DataError("; ".join(problems) + " (data.root is the folder that holds JPEGImages, such as VOCdevkit/VOC2012)")
    for split in voc12.SPLITS_WITH_MASKS:  # train_aug is demanded where it is opened
        voc12.read_names(root, split)
    return root


def _prepare_minivoc(root: Path, settings: minivoc.MiniVocSettings) -> None:
    present = minivoc.read_description(root)
    if present is None:
        minivoc.generate(root, settings)
    elif present != minivoc.describe(settings):
        raise DataError(f"{root}: holds a MiniVOC with other settings ({present}); pass another data.root, or none")


def open_dataset(settings: DataSettings, split: str) -> Dataset:
    """One split ("train", "val" or "train_aug"); MiniVOC is drawn before where it is not there yet."""
    return VocDataset(prepare(settings), split, class_names(settings))


def fingerprint(settings: DataSettings) -> dict:
    """What the identity of the data depends on, without absolute paths."""
    if settings.name == "minivoc":
        return {"name": "minivoc", **minivoc.describe(settings.minivoc)}
    folder = prepare(settings) / "ImageSets" / "Segmentation"
    lists = [folder / f"{split}.txt" for split in voc12.SPLITS if (folder / f"{split}.txt").is_file()]
    return {"name": settings.name, "lists": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in lists}}


def check(settings: DataSettings, *, decode: bool = False) -> list[str]:
    """All problems of the data at once, a line each; an empty list means that there is none (see voc12.check)."""
    if settings.name == "minivoc" and minivoc.read_description(data_folder(settings)) is None:
        return [f"{data_folder(settings)}: MiniVOC is not drawn yet: python -m ribstudy data"]
    try:
        root = prepare(settings)
    except DataError as error:
        return [str(error)]
    return voc12.check(root, class_names(settings), decode=decode)
