"""The methods that chapters compare: the names of CAM and RIB, and the other methods."""

from typing import Any

from ribstudy.stages.other_methods import ADVCAM, BASELINE
from ribstudy.stages.stage import ItemStage

CAM_NAME, BLURRED, RIB_NAME, AS_WRITTEN, BLURRED_RIB = "CAM", "CAM, blurred", "RIB", "RIB as written", "RIB, blurred"

# For each method other than CAM and RIB the stage that computes its maps, and its settings. The classifier reads the output of
# `trained`.
_EARLY, _LAST = "frozen", "trained"
OTHER_METHODS: dict[str, tuple[ItemStage, dict[str, Any]]] = {
    "Grad-CAM": (BASELINE, {"baseline.method": "gradcam", "baseline.layers": [_LAST]}),
    "Grad-CAM, stride 8": (BASELINE, {"baseline.method": "gradcam", "baseline.layers": [_EARLY]}),
    "Grad-CAM++": (BASELINE, {"baseline.method": "gradcam++", "baseline.layers": [_LAST]}),
    "LayerCAM": (BASELINE, {"baseline.method": "layercam", "baseline.layers": [_LAST]}),
    "LayerCAM, two layers": (BASELINE, {"baseline.method": "layercam", "baseline.layers": [_EARLY, _LAST]}),
    "AdvCAM": (ADVCAM, {}),
}
TORCHCAM = {"baseline.method": "cam", "baseline.layers": [_LAST]}  # the plain CAM, computed by torch-cam
