"""The files of the VOC devkit: lists and annotations."""

import io
import re

import numpy as np
import pytest
from helpers.devkit import OBJECT, annotation, voc

from ribstudy import datasets
from ribstudy.datasets.base import DataError
from ribstudy.datasets.devkit import read_objects, write_annotation
from ribstudy.datasets.pictures import write_mask
from ribstudy.datasets.voc12 import VOC_CLASSES, VocDataset, check


def test_the_class_order_is_vocs():
    assert len(VOC_CLASSES) == 20
    assert list(VOC_CLASSES) == sorted(VOC_CLASSES)  # VOC's order is the alphabet's
    assert (VOC_CLASSES[0], VOC_CLASSES[14], VOC_CLASSES[19]) == ("aeroplane", "person", "tvmonitor")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n\n", "empty"),
        ("/JPEGImages/2007_000001.jpg /SegmentationClassAug/2007_000001.png\n", "is not an image name"),
        ("2007_000001\n2007_000001\n", "more than once"),
        ("2007_000001 1\n2007_000002 -1\n", "is not an image name"),
        ("JPEGImages\\2007_000001\n", "is not an image name"),
        (".2007_000001\n", "is not an image name"),
        ("2007\0_000001\n", "is not an image name"),
        ("2007_" + "0" * 250 + "\n", "is not an image name"),
    ],
)
def test_malformed_list(devkit_root, text, message):
    (devkit_root / "ImageSets/Segmentation/train.txt").write_text(text)
    with pytest.raises(DataError, match=rf"train\.txt.*{message}"):
        VocDataset(devkit_root, "train", VOC_CLASSES)
    assert any("train.txt" in problem and message in problem for problem in check(devkit_root, VOC_CLASSES))


def test_difficult_objects_and_boxes_with_fractions_count_and_parts_do_not(devkit_root):
    extra = "<difficult>1</difficult><part><name>head</name></part>"
    path = devkit_root / "Annotations" / "2007_000001.xml"
    path.write_text(annotation(OBJECT.format(name="person", extra=extra), OBJECT.format(name="cat", extra="")))
    dataset = datasets.open_dataset(voc(devkit_root), "train")
    assert [VOC_CLASSES[index] for index in np.flatnonzero(dataset.label("2007_000001"))] == ["cat", "person"]
    person, cat = dataset.objects("2007_000001")
    assert (person.difficult, cat.difficult, person.box) == (True, False, (2, 3, 20.5, 15))


def test_an_annotation_is_written_as_it_is_read(devkit_root):
    box = {"xmin": 1, "ymin": 2, "xmax": 9, "ymax": 8.5}
    objects = [{"name": name, "difficult": 0, "occluded": 1, "bndbox": box} for name in ("cat", "dog")]
    write_annotation(devkit_root, "new", {"size": {"width": 40, "height": 30}, "object": objects})
    cat, dog = read_objects(devkit_root / "Annotations" / "new.xml", VOC_CLASSES)
    assert (VOC_CLASSES[cat.class_index], VOC_CLASSES[dog.class_index]) == ("cat", "dog")
    assert (cat.box, cat.difficult, cat.truncated, cat.occluded) == ((1, 2, 9, 8.5), False, False, True)


ENCODINGS = ["utf-8", "gb2312", "GBK", "big5", "shift_jis", "euc-kr", "utf-16", "latin-1", "windows-1252"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_annotation_is_read_in_every_encoding(devkit_root, encoding):
    path = devkit_root / "Annotations" / "2007_000001.xml"
    note = "caf\u00e9" if encoding in ("latin-1", "windows-1252") else "\u4e2d" if encoding != "utf-8" else "\u4e2d\u00e9"
    extra = f"<note>{note}</note>"
    text = f'<?xml version="1.0" encoding="{encoding}"?>' + annotation(OBJECT.format(name="cat", extra=extra))
    path.write_bytes(text.encode(encoding))
    dataset = datasets.open_dataset(voc(devkit_root), "train")
    assert [VOC_CLASSES[index] for index in np.flatnonzero(dataset.label("2007_000001"))] == ["cat"]
    (devkit_root / "SegmentationClass" / "2007_000001.png").write_bytes(one_mask(VOC_CLASSES.index("cat") + 1))
    assert datasets.check(voc(devkit_root)) == []


def one_mask(value: int) -> bytes:
    file = io.BytesIO()
    write_mask(file, np.full((30, 40), value, np.uint8))
    return file.getvalue()


@pytest.mark.parametrize("declared", ["unicode", "utf-16", "gb2312", "nonsense", "hex", "utf-8"])
def test_a_wrong_declaration_of_the_encoding_does_not_matter(devkit_root, declared):
    path = devkit_root / "Annotations" / "2007_000001.xml"
    text = f"<?xml version='1.0' encoding='{declared}'?>" + annotation(OBJECT.format(name="dog", extra="<note>\u00e9</note>"))
    path.write_bytes(b"\xef\xbb\xbf" * (declared == "utf-8") + text.encode())
    assert datasets.check(voc(devkit_root)) == []


@pytest.mark.parametrize("declared", ["gb2312", "nonsense", "utf-8"])
def test_text_that_no_encoding_explains_is_named(devkit_root, declared):
    path = devkit_root / "Annotations" / "2007_000001.xml"
    path.write_bytes(f'<?xml version="1.0" encoding="{declared}"?><annotation>'.encode() + b"\xff\xff</annotation>")
    (problem,) = datasets.check(voc(devkit_root))
    assert problem.startswith(f"{path}: is not readable as XML (")
    with pytest.raises(DataError, match="is not readable as XML"):
        datasets.open_dataset(voc(devkit_root), "train").label("2007_000001")


def test_a_list_as_windows_writes_it(devkit_root):
    path = devkit_root / "ImageSets/Segmentation/train.txt"
    path.write_bytes("\ufeff2007_000001\r\n2007_000002\r\n".encode())
    assert datasets.open_dataset(voc(devkit_root), "train").names == ["2007_000001", "2007_000002"]
    path.write_bytes("2007_000001\n".encode("utf-16"))
    assert any("train.txt: is not UTF-8" in problem for problem in datasets.check(voc(devkit_root)))


@pytest.mark.parametrize("split", ["val", "train_aug", "test"])
def test_a_list_that_is_there_but_cannot_be_read_is_not_a_missing_one(devkit_root, split):
    path = devkit_root / f"ImageSets/Segmentation/{split}.txt"
    path.unlink(missing_ok=True)
    path.mkdir()
    assert f"{path}: could not be read (Is a directory)" in datasets.check(voc(devkit_root))


def test_a_box_that_is_not_finite_is_named(devkit_root):
    path = devkit_root / "Annotations" / "2007_000001.xml"
    path.write_text(re.sub("<xmax>.*</xmax>", "<xmax>nan</xmax>", annotation(OBJECT.format(name="dog", extra=""))))
    (problem,) = datasets.check(voc(devkit_root))
    assert problem == f"{path}: the box of a dog is missing or not four numbers"
