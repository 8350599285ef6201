"""A part of a data set as a folder of own images, and the example of the page on own data."""

import numpy as np
import pytest

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets.base import DataError
from ribstudy.datasets.export import write_folder
from ribstudy.datasets.settings import DataSettings
from ribstudy.report import own_data

SMALL = {"num_train": 4, "num_train_aug": 8, "num_val": 1, "image_size": 64, "seed": 0}


@pytest.fixture(scope="module")
def minivoc(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "minivoc"
    return datasets.training_set(load_settings("mini", {"data.minivoc": SMALL, "data.root": str(root)}).data)


def test_labels_and_masks_contain_the_chosen_classes_only(minivoc, tmp_path):
    kept = [minivoc.class_names[index] for index in np.flatnonzero(minivoc.labels.any(axis=0))[[2, 0]]]
    root = tmp_path / "own"
    write_folder(root, minivoc, minivoc.names, kept)
    settings = DataSettings(name="folder", root=root)
    assert datasets.class_names(settings) == tuple(kept)
    found = {}
    for split in ("train", "val"):
        dataset = datasets.open_dataset(settings, split)
        found |= dict.fromkeys(dataset.names, dataset)
    assert sorted(found) == sorted(minivoc.names)
    indices = [minivoc.class_names.index(name) for name in kept]
    for name, dataset in found.items():
        np.testing.assert_array_equal(dataset.label(name), minivoc.label(name)[indices])
        if name in dataset.masked_names:
            theirs, ours = minivoc.mask(name), dataset.mask(name)
            for value, index in enumerate(indices, start=1):
                np.testing.assert_array_equal(ours == value, theirs == index + 1)
            np.testing.assert_array_equal(ours == 255, theirs == 255)
    with pytest.raises(DataError, match="already in use"):
        write_folder(root, minivoc, minivoc.names, kept)


def test_the_table_of_the_page_is_filled_up(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,class\na.jpg,cat,dog\nb.jpg\nc.jpg,dog\n")
    table = own_data.show_table(path, num_rows=2)
    assert table.columns.tolist() == ["image", "class 1", "class 2"]
    assert table.values.tolist() == [["a.jpg", "cat", "dog"], ["b.jpg", "", ""]]
