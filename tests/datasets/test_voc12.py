"""The reader of the VOC devkit: what it reads, and what it says about each thing that can be wrong."""

import errno
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ribstudy import datasets
from ribstudy.datasets import synthetic, voc12
from ribstudy.datasets.base import DataError, read_bytes
from ribstudy.datasets.pictures import PALETTE
from ribstudy.datasets.settings import DataSettings
from ribstudy.datasets.voc12 import VOC_CLASSES, VocDataset, check
from ribstudy.report.figures import data as data_figures

NAMES = {
    "train": ["2007_000001", "2007_000002"],
    "val": ["2007_000003"],
    "train_aug": ["2007_000001", "2007_000002", "2008_000004"],
}
BOX = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20.5</xmax><ymax>15</ymax></bndbox>"
OBJECT = "<object><name>{name}</name>{extra}" + BOX + "</object>"


def annotation(*objects: str) -> str:
    return f"<annotation><size><width>40</width><height>30</height></size>{''.join(objects)}</annotation>"


@pytest.fixture
def root(tmp_path) -> Path:
    """A devkit of four images, 40 x 30 px; the one that only train_aug holds has no mask, as in VOC 2012."""
    folder = tmp_path / "VOC2012"
    for part in ("JPEGImages", "Annotations", "SegmentationClass", "ImageSets/Segmentation"):
        (folder / part).mkdir(parents=True)
    for split, names in NAMES.items():
        (folder / "ImageSets" / "Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 5:20], mask[20, 5:20] = 12, 255
    for name in sorted({name for names in NAMES.values() for name in names}):
        Image.fromarray(noise).save(folder / "JPEGImages" / f"{name}.jpg", quality=95)
        (folder / "Annotations" / f"{name}.xml").write_text(annotation(OBJECT.format(name="dog", extra="")))
        if name != "2008_000004":
            save_mask(folder, name, mask)
    return folder


def save_mask(root: Path, name: str, mask: np.ndarray) -> None:
    picture = Image.fromarray(mask).convert("P")
    picture.putpalette(PALETTE.tobytes())
    picture.save(root / "SegmentationClass" / f"{name}.png")


def voc(root: Path | None) -> DataSettings:
    return DataSettings(name="voc12", root=root)


def truncate(path: Path, *, keep: float = 0.5) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])


def test_class_order_and_palette_are_the_devkits():
    assert len(VOC_CLASSES) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)  # VOC's order is the alphabet's
    assert (VOC_CLASSES[0], VOC_CLASSES[14], VOC_CLASSES[19]) == ("aeroplane", "person", "tvmonitor")
    assert PALETTE[[0, 1, 2, 15, 20, 255]].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]


def test_reads_image_mask_and_labels(root):
    dataset = datasets.open_dataset(voc(root), "train")
    assert len(dataset) == 2
    assert dataset.labels.shape == (2, 20)
    assert dataset.labels.dtype == bool
    assert [VOC_CLASSES[index] for index in np.flatnonzero(dataset.labels[0])] == ["dog"]
    image, mask = dataset.image("2007_000001"), dataset.mask("2007_000001")
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((30, 40, 3), np.uint8, (30, 40), np.uint8)
    assert np.unique(mask).tolist() == [0, 12, 255]


def test_a_grey_jpeg_is_read_as_rgb(root):
    Image.fromarray(np.full((30, 40), 90, np.uint8)).save(root / "JPEGImages" / "2007_000001.jpg")
    assert datasets.open_dataset(voc(root), "train").image("2007_000001").shape == (30, 40, 3)


def test_difficult_objects_and_boxes_with_fractions_count_and_parts_do_not(root):
    extra = "<difficult>1</difficult><part><name>head</name></part>"
    path = root / "Annotations" / "2007_000001.xml"
    path.write_text(annotation(OBJECT.format(name="person", extra=extra), OBJECT.format(name="cat", extra="")))
    dataset = datasets.open_dataset(voc(root), "train")
    assert [VOC_CLASSES[index] for index in np.flatnonzero(dataset.label("2007_000001"))] == ["cat", "person"]
    person, cat = dataset.objects("2007_000001")
    assert (person.difficult, cat.difficult, person.box) == (True, False, (2, 3, 20.5, 15))


