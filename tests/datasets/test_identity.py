"""The identity of images, labels and masks: what changes it in every data set, and what does not."""

import shutil

import numpy as np
import pytest
from helpers.coco import coco, name_of
from helpers.devkit import OBJECT, annotation, voc
from helpers.own_folder import own, save_image

from ribstudy import datasets
from ribstudy.datasets import minivoc, synthetic
from ribstudy.datasets.settings import DataSettings, MiniVocSettings

MINIVOC = MiniVocSettings(num_train=1, num_train_aug=2, num_val=1, image_size=64, seed=0)


@pytest.fixture
def own_data(own_root):
    save_image(own_root / "images" / "a.bmp", np.zeros((8, 12, 3), np.uint8))
    (own_root / "images" / "a.png").unlink()
    (own_root / "labels.csv").write_text((own_root / "labels.csv").read_text().replace("a.png", "a.bmp"))
    return own(own_root), "images/a.bmp", "masks/a.png"


@pytest.fixture
def voc_data(devkit_root):
    return voc(devkit_root), "JPEGImages/2007_000001.jpg", "SegmentationClass/2007_000001.png"


@pytest.fixture
def coco_data(coco_root):
    return coco(coco_root), f"train2014/{name_of('train', 1)}.jpg", "annotations/instances_train2014.json"


@pytest.fixture
def minivoc_data(tmp_path):
    settings = DataSettings(name="minivoc", root=tmp_path / "mini", minivoc=MINIVOC)
    datasets.prepare(settings)
    return settings, "JPEGImages/train_000001.jpg", "SegmentationClass/train_000001.png"


@pytest.fixture(params=["own_data", "voc_data", "coco_data", "minivoc_data"])
def data(request):
    """The settings of a data set, and the paths of an image and of a mask (or the file that masks are made from)."""
    return request.getfixturevalue(request.param)


def identities(settings):
    return datasets.fingerprint(settings), datasets.mask_fingerprint(settings)


def repaint(path):
    """Changes one byte in place, near the end of the file, and keeps the number of bytes."""
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def replace(path, text):
    """Replaces a text file by a new file, so that its stamp changes even within one tick of the clock."""
    new = path.with_name("new")
    new.write_text(text)
    new.replace(path)


def test_a_repainted_image_of_the_same_size_is_another_one(data):
    settings, image, _ = data
    images, masks = identities(settings)
    repaint(settings.root / image)
    changed_images, changed_masks = identities(settings)
    assert changed_images != images
    assert changed_masks == masks


def test_a_corrected_mask_of_the_same_size_is_another_one(data):
    settings, _, mask = data
    images, masks = identities(settings)
    if settings.name == "coco14":  # its masks and labels come from one file
        path = settings.root / mask
        path.write_text(path.read_text().replace("[1, 1, 5, 1", "[1, 1, 6, 1"))
    else:
        repaint(settings.root / mask)
    changed_images, changed_masks = identities(settings)
    assert changed_masks != masks
    assert (changed_images == images) == (settings.name != "coco14")


def test_a_copy_elsewhere_is_the_same(data, tmp_path):
    settings, _, _ = data
    shutil.copytree(settings.root, tmp_path / "copy")
    assert identities(settings.model_copy(update={"root": tmp_path / "copy"})) == identities(settings)


def test_identities_are_the_same_each_time_and_contain_no_path(data):
    settings, _, _ = data
    assert identities(settings) == identities(settings)
    assert str(settings.root) not in str(identities(settings))


LISTS = {
    "own_data": ["labels.csv", "val.txt"],
    "voc_data": [f"ImageSets/Segmentation/{split}.txt" for split in ("train", "train_aug")],
}


@pytest.mark.parametrize("fixture", LISTS)
def test_the_order_of_the_lists_changes_neither_identity_nor_names(request, fixture):
    settings, _, _ = request.getfixturevalue(fixture)
    names = [datasets.open_dataset(settings, split).names for split in datasets.splits(settings)]
    before = identities(settings)
    for path in (settings.root / part for part in LISTS[fixture]):
        lines = path.read_text().splitlines()
        start = path.suffix == ".csv"  # the header stays
        replace(path, "\n".join([*lines[:start], *reversed(lines[start:])]) + "\n")
    assert identities(settings) == before
    assert [datasets.open_dataset(settings, split).names for split in datasets.splits(settings)] == names
    assert names == [sorted(split_names) for split_names in names]


