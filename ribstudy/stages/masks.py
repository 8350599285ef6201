"""The stages `labels`, `affinity`, `walk` and `masks`, which turn class activation maps into pseudo masks."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets.transforms import normalize
from ribstudy.evaluation.predictions import predicted_mask
from ribstudy.evaluation.sweeps import sweep_maps
from ribstudy.masks.affinity import affinity_labels
from ribstudy.masks.labelling import refined_mask
from ribstudy.masks.random_walk import walk_maps
from ribstudy.masks.walked_maps import WalkedMaps
from ribstudy.models.affinity_net import AffinityNet, boundary, build_affinity_net
from ribstudy.models.kernels import use_fast_convolutions
from ribstudy.runtime import ranks
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.maps import CAM, RIB
from ribstudy.stages.stage import ItemStage, ItemWorker, Need, Run, Stage, WholeStage
from ribstudy.store import MASKS as MASK_FORMAT
from ribstudy.store import WALKED_MAPS, Result
from ribstudy.training.affinity import WEIGHTS, train_affinity_net
from ribstudy.training.checkpoint import CHECKPOINT

MAPS_OF = {"cam": CAM, "rib": RIB}  # by the value of the setting `maps`


def _maps(settings: Settings) -> list[Need]:
    return [Need(MAPS_OF[settings.maps])]


def _label_worker(run: Run, names: Sequence[str]) -> ItemWorker:
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
    format=MASK_FORMAT,
    on_gpu=False,
)


def _train_affinity(run: Run, result: Result) -> None:
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


AFFINITY = WholeStage(
    name="affinity",
    help="train the network that finds the boundaries of objects",
    reads=("seed", "affinity"),
    needs=lambda settings: [Need(LABELS, settings.affinity.images)],
    work=_train_affinity,
    shared=True,
    decodes_ahead=True,
)


def trained_affinity_net(run: Run) -> AffinityNet:
    """The affinity network of a run whose stage `affinity` is finished."""
    net = build_affinity_net(run.settings.affinity.backbone, weights=None)
    net.load_state_dict(torch.load(run.result(AFFINITY).path(WEIGHTS), map_location="cpu", weights_only=True))
    use_fast_convolutions(net, run.device)
    return net.to(run.device, memory_format=torch.channels_last).eval()


def _affinity_weights(run: Run) -> list[Path]:
    return [run.result(AFFINITY).path(WEIGHTS)]


def _walk_worker(run: Run, names: Sequence[str]) -> ItemWorker:
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
)


def scored_stage(settings: Settings) -> Stage:
    """The stage whose maps become masks."""
    return WALK if settings.masks.walk else MAPS_OF[settings.maps]


def _maps_and_tuning_maps(settings: Settings) -> list[Need]:
    stage = scored_stage(settings)
    return [Need(stage), *([Need(stage, settings.masks.tuning)] if settings.masks.tuning else [])]


def mask_threshold(run: Run) -> float:
    """The threshold in the settings, or the best threshold on the images of `masks.tuning`."""
    settings = run.settings.masks
    if settings.threshold is not None:
        return settings.threshold
    dataset = datasets.open_dataset(run.settings.data, settings.tuning.split)
    sweep = sweep_maps(dataset, run.stored(scored_stage(run.settings), settings.tuning))
    return float(sweep.thresholds[sweep.best()])


def _mask_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    settings, threshold, dataset = run.settings, mask_threshold(run), open_images(run)
    stored = run.stored(scored_stage(settings))

    def work(name: str) -> np.ndarray:
        mask = predicted_mask(stored[name], threshold)
        return refined_mask(dataset.image(name), mask, settings.crf) if settings.masks.crf else mask

    return work


MASKS = ItemStage(
    name="masks",
    help="pseudo masks, as palette images",
    reads=("masks", "crf"),
    needs=_maps_and_tuning_maps,
    items=image_names,
    worker=_mask_worker,
    format=MASK_FORMAT,
    on_gpu=False,
)
