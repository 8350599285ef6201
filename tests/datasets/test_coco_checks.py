"""The annotation files of COCO 2014: masks made from outlines, and the message for every fault."""

import json

import numpy as np
import pytest
from helpers.coco import HEIGHT, WIDTH, box, coco, instances, name_of, write
from pycocotools import mask as coco_mask

from ribstudy import datasets
from ribstudy.datasets import coco_checks
from ribstudy.datasets.base import DataError
from ribstudy.datasets.coco_annotations import COCO_CLASSES, Painting, draw_mask, read_annotations


def test_classes_are_the_80_of_coco():
    assert len(set(COCO_CLASSES)) == 80
    assert (COCO_CLASSES[0], COCO_CLASSES[11], COCO_CLASSES[79]) == ("person", "stop sign", "toothbrush")


def test_an_object_given_as_rle_is_painted_column_by_column():
    rle = {"size": [2, 3], "counts": [1, 3, 2]}
    np.testing.assert_array_equal(draw_mask(Painting((2, 3), ((7, rle),))), [[0, 7, 0], [7, 7, 0]])


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("132", [1, 3, 2]),
        ("X18", [40, 8]),  # 40 = 8 + 1 * 32
        ("1231", [1, 2, 3, 3]),  # the fourth is the difference to the second
        ("142O", [1, 4, 2, 3]),  # O: minus one
        ("13a", "13a"),  # a: further digits follow
        ("13 2", "13 2"),
        ("X" * 20, "X" * 20),
    ],
)
def test_the_counts_of_a_compressed_rle(coco_root, text, counts):
    content = instances("train")
    content["annotations"][0]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": text}
    assert read_annotations(write(coco_root, "train", content))["annotations"][0]["segmentation"]["counts"] == counts


def test_masks_that_pycocotools_compresses_are_drawn(coco_root):
    drawn = np.random.default_rng(0).random((HEIGHT, WIDTH)) < 0.5
    rle = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
    content = instances("train")
    content["annotations"] = [{**content["annotations"][0], "segmentation": {**rle, "counts": rle["counts"].decode()}}]
    write(coco_root, "train", content)
    assert datasets.check(coco(coco_root)) == []
    found = datasets.open_dataset(coco(coco_root), "train").mask(name_of("train", 1))
    np.testing.assert_array_equal(found > 0, drawn)


def test_a_part_without_area_is_not_drawn():
    painting = Painting((HEIGHT, WIDTH), ((7, [[0, 0, 5, 5], *box(0, 0, 1, 1)]),))
    assert draw_mask(painting).sum() == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not readable as JSON"),
        ("", "is empty"),
        ('{"images": [], "images": [], "categories": []}', "the key 'images' is there twice in one object"),
        ("[1]", "has no list 'images'"),
        ('{"images": [], "annotations": []}', "has no list 'categories'"),
        ('{"images": [3], "annotations": [], "categories": []}', "has no list 'images'"),
        ("[" * 100_000, "is not readable as JSON"),
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
    "damaged RLE": (
        lambda c: c["annotations"][2].update(segmentation={"size": [HEIGHT, WIDTH], "counts": "a"}),
        "are neither a list of integers",
    ),
    "a class of another name": (lambda c: c["categories"][-3].update(name="auto"), "category 3 .* is 'auto', .* is 'car'"),
    "a class too few": (lambda c: c["categories"].pop(0), "has 79 categories"),
    "no images": (lambda c: c.update(images=[], annotations=[]), "has no images"),
    "two categories of one id": (lambda c: c["categories"][0].update(id=1), "an id belongs to more than one category"),
    "no image": (lambda c: c["annotations"][0].update(image_id=None), f"annotation {FIRST}: belongs to image None"),
    "a truth value for an image": (lambda c: c["annotations"][0].update(image_id=True), "belongs to image True"),
    "a truth value for a category": (lambda c: c["annotations"][0].update(category_id=True), "has category True"),
    "an id that lost its last digits": (lambda c: c["annotations"][0].update(image_id=2.0**53), "image 9007199254740992.0"),
    "an id that is not a number": (lambda c: c["annotations"][0].update(image_id=[1]), r"belongs to image \[1\]"),
    "image without pixels": (lambda c: c["images"][0].update(height=0), "image 4: its size of 8 x 0 px is not valid"),
    "image too large": (lambda c: c["images"][0].update(width=10**9), "image 4: its size of 1000000000 x 6 px is not valid"),
    "hidden picture": (lambda c: c["images"][0].update(file_name=".4.jpg"), "image 4: file_name = '.4.jpg' is not valid"),
    "picture whose name cannot be one": (
        lambda c: c["images"][0].update(file_name="4\0.jpg"),
        "image 4: file_name = '4.x00.jpg'",
    ),
    "a word for iscrowd": (lambda c: c["annotations"][0].update(iscrowd="yes"), "iscrowd = 'yes' is neither 0 nor 1"),
    "another number for iscrowd": (lambda c: c["annotations"][0].update(iscrowd=2), "iscrowd = 2 is neither 0 nor 1"),
    "crowds only": (
        lambda c: [annotation.update(iscrowd=1) for annotation in c["annotations"]],
        "all 5 annotations have iscrowd = 1, and crowds are left out, so no image has a label; set iscrowd to 0 for single",
    ),
    "no annotations": (lambda c: c.update(annotations=[]), "has no annotation, so no image has a label"),
    "far point": (
        lambda c: c["annotations"][0].update(segmentation=[[1, 1, 2.1e8, 3.5e8, 200, 200]]),
        f"annotation {FIRST}, of image 1: a polygon reaches to 210000000.0, far outside the image of 8 x 6 px",
    ),
    "enormous number": (lambda c: c["annotations"][0].update(segmentation=[[10**400] * 6]), "a polygon reaches to 1000"),
    "truth values": (lambda c: c["annotations"][0].update(segmentation=[[True] * 6]), "not a list of numbers x, y"),
    "outside": (
        lambda c: c["annotations"][0].update(segmentation=box(9, 1, 12, 4)),
        "no part of it is inside the image of 8 x 6 px",
    ),
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


