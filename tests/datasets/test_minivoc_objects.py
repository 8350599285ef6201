"""The objects of MiniVOC: bodies that classes share, and parts whose size and place the settings choose."""

from itertools import chain

import numpy as np
import pytest
from PIL import Image

from ribstudy.datasets.base import DataError
from ribstudy.datasets.minivoc_drawing import CLUTTER, draw_glyph, scatter
from ribstudy.datasets.minivoc_objects import BODIES, CLASS_NAMES, FAMILIES, PARTS, Drawing, draw_object, draw_sticker
from ribstudy.datasets.settings import MiniVocSettings

SETTINGS = MiniVocSettings(num_train=1, num_train_aug=1, num_val=1, image_size=384, seed=0, part_share=0.1, part_place="fixed")
ALL_PARTS = [emoji for glyphs in PARTS.values() for emoji in glyphs]


def drawing(seed: int = 0, *, class_index: int = 0, **changes) -> Drawing:
    settings = SETTINGS.model_copy(update=changes)
    return draw_object(np.random.default_rng(seed), settings, class_index, side=240)


def opaque(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel("A") if image.mode == "RGBA" else image) > 127


@pytest.mark.parametrize("emoji", sorted({*ALL_PARTS, *CLUTTER, *chain.from_iterable(FAMILIES.values())}))
def test_every_glyph_is_drawn_in_colour(emoji):
    glyph = draw_glyph(emoji)
    assert glyph.mode == "RGBA"
    assert min(glyph.size) > 50


def test_a_glyph_that_the_font_lacks_is_refused():
    with pytest.raises(DataError, match="in colour"):
        draw_glyph("ꙮ")


def test_every_class_is_in_one_family_and_no_glyph_has_two_roles():
    assert sorted(name for family in FAMILIES for name in family) == sorted(CLASS_NAMES)
    bodies = [body for of_family in FAMILIES.values() for body in of_family]
    glyphs = [*ALL_PARTS, *bodies, *CLUTTER]
    assert len(set(glyphs)) == len(glyphs)
    assert {len(bodies) for bodies in BODIES.values()} == {4}


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_the_part_has_its_share_of_the_area_of_the_body(share):
    for seed in range(4):
        whole = drawing(seed, part_share=share)
        body = opaque(drawing(seed, part_share=0.001).picture).sum()
        assert opaque(whole.part).sum() / body == pytest.approx(share, rel=0.1)


def test_a_part_is_part_of_the_object():
    whole = drawing(part_share=0.6)
    assert not (opaque(whole.part) & ~opaque(whole.picture)).any()


def test_the_class_changes_the_part_alone_within_a_family():
    first, second = (drawing(class_index=CLASS_NAMES.index(name)) for name in ("bus", "car"))
    elsewhere = ~opaque(first.part) & ~opaque(second.part)
    differs = (np.asarray(first.picture) != np.asarray(second.picture)).any(axis=2)
    assert differs.any()
    assert (differs & elsewhere).sum() < 0.02 * elsewhere.sum()  # the soft edge of the parts


def test_a_fixed_part_is_at_one_place_of_a_body_and_another_part_is_not():
    spread = {}
    for place in ("fixed", "anywhere"):
        centres = [
            np.argwhere(opaque(drawing(seed, class_index=CLASS_NAMES.index("train"), part_place=place).part)).mean(axis=0)
            for seed in range(24)
        ]
        spread[place] = np.std(centres, axis=0).max()
    assert spread["anywhere"] > 2 * spread["fixed"]


def test_a_turned_drawing_keeps_its_part():
    whole = drawing()
    turned = whole.mirrored().rotated(15)
    assert turned.picture.size == turned.part.size
    assert opaque(turned.part).sum() == pytest.approx(opaque(whole.part).sum(), rel=0.05)
    assert not (opaque(turned.part) & ~opaque(turned.picture)).any()


def test_a_sticker_has_a_white_rim_around_its_glyph():
    sticker = draw_sticker("🚌")
    assert opaque(sticker).sum() > opaque(draw_glyph("🚌")).sum()
    assert sticker.getpixel((sticker.width // 2, 1))[:3] == (255, 255, 255)


def test_clutter_leaves_most_of_the_background():
    canvas = Image.new("RGB", (384, 384))
    scatter(np.random.default_rng(0), canvas)
    assert 0.02 < np.asarray(canvas).any(axis=2).mean() < 0.4
