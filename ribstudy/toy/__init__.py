"""The simulated experiment of the paper's Section 3: digits, markers, gradient maps, and what a last activation does."""

from ribstudy.toy.data import REGIONS
from ribstudy.toy.experiment import LABELS, MARKERS, NETWORKS, THRESHOLDS, reading_names, run_seed
from ribstudy.toy.gradients import NORMALIZATIONS, layer_names
from ribstudy.toy.information import PROBES

__all__ = [
    "LABELS",
    "MARKERS",
    "NETWORKS",
    "NORMALIZATIONS",
    "PROBES",
    "REGIONS",
    "THRESHOLDS",
    "layer_names",
    "reading_names",
    "run_seed",
]
