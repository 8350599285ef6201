"""The files of the VOC devkit: lists and annotations."""

import numpy as np
import pytest
from helpers.devkit import OBJECT, annotation, voc

from ribstudy import datasets
from ribstudy.datasets.base import DataError
from ribstudy.datasets.devkit import read_objects, write_annotation
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
