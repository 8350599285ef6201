"""The stages `baseline` and `advcam`: maps of the same classifier by other methods. No masks are made from them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from ribstudy.method.inputs import Feed, OwnViews
from ribstudy.method.other.advcam import compute_advcam
from ribstudy.method.other.gradcam import compute_gradcam
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.models.cam_net import CamNet
from ribstudy.stages.classifier import CLASSIFIER, classifier_weights, trained_net
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.stage import ItemStage, ItemWorker, Run, after
from ribstudy.store import MAPS

Compute = Callable[[list[Tensor], np.ndarray, tuple[int, int]], StoredMaps]  # views, label, size


def _worker(run: Run, names: Sequence[str], net: CamNet, compute: Compute) -> ItemWorker:
    """A function that calls `compute` with the views of one image at the scales of `cam`."""
    dataset = open_images(run)
    inputs = OwnViews(dataset, names, run.settings.cam.scales, net.normalization)
    feed = Feed(inputs, num_workers=run.num_workers, device=run.device)

    def work(name: str) -> StoredMaps:
        size, views = feed.views(name)
        return compute(views, dataset.label(name), size)

    return work


def _without_compiling(run: Run) -> Run:
    """The run without `compute.compile`: torch-cam reads single layers, which a compiled network does not expose."""
    compute = run.settings.compute.model_copy(update={"compile": False})
    return replace(run, settings=run.settings.model_copy(update={"compute": compute}))


def _baseline_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    net, settings = trained_net(_without_compiling(run)), run.settings.baseline
    return _worker(run, names, net, lambda views, label, size: compute_gradcam(net, views, label, size, settings))


def _advcam_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    net, settings = trained_net(run), run.settings.advcam
    return _worker(run, names, net, lambda views, label, size: compute_advcam(net, views, label, size, settings))


BASELINE = ItemStage(
    name="baseline",
    help="maps by a method of torch-cam: CAM, Grad-CAM, Grad-CAM++ or LayerCAM",
    reads=("baseline", "cam", "compute"),
    needs=after(CLASSIFIER),
    items=image_names,
    worker=_baseline_worker,
    format=MAPS,
    decodes_ahead=True,
    inputs=classifier_weights,
)
ADVCAM = ItemStage(
    name="advcam",
    help="move each image along its gradient and keep the maps of every step (AdvCAM)",
    reads=("advcam", "cam", "compute"),
    needs=after(CLASSIFIER),
    items=image_names,
    worker=_advcam_worker,
    format=MAPS,
    decodes_ahead=True,
    inputs=classifier_weights,
)