def test_a_reformatted_annotation_is_the_same_and_another_class_is_not(voc_data):
    settings, _, _ = voc_data
    before = identities(settings)
    path = settings.root / "Annotations" / "2007_000001.xml"
    replace(path, path.read_text().replace("><", ">\n  <"))
    assert identities(settings) == before
    replace(path, annotation(OBJECT.format(name="cat", extra="")))
    images, masks = identities(settings)
    assert images["labels"] != before[0]["labels"]
    assert masks == before[1]


def test_only_masks_that_are_read_count(voc_data):
    settings, _, mask = voc_data
    before = identities(settings)
    extra = settings.root / "SegmentationClassAug"
    extra.mkdir()
    shutil.copy(settings.root / mask, extra / "2007_000001.png")  # VOC's own mask takes precedence
    shutil.copy(settings.root / mask, extra / "unlisted.png")
    assert identities(settings) == before
    shutil.copy(settings.root / mask, extra / "2008_000004.png")
    images, masks = identities(settings)
    assert images == before[0]
    assert masks != before[1]


def test_the_order_of_classes_identifies_the_masks_of_a_folder(own_data):
    settings, _, _ = own_data
    images, masks = identities(settings)
    replace(settings.root / "classes.txt", "cat\ndog\n")
    changed_images, changed_masks = identities(settings)
    assert changed_images != images
    assert changed_masks != masks


def test_held_out_images_and_labels_identify_a_folder(own_data):
    settings, _, _ = own_data
    images, masks = identities(settings)
    (settings.root / "val.txt").write_text("e\n")
    moved, _ = identities(settings)
    labels = settings.root / "labels.csv"
    replace(labels, labels.read_text().replace("d.png", "d.png,dog"))
    relabelled, changed_masks = identities(settings)
    assert len({str(images), str(moved), str(relabelled)}) == 3
    assert changed_masks == masks
    replace(labels, labels.read_text().replace("cat,dog", "dog, cat"))
    assert identities(settings)[0] == relabelled


def test_the_identity_of_coco_needs_no_masks_and_its_cache_no_images(coco_data, tmp_path):
    settings, image, _ = coco_data
    before = identities(settings)
    (cache,) = (path for path in (tmp_path / "data").iterdir() if path.name.startswith("coco14"))
    assert not (cache / "masks").exists()
    repaint(settings.root / image)
    datasets.prepare(settings)
    assert (cache / "masks").exists()
    assert identities(settings)[1] == before[1]


def test_minivoc_is_identified_by_its_description_until_a_file_is_changed(minivoc_data):
    settings, image, mask = minivoc_data
    description = {"name": "minivoc", **minivoc.describe(MINIVOC)}
    assert identities(settings) == (description, description)
    assert identities(settings.model_copy(update={"root": settings.root.parent / "not drawn"})) == (description, description)
    original = (settings.root / image).read_bytes()
    repaint(settings.root / image)
    images, masks = identities(settings)
    assert (images.keys() - description.keys(), masks) == ({"content"}, description)
    (settings.root / image).write_bytes(original)
    repaint(settings.root / mask)
    images, masks = identities(settings)
    assert (images, masks.keys() - description.keys()) == (description, {"masks"})


def test_minivoc_of_another_pillow_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(minivoc, "JPEG_QUALITY", 89)  # stands for a decoder or encoder with other rounding
    settings = DataSettings(name="minivoc", root=tmp_path / "mini", minivoc=MINIVOC)
    before = datasets.fingerprint(settings)
    datasets.prepare(settings)
    assert datasets.fingerprint(settings) == before


def test_minivoc_that_an_older_version_drew_is_accepted(minivoc_data):
    settings, image, _ = minivoc_data
    before = identities(settings)
    (settings.root / "drawn.json").unlink()
    repaint(settings.root / image)
    assert identities(settings) == before


def test_other_images_with_the_same_lists(tmp_path):
    for seed in (0, 1):
        numbers = {"num_train": 2, "num_train_aug": 4, "num_val": 2}
        synthetic.write_voc(tmp_path / str(seed), **numbers, seed=seed, sizes={(96, 72): 1})
    (first, first_masks), (other, other_masks) = (identities(voc(tmp_path / str(seed))) for seed in (0, 1))
    assert first["lists"] == other["lists"]
    assert first["labels"] != other["labels"]
    assert first["images"] != other["images"]
    assert first_masks != other_masks
