"""The annotation files of COCO 2014: masks made from outlines, and the message for every fault."""

import numpy as np
import pytest
from helpers.coco import HEIGHT, WIDTH, box, coco, instances, write

from ribstudy import datasets
from ribstudy.datasets.base import DataError
from ribstudy.datasets.coco_annotations import COCO_CLASSES, Painting, draw_mask


def test_classes_are_the_80_of_coco():
    assert len(set(COCO_CLASSES)) == 80
    assert (COCO_CLASSES[0], COCO_CLASSES[11], COCO_CLASSES[79]) == ("person", "stop sign", "toothbrush")


def test_an_object_given_as_rle_is_painted_column_by_column():
    rle = {"size": [2, 3], "counts": [1, 3, 2]}
    np.testing.assert_array_equal(draw_mask(Painting((2, 3), ((7, rle),))), [[0, 7, 0], [7, 7, 0]])


def test_a_part_without_area_is_not_drawn():
    painting = Painting((HEIGHT, WIDTH), ((7, [[0, 0, 5, 5], *box(0, 0, 1, 1)]),))
    assert draw_mask(painting).sum() == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not readable as JSON"),
        ("", "is empty"),
        ("[1]", "has no list 'images'"),
        ('{"images": [], "annotations": []}', "has no list 'categories'"),
        ('{"images": [3], "annotations": [], "categories": []}', "has no list 'images'"),
    ],
)
def test_a_file_that_is_not_a_list_of_instances(coco_root, content, message):
    path = coco_root / "annotations/instances_val2014.json"
    path.write_text(content)
    (problem,) = datasets.check(coco(coco_root))
    assert problem.startswith(f"{path}: {message}")
    with pytest.raises(DataError, match=message):
        datasets.prepare(coco(coco_root))


FIRST = 70  # id of the first annotation, a polygon of image 1


FAULTS = {
    "image without id": (lambda c: c["images"][0].pop("id"), "image None: id = None"),
    "image without width": (lambda c: c["images"][0].pop("width"), "image 4: width = None"),
    "picture of another kind": (lambda c: c["images"][0].update(file_name="4.png"), "image 4: file_name = '4.png'"),
    "two images of one id": (lambda c: c["images"][1].update(id=4), "id 4 belongs to more than one image"),
    "annotation of no image": (lambda c: c["annotations"][0].update(image_id=9), f"annotation {FIRST}: belongs to image 9"),
    "unknown category": (lambda c: c["annotations"][0].update(category_id=12), f"annotation {FIRST}: has category 12"),
    "no segmentation": (lambda c: c["annotations"][0].pop("segmentation"), "neither a list of polygons nor an RLE"),
    "two points": (lambda c: c["annotations"][0].update(segmentation=[[1, 1, 2, 2]]), "no polygon has three points"),
    "odd polygon": (lambda c: c["annotations"][0].update(segmentation=[[1] * 7]), "not a list of numbers x, y"),
    "words": (lambda c: c["annotations"][0].update(segmentation=[["1"] * 6]), "not a list of numbers x, y"),
    "not a number": (lambda c: c["annotations"][0].update(segmentation=[[float("nan")] * 6]), "not a list of numbers x, y"),
    "RLE of another size": (
        lambda c: c["annotations"][2].update(segmentation={"size": [WIDTH, HEIGHT], "counts": [48]}),
        r"the size of its RLE is \[8, 6\], but the image is \[6, 8\]",
    ),
    "RLE of fewer pixels": (
        lambda c: c["annotations"][2].update(segmentation={"size": [HEIGHT, WIDTH], "counts": [47]}),
        "the counts of its RLE add up to 47 pixels, not to 48",
    ),
    "compressed RLE": (
        lambda c: c["annotations"][2].update(segmentation={"size": [HEIGHT, WIDTH], "counts": "a"}),
        "are not a list of integers",
    ),
    "a class of another name": (lambda c: c["categories"][-3].update(name="auto"), "category 3 .* is 'auto', .* is 'car'"),
    "a class too few": (lambda c: c["categories"].pop(0), "has 79 categories"),
    "no images": (lambda c: c.update(images=[], annotations=[]), "has no images"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_annotations_is_named(coco_root, fault):
    spoil, message = FAULTS[fault]
    content = instances("train")
    spoil(content)
    path = write(coco_root, "train", content)
    problems = datasets.check(coco(coco_root))
    assert problems
    assert problems[0].startswith(f"{path}: ")
    with pytest.raises(DataError, match=message):
        datasets.prepare(coco(coco_root))
