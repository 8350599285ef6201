"""All stages, by name."""

from ribstudy.stages.bottleneck import BOTTLENECK
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.controls import COARSE, DILATED, EVALUATE_DILATED
from ribstudy.stages.data import DATA
from ribstudy.stages.evaluate import MAP_EVALUATIONS
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.masks import AGREEMENT, EVALUATE_MASKS, MASKS
from ribstudy.stages.other_methods import ADVCAM, BASELINE
from ribstudy.stages.segmentation import EVALUATE_PREDICTIONS, PREDICTIONS, SCORES, SEGMENTATION
from ribstudy.stages.stage import Stage
from ribstudy.stages.toy import TOY, TOY_CONDITIONS
from ribstudy.stages.walk import AFFINITY, LABELS, WALK

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        *(TOY, TOY_CONDITIONS, DATA, CLASSIFIER, CAM, RIB, BASELINE, ADVCAM, BOTTLENECK),
        *(LABELS, AFFINITY, WALK, AGREEMENT, MASKS, SEGMENTATION, SCORES, PREDICTIONS),
        *(*MAP_EVALUATIONS.values(), EVALUATE_MASKS, EVALUATE_PREDICTIONS),
        *(DILATED, EVALUATE_DILATED, *COARSE.values()),
    )
}
