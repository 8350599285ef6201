"""The stages `labels`, `affinity` and `walk`, which spread class activation maps up to the boundaries of objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.items import MASKS, WALKED_MAPS
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.runtime import ranks
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.memory import of_the_seed_crf
from ribstudy.stages.requirements import Requirement, batch, crf_package, selection, training_bytes, walked_bytes, weights
from ribstudy.stages.stage import ItemStage, ItemWorker, Need, Run, WholeStage
from ribstudy.store import Result
from ribstudy.training.files import CHECKPOINT, HISTORY, WEIGHTS

if TYPE_CHECKING:
    from ribstudy.models.affinity_net import AffinityNet

MAPS_OF = {"cam": CAM, "rib": RIB}  # by the value of the setting `maps`


def _maps(settings: Settings) -> list[Need]:
    return [Need(MAPS_OF[settings.maps])]


def _label_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.masks.affinity import affinity_labels

    dataset, settings, crf = open_images(run), run.settings.labels, run.settings.crf.model_dump()
    stored = run.stored(MAPS_OF[run.settings.maps])

    def work(name: str) -> np.ndarray:
        maps, image = stored[name], dataset.image(name)
        return affinity_labels(maps.normalized(), maps.classes, image, fg=settings.foreground, bg=settings.background, **crf)

    return work


LABELS = ItemStage(
    name="labels",
    help="the confident parts of the maps, refined by the CRF: the labels of the affinity network",
    reads=("labels", "crf"),
    needs=_maps,
    items=image_names,
    worker=_label_worker,
    format=MASKS,
    memory=of_the_seed_crf,
    on_gpu=False,
    requires=lambda run: [crf_package("labels")],
)


def _train_affinity(run: Run, result: Result) -> None:
    from ribstudy.training.affinity import train_affinity_net

    settings = run.settings.affinity
    train_affinity_net(
        datasets.open_dataset(run.settings.data, settings.images.split),
        run.stored(LABELS, settings.images),
        settings,
        seed=run.settings.seed,
        folder=result.folder,
        device=run.device,
        num_workers=run.num_workers,
    )
    if ranks.is_first():
        result.path(CHECKPOINT).unlink()


def _requirements_of_training(run: Run) -> list[Requirement]:
    images = run.settings.affinity.images
    trained_on = selection(run, "affinity.images", images, "training images")
    return [weights(run, "affinity", "affinity"), batch(run, "affinity", images), trained_on]


AFFINITY = WholeStage(
    name="affinity",
    help="train the network that finds the boundaries of objects",
    reads=("seed", "affinity"),
    needs=lambda settings: [Need(LABELS, settings.affinity.images)],
    work=_train_affinity,
    files=(HISTORY, WEIGHTS),
    shared=True,
    decodes_ahead=True,
    requires=_requirements_of_training,
    item_bytes=lambda run: training_bytes(run.settings.affinity.backbone),
    version=2,
)


def trained_affinity_net(run: Run) -> AffinityNet:
    """The affinity network of a run whose stage `affinity` is finished."""
    import torch

    from ribstudy.models.affinity_net import build_affinity_net
    from ribstudy.models.kernels import use_fast_convolutions
    from ribstudy.training.checkpoint import load_weights

    net = build_affinity_net(run.settings.affinity.backbone, weights=None)
    load_weights(run.result(AFFINITY).open(WEIGHTS), net)
    use_fast_convolutions(net, run.device)
    return net.to(run.device, memory_format=torch.channels_last).eval()


def _affinity_weights(run: Run) -> dict[str, str]:
    return {WEIGHTS: run.result(AFFINITY).file_digest(WEIGHTS)}


def _walk_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    import torch

    from ribstudy.datasets.transforms import normalize
    from ribstudy.masks.random_walk import walk_maps
    from ribstudy.models.affinity_net import boundary

    net, dataset, settings = trained_affinity_net(run), open_images(run), run.settings.walk
    stored = run.stored(MAPS_OF[run.settings.maps])

    def work(name: str) -> WalkedMaps:
        of_image = stored[name]
        maps = torch.as_tensor(of_image.normalized(stride=4)).to(run.device)
        image = normalize(dataset.image(name), net.normalization).to(run.device)
        edges = boundary(net, image, pad_to=settings.pad_to)
        walked = walk_maps(maps, edges, **settings.model_dump(exclude={"pad_to"})).cpu().numpy()
        return WalkedMaps(of_image.classes, of_image.size, walked, edges.cpu().numpy().astype(np.float16))

    return work


WALK = ItemStage(
    name="walk",
    help="spread the maps up to the boundaries of objects (random walk)",
    reads=("walk",),
    needs=lambda settings: [*_maps(settings), Need(AFFINITY)],
    items=image_names,
    worker=_walk_worker,
    format=WALKED_MAPS,
    inputs=_affinity_weights,
    item_bytes=walked_bytes,
    version=2,
)
