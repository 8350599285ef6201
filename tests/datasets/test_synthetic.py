"""The synthetic VOC 2012 and COCO 2014: reproducible from their seed, and in the format of the real data sets."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from scipy import ndimage
from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

from ribstudy import datasets
from ribstudy.datasets import base, devkit, synthetic, synthetic_drawing, voc12
from ribstudy.datasets.base import DataError
from ribstudy.datasets.coco14 import COCO_CLASSES
from ribstudy.datasets.pictures import VOID
from ribstudy.datasets.settings import DataSettings
from ribstudy.datasets.voc12 import VOC_CLASSES

SMALL = {(96, 72): 1, (72, 96): 1}
MIDDLE = {(200, 150): 1, (150, 200): 1}
VOC_NUMBERS = {"num_train": 12, "num_train_aug": 24, "num_val": 6}
COCO_NUMBERS = {"num_train": 30, "num_val": 12}


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "voc"
    synthetic.write_voc(root, **VOC_NUMBERS, seed=3, sizes=SMALL)
    return root


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("synthetic") / "coco"
    synthetic.write_coco(root, **COCO_NUMBERS, seed=3, sizes=MIDDLE)
    return root


def file_hashes(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def scene(
    style: synthetic_drawing.Style, index: int, split: str = "train", *, seed: int = 3, size=(160, 120)
) -> synthetic_drawing.Scene:
    return synthetic_drawing.draw_scene(style, split, index, seed=seed, sizes={size: 1})


def grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """The mask and all pixels within `reach` of it."""
    return ndimage.maximum_filter(mask, 2 * reach + 1)


def test_the_voc_kit_passes_the_check(voc):
    assert voc12.check(voc, VOC_CLASSES, decode=True) == []


def test_voc_splits_are_nested_and_train_and_val_alone_have_masks(voc):
    names = {split: devkit.read_names(voc, split) for split in voc12.SPLITS}
    assert {split: len(own) for split, own in names.items()} == {"train": 12, "train_aug": 24, "val": 6}
    assert names["train_aug"][:12] == names["train"]
    assert {path.stem for path in (voc / "SegmentationClass").iterdir()} == {*names["train"], *names["val"]}


def test_every_voc_class_appears(voc):
    assert voc12.VocDataset(voc, "train_aug", VOC_CLASSES).labels.any(axis=0).all()


def test_the_voc_kit_has_a_split_test_on_request(voc, tmp_path):
    synthetic.write_voc(tmp_path / "kit", **VOC_NUMBERS, num_test=3, seed=3, sizes=SMALL)
    kit, without = file_hashes(tmp_path / "kit"), file_hashes(voc)
    assert without.items() <= kit.items()
    names = devkit.read_names(tmp_path / "kit", "test")
    assert len(names) == 3
    assert kit.keys() - without.keys() == {"ImageSets/Segmentation/test.txt", *(f"JPEGImages/{name}.jpg" for name in names)}
    settings = DataSettings(name="voc12", root=tmp_path / "kit")
    assert datasets.check(settings, decode=True) == []
    assert not datasets.open_dataset(settings, "test").labels.any()
    with pytest.raises(ValueError, match="num_test = -1: "):
        synthetic.write_voc(tmp_path / "other", **VOC_NUMBERS, num_test=-1)


def test_voc_labels_are_the_classes_of_the_mask_and_boxes_lie_in_the_image(voc):
    dataset = voc12.VocDataset(voc, "train", VOC_CLASSES)
    for name in dataset.names:
        mask = dataset.mask(name)
        assert set(np.unique(mask).tolist()) - {0, VOID} == set((np.flatnonzero(dataset.label(name)) + 1).tolist())
        assert (mask == VOID).any()
        for item in dataset.objects(name):
            left, top, right, bottom = item.box
            assert 1 <= left < right <= mask.shape[1]
            assert 1 <= top < bottom <= mask.shape[0]


def test_void_lies_along_every_outline():
    mask = synthetic.voc_mask(scene(synthetic_drawing.VOC_STYLE, 4))
    for shifted, own in ((mask[1:], mask[:-1]), (mask[:, 1:], mask[:, :-1])):
        assert ((shifted == own) | (shifted == VOID) | (own == VOID)).all()


@pytest.mark.parametrize("processes", [1, 2])
def test_the_same_seed_gives_the_same_files(voc, tmp_path, monkeypatch, processes):
    monkeypatch.setattr(base, "CHUNK", 8)
    synthetic.write_voc(tmp_path / "again", **VOC_NUMBERS, seed=3, sizes=SMALL, processes=processes)
    assert file_hashes(tmp_path / "again") == file_hashes(voc)


def test_a_larger_set_begins_with_the_smaller_one(voc, tmp_path):
    synthetic.write_voc(tmp_path / "larger", num_train=13, num_train_aug=26, num_val=7, seed=3, sizes=SMALL)
    smaller = {name: value for name, value in file_hashes(voc).items() if not name.startswith("ImageSets")}
    assert smaller.items() <= file_hashes(tmp_path / "larger").items()


def test_another_seed_split_or_index_gives_another_image():
    style = synthetic_drawing.VOC_STYLE
    scenes = [scene(style, 0), scene(style, 0, seed=4), scene(style, 0, "val"), scene(style, 1)]
    assert len({item.picture.tobytes() for item in scenes}) == 4


def test_the_numbers_of_classes_are_those_of_voc():
    rng = np.random.default_rng(0)
    numbers = Counter(len(set(synthetic_drawing.draw_classes(rng, synthetic_drawing.VOC_STYLE, first=7))) for _ in range(4000))
    assert sum(number * times for number, times in numbers.items()) / 4000 == pytest.approx(1.555, abs=0.05)
    assert numbers[1] / 4000 == pytest.approx(6249 / 10582, abs=0.03)
    odds = synthetic_drawing.COCO_STYLE.class_odds
    assert sum(odds) == pytest.approx(1)
    assert sum(number * share for number, share in enumerate(odds, start=1)) == pytest.approx(2.9, abs=0.05)


@pytest.mark.parametrize(("sizes", "kilobytes"), [(synthetic_drawing.VOC_SIZES, 110), (synthetic_drawing.COCO_SIZES, 160)])
def test_pictures_have_the_sizes_of_photographs_in_pixels_and_bytes(tmp_path, sizes, kilobytes):
    lengths = []
    for index in range(0, 40, 2):
        drawn = synthetic_drawing.draw_scene(synthetic_drawing.VOC_STYLE, "train", index, seed=0, sizes=sizes)
        assert drawn.size in sizes
        Image.fromarray(drawn.picture).save(tmp_path / "a.jpg", quality=synthetic.JPEG_QUALITY)
        lengths.append((tmp_path / "a.jpg").stat().st_size / 1000)
    assert np.mean(lengths) == pytest.approx(kilobytes, rel=0.3)


def test_sizes_come_as_often_as_their_odds():
    drawn = Counter(synthetic_drawing.draw_place(np.random.default_rng(index), (3, 1)) for index in range(2000))
    assert drawn[0] / 2000 == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize("style", [synthetic_drawing.VOC_STYLE, synthetic_drawing.COCO_STYLE])
def test_every_object_shows(style):
    for index in range(60):
        drawn = scene(style, index)
        owners = np.zeros(drawn.picture.shape[:2], int)
        for place, thing in enumerate(drawn.things, start=1):
            owners[synthetic_drawing.fill(thing, drawn.size)] = place
        places = {place for place, thing in enumerate(drawn.things, start=1) if not thing.is_crowd}
        assert places <= set(np.unique(owners).tolist())


def test_every_class_has_its_own_stripes():
    looks = {(colours.tobytes(), steps) for colours, steps in map(synthetic_drawing.stripes, range(80))}
    assert len(looks) == 80


def test_the_categories_are_those_of_coco(coco):
    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]  # at the place of their id
    known = {number: name for number, name in enumerate(names) if name not in ("__background__", "N/A")}
    content = json.loads((coco / "annotations" / "instances_val2014.json").read_text())
    assert {entry["id"]: entry["name"] for entry in content["categories"]} == known
    assert [entry["name"] for entry in content["categories"]] == list(COCO_CLASSES)


@pytest.mark.parametrize(("split", "number"), [("train", 30), ("val", 12)])
def test_pycocotools_reads_the_coco_kit_as_it_was_drawn(coco, split, number):
    index = COCO(coco / "annotations" / f"instances_{split}2014.json")
    assert len(index.imgs) == number
    crowds, overlaps = 0, 0
    for place, image in enumerate(index.loadImgs(index.getImgIds())):
        drawn = synthetic_drawing.draw_scene(synthetic_drawing.COCO_STYLE, split, place, seed=3, sizes=MIDDLE)
        annotations = index.loadAnns(index.getAnnIds(image["id"]))
        assert (image["width"], image["height"]) == drawn.size
        total = np.zeros(drawn.picture.shape[:2], int)
        for thing, annotation in zip(drawn.things, annotations, strict=True):
            mask, pixels = index.annToMask(annotation) > 0, synthetic_drawing.fill(thing, drawn.size)
            reach = 0 if thing.is_crowd else 1  # px, along the outline of a polygon
            assert not (mask & ~grown(pixels, reach)).any()
            assert not (pixels & ~grown(mask, reach)).any()
            assert index.cats[annotation["category_id"]]["name"] == COCO_CLASSES[thing.class_index]
            assert annotation["iscrowd"] == thing.is_crowd == isinstance(annotation["segmentation"], dict)
            rows, columns = np.nonzero(mask)
            left, top, width, height = annotation["bbox"]
            assert np.allclose([left, top], [columns.min(), rows.min()], atol=1.5)
            assert np.allclose([left + width, top + height], [columns.max() + 1, rows.max() + 1], atol=1.5)
            assert mask.sum() <= annotation["area"] <= grown(mask, reach).sum()
            crowds += thing.is_crowd
            total += mask
        overlaps += (total > 1).any()
    assert crowds == number // 12 + (number % 12 > 2)
    assert overlaps > 0


def test_coco_pictures_are_there_and_one_image_of_each_split_has_no_annotation(coco):
    ids = set()
    for split in ("train", "val"):
        content = json.loads((coco / "annotations" / f"instances_{split}2014.json").read_text())
        files = {path.name: path for path in (coco / f"{split}2014").iterdir()}
        assert files.keys() == {image["file_name"] for image in content["images"]}
        for image in content["images"]:
            assert image["file_name"] == f"COCO_{split}2014_{image['id']:012d}.jpg"
            with Image.open(files[image["file_name"]]) as picture:
                assert picture.size == (image["width"], image["height"])
        own = {image["id"] for image in content["images"]}
        assert not own & ids
        ids |= own
        assert len(own - {annotation["image_id"] for annotation in content["annotations"]}) == 1
        assert len({annotation["id"] for annotation in content["annotations"]}) == len(content["annotations"])


def test_the_coco_kit_passes_the_check(coco):
    assert datasets.check(DataSettings(name="coco14", root=coco), decode=True) == []


def test_run_lengths_by_hand():
    pixels = np.array([[True, False, False], [True, True, False]])
    assert synthetic.run_lengths(pixels) == {"counts": [0, 2, 1, 1, 2], "size": [2, 3]}
    assert synthetic.run_lengths(~pixels) == {"counts": [2, 1, 1, 2], "size": [2, 3]}


@pytest.mark.parametrize("write", [synthetic.write_voc, synthetic.write_coco])
def test_a_folder_in_use_is_left_unchanged(tmp_path, write):
    (tmp_path / "thesis.txt").write_text("mine")
    numbers = VOC_NUMBERS if write is synthetic.write_voc else COCO_NUMBERS
    with pytest.raises(DataError, match="this path is already in use"):
        write(tmp_path, **numbers)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_nothing_is_left_when_drawing_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "write_mask", lambda path, mask: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        synthetic.write_voc(tmp_path / "voc", **VOC_NUMBERS, sizes=SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("numbers", "message"),
    [({"num_val": 0}, "num_val = 0: at least 1 image"), ({"num_train": 25}, "num_train = 25: .* which has 24 images")],
)
def test_impossible_numbers_of_images(tmp_path, numbers, message):
    with pytest.raises(ValueError, match=message):
        synthetic.write_voc(tmp_path / "voc", **{**VOC_NUMBERS, **numbers})