def test_check_accepts_a_devkit_without_masks_for_train_aug(root):
    assert datasets.check(voc(root), decode=True) == []


def test_no_root(root):
    with pytest.raises(DataError, match=r"data\.root is not set"):
        datasets.open_dataset(voc(None), "train")


def test_missing_folder_of_the_data(tmp_path):
    with pytest.raises(DataError, match=r"nowhere: this folder of the data set is missing.*JPEGImages"):
        datasets.prepare(voc(tmp_path / "nowhere"))


def test_missing_folders_inside_are_all_named(root):
    shutil.rmtree(root / "Annotations")
    shutil.rmtree(root / "SegmentationClass")
    with pytest.raises(DataError, match=r"Annotations.*SegmentationClass"):
        datasets.open_dataset(voc(root), "train")
    assert len(check(root, VOC_CLASSES)) == 2


def test_missing_train_aug_list_says_what_to_put_where(root):
    (root / "ImageSets/Segmentation/train_aug.txt").unlink()
    assert len(datasets.open_dataset(voc(root), "train")) == 2
    with pytest.raises(DataError, match=r"train_aug\.txt.*missing \(lists there: train, val\).*SBD.* data fetch voc12 --root"):
        datasets.open_dataset(voc(root), "train_aug")
    problems = check(root, VOC_CLASSES)
    assert len(problems) == 1
    assert "train_aug.txt" in problems[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n", "empty"),
        ("/JPEGImages/2007_000001.jpg /SegmentationClassAug/2007_000001.png\n", "is not an image name"),
        ("2007_000001\n2007_000001\n", "more than once"),
    ],
)
def test_malformed_list(root, text, message):
    (root / "ImageSets/Segmentation/train.txt").write_text(text)
    with pytest.raises(DataError, match=rf"train\.txt.*{message}"):
        VocDataset(root, "train", VOC_CLASSES)
    assert any("train.txt" in problem and message in problem for problem in check(root, VOC_CLASSES))


def test_val_that_overlaps_with_training_is_reported(root):
    (root / "ImageSets/Segmentation/val.txt").write_text("2007_000003\n2008_000004\n")
    assert any("val.txt" in problem and "2008_000004" in problem for problem in check(root, VOC_CLASSES, decode=False))


def spoil_picture_missing(root: Path) -> Path:
    path = root / "JPEGImages" / "2007_000001.jpg"
    path.unlink()
    return path


def spoil_picture_truncated(root: Path) -> Path:
    path = root / "JPEGImages" / "2007_000001.jpg"
    truncate(path)
    return path


def spoil_picture_empty(root: Path) -> Path:
    path = root / "JPEGImages" / "2007_000001.jpg"
    path.write_bytes(b"")
    return path


def spoil_picture_not_a_jpeg(root: Path) -> Path:
    path = root / "JPEGImages" / "2007_000001.jpg"
    path.write_bytes(b"<html>not found</html>\xff\xd9")
    return path


def spoil_annotation_missing(root: Path) -> Path:
    path = root / "Annotations" / "2007_000001.xml"
    path.unlink()
    return path


def spoil_annotation_unknown_class(root: Path) -> Path:
    path = root / "Annotations" / "2007_000001.xml"
    path.write_text(annotation(OBJECT.format(name="dragon", extra="")))
    return path


def spoil_annotation_without_object(root: Path) -> Path:
    path = root / "Annotations" / "2007_000001.xml"
    path.write_text(annotation())
    return path


def spoil_annotation_truncated(root: Path) -> Path:
    path = root / "Annotations" / "2007_000001.xml"
    truncate(path)
    return path


