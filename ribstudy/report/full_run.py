"""A run of a published data set with the preset's own settings: its records, its times, its images, and the commands for it.

Nothing is computed here: a missing result is shown as "not run".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, islice

import pandas as pd
from IPython.display import HTML

from ribstudy import datasets
from ribstudy.config import Settings, load_settings
from ribstudy.datasets import Dataset
from ribstudy.evaluation.statistics import NOT_RUN
from ribstudy.report.chapter import Chapter
from ribstudy.report.figures.panels import Panel, gallery, photograph, true_mask
from ribstudy.report.paper_tables import Records, chapters, count_of_chapter
from ribstudy.report.records import latest_records
from ribstudy.report.status import job_rows
from ribstudy.stages import STAGES, Run, Stage
from ribstudy.store import Result
from ribstudy.workflow.jobs import CHAPTERS, FULL_RUNS

# The classes in the paper's Figure 3; which images it shows is not known.
FIGURE_3 = {"voc12": ("bird", "cat", "cow", "cat"), "coco14": ("hot dog", "elephant", "sheep", "pizza")}


@dataclass(frozen=True)
class FullRun:
    """A run of a published data set: the chapters' records of it, and the results of its stages.

    Args:
        data: name of the data set in the settings.
        records: the chapters' numbers.
        chapter: the chapter that shows it. None if the folder of the data is not known: then the stored results of the run
            cannot be identified.
    """

    data: str
    records: Records
    chapter: Chapter | None = None


def full_run(chapter: Chapter, preset: str) -> FullRun:
    """The run that a chapter about the data set of `preset` shows.

    It has the chapter's own settings if these are of that data set, else the settings of the preset. Its records are the latest
    ones (`latest_records`). Raises ValueError that names a record which cannot be read.
    """
    data, own = load_settings(preset).data.name, chapter.settings.data
    is_own = own.name == data
    name = chapter.settings_name() if is_own else preset
    records = latest_records(chapter.run.store, name, chapters())
    return FullRun(data, records, chapter if is_own and (own.root or own.listed) else None)


def runtime_table(full: FullRun) -> pd.DataFrame:
    """Hours of all processes of each stage and their devices, from the stages' own records; a row for each stage."""
    jobs = job_rows(full.chapter) if full.chapter else []
    rows = {}
    for stage in _way(full.data):
        made = [job for job in jobs if job["stage"] == stage and job["state"] != NOT_RUN]
        finished = sum(job["state"].startswith("finished") for job in made)
        rows[stage] = {
            "results": f"{finished} finished, {len(made) - finished} unfinished" if made else NOT_RUN,
            "process hours": f"{sum(job['seconds'] for job in made) / 3600:,.2f}" if made else "",
            "device": ", ".join(sorted({job["device"] for job in made if job["device"]})),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("stage")


def waits_table(runs: Mapping[str, FullRun]) -> pd.DataFrame:
    """The stages for which our values in the tables of published ones wait; a row for each data set and chapter.

    Args:
        runs: by preset.
    """
    rows = {}
    for preset, full in runs.items():
        for chapter in (name for name in sorted(chapters()) if count_of_chapter(full.data, name)):
            stages = _needed(load_settings(preset), [job.stage for job in CHAPTERS[chapter](load_settings(preset)).values()])
            state = "computed" if chapter in full.records else f"waits for {', '.join(stages)}"
            rows[preset, chapter] = {"values": count_of_chapter(full.data, chapter), "state": state}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["preset", "chapter"])


def _needed(settings: Settings, waiting: list[Stage]) -> list[str]:
    """The names of stages and of all that they need, in the order of their computation."""
    found: set[str] = set()
    waiting = list(waiting)
    while waiting:
        stage = waiting.pop()
        if stage.name not in found:
            found.add(stage.name)
            waiting += [need.stage for need in stage.needs(settings)]
    return [name for name in STAGES if name in found and name != "data"]


def _way(preset: str) -> list[str]:
    """The stages from the classifier to the predictions: everything that the predictions of CAM and RIB need."""
    of_maps = [_needed(load_settings(preset, {"maps": maps}), [STAGES["predictions"]]) for maps in ("cam", "rib")]
    return [name for name in STAGES if any(name in names for names in of_maps)]


