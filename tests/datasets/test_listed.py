"""Listed images: what can be read without their photographs, and which photographs are accepted."""

import json

import numpy as np
import pytest
from helpers.coco import coco
from helpers.devkit import voc

from ribstudy import datasets
from ribstudy.datasets import DataError, listed
from ribstudy.runtime import paths


@pytest.fixture
def listing(monkeypatch, tmp_path):
    """Writes a list "few" of a data set in a temporary folder; returns settings without photographs."""
    monkeypatch.setattr(listed, "FOLDER", tmp_path)
    monkeypatch.setattr(paths, "DATA", tmp_path / "data")
    listed.read_listing.cache_clear()

    def write(settings):
        assert datasets.write_list(settings, "few", about="four images") == tmp_path / "few.json"
        return settings.model_copy(update={"listed": "few", "root": None})

    yield write
    listed.read_listing.cache_clear()


@pytest.fixture(params=["voc", "coco"])
def data(request):
    """The settings of a data set with photographs."""
    if request.param == "voc":
        return voc(request.getfixturevalue("devkit_root"))
    return coco(request.getfixturevalue("coco_root"))


def test_everything_but_the_pictures_is_as_with_photographs(data, listing):
    without = listing(data)
    assert datasets.fingerprint(without) == datasets.fingerprint(data)
    assert datasets.mask_fingerprint(without) == datasets.mask_fingerprint(data)
    assert datasets.class_names(without) == datasets.class_names(data)
    assert datasets.training_set(without).split == datasets.training_set(data).split
    for split in datasets.splits(data):
        ours, theirs = (datasets.open_dataset(settings, split) for settings in (without, data))
        assert (ours.names, ours.class_names, ours.split) == (theirs.names, theirs.class_names, theirs.split)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert list(ours.masked_names) == list(theirs.masked_names)
        assert ours.num_annotated == theirs.num_annotated
        assert [ours.num_objects(name) for name in ours.names] == [theirs.num_objects(name) for name in theirs.names]
        assert all((ours.label(name) == theirs.label(name)).all() for name in ours.names)
        assert (ours.has_pictures, theirs.has_pictures) == (False, True)


def test_a_missing_picture_says_how_to_bring_it(devkit_root, listing):
    without = listing(voc(devkit_root))
    assert not datasets.has_pictures(without)
    assert datasets.has_pictures(voc(devkit_root))
    train = datasets.open_dataset(without, "train")
    remedy = r"photographs of few \(four images\) are not here.*lists/few.json; put their folder, or a link to it, at data/few"
    for read in (train.image, train.mask):
        with pytest.raises(DataError, match=f"2007_000001: the {remedy}.*--data-root"):
            read("2007_000001")
    with pytest.raises(DataError, match=remedy):
        datasets.require_pictures(without)
    datasets.require_pictures(voc(devkit_root))
    (problem,) = datasets.check(without)
    assert "are not here" in problem
    with pytest.raises(DataError, match="few lists no split 'test'"):
        datasets.open_dataset(without, "test")


@pytest.mark.parametrize("place", ["link", "root"])
def test_photographs_are_read_from_the_folder_of_the_list_or_from_data_root(devkit_root, listing, place):
    settings = listing(voc(devkit_root))
    if place == "root":
        settings = settings.model_copy(update={"root": devkit_root})
    else:
        paths.DATA.mkdir()
        (paths.DATA / "few").symlink_to(devkit_root)
    assert datasets.has_pictures(settings)
    assert datasets.open_dataset(settings, "train").image("2007_000001").shape == (30, 40, 3)
    assert datasets.check(settings) == []
    assert datasets.lists(settings)


def test_other_photographs_are_refused(devkit_root, listing):
    settings = listing(voc(devkit_root)).model_copy(update={"root": devkit_root})
    mask = devkit_root / "SegmentationClass" / "2007_000001.png"
    content = bytearray(mask.read_bytes())
    content[-20] ^= 1
    mask.write_bytes(content)
    message = r"these are not the images of few \(masks: masks is .*, listed is [^;]*\); bring those, .*data.listed=null"
    with pytest.raises(DataError, match=message):
        datasets.open_dataset(settings, "train")
    assert datasets.open_dataset(settings.model_copy(update={"listed": None}), "train").names


def test_photographs_are_compared_once_in_a_process(devkit_root, listing, monkeypatch):
    settings = listing(voc(devkit_root)).model_copy(update={"root": devkit_root})
    datasets.open_dataset(settings, "train")
    monkeypatch.setattr(listed, "_differences", None)
    datasets.open_dataset(settings, "val")


def test_an_unknown_list_and_a_list_of_other_data_are_named(devkit_root, listing, tmp_path):
    settings = listing(voc(devkit_root))
    with pytest.raises(DataError, match=r"data.listed = 'more': there is no such list; known: few"):
        datasets.class_names(settings.model_copy(update={"listed": "more"}))
    with pytest.raises(DataError, match=r"data.listed = 'few' is a list of voc12, not of coco14"):
        datasets.class_names(settings.model_copy(update={"name": "coco14"}))
    with pytest.raises(ValueError, match="there are only lists of voc12 and coco14"):
        datasets.DataSettings(name="folder", listed="few")


@pytest.mark.parametrize("name", ["voc12-third", "coco14-part"])
def test_the_lists_of_the_package_are_whole(name):
    listing = listed.read_listing(name)
    settings = datasets.DataSettings(name=listing.data, listed=name, root=None)
    for split in datasets.splits(settings):
        dataset = listed.ListedDataset(listing, split, datasets.class_names(settings))
        assert dataset.names == sorted(set(dataset.names))
        assert dataset.labels.any(axis=1).sum() <= dataset.num_annotated <= len(dataset)
    assert (listed.FOLDER / f"{name}.json").stat().st_size < 80_000
    assert json.dumps(listing.fingerprints).count(listing.data) == 2
