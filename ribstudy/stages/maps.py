"""From the data to class activation maps: the stages `data`, `classifier`, `cam` and `rib`."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ribstudy import datasets
from ribstudy.datasets import Dataset
from ribstudy.method.auxiliary import AuxiliaryDraws, FeatureBank
from ribstudy.method.cam import cam_unit
from ribstudy.method.inputs import Feed, OwnViews, ViewsAndAuxiliaryImages
from ribstudy.method.rib import adapt_features, num_updates, rib_unit
from ribstudy.models.cam_net import CamNet
from ribstudy.runtime import ranks as launch
from ribstudy.runtime.files import atomic
from ribstudy.stages.execution import Run, Stage, UnitWorker, after
from ribstudy.store import Result
from ribstudy.training.classifier import WEIGHTS, image_logits, load_classifier, train_classifier
from ribstudy.training.loop import CHECKPOINT


def _prepare_data(run: Run, result: Result) -> None:
    settings = run.settings.data
    folder = datasets.prepare(settings, processes=launch.cores())
    problems = datasets.check(settings, processes=launch.cores())
    if problems:
        raise ValueError(f"{len(problems)} problems in {folder}, the first: {problems[0]} (all: python -m ribstudy data check)")


def _lists(run: Run) -> list[Path]:
    return datasets.lists(run.settings.data)


def _train_classifier(run: Run, result: Result) -> None:
    settings = run.settings
    net = train_classifier(
        datasets.training_set(settings.data),
        settings.classifier,
        seed=settings.seed,
        folder=result.folder,
        device=run.device,
        num_workers=run.num_workers,
    )
    if not launch.is_first():
        return
    validation = datasets.open_dataset(settings.data, "val")
    logits = image_logits(net.eval(), validation, num_workers=run.num_workers)
    with atomic(result.path("validation.npz")) as temporary:
        np.savez_compressed(temporary, names=validation.names, labels=validation.labels, logits=logits)
    result.path(CHECKPOINT).unlink()  # the last, so that what fails before it goes on here


def image_names(run: Run) -> list[str]:
    infer = run.settings.infer
    dataset = datasets.open_dataset(run.settings.data, infer.split)
    names = list(dataset.masked_names if infer.masked else dataset.names)
    if infer.class_name is not None:
        names = _showing(dataset, infer.class_name, names)
    if not names:
        raise ValueError(
            f"infer.masked: no image of split {infer.split!r} has a mask in {datasets.data_folder(run.settings.data)}"
        )
    return names[infer.skip :][: infer.limit]


def _showing(dataset: Dataset, class_name: str, names: Sequence[str]) -> list[str]:
    if class_name not in dataset.class_names:
        raise ValueError(f"infer.class_name = {class_name!r} is no class of the data; known: {', '.join(dataset.class_names)}")
    column = dataset.class_names.index(class_name)
    showing = [name for name in names if dataset.label(name)[column]]
    if not showing:
        raise ValueError(f"infer.class_name = {class_name!r}: no such image in split {dataset.split!r}")
    return showing


def trained_net(run: Run) -> CamNet:
    """The classifier of a run whose stage `classifier` is finished."""
    settings = run.settings
    num_classes = len(datasets.class_names(settings.data))
    net = load_classifier(run.result("classifier").folder, settings.classifier, num_classes, run.device)
    return net.compute_with(**settings.compute.model_dump())


def classifier_weights(run: Run) -> list[Path]:
    """The file of weights that a stage's record names as its input."""
    return [run.result("classifier").path(WEIGHTS)]


def _cam_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net = trained_net(run)
    dataset = datasets.open_dataset(run.settings.data, run.settings.infer.split)
    inputs = OwnViews(dataset, names, run.settings.cam.scales, net.normalization)
    feed = Feed(inputs, num_workers=run.num_workers, device=run.device)

    def work(name: str) -> dict[str, np.ndarray]:
        size, views = feed.views(name)
        return cam_unit(net, views, dataset.label(name), size)

    return work


def _rib_worker(run: Run, names: Sequence[str]) -> UnitWorker:
    net = trained_net(run)
    settings = run.settings
    dataset = datasets.open_dataset(settings.data, settings.infer.split)
    next_inputs = rib_inputs(run, names, net, dataset)

    def work(name: str) -> dict[str, np.ndarray]:
        size, features, aux_features = next_inputs(name)
        label = dataset.label(name)
        if not label.any():
            return rib_unit(None, label, size)
        labels = torch.as_tensor(label, dtype=torch.float32)
        result = adapt_features(net, features, labels, aux_features, settings.rib)
        return rib_unit(result, label, size, normalization=settings.rib.normalization)

    return work


def rib_inputs(run: Run, names: Sequence[str], net: CamNet, dataset: Dataset) -> Callable[[str], tuple]:
    """Gives for each name in turn the image's size, the features of its views, and step by step those of auxiliary images.

    The auxiliary images come from the feed, or from a bank of features where `auxiliary.bank` is set.
    """
    settings, auxiliary = run.settings, run.settings.auxiliary
    training_set = datasets.training_set(settings.data)
    bank = FeatureBank(net, training_set, auxiliary, seed=settings.seed) if auxiliary.bank else None
    set_labels = (bank or training_set).labels
    everything = run.units("rib")  # also of other shards: what one of them would refuse, all refuse before work starts
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


STAGES = {
    "data": Stage(
        help="draw MiniVOC where it is missing; check every annotation and image header",
        reads=("data", "data.root"),
        only_checks=True,
        whole=_prepare_data,
        inputs=_lists,
    ),
    "classifier": Stage(
        help="train the image classifier on image-level labels",
        reads=("seed", "data", "classifier"),
        needs=after("data"),
        whole=_train_classifier,
        shared=True,
        inputs=_lists,
        version=2,
    ),
    "cam": Stage(
        help="class activation maps of the images to infer",
        reads=("cam", "compute"),
        needs=after("classifier"),
        units=image_names,
        worker=_cam_worker,
        inputs=classifier_weights,
        version=2,
    ),
    "rib": Stage(
        help="adapt the classifier to each image and keep the maps of every step",
        reads=("seed", "rib", "auxiliary", "compute"),
        needs=after("classifier"),
        units=image_names,
        worker=_rib_worker,
        inputs=classifier_weights,
        version=3,
    ),
}
