"""The figures and tables of the chapter on data: classes, objects and masks of the data sets."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from ribstudy.datasets import minivoc
from ribstudy.datasets.base import Dataset
from ribstudy.datasets.minivoc_objects import FAMILIES, draw_object
from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.datasets.settings import MiniVocSettings
from ribstudy.report import paper
from ribstudy.report.figures.common import BLUE, ORANGE, WIDTH, blank
from ribstudy.runtime.paths import PROJECT

OBJECT_SIDE = 300  # pixels of the objects that are shown alone
COUNTS = ["images", "annotated", "labelled", "objects"]
FEW_CLASSES = 25  # with more classes, bars are thinner


def classes_per_image(dataset: Dataset) -> np.ndarray:
    """The number of classes of each image, int [N]."""
    return dataset.labels.sum(axis=1)


def objects_per_image(dataset: Dataset) -> np.ndarray:
    """The number of objects of each image, int [N]; empty if objects are not annotated."""
    counts = [dataset.num_objects(name) for name in dataset.names]
    return np.array([] if None in counts else counts, int)


def voc12_classes_per_image() -> np.ndarray:
    """The number of classes of each image of VOC 2012 train_aug, int [10582], from the labels in the reference code."""
    rows = paper.values("voc12_classes_per_image")
    return np.repeat(rows["column"].astype(int), rows["value"].astype(int)).to_numpy()


def split_table(splits: Mapping[str, Dataset]) -> pd.DataFrame:
    """A row for each split, and for each split of VOC 2012 and COCO 2014 (published values, data/paper_values.csv).

    "annotated" counts images with any annotation, "labelled" counts images with a class.
    """
    rows = {name: _split_row(dataset) for name, dataset in splits.items()}
    for table, data in (("voc12_counts", "VOC 2012"), ("coco14_counts", "COCO 2014")):
        published = paper.values(table).pivot(index="row", columns="column", values="value")
        rows |= {f"{data} {split}": dict(counts.dropna()) for split, counts in published.iterrows()}
    rows["VOC 2012 train_aug"] |= _class_columns(voc12_classes_per_image())
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table[[*COUNTS, *_class_columns(np.ones(1))]].astype(dict.fromkeys(COUNTS, "Int64"))


def _split_row(dataset: Dataset) -> dict[str, object]:
    objects, classes = objects_per_image(dataset), classes_per_image(dataset)
    counts = (len(dataset), dataset.num_annotated, int((classes > 0).sum()), int(objects.sum()) if len(objects) else pd.NA)
    return {**dict(zip(COUNTS, counts, strict=True)), **_class_columns(classes)}


def _class_columns(counts: np.ndarray) -> dict[str, float]:
    shares = {"one class": counts == 1, "two": counts == 2, "three or more": counts >= 3}
    return {"classes per image": counts.mean(), **{name: flags.mean() for name, flags in shares.items()}}


def style_table(table: pd.DataFrame) -> Styler:
    """The table of splits with readable numbers; a missing number is shown as a dash."""
    formats = {**dict.fromkeys(COUNTS, "{:,}"), "classes per image": "{:.2f}"}
    formats |= dict.fromkeys(("one class", "two", "three or more"), "{:.0%}")
    return table.style.set_uuid("splits").set_table_attributes('class="dataframe"').format(formats, na_rep="–")


def mask_shares(dataset: Dataset, *, num_masks: int) -> pd.DataFrame:
    """Shares of the pixels in up to `num_masks` masks, evenly spread over the masks of the split.

    A row for each image (index: its name), a column for each class, "background" and "void". A class that is not in the mask is
    nan. Without masks there are no rows.
    """
    names = spread(dataset.masked_names, num_masks)
    columns = ["background", *dataset.class_names, "void"]
    indices = [*range(len(dataset.class_names) + 1), VOID]
    counts = [np.bincount(dataset.mask(name).ravel(), minlength=256)[indices] for name in names]
    shares = pd.DataFrame(np.reshape(counts, (len(names), len(columns))), index=names, columns=columns, dtype=float)
    shares = shares.div(shares.sum(axis=1), axis=0)
    classes = list(dataset.class_names)
    shares[classes] = shares[classes].where(shares[classes] > 0)
    return shares


def spread(names: Sequence[str], number: int) -> list[str]:
    """Up to `number` of the names, evenly spread."""
    return [names[index] for index in np.unique(np.linspace(0, len(names) - 1, min(number, len(names))).round().astype(int))]


def pick_examples(dataset: Dataset, number: int) -> list[str]:
    """Names of the first images with one, two and at least three classes, in turn; only images with masks if there are any."""
    count_of = dict(zip(dataset.names, np.minimum(classes_per_image(dataset), 3), strict=True))
    names = dataset.masked_names if dataset.has_masks else dataset.names
    queues = [[name for name in names if count_of[name] == wanted] for wanted in (1, 2, 3)]
    longest = max(len(queue) for queue in queues)
    turns = [queue[place] for place in range(longest) for queue in queues if place < len(queue)]
    return turns[:number]


def draw_examples(dataset: Dataset, names: Sequence[str]) -> Figure:
    """Image and mask side by side, two pairs in a row; only images if there are no masks."""
    num_rows = max(-(-len(names) // 2), 1)
    figure, axes = plt.subplots(num_rows, 4, figsize=(WIDTH, 2.0 * num_rows + 0.4), squeeze=False, layout="constrained")
    figure.suptitle("Images with their masks (pale: void)" if dataset.has_masks else "Images; there are no masks")
    for ax in axes.flat:
        ax.set_axis_off()
    for name, (left, right) in zip(names, axes.reshape(-1, 2), strict=False):
        left.imshow(dataset.image(name))
        if dataset.has_masks:
            right.imshow(PALETTE[dataset.mask(name)])
        shown = [dataset.class_names[index] for index in np.flatnonzero(dataset.label(name))]
        left.set_title(", ".join(shown), loc="left")
    return figure


def draw_class_counts(dataset: Dataset) -> Figure:
    """The number of images with each class."""
    counts = dataset.labels.sum(axis=0)
    figure, ax = plt.subplots(figsize=(WIDTH, _height(len(counts))), layout="constrained")
    bars = ax.barh(dataset.class_names, counts, color=BLUE)
    ax.bar_label(bars, padding=3)
    ax.invert_yaxis()
    ax.set(title=f"Images of {dataset.split} with each class", xlabel="images")
    return figure


def draw_counts_per_image(dataset: Dataset) -> Figure:
    """Left: classes per image, compared with VOC 2012. Right: objects per image."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), sharey=True, layout="constrained")
    here = _shares_of_counts(classes_per_image(dataset))
    voc = _shares_of_counts(voc12_classes_per_image())
    ticks = np.arange(len(here))
    left.bar(ticks - 0.2, here, width=0.4, color=BLUE, label=f"this set, {dataset.split}")
    left.bar(ticks + 0.2, voc, width=0.4, color=ORANGE, hatch="//", edgecolor="white", label="VOC 2012 train_aug")
    left.legend(frameon=False)
    left.set(title="Classes in an image", xlabel="classes", ylabel="share of images")
    objects = objects_per_image(dataset)
    if len(objects):
        right.bar(ticks, _shares_of_counts(objects), width=0.5, color=BLUE)
    else:
        right.text(0.5, 0.5, "objects are not annotated", transform=right.transAxes, ha="center", va="center")
    right.set(title="Objects in an image", xlabel="objects")
    for ax in (left, right):
        ax.set_xticks(ticks, ["1", "2", "3", "4 or more"])
        ax.yaxis.set_major_formatter("{x:.0%}")
    return figure


