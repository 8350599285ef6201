"""The figures of chapter 1."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ribstudy import paper
from ribstudy.toy.data import REGIONS
from ribstudy.toy.experiment import LABELS, THRESHOLDS, reading_names
