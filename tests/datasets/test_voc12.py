"""The reader of VOC 2012: what it reads, and the message for every fault."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.devkit import NAMES, OBJECT, add_test, annotation, voc
from PIL import Image

from ribstudy import datasets
from ribstudy.datasets import devkit
from ribstudy.datasets.base import DataError
from ribstudy.datasets.pictures import write_mask
from ribstudy.datasets.settings import DataSettings
from ribstudy.datasets.voc12 import VOC_CLASSES, VocDataset, check
from ribstudy.report.figures import data as data_figures


def test_reads_image_mask_and_labels(devkit_root):
    dataset = datasets.open_dataset(voc(devkit_root), "train")
    assert len(dataset) == 2
    assert dataset.labels.shape == (2, 20)
    assert dataset.labels.dtype == bool
    assert [VOC_CLASSES[index] for index in np.flatnonzero(dataset.labels[0])] == ["dog"]
    image, mask = dataset.image("2007_000001"), dataset.mask("2007_000001")
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((30, 40, 3), np.uint8, (30, 40), np.uint8)
    assert np.unique(mask).tolist() == [0, 12, 255]


def test_a_grey_jpeg_is_read_as_rgb(devkit_root):
    Image.fromarray(np.full((30, 40), 90, np.uint8)).save(devkit_root / "JPEGImages" / "2007_000001.jpg")
    assert datasets.open_dataset(voc(devkit_root), "train").image("2007_000001").shape == (30, 40, 3)


def test_check_accepts_a_devkit_without_masks_for_train_aug(devkit_root):
    assert datasets.check(voc(devkit_root), decode=True) == []


def test_an_orientation_is_not_applied_and_said(devkit_root, caplog):
    exif = Image.Exif()
    exif[0x0112] = 3
    stored = np.zeros((30, 40, 3), np.uint8)
    stored[:15] = 200
    Image.fromarray(stored).save(devkit_root / "JPEGImages/2007_000001.jpg", exif=exif)
    assert datasets.check(voc(devkit_root)) == []
    assert "1 images, such as 2007_000001.jpg, have an EXIF orientation that is not applied, because masks" in caplog.text
    image = datasets.open_dataset(voc(devkit_root), "train").image("2007_000001")
    assert image[:10].mean() > image[20:].mean()


def test_no_root(devkit_root):
    with pytest.raises(DataError, match=r"data\.root is not set"):
        datasets.open_dataset(voc(None), "train")


def test_missing_folder_of_the_data(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: this folder of the data set is missing.*JPEGImages"):
        datasets.prepare(voc(tmp_path / "nowhere"))


def test_missing_folders_inside_are_all_named(devkit_root):
    shutil.rmtree(devkit_root / "Annotations")
    shutil.rmtree(devkit_root / "SegmentationClass")
    with pytest.raises(DataError, match=r"Annotations.*SegmentationClass"):
        datasets.open_dataset(voc(devkit_root), "train")
    assert len(check(devkit_root, VOC_CLASSES)) == 2


def test_a_missing_list_of_train_aug_comes_with_a_hint(devkit_root):
    (devkit_root / "ImageSets/Segmentation/train_aug.txt").unlink()
    assert len(datasets.open_dataset(voc(devkit_root), "train")) == 2
    with pytest.raises(
        DataError, match=r"train_aug\.txt.*missing \(existing lists: train, val\).*SBD.* data fetch voc12 --root"
    ):
        datasets.open_dataset(voc(devkit_root), "train_aug")
    problems = check(devkit_root, VOC_CLASSES)
    assert len(problems) == 1
    assert "train_aug.txt" in problems[0]


def test_val_that_overlaps_with_training_is_reported(devkit_root):
    (devkit_root / "ImageSets/Segmentation/val.txt").write_text("2007_000003\n2008_000004\n")
    assert any("val.txt" in problem and "2008_000004" in problem for problem in check(devkit_root, VOC_CLASSES, decode=False))


def truncate(path: Path, *, keep: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])


# fault: what reads the file, how the file is changed, the message
FAULTS = {
    "image_missing": ("image", Path.unlink, "is missing"),
    "image_truncated": ("image", truncate, "truncated"),
    "image_empty": ("image", lambda path: path.write_bytes(b""), "is empty"),
    "image_not_a_jpeg": ("image", lambda path: path.write_bytes(b"<html>not found</html>\xff\xd9"), "is not a JPEG"),
    "annotation_missing": ("label", Path.unlink, "is missing"),
    "annotation_of_an_unknown_class": (
        "label",
        lambda path: path.write_text(annotation(OBJECT.format(name="dragon", extra=""))),
        "unknown class 'dragon'; known: aeroplane",
    ),
    "annotation_without_objects": ("label", lambda path: path.write_text(annotation()), "has no object"),
    "annotation_truncated": ("label", truncate, "not readable as XML"),
    "annotation_without_a_box": (
        "label",
        lambda path: path.write_text(annotation("<object><name>dog</name></object>")),
        "box of a dog",
    ),
    "mask_missing": ("mask", Path.unlink, "is missing"),
    "mask_truncated": ("mask", lambda path: truncate(path, keep=0.97), "the image is not readable, it may be truncated"),
    "mask_with_an_unknown_value": (
        "mask",
        lambda path: write_mask(path, np.full((30, 40), 21, np.uint8)),
        r"contains \[21\], but only 0 to 20 and 255",
    ),
    "mask_in_colour": ("mask", lambda path: Image.new("RGB", (40, 30)).save(path), "mode RGB"),
}
FILES = {
    "image": "JPEGImages/2007_000001.jpg",
    "label": "Annotations/2007_000001.xml",
    "mask": "SegmentationClass/2007_000001.png",
}


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_by_check_and_by_the_reader(devkit_root, fault, decode):
    read, spoil, message = FAULTS[fault]
    path = devkit_root / FILES[read]
    spoil(path)
    dataset = VocDataset(devkit_root, "train", VOC_CLASSES)
    with pytest.raises(DataError, match=message) as caught:
        getattr(dataset, read)("2007_000001")
    assert str(path) in str(caught.value)
    assert check(devkit_root, VOC_CLASSES, decode=decode) == [str(caught.value)]


@pytest.mark.parametrize("decode", [False, True])
def test_a_jpeg_damaged_after_its_header_is_named(devkit_root, decode):
    path = devkit_root / "JPEGImages" / "2007_000001.jpg"
    data = bytearray(path.read_bytes())
    table = data.index(b"\xff\xc4")  # a Huffman table
    data[table + 5 : table + 21] = b"\xff" * 16
    path.write_bytes(data)
    (problem,) = check(devkit_root, VOC_CLASSES, decode=decode)
    assert problem.startswith(f"{path}: the image is not readable")
    with pytest.raises(DataError, match=re.escape(problem)):
        datasets.open_dataset(voc(devkit_root), "train").image("2007_000001")


def test_a_mask_of_another_size_is_reported(devkit_root):
    write_mask(devkit_root / "SegmentationClass" / "2007_000003.png", np.zeros((40, 30), np.uint8))
    (problem,) = check(devkit_root, VOC_CLASSES)
    assert "2007_000003.png: is 30 x 40 px, but 2007_000003.jpg is 40 x 30 px" in problem


def test_all_faults_are_reported_at_once(devkit_root):
    truncate(devkit_root / FILES["image"])
    FAULTS["annotation_of_an_unknown_class"][1](devkit_root / FILES["label"])
    FAULTS["mask_with_an_unknown_value"][1](devkit_root / FILES["mask"])
    (devkit_root / "JPEGImages" / "2008_000004.jpg").unlink()
    assert len(check(devkit_root, VOC_CLASSES)) == 4


def test_a_list_is_named_if_all_files_of_an_image_are_missing(devkit_root):
    path = devkit_root / "ImageSets/Segmentation/train.txt"
    path.write_text(path.read_text() + "2O07_000001\n")
    problem, *of_files = check(devkit_root, VOC_CLASSES)
    assert problem == f"{path}: 1 of its 3 images are missing, such as 2O07_000001"
    assert [problem.rpartition(": ")[2] for problem in of_files] == ["is missing"] * 3


def test_masks_of_train_aug_come_from_voc_first_and_then_from_sbd(devkit_root):
    train_aug = datasets.open_dataset(voc(devkit_root), "train_aug")
    with pytest.raises(
        DataError, match=r"2008_000004 has no mask: neither .*SegmentationClass/2008.* nor .*SegmentationClassAug/2008"
    ):
        train_aug.mask("2008_000004")
    assert train_aug.masked_names == NAMES["train"]
    (devkit_root / "SegmentationClassAug").mkdir()
    for name in NAMES["train_aug"]:
        Image.fromarray(np.full((30, 40), 3, np.uint8)).save(devkit_root / "SegmentationClassAug" / f"{name}.png")
    train_aug = datasets.open_dataset(voc(devkit_root), "train_aug")
    assert train_aug.masked_names == NAMES["train_aug"]
    assert [train_aug.mask(name).max() for name in NAMES["train_aug"]] == [255, 255, 3]
    assert datasets.check(voc(devkit_root)) == []
    (devkit_root / "SegmentationClass" / "2007_000001.png").unlink()  # train must have VOC's own
    with pytest.raises(DataError, match=r"SegmentationClass/2007_000001\.png: is missing"):
        datasets.open_dataset(voc(devkit_root), "train").mask("2007_000001")
    Image.fromarray(np.full((30, 40), 99, np.uint8)).save(devkit_root / "SegmentationClassAug" / "2008_000004.png")
    missing, unknown = datasets.check(voc(devkit_root))
    assert "SegmentationClass/2007_000001.png: is missing" in missing
    assert "SegmentationClassAug/2008_000004.png: contains [99]" in unknown


def test_splits_and_lists(devkit_root):
    assert datasets.splits(voc(devkit_root)) == ("train", "val", "train_aug")
    assert datasets.training_set(voc(devkit_root)).names == NAMES["train_aug"]
    assert [path.stem for path in datasets.lists(voc(devkit_root))] == ["train", "val", "train_aug"]


def test_images_of_test_have_neither_labels_nor_masks(devkit_root):
    add_test(devkit_root)
    test = datasets.open_dataset(voc(devkit_root), "test")
    assert test.names == ["2009_000005", "2009_000006"]
    assert test.image("2009_000005").shape == (30, 40, 3)
    assert (test.labels.shape, test.labels.any(), test.objects("2009_000005")) == ((2, 20), False, ())
    assert (test.num_annotated, test.num_objects("2009_000005"), test.masked_names, test.has_masks) == (0, None, [], False)
    with pytest.raises(DataError, match=r"2009_000005: split test has no masks because .* use split train or val"):
        test.mask("2009_000005")


def test_the_split_test_is_optional_and_not_part_of_the_identity(devkit_root):
    before = datasets.fingerprint(voc(devkit_root))
    assert datasets.check(voc(devkit_root)) == []
    with pytest.raises(DataError, match=r"test\.txt.*missing \(existing lists: .*1,456 names.*host\.robots\.ox\.ac\.uk:8080"):
        datasets.open_dataset(voc(devkit_root), "test")
    add_test(devkit_root)
    assert len(datasets.open_dataset(voc(devkit_root), "test")) == 2
    assert datasets.check(voc(devkit_root), decode=True) == []
    assert datasets.fingerprint(voc(devkit_root)) == before
    assert datasets.splits(voc(devkit_root)) == ("train", "val", "train_aug")
    assert datasets.unlabelled_splits(voc(devkit_root)) == ("test",)
    assert [path.stem for path in datasets.lists(voc(devkit_root))] == ["train", "val", "train_aug"]


def test_the_check_reads_the_pictures_of_test(devkit_root):
    add_test(devkit_root)
    (devkit_root / "JPEGImages" / "2009_000006.jpg").write_bytes(b"")
    (devkit_root / "ImageSets/Segmentation/test.txt").write_text("2009_000005\n2009_000006\n2008_000004\n")
    overlap, empty = datasets.check(voc(devkit_root))
    assert "test.txt: 1 of its images are also in train or train_aug, such as 2008_000004" in overlap
    assert "2009_000006.jpg: is empty" in empty
    (devkit_root / "ImageSets/Segmentation/test.txt").write_text("")
    assert any("test.txt: is empty" in problem for problem in datasets.check(voc(devkit_root)))


def test_minivoc_has_no_split_test(tmp_path):
    numbers = {"image_size": 64, "num_train": 1, "num_train_aug": 1, "num_val": 1, "seed": 0}
    minivoc = DataSettings(name="minivoc", root=tmp_path / "mini", minivoc=numbers)
    with pytest.raises(
        DataError,
        match=r"minivoc has no split 'test', only train, val, train_aug: .* use split=train_aug",
    ):
        datasets.open_dataset(minivoc, "test")
    assert datasets.unlabelled_splits(minivoc) == ()


def test_the_check_gives_the_same_with_two_processes(devkit_root, monkeypatch):
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    truncate(devkit_root / FILES["image"])
    FAULTS["annotation_of_an_unknown_class"][1](devkit_root / FILES["label"])
    (devkit_root / "JPEGImages" / "2008_000004.jpg").unlink()
    problems = datasets.check(voc(devkit_root), decode=True)
    assert len(problems) == 3
    assert datasets.check(voc(devkit_root), decode=True, processes=2) == problems


@pytest.mark.parametrize(
    ("part", "name", "content"),
    [
        ("lists", "ImageSets/Segmentation/train.txt", "2007_000001\n"),
        ("labels", "Annotations/2008_000004.xml", annotation(OBJECT.format(name="cat", extra=""))),
        ("labels", "Annotations/2007_000003.xml", "<annotation>"),  # a fault that the check reports
        ("images", "JPEGImages/2007_000001.jpg", "x"),
    ],
)
def test_the_fingerprint_changes_with_the_files_within_a_process(devkit_root, part, name, content):
    before = datasets.fingerprint(voc(devkit_root))
    (devkit_root / "new").write_text(content)
    (devkit_root / "new").replace(devkit_root / name)
    after = datasets.fingerprint(voc(devkit_root))
    assert {key for key in before if before[key] != after[key]} == {part}


def test_a_label_is_read_once(devkit_root, monkeypatch):
    before = datasets.fingerprint(voc(devkit_root))
    monkeypatch.setattr(devkit, "read_bytes", lambda path: pytest.fail(f"{path} is read again"))
    assert datasets.fingerprint(voc(devkit_root)) == before
    assert datasets.training_set(voc(devkit_root)).labels.sum() == 3


def test_mask_shares_by_hand(devkit_root):
    shares = data_figures.mask_shares(datasets.open_dataset(voc(devkit_root), "train"), num_masks=1)
    assert shares.loc["2007_000001", ["background", "dog", "void"]].tolist() == [960 / 1200, 225 / 1200, 15 / 1200]
    assert shares.loc["2007_000001"].drop(["background", "dog", "void"]).isna().all()


def test_split_table_counts_images_objects_and_classes(devkit_root):
    two = annotation(OBJECT.format(name="person", extra=""), OBJECT.format(name="cat", extra=""))
    (devkit_root / "Annotations" / "2007_000001.xml").write_text(two)
    row = data_figures.split_table({"train": datasets.open_dataset(voc(devkit_root), "train")}).loc["train"]
    assert row.tolist() == [2, 2, 2, 3, 1.5, 0.5, 0.5, 0]
