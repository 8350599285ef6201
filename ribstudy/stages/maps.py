"""The stages `cam` and `rib`: class activation maps, and the maps of a classifier adapted to each image."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.datasets import Dataset
from ribstudy.items import MAPS
from ribstudy.method.settings import AuxiliarySettings
from ribstudy.method.stored_maps import StoredMaps
from ribstudy.stages.classifier import CLASSIFIER, classifier_weights, trained_net
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.requirements import Requirement, auxiliary_images, map_bytes
from ribstudy.stages.stage import ItemStage, ItemWorker, Run, after

if TYPE_CHECKING:
    from torch import Tensor

    from ribstudy.models.cam_net import CamNet

    # Maps of one image from the network, the views of the image, its label and its size.
    Compute = Callable[[CamNet, list[Tensor], np.ndarray, tuple[int, int]], StoredMaps]

BLUR = "cam.blur"  # only affects how stored maps are read
# The settings that only affect how the stored steps of RIB become one map.
COMBINATION = ("rib.aggregation", "rib.normalization", "rib.blur")


def map_worker(run: Run, names: Sequence[str], net: CamNet, compute: Compute) -> ItemWorker:
    """A function that calls `compute` with the views of one image at the scales of `cam`."""
    from ribstudy.method.inputs import Feed, OwnViews

    dataset = open_images(run)
    inputs = OwnViews(dataset, names, run.settings.cam.scales, net.normalization)
    feed = Feed(inputs, num_workers=run.num_workers, device=run.device)

    def work(name: str) -> StoredMaps:
        size, views = feed.views(name)
        return compute(net, views, dataset.label(name), size)

    return work


def _cam_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.method.cam import compute_cam

    return map_worker(run, names, trained_net(run), compute_cam)


def _rib_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    import torch

    from ribstudy.method.rib import adapt_features, stored_adaptation

    net, dataset, settings = trained_net(run), open_images(run), run.settings.rib
    next_inputs = rib_inputs(run, names, net, dataset)

    def work(name: str) -> StoredMaps:
        size, features, aux_features = next_inputs(name)
        label = dataset.label(name)
        if not label.any():
            return StoredMaps(np.flatnonzero(label), size)
        labels = torch.as_tensor(label, dtype=torch.float32)
        generator = torch.Generator().manual_seed(zlib.crc32(f"{run.settings.seed} {name}".encode()))
        result = adapt_features(net, features, labels, aux_features, settings, generator=generator)
        return stored_adaptation(result, label, size)

    return work


def rib_inputs(run: Run, names: Sequence[str], net: CamNet, dataset: Dataset) -> Callable[[str], tuple]:
    """A function that takes the names in turn and returns the inputs of the adaptation to one image.

    The inputs are the image's size, the features of its views, and one auxiliary batch per step: features and labels of
    auxiliary images, loaded when they are needed or, if `auxiliary.bank` is set, taken from a bank of features.
    """
    from ribstudy.method.auxiliary import AuxiliaryDraws, FeatureBank
    from ribstudy.method.inputs import Feed, OwnViews, ViewsAndAuxiliaryImages
    from ribstudy.method.rib import num_updates

    settings, auxiliary = run.settings, _used_auxiliary(run.settings)
    training_set = datasets.training_set(settings.data)
    bank = FeatureBank(net, training_set, auxiliary, seed=settings.seed) if auxiliary.bank else None
    set_labels = (bank or training_set).labels
    everything = image_names(run)  # of all shards, so that every shard reports an unusable image before work starts
    labels = np.stack([dataset.label(name) for name in everything])
    draws = AuxiliaryDraws(set_labels, everything, labels, auxiliary, num_steps=num_updates(settings.rib), seed=settings.seed)
    own = (dataset, names, settings.rib.scales, net.normalization)
    if bank:
        inputs = OwnViews(*own)
    else:
        inputs = ViewsAndAuxiliaryImages(*own, auxiliary=training_set, draws=draws, settings=auxiliary, seed=settings.seed)
    feed = Feed(inputs, num_workers=run.num_workers, device=run.device)

    def next_inputs(name: str) -> tuple:
        size, views = feed.views(name)
        features = [net.features(view) for view in views]
        if bank:
            return size, features, bank.batches(draws, name)
        return size, features, ((net.features(images), labels) for images, labels in feed.batches())

    return next_inputs


def _used_auxiliary(settings: Settings) -> AuxiliarySettings:
    """The auxiliary images that steps see: none if `rib.auxiliary` is off."""
    return (
        settings.auxiliary if settings.rib.auxiliary else settings.auxiliary.model_copy(update={"batch_size": 0, "bank": None})
    )


def requirements_of_adaptation(run: Run) -> list[Requirement]:
    """The requirements of stages that adapt the classifier to each image."""
    return [auxiliary_images(run)] if _used_auxiliary(run.settings).batch_size else []


def _combined(maps: StoredMaps, settings: Settings) -> StoredMaps:
    """RIB's maps, to be combined as the settings say."""
    rib = settings.rib
    return replace(maps, aggregation=rib.aggregation, normalization=rib.normalization, blur=rib.blur)


def _blurred(maps: StoredMaps, settings: Settings) -> StoredMaps:
    return replace(maps, blur=settings.cam.blur)


def _bytes_of_cam(run: Run) -> int:
    return map_bytes(run, run.settings.cam.scales, 2)  # the maps, and the signed ones


def _bytes_of_rib(run: Run) -> int:
    return map_bytes(run, run.settings.rib.scales, run.settings.rib.iterations)


CAM = ItemStage(
    name="cam",
    help="class activation maps of the images",
    reads=("cam", "compute"),
    reading=(BLUR,),
    read=_blurred,
    needs=after(CLASSIFIER),
    items=image_names,
    worker=_cam_worker,
    format=MAPS,
    decodes_ahead=True,
    inputs=classifier_weights,
    item_bytes=_bytes_of_cam,
    version=3,
)
RIB = ItemStage(
    name="rib",
    help="adapt the classifier to each image and keep the maps of every step",
    reads=("seed", "rib", "auxiliary", "compute"),
    reading=COMBINATION,
    read=_combined,
    needs=after(CLASSIFIER),
    items=image_names,
    worker=_rib_worker,
    format=MAPS,
    decodes_ahead=True,
    inputs=classifier_weights,
    requires=requirements_of_adaptation,
    item_bytes=_bytes_of_rib,
    version=4,
)
