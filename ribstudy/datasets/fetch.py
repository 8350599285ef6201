"""PASCAL VOC 2012 and the masks of SBD, fetched into a folder: what is there already is neither fetched nor changed::

    <root>/VOCtrainval_11-May-2012.tar, <root>/benchmark.tgz    the archives of VOC and SBD; can be put there by hand
    <root>/SBD/                                                 SBD, unpacked
    <root>/VOCdevkit/VOC2012/                                   the devkit; or <root> itself, where it holds JPEGImages
        ImageSets/Segmentation/train_aug.txt                    train in VOC's order, then what SBD adds, sorted
        SegmentationClassAug/<name>.png                         masks of train_aug: VOC's own where VOC has one, else SBD's

Addresses, checksums and unpacking are torchvision's. A run that was stopped is gone on with by the next: an archive behind its
last byte, masks behind the last one that was written.
"""

import contextlib
import itertools
import logging
import math
import shutil
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
from torchvision.datasets import SBDataset, VOCSegmentation
from torchvision.datasets.utils import calculate_md5
from torchvision.datasets.voc import DATASET_YEAR_DICT

from ribstudy.datasets import voc12
from ribstudy.datasets.base import DataError, write_mask
from ribstudy.runtime.files import atomic, locked
from ribstudy.runtime.progress import track

COUNTS = {"train": 1464, "train_aug": 10582, "val": 1449}  # images of each split, as everybody counts them
MASK_FOLDER = "SegmentationClassAug"
TIMEOUT = 60  # seconds without an answer or a byte
CHUNK = 2**20  # bytes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """A file to fetch: its address (or path) and checksum, the place to keep it, and the option that names another address."""

    url: str
    md5: str
    path: Path
    option: str


def fetch_voc12(
    root: Path, *, mirror_voc: str | None = None, mirror_sbd: str | None = None, counts: Mapping[str, int] = COUNTS
) -> Path:
    """The folder of a devkit that holds train_aug and its masks, after what was missing has been fetched.

    root: a devkit (the folder with JPEGImages), the folder above it, or the folder to make VOCdevkit/VOC2012 in.
    mirror_voc, mirror_sbd: the archive's address elsewhere, by http, https or file, or a path.
    counts: how many images the splits must have.

    Raises DataError where an archive is not to be had, is not the published one, or gives other counts; OSError, with the
    path, where the disk is full or not writable.
    """
    root = Path(root).expanduser()
    devkit = devkit_folder(root)
    if not _is_complete(devkit):
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".fetch.lock", f"fetching into {root}"):
            _complete(root, devkit, _archives(root, mirror_voc, mirror_sbd), counts)
    check_counts(devkit, {split: voc12.read_names(devkit, split) for split in counts}, counts)
    return devkit


