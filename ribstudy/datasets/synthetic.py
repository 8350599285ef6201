"""Synthetic stand-ins for VOC 2012 and COCO 2014, of any size, in their formats: for tests, and to time full-size runs.

The sizes of images and files, and the numbers of classes and objects per image, resemble the real data. The content of the
images does not (see `synthetic_drawing.py`). Image i of a split depends only on (seed, split, i), so a larger set begins with
the images of a smaller one. Every run writes the same bytes, as long as the JPEG library stays the same.
"""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ribstudy.datasets.base import map_in_order, new_folder
from ribstudy.datasets.coco14 import COCO_CLASSES
from ribstudy.datasets.devkit import FOLDERS, write_annotation, write_names
from ribstudy.datasets.pictures import VOID, write_jpeg, write_mask
from ribstudy.datasets.synthetic_drawing import (
    COCO_SIZES,
    COCO_STYLE,
    SPLIT_IDS,
    VOC_SIZES,
    VOC_STYLE,
    Scene,
    Sizes,
    Thing,
    draw_scene,
    fill,
)
from ribstudy.datasets.voc12 import VOC_CLASSES

VOC_YEARS = {"train": 2008, "val": 2007, "test": 2009}  # in the image names
VOID_WIDTH = 5  # px, of the void border along every outline in the masks of VOC
UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)  # numbers up to 90 that are not category ids
COCO_IDS = tuple(number for number in range(1, 91) if number not in UNUSED_COCO_IDS)
JPEG_QUALITY = 90


def write_voc(
    root: Path,
    *,
    num_train: int,
    num_train_aug: int,
    num_val: int,
    num_test: int = 0,
    seed: int = 0,
    sizes: Sizes = VOC_SIZES,
    processes: int = 1,
) -> None:
    """Writes a VOC devkit. As in VOC 2012, train_aug begins with the images of train, and only these have masks.

    The images of test have neither annotations nor masks; with `num_test` = 0 there is no list of this split.

    Raises DataError if `root` is a file or a folder that is not empty, and ValueError for impossible numbers of images.
    """
    _check_numbers(num_train=num_train, num_train_aug=num_train_aug, num_val=num_val)
    if num_train > num_train_aug:
        raise ValueError(f"num_train = {num_train}: train is a part of train_aug, which has {num_train_aug} images")
    if num_test < 0:
        raise ValueError(f"num_test = {num_test}: pass a number of images, or 0 for no split test")
    items = [("train", index, index < num_train) for index in range(num_train_aug)]
    items += [("val", index, True) for index in range(num_val)]
    items += [("test", index, False) for index in range(num_test)]
    with new_folder(root) as folder:
        for part in FOLDERS:
            (folder / part).mkdir(parents=True)
        work = partial(_write_voc_image, folder=folder, seed=seed, sizes=sizes)
        names = list(map_in_order(work, items, processes=processes, description="VOC"))
        of_train_aug, held_out = names[:num_train_aug], names[num_train_aug:]
        lists = {"train": names[:num_train], "train_aug": of_train_aug, "val": held_out[:num_val]}
        if num_test:
            lists["test"] = held_out[num_val:]
        for split, own in lists.items():
            write_names(folder, split, own)


def write_coco(
    root: Path, *, num_train: int, num_val: int, seed: int = 0, sizes: Sizes = COCO_SIZES, processes: int = 1
) -> None:
    """Writes train2014, val2014 and annotations/instances_{train,val}2014.json.

    One image in 118 has no annotation, starting with the second image of a split, and one in 12 has a crowd.

    Raises DataError if `root` is a file or a folder that is not empty, and ValueError for impossible numbers of images.
    """
    _check_numbers(num_train=num_train, num_val=num_val)
    with new_folder(root) as folder:
        (folder / "annotations").mkdir()
        for split, number in (("train", num_train), ("val", num_val)):
            (folder / f"{split}2014").mkdir()
            work = partial(_write_coco_image, folder=folder, split=split, seed=seed, sizes=sizes)
            entries = list(map_in_order(work, range(number), processes=processes, description=f"COCO {split}2014"))
            _write_instances(folder / "annotations" / f"instances_{split}2014.json", entries)


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} = {number}: at least 1 image is needed")


# --- VOC ----------------------------------------------------------------------------------------------------------------


