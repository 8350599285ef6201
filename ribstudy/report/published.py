"""Beside the paper: the note of a chapter that belongs to each published value, and the tables that show both.

Published values are those of data/paper_values.csv, in percent; notes are what a chapter leaves in its record, shares in 0..1.
Nothing here computes a result: what no chapter has left under a preset's own settings and data reads "not run".
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from ribstudy import datasets
from ribstudy.config import load_settings
from ribstudy.datasets import Dataset
from ribstudy.evaluation.metrics import Estimate
from ribstudy.method.cam import stored_seed_maps
from ribstudy.report import paper
from ribstudy.report.chapter import Chapter
from ribstudy.report.figures import common as figures
from ribstudy.report.figures.common import Panel
from ribstudy.report.paper import NOT_KNOWN, NOT_RUN, Place
from ribstudy.stages import Run
from ribstudy.store import Result
from ribstudy.workflow import jobs as study

Note = tuple[str, str]  # chapter, name in its record
Records = Mapping[str, Mapping[str, Estimate]]  # chapter -> name -> estimate

# table -> place -> what is ours of it. Places without a published value are of methods whose value nobody has published.
_FULL = {
    ("full supervision, no CRF", "val"): ("06_segmentation", "truth"),
    ("full supervision, CRF", "val"): ("06_segmentation", "truth_crf"),
}
OURS: dict[str, dict[Place, Note]] = {
    "voc12_seeds": {
        ("CAM", "seed"): ("05_masks", "cam_seeds"),
        ("CAM", "crf"): ("05_masks", "cam_seeds_crf"),
        ("CAM", "mask_irn"): ("05_masks", "cam_walk_crf"),
        ("AdvCAM", "seed"): ("08_other_methods", "miou_advcam"),
        ("RIB", "seed"): ("05_masks", "rib_seeds"),
        ("RIB", "crf"): ("05_masks", "rib_seeds_crf"),
        ("RIB", "mask_irn"): ("05_masks", "rib_walk_crf"),
    },
    "voc12_cam_baseline": {
        ("CAM", "FP"): ("03_cam", "over"),
        ("CAM", "FN"): ("03_cam", "under"),
        ("CAM", "mIoU"): ("03_cam", "miou_cam"),
        ("CAM", "precision"): ("03_cam", "precision"),
        ("CAM", "recall"): ("03_cam", "recall"),
    },
    "voc12_segmentation": {
        ("IRN", "val"): ("06_segmentation", "cam_crf"),
        ("RIB", "val"): ("06_segmentation", "rib_crf"),
        **_FULL,
    },
    "coco14_seeds": {
        ("CAM", "seed"): ("05_masks", "cam_seeds"),
        ("CAM", "mask"): ("05_masks", "cam_walk_crf"),
        ("RIB", "seed"): ("05_masks", "rib_seeds"),
        ("RIB", "mask"): ("05_masks", "rib_walk_crf"),
        ("RIB, released code", "seed"): ("05_masks", "rib_seeds"),
        ("RIB, released code", "mask"): ("05_masks", "rib_walk_crf"),
    },
    "coco14_segmentation": {
        ("IRN", "val"): ("06_segmentation", "cam_crf"),
        ("RIB", "val"): ("06_segmentation", "rib_crf"),
        **_FULL,
    },
}


@dataclass(frozen=True)
class Gain:
    """What RIB adds to a baseline: of two published values in one column of a table, and of ours, paired over the images."""

    what: str
    table: str
    column: str
    baseline: str
    note: Note


GAINS = {
    data: (
        Gain("seeds, thresholds from val", f"{data}_seeds", "seed", "CAM", ("05_masks", "gain_seeds")),
        Gain("seeds, each at its best threshold", f"{data}_seeds", "seed", "CAM", ("04_rib", "best_difference")),
        *extra,
        Gain("masks", f"{data}_seeds", mask, "CAM", ("05_masks", "gain_walk_crf")),
        Gain("segmentation of val", f"{data}_segmentation", "val", "IRN", ("06_segmentation", "rib_gain_crf")),
    )
    for data, mask, extra in (
        ("voc12", "mask_irn", [Gain("seeds + CRF", "voc12_seeds", "crf", "CAM", ("05_masks", "gain_seeds_crf"))]),
        (
            "coco14",
            "mask",
            [Gain("seeds, images with a class", "coco14_seeds", "", "CAM", ("04_rib", "miou_difference_labelled"))],
        ),
    )
}

COLUMNS = {
    "seed": "seeds",
    "crf": "seeds + CRF",
    "mask_psa": "masks by PSA",
    "mask_irn": "masks by IRN",
    "mask": "masks by IRN",
}
# Stages of the way from labels to predictions, whose times a full run shows.
WAY = ("classifier", "cam", "rib", "labels", "affinity", "walk", "masks", "segmentation", "scores", "predictions")
# What the paper's Figure 3 shows, by class; the identity of its images is not known.
FIGURE_3 = {"voc12": ("bird", "cat", "cow", "cat"), "coco14": ("hot dog", "elephant", "sheep", "pizza")}


# --- records --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FullRun:
    """A run of a published data set: what the chapters have recorded of it, and the stages' results.

    data: the settings' name of the data set; variant: the run with other settings besides (`Chapter.variant`), or None where
    the folder of the data is not known, without which stored results cannot be told apart.
    """

    data: str
    records: Records
    variant: Callable[[dict[str, Any]], Run] | None = None


def full_run(chapter: Chapter, preset: str) -> FullRun:
    """The run that a chapter on the data set of `preset` shows: of the chapter's own settings where those are of that data set,
    else of the preset as it is.

    Raises ValueError that names a record which cannot be read.
    """
    data, own = load_settings(preset).data.name, chapter.settings.data
    is_own = own.name == data
    records = read_records(chapter.run.store.root / "records", chapter.settings_name() if is_own else preset)
    return FullRun(data, records, chapter.variant if is_own and own.root else None)


def read_records(folder: Path, name: str) -> Records:
    """What each chapter has recorded under the settings of that name: <folder>/<chapter>.<name>.json; {} where nothing is.

    Raises ValueError that names a file which is no record.
    """
    paths = {chapter: folder / f"{chapter}.{name}.json" for chapter in sorted(_chapters())}
    return {chapter: _read_record(path) for chapter, path in paths.items() if path.is_file()}


def _chapters() -> set[str]:
    notes = [note for places in OURS.values() for note in places.values()]
    return {chapter for chapter, _ in (*notes, *(gain.note for gains in GAINS.values() for gain in gains))}


def _read_record(path: Path) -> dict[str, Estimate]:
    try:
        return {name: Estimate(**number) for name, number in json.loads(path.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is not the record of a chapter ({error}); remove it and run the chapter again") from None


def own_values(table: str, records: Records) -> dict[Place, Estimate | None]:
    """Ours of a table by (row, column), shares in 0..1; None where the records do not hold it."""
    return {place: records.get(chapter, {}).get(name) for place, (chapter, name) in OURS.get(table, {}).items()}


def notes_of(chapter: Chapter, data: str) -> Records:
    """The notes of the chapter at work, as records; {} where its data set is not `data`."""
    return {chapter.name: chapter.notes} if chapter.settings.data.name == data else {}


# --- tables ---------------------------------------------------------------------------------------------------------------


def comparison_table(table: str, records: Records) -> pd.DataFrame:
    """A table of published values with ours beside them, in percent; a row for each value.

    "ours less published" has our interval alone, as the published values come without one. A dash is of what this study does
    not make. Raises ValueError for an unknown table.
    """
    ours = own_values(table, records)
    published = {(row.row, row.column): row for row in paper.values(table).itertuples()}
    rows = []
    for place in dict.fromkeys([*published, *ours]):
        row, own = published.get(place), ours.get(place)
        rows.append(
            {
                "method": place[0],
                "value": COLUMNS.get(place[1], place[1]),
                "published": _shown(row.value) if row else NOT_KNOWN,
                "status": f"{row.status}, {row.by}" if row else "",
                "ours (95 %)": _or_not_run(own, percent) if place in ours else "–",
                "ours less published (95 %)": _less(own, row.value) if row and own else "",
                "images": _images(own),
            }
        )
    return pd.DataFrame(rows).set_index(["method", "value"])


def gain_table(data: str, records: Records) -> pd.DataFrame:
    """What RIB adds to the baseline, published and ours, in percent points; a row for each entry of GAINS."""
    rows = {}
    for gain in GAINS[data]:
        known = paper.values(gain.table).set_index(["row", "column"])
        pair = [known.loc[(row, gain.column)] for row in (gain.baseline, "RIB") if (row, gain.column) in known.index]
        published = pair[1]["value"] - pair[0]["value"] if len(pair) == 2 else None
        own = records.get(gain.note[0], {}).get(gain.note[1])
        rows[gain.what] = {
            "published": NOT_KNOWN if published is None else f"{published:+.1f}",
            "status": "" if published is None else _status(pair),
            "ours (95 %)": _or_not_run(own, lambda found: percent(found, sign="+")),
            "ours less published (95 %)": "" if own is None or published is None else _less(own, published),
            "images": _images(own),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("RIB less baseline")


def sources_table(*tables: str) -> pd.DataFrame:
    """Where each published value comes from; a row for each."""
    rows = pd.concat({table: paper.values(table) for table in tables}, names=["table"])
    return rows.reset_index("table")[["table", "row", "column", "value", "by", "status", "source", "note"]]


def count_values(data: str, records: Records) -> tuple[int, int]:
    """How many values of ours there are in the tables of a data set, and how many there can be."""
    found = [own for table in OURS if table.startswith(f"{data}_") for own in own_values(table, records).values()]
    return sum(own is not None for own in found), len(found)


def count_verdicts(data: str, records: Records) -> dict[str, int]:
    """How many of our 95 % intervals lie above, hold, and lie below the published value; ours without one are left out."""
    verdicts = {"above": 0, "hold": 0, "below": 0}
    for table in OURS:
        if not table.startswith(f"{data}_"):
            continue
        ours = own_values(table, records)
        for row in paper.values(table).itertuples():
            own = ours.get((row.row, row.column))
            if own is not None and own.low is not None:
                share = row.value / 100
                verdicts["above" if own.low > share else "below" if own.high < share else "hold"] += 1
    return verdicts


def runtime_table(full: FullRun) -> pd.DataFrame:
    """Hours that all processes of each stage took, and on what, from the stages' own records; a row for each stage."""
    jobs = study.job_rows(full.variant) if full.variant else []
    rows = {}
    for stage in WAY:
        made = [job for job in jobs if job["stage"] == stage and job["state"] != NOT_RUN]
        finished = sum(job["state"].startswith("finished") for job in made)
        rows[stage] = {
            "results": f"{finished} finished, {len(made) - finished} unfinished" if made else NOT_RUN,
            "process hours": f"{sum(job['seconds'] for job in made) / 3600:,.2f}" if made else "",
            "device": ", ".join(sorted({job["device"] for job in made if job["device"]})),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")


def commands(preset: str) -> dict[str, str]:
    """What is typed for a full run, by what it does; FOLDER is where downloads go, DATA the folder of the data."""
    (chapter,) = (chapter for chapter, own in study.FULL_RUNS.items() if own == preset)
    fetch = {"get the data": "python -m ribstudy data fetch voc12 --root FOLDER"} if preset == "voc12" else {}
    return {
        **fetch,
        "look whether they are whole": f"python -m ribstudy data check --preset {preset} --data-root DATA",
        "see what there is to do": f"snakemake --cores all --dry-run batch --config batch={preset} data_root=DATA",
        "all of it, here": f"make batch BATCH={preset} CONFIG=data_root=DATA",
        "all of it, on a cluster": f"snakemake --profile profiles/slurm batch --config batch={preset} data_root=DATA",
        "this page with its numbers": f"papermill book/{chapter}.ipynb out.ipynb -p preset {preset} -p data_root DATA",
    }


def percent(found: Estimate, *, sign: str = "") -> str:
    """A share with its interval, in percent."""
    number = f"{{:{sign}.1f}}"
    text = number.format(100 * found.value)
    if found.low is None:
        return f"{text} (no interval)"
    return f"{text} ({number.format(100 * found.low)} to {number.format(100 * found.high)})"


def _less(own: Estimate, published: float) -> str:
    bounds = [None if share is None else share - published / 100 for share in (own.low, own.high)]
    return percent(Estimate(own.value - published / 100, *bounds), sign="+")


def _or_not_run(own: Estimate | None, show: Callable[[Estimate], str]) -> str:
    return NOT_RUN if own is None else show(own)


def _shown(value: float) -> str:
    """With the digits that are published: one, or two where there are two."""
    return f"{value:.1f}" if round(value, 1) == value else f"{value:.2f}"


def _status(pair: Sequence[pd.Series]) -> str:
    return "confirmed" if all(row["status"] == "confirmed" for row in pair) else "unconfirmed"


def _images(own: Estimate | None) -> str:
    return f"{own.n:,}" if own is not None and own.n else ""


# --- pictures -------------------------------------------------------------------------------------------------------------


def pictures(full: FullRun, images: Sequence[str]) -> Figure:
    """The steps from image to mask as stored by a full run: of `images`, or where none is named of images that fit Figure 3.

    What was not run stands there as such; where nothing is stored the figure says so. Computes nothing.

    Raises ValueError for a name that is not in split train.
    """
    names = []
    if full.variant:
        dataset = datasets.open_dataset(full.variant({}).settings.data, "train")
        made = _results(full)
        names = _named(dataset, images) if images else fitting_images(dataset, FIGURE_3[full.data], made["RIB"].has_unit)
    if not names:
        return _blank(f"{NOT_RUN}: there are no data or no stored maps")
    return figures.gallery([_panels(dataset, name, made) for name in names], title="From image to mask")


def fitting_images(dataset: Dataset, classes: Sequence[str], has_maps: Callable[[str], bool]) -> list[str]:
    """For each class in turn the first image that shows it and no other class, has maps, and is not taken yet; fixed by the
    order of the data set, so nobody chooses."""
    chosen = []
    for class_name in classes:
        index = dataset.class_names.index(class_name)
        alone = dataset.labels[:, index] & (dataset.labels.sum(axis=1) == 1)
        fitting = (
            name for name, fits in zip(dataset.names, alone, strict=True) if fits and name not in chosen and has_maps(name)
        )
        chosen += [name for name in [next(fitting, None)] if name]
    return chosen


def _named(dataset: Dataset, images: Sequence[str]) -> list[str]:
    known = set(dataset.names)
    if unknown := [name for name in images if name not in known]:
        raise ValueError(f"images = {unknown}: not in split {dataset.split} ({len(known)} images, such as {dataset.names[0]})")
    return list(images)


def _results(full: FullRun) -> dict[str, Result]:
    masks = {**study.REPORTED, "maps": "rib", **study.STEPS["walk + CRF"]}
    asked = {"CAM": ("cam", study.REPORTED), "RIB": ("rib", study.REPORTED), "mask": ("masks", masks)}
    return {what: full.variant(overrides).result(stage) for what, (stage, overrides) in asked.items()}


def _panels(dataset: Dataset, name: str, made: Mapping[str, Result]) -> list[Panel]:
    image = dataset.image(name)
    label = dataset.label(name)
    panels = [Panel(", ".join(c for c, held in zip(dataset.class_names, label, strict=True) if held) or "no class", image)]
    for what, result in made.items():
        if not result.has_unit(name):
            panels.append(Panel(f"{what}: {NOT_RUN}", image))
        elif what == "mask":
            panels.append(Panel("mask from RIB", image, mask=result.read_unit(name)))
        else:
            maps = stored_seed_maps(result.read_unit(name))
            panels.append(Panel(what, image, map=maps.max(axis=0) if len(maps) else None))
    truth = dataset.mask(name) if name in set(dataset.masked_names) else None
    return [*panels, Panel("truth" if truth is not None else "no true mask", image, mask=truth)]


def _blank(text: str) -> Figure:
    figure, axis = plt.subplots(figsize=(figures.WIDTH, 1))
    axis.text(0.5, 0.5, text, ha="center", va="center", transform=axis.transAxes)
    axis.set_axis_off()
    return figure