def devkit_folder(root: Path) -> Path:
    """The devkit at or below `root`; where there is none, the place for it."""
    places = (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012")
    return next((place for place in places if (place / "JPEGImages").is_dir()), places[-1])


def merge_train_aug(train: Sequence[str], val: Collection[str], sbd: Iterable[str]) -> list[str]:
    """train in its order, then all other images of SBD, sorted, but for those of val."""
    return [*train, *sorted(set(sbd) - set(train) - set(val))]


def check_counts(devkit: Path, names: Mapping[str, Sequence[str]], counts: Mapping[str, int]) -> None:
    """Raises DataError where a split has another number of images than `counts` says."""
    found = {split: len(names[split]) for split in counts}
    if found != dict(counts):
        raise DataError(
            f"{_list_path(devkit).parent}: the lists have {_numbers(found)} images, but {_numbers(counts)} are expected; "
            "remove the list that is not the published one, or pass another root"
        )


def _numbers(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count:,}" for split, count in counts.items())


def sbd_mask(path: Path) -> np.ndarray:
    """The classes in a file of SBD's `cls`, uint8 [H, W]: 0 background, 1..20. SBD draws no void border."""
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
    if voc12.missing_parts(devkit) or not _list_path(devkit).is_file():
        return False
    return not _missing_masks(devkit, voc12.read_names(devkit, "train_aug"))


def _complete(root: Path, devkit: Path, archives: tuple[Archive, Archive], counts: Mapping[str, int]) -> None:
    """Fetches and unpacks what is missing, and writes the list and the masks."""
    sbd = root / "SBD"
    needs_voc, needs_sbd = bool(voc12.missing_parts(devkit)), not sbd.is_dir()
    # Both archives before one is unpacked: what goes wrong goes wrong early.
    voc_file, sbd_file = (
        _get(archive) if needs else None for archive, needs in zip(archives, (needs_voc, needs_sbd), strict=True)
    )
    if voc_file:
        _unpack_voc(root, voc_file, devkit)
    if sbd_file:
        _unpack_sbd(root, sbd_file, sbd)
    names = {split: voc12.read_names(devkit, split) for split in voc12.SPLITS_WITH_MASKS}
    sources = {Path(path).stem: Path(path) for part in ("train", "val") for path in SBDataset(sbd, part, "segmentation").masks}
    has_list = _list_path(devkit).is_file()
    names["train_aug"] = voc12.read_names(devkit, "train_aug") if has_list else merge_train_aug(**names, sbd=sources)
    check_counts(devkit, names, counts)
    if not has_list:
        with _naming(_list_path(devkit)), atomic(_list_path(devkit)) as temporary:
            temporary.write_text("".join(f"{name}\n" for name in names["train_aug"]))
    sources |= {name: devkit / "SegmentationClass" / f"{name}.png" for name in names["train"]}
    _write_masks(devkit, _missing_masks(devkit, names["train_aug"]), sources)


def _list_path(devkit: Path) -> Path:
    return devkit / "ImageSets" / "Segmentation" / "train_aug.txt"


def _missing_masks(devkit: Path, names: Iterable[str]) -> list[str]:
    present = {path.stem for path in (devkit / MASK_FOLDER).glob("[!.]*.png")}
    return [name for name in names if name not in present]


def _write_masks(devkit: Path, names: Sequence[str], sources: Mapping[str, Path]) -> None:
    """Masks for SegmentationClassAug, some 400 a second."""
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
    """The devkit, whole; of a devkit that is there in part, the missing folders."""
    with _unpacking(root, archive, DATASET_YEAR_DICT["2012"]["filename"]) as folder:
        VOCSegmentation(folder, "2012", download=True)
        unpacked = folder / "VOCdevkit" / "VOC2012"
        if not devkit.exists():
            devkit.parent.mkdir(exist_ok=True)
            unpacked.replace(devkit)
        for part in voc12.FOLDERS:
            if not (devkit / part).is_dir():
                (devkit / part).parent.mkdir(parents=True, exist_ok=True)
                (unpacked / part).replace(devkit / part)


def _unpack_sbd(root: Path, archive: Path, sbd: Path) -> None:
    with _unpacking(root, archive, SBDataset.filename) as folder:
        SBDataset(folder, mode="segmentation", download=True)
        (folder / SBDataset.filename).unlink()
        folder.replace(sbd)


@contextlib.contextmanager
def _unpacking(root: Path, archive: Path, filename: str) -> Iterator[Path]:
    """A new folder where torchvision finds the archive under its name; gone afterwards, with what a killed run left of it."""
    folder = root / ".unpacking"
    shutil.rmtree(folder, ignore_errors=True)
    log.info("unpacking %s", archive)
    try:
        with _naming(folder):
            folder.mkdir()
            (folder / filename).symlink_to(archive.resolve())
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _get(archive: Archive) -> Path:
    """A file with the archive's checksum: the one at its place, the one that its address is the path of, or a new download."""
    address = urlsplit(archive.url)
    if archive.path.is_file():
        path = archive.path
    elif address.scheme in ("http", "https"):
        return _download(archive)
    elif address.scheme in ("", "file"):
        path = Path(url2pathname(address.path) if address.scheme else archive.url).expanduser()
    else:
        raise DataError(f"{archive.option} {archive.url}: an address begins with http://, https:// or file://, or is a path")
    if not path.is_file():
        raise DataError(f"{archive.option} {archive.url}: no such file")
    if (md5 := calculate_md5(path)) != archive.md5:
        sums = f"its md5 is {md5}, but that of {archive.path.name} is {archive.md5}"
        raise DataError(f"{path}: {sums}; it is damaged, or another file: remove it and run this again")
    return path


def _download(archive: Archive) -> Path:
    """Fetches the archive. What comes is kept beside its place in a `.part` file until it is whole and its checksum agrees.

    A connection that breaks is made anew as long as each one brings something.
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
            log.info("%s: the connection broke after %.0f MB; going on", archive.url, _size(part) / 1e6)
    if (md5 := calculate_md5(part)) != archive.md5:
        part.unlink()
        sums = f"gave a file with md5 {md5}, but that of {archive.path.name} is {archive.md5}"
        raise DataError(f"{archive.url}: {sums}; it was removed: run this again, or name another address: {archive.option} URL")
    return part.replace(archive.path)


def _append_rest(url: str, part: Path) -> None:
    """Fetches what `part` lacks; all of it anew from a server that does not give parts."""
    headers = {"Accept-Encoding": "identity"}  # the checksum is of the packed bytes
    if size := _size(part):
        headers["Range"] = f"bytes={size}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if size and response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is left to come
        response.raise_for_status()
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.RequestException("a web page came instead of the archive")
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
    while error.__context__ is not None:  # the innermost says it best: "Connection refused"
        error = error.__context__
    kept = f"; the first {_size(part) / 1e6:.0f} MB are kept in {part.name}" if part.is_file() else ""
    return (
        f"{archive.url}: could not be fetched ({error}){kept}. Get {archive.path.name} (md5 {archive.md5}) elsewhere, put it "
        f"at {archive.path} and run this again, or name another address: {archive.option} URL"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Gives an OSError the path where it has none: a full disk does not say which file it had no room for."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise
