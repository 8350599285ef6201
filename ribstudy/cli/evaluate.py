"""The command `python -m ribstudy evaluate`: scores of maps, masks or predictions on the images with a true mask."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ribstudy.cli.options import path

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from ribstudy.stages import ItemStage, Run

COLUMNS = ("iou", "precision", "recall", "over", "under")
BACKGROUND = "background"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command `evaluate`, apart from settings and images."""
    command.add_argument("scored", choices=[*_evaluations()], metavar="STAGE", help=f"one of {', '.join(_evaluations())}")
    command.add_argument(
        "--threshold", type=float, help="background threshold of maps, 0 to 0.99 in steps of 0.01 (default: the best one)"
    )
    command.add_argument("--classes", action="store_true", help="show the scores of each class too")
    command.add_argument("--out", type=path, metavar="CSV", help="also write the table to this file")
    command.add_argument("--processes", type=int, help="processes to run in parallel on this machine (default: cores)")


def evaluate(scored: str, run: Run, *, threshold: float | None = None, processes: int | None = None) -> pd.DataFrame:
    """Computes what is missing, and returns the scores of a stage on the run's images that have a mask.

    Args:
        scored: name of the stage whose maps or masks are scored.
        run: settings and images.
        threshold: background threshold of maps; None: the best one on these images.
        processes: see `stages.execute`.

    Returns:
        A row for the mean over the classes with a score and one for each class, background first. Columns: stage, images (their
        number), threshold (nan for masks), class, and the scores of `metrics.class_scores`.

    Raises:
        ValueError: no image has a mask, masks have no threshold, or a threshold that is not a multiple of 0.01 in 0 to 0.99.
    """
    from ribstudy import datasets
    from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
    from ribstudy.stages import execute

    stage, index = _evaluations()[scored], None if threshold is None else _index_of(scored, threshold)
    dataset = datasets.open_dataset(run.settings.data, run.images.split)
    if not dataset.masked_names:
        raise ValueError(f"evaluate {scored}: no image of split {run.images.split!r} has a true mask to compare with")
    run = run.with_images(run.images.model_copy(update={"masked": True}))
    execute(stage, run, processes=processes)
    counts, index = _counts(stage, run, index)
    found = None if index is None else DEFAULT_THRESHOLDS[index]
    about = {"stage": scored, "images": len(run.items(stage)), "threshold": found}
    return _table(counts, (BACKGROUND, *dataset.class_names), about)


def describe(table: pd.DataFrame, *, classes: bool, best: bool) -> str:
    """The table as text. classes: whether to show each class; best: whether the threshold was chosen on these images."""
    first = table.iloc[0]
    chosen = " (the best one on these images)" if best else ""
    threshold = "" if first.isna()["threshold"] else f", background threshold {first['threshold']:.2f}{chosen}"
    shown = (table if classes else table[:1]).set_index("class")[list(COLUMNS)]
    shown.index.name = None
    return f"{first['stage']}: {first['images']} images{threshold}\n{shown.to_string(float_format='%.4f', na_rep='-')}"


def _evaluations() -> dict[str, ItemStage]:
    """The stages that score another one, by the name of the scored one."""
    from ribstudy.stages import STAGES, ItemStage

    return {stage.scores.name: stage for stage in STAGES.values() if isinstance(stage, ItemStage) and stage.scores}


def _index_of(scored: str, threshold: float) -> int:
    from ribstudy.evaluation.metrics import DEFAULT_THRESHOLDS
    from ribstudy.items import MAP_SCORES

    if _evaluations()[scored].format is not MAP_SCORES:
        raise ValueError(f"--threshold: {scored} are masks, which need no threshold; remove the option")
    index = abs(DEFAULT_THRESHOLDS - threshold).argmin()
    if not abs(DEFAULT_THRESHOLDS[index] - threshold) < 1e-9:
        raise ValueError(f"--threshold {threshold}: expected one of 0, 0.01, 0.02, ..., {DEFAULT_THRESHOLDS[-1]}")
    return int(index)


def _counts(stage: ItemStage, run: Run, index: int | None) -> tuple[np.ndarray, int | None]:
    """Hits, predicted and true pixels [3, C+1] of all images, and the index of the threshold, None for masks."""
    from ribstudy.evaluation.mask_scores import score_masks
    from ribstudy.evaluation.sweeps import sweep_scores
    from ribstudy.items import MAP_SCORES

    scores = run.stored(stage)
    if stage.format is not MAP_SCORES:
        return score_masks(scores).counts.sum(axis=0), None
    sweep = sweep_scores(scores)
    index = sweep.best() if index is None else index
    return sweep.counts[:, index].sum(axis=0), index


def _table(counts: np.ndarray, class_names: tuple[str, ...], about: dict) -> pd.DataFrame:
    import pandas as pd

    from ribstudy.evaluation.metrics import class_scores, mean_scores

    mean, by_class = mean_scores(counts), class_scores(counts)
    rows = [{"class": "mean", "iou": mean["miou"], **{name: mean[name] for name in COLUMNS[1:]}}]
    rows += [{"class": of, **{name: by_class[name][place] for name in COLUMNS}} for place, of in enumerate(class_names)]
    return pd.DataFrame([{**about, **row} for row in rows])
