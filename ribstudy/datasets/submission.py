"""Packs predicted masks as the evaluation server of PASCAL VOC expects them. ::

    results/VOC2012/Segmentation/comp6_test_cls/<name>.png      palette PNG: 0 background, 1..20 classes

comp6 is the competition for methods that are trained on other data than VOC 2012 too (VOC's devkit_doc): ours starts from
ImageNet weights and is trained on images of SBD. Scores on `test` are available only from the server.
"""

import gzip
import io
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from ribstudy.datasets import Dataset
from ribstudy.datasets.pictures import write_mask
from ribstudy.datasets.voc12 import VOC_CLASSES
from ribstudy.runtime.files import atomic

COMPETITIONS = ("comp5", "comp6")  # segmentation; comp5 is for methods trained on VOC 2012 only
SHOWN = 5  # number of faults that an error lists


def submit_voc12(dataset: Dataset, masks: Mapping[str, np.ndarray], path: Path, competition: str = "comp6") -> Path:
    """Writes the archive of predictions for all images of an open split: `test` or, to try it, a split with masks.

    masks: image name -> uint8 [H, W] of the image's size, 0 background, 1..20. They are read one at a time, so the mapping
    may read them from disk.

    Raises ValueError if the classes are not VOC's, and as `write_voc_archive` does.
    """
    if tuple(dataset.class_names) != VOC_CLASSES:
        raise ValueError(
            f"split {dataset.split} has {len(dataset.class_names)} classes ({', '.join(dataset.class_names[:3])}, ...), but the"
            f" server of VOC takes masks of its own {len(VOC_CLASSES)} classes only; pass a split of data set voc12"
        )

    def size_of(name: str) -> tuple[int, int]:
        return dataset.image(name).shape[:2]

    return write_voc_archive(masks, dataset.names, path, sizes=size_of, competition=competition, split=dataset.split)


def write_voc_archive(
    masks: Mapping[str, np.ndarray],
    names: Sequence[str],
    path: Path,
    *,
    sizes: Callable[[str], tuple[int, int]],
    competition: str = "comp6",
    split: str = "test",
) -> Path:
    """Writes a .tar.gz whose bytes depend only on the masks. Writes nothing if one of the masks cannot be submitted.

    Args:
        masks: image name -> uint8 [H, W], 0 background, 1..20. Each mask is read twice, to check it and to write it.
        names: the images, all of which need a mask; other masks are ignored.
        path: the archive, written atomically.
        sizes: image name -> (height, width).
        competition: comp6, or comp5 for a method trained on VOC 2012 only.
        split: the split in the name of the folder inside the archive.

    Raises:
        ValueError: an unknown competition, a suffix other than .tar.gz, no names; or masks that are missing, differ in size
            from their image, or contain other values. The message names the first few of them.
    """
    if competition not in COMPETITIONS:
        raise ValueError(f"competition {competition!r} is not known; known: {', '.join(COMPETITIONS)}")
    if not path.name.endswith(".tar.gz"):
        raise ValueError(f"{path}: the server takes a .tar.gz; pass a path with this suffix")
    problems = list(_problems(masks, names, sizes))
    if problems or not names:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ValueError(
            f"{len(problems)} of {len(names)} images of split {split} have no mask that can be submitted; predict all of them"
            f" first. {'; '.join(problems[:SHOWN])}{more}"
        )
    folder = f"results/VOC2012/Segmentation/{competition}_{split}_cls"
    _write(path, {f"{folder}/{name}.png": name for name in sorted(names)}, masks)
    return path


def _write(path: Path, entries: Mapping[str, str], masks: Mapping[str, np.ndarray]) -> None:
    """entries: path in the archive -> image name, in the order of writing."""
    with (
        atomic(path) as temporary,
        temporary.open("wb") as file,
        # The header contains no file name and no time, so the same masks give the same bytes.
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive,
    ):
        for place, name in entries.items():
            _add(archive, place, masks[name])


def _problems(masks: Mapping[str, np.ndarray], names: Sequence[str], sizes: Callable[[str], tuple[int, int]]) -> Iterator[str]:
    """The faults of the masks, at most one line for each image."""
    present = set(masks)  # `name in masks` would read the mask
    for name in names:
        if name not in present:
            yield f"{name}: is missing"
            continue
        mask, size = masks[name], tuple(sizes(name))
        unknown = np.setdiff1d(mask, np.arange(len(VOC_CLASSES) + 1)).tolist()
        if mask.dtype != np.uint8:
            yield f"{name}: is {mask.dtype}, not uint8"
        elif mask.shape != size:
            yield f"{name}: is {' x '.join(map(str, mask.shape))} px (height x width), but its image is {size[0]} x {size[1]}"
        elif unknown:
            yield f"{name}: contains {unknown}, but only 0 to {len(VOC_CLASSES)} are allowed"


def _add(archive: tarfile.TarFile, place: str, mask: np.ndarray) -> None:
    """Adds a palette PNG in the devkit's colours. Its entry contains nothing that depends on the user or the date."""
    buffer = io.BytesIO()
    write_mask(buffer, mask)
    entry = tarfile.TarInfo(place)  # with time, user and group 0
    entry.size = buffer.tell()
    buffer.seek(0)
    archive.addfile(entry, buffer)
