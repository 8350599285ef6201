"""Downloads PASCAL VOC 2012 and the masks of SBD into a folder. Existing files are neither downloaded again nor changed. ::

    <root>/VOCtrainval_11-May-2012.tar, <root>/benchmark.tgz    the archives of VOC and SBD; you can put them there
    <root>/SBD/                                                 unpacked SBD
    <root>/VOCdevkit/VOC2012/                                   the devkit; or <root> itself, if it contains JPEGImages
        ImageSets/Segmentation/train_aug.txt                    train in VOC's order, then the images SBD adds, sorted
        SegmentationClassAug/<name>.png                         masks of train_aug: VOC's own if VOC has one, else SBD's

Addresses and checksums come from torchvision. An archive with another checksum is not unpacked. If a run was interrupted, the
next one resumes it: an archive after its last byte, the masks after the last one that was written.
"""

import contextlib
import itertools
import logging
import math
import shutil
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import requests
import urllib3
from scipy.io import loadmat

from ribstudy.runtime import torchvision_operators  # noqa: F401  (before torchvision)

# isort: split
from torchvision.datasets import SBDataset
from torchvision.datasets.utils import calculate_md5
from torchvision.datasets.voc import DATASET_YEAR_DICT

from ribstudy.datasets.base import DataError
from ribstudy.datasets.devkit import FOLDERS, list_path, missing_parts, read_names
from ribstudy.datasets.pictures import write_mask
from ribstudy.datasets.voc12 import SPLITS_WITH_MASKS
from ribstudy.runtime.files import atomic, locked
from ribstudy.runtime.paths import expanded
from ribstudy.runtime.progress import track

COUNTS = {"train": 1464, "train_aug": 10582, "val": 1449}  # published number of images in each split
MASK_FOLDER = "SegmentationClassAug"
TIMEOUT = 60  # seconds without any data from the server
CHUNK = 2**20  # bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """An archive: its address (or path), checksum, and place on disk, and the option that sets another address."""

    url: str
    md5: str
    path: Path
    option: str


def fetch_voc12(
    root: Path, *, mirror_voc: str | None = None, mirror_sbd: str | None = None, counts: Mapping[str, int] = COUNTS
) -> Path:
    """Completes a devkit with train_aug and its masks, downloading the missing parts, and returns the folder of the devkit.

    Args:
        root: a devkit (the folder with JPEGImages), the folder above it, or the folder in which to make VOCdevkit/VOC2012.
        mirror_voc, mirror_sbd: another address of an archive, by http, https or file, or a path.
        counts: the number of images that each split must have.

    Raises:
        DataError: an archive is not available, is not the published one, or gives other counts.
        OSError: the disk is full or not writable; the error contains the path.
    """
    root = expanded(root)
    devkit = devkit_folder(root)
    if not _is_complete(devkit):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".fetch.lock", f"the download to {root}"):
            _complete(root, devkit, _archives(root, mirror_voc, mirror_sbd), counts)
    check_counts(devkit, {split: read_names(devkit, split) for split in counts}, counts)
    return devkit


def devkit_folder(root: Path) -> Path:
    """The devkit at or below `root`, or its future folder if there is none."""
    places = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    return next((place for place in places if (place / "JPEGImages").is_dir()), places[-1])


def merge_train_aug(train: Sequence[str], val: Collection[str], sbd: Iterable[str]) -> list[str]:
    """train in its order, then all other images of SBD except the images of val, sorted."""
    return [*train, *sorted(set(sbd) - set(train) - set(val))]


def check_counts(devkit: Path, names: Mapping[str, Sequence[str]], counts: Mapping[str, int]) -> None:
    """Raises DataError if the number of images in a split differs from `counts`."""
    found = {split: len(names[split]) for split in counts}
    if found != dict(counts):
        raise DataError(
            f"{_list_path(devkit).parent}: the lists have {_numbers(found)} images, but {_numbers(counts)} are expected; "
            "remove the list that differs from the published one, or pass another root"
        )