def spoil_annotation_without_box(root: Path) -> Path:
    path = root / "Annotations" / "2007_000001.xml"
    path.write_text(annotation("<object><name>dog</name></object>"))
    return path


def spoil_mask_missing(root: Path) -> Path:
    path = root / "SegmentationClass" / "2007_000001.png"
    path.unlink()
    return path


def spoil_mask_truncated(root: Path) -> Path:
    path = root / "SegmentationClass" / "2007_000001.png"
    truncate(path, keep=0.97)
    return path


def spoil_mask_class_outside_of_the_list(root: Path) -> Path:
    save_mask(root, "2007_000001", np.full((30, 40), 21, np.uint8))
    return root / "SegmentationClass" / "2007_000001.png"


def spoil_mask_in_colour(root: Path) -> Path:
    path = root / "SegmentationClass" / "2007_000001.png"
    Image.new("RGB", (40, 30)).save(path)
    return path


FAULTS = {
    spoil_picture_missing: ("image", "is missing"),
    spoil_picture_truncated: ("image", "truncated"),
    spoil_picture_empty: ("image", "is empty"),
    spoil_picture_not_a_jpeg: ("image", "is not a JPEG"),
    spoil_annotation_missing: ("label", "is missing"),
    spoil_annotation_unknown_class: ("label", "unknown class 'dragon'; known: aeroplane"),
    spoil_annotation_without_object: ("label", "holds no object"),
    spoil_annotation_truncated: ("label", "not readable as XML"),
    spoil_annotation_without_box: ("label", "box of a dog"),
    spoil_mask_missing: ("mask", "is missing"),
    spoil_mask_truncated: ("mask", "PNG is not readable"),
    spoil_mask_class_outside_of_the_list: ("mask", r"holds \[21\], but only 0 to 20 and 255"),
    spoil_mask_in_colour: ("mask", "mode RGB"),
}


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("spoil", FAULTS, ids=lambda spoil: spoil.__name__.removeprefix("spoil_"))
def test_a_fault_is_named_by_check_and_by_the_reader(root, spoil, decode):
    path = spoil(root)
    read, message = FAULTS[spoil]
    dataset = VocDataset(root, "train", VOC_CLASSES)
    with pytest.raises(DataError, match=message) as caught:
        getattr(dataset, read)("2007_000001")
    assert str(path) in str(caught.value)
    assert check(root, VOC_CLASSES, decode=decode) == [str(caught.value)]


def test_a_jpeg_broken_behind_its_header_is_found_by_decoding(root):
    path = root / "JPEGImages" / "2007_000001.jpg"
    data = bytearray(path.read_bytes())
    table = data.index(b"\xff\xc4")  # a Huffman table
    data[table + 5 : table + 21] = b"\xff" * 16
    path.write_bytes(data)
    assert check(root, VOC_CLASSES) == []
    (problem,) = check(root, VOC_CLASSES, decode=True)
    assert problem.startswith(f"{path}: the JPEG is not readable")


def test_a_mask_of_another_size_is_reported(root):
    save_mask(root, "2007_000003", np.zeros((40, 30), np.uint8))
    (problem,) = check(root, VOC_CLASSES)
    assert "2007_000003.png: is 30 x 40 px, but 2007_000003.jpg is 40 x 30 px" in problem


def test_all_faults_are_reported_at_once(root):
    spoil_picture_truncated(root)
    spoil_annotation_unknown_class(root)
    spoil_mask_class_outside_of_the_list(root)
    (root / "JPEGImages" / "2008_000004.jpg").unlink()
    assert len(check(root, VOC_CLASSES)) == 4


def test_masks_of_train_aug_come_from_voc_first_and_then_from_sbd(root):
    train_aug = datasets.open_dataset(voc(root), "train_aug")
    with pytest.raises(
        DataError, match=r"2008_000004 has no mask: neither .*SegmentationClass/2008.* nor .*SegmentationClassAug/2008"
    ):
        train_aug.mask("2008_000004")
    assert train_aug.masked_names == NAMES["train"]
    (root / "SegmentationClassAug").mkdir()
    for name in NAMES["train_aug"]:
        Image.fromarray(np.full((30, 40), 3, np.uint8)).save(root / "SegmentationClassAug" / f"{name}.png")
    train_aug = datasets.open_dataset(voc(root), "train_aug")
    assert train_aug.masked_names == NAMES["train_aug"]
    assert [train_aug.mask(name).max() for name in NAMES["train_aug"]] == [255, 255, 3]
    assert datasets.check(voc(root)) == []
    (root / "SegmentationClass" / "2007_000001.png").unlink()  # train must have VOC's own
    with pytest.raises(DataError, match=r"SegmentationClass/2007_000001\.png: is missing"):
        datasets.open_dataset(voc(root), "train").mask("2007_000001")
    Image.fromarray(np.full((30, 40), 99, np.uint8)).save(root / "SegmentationClassAug" / "2008_000004.png")
    missing, unknown = datasets.check(voc(root))
    assert "SegmentationClass/2007_000001.png: is missing" in missing
    assert "SegmentationClassAug/2008_000004.png: holds [99]" in unknown


def test_splits_and_lists(root):
    assert datasets.splits(voc(root)) == ("train", "val", "train_aug")
    assert datasets.training_set(voc(root)).names == NAMES["train_aug"]
    assert [path.stem for path in datasets.lists(voc(root))] == ["train", "val", "train_aug"]


def add_test(root: Path) -> None:
    """A split test of two images, which have neither annotation nor mask."""
    (root / "ImageSets/Segmentation/test.txt").write_text("2009_000005\n2009_000006\n")
    for name in ("2009_000005", "2009_000006"):
        shutil.copy(root / "JPEGImages" / "2007_000001.jpg", root / "JPEGImages" / f"{name}.jpg")


def test_images_of_test_have_neither_labels_nor_masks(root):
    add_test(root)
    test = datasets.open_dataset(voc(root), "test")
    assert test.names == ["2009_000005", "2009_000006"]
    assert test.image("2009_000005").shape == (30, 40, 3)
    assert (test.labels.shape, test.labels.any(), test.objects("2009_000005")) == ((2, 20), False, ())
    assert (test.num_annotated, test.num_objects("2009_000005"), test.masked_names, test.has_masks) == (0, None, [], False)
    with pytest.raises(DataError, match=r"2009_000005: split test has no masks, .* use split train or val"):
        test.mask("2009_000005")


def test_the_split_test_is_optional_and_no_part_of_the_identity(root):
    before = datasets.fingerprint(voc(root))
    assert datasets.check(voc(root)) == []
    with pytest.raises(DataError, match=r"test\.txt.*missing \(lists there: .*1,456 names.*host\.robots\.ox\.ac\.uk:8080"):
        datasets.open_dataset(voc(root), "test")
    add_test(root)
    assert len(datasets.open_dataset(voc(root), "test")) == 2
    assert datasets.check(voc(root), decode=True) == []
    assert datasets.fingerprint(voc(root)) == before
    assert datasets.splits(voc(root)) == ("train", "val", "train_aug")
    assert datasets.unlabelled_splits(voc(root)) == ("test",)
    assert [path.stem for path in datasets.lists(voc(root))] == ["train", "val", "train_aug"]


def test_the_check_reads_the_pictures_of_test(root):
    add_test(root)
    (root / "JPEGImages" / "2009_000006.jpg").write_bytes(b"")
    (root / "ImageSets/Segmentation/test.txt").write_text("2009_000005\n2009_000006\n2008_000004\n")
    overlap, empty = datasets.check(voc(root))
    assert "test.txt: 1 of its images are also trained on, such as 2008_000004" in overlap
    assert "2009_000006.jpg: is empty" in empty
    (root / "ImageSets/Segmentation/test.txt").write_text("")
    assert any("test.txt: the list is empty" in problem for problem in datasets.check(voc(root)))


