"""All stages, by name."""

from ribstudy.stages.bottleneck import BOTTLENECK
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.data import DATA
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.masks import AFFINITY, LABELS, MASKS, WALK
from ribstudy.stages.other_methods import ADVCAM, BASELINE
from ribstudy.stages.segmentation import PREDICTIONS, SCORES, SEGMENTATION
from ribstudy.stages.stage import Stage
from ribstudy.stages.toy import TOY

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        *(TOY, DATA, CLASSIFIER, CAM, RIB, BASELINE, ADVCAM, BOTTLENECK),
        *(LABELS, AFFINITY, WALK, MASKS, SEGMENTATION, SCORES, PREDICTIONS),
    )
}