def _shares_of_counts(counts: np.ndarray) -> np.ndarray:
    """Shares of images with one, two, three, and four or more."""
    return np.bincount(np.minimum(counts, 4), minlength=5)[1:] / len(counts)


def draw_class_shares(shares: pd.DataFrame) -> Figure:
    """The share of an image that a class covers, over the images that contain the class (`mask_shares`)."""
    if shares.empty:
        return blank("no masks")
    classes = shares.columns.drop(["background", "void"])
    values = [shares[name].dropna() for name in classes]
    figure, ax = plt.subplots(figsize=(WIDTH, _height(len(classes))), layout="constrained")
    labels = [f"{name} ({len(found)})" for name, found in zip(classes, values, strict=True)]
    style = {"medianprops": {"color": BLUE, "linewidth": 2.5}, "flierprops": {"markersize": 4}}
    ax.boxplot(values, orientation="horizontal", tick_labels=labels, **style)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.set(title="Share of an image that a class covers", xlabel="share of the image's pixels", xlim=(0, None))
    return figure


def draw_void(dataset: Dataset, shares: pd.DataFrame) -> Figure:
    """Left: a detail of an image with the void of its mask. Right: the share of void in all masks."""
    if shares.empty or not shares["void"].any():
        return blank("no masks" if shares.empty else "no void in these masks")
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.8), layout="constrained", width_ratios=(1, 1.2))
    _draw_detail(left, dataset, shares["void"].idxmax())
    right.hist(shares["void"], bins=12, color=BLUE, edgecolor="white")
    right.axvline(shares["void"].mean(), color="black", linestyle="--", label="mean")
    right.legend(frameon=False)
    right.xaxis.set_major_formatter("{x:.0%}")
    right.set(title=f"Void in {len(shares)} masks", xlabel="share of the image's pixels", ylabel="images", xlim=(0, None))
    return figure


