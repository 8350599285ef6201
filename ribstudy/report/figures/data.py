"""The figures and tables of the chapter on data: classes, objects and masks of the data sets."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from ribstudy.datasets import minivoc
from ribstudy.datasets.base import Dataset
from ribstudy.datasets.minivoc_objects import FAMILIES, draw_object
from ribstudy.datasets.pictures import PALETTE, VOID
from ribstudy.datasets.settings import MiniVocSettings
from ribstudy.report import paper
from ribstudy.report.figures.common import BLUE, LINE, ORANGE, WIDTH, legend_below
from ribstudy.report.figures.panels import Panel, gallery
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


def draw_examples(dataset: Dataset, names: Sequence[str]) -> HTML:
    """Image and mask side by side, two pairs in a row; only images if there are no masks."""
    shown = []
    for name in names:
        classes = [dataset.class_names[index] for index in np.flatnonzero(dataset.label(name))]
        shown.append(Panel(", ".join(classes) or "no class", dataset.image(name)))
        if dataset.has_masks:
            shown.append(Panel("mask", PALETTE[dataset.mask(name)]))
    return gallery([shown[start : start + 4] for start in range(0, len(shown), 4)])


def draw_class_counts(dataset: Dataset) -> Figure:
    """The number of images with each class."""
    counts = dataset.labels.sum(axis=0)
    figure, ax = plt.subplots(figsize=(WIDTH, _height(len(counts))))
    bars = ax.barh(dataset.class_names, counts, color=BLUE)
    ax.bar_label(bars, padding=3)
    ax.invert_yaxis()
    ax.set_xlabel(f"images of {dataset.split}")
    return figure


def draw_counts_per_image(dataset: Dataset) -> Figure:
    """Left: classes per image, compared with VOC 2012. Right: objects per image."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.2), sharey=True)
    here = _shares_of_counts(classes_per_image(dataset))
    voc = _shares_of_counts(voc12_classes_per_image())
    ticks = np.arange(len(here))
    left.bar(ticks - 0.2, here, width=0.4, color=BLUE, label=f"this set, {dataset.split}")
    left.bar(ticks + 0.2, voc, width=0.4, color=ORANGE, hatch="//", edgecolor="white", label="VOC 2012 train_aug")
    left.set(xlabel="classes", ylabel="share of images")
    legend_below(figure)
    objects = objects_per_image(dataset)
    if len(objects):
        right.bar(ticks, _shares_of_counts(objects), width=0.5, color=BLUE)
    else:
        right.text(0.5, 0.5, "objects are not annotated", transform=right.transAxes, ha="center", va="center")
    right.set_xlabel("objects")
    for ax in (left, right):
        ax.set_xticks(ticks, ["1", "2", "3", "4+"])
        ax.yaxis.set_major_formatter("{x:.0%}")
    return figure


def _shares_of_counts(counts: np.ndarray) -> np.ndarray:
    """Shares of images with one, two, three, and four or more."""
    return np.bincount(np.minimum(counts, 4), minlength=5)[1:] / len(counts)


def draw_class_shares(shares: pd.DataFrame) -> Figure | None:
    """The share of an image that a class covers, over the images that contain the class (`mask_shares`); None without masks."""
    if shares.empty:
        return None
    classes = shares.columns.drop(["background", "void"])
    values = [shares[name].dropna() for name in classes]
    figure, ax = plt.subplots(figsize=(WIDTH, _height(len(classes))))
    labels = [f"{name} ({len(found)})" for name, found in zip(classes, values, strict=True)]
    style = {"medianprops": {"color": BLUE, "linewidth": 2.5}, "flierprops": {"markersize": 4}}
    ax.boxplot(values, orientation="horizontal", tick_labels=labels, **style)
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.set(xlabel="share of the image's pixels", xlim=(0, None))
    return figure


def draw_void_detail(dataset: Dataset, shares: pd.DataFrame) -> HTML | None:
    """The surroundings of the topmost void pixel of the mask with the most void; None without void (`mask_shares`)."""
    if shares.empty or not shares["void"].any():
        return None
    name = shares["void"].idxmax()
    image, void = dataset.image(name), dataset.mask(name) == VOID
    height, width = void.shape
    side = min(height, width) // 4
    row, column = np.argwhere(void)[0]
    top, left = min(max(row - side // 4, 0), height - side), min(max(column - side // 2, 0), width - side)
    part = np.s_[top : top + side, left : left + side]
    painted = np.where(void[..., None], PALETTE[VOID].astype(np.uint8), image)
    return gallery([[Panel("detail of an image", image[part]), Panel("pale: void of its mask", painted[part])]])


def draw_void_shares(shares: pd.DataFrame) -> Figure | None:
    """The share of void in all masks; None without void (`mask_shares`)."""
    if shares.empty or not shares["void"].any():
        return None
    figure, axis = plt.subplots(figsize=(WIDTH, 2.8))
    axis.hist(shares["void"], bins=12, color=BLUE, edgecolor="white")
    axis.axvline(shares["void"].mean(), color=LINE, linestyle="--", label="mean")
    axis.legend()
    axis.xaxis.set_major_formatter("{x:.0%}")
    axis.set(xlabel="share of the image's pixels", ylabel="images", xlim=(0, None))
    return figure


def draw_families(settings: MiniVocSettings) -> HTML:
    """A row for each family of MiniVOC's classes: the same body, in the same colour, with the part of each class."""
    return gallery([[_object_panel(settings, name, seed=len(family[0])) for name in family] for family in FAMILIES])


def _object_panel(settings: MiniVocSettings, name: str, *, seed: int) -> Panel:
    """An object of a class. The seed is the same for the classes of a family; those here were chosen by eye."""
    drawn = draw_object(np.random.default_rng(seed), settings, minivoc.CLASS_NAMES.index(name), side=OBJECT_SIDE)
    return Panel(name, np.asarray(drawn.picture)[..., :3])


def read_trials() -> pd.DataFrame:
    """The designs of MiniVOC that were tried (data/minivoc_trials.csv), in the order of the trials."""
    return pd.read_csv(
        PROJECT / "data" / "minivoc_trials.csv", dtype={"code": str, "trainings": "Int64", "val_images": "Int64"}
    )


def style_trials(trials: pd.DataFrame) -> Styler:
    """The table of trials with readable names and numbers; a missing number is shown as a dash."""
    table = trials.rename(columns=lambda name: name.replace("_", " ")).rename(columns={"miou": "mIoU"})
    styled = table.style.hide().set_uuid("trials").set_table_attributes('class="dataframe"')
    return styled.format(precision=3, na_rep="–").set_properties(subset=["note"], **{"min-width": "14em", "text-align": "left"})


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
    return 0.8 + (0.22 if num_classes <= FEW_CLASSES else 0.17) * num_classes
