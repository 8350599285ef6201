"""COCO 2014: images, labels and masks, the cache of masks, and the check."""

import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from helpers.coco import HEIGHT, WIDTH, coco, instances, name_of, write
from PIL import Image

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import coco14
from ribstudy.datasets.base import DataError
from ribstudy.datasets.coco_annotations import COCO_CLASSES
from ribstudy.report.figures import data as data_figures

PERSON, DOG, BOOK = (COCO_CLASSES.index(name) for name in ("person", "dog", "book"))


def cache_files(root: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (root.parent / "data").rglob("*.[np][pn]*") if path.is_file()}


def test_images_labels_and_objects(coco_root):
    train = datasets.open_dataset(coco(coco_root), "train")
    assert train.names == [name_of("train", image) for image in (1, 2, 3, 4)]
    found = [[COCO_CLASSES[index] for index in np.flatnonzero(label)] for label in train.labels]
    assert found == [["person", "dog"], ["book"], [], []]
    assert (train.labels.shape, train.labels.dtype) == ((4, 80), bool)
    assert all((train.label(name) == label).all() for name, label in zip(train.names, train.labels, strict=True))
    assert [train.num_objects(name) for name in train.names] == [2, 1, 0, 0]
    assert train.num_annotated == 3  # the image with a crowd alone is annotated, but not labelled
    assert train.image(train.names[0]).shape == (HEIGHT, WIDTH, 3)
    assert (train.has_masks, train.masked_names) == (True, train.names)


def test_later_objects_are_painted_over_earlier_ones_and_crowds_are_left_out(coco_root):
    train, val = (datasets.open_dataset(coco(coco_root), split) for split in ("train", "val"))
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


def test_splits(coco_root):
    assert datasets.splits(coco(coco_root)) == ("train", "val")
    assert datasets.training_set(coco(coco_root)).split == "train"
    with pytest.raises(
        DataError,
        match=r"coco14 has no split 'train_aug', only train, val: the classifier is trained on split train; use split=train",
    ):
        datasets.open_dataset(coco(coco_root), "train_aug")
    assert [path.name for path in datasets.lists(coco(coco_root))] == ["instances_train2014.json", "instances_val2014.json"]


def test_the_json_files_are_parsed_once_and_nothing_is_written_next_to_them(coco_root, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in coco_root.rglob("*")}
    assert datasets.prepare(coco(coco_root)) == coco_root
    assert {path: path.stat().st_mtime_ns for path in coco_root.rglob("*")} == before
    made = cache_files(coco_root)
    assert len(made) == 2 + 5
    monkeypatch.setattr(coco14, "read_annotations", None)  # a call would fail
    monkeypatch.setattr(coco14, "_write_mask", None)
    datasets.prepare(coco(coco_root))
    assert len(datasets.open_dataset(coco(coco_root), "train")) == 4
    assert cache_files(coco_root) == made


def test_the_same_content_elsewhere_shares_what_was_made(coco_root, tmp_path):
    datasets.prepare(coco(coco_root))
    made = cache_files(coco_root)
    copy = tmp_path / "copy"
    shutil.copytree(coco_root, copy / "images")
    shutil.move(copy / "images" / "annotations", copy / "annotations")
    assert datasets.fingerprint(coco(coco_root)) == datasets.fingerprint(coco(copy))
    train = datasets.open_dataset(coco(copy), "train")
    assert train.image(train.names[0]).shape == (HEIGHT, WIDTH, 3)
    assert cache_files(coco_root) == made


def test_other_content_has_a_cache_of_its_own(coco_root):
    datasets.prepare(coco(coco_root))
    before = datasets.fingerprint(coco(coco_root))
    content = instances("train")
    content["annotations"].pop()
    write(coco_root, "train", content)
    assert datasets.fingerprint(coco(coco_root)) != before
    assert datasets.open_dataset(coco(coco_root), "train").num_annotated == 2
    assert len(list((coco_root.parent / "data").iterdir())) == 2


def test_a_preparation_that_was_killed_is_resumed(coco_root):
    datasets.prepare(coco(coco_root))
    made = cache_files(coco_root)
    index, kept, gone = (
        next(path for path in made if path.name.startswith(name))
        for name in ("val.npz", name_of("train", 1), name_of("train", 2))
    )
    pixels = gone.read_bytes()
    index.unlink()
    gone.unlink()
    datasets.prepare(coco(coco_root))
    assert gone.read_bytes() == pixels
    assert cache_files(coco_root)[kept] == made[kept]
    assert set(cache_files(coco_root)) == set(made)


