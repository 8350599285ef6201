"""The stages of the study: what each reads, what it needs, what it writes, and how one is run.

data -> classifier -> cam ─┬─> labels -> affinity -> walk -> masks -> segmentation -> scores -> predictions
                      rib ─┘

Beside `cam` and `rib` stand `baseline` and `advcam`, maps by other methods, of which no masks are made, and `bottleneck`, what
happens in the classifier while `rib` adapts it.
"""

from ribstudy.stages import baselines, bottleneck, maps, masks, segmentation, toy
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
    work_key,
)

__all__ = [
    "STAGES",
    "Run",
    "Shard",
    "UnitsFailed",
    "default_processes",
    "default_workers",
    "execute",
    "key",
    "status",
    "work_key",
]

STAGES: dict[str, Stage] = {
    **toy.STAGES,
    **maps.STAGES,
    **baselines.STAGES,
    **bottleneck.STAGES,
    **masks.STAGES,
    **segmentation.STAGES,
}
