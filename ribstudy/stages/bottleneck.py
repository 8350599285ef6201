"""The stage `bottleneck`: gradients and logits of the classifier while it is adapted to each image."""

from collections.abc import Sequence

import numpy as np

from ribstudy.stages.classifier import CLASSIFIER, classifier_weights, trained_net
from ribstudy.stages.data import DATA
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.maps import COMBINATION, requirements_of_adaptation, rib_inputs
from ribstudy.stages.requirements import Requirement, masks
from ribstudy.stages.stage import ItemStage, ItemWorker, Run, after


def _worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.datasets.transforms import views
    from ribstudy.evaluation.bottleneck import measure_image

    net, dataset, settings = trained_net(run), open_images(run), run.settings.rib
    next_inputs = rib_inputs(run, names, net, dataset)

    def work(name: str) -> dict[str, np.ndarray]:
        _, features, aux_features = next_inputs(name)
        (view,) = views(dataset.image(name), [1.0], net.normalization)
        label, truth = dataset.label(name), dataset.mask(name)
        return measure_image(net, view.to(run.device), features, label, truth, aux_features, settings)

    return work


def _requirements(run: Run) -> list[Requirement]:
    of_masks = masks(run, "bottleneck.images", run.images, "a measurement by region", "add masks, or leave this stage out")
    return [of_masks, *requirements_of_adaptation(run)]


BOTTLENECK = ItemStage(
    name="bottleneck",
    help="gradients by region and depth, and all logits, while the classifier is adapted to each image",
    reads=("seed", "data.masks", "rib", "auxiliary", "compute"),
    reading=COMBINATION,  # no maps are combined
    needs=after(CLASSIFIER, DATA),
    items=image_names,
    worker=_worker,
    decodes_ahead=True,
    inputs=classifier_weights,
    requires=_requirements,
    version=2,
)
