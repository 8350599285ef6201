"""The stages of the study: what each reads, needs and writes, and how one is run.

data -> classifier -> cam ─┬─> labels -> affinity -> walk -> masks -> segmentation -> scores -> predictions
                      rib ─┘

`baseline` and `advcam` compute maps by other methods, `bottleneck` follows the classifier while `rib` adapts it, and `toy` is
the simulated experiment. The words: a *stage* is a kind of computation, an *item* is one image (or one toy seed) of a stage, a
*shard* is a part of its items, a *run* is settings, images and a place, and a *job* is a stage that a chapter asks for.
"""

from ribstudy.stages.execution import (
    ItemsFailed,
    Shard,
    default_processes,
    default_workers,
    execute,
    status,
)
from ribstudy.stages.registry import STAGES
from ribstudy.stages.run import Run
from ribstudy.stages.stage import ItemStage, Stage, WholeStage, of_images, result_key

__all__ = [
    "STAGES",
    "ItemStage",
    "ItemsFailed",
    "Run",
    "Shard",
    "Stage",
    "WholeStage",
    "default_processes",
    "default_workers",
    "execute",
    "of_images",
    "result_key",
    "status",
]
