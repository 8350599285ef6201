"""Gradients and logits of the classifier while it is adapted to an image: the stage `bottleneck`."""

from collections.abc import Sequence

from ribstudy import datasets
from ribstudy.datasets.transforms import views
from ribstudy.evaluation.bottleneck import bottleneck_unit
from ribstudy.stages.execution import Run, Stage, UnitWorker, after
from ribstudy.stages.maps import classifier_weights, image_names, rib_inputs, trained_net
from ribstudy.store import Unit


def _worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net = trained_net(run)
    settings = run.settings
    dataset = datasets.open_dataset(settings.data, settings.infer.split)
    next_inputs = rib_inputs(run, names, net, dataset)

    def work(name: str) -> Unit:
        _, features, aux_features = next_inputs(name)
        (view,) = views(dataset.image(name), [1.0], net.normalization)
        return bottleneck_unit(
            net, view.to(run.device), features, dataset.label(name), dataset.mask(name), aux_features, settings.rib
        )

    return work


STAGES = {
    "bottleneck": Stage(
        help="gradients by region and depth, and all logits, while the classifier is adapted to each image",
        reads=("seed", "rib", "auxiliary", "compute"),
        needs=after("classifier"),
        units=image_names,
        worker=_worker,
        inputs=classifier_weights,
    ),
}