def commands(preset: str) -> dict[str, str]:
    """The commands of a full run, by their purpose. FOLDER is the folder for downloads, DATA the folder of the data."""
    (chapter,) = (chapter for chapter, presets in FULL_RUNS.items() if preset in presets)
    fetch = {"get the data": "python -m ribstudy data fetch voc12 --root FOLDER"} if preset == "voc12" else {}
    return {
        **fetch,
        "check that the data are complete": f"python -m ribstudy data check --preset {preset} --data-root DATA",
        "list the jobs": f"snakemake --cores all --dry-run batch --config batch={preset} data_root=DATA",
        "run all jobs on this machine": f"make batch BATCH={preset} CONFIG=data_root=DATA",
        "run all jobs on a cluster": f"snakemake --profile profiles/slurm batch --config batch={preset} data_root=DATA",
        "this page with its numbers": f"papermill book/{chapter}.ipynb out.ipynb -p preset {preset} -p data_root DATA",
    }


def pictures(full: FullRun, images: Sequence[str]) -> HTML | None:
    """The stored steps from image to mask: of `images`, or of images that fit Figure 3 if no name is given.

    Steps without a result are marked as not run. If nothing is stored, there are no pictures.

    Raises ValueError for a name that is not in split train.
    """
    names = []
    if full.chapter:
        dataset = datasets.open_dataset(full.chapter.settings.data, "train")
        shown = _shown(full.chapter)
        stored = {panel: run.result(stage) for panel, (stage, run) in shown.items()}
        names = _named(dataset, images) if images else fitting_images(dataset, FIGURE_3[full.data], stored["RIB"].has_item)
        for panel, (stage, run) in shown.items():
            if found := list(filter(stored[panel].has_item, names)):
                full.chapter.add_read(stage, run, items=found)
    if not names:
        return None
    return gallery([_panels(dataset, name, stored) for name in names])


def fitting_images(dataset: Dataset, classes: Sequence[str], has_maps: Callable[[str], bool]) -> list[str]:
    """For each class in turn, the first image of only this class that has maps and is not chosen yet.

    The order of the data set decides, so images are not selected by their result.
    """
    chosen = []
    for class_name in classes:
        index = dataset.class_names.index(class_name)
        alone = dataset.labels[:, index] & (dataset.labels.sum(axis=1) == 1)
        fitting = (name for name in compress(dataset.names, alone) if name not in chosen and has_maps(name))
        chosen += list(islice(fitting, 1))
    return chosen


def _named(dataset: Dataset, images: Sequence[str]) -> list[str]:
    known = set(dataset.names)
    if unknown := [name for name in images if name not in known]:
        raise ValueError(f"images = {unknown}: not in split {dataset.split} ({len(known)} images, such as {dataset.names[0]})")
    return list(images)


def _shown(chapter: Chapter) -> dict[str, tuple[Stage, Run]]:
    """The stages of the chapter on masks whose items the figure shows, with their runs of the first seed, by panel."""
    jobs, seed = CHAPTERS["05_masks"](chapter.settings), chapter.settings.seed
    maps = {method: ("seeds", method, seed, "train") for method in ("CAM", "RIB")}
    names = {**maps, "mask": ("reported", "RIB", "walk + CRF", seed)}
    shown = {panel: jobs[name] for panel, name in names.items()}
    return {panel: (job.scored, chapter.variant(job.overrides, job.images)) for panel, job in shown.items()}


def _panels(dataset: Dataset, name: str, stored: Mapping[str, Result]) -> list[Panel]:
    sizes = [result.read_item(name).size for what, result in stored.items() if what != "mask" and result.has_item(name)]
    size = next(iter(sizes), (1, 1))
    image = photograph(dataset, name, size)
    classes = [dataset.class_names[index] for index, shown in enumerate(dataset.label(name)) if shown]
    panels = [Panel(", ".join(classes) or "no class", image)]
    for what, result in stored.items():
        if not result.has_item(name):
            panels.append(Panel(f"{what}: {NOT_RUN}", image))
        elif what == "mask":
            panels.append(Panel("mask from RIB", image, mask=result.read_item(name)))
        else:
            maps = result.read_item(name).normalized()
            panels.append(Panel(what, image, map=maps.max(axis=0) if len(maps) else None))
    truth = true_mask(dataset, name, size) if name in set(dataset.masked_names) else None
    return [*panels, Panel("true mask" if truth is not None else "no true mask", image, mask=truth)]
