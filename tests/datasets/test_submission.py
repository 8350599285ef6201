"""The archive for VOC's evaluation server: its layout, its bytes, and masks that are refused before it is written."""

import io
import re
import tarfile
from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from PIL import Image

from ribstudy import datasets
from ribstudy.datasets import synthetic
from ribstudy.datasets.pictures import PALETTE
from ribstudy.datasets.settings import DataSettings
from ribstudy.datasets.submission import submit_voc12, write_voc_archive

NAMES = ["2009_000002", "2009_000001", "2009_000003"]
FOLDER = "results/VOC2012/Segmentation/comp6_test_cls"


def size_of(name: str) -> tuple[int, int]:
    return (4, 6)


class LazyMasks(Mapping[str, np.ndarray]):
    """Makes a mask at every access, like a mapping that reads files."""

    def __init__(self, names: list[str]):
        self.names, self.num_read = names, 0

    def __getitem__(self, name: str) -> np.ndarray:
        self.num_read += 1
        mask = np.zeros((4, 6), np.uint8)
        mask[1, 2], mask[3] = 20, int(name[-1])
        return mask

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def read(path) -> dict[str, bytes]:
    with tarfile.open(path, "r:gz") as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}


def test_the_layout_and_the_colours_are_the_servers(tmp_path):
    masks = LazyMasks([*NAMES, "2009_000009"])
    path = write_voc_archive(masks, NAMES, tmp_path / "new" / "masks.tar.gz", sizes=size_of)
    entries = read(path)
    assert list(entries) == [f"{FOLDER}/{name}.png" for name in sorted(NAMES)]
    assert masks.num_read == 2 * len(NAMES)
    for name in NAMES:
        with Image.open(io.BytesIO(entries[f"{FOLDER}/{name}.png"])) as picture:
            assert picture.mode == "P"
            assert np.array_equal(np.asarray(picture), masks[name])
            assert np.array_equal(np.asarray(picture.convert("RGB")), PALETTE[masks[name]])


def test_the_bytes_depend_on_the_masks_alone(tmp_path):
    first = write_voc_archive(LazyMasks(NAMES), NAMES, tmp_path / "a.tar.gz", sizes=size_of)
    second = write_voc_archive(LazyMasks(NAMES), NAMES[::-1], tmp_path / "b.tar.gz", sizes=size_of)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes()[4:8] == bytes(4)  # the time in the header of gzip
    with tarfile.open(first) as archive:
        entries = [(entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname, entry.mode) for entry in archive]
    assert set(entries) == {(0, 0, 0, "", "", 0o644)}


def test_all_faults_are_listed_in_one_error_and_nothing_is_written(tmp_path):
    masks = {name: np.zeros((4, 6), np.uint8) for name in "bcdefgh"}
    masks["c"] = np.zeros((6, 4), np.uint8)
    masks["d"][0, :2] = (21, 255)
    masks["e"] = np.zeros((4, 6), np.int64)
    for name in "gh":
        masks[name] = np.zeros((4, 6, 3), np.uint8)
    with pytest.raises(ValueError, match=r"^6 of 8 images of split test have no mask") as caught:
        write_voc_archive(masks, list("abcdefgh"), tmp_path / "new" / "masks.tar.gz", sizes=size_of)
    message = str(caught.value)
    assert (
        "a: is missing; c: is 6 x 4 px (height x width), but its image is 4 x 6; d: contains [21, 255], but only 0 to 20"
        in message
    )
    assert "e: is int64, not uint8; g: is 4 x 6 x 3 px" in message
    assert message.endswith("; and 1 more")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"competition": "comp3"}, "competition 'comp3' is not known; known: comp5, comp6"),
        ({"path": "masks.zip"}, "masks.zip: the server takes a .tar.gz"),
        ({"names": []}, "0 of 0 images"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, changed, message):
    options = {"names": NAMES, "path": "masks.tar.gz", **changed}
    options["path"] = tmp_path / options["path"]
    with pytest.raises(ValueError, match=re.escape(message)):
        write_voc_archive(LazyMasks(NAMES), **options, sizes=size_of)


@pytest.fixture(scope="module")
def kit(tmp_path_factory):
    root = tmp_path_factory.mktemp("submit") / "kit"
    synthetic.write_voc(root, num_train=1, num_train_aug=1, num_val=2, num_test=2, sizes={(96, 72): 1, (72, 96): 1})
    return DataSettings(name="voc12", root=root)


@pytest.mark.parametrize(
    ("split", "competition", "folder"), [("test", "comp6", "comp6_test_cls"), ("val", "comp5", "comp5_val_cls")]
)
def test_a_split_is_submitted_as_a_whole(kit, tmp_path, split, competition, folder):
    dataset = datasets.open_dataset(kit, split)
    masks = {name: np.full(dataset.image(name).shape[:2], 20, np.uint8) for name in dataset.names}
    path = submit_voc12(dataset, masks, tmp_path / "masks.tar.gz", competition)
    assert list(read(path)) == [f"results/VOC2012/Segmentation/{folder}/{name}.png" for name in dataset.names]
    del masks[dataset.names[1]]
    masks[dataset.names[0]] = masks[dataset.names[0]].T
    with pytest.raises(ValueError, match=f"2 of 2 images of split {split}"):
        submit_voc12(dataset, masks, tmp_path / "masks.tar.gz", competition)


def test_other_classes_than_vocs_are_refused(tmp_path):
    numbers = {"image_size": 64, "num_train": 1, "num_train_aug": 1, "num_val": 1, "seed": 0}
    minivoc = datasets.open_dataset(DataSettings(name="minivoc", root=tmp_path / "mini", minivoc=numbers), "val")
    with pytest.raises(ValueError, match=r"split val has 12 classes .* takes masks of its own 20 classes only"):
        submit_voc12(minivoc, {}, tmp_path / "masks.tar.gz")
