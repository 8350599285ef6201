"""COCO 2014: labels and masks from annotations, what is kept of them, and what is said about each thing that can be wrong."""

import json
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import coco14
from ribstudy.datasets.base import DataError
from ribstudy.datasets.coco14 import COCO_CLASSES
from ribstudy.datasets.settings import DataSettings
from ribstudy.report.figures import data as data_figures

WIDTH, HEIGHT = 8, 6
# As in COCO, ids have gaps: class k has an id above k + 1 from some class on.
IDS = {name: place + 1 + (place > 10) for place, name in enumerate(COCO_CLASSES)}
PERSON, DOG, BOOK = (COCO_CLASSES.index(name) for name in ("person", "dog", "book"))


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    """A polygon that covers the columns left..right-1 and the rows top..bottom-1."""
    return [[left, top, right, top, right, bottom, left, bottom]]


CROWD = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}  # the whole image

# image: (class, segmentation, is crowd) in the order of the file
CONTENT = {
    "train": {
        1: [("dog", box(1, 1, 5, 4), 0), ("person", box(3, 2, 7, 5), 0)],
        2: [("book", CROWD, 1), ("book", box(0, 0, 2, 2), 0)],
        3: [("person", CROWD, 1)],
        4: [],
    },
    "val": {5: [("dog", box(0, 0, 1, 1) + box(6, 4, 8, 6), 0)]},
}


def name_of(split: str, image: int) -> str:
    return f"COCO_{split}2014_{image:012d}"


def instances(split: str) -> dict:
    images = CONTENT[split]
    annotations = [
        {"image_id": image, "category_id": IDS[name], "segmentation": segmentation, "iscrowd": crowd}
        for image, objects in images.items()
        for name, segmentation, crowd in objects
    ]
    return {
        "images": [
            {"id": image, "file_name": f"{name_of(split, image)}.jpg", "width": WIDTH, "height": HEIGHT}
            for image in reversed(images)  # in no order, as in COCO
        ],
        "annotations": [{"id": place, **annotation} for place, annotation in enumerate(annotations, start=70)],
        "categories": [{"id": IDS[name], "name": name} for name in reversed(COCO_CLASSES)],
    }


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "coco"
    monkeypatch.setattr(datasets.paths, "DATA", tmp_path / "data")
    (folder / "annotations").mkdir(parents=True)
    for split, images in CONTENT.items():
        (folder / f"{split}2014").mkdir()
        for image in images:
            picture = Image.new("RGB", (WIDTH, HEIGHT), (0, 100 + image, 0))
            picture.save(folder / f"{split}2014" / f"{name_of(split, image)}.jpg")
        write(folder, split, instances(split))
    return folder


def write(root: Path, split: str, content: object) -> Path:
    path = root / "annotations" / f"instances_{split}2014.json"
    path.write_text(json.dumps(content))
    return path


def coco(root: Path | None) -> DataSettings:
    return DataSettings(name="coco14", root=root)


def cache_files(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (root.parent / "data").rglob("*.[np][pn]*") if path.is_file()}


def test_classes_are_the_80_of_coco():
    assert len(set(COCO_CLASSES)) == 80
    assert (COCO_CLASSES[0], COCO_CLASSES[11], COCO_CLASSES[79]) == ("person", "stop sign", "toothbrush")


def test_images_labels_and_objects(root):
    train = datasets.open_dataset(coco(root), "train")
    assert train.names == [name_of("train", image) for image in (1, 2, 3, 4)]
    found = [[COCO_CLASSES[index] for index in np.flatnonzero(label)] for label in train.labels]
    assert found == [["person", "dog"], ["book"], [], []]
    assert (train.labels.shape, train.labels.dtype) == ((4, 80), bool)
    assert all((train.label(name) == label).all() for name, label in zip(train.names, train.labels, strict=True))
    assert [train.num_objects(name) for name in train.names] == [2, 1, 0, 0]
    assert train.num_annotated == 3  # the image with a crowd alone is annotated, but not labelled
    assert train.image(train.names[0]).shape == (HEIGHT, WIDTH, 3)
    assert (train.has_masks, train.masked_names) == (True, train.names)


def test_later_objects_are_painted_over_earlier_ones_and_crowds_are_left_out(root):
    train, val = (datasets.open_dataset(coco(root), split) for split in ("train", "val"))
    overlapping = np.zeros((HEIGHT, WIDTH), np.uint8)
    overlapping[1:4, 1:5] = DOG + 1
    overlapping[2:5, 3:7] = PERSON + 1
    beside_crowd = np.zeros((HEIGHT, WIDTH), np.uint8)
    beside_crowd[:2, :2] = BOOK + 1
    two_parts = np.zeros((HEIGHT, WIDTH), np.uint8)
    two_parts[0, 0] = two_parts[4:6, 6:8] = DOG + 1
    empty = np.zeros((HEIGHT, WIDTH), np.uint8)
    for name, expected in zip(train.names, (overlapping, beside_crowd, empty, empty), strict=True):
        np.testing.assert_array_equal(train.mask(name), expected)
    np.testing.assert_array_equal(val.mask(val.names[0]), two_parts)