def test_minivoc_has_no_split_test(tmp_path):
    numbers = {"image_size": 64, "num_train": 1, "num_train_aug": 1, "num_val": 1, "seed": 0}
    minivoc = DataSettings(name="minivoc", root=tmp_path / "mini", minivoc=numbers)
    with pytest.raises(DataError, match="minivoc has no split 'test', only train, val, train_aug: train_aug is what"):
        datasets.open_dataset(minivoc, "test")
    assert datasets.unlabelled_splits(minivoc) == ()


def test_check_says_the_same_with_two_processes(root, monkeypatch):
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    spoil_picture_truncated(root)
    spoil_annotation_unknown_class(root)
    (root / "JPEGImages" / "2008_000004.jpg").unlink()
    problems = datasets.check(voc(root), decode=True)
    assert len(problems) == 3
    assert datasets.check(voc(root), decode=True, processes=2) == problems


def test_a_file_that_cannot_be_read_is_named(root, monkeypatch):
    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    train = datasets.open_dataset(voc(root), "train")
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(DataError, match=r"2007_000001\.jpg: could not be read \(Input/output error\)"):
        train.image("2007_000001")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"could not be read \(Is a directory\)"):
        read_bytes(tmp_path)


def test_the_fingerprint_is_of_the_content_and_not_of_the_place(tmp_path):
    for seed in (0, 1):
        numbers = {"num_train": 2, "num_train_aug": 4, "num_val": 2}
        synthetic.write_voc(tmp_path / str(seed), **numbers, seed=seed, sizes={(96, 72): 1})
    shutil.copytree(tmp_path / "0", tmp_path / "copy")
    first, other, copy = (datasets.fingerprint(voc(tmp_path / name)) for name in ("0", "1", "copy"))
    assert first == copy
    assert first["lists"] == other["lists"]
    assert first["labels"] != other["labels"]
    assert first["images"] != other["images"]


@pytest.mark.parametrize(
    ("part", "name", "content"),
    [
        ("lists", "ImageSets/Segmentation/train.txt", "2007_000001\n"),
        ("labels", "Annotations/2008_000004.xml", annotation(OBJECT.format(name="cat", extra=""))),
        ("labels", "Annotations/2007_000003.xml", "<annotation>"),  # at fault: for the check to name, not for the identity
        ("images", "JPEGImages/2007_000001.jpg", "x"),
    ],
)
def test_the_fingerprint_sees_what_is_mended_within_a_process(root, part, name, content):
    before = datasets.fingerprint(voc(root))
    (root / "new").write_text(content)
    (root / "new").replace(root / name)
    after = datasets.fingerprint(voc(root))
    assert {key for key in before if before[key] != after[key]} == {part}


def test_the_fingerprint_is_made_once_and_a_label_read_once(root, monkeypatch):
    before = datasets.fingerprint(voc(root))
    monkeypatch.setattr(voc12, "read_bytes", lambda path: pytest.fail(f"{path} is read again"))
    monkeypatch.setattr(voc12, "digest", lambda value: pytest.fail("the content is looked at again"))
    assert datasets.fingerprint(voc(root)) == before
    assert datasets.training_set(voc(root)).labels.sum() == 3


def test_mask_shares_by_hand(root):
    shares = data_figures.mask_shares(datasets.open_dataset(voc(root), "train"), num_masks=1)
    assert shares.loc["2007_000001", ["background", "dog", "void"]].tolist() == [960 / 1200, 225 / 1200, 15 / 1200]
    assert shares.loc["2007_000001"].drop(["background", "dog", "void"]).isna().all()


def test_split_table_counts_images_objects_and_classes(root):
    two = annotation(OBJECT.format(name="person", extra=""), OBJECT.format(name="cat", extra=""))
    (root / "Annotations" / "2007_000001.xml").write_text(two)
    row = data_figures.split_table({"train": datasets.open_dataset(voc(root), "train")}).loc["train"]
    assert row.tolist() == [2, 2, 2, 3, 1.5, 0.5, 0.5, 0]