def voc_mask(scene: Scene) -> np.ndarray:
    """uint8 [H, W]: 0 background, 1..C classes, 255 along every outline."""
    canvas = Image.new("L", scene.size)
    draw = ImageDraw.Draw(canvas)
    for thing in scene.things:
        for polygon in thing.polygons:
            draw.polygon(polygon.ravel().tolist(), fill=thing.class_index + 1)
            draw.line([*polygon.ravel().tolist(), *polygon[0].tolist()], fill=VOID, width=VOID_WIDTH, joint="curve")
    return np.asarray(canvas)


def _write_voc_image(item: tuple[str, int, bool], *, folder: Path, seed: int, sizes: Sizes) -> str:
    """Writes the files of one image and returns its name. item: split, index, and whether to write the mask."""
    split, index, has_mask = item
    scene = draw_scene(VOC_STYLE, split, index, seed=seed, sizes=sizes)
    name = f"{VOC_YEARS[split]}_{index:06d}"
    write_jpeg(folder / "JPEGImages" / f"{name}.jpg", scene.picture, JPEG_QUALITY)
    if has_mask:
        write_mask(folder / "SegmentationClass" / f"{name}.png", voc_mask(scene))
    if split != "test":
        write_annotation(folder, name, _annotation_fields(name, scene))
    return name


def _annotation_fields(name: str, scene: Scene) -> dict:
    """VOC's fields of an image and its objects. A box encloses the whole object, counted from 1 with both ends included."""
    objects = []
    for thing in scene.things:
        left, top, right, bottom = thing.box
        box = {"xmin": int(left) + 1, "ymin": int(top) + 1, "xmax": int(np.ceil(right)), "ymax": int(np.ceil(bottom))}
        flags = {"truncated": 0, "occluded": 0, "difficult": 0}
        objects.append({"name": VOC_CLASSES[thing.class_index], **flags, "bndbox": box})
    return {
        "folder": "VOC2012",
        "filename": f"{name}.jpg",
        "source": {"database": "synthetic"},
        "size": {"width": scene.size[0], "height": scene.size[1], "depth": 3},
        "object": objects,
    }


# --- COCO ---------------------------------------------------------------------------------------------------------------


def _write_coco_image(index: int, *, folder: Path, split: str, seed: int, sizes: Sizes) -> tuple[str, list[str]]:
    """Writes one image and returns its JSON entry and the JSON entries of its annotations."""
    scene = draw_scene(COCO_STYLE, split, index, seed=seed, sizes=sizes)
    image_id = 2 * index + 1 + SPLIT_IDS[split]  # as in COCO 2014, the ids of train and val are disjoint
    file_name = f"COCO_{split}2014_{image_id:012d}.jpg"
    write_jpeg(folder / f"{split}2014" / file_name, scene.picture, JPEG_QUALITY)
    image = {"id": image_id, "file_name": file_name, "width": scene.size[0], "height": scene.size[1]}
    annotations = [
        {"id": 1000 * image_id + place, "image_id": image_id, **_instance(thing, scene.size)}
        for place, thing in enumerate(scene.things)
    ]
    return json.dumps(image), [json.dumps(annotation) for annotation in annotations]


def _instance(thing: Thing, size: tuple[int, int]) -> dict:
    """The annotation of an object in COCO's format, with run lengths for a crowd and polygons for any other object."""
    left, top, right, bottom = thing.box
    pixels = fill(thing, size)
    return {
        "category_id": COCO_IDS[thing.class_index],
        "iscrowd": int(thing.is_crowd),
        "segmentation": run_lengths(pixels) if thing.is_crowd else [polygon.ravel().tolist() for polygon in thing.polygons],
        "area": int(pixels.sum()),
        "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
    }


def run_lengths(pixels: np.ndarray) -> dict[str, list[int]]:
    """COCO's uncompressed RLE of a region, bool [H, W]: the lengths of the runs of 0, 1, 0, ... in column-major order."""
    changes = np.flatnonzero(np.diff(pixels.ravel(order="F"), prepend=False, append=~pixels[-1, -1]))
    return {"counts": np.diff(changes, prepend=0).tolist(), "size": list(pixels.shape)}


def _write_instances(path: Path, entries: Sequence[tuple[str, list[str]]]) -> None:
    categories = [{"id": number, "name": name} for number, name in zip(COCO_IDS, COCO_CLASSES, strict=True)]
    images = ",\n".join(image for image, _ in entries)
    annotations = ",\n".join(annotation for _, own in entries for annotation in own)
    head = f'{{"info": {{"description": "synthetic"}},\n"categories": {json.dumps(categories)},\n'
    path.write_text(f'{head}"images": [\n{images}\n],\n"annotations": [\n{annotations}\n]}}\n')
