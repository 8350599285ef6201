"""The stages `segmentation`, `scores` and `predictions`: train DeepLab-v2 on pseudo masks, and predict with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ribstudy import datasets
from ribstudy.config import Settings
from ribstudy.items import MASKS as MASK_FORMAT
from ribstudy.runtime import ranks
from ribstudy.stages.data import DATA
from ribstudy.stages.evaluate import evaluation_of_masks
from ribstudy.stages.images import image_names, open_images
from ribstudy.stages.masks import MASKS
from ribstudy.stages.memory import BASE, most_pixels, of_the_crf_of_all_classes
from ribstudy.stages.requirements import Requirement, batch, crf_memory, crf_package, masks, selection, training_bytes, weights
from ribstudy.stages.stage import ItemStage, ItemWorker, Need, Run, WholeStage, after
from ribstudy.store import Result
from ribstudy.training.files import CHECKPOINT, HISTORY, WEIGHTS

if TYPE_CHECKING:
    from ribstudy.models.deeplab import DeepLab


def _teacher(settings: Settings) -> list[Need]:
    """The stage that provides the training masks. The data set's own masks only have to be checked."""
    stage = DATA if settings.segmentation.truth == "dataset" else MASKS
    return [Need(stage, settings.segmentation.images)]


def _train(run: Run, result: Result) -> None:
    from ribstudy.training.deeplab import train_deeplab

    settings = run.settings
    dataset = datasets.open_dataset(settings.data, settings.segmentation.images.split)
    names, mask_of = _examples(run)
    train_deeplab(
        dataset,
        names,
        mask_of,
        settings.segmentation,
        seed=settings.seed,
        folder=result.folder,
        device=run.device,
        num_workers=run.num_workers,
    )
    if ranks.is_first():
        result.path(CHECKPOINT).unlink()


def _examples(run: Run) -> tuple[list[str], Callable[[str], np.ndarray]]:
    """The names of the training images, and the function that returns their masks."""
    images = run.settings.segmentation.images
    names = image_names(run.with_images(images))
    if run.settings.segmentation.truth == "masks":
        return names, run.stored(MASKS, images).__getitem__
    dataset = datasets.open_dataset(run.settings.data, images.split)
    lacking = sorted(set(names) - set(dataset.masked_names))
    if lacking:
        raise ValueError(
            f"segmentation.truth = 'dataset': {len(lacking)} of {len(names)} training images have no mask, such as "
            f"{lacking[0]}; set segmentation.images.masked=true to leave them out"
        )
    return names, dataset.mask


def _read_sections(settings: Settings) -> tuple[str, ...]:
    of_masks = ("data.masks",) if settings.segmentation.truth == "dataset" else ()
    return ("seed", "data", *of_masks, "segmentation")


def _requirements(run: Run) -> list[Requirement]:
    settings = run.settings.segmentation
    found = [
        weights(run, "segmentation", "deeplab"),
        batch(run, "segmentation", settings.images, accumulation=settings.accumulation),
        selection(run, "segmentation.images", settings.images, "training images"),
    ]
    if settings.truth == "dataset":
        remedy = "set segmentation.images.masked=true to leave them out"
        found.append(masks(run, "segmentation.truth = dataset", settings.images, "a training on them", remedy))
    return found


SEGMENTATION = WholeStage(
    name="segmentation",
    help="train DeepLab-v2 on the pseudo masks, or on the data set's own masks",
    reads=_read_sections,
    needs=_teacher,
    work=_train,
    files=(HISTORY, WEIGHTS),
    shared=True,
    decodes_ahead=True,
    requires=_requirements,
    item_bytes=lambda run: training_bytes(run.settings.segmentation.backbone),
    version=2,
)


def trained_deeplab(run: Run) -> DeepLab:
    """The segmentation network of a run whose stage `segmentation` is finished."""
    import torch

    from ribstudy.models.deeplab import build_deeplab
    from ribstudy.models.kernels import use_fast_convolutions
    from ribstudy.training.checkpoint import load_weights

    settings = run.settings.segmentation
    num_classes = len(datasets.class_names(run.settings.data)) + 1
    net = build_deeplab(settings.backbone, num_classes, weights=None, output_stride=settings.output_stride)
    load_weights(run.result(SEGMENTATION).open(WEIGHTS), net)
    use_fast_convolutions(net, run.device)
    return net.to(run.device, memory_format=torch.channels_last).eval()


def _weights(run: Run) -> dict[str, str]:
    return {WEIGHTS: run.result(SEGMENTATION).file_digest(WEIGHTS)}


def _score_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    from ribstudy.masks.deeplab import predict_logits

    net, dataset, settings = trained_deeplab(run), open_images(run), run.settings.scores

    def work(name: str) -> dict[str, np.ndarray]:
        image = dataset.image(name)
        logits = predict_logits(net, image, scales=settings.scales, flip=settings.mirror, fusion=settings.fusion)
        return {"logits": logits.numpy().astype(np.float16), "size": np.array(image.shape[:2])}

    return work


def _bytes_of_scores(run: Run) -> int:
    labels = len(datasets.class_names(run.settings.data)) + 1
    return 2 * labels * most_pixels(run.settings.data) // run.settings.segmentation.output_stride**2


SCORES = ItemStage(
    name="scores",
    help="the segmentation network's logits for each image",
    reads=("scores",),
    needs=after(SEGMENTATION),
    items=image_names,
    worker=_score_worker,
    inputs=_weights,
    item_bytes=_bytes_of_scores,
)


def _prediction_worker(run: Run, names: Sequence[str]) -> ItemWorker:
    import torch

    from ribstudy.masks.crf import refine_probabilities
    from ribstudy.masks.deeplab import predicted, probabilities_at

    scores, settings, dataset = run.stored(SCORES), run.settings.predictions, open_images(run)

    def work(name: str) -> np.ndarray:
        of_image = scores[name]
        logits = torch.as_tensor(of_image["logits"].astype(np.float32))
        probabilities = probabilities_at(logits, tuple(of_image["size"].tolist())).numpy()
        if settings.crf:
            probabilities = refine_probabilities(dataset.image(name), probabilities)
        return predicted(probabilities)

    return work


WITH_CRF = "predictions.crf"
PREDICTIONS = ItemStage(
    name="predictions",
    help="the predicted masks, as palette images",
    reads=("predictions",),
    needs=after(SCORES),
    items=image_names,
    worker=_prediction_worker,
    format=MASK_FORMAT,
    memory=lambda run: of_the_crf_of_all_classes(run) if run.settings.predictions.crf else BASE,
    on_gpu=False,
    requires=lambda run: [crf_package(WITH_CRF), crf_memory(run, WITH_CRF)] if run.settings.predictions.crf else [],
)
EVALUATE_PREDICTIONS = evaluation_of_masks(PREDICTIONS)
