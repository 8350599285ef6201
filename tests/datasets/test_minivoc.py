"""MiniVOC: reproducible from its seed, consistent with its labels, and in the layout of the devkit."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ribstudy import datasets
from ribstudy.datasets import minivoc, voc12
from ribstudy.datasets.base import CHUNK, DataError
from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.datasets.settings import DataSettings, MiniVocSettings

SMALL = MiniVocSettings(num_train=12, num_train_aug=24, num_val=12, image_size=128, seed=5)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "minivoc"
    minivoc.generate(folder, SMALL)
    return folder


def open_split(root: Path, split: str) -> voc12.VocDataset:
    return voc12.VocDataset(root, split, minivoc.CLASS_NAMES)


def file_hashes(root: Path) -> dict[str, str]:
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_settings_give_the_same_files(root, tmp_path):
    minivoc.generate(tmp_path / "again", SMALL)
    assert file_hashes(tmp_path / "again") == file_hashes(root)


def test_worker_processes_draw_the_same_files(root, tmp_path):
    assert SMALL.num_train_aug + SMALL.num_val > CHUNK  # more than a single process gets
    minivoc.generate(tmp_path / "again", SMALL, processes=2)
    assert file_hashes(tmp_path / "again") == file_hashes(root)


def test_a_larger_set_begins_with_the_smaller_one(root, tmp_path):
    larger = SMALL.model_copy(update={"num_train": 13, "num_train_aug": 26, "num_val": 13})
    minivoc.generate(tmp_path / "larger", larger)
    lists = {name for name in file_hashes(root) if name.startswith("ImageSets") or name in ("minivoc.json", "drawn.json")}
    smaller_hashes = {name: value for name, value in file_hashes(root).items() if name not in lists}
    assert smaller_hashes.items() <= file_hashes(tmp_path / "larger").items()


def test_another_seed_and_the_other_set_give_other_images():
    images = [minivoc.draw_scene(SMALL.model_copy(update={"seed": seed}), "train", 0).picture for seed in (5, 6)]
    images.append(minivoc.draw_scene(SMALL, "val", 0).picture)
    assert len({image.tobytes() for image in images}) == 3


def test_check_finds_nothing(root):
    assert voc12.check(root, minivoc.CLASS_NAMES, decode=True) == []


def test_splits_are_nested_and_disjoint(root):
    train, val, train_aug = (open_split(root, split).names for split in ("train", "val", "train_aug"))
    assert (len(train), len(val), len(train_aug)) == (12, 12, 24)
    assert set(train) < set(train_aug)
    assert not set(val) & set(train_aug)


@pytest.mark.parametrize("split", ["val", "train_aug"])
def test_labels_are_the_classes_of_the_mask(root, split):
    dataset = open_split(root, split)
    for name, label in zip(dataset.names, dataset.labels, strict=True):
        in_mask = set(np.unique(dataset.mask(name)).tolist()) - {0, VOID}
        assert in_mask == set((np.flatnonzero(label) + 1).tolist())


def test_objects_one_to_three_with_boxes_inside_the_image(root):
    dataset = open_split(root, "train_aug")
    for name in dataset.names:
        objects = dataset.objects(name)
        assert 1 <= len(objects) <= 3
        for item in objects:
            left, top, right, bottom = item.box
            assert 1 <= left < right <= SMALL.image_size
            assert 1 <= top < bottom <= SMALL.image_size


def test_boxes_enclose_the_labelled_pixels(root):
    dataset = open_split(root, "train_aug")
    for name in dataset.names:
        mask, inside = dataset.mask(name), np.zeros((SMALL.image_size,) * 2, bool)
        for item in dataset.objects(name):
            left, top, right, bottom = (int(side) for side in item.box)
            inside[top - 1 : bottom, left - 1 : right] = True
        assert not ((mask > 0) & (mask < VOID) & ~inside).any()


def test_classes_are_balanced():
    first = [minivoc._first_class(5, "train", index) for index in range(3 * len(minivoc.CLASS_NAMES))]
    assert np.bincount(first).tolist() == [3] * len(minivoc.CLASS_NAMES)


def test_every_object_and_its_part_show_enough_of_themselves():
    for index in range(30):
        scene = minivoc.draw_scene(SMALL, "train", index)
        mask = scene.mask()
        for place, item in enumerate(scene.objects, start=1):
            owned, part = scene.owners == place, item.part(SMALL.image_size)
            assert owned.sum() >= minivoc.MIN_VISIBLE_SHARE * item.num_pixels
            assert (owned & part).sum() >= minivoc.MIN_VISIBLE_SHARE * item.num_part_pixels > 0
            assert (owned & (mask == item.class_index + 1)).sum() >= minivoc.MIN_LABELLED_PIXELS


def test_masks_are_of_whole_objects():
    scene = minivoc.draw_scene(SMALL, "train", 0)
    top = scene.objects[-1]  # nothing hides it
    whole, part = top.shape(SMALL.image_size), top.part(SMALL.image_size)
    assert np.array_equal(scene.owners == len(scene.objects), whole)
    assert not (part & ~whole).any()
    assert part.sum() < whole.sum() / 4


@pytest.mark.parametrize("changes", [{"part_share": 0.3}, {"part_place": "anywhere"}])
def test_another_part_changes_the_pictures_inside_the_objects_alone(changes):
    """If an object still fits where it was, which is nearly always so."""
    same = 0
    for index in range(12):
        first, second = (minivoc.draw_scene(of, "val", index) for of in (SMALL, SMALL.model_copy(update=changes)))
        assert [item.class_index for item in first.objects] == [item.class_index for item in second.objects]
        nothing = (first.owners == 0) & (second.owners == 0) & ~minivoc.void_border(first.owners)
        differs = (first.picture != second.picture).any(axis=2)
        same += not differs[nothing & ~minivoc.void_border(second.owners)].any()
        assert differs.any()
    assert same >= 9


def test_the_smallest_image_size_works():
    tiny = SMALL.model_copy(update={"image_size": 64})
    assert all(minivoc.draw_scene(tiny, "val", index).objects for index in range(24))


def test_void_border_by_hand():
    owners = np.zeros((9, 12), np.uint8)
    owners[3:6, 4:8] = 1  # 3 x 4 pixels: two inner ones stay
    void = minivoc.void_border(owners)
    assert void[1:8, 2:10].sum() == void.sum() == 7 * 8 - 2
    assert not void[4, 5:7].any()


def test_void_border_also_runs_between_two_objects():
    owners = np.repeat([[1] * 5 + [2] * 5], 4, axis=0).astype(np.uint8)
    assert minivoc.void_border(owners)[0].tolist() == [False] * 4 + [True] * 2 + [False] * 4


def test_no_object_pixel_touches_background_or_another_class(root):
    dataset = open_split(root, "val")
    for name in dataset.names:
        mask = dataset.mask(name)
        for near, far in ((mask[:, 1:], mask[:, :-1]), (mask[1:], mask[:-1])):
            assert ((near == far) | (near == VOID) | (far == VOID)).all()


def test_masks_are_palette_pictures_in_the_colours_of_voc(root):
    with Image.open(next((root / "SegmentationClass").iterdir())) as picture:
        assert picture.mode == "P"
        colours = np.array(picture.getpalette(), np.uint8).reshape(-1, 3)
    assert np.array_equal(colours, PALETTE)


def test_lists_of_single_classes_repeat_the_labels(root):
    dataset = open_split(root, "val")
    for index, class_name in enumerate(minivoc.CLASS_NAMES):
        lines = (root / "ImageSets" / "Main" / f"{class_name}_val.txt").read_text().splitlines()
        assert [line.split() for line in lines] == [
            [name, "1" if label else "-1"] for name, label in zip(dataset.names, dataset.labels[:, index], strict=True)
        ]


def test_class_names_are_vocs_in_its_order():
    assert [name for name in voc12.VOC_CLASSES if name in minivoc.CLASS_NAMES] == list(minivoc.CLASS_NAMES)
    assert len(minivoc.CLASS_NAMES) >= 12


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(minivoc, "_write_lists", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        minivoc.generate(tmp_path / "minivoc", SMALL.model_copy(update={"num_train": 1, "num_train_aug": 1, "num_val": 1}))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused_and_kept(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="already in use"):
        minivoc.generate(tmp_path, SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_prepare_draws_once(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.paths, "DATA", tmp_path)
    settings = DataSettings(name="minivoc", minivoc=SMALL.model_copy(update={"num_train": 1, "num_train_aug": 2, "num_val": 1}))
    folder = datasets.prepare(settings)
    assert folder.parent == tmp_path
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert datasets.prepare(settings) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert len(datasets.open_dataset(settings, "train_aug")) == 2
    assert datasets.check(settings) == []


def test_a_root_with_other_settings_is_refused(root):
    other = DataSettings(name="minivoc", root=root, minivoc=SMALL.model_copy(update={"seed": 6}))
    with pytest.raises(DataError, match="other settings"):
        datasets.prepare(other)
    assert datasets.check(other)[0].startswith(str(root))


def test_the_fingerprint_is_of_the_settings_and_not_of_the_place(root):
    here = datasets.fingerprint(DataSettings(name="minivoc", root=root, minivoc=SMALL))
    assert here == datasets.fingerprint(DataSettings(name="minivoc", minivoc=SMALL))
    assert here != datasets.fingerprint(DataSettings(name="minivoc", minivoc=SMALL.model_copy(update={"image_size": 64})))


TIED = {"class_name": "bird", "probability": 1.0}


def tied_to(**changes) -> MiniVocSettings:
    return MiniVocSettings(**{**SMALL.model_dump(), "tied": {**TIED, **changes}})


def shows_bird(scene: minivoc.Scene) -> bool:
    return minivoc.CLASS_NAMES.index("bird") in [item.class_index for item in scene.objects]


def test_without_a_tied_background_images_and_identity_are_unchanged(root):
    """The digest is that of version 2. If it changes, the version must change."""
    assert minivoc.describe(SMALL) == {
        "version": 2,
        "num_train": 12,
        "num_train_aug": 24,
        "num_val": 12,
        "image_size": 128,
        "seed": 5,
        "part_share": 0.15,
        "part_place": "fixed",
    }
    pictures = b"".join(minivoc.draw_scene(SMALL, "train", index).picture.tobytes() for index in range(24))
    assert hashlib.sha256(pictures).hexdigest()[:16] == "a261d37567a905cc"
    impossible = tied_to(probability=0.0)
    for index in range(24):
        assert np.array_equal(
            minivoc.draw_scene(impossible, "train", index).picture, minivoc.draw_scene(SMALL, "train", index).picture
        )


def test_a_tied_background_changes_the_background_of_its_class_alone():
    changed = 0
    for index in range(24):
        plain, tied = (minivoc.draw_scene(settings, "val", index) for settings in (SMALL, tied_to()))
        assert np.array_equal(plain.mask(), tied.mask())
        differs = (plain.picture != tied.picture).any(axis=2)
        if shows_bird(plain):
            changed += 1
            assert differs[plain.owners == 0].mean() > 0.6  # the clutter stays
            solid = (plain.owners > 0) & ~minivoc.void_border(plain.owners)
            change = np.abs(plain.picture.astype(int) - tied.picture).max(axis=2)
            assert change[solid].max() < 128  # the soft edge of an object lets less than half of the background through
            assert not change[solid].all()
        else:
            assert not differs.any()
    assert changed


def test_the_tied_background_is_drawn_with_its_probability():
    bird = [minivoc.CLASS_NAMES.index("bird")]
    settings = tied_to(probability=0.8, elsewhere=0.1)
    shares = [
        np.mean([minivoc.has_tied_background(settings, "train", index, classes=classes) for index in range(1000)])
        for classes in (bird, [])
    ]
    assert shares == pytest.approx([0.8, 0.1], abs=0.04)


def test_tied_names_are_those_whose_pictures_differ(root):
    dataset, settings = open_split(root, "train_aug"), tied_to(probability=0.7, elsewhere=0.3)
    differs = [
        name
        for index, name in enumerate(dataset.names)
        if not np.array_equal(
            minivoc.draw_scene(settings, "train", index).picture, minivoc.draw_scene(SMALL, "train", index).picture
        )
    ]
    assert minivoc.tied_names(settings, dataset.names, dataset.labels) == differs
    assert 0 < len(differs) < len(dataset)


def test_a_tied_data_set_has_a_folder_and_a_fingerprint_of_its_own():
    plain, tied = (DataSettings(name="minivoc", minivoc=settings) for settings in (SMALL, tied_to()))
    assert datasets.data_folder(plain) != datasets.data_folder(tied)
    assert datasets.fingerprint(plain) != datasets.fingerprint(tied)


def test_a_tied_class_that_minivoc_lacks_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"tied.class_name = 'boat' is not a class of MiniVOC; known: aeroplane"):
        minivoc.generate(tmp_path / "minivoc", tied_to(class_name="boat"))
    assert list(tmp_path.iterdir()) == []