def test_an_object_given_as_rle_is_painted_column_by_column():
    rle = {"size": [2, 3], "counts": [1, 3, 2]}
    np.testing.assert_array_equal(coco14.draw_mask(coco14.Painting((2, 3), ((7, rle),))), [[0, 7, 0], [7, 7, 0]])


def test_a_part_without_area_is_not_drawn():
    painting = coco14.Painting((HEIGHT, WIDTH), ((7, [[0, 0, 5, 5], *box(0, 0, 1, 1)]),))
    assert coco14.draw_mask(painting).sum() == 7


def test_splits(root):
    assert datasets.splits(coco(root)) == ("train", "val")
    assert datasets.training_set(coco(root)).split == "train"
    with pytest.raises(
        DataError, match=r"coco14 has no split 'train_aug', only train, val: train is what .* infer\.split=train"
    ):
        datasets.open_dataset(coco(root), "train_aug")
    assert [path.name for path in datasets.lists(coco(root))] == ["instances_train2014.json", "instances_val2014.json"]


def test_the_json_files_are_parsed_once_and_nothing_is_written_beside_them(root, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert datasets.prepare(coco(root)) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    made = cache_files(root)
    assert len(made) == 2 + 5
    monkeypatch.setattr(coco14, "read_annotations", None)  # whoever calls it fails
    monkeypatch.setattr(coco14, "_write_mask", None)
    datasets.prepare(coco(root))
    assert len(datasets.open_dataset(coco(root), "train")) == 4
    assert cache_files(root) == made


def test_the_same_content_elsewhere_shares_what_was_made(root, tmp_path):
    datasets.prepare(coco(root))
    made = cache_files(root)
    copy = tmp_path / "copy"
    shutil.copytree(root, copy / "images")
    shutil.move(copy / "images" / "annotations", copy / "annotations")
    assert datasets.fingerprint(coco(root)) == datasets.fingerprint(coco(copy))
    train = datasets.open_dataset(coco(copy), "train")
    assert train.image(train.names[0]).shape == (HEIGHT, WIDTH, 3)
    assert cache_files(root) == made


def test_other_content_has_a_cache_of_its_own(root):
    datasets.prepare(coco(root))
    before = datasets.fingerprint(coco(root))
    content = instances("train")
    content["annotations"].pop()
    write(root, "train", content)
    assert datasets.fingerprint(coco(root)) != before
    assert datasets.open_dataset(coco(root), "train").num_annotated == 2
    assert len(list((root.parent / "data").iterdir())) == 2


def test_a_preparation_that_was_killed_goes_on(root):
    datasets.prepare(coco(root))
    made = cache_files(root)
    index, kept, gone = (
        next(path for path in made if path.name.startswith(name))
        for name in ("val.npz", name_of("train", 1), name_of("train", 2))
    )
    pixels = gone.read_bytes()
    index.unlink()
    gone.unlink()
    datasets.prepare(coco(root))
    assert gone.read_bytes() == pixels
    assert cache_files(root)[kept] == made[kept]
    assert set(cache_files(root)) == set(made)


def test_two_processes_draw_the_same_masks(root, monkeypatch):
    datasets.prepare(coco(root))
    alone = {path.name: path.read_bytes() for path in cache_files(root)}
    shutil.rmtree(root.parent / "data")
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    datasets.prepare(coco(root), processes=2)
    assert {path.name: path.read_bytes() for path in cache_files(root)} == alone


def test_who_waits_for_another_process_says_so(root, caplog):
    cache = coco14.CocoSource(coco(root)).cache
    cache.mkdir(parents=True)
    waiting = threading.Thread(target=datasets.prepare, args=(coco(root),))
    with caplog.at_level("INFO"), FileLock(cache / ".lock"):
        waiting.start()
        while "waiting for another process that is working on the masks of COCO 2014" not in caplog.text:
            time.sleep(0.01)
        assert [path.name for path in cache.iterdir()] == [".lock"]
    waiting.join()
    assert len(datasets.open_dataset(coco(root), "train")) == 4


def test_check_finds_nothing_and_makes_nothing(root):
    assert datasets.check(coco(root), decode=True) == []
    assert not (root.parent / "data").exists()


def test_no_root():
    with pytest.raises(DataError, match=r"data\.root is not set: pass the folder of COCO 2014 that holds train2014"):
        datasets.open_dataset(coco(None), "train")


def test_missing_parts_are_all_named(root):
    shutil.rmtree(root / "val2014")
    (root / "annotations/instances_train2014.json").unlink()
    problems = datasets.check(coco(root))
    assert [str(root / "val2014") in problems[0], "instances_train2014.json: this file is missing" in problems[1]] == [
        True,
        True,
    ]
    with pytest.raises(DataError, match=r"val2014.*instances_train2014\.json"):
        datasets.prepare(coco(root))
    assert "nowhere: this folder of the data set is missing" in datasets.check(coco(root / "nowhere"))[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not readable as JSON"),
        ("", "is empty"),
        ("[1]", "holds no list 'images'"),
        ('{"images": [], "annotations": []}', "holds no list 'categories'"),
        ('{"images": [3], "annotations": [], "categories": []}', "holds no list 'images'"),
    ],
)
def test_a_file_that_is_no_list_of_instances(root, content, message):
    path = root / "annotations/instances_val2014.json"
    path.write_text(content)
    (problem,) = datasets.check(coco(root))
    assert problem.startswith(f"{path}: {message}")
    with pytest.raises(DataError, match=message):
        datasets.prepare(coco(root))


