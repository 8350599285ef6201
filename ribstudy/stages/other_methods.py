"""The stages `baseline` and `advcam`: maps of the same classifier by other methods. No masks are made from them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ribstudy.items import MAPS
from ribstudy.stages.classifier import CLASSIFIER, classifier_weights, trained_net
from ribstudy.stages.images import image_names
from ribstudy.stages.maps import BLUR, map_worker
from ribstudy.stages.requirements import map_bytes, package
from ribstudy.stages.stage import ItemStage, ItemWorker, Run, after


def _without_compiling(run: Run) -> Run:
    """The run without `compute.compile`: torch-cam reads single layers, which a compiled network does not expose."""
    compute = run.settings.compute.model_copy(update={"compile": False})
    return replace(run, settings=run.settings.model_copy(update={"compute": compute}))


def _baseline_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.method.other.gradcam import compute_gradcam

    return map_worker(
        run, names, trained_net(_without_compiling(run)), partial(compute_gradcam, settings=run.settings.baseline)
    )


def _advcam_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.method.other.advcam import compute_advcam

    return map_worker(run, names, trained_net(run), partial(compute_advcam, settings=run.settings.advcam))


BASELINE = ItemStage(
    name="baseline",
    help="maps by a method of torch-cam: CAM, Grad-CAM, Grad-CAM++ or LayerCAM",
    reads=("baseline", "cam", "compute"),
    reading=(BLUR,),  # no other map than the CAM is blurred
    needs=after(CLASSIFIER),
    items=image_names,
    worker=_baseline_worker,
    format=MAPS,
    decodes_ahead=True,
    inputs=classifier_weights,
    requires=lambda run: [package("baseline.method", "torchcam", "torchcam")],
    item_bytes=lambda run: map_bytes(run, run.settings.cam.scales, 1),
    version=2,
)
ADVCAM = ItemStage(
    name="advcam",
    help="move each image along its gradient and keep the maps of every step (AdvCAM)",
    reads=("advcam", "cam", "compute"),
    reading=(BLUR,),
    needs=after(CLASSIFIER),
    items=image_names,
    worker=_advcam_worker,
    format=MAPS,
    decodes_ahead=True,
    inputs=classifier_weights,
    item_bytes=lambda run: map_bytes(run, run.settings.cam.scales, run.settings.advcam.iterations),
    version=2,
)
