"""The stages of the study: what each reads, what it needs, what it writes, and how one is run.

data -> classifier -> cam ─┬─> labels -> affinity -> walk -> masks -> segmentation -> scores -> predictions
                      rib ─┘
"""

from ribstudy.stages import maps, masks, segmentation, toy
from ribstudy.stages.execution import (
    Run,
    Shard,
    Stage,
    UnitsFailed,
    default_processes,
    default_workers,
    execute,
    key,
    status,
)

__all__ = ["STAGES", "Run", "Shard", "UnitsFailed", "default_processes", "default_workers", "execute", "key", "status"]

STAGES: dict[str, Stage] = {**toy.STAGES, **maps.STAGES, **masks.STAGES, **segmentation.STAGES}