def test_an_outline_that_is_too_long_is_named_and_many_short_steps_are_drawn(coco_root, monkeypatch):
    monkeypatch.setattr(coco_checks, "LONGEST_OUTLINE", 1000)
    content = instances("train")
    content["annotations"][0]["segmentation"] = [[0, 0, 8, 6] * 20]
    write(coco_root, "train", content)
    (problem,) = datasets.check(coco(coco_root))
    assert "annotation 70, of image 1: the outline of a polygon is 320 px long, too long to draw" in problem
    content["annotations"][0]["segmentation"] = [[*np.linspace([0, 0], [5, 4], 30).ravel().tolist(), 5, 0]]
    write(coco_root, "train", content)
    assert datasets.check(coco(coco_root)) == []


@pytest.mark.parametrize("kind", [str, float])
@pytest.mark.parametrize("key", ["image_id", "category_id", "iscrowd", "id", "height"])
def test_numbers_written_otherwise_are_taken_as_they_are(coco_root, key, kind):
    plain = datasets.open_dataset(coco(coco_root), "train")
    content = instances("train")
    for entries in (content["annotations"], content["images"], content["categories"]):
        for entry in entries:
            entry.update({key: kind(entry[key])} if key in entry else {})
    write(coco_root, "train", content)
    assert datasets.check(coco(coco_root)) == []
    found = datasets.open_dataset(coco(coco_root), "train")
    assert found.names == plain.names
    assert (found.labels == plain.labels).all()
    assert [found.num_objects(name) for name in found.names] == [2, 1, 0, 0]
    for name in found.names:
        np.testing.assert_array_equal(found.mask(name), plain.mask(name))


@pytest.mark.parametrize(("value", "crowd"), [(False, False), (None, False), ("0", False), (True, True), (" 1 ", True)])
def test_what_a_crowd_is(coco_root, value, crowd):
    content = instances("train")
    content["annotations"][0]["iscrowd"] = value
    write(coco_root, "train", content)
    assert datasets.check(coco(coco_root)) == []
    train = datasets.open_dataset(coco(coco_root), "train")
    assert train.label(name_of("train", 1))[COCO_CLASSES.index("dog")] == (not crowd)


@pytest.mark.parametrize("thin", [[[3, 3, 3, 3, 3, 3]], [[1, 1, 3, 3, 5, 5]], {"size": [HEIGHT, WIDTH], "counts": [48]}])
def test_objects_without_a_pixel_are_counted(coco_root, caplog, thin):
    content = instances("train")
    content["annotations"][0]["segmentation"] = thin
    write(coco_root, "train", content)
    assert datasets.check(coco(coco_root)) == []
    number = f"1 of 3 objects are too thin to cover a pixel of their mask, such as annotation {FIRST} of image 1; their images"
    assert number in caplog.text
    for annotation in content["annotations"]:
        annotation["segmentation"] = annotation["segmentation"] if annotation["iscrowd"] else thin
    path = write(coco_root, "train", content)
    (problem,) = datasets.check(coco(coco_root))
    assert problem.startswith(f"{path}: 3 of 3 objects are too thin to cover a pixel of their mask")


def test_classes_without_an_image_and_images_with_crowds_only_are_counted(coco_root, caplog):
    with caplog.at_level("INFO"):
        assert datasets.check(coco(coco_root)) == []
    assert "77 of 80 classes are in none of the 2 labelled images: bicycle, car, " in caplog.text
    assert "1 images have crowds only, and no label, such as image 3" in caplog.text


def test_an_object_that_crosses_the_border_is_drawn_up_to_it(coco_root):
    content = instances("train")
    content["annotations"][0]["segmentation"] = box(-3, -2, 2, 2)
    write(coco_root, "train", content)
    assert datasets.check(coco(coco_root)) == []
    mask = datasets.open_dataset(coco(coco_root), "train").mask(name_of("train", 1))
    assert np.argwhere(mask == COCO_CLASSES.index("dog") + 1).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_splits_that_share_images_are_reported(coco_root):
    content, name = instances("val"), f"{name_of('train', 1)}.jpg"
    content["images"][0]["file_name"] = name
    path = write(coco_root, "val", content)
    (coco_root / "val2014" / name).write_bytes((coco_root / "train2014" / name).read_bytes())
    assert datasets.check(coco(coco_root)) == [f"{path}: 1 of its images are also in train, such as {name}"]


def test_a_file_with_a_byte_order_mark_is_read(coco_root):
    path = coco_root / "annotations/instances_train2014.json"
    path.write_text("\ufeff" + json.dumps(instances("train")), encoding="utf-8")
    assert datasets.check(coco(coco_root)) == []