def test_two_processes_draw_the_same_masks(coco_root, monkeypatch):
    datasets.prepare(coco(coco_root))
    alone = {path.name: path.read_bytes() for path in cache_files(coco_root)}
    shutil.rmtree(coco_root.parent / "data")
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    datasets.prepare(coco(coco_root), processes=2)
    assert {path.name: path.read_bytes() for path in cache_files(coco_root)} == alone


def test_waiting_for_another_process_is_logged(coco_root, caplog):
    cache = coco14.CocoSource(coco(coco_root)).cache
    cache.mkdir(parents=True)
    waiting = threading.Thread(target=datasets.prepare, args=(coco(coco_root),))
    with caplog.at_level("INFO"), FileLock(cache / ".lock"):
        waiting.start()
        while "the masks of COCO 2014: waits for another run (process " not in caplog.text:
            time.sleep(0.01)
        assert [path.name for path in cache.iterdir()] == [".lock"]
    waiting.join()
    assert len(datasets.open_dataset(coco(coco_root), "train")) == 4


def test_check_finds_nothing_and_makes_nothing(coco_root):
    assert datasets.check(coco(coco_root), decode=True) == []
    assert not (coco_root.parent / "data").exists()


def test_no_root():
    with pytest.raises(DataError, match=r"data\.root is not set: pass the folder of COCO 2014 that contains train2014"):
        datasets.open_dataset(coco(None), "train")


def test_missing_parts_are_all_named(coco_root):
    shutil.rmtree(coco_root / "val2014")
    (coco_root / "annotations/instances_train2014.json").unlink()
    problems = datasets.check(coco(coco_root))
    assert [str(coco_root / "val2014") in problems[0], "instances_train2014.json: this file is missing" in problems[1]] == [
        True,
        True,
    ]
    with pytest.raises(DataError, match=r"val2014.*instances_train2014\.json"):
        datasets.prepare(coco(coco_root))
    assert "nowhere: this folder of the data set is missing" in datasets.check(coco(coco_root / "nowhere"))[0]


def test_faults_of_pictures_are_named_all_at_once_by_any_number_of_processes(coco_root, monkeypatch):
    monkeypatch.setattr(datasets.base, "CHUNK", 1)
    folder = coco_root / "train2014"
    first, second, third, _ = (folder / f"{name_of('train', image)}.jpg" for image in (1, 2, 3, 4))
    first.unlink()
    Image.new("RGB", (9, 6)).save(second)
    third.write_bytes(third.read_bytes()[:100])
    problems = datasets.check(coco(coco_root))
    assert sorted(problems) == sorted(
        [
            f"{first}: is missing",
            f"{second}: is 9 x 6 px, but the JSON file says 8 x 6 px",
            f"{third}: the image is not readable, it may be truncated (Truncated File Read)",
        ]
    )
    assert datasets.check(coco(coco_root), processes=2) == problems


def test_an_orientation_is_not_applied_and_said(coco_root, caplog):
    path = coco_root / "val2014" / f"{name_of('val', 5)}.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (WIDTH, HEIGHT)).save(path, exif=exif)
    assert datasets.check(coco(coco_root)) == []
    assert f"val2014: 1 images, such as {path.name}, have an EXIF orientation that is not applied" in caplog.text
    Image.new("RGB", (HEIGHT, WIDTH)).save(path, exif=exif)
    (problem,) = datasets.check(coco(coco_root))
    assert problem.endswith("but the JSON file says 8 x 6 px, and its EXIF orientation is not applied")


def test_the_preset_differs_from_that_of_voc_where_the_reference_code_does():
    rib, voc = load_settings("coco14").rib, load_settings("voc12").rib
    changed = {name: value for name, value in rib.model_dump().items() if value != getattr(voc, name)}
    assert changed == {"learning_rate": 5e-6, "tau": 0.5, "margin": 1000.0, "spread_ratio": 0.8}
    assert load_settings("coco14", {"rib.mode": "paper"}).rib.spread_ratio == 1.0


def test_split_table_has_the_published_counts_beside_those_of_the_folder(coco_root):
    splits = {split: datasets.open_dataset(coco(coco_root), split) for split in datasets.splits(coco(coco_root))}
    table = data_figures.split_table(splits)
    counted = table.loc[["train", "val"], ["images", "annotated", "labelled", "objects"]]
    assert counted.to_numpy().tolist() == [[4, 3, 2, 3], [1, 1, 1, 1]]
    published = table.loc[["COCO 2014 train", "COCO 2014 val"], ["images", "annotated"]]
    assert published.to_numpy().tolist() == [[82783, 82081], [40504, 40137]]
    assert "82,783" in data_figures.style_table(table).to_html()
