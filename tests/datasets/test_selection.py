"""The images of a selection, and the text of a selection."""

import numpy as np
import pytest

from ribstudy.datasets.selection import selected_names
from ribstudy.datasets.settings import ImageSelection


class FourImages:
    """Two images with cats, one with a dog, one with neither; the first has no mask."""

    split = "train"
    class_names = ("cat", "dog")
    names = ("a", "b", "c", "d")
    masked_names = ("b", "c", "d")

    def label(self, name: str) -> np.ndarray:
        return np.array([name in "ac", name == "b"])


@pytest.mark.parametrize(
    ("chosen", "names"),
    [
        ({}, ["a", "b", "c", "d"]),
        ({"limit": 2}, ["c", "d"]),  # in the order of the digests of their names, d, c, b, a
        ({"skip": 1, "limit": 2}, ["b", "c"]),
        ({"skip": 3}, ["a"]),
        ({"masked": True}, ["b", "c", "d"]),
        ({"class_name": "cat"}, ["a", "c"]),
        ({"class_name": "cat", "skip": 1}, ["a"]),
        ({"class_name": "cat", "masked": True, "limit": 2}, ["c"]),
    ],
)
def test_filters_come_before_skip_and_limit(chosen, names):
    assert selected_names(FourImages(), ImageSelection(**chosen)) == names


def test_a_sample_depends_on_the_names_alone():
    shuffled = FourImages()
    shuffled.names = ("c", "a", "d", "b")
    for chosen in ({"limit": 2}, {"skip": 1, "limit": 2}):
        assert set(selected_names(shuffled, ImageSelection(**chosen))) == set(
            selected_names(FourImages(), ImageSelection(**chosen))
        )


def test_impossible_selections_are_refused():
    images = FourImages()
    with pytest.raises(ValueError, match=r"images\.class_name = 'cow' is not a class of the data; known: cat, dog"):
        selected_names(images, ImageSelection(class_name="cow"))
    with pytest.raises(ValueError, match=r"images\.skip = 2 leaves no image: split 'train' has 2 such images"):
        selected_names(images, ImageSelection(class_name="cat", skip=2))
    images.masked_names = ("d",)
    with pytest.raises(ValueError, match=r"images\.class_name = 'cat': no image of split 'train' shows this class"):
        selected_names(images, ImageSelection(class_name="cat", masked=True))
    images.masked_names = ()
    with pytest.raises(ValueError, match=r"images\.masked: no image of split 'train' has a mask"):
        selected_names(images, ImageSelection(masked=True))


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("split=train", {}),
        (
            "split=val,skip=1,limit=2,masked=true,class_name=cat",
            {"split": "val", "skip": 1, "limit": 2, "masked": True, "class_name": "cat"},
        ),
        ("split=train_aug,class_name=potted plant", {"split": "train_aug", "class_name": "potted plant"}),
        ('split=train,"class_name=beetle, black"', {"class_name": "beetle, black"}),
    ],
)
def test_the_text_of_a_selection(text, values):
    selection = ImageSelection(**values)
    assert str(selection) == text
    assert ImageSelection.parse(text) == selection


@pytest.mark.parametrize("class_name", ["Käfer, 蟲", 'a "b", c', "a=b", " cat ", "true", "3", "", '"', ",", "a\nb", "a\r\nb"])
def test_every_class_name_survives_a_round_trip(class_name):
    selection = ImageSelection(class_name=class_name, limit=3)
    assert ImageSelection.parse(str(selection)) == selection


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("limit=2", {"limit": 2}),
        (" limit = 2 , masked = TRUE", {"limit": 2, "masked": True}),
        ('limit=2, "class_name=a, b"', {"limit": 2, "class_name": "a, b"}),
        ("masked=false", {}),
    ],
)
def test_texts_that_people_write(text, values):
    assert ImageSelection.parse(text) == ImageSelection(**values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "images '': expected fields such as split=val,limit=2; known: split, skip, limit, masked, class_name"),
        ("val", "images 'val': expected fields such as split=val"),
        ("limit=1,,", "expected fields such as"),
        ("limt=1", "limt is unknown, did you mean limit?"),
        ("quality=1", "quality is unknown; known: split, skip, limit, masked, class_name"),
        ("limit=1,limit=2", "images 'limit=1,limit=2': limit is given more than once"),
        ("split=valid", "split = 'valid': Input should be 'train', 'val', 'train_aug' or 'test'"),
        ("limit=0", "limit = 0: Input should be greater than or equal to 1"),
        ("limit=few", "limit = 'few': Input should be a valid integer"),
        ("skip=-1", "skip = -1: Input should be greater than or equal to 0"),
        ("masked=maybe", "masked = 'maybe': Input should be a valid boolean"),
    ],
)
def test_a_bad_text_is_refused_with_what_is_known(text, message):
    with pytest.raises(ValueError, match=r"^images ") as caught:
        ImageSelection.parse(text)
    assert message in str(caught.value)


def test_a_selection_covers_its_parts():
    first_ten = ImageSelection(limit=10)
    assert first_ten.covers(ImageSelection(skip=2, limit=8))
    assert not first_ten.covers(ImageSelection(skip=3, limit=8))
    assert not first_ten.covers(ImageSelection(split="val", limit=1))
    assert not first_ten.covers(ImageSelection())
    assert ImageSelection(skip=1).covers(ImageSelection(skip=2))
