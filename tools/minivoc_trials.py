"""Computes the table of the trials by which the design of MiniVOC was chosen: data/minivoc_trials.csv.

The rule, which was written down before the trials, looks at the plain CAM alone and never at RIB. A design is taken if, as a
mean over the trainings, the CAM under-activates more than it over-activates at the threshold that is best on the images for
choices, and if the classifier has an average precision of at least 0.9 on val.

    python -m tools.minivoc_trials

A trial takes two to five minutes of a core. Rows that earlier code has drawn are kept (column `code`).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ribstudy.config import load_settings
from ribstudy.datasets import class_names
from ribstudy.evaluation.metrics import average_precision
from ribstudy.evaluation.sweeps import summary, sweep_scores
from ribstudy.runtime.paths import PROJECT
from ribstudy.stages import Run, execute
from ribstudy.stages.classifier import CLASSIFIER, VALIDATION
from ribstudy.stages.evaluate import EVALUATE_CAM

TABLE = PROJECT / "data" / "minivoc_trials.csv"
WHOLE = dict.fromkeys(("image_size", "training_images", "epochs", "trainings", "val_images"), "Int64")  # whole numbers
TODAY = "this"  # of the column `code`, for rows that this tool writes
PRESET = "study"
# Fewer images than in the preset, and a place of the part that its dial has set to "anywhere".
SMALL = {
    "data.minivoc.num_train": 20,
    "data.minivoc.num_val": 60,
    "data.minivoc.part_place": "anywhere",
    "classifier.stored": "float32",
}
# The settings of each trial that differ from the preset's, and the number of its trainings. The last one is the preset.
TRIALS = [
    ({**SMALL, "data.minivoc.part_share": 0.2, "data.minivoc.num_train_aug": 300}, 1),
    ({**SMALL, "data.minivoc.part_share": 0.15}, 1),
    ({**SMALL, "data.minivoc.part_share": 0.25}, 1),
    ({**SMALL, "data.minivoc.part_share": 0.1}, 1),
    ({**SMALL, "data.minivoc.part_share": 0.15, "data.minivoc.part_place": "fixed"}, 1),
    ({}, 3),
]
MEASURES = ("average_precision", "threshold", "miou", "under", "over")


def trial(changes: Mapping[str, Any], num_trainings: int) -> dict[str, Any]:
    """The row of a trial: its settings, and the scores of its classifiers and CAMs on val, as means over the trainings."""
    runs = [Run(load_settings(PRESET, {**changes, "seed": seed})) for seed in range(num_trainings)]
    scores = pd.DataFrame(map(training, runs))
    settings, drawn = runs[0].settings, runs[0].settings.data.minivoc
    return {
        "code": TODAY,
        "image_size": drawn.image_size,
        "part_share": drawn.part_share,
        "part_place": drawn.part_place,
        "training_images": drawn.num_train_aug,
        "epochs": settings.classifier.epochs,
        "trainings": num_trainings,
        "val_images": min(drawn.num_val, settings.choices.limit),
        **scores[list(MEASURES)].mean(),
    }


def training(run: Run) -> dict[str, float]:
    """Average precision of a classifier on val, and the scores of its CAM on the images for choices at the best threshold."""
    run = run.with_images(run.settings.choices)
    validation = np.load(execute(CLASSIFIER, run).open(VALIDATION))
    names = class_names(run.settings.data)
    execute(EVALUATE_CAM, run)
    sweep = sweep_scores(run.stored(EVALUATE_CAM))
    return {
        "average_precision": average_precision(validation["labels"], validation["logits"], names).mean(),
        "threshold": sweep.thresholds[sweep.best()],
        **summary(sweep, sweep.best()),
    }


def main() -> None:
    """Computes all trials, and writes the table."""
    table = pd.read_csv(TABLE, dtype=WHOLE)
    rows = pd.DataFrame(trial(*of_trial) for of_trial in TRIALS).astype(WHOLE)
    pd.concat([table[table["code"] != TODAY], rows]).to_csv(TABLE, index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
