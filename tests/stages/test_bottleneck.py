"""The stage `bottleneck` adapts the classifier exactly as the stage `rib` does."""

import numpy as np
import pytest

from ribstudy.config import load_settings
from ribstudy.datasets.settings import ImageSelection
from ribstudy.evaluation.bottleneck import HGR_THRESHOLDS
from ribstudy.stages import Run, execute
from ribstudy.stages.bottleneck import BOTTLENECK
from ribstudy.stages.maps import RIB
from ribstudy.store import Store

STAGE = {
    "data.minivoc": {"num_train": 3, "num_train_aug": 12, "num_val": 2, "image_size": 64, "seed": 1},
    "classifier.weights": None,
    "classifier.epochs": 1,
    "classifier.batch_size": 4,
    "classifier.crop_size": 64,
    "classifier.long_side": [64, 64],
    "auxiliary": {"batch_size": 2, "long_side": [64, 64], "crop_size": 64},
    "rib.iterations": 3,
}


def test_the_stage_adapts_as_the_stage_rib_does(tmp_path):
    settings = load_settings("mini", {**STAGE, "data.root": str(tmp_path / "data")})
    run = Run(settings, ImageSelection(masked=True), Store(tmp_path / "results"), given_device="cpu")
    found, plain = execute(BOTTLENECK, run), execute(RIB, run)
    for name in run.items(RIB):
        arrays, adapted = found.read_item(name), plain.read_item(name)
        shown = arrays["label"] > 0
        assert np.flatnonzero(shown).tolist() == adapted.classes.tolist()
        logits = 2 * arrays["gndrp"][: len(adapted.logits), shown].sum(axis=1)
        assert logits == pytest.approx(adapted.logits, rel=1e-4)
        assert len(arrays["gap"]) == adapted.num_steps
        assert arrays["high"].shape == (2, len(arrays["depths"]), 3, len(HGR_THRESHOLDS))