def _numbers(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


def sbd_mask(path: Path) -> np.ndarray:
    """The classes in a file of SBD's folder `cls`, uint8 [H, W]: 0 background, 1..20. SBD has no void border."""
    try:
        return loadmat(path)["GTcls"][0]["Segmentation"][0].astype(np.uint8)
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"{path}: is not a mask of SBD ({error}); remove the folder SBD and run this again") from None


def _archives(root: Path, mirror_voc: str | None, mirror_sbd: str | None) -> tuple[Archive, Archive]:
    voc = DATASET_YEAR_DICT["2012"]
    return (
        Archive(mirror_voc or voc["url"], voc["md5"], root / voc["filename"], "--mirror-voc"),
        Archive(mirror_sbd or SBDataset.url, SBDataset.md5, root / SBDataset.filename, "--mirror-sbd"),
    )


def _is_complete(devkit: Path) -> bool:
    if missing_parts(devkit) or not _list_path(devkit).is_file():
        return False
    return not _missing_masks(devkit, read_names(devkit, "train_aug"))


def _complete(root: Path, devkit: Path, archives: tuple[Archive, Archive], counts: Mapping[str, int]) -> None:
    """Downloads and unpacks the missing archives, and writes the list and the masks of train_aug."""
    sbd = root / "SBD"
    # Both archives are downloaded before either is unpacked, so that errors come early.
    voc_file = _get(archives[0]) if missing_parts(devkit) else None
    sbd_file = None if sbd.is_dir() else _get(archives[1])
    if voc_file:
        _unpack_voc(root, voc_file, devkit)
    if sbd_file:
        _unpack_sbd(root, sbd_file, sbd)
    names = {split: read_names(devkit, split) for split in SPLITS_WITH_MASKS}
    sources = {Path(path).stem: Path(path) for part in ("train", "val") for path in SBDataset(sbd, part, "segmentation").masks}
    has_list = _list_path(devkit).is_file()
    names["train_aug"] = read_names(devkit, "train_aug") if has_list else merge_train_aug(**names, sbd=sources)
    check_counts(devkit, names, counts)
    if not has_list:
        with _naming(_list_path(devkit)), atomic(_list_path(devkit)) as temporary:
            temporary.write_text("".join(f"{name}\n" for name in names["train_aug"]))
    sources |= {name: devkit / "SegmentationClass" / f"{name}.png" for name in names["train"]}
    _write_masks(devkit, _missing_masks(devkit, names["train_aug"]), sources)


def _list_path(devkit: Path) -> Path:
    return list_path(devkit, "train_aug")


def _missing_masks(devkit: Path, names: Iterable[str]) -> list[str]:
    present = {path.stem for path in (devkit / MASK_FOLDER).glob("[!.]*.png")}
    return [name for name in names if name not in present]


def _write_masks(devkit: Path, names: Sequence[str], sources: Mapping[str, Path]) -> None:
    """Writes masks to SegmentationClassAug, about 400 per second."""
    if unknown := sorted(set(names) - set(sources)):
        number = f"{len(unknown)} of its images are neither in VOC's train nor in SBD"
        raise DataError(f"{_list_path(devkit)}: {number}, such as {unknown[0]}; remove the list and run this again")
    for name in track(names, MASK_FOLDER):
        path = devkit / MASK_FOLDER / f"{name}.png"
        with _naming(path), atomic(path) as temporary:
            if sources[name].suffix == ".png":
                shutil.copyfile(sources[name], temporary)
            else:
                write_mask(temporary, sbd_mask(sources[name]))


def _unpack_voc(root: Path, archive: Path, devkit: Path) -> None:
    """Unpacks the whole devkit, or only the missing folders of an existing one."""
    with _unpacked(root, archive) as folder:
        unpacked = folder / "VOCdevkit" / "VOC2012"
        if not devkit.exists():
            devkit.parent.mkdir(exist_ok=True)
            unpacked.replace(devkit)
        for part in FOLDERS:
            if not (devkit / part).is_dir():
                (devkit / part).parent.mkdir(parents=True, exist_ok=True)
                (unpacked / part).replace(devkit / part)


def _unpack_sbd(root: Path, archive: Path, sbd: Path) -> None:
    with _unpacked(root, archive) as folder:
        (folder / "benchmark_RELEASE" / "dataset").replace(sbd)


