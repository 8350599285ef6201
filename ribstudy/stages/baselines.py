"""Maps by other methods with the same classifier: the stages `baseline` and `advcam`."""

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from ribstudy import datasets
from ribstudy.method.inputs import Feed, OwnViews
from ribstudy.method.other.advcam import advcam_unit
from ribstudy.models.cam_net import CamNet
from ribstudy.stages.execution import Run, Stage, UnitWorker, after
from ribstudy.stages.maps import classifier_weights, image_names, trained_net
from ribstudy.store import Unit


def _without_compiling(run: Run) -> Run:
    """torch-cam looks into single layers, which a compiled network does not show."""
    compute = run.settings.compute.model_copy(update={"compile": False})
    return run.under(run.settings.model_copy(update={"compute": compute}))


def _worker(
    run: Run, names: Sequence[str], net: CamNet, unit: Callable[[list[Tensor], np.ndarray, tuple[int, int]], Unit]
) -> UnitWorker:
    """Feeds `unit` with the views at the scales of `cam`."""
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)
    inputs = OwnViews(dataset, names, run.settings.cam.scales, net.normalization)
    feed = Feed(inputs, num_workers=run.num_workers, device=run.device)

    def work(name: str) -> Unit:
        size, views = feed.views(name)
        return unit(views, dataset.label(name), size)

    return work


def _baseline_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    from ribstudy.method.other.gradcam import baseline_unit  # here, since torch-cam takes seconds to import

    net, settings = trained_net(_without_compiling(run)), run.settings.baseline
    return _worker(run, names, net, lambda views, label, size: baseline_unit(net, views, label, size, settings))


def _advcam_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net, settings = trained_net(run), run.settings.advcam
    return _worker(run, names, net, lambda views, label, size: advcam_unit(net, views, label, size, settings))


STAGES = {
    "baseline": Stage(
        help="maps by a method of torch-cam: CAM, Grad-CAM, Grad-CAM++, LayerCAM",
        reads=("baseline", "cam", "compute"),
        needs=after("classifier"),
        units=image_names,
        worker=_baseline_worker,
        inputs=classifier_weights,
    ),
    "advcam": Stage(
        help="climb each image and keep the maps of every step (AdvCAM)",
        reads=("advcam", "cam", "compute"),
        needs=after("classifier"),
        units=image_names,
        worker=_advcam_worker,
        inputs=classifier_weights,
    ),
}
