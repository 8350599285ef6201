"""The stages of the study. Each declares the settings it reads, the stages it needs, and the computation itself.

data -> classifier -> cam ─┬─> labels -> affinity -> walk -> masks -> segmentation -> scores -> predictions
                      rib ─┘

`baseline` and `advcam` compute maps by other methods, `bottleneck` follows the classifier while it is adapted as in `rib`, and
`toy` is the simulated experiment. The terms: a *stage* is a kind of computation; an *item* is one image (or one toy seed) of a
stage; a *shard* is a part of the items; a *run* combines settings, images, a store and a device; and a *job* is a stage that a
chapter asks for. Which chapter needs which stage is declared in `ribstudy.workflow`.
"""

from ribstudy.stages.execution import Shard, default_processes, execute, status
from ribstudy.stages.failures import ItemsFailed
from ribstudy.stages.registry import STAGES
from ribstudy.stages.stage import ItemStage, Run, Stage, WholeStage, of_images, result_key

__all__ = [
    "STAGES",
    "ItemStage",
    "ItemsFailed",
    "Run",
    "Shard",
    "Stage",
    "WholeStage",
    "default_processes",
    "execute",
    "of_images",
    "result_key",
    "status",
]
