"""The stage `classifier`: train the image classifier, and store its logits on val."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ribstudy import datasets
from ribstudy.datasets.settings import ImageSelection
from ribstudy.runtime import ranks
from ribstudy.runtime.files import atomic
from ribstudy.stages.data import DATA, data_lists
from ribstudy.stages.requirements import Requirement, batch, selection, training_bytes, weights
from ribstudy.stages.stage import Run, WholeStage, after
from ribstudy.store import Result
from ribstudy.training.files import CHECKPOINT, HISTORY, WEIGHTS

if TYPE_CHECKING:
    from ribstudy.models.cam_net import CamNet

VALIDATION = "validation.npz"  # names, labels and logits of val


def _train(run: Run, result: Result) -> None:
    from ribstudy.training.classifier import image_logits, train_classifier

    settings = run.settings
    net = train_classifier(
        datasets.training_set(settings.data),
        settings.classifier,
        seed=settings.seed,
        folder=result.folder,
        device=run.device,
        num_workers=run.num_workers,
    )
    if not ranks.is_first():
        return
    validation = datasets.open_dataset(settings.data, "val")
    logits = image_logits(net.eval(), validation, num_workers=run.num_workers)
    with atomic(result.path(VALIDATION)) as temporary:
        np.savez_compressed(temporary, names=validation.names, labels=validation.labels, logits=logits)
    result.path(CHECKPOINT).unlink()  # last, so that a run that fails before this line can resume


def _requirements(run: Run) -> list[Requirement]:
    validation = selection(run, "data", ImageSelection(split="val"), "images whose logits are stored")
    return [weights(run, "classifier", "classifier"), batch(run, "classifier", None), validation]


CLASSIFIER = WholeStage(
    name="classifier",
    help="train the image classifier on image-level labels",
    reads=("seed", "data", "classifier"),
    needs=after(DATA),
    work=_train,
    files=(HISTORY, VALIDATION, WEIGHTS),
    shared=True,
    decodes_ahead=True,
    inputs=data_lists,
    requires=_requirements,
    item_bytes=lambda run: training_bytes(run.settings.classifier.backbone),
    version=3,
)


def trained_net(run: Run) -> CamNet:
    """The classifier of a run whose stage `classifier` is finished."""
    import torch

    from ribstudy.models.cam_net import build_cam_net
    from ribstudy.training.checkpoint import load_weights

    settings = run.settings
    num_classes = len(datasets.class_names(settings.data))
    net = build_cam_net(settings.classifier.backbone, num_classes, weights=None)
    load_weights(run.result(CLASSIFIER).open(WEIGHTS), net)
    net.to(run.device, memory_format=torch.channels_last).eval()
    return net.compute_with(**settings.compute.model_dump())


def classifier_weights(run: Run) -> dict[str, str]:
    """The digest of the weights, which the records of later stages name as an input."""
    return {WEIGHTS: run.result(CLASSIFIER).file_digest(WEIGHTS)}
