"""The controls of the notebook play.ipynb: CAM and RIB of an image, at another step, tau, K or threshold.

Maps with the settings of the chapter are stored results. For another tau or K, the adaptation is computed at once, and nothing
is stored: either all its steps at scale 1 only, which is several times faster, or the single step of the fast mode.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import ipywidgets
import numpy as np
from IPython.display import HTML

from ribstudy.datasets.settings import ImageSelection
from ribstudy.masks.labelling import mask_of
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.report.chapter import Chapter
from ribstudy.report.figures.panels import Panel, gallery, photograph
from ribstudy.stages import execute
from ribstudy.stages.classifier import CLASSIFIER
from ribstudy.stages.maps import CAM, RIB
from ribstudy.workflow.frontier import fast_rate

ALL_STEPS, FAST_MODE = "all steps", "fast mode"
ONE_SCALE = {"rib.scales": [1.0], "rib.loss_scales": [1.0]}
MOST_ITERATIONS = 20


class Player:
    """Controls, and the picture that they change. The last expression of a cell shows `box`.

    Args:
        chapter: the chapter, whose settings are the start.
        images: the split and the selection of the images.
        names: the images to choose from, among the selected ones.
    """

    def __init__(self, chapter: Chapter, images: ImageSelection, names: Sequence[str]):
        rib = chapter.settings.rib
        self.chapter, self.images = chapter, images
        self.dataset = chapter.dataset(images.split)
        slider = {"continuous_update": False, "style": {"description_width": "6em"}, "layout": {"width": "28em"}}
        self.image = ipywidgets.Dropdown(options=list(names), description="image", style=slider["style"])
        self.mode = ipywidgets.Dropdown(options=(ALL_STEPS, FAST_MODE), description="mode", style=slider["style"])
        self.tau = ipywidgets.FloatSlider(rib.tau, min=0.05, max=1, step=0.05, description="tau", **slider)
        most = max(MOST_ITERATIONS, rib.iterations)
        self.iterations = ipywidgets.IntSlider(rib.iterations, min=1, max=most, description="K", **slider)
        self.step = ipywidgets.IntSlider(1, min=1, max=1, description="summed maps", **slider)
        self.threshold = ipywidgets.FloatSlider(0.3, min=0, max=1, step=0.01, description="threshold", **slider)
        self.shown, self.origin = ipywidgets.HTML(), ipywidgets.Label()
        controls = (self.image, self.mode, self.tau, self.iterations, self.step, self.threshold)
        self.box = ipywidgets.VBox([*controls, self.origin, self.shown])
        self.computed_maps = cache(self._compute)
        for control in (self.image, self.mode, self.tau, self.iterations):
            control.observe(self._choose, names="value")
        for control in (self.step, self.threshold):
            control.observe(self._draw, names="value")
        self._choose()

    def _choose(self, _change: Any = None) -> None:
        """Takes the maps of the chosen image and settings, and shows the sum of all steps."""
        rib, name = self.chapter.settings.rib, self.image.value
        chosen = (self.mode.value, self.tau.value, self.iterations.value)
        self.origin.value = "computing ..."
        self.cam = self._stored(CAM, name)
        if chosen == (ALL_STEPS, rib.tau, rib.iterations):
            self.maps, self.origin.value = self._stored(RIB, name), "stored maps"
        else:
            self.maps = self.computed_maps(name, *chosen)
            how = "in a single step" if self.mode.value == FAST_MODE else "at scale 1 only"
            self.origin.value = f"computed at once, {how}; not stored"
        with self.step.hold_trait_notifications():
            self.step.max = self.step.value = self.maps.num_steps
        self._draw()

    def _stored(self, stage: Any, name: str) -> StoredMaps:
        run = self.chapter.run.with_images(self.images)
        return self.chapter.computed(stage, replace(run, only=(name,)))[name]

    def _compute(self, name: str, mode: str, tau: float, iterations: int) -> StoredMaps:
        fast = {"rib.mode": "fast", "rib.learning_rate": fast_rate(self.chapter.settings)}
        changes = fast if mode == FAST_MODE else ONE_SCALE
        run = self.chapter.variant({**changes, "rib.tau": tau, "rib.iterations": iterations}, self.images)
        execute(CLASSIFIER, run)
        return RIB.worker(replace(run, only=(name,)), [name])(name)

    def _draw(self, _change: Any = None) -> None:
        self.shown.value = self.figure().data

    def figure(self) -> HTML:
        """The image, the CAM and RIB's summed map of its first class, and the masks that the threshold makes of both."""
        name, size = self.image.value, self.maps.size
        image = photograph(self.dataset, name, size)
        steps = {"CAM": self.cam.normalized(), "RIB": self.maps.normalized(steps=self.step.value)}
        maps = [
            Panel(f"{label}: {self._shown_class()}", image, map=of[0] if len(of) else np.zeros(size))
            for label, of in steps.items()
        ]
        masks = [
            Panel(f"{label} > {self.threshold.value:g}", image, mask=mask_of(of, self.maps.classes, self.threshold.value))
            for label, of in steps.items()
        ]
        return gallery([maps, masks])

    def _shown_class(self) -> str:
        return self.dataset.class_names[self.maps.classes[0]] if len(self.maps.classes) else "none of the classes"