FIRST = 70  # the id of the first annotation, a polygon of image 1
FAULTS = {
    "image without id": (lambda c: c["images"][0].pop("id"), "image None: id = None"),
    "image without width": (lambda c: c["images"][0].pop("width"), "image 4: width = None"),
    "picture of another kind": (lambda c: c["images"][0].update(file_name="4.png"), "image 4: file_name = '4.png'"),
    "two images of one id": (lambda c: c["images"][1].update(id=4), "id 4 belongs to more than one image"),
    "annotation of no image": (lambda c: c["annotations"][0].update(image_id=9), f"annotation {FIRST}: is of image 9"),
    "unknown category": (lambda c: c["annotations"][0].update(category_id=12), f"annotation {FIRST}: is of category 12"),
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
        "the counts of its RLE are of 47 pixels",
    ),
    "compressed RLE": (
        lambda c: c["annotations"][2].update(segmentation={"size": [HEIGHT, WIDTH], "counts": "a"}),
        "are not a list of whole numbers",
    ),
    "a class of another name": (lambda c: c["categories"][-3].update(name="auto"), "category 3 .* is 'auto', .* is 'car'"),
    "a class too few": (lambda c: c["categories"].pop(0), "holds 79 categories"),
    "no images": (lambda c: c.update(images=[], annotations=[]), "holds no images"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_annotations_is_named(root, fault):
    spoil, message = FAULTS[fault]
    content = instances("train")
    spoil(content)
    path = write(root, "train", content)
    problems = datasets.check(coco(root))
    assert problems
    assert problems[0].startswith(f"{path}: ")
    with pytest.raises(DataError, match=message):
        datasets.prepare(coco(root))


def test_faults_of_pictures_are_named_all_at_once_by_any_number_of_processes(root, monkeypatch):
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    folder = root / "train2014"
    first, second, third, _ = (folder / f"{name_of('train', image)}.jpg" for image in (1, 2, 3, 4))
    first.unlink()
    Image.new("RGB", (9, 6)).save(second)
    third.write_bytes(third.read_bytes()[:100])
    problems = datasets.check(coco(root))
    assert sorted(problems) == sorted(
        [
            f"{first}: is missing",
            f"{second}: is 9 x 6 px, but the JSON file says 8 x 6 px",
            f"{third}: the JPEG is truncated (its end marker is missing)",
        ]
    )
    assert datasets.check(coco(root), processes=2) == problems


def test_the_preset_differs_from_that_of_voc_where_the_reference_code_does():
    rib, voc = load_settings("coco14").rib, load_settings("voc12").rib
    changed = {name: value for name, value in rib.model_dump().items() if value != getattr(voc, name)}
    assert changed == {"learning_rate": 5e-6, "tau": 0.5, "margin": 1000.0, "spread_ratio": 0.8}
    assert load_settings("coco14", {"rib.mode": "paper"}).rib.spread_ratio == 1.0


def test_split_table_has_the_published_counts_beside_those_of_the_folder(root):
    splits = {split: datasets.open_dataset(coco(root), split) for split in datasets.splits(coco(root))}
    table = data_figures.split_table(splits)
    counted = table.loc[["train", "val"], ["images", "annotated", "labelled", "objects"]]
    assert counted.to_numpy().tolist() == [[4, 3, 2, 3], [1, 1, 1, 1]]
    published = table.loc[["COCO 2014 train", "COCO 2014 val"], ["images", "annotated"]]
    assert published.to_numpy().tolist() == [[82783, 82081], [40504, 40137]]
    assert "82,783" in data_figures.style_table(table).to_html()