@contextlib.contextmanager
def _unpacked(root: Path, archive: Path) -> Iterator[Path]:
    """Yields a new folder with the content of an archive. Deleted afterwards, or by the next run.

    Raises DataError if the archive would write outside of the folder.
    """
    folder = root / ".unpacking"
    shutil.rmtree(folder, ignore_errors=True)
    log.info("unpacking %s", archive)
    try:
        with _naming(folder), tarfile.open(archive) as packed:
            # Refuses files that leave the folder. The first releases of Python 3.11 lack it and rely on the checksum alone.
            packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(folder)
            yield folder
    except tarfile.TarError as error:
        raise DataError(f"{archive}: cannot be unpacked ({error}); remove it and run this again") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _get(archive: Archive) -> Path:
    """A file with the archive's checksum: at its place on disk, at the path given as its address, or newly downloaded."""
    address = urlsplit(archive.url)
    if archive.path.is_file():
        path = archive.path
    elif address.scheme in ("http", "https"):
        return _download(archive)
    elif address.scheme in ("", "file"):
        path = expanded(url2pathname(address.path) if address.scheme else archive.url)
    else:
        raise DataError(f"{archive.option} {archive.url}: pass an address with http://, https:// or file://, or a path")
    if not path.is_file():
        raise DataError(f"{archive.option} {archive.url}: no such file")
    if (md5 := calculate_md5(path)) != archive.md5:
        sums = f"its md5 is {md5}, but {archive.path.name} has {archive.md5}"
        raise DataError(f"{path}: {sums}; it is damaged or another file: remove it and run this again")
    return path


def _download(archive: Archive) -> Path:
    """Downloads the archive to a `.part` file, which is renamed once it is complete and its checksum agrees.

    Reconnects after a broken connection, as long as every connection delivers some data.
    """
    part = archive.path.with_name(archive.path.name + ".part")
    while True:
        size = _size(part)
        try:
            _append_rest(archive.url, part)
            break
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if _size(part) <= size:
                raise DataError(_unreachable(archive, part, error)) from None
            log.info("%s: the connection broke after %.0f MB; resuming", archive.url, _size(part) / 1e6)
    if (md5 := calculate_md5(part)) != archive.md5:
        part.unlink()
        sums = f"returned a file with md5 {md5}, but {archive.path.name} has {archive.md5}"
        raise DataError(f"{archive.url}: {sums}; it was removed: run this again, or pass another address: {archive.option} URL")
    return part.replace(archive.path)


def _append_rest(url: str, part: Path) -> None:
    """Downloads the missing rest of `part`, or the whole file if the server does not support byte ranges."""
    headers = {"Accept-Encoding": "identity"}  # the checksum is for the compressed bytes
    if size := _size(part):
        headers["Range"] = f"bytes={size}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if size and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # the file is complete
        response.raise_for_status()
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.RequestException("the server returned a web page instead of the archive")
        length = int(response.headers.get("Content-Length", 0))
        size = size if response.status_code == requests.codes.partial_content else 0
        chunks = range(math.ceil(length / CHUNK)) if length else itertools.count()
        with _naming(part), part.open("ab" if size else "wb") as file:
            for _ in track(chunks, f"{part.stem}, MiB"):
                chunk = response.raw.read(CHUNK, decode_content=False)
                if not chunk:
                    break
                file.write(chunk)
        if _size(part) < size + length:
            raise requests.ConnectionError("the connection ended early")


def _unreachable(archive: Archive, part: Path, error: BaseException) -> str:
    """The message for an archive that could not be downloaded."""
    while error.__context__ is not None:  # the innermost error is the clearest: "Connection refused"
        error = error.__context__
    kept = f"; the first {_size(part) / 1e6:.0f} MB are kept in {part.name}" if part.is_file() else ""
    return (
        f"{archive.url}: could not be downloaded ({error}){kept}. Get {archive.path.name} (md5 {archive.md5}) elsewhere, put "
        f"it at {archive.path} and run this again, or pass another address: {archive.option} URL"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Adds the path to an OSError without one: the error for a full disk does not name the file."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