def _draw_detail(ax: Axes, dataset: Dataset, name: str) -> None:
    """The surroundings of the topmost void pixel; void pixels have the palette's colour."""
    image, void = dataset.image(name).copy(), dataset.mask(name) == VOID
    height, width = void.shape
    side = min(height, width) // 4
    row, column = np.argwhere(void)[0]
    top, left = min(max(row - side // 4, 0), height - side), min(max(column - side // 2, 0), width - side)
    image[void] = PALETTE[VOID]
    ax.imshow(image[top : top + side, left : left + side], interpolation="nearest")
    ax.set_title("Detail of an image (pale: void)")
    ax.set_axis_off()


def draw_families(settings: MiniVocSettings) -> Figure:
    """A row for each family of MiniVOC's classes: the same body, in the same colour, with the part of each class."""
    columns = max(len(family) for family in FAMILIES)
    figure, axes = plt.subplots(len(FAMILIES), columns, figsize=(WIDTH, 1.05 * WIDTH * len(FAMILIES) / columns), squeeze=False)
    for row, family in zip(axes, FAMILIES, strict=True):
        for ax, name in zip(row, family, strict=True):
            rng = np.random.default_rng(len(family[0]))  # the same for the classes of a family; chosen by eye
            ax.imshow(draw_object(rng, settings, minivoc.CLASS_NAMES.index(name), side=OBJECT_SIDE).picture)
            ax.set_title(name)
            ax.set_axis_off()
    figure.suptitle("Classes that share a body")
    return figure


def read_trials() -> pd.DataFrame:
    """The designs of MiniVOC that were tried (data/minivoc_trials.csv), in the order of the trials."""
    return pd.read_csv(
        PROJECT / "data" / "minivoc_trials.csv", dtype={"code": str, "trainings": "Int64", "val_images": "Int64"}
    )


def style_trials(trials: pd.DataFrame) -> Styler:
    """The table of trials with readable names and numbers; a missing number is shown as a dash."""
    table = trials.rename(columns=lambda name: name.replace("_", " ")).rename(columns={"miou": "mIoU"})
    styled = table.style.hide().set_uuid("trials").set_table_attributes('class="dataframe"')
    return styled.format(precision=3, na_rep="–")


def part_shares(settings: MiniVocSettings, *, num_images: int) -> np.ndarray:
    """Visible pixels of the part of each object, as a share of the object's visible pixels, in the first images of train."""
    shares = []
    for index in range(num_images):
        scene = minivoc.draw_scene(settings, "train", index)
        for owner, item in enumerate(scene.objects, start=1):
            owned = scene.owners == owner
            shares.append((owned & item.part(settings.image_size)).sum() / owned.sum())
    return np.array(shares)


def _height(num_classes: int) -> float:
    """Height in inches of a figure with a bar for each class."""
    return 0.8 + (0.34 if num_classes <= FEW_CLASSES else 0.2) * num_classes
